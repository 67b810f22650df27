from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from bnlab import reference
from bnlab.layers import BatchNorm1d, BatchNorm2d, BatchRenorm1d, BatchRenorm2d
from bnlab.reference import family

EXACT = {"rtol": 1e-10, "atol": 1e-10}
SHAPES = {"n_c": (7, 3), "n_c_length": (5, 3, 4), "odd_spatial": (4, 3, 5, 3)}
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
LIMITS = {"closed": (1.0, 0.0), "between": (1.5, 0.4), "open": (1e6, 1e6), "scale_alone": (2.0, 0.0)}
each_limit = pytest.mark.parametrize(("r_max", "d_max"), LIMITS.values(), ids=LIMITS)
ONE, TWO = {2: BatchRenorm1d, 3: BatchRenorm1d, 4: BatchRenorm2d}, {2: BatchNorm1d, 3: BatchNorm1d, 4: BatchNorm2d}


def experienced(layer):
    """The layer in float64 with an affine and running statistics that no batch below has."""
    layer = layer.double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, -1.0, 2.0]))
        layer.bias.copy_(torch.tensor([1.0, 0.0, -3.0]))
        layer.running_mean.copy_(torch.tensor([0.3, -2.0, 1.0]))
        layer.running_var.copy_(torch.tensor([0.1, 1.0, 30.0]))  # below, about and above the batch's
    return layer


def batch(shape, offset=0.0):
    return offset + torch.randn(shape, dtype=torch.float64)


def step(module, x, grad_y):
    x = x.clone().requires_grad_()
    module.zero_grad()
    y = module(x)
    y.backward(grad_y)
    return y.detach(), x.grad, module.weight.grad, module.bias.grad


@each_shape
@each_limit
@pytest.mark.parametrize("offset", [0.0, 1e3])  # a centred input hides cancellation
def test_output_gradients_and_running_statistics_are_those_of_the_reference(shape, r_max, d_max, offset, backend):
    layer = experienced(ONE[len(shape)](3, r_max=r_max, d_max=d_max, momentum=0.3, backend=backend))
    with torch.no_grad():
        layer.running_mean.add_(offset)
    for _ in range(2):  # twice, so that the second starts from statistics that have moved
        x, grad_y = batch(shape, offset), torch.randn(shape, dtype=torch.float64)
        running_mean, running_var = layer.running_mean.numpy().copy(), layer.running_var.numpy().copy()
        affine = [layer.weight.detach().numpy(), layer.bias.detach().numpy()]
        y, cache = family.batch_renorm_forward(
            x.numpy(), *affine, running_mean, np.sqrt(running_var + 1e-5), r_max=r_max, d_max=d_max
        )
        expected = [torch.from_numpy(each) for each in (y, *family.batch_renorm_backward(grad_y.numpy(), cache))]
        assert_close(list(step(layer, x, grad_y)), expected, rtol=1e-10, atol=1e-8 if offset else 1e-10)

        moved = reference.update_running_stats(
            running_mean,
            running_var,
            cache.batch.batch_mean,
            cache.batch.batch_var,
            count=cache.batch.count,
            momentum=0.3,
        )
        assert_close([layer.running_mean, layer.running_var], [torch.from_numpy(each) for each in moved], **EXACT)


@each_shape
@pytest.mark.parametrize("momentum", [0.3, None])
def test_closed_limits_are_batch_norm_in_output_gradient_and_running_statistics(shape, momentum, backend):
    renorm = experienced(ONE[len(shape)](3, r_max=1.0, d_max=0.0, momentum=momentum, backend=backend))
    whole = experienced(TWO[len(shape)](3, momentum=momentum, backend=backend))
    for _ in range(2):
        x, grad_y = batch(shape), torch.randn(shape, dtype=torch.float64)
        assert_close(step(renorm, x, grad_y), step(whole, x, grad_y), **EXACT)
        assert_close(dict(renorm.state_dict()), dict(whole.state_dict()), **EXACT)


