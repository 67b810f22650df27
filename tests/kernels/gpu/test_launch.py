"""The kernels against the reference in float64: every view, way, dtype and fusion, with NaN all around."""

import re

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from bnlab import reference
from bnlab.kernels.gpu import layout
from tests.kernels.gpu.machine import DEVICE, launch
from tests.tolerances import RTOL

EPS = 1e-5
SHAPES = {
    "odd_planes": (5, 3, 7, 3),
    "planes_of_16": (3, 2, 4, 4),  # a multiple of what the widest load takes
    "one_image": (1, 2, 35),
    "one_channel": (6, 1, 9),
    "rank_5": (3, 2, 2, 3, 5),
    "rows": (37, 6),
    "wide_rows": (9, 33),  # a last tile of a single channel
    "count_2": (2, 3),
    "channels_last": (4, 5, 3, 3),
}
FUSED = {"alone": (False, False), "relu": (True, False), "add": (False, True), "add_relu": (True, True)}
each_way = pytest.mark.usefixtures("tiles")
each_shape = pytest.mark.parametrize("shape", SHAPES)
each_view = pytest.mark.parametrize("shape", ["odd_planes", "channels_last"])
each_shape_and_dtype = pytest.mark.parametrize(
    ("shape", "dtype"),
    [(shape, torch.float32) for shape in SHAPES]
    + [(shape, dtype) for shape in ("odd_planes", "channels_last") for dtype in (torch.float16, torch.bfloat16)],
)
each_fusion = pytest.mark.parametrize(("relu", "add"), FUSED.values(), ids=FUSED)


def values(shape, dtype=torch.float32, offset=0.0):
    """Normal numbers of a named shape, in its memory format, on the device."""
    x = (offset + torch.randn(SHAPES[shape])).to(dtype)
    return x.to(DEVICE, memory_format=torch.channels_last if shape == "channels_last" else torch.preserve_format)


def parameters(channels):
    """Scale and shift; neither is what a layer starts with."""
    return [(torch.randn(channels) + offset).to(DEVICE) for offset in (1.0, 0.5)]


def wide(*tensors):
    return [tensor.double().cpu().numpy() for tensor in tensors]


def assert_agrees(actual, expected, rtol, beside=0.0):
    """To some roundings of the largest element, or of what was subtracted from something `beside` it."""
    expected = torch.from_numpy(np.asarray(expected))
    largest = max(np.abs(beside).max(), expected.abs().max().item())
    assert_close(actual.double().cpu(), expected, rtol=0, atol=rtol * largest)


@each_way
@each_shape_and_dtype
@each_fusion
def test_training_agrees_with_the_reference(red_zones, shape, dtype, relu, add):
    x, residual, grad_y = (red_zones(values(shape, dtype)) for _ in range(3))
    weight, bias = map(red_zones, parameters(x.shape[1]))
    y, mean, var = launch.forward(x, weight, bias, eps=EPS, residual=residual if add else None, relu=relu)
    expected, cache = reference.batch_norm_forward(*wide(x, weight, bias), eps=EPS)
    expected = expected + wide(residual)[0] if add else expected
    assert (y.dtype, y.stride()) == (dtype, x.stride())
    assert_agrees(y, expected.clip(min=0) if relu else expected, RTOL[dtype])
    assert_agrees(mean, cache.batch_mean, 1e-6, beside=wide(x)[0])
    assert_agrees(var, cache.batch_var, 1e-6)

    kept = {"relu": relu, "y": red_zones(y) if add and relu else None}
    gradients = launch.backward(grad_y, x, mean, var, weight, bias, eps=EPS, **kept)
    masked = torch.where(y > 0, grad_y, 0) if relu else grad_y  # by the output's sign, whatever rounded it to 0
    expected = [*reference.batch_norm_backward(*wide(masked), cache), *wide(masked)]
    assert len(gradients) == (4 if add and relu else 3)
    assert (gradients[0].dtype, gradients[0].stride()) == (dtype, x.stride())
    gain = cache.gamma * cache.inv_std * np.abs(wide(grad_y)[0]).max()
    for actual, wanted, rtol in zip(gradients, expected, (RTOL[dtype], 1e-5, 1e-5, 0), strict=False):
        assert_agrees(actual, wanted, rtol, beside=gain)


