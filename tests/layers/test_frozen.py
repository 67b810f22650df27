"""Frozen batch norm against batch norm in evaluation."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from bnlab.layers import BatchNorm1d, BatchNorm2d, BatchNorm3d, FrozenBatchNorm1d, FrozenBatchNorm2d, FrozenBatchNorm3d
from tests.tolerances import RTOL

EXACT = {"rtol": RTOL[torch.float64], "atol": RTOL[torch.float64]}
SHAPES = pytest.mark.parametrize(
    ("frozen", "norm", "shape"),
    [
        (FrozenBatchNorm1d, nn.BatchNorm1d, (5, 3)),
        (FrozenBatchNorm1d, BatchNorm1d, (5, 3, 4)),
        (FrozenBatchNorm2d, nn.BatchNorm2d, (2, 3, 4, 5)),
        (FrozenBatchNorm2d, BatchNorm2d, (1, 3, 1, 1)),  # a single value, which training would refuse
        (FrozenBatchNorm3d, nn.BatchNorm3d, (2, 3, 1, 4, 5)),
        (FrozenBatchNorm3d, BatchNorm3d, (2, 3, 2, 1, 1)),
    ],
)


def trained(layer):
    """The layer in float64, as a long training might have left it, with a mean far from zero."""
    layer = layer.double()
    numbers = ("weight", [0.5, -1.0, 2.0]), ("bias", [1.0, 0.0, -3.0])
    statistics = ("running_mean", [0.0, 1e3, -2.0]), ("running_var", [1.0, 1e-4, 25.0])
    with torch.no_grad():
        for name, values in (*numbers, *statistics):
            getattr(layer, name).copy_(torch.tensor(values))
    return layer


@SHAPES
@pytest.mark.parametrize("training", [True, False])
def test_in_both_modes_it_is_batch_norm_in_evaluation_forward_and_back(frozen, norm, shape, training):
    layer, ours = trained(norm(3, eps=1e-3)).eval(), frozen(3, eps=1e-3).double().train(training)
    ours.load_state_dict(layer.state_dict())
    x_layer, x_ours = (torch.linspace(-3, 5, torch.Size(shape).numel()).double().reshape(shape) for _ in range(2))
    upstream = torch.randn_like(x_layer)
    y_layer, y_ours = layer(x_layer.requires_grad_()), ours(x_ours.requires_grad_())
    torch.testing.assert_close(y_ours, y_layer, **EXACT)
    (y_layer * upstream).sum().backward()
    (y_ours * upstream).sum().backward()
    torch.testing.assert_close(x_ours.grad, x_layer.grad, **EXACT)


def test_a_batch_in_training_moves_nothing():
    layer = trained(FrozenBatchNorm1d(3)).train()
    before = copy.deepcopy(layer.state_dict())
    layer(torch.randn(9, 3).double() + 7)
    torch.testing.assert_close(layer.state_dict(), before, rtol=0, atol=0)


def test_it_has_nothing_to_learn_and_sends_no_gradient_to_its_constants():
    layer = FrozenBatchNorm1d(3).requires_grad_(True)
    assert list(layer.parameters()) == []
    layer(torch.randn(4, 3, requires_grad=True)).sum().backward()
    assert all(not constant.requires_grad and constant.grad is None for constant in layer.buffers())


def test_it_starts_as_the_identity_but_for_eps():
    x = torch.randn(4, 3)
    torch.testing.assert_close(FrozenBatchNorm1d(3)(x), x / (1 + 1e-5) ** 0.5)


def test_the_checkpoint_has_the_keys_of_torchvision_and_its_own_is_read_back_by_batch_norm():
    frozen = trained(FrozenBatchNorm2d(3))
    assert list(frozen.state_dict()) == ["weight", "bias", "running_mean", "running_var"]
    for norm in (nn.BatchNorm2d(3).double(), BatchNorm2d(3).double()):
        norm.load_state_dict(frozen.state_dict())
        x = torch.randn(2, 3, 4, 4).double()
        torch.testing.assert_close(norm.eval()(x), frozen(x), **EXACT)


def test_within_a_network_too_the_count_of_batches_is_passed_over_and_nothing_else():
    network = nn.Sequential(nn.Conv2d(3, 3, 1), FrozenBatchNorm2d(3))
    checkpoint = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).state_dict()
    network.load_state_dict(checkpoint)
    assert "1.num_batches_tracked" in checkpoint  # the caller's own dictionary is as it was
    with pytest.raises(RuntimeError, match=r"1\.other"):
        network.load_state_dict({**checkpoint, "1.other": torch.ones(1)})


def test_stacked_layers_under_vmap_do_what_each_does_alone():
    layers = [FrozenBatchNorm1d(3) for _ in range(3)]
    for layer in layers:
        for constant in layer.buffers():
            constant.uniform_(1, 2)
    parameters, buffers = stack_module_state(layers)
    x = torch.randn(3, 5, 3)
    together = vmap(lambda p, b, x: functional_call(layers[0], (p, b), (x,)))(parameters, buffers, x)
    for member, layer in enumerate(layers):
        torch.testing.assert_close(together[member], layer(x[member]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_output_has_the_dtype_of_the_input(dtype):
    assert FrozenBatchNorm1d(3)(torch.randn(4, 3, dtype=dtype)).dtype == dtype


def test_device_and_dtype_are_those_asked_for():
    layer = FrozenBatchNorm1d(3, device="meta", dtype=torch.float64)
    assert {(constant.device.type, constant.dtype) for constant in layer.buffers()} == {("meta", torch.float64)}


def test_it_prints_as_batch_norm_does():
    assert repr(FrozenBatchNorm2d(3, eps=0.5)) == "FrozenBatchNorm2d(3, eps=0.5)"


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (FrozenBatchNorm1d, (2, 3, 4, 4), r"FrozenBatchNorm1d expected x of shape \(n, c\) or \(n, c, length\)"),
        (FrozenBatchNorm2d, (2, 3), r"\(n, c, height, width\) with c = 3, got \(2, 3\)"),
        (FrozenBatchNorm3d, (2, 4, 1, 1, 1), r"with c = 3, got \(2, 4, 1, 1, 1\)"),
    ],
)
def test_an_input_of_another_shape_is_refused(layer, shape, expected):
    with pytest.raises(ValueError, match=expected):
        layer(3)(torch.randn(shape))


def test_no_channels_are_refused():
    with pytest.raises(ValueError, match="expected num_features of at least 1, got 0"):
        FrozenBatchNorm2d(0)
