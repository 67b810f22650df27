from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from bnlab import layers
from bnlab.deploy import convert, fold
from tests.layers.backends import ON_CPU

SHAPES = {"vectors": (6, 3), "sequences": (4, 3, 7), "images": (4, 3, 5, 6), "volumes": (2, 3, 4, 3, 5)}


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("backend", ON_CPU)
@pytest.mark.parametrize(
    "options", [{}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}], ids=str
)
@pytest.mark.parametrize("adding", [False, True], ids=["alone", "residual"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_it_is_norm_sum_and_relu_of_torch_in_training_and_evaluation(shape, adding, options, backend):
    cls = getattr(nn, f"BatchNorm{max(len(shape) - 2, 1)}d")
    theirs = cls(3, **options, dtype=torch.float64)
    ours = layers.BatchNormReLU(3, **options, dtype=torch.float64, backend=backend)
    for step, training in enumerate((True, True, False)):
        theirs.train(training), ours.train(training)
        x, residual = (draw(*shape, seed=2 * step + k).requires_grad_() for k in (0, 1))
        expected = torch.relu(theirs(x) + residual if adding else theirs(x))
        y = ours(x, residual if adding else None)
        inputs = [x, *([residual] if adding else [])]
        grad_y = draw(*shape, seed=9)
        assert_close(y, expected, rtol=1e-10, atol=1e-10)
        assert_close(
            torch.autograd.grad(y, [*inputs, *ours.parameters()], grad_y),
            torch.autograd.grad(expected, [*inputs, *theirs.parameters()], grad_y),
            rtol=1e-10,
            atol=1e-10,
        )
        assert_close(dict(ours.state_dict()), dict(theirs.state_dict()), rtol=1e-10, atol=1e-10)


def test_a_change_of_track_running_stats_stops_the_statistics():
    layer = layers.BatchNormReLU(3, backend="numba")
    layer.track_running_stats = False
    before = deepcopy(layer.state_dict())
    layer(draw(6, 3).float())
    assert_close(layer.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("backend", ON_CPU)
def test_bad_input_is_refused_in_one_line_and_moves_nothing(backend):
    layer = layers.BatchNormReLU(3, backend=backend)
    before = deepcopy(layer.state_dict())
    x = torch.zeros(4, 3)
    with pytest.raises(
        ValueError, match=r"^expected residual like x, of shape \(4, 3\), torch.float32, got shape \(1, 3\)"
    ):
        layer(x, x[:1])
    with pytest.raises(ValueError, match=r"expected x of shape .* with c = 3, got \(4, 2\)"):
        layer(x[:, :2])
    with pytest.raises(ValueError, match="expected more than one value per channel in training"):
        layer(x[:1])
    assert_close(layer.state_dict(), before, rtol=0, atol=0)


def test_deployment_does_not_take_it_for_a_norm_alone():
    model = nn.Sequential(nn.Linear(3, 3), layers.BatchNormReLU(3)).eval()
    x = draw(5, 3).float()
    assert_close(fold(model, x).model(x), model(x))
    with pytest.raises(ValueError, match="BatchNormReLU"):
        convert(model, to="torch")