@each_way
@each_shape_and_dtype
@each_fusion
def test_inference_agrees_with_the_reference(red_zones, shape, dtype, relu, add):
    x, residual, grad_y = (red_zones(values(shape, dtype)) for _ in range(3))
    weight, bias = map(red_zones, parameters(x.shape[1]))
    mean, var = red_zones(torch.randn_like(bias)), red_zones(torch.rand_like(bias) + 0.1)
    y = launch.inference(x, mean, var, weight, bias, eps=EPS, residual=residual if add else None, relu=relu)
    expected = reference.batch_norm_inference(*wide(x, weight, bias, mean, var), eps=EPS)
    expected = expected + wide(residual)[0] if add else expected
    assert_agrees(y, expected.clip(min=0) if relu else expected, RTOL[dtype])

    kept = {"relu": relu, "y": red_zones(y) if add and relu else None, "constant": True}
    gradients = launch.backward(grad_y, x, mean, var, weight, bias, eps=EPS, **kept)
    masked = torch.where(y > 0, grad_y, 0) if relu else grad_y
    expected = reference.batch_norm_inference_backward(*wide(masked, x, weight, mean, var), eps=EPS)
    for actual, wanted, rtol in zip(gradients, [*expected, *wide(masked)], (RTOL[dtype], 1e-5, 1e-5, 0), strict=False):
        assert_agrees(actual, wanted, rtol)


@each_way
@each_view
@pytest.mark.parametrize("offset", [1e3, 1e5])  # float32 holds eighths of a thousandth, then hundredths
def test_a_large_mean_costs_no_digits(red_zones, shape, offset):
    x, grad_y = red_zones(values(shape, offset=offset)), red_zones(values(shape))
    weight, bias = parameters(x.shape[1])
    y, mean, var = launch.forward(x, weight, bias, eps=EPS)
    expected, cache = reference.batch_norm_forward(*wide(x, weight, bias), eps=EPS)
    assert_agrees(var, cache.batch_var, 1e-6)
    assert_agrees(y, expected, 1e-6)
    gradients = launch.backward(grad_y, x, mean, var, weight, bias, eps=EPS)
    for actual, wanted in zip(gradients, reference.batch_norm_backward(*wide(grad_y), cache), strict=True):
        assert_agrees(actual, wanted, 3e-6)


@each_way
@each_shape_and_dtype
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # of lanes outside the tensor
def test_a_constant_channel_gives_exactly_beta(red_zones, shape, dtype):
    x = red_zones(torch.full_like(values(shape, dtype), 12345.678))  # which is no float, and sums of it round
    weight, bias = parameters(x.shape[1])
    y, mean, var = launch.forward(x, 1e4 * weight, bias, eps=EPS)
    assert (mean == x.double().flatten()[0]).all()
    assert (var == 0).all()
    if dtype == torch.bfloat16 and launch.INTERPRETED:  # which does not round to bfloat16, but cuts off
        bias = (bias.view(torch.int32) >> 16 << 16).view(torch.float32)
    assert (y.transpose(0, 1).flatten(1) == bias.to(dtype)[:, None]).all()


@each_way
@each_view
def test_a_relus_mask_is_that_of_the_rounded_output(shape):
    x, grad_y = values(shape, torch.float16), 1e4 * values(shape, torch.float16)  # or its gradient would be too small
    tiny = torch.full((x.shape[1],), 1e-9, device=DEVICE)  # float16 ends at 6e-8
    y, mean, var = launch.forward(x, tiny, None, eps=EPS, relu=True)
    assert (y == 0).all()
    for gradient in launch.backward(grad_y, x, mean, var, tiny, None, eps=EPS, relu=True):
        assert (gradient == 0).all()


@each_way
@each_view
def test_two_runs_give_the_same_bits(shape):
    x, grad_y = values(shape, offset=3.0), values(shape)
    weight, bias = parameters(x.shape[1])
    first, second = (launch.forward(x, weight, bias, eps=EPS, relu=True) for _ in range(2))
    _, mean, var = first
    assert all(map(torch.equal, first, second))
    first, second = (launch.backward(grad_y, x, mean, var, weight, bias, eps=EPS, relu=True) for _ in range(2))
    assert all(map(torch.equal, first, second))


@each_way
@each_view
@pytest.mark.filterwarnings("ignore:invalid value encountered")  # infinity less infinity
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_one_bad_number_turns_its_channel_into_nan_and_no_other(shape, bad):
    x = values(shape)
    x[1, 1] = bad
    y, mean, var = launch.forward(x, None, None, eps=EPS, relu=True)
    for tensor in (y.transpose(0, 1).flatten(1), mean[:, None], var[:, None]):
        assert tensor[1].isfinite().sum() == 0
        assert tensor[::2].isfinite().all()
    grad_x, *_ = launch.backward(values(shape), x, mean, var, None, None, eps=EPS, relu=True)
    assert grad_x.transpose(0, 1)[1].isnan().all()
    assert grad_x.transpose(0, 1)[::2].isfinite().all()


