"""What torch and ONNX ask of a batch norm, from their own suites, asked of every backend of the CPU."""

import pytest

from tests.layers.backends import ON_CPU
from tests.layers.external import NAMES, ONNX, TORCH, compare_with_onnx, compare_with_torch

every_backend = pytest.mark.parametrize("backend", ON_CPU)


def test_the_suites_have_their_cases():
    assert {cls.__name__ for cls, _ in TORCH.values()} == set(NAMES)
    assert ONNX.keys() >= {"example", "epsilon", "example_training_mode", "epsilon_training_mode"}


@every_backend
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("case", TORCH)
def test_a_module_does_with_the_inputs_of_torch_what_that_of_torch_does(case, training, backend):
    compare_with_torch(TORCH[case], training=training, backend=backend)


@every_backend
@pytest.mark.parametrize("case", ONNX)
def test_the_operator_gives_what_onnx_expects(case, backend):
    compare_with_onnx(ONNX[case], backend=backend)
