"""What torch and ONNX ask of a batch norm, from their own suites, asked of every backend."""

import warnings

import numpy as np
import pytest
import torch
from onnx.backend.test.case.node import collect_testcases
from torch import nn
from torch.testing import assert_close
from torch.testing._internal.common_modules import module_db

from bnlab import layers
from bnlab.layers.functional import batch_norm
from tests.layers.backends import ON_CPU
from tests.tolerances import RTOL

NAMES = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d")
every_backend = pytest.mark.parametrize("backend", ON_CPU)


def cases_of_torch():
    for info in module_db:
        if info.module_cls.__name__ in NAMES:
            asked = {"device": "cpu", "dtype": torch.float64, "requires_grad": True, "training": True}
            yield from ((info.module_cls, case) for case in info.module_inputs_func(info, **asked))


def cases_of_onnx():
    with warnings.catch_warnings(action="ignore"):  # cases of other operators overflow on purpose, as they are made
        return {case.name.removeprefix("test_batchnorm_"): case for case in collect_testcases("BatchNormalization")}


TORCH, ONNX = list(cases_of_torch()), cases_of_onnx()


def test_the_suites_have_their_cases():
    assert {cls.__name__ for cls, _ in TORCH} == set(NAMES)
    assert ONNX.keys() >= {"example", "epsilon", "example_training_mode", "epsilon_training_mode"}


@every_backend
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("case", TORCH, ids=[f"{cls.__name__}:{number}" for number, (cls, _) in enumerate(TORCH)])
def test_a_module_does_with_the_inputs_of_torch_what_that_of_torch_does(case, training, backend):
    cls, inputs = case
    arguments = inputs.constructor_input
    theirs = cls(*arguments.args, **arguments.kwargs, dtype=torch.float64).train(training)
    ours = getattr(layers, cls.__name__)(*arguments.args, **arguments.kwargs, dtype=torch.float64, backend=backend)
    for parameter in theirs.parameters():
        nn.init.uniform_(parameter, 0.5, 2, generator=torch.Generator().manual_seed(parameter.numel()))
    ours.load_state_dict(theirs.state_dict())
    results = []
    for module in (theirs, ours.train(training)):
        x = inputs.forward_input.args[0].detach().clone().requires_grad_()
        y = module(x)
        grad_y = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).reshape(y.shape)
        results.append([y, *torch.autograd.grad(y, [x, *module.parameters()], grad_y), *module.buffers()])
    for theirs_of_it, ours_of_it in zip(*results, strict=True):
        assert_close(ours_of_it, theirs_of_it, rtol=RTOL[torch.float64], atol=1e-10)


@every_backend
@pytest.mark.parametrize("name", ONNX)
def test_the_operator_gives_what_onnx_expects(name, backend):
    (node,) = ONNX[name].model.graph.node
    options = {attribute.name: attribute.f or attribute.i for attribute in node.attribute}
    ((given, expected),) = ONNX[name].data_sets
    x, weight, bias, mean, var = map(torch.tensor, given)
    training, count = bool(options.get("training_mode", 0)), x.numel() // x.shape[1]
    y = batch_norm(
        x, mean, var, weight, bias, training=training, eps=options.get("epsilon", 1e-5), momentum=0.1, backend=backend
    )
    found = [y]
    if training:  # onnx keeps the biased variance, and its momentum of 0.9 weighs the old value
        old = torch.tensor(given[4])
        found += [mean, 0.9 * old + (var - 0.9 * old) * ((count - 1) / count)]
    for ours, theirs in zip(found, expected, strict=True):
        assert_close(ours, torch.tensor(np.asarray(theirs)), rtol=RTOL[torch.float32], atol=1e-6)