@each_way
@each_view
@pytest.mark.parametrize(("scaled", "shifted"), [(False, False), (True, False), (False, True)])
def test_without_weight_or_bias_they_are_1_and_0(shape, scaled, shifted):
    x, grad_y = values(shape), values(shape)
    weight, bias = parameters(x.shape[1])
    given = weight if scaled else None, bias if shifted else None
    written = weight if scaled else torch.ones_like(weight), bias if shifted else torch.zeros_like(bias)
    y, mean, var = launch.forward(x, *given, eps=EPS, relu=True)
    assert_close(y, launch.forward(x, *written, eps=EPS, relu=True)[0], rtol=0, atol=0)
    gradients, expected = (
        launch.backward(grad_y, x, mean, var, *line, eps=EPS, relu=True) for line in (given, written)
    )
    assert all(map(torch.equal, gradients, expected))


def test_hundreds_of_tiles_are_merged(red_zones, monkeypatch):
    monkeypatch.setattr(layout, "TILE", 64)
    monkeypatch.setattr(layout, "RESIDENT", 0)
    x, grad_y = (red_zones(torch.randn(150, 18).to(DEVICE)) for _ in range(2))  # 75 tiles, of 64 a turn
    assert layout.layout_of(x).splits == 75
    _, mean, var = launch.forward(x, None, None, eps=EPS)
    ones, zeros = np.ones(18), np.zeros(18)
    _, cache = reference.batch_norm_forward(*wide(x), ones, zeros, eps=EPS)
    assert_agrees(mean, cache.batch_mean, 1e-6)
    assert_agrees(var, cache.batch_var, 1e-6)
    gradients = launch.backward(grad_y, x, mean, var, None, None, eps=EPS)
    for actual, wanted in zip(gradients, reference.batch_norm_backward(*wide(grad_y), cache), strict=True):
        assert_agrees(actual, wanted, 1e-5)


@each_way
def test_the_output_is_written_where_it_is_wanted():
    x = values("odd_planes")
    weight, bias = parameters(3)
    out = torch.empty_like(x)
    y, mean, var = launch.forward(x, weight, bias, eps=EPS, out=out)
    assert y is out
    assert_close(out, launch.forward(x, weight, bias, eps=EPS)[0], rtol=0, atol=0)
    assert launch.inference(x, mean, var, weight, bias, eps=EPS, out=x) is x  # in place: each element is read once
    assert_close(x, out, rtol=0, atol=0)


def test_other_strides_are_copied_first():
    x = values("odd_planes").transpose(2, 3)
    y, mean, var = launch.forward(x, None, None, eps=EPS)
    expected, *_ = launch.forward(x.contiguous(), None, None, eps=EPS)
    assert_close(y, expected, rtol=0, atol=0)
    ones = torch.ones((), device=DEVICE).expand(x.shape)  # what the gradient of a sum is
    grad_x, *_ = launch.backward(ones, x, mean, var, None, None, eps=EPS)
    assert grad_x.abs().max() < 1e-6


def test_an_empty_batch_gives_an_empty_output():
    x = torch.empty(0, 3, 4, 4, device=DEVICE)
    y, mean, var = launch.forward(x, None, None, eps=EPS)
    assert y.shape == x.shape
    assert mean.tolist() == var.tolist() == [0, 0, 0]
    grad_x, grad_weight, grad_bias = launch.backward(x, x, mean, var, None, None, eps=EPS)
    assert grad_x.shape == x.shape
    assert grad_weight.tolist() == grad_bias.tolist() == [0, 0, 0]
    assert launch.inference(x, mean, var, None, None, eps=EPS).shape == x.shape


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"x": torch.zeros(2, 3, dtype=torch.float64)},
            "expected x of float32, float16 or bfloat16, got torch.float64",
        ),
        ({"x": torch.zeros(2)}, "expected x of shape (n, c, *spatial) with at least one channel, got (2,)"),
        ({"weight": torch.ones(4)}, "expected weight of shape (3,), one value per channel, got (4,)"),
        ({"residual": torch.zeros(2, 4)}, "expected residual of shape (2, 3) on cpu, as x, got (2, 4) on cpu"),
        (
            {"out": torch.zeros(2, 3).half()},
            "expected out of shape (2, 3), strides (3, 1) and torch.float32, as x on cpu, got (2, 3), (3, 1) and "  # noqa: ISC004
            "torch.float16 on cpu",
        ),
    ],
    ids=["dtype", "rank", "weight", "residual", "out"],
)
def test_what_does_not_fit_gets_one_line(arguments, message):
    arguments = {"x": torch.zeros(2, 3), "weight": None, "bias": None, "eps": EPS} | arguments
    arguments = {
        name: value.to(DEVICE) if isinstance(value, torch.Tensor) else value for name, value in arguments.items()
    }
    with pytest.raises(ValueError, match=re.escape(message.replace("cpu", str(arguments["x"].device)))):
        launch.forward(**arguments)


def test_an_output_without_relu_is_refused():
    x, of_each = values("rows"), torch.ones(6, device=DEVICE)
    with pytest.raises(ValueError, match="expected y only with relu, whose mask it is, got y without relu"):
        launch.backward(x, x, of_each, of_each, None, None, eps=EPS, y=x)