@each_shape
def test_open_limits_train_on_the_output_of_evaluation(shape):
    layer = experienced(ONE[len(shape)](3, r_max=1e6, d_max=1e6))
    x = batch(shape)
    in_evaluation = deepcopy(layer).eval()(x)
    assert_close(layer(x), in_evaluation, **EXACT)


def test_evaluation_and_checkpoint_are_those_of_torch():
    layer, theirs = experienced(BatchRenorm2d(3)), nn.BatchNorm2d(3).double()
    theirs.load_state_dict(layer.state_dict(), strict=True)
    x = batch((4, 3, 5, 5))
    assert_close(layer.eval()(x), theirs.eval()(x), **EXACT)
    BatchRenorm2d(3).load_state_dict(theirs.state_dict(), strict=True)


def test_a_schedule_may_change_the_limits():
    layer = experienced(BatchRenorm1d(3, r_max=1.0, d_max=0.0))
    x = batch((7, 3))
    closed = deepcopy(layer)(x)
    layer.r_max, layer.d_max = 3.0, 5.0
    fresh = experienced(BatchRenorm1d(3, r_max=3.0, d_max=5.0))
    y = layer(x)
    assert_close(y, fresh(x), **EXACT)
    assert (y - closed).abs().max() > 0.1


def test_the_limits_of_the_paper_are_the_default_and_are_printed():
    assert repr(BatchRenorm1d(3)).endswith("track_running_stats=True, r_max=3.0, d_max=5.0)")


@pytest.mark.parametrize("options", [{"affine": False}, {"bias": False}])
def test_without_an_affine_or_its_shift_the_corrections_stay(options):
    layer, learned = BatchRenorm1d(3, **options).double(), BatchRenorm1d(3).double()
    x = batch((7, 3), offset=2.0)
    assert_close(layer(x), learned(x), **EXACT)


def test_half_precision_takes_its_corrections_in_float32():
    layer, x = BatchRenorm1d(3, r_max=1e6, d_max=1e6).bfloat16(), (2 + torch.randn(64, 3)).bfloat16()
    y = layer(x)  # running mean 0 and variance 1: what comes out is what went in
    assert y.dtype == torch.bfloat16
    assert_close(y, x, rtol=1e-2, atol=1e-2)


def test_an_empty_batch_gives_an_empty_output_and_moves_no_statistic():
    layer = experienced(BatchRenorm1d(3))
    before = deepcopy(layer.state_dict())
    assert layer(torch.ones(0, 3, dtype=torch.float64)).shape == (0, 3)
    assert_close([layer.running_mean, layer.running_var], [before["running_mean"], before["running_var"]])


BAD = {
    "scale_below_1": ({"r_max": 0.5}, "expected r_max of at least 1 and d_max of at least 0, got 0.5 and 5.0"),
    "shift_below_0": ({"d_max": -1.0}, "expected r_max of at least 1 and d_max of at least 0, got 3.0 and -1.0"),
    "nothing_tracked": ({"track_running_stats": False}, "expected track_running_stats, .* got False"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD)
def test_what_batch_renorm_cannot_do_is_refused_at_once_and_when_it_was_set_later(options, message):
    with pytest.raises(ValueError, match=message):
        BatchRenorm1d(3, **options)
    layer = BatchRenorm1d(3)
    for name, value in options.items():
        setattr(layer, name, value)
    with pytest.raises(ValueError, match=message):
        layer(torch.randn(4, 3))
    assert layer.num_batches_tracked == 0


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(1, 3), "more than one value per channel"),
        (torch.ones(4, 5), r"BatchRenorm1d expected x of shape .* with c = 3, got \(4, 5\)"),
        (torch.ones(4, 3, dtype=torch.int64), "floating-point dtype, got torch.int64"),
    ],
)
def test_a_bad_batch_is_named_and_changes_nothing(x, message):
    layer = BatchRenorm1d(3)
    before = deepcopy(layer.state_dict())
    with pytest.raises(ValueError, match=message):
        layer(x)
    assert_close(dict(layer.state_dict()), dict(before), rtol=0, atol=0)
