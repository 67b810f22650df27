"""The compiled kernels on a CUDA device, at sizes that the interpreter has not the time for: against torch."""

import pytest
import torch
from torch.nn.functional import batch_norm
from torch.testing import assert_close

from tests.kernels.gpu.machine import DEVICE, launch
from tests.tolerances import RTOL

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(DEVICE.type != "cuda", reason="there is no CUDA device")]

EPS = 1e-5
SHAPES = {
    "large_planes": (64, 48, 56, 56),
    "small_planes": (8, 1024, 7, 7),  # which fit one tile
    "unaligned_planes": (33, 17, 61, 59),
    "rows": (4096, 512),
    "many_rows": (1_000_003, 6),
    "many_channels": (2, 70_000, 3),  # more than a grid's second axis could count
}
each_dtype = pytest.mark.parametrize("dtype", launch.DTYPES, ids=str)
each_format = pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])


def values(shape, dtype, *, channels_last=False, offset=0.0):
    x = (offset + torch.randn(SHAPES[shape], device=DEVICE)).to(dtype)
    return x.to(memory_format=torch.channels_last) if channels_last and x.ndim == 4 else x


@pytest.mark.parametrize("shape", SHAPES)
@each_dtype
@each_format
@pytest.mark.parametrize("relu", [False, True], ids=["alone", "relu"])
def test_output_and_gradients_are_those_of_torch_in_float64(shape, dtype, channels_last, relu):
    x, grad_y = (values(shape, dtype, channels_last=channels_last) for _ in range(2))
    weight, bias = torch.randn(2, x.shape[1], device=DEVICE) + 1
    y, mean, var = launch.forward(x, weight, bias, eps=EPS, relu=relu)
    gradients = launch.backward(grad_y, x, mean, var, weight, bias, eps=EPS, relu=relu)

    leaves = [tensor.double().requires_grad_() for tensor in (x, weight, bias)]
    expected = batch_norm(leaves[0], None, None, *leaves[1:], training=True, eps=EPS)
    expected.backward(torch.where(y > 0, grad_y, 0).double() if relu else grad_y.double())
    expected = expected.detach().clamp(min=0) if relu else expected.detach()
    assert_close(y.double(), expected, rtol=RTOL[dtype], atol=RTOL[dtype])
    assert_close(mean, x.double().transpose(0, 1).flatten(1).mean(1), rtol=1e-6, atol=1e-6)
    assert_close(var.double(), x.double().transpose(0, 1).flatten(1).var(1, correction=0), rtol=1e-6, atol=0)
    for actual, leaf, rtol in zip(gradients, leaves, (RTOL[dtype], 1e-5, 1e-5), strict=True):
        largest = leaf.grad.abs().max().item()
        assert_close(actual.double(), leaf.grad, rtol=0, atol=rtol * largest)


@pytest.mark.parametrize("shape", SHAPES)
@each_format
def test_a_large_mean_costs_no_digits(shape, channels_last):
    x = values(shape, torch.float32, channels_last=channels_last, offset=1e5)
    y, _, var = launch.forward(x, None, None, eps=EPS)
    wide = x.double().transpose(0, 1).flatten(1)
    assert_close(var.double(), wide.var(1, correction=0), rtol=1e-6, atol=0)
    expected = batch_norm(x.double(), None, None, training=True, eps=EPS)
    assert_close(y.double(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@each_dtype
def test_every_run_gives_the_same_bits(shape, dtype):
    x, grad_y = values(shape, dtype, offset=3.0), values(shape, dtype)
    results = []
    for _ in range(5):
        y, mean, var = launch.forward(x, None, None, eps=EPS, relu=True)
        results.append((y, mean, var, *launch.backward(grad_y, x, mean, var, None, None, eps=EPS, relu=True)))
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))


def test_a_constant_channel_gives_exactly_beta():
    x = torch.full(SHAPES["large_planes"], 12345.678, device=DEVICE)
    bias = torch.randn(x.shape[1], device=DEVICE)
    y, _, _ = launch.forward(x, 1e4 * torch.ones_like(bias), bias, eps=EPS)
    assert (y == bias[:, None, None]).all()


def test_more_than_two_to_the_31_elements():
    shape = (40, 16, 1832, 1832)
    if torch.cuda.mem_get_info()[0] < 6 * 2**31 * 2:
        pytest.skip("this takes 26 GB of the device's memory")
    x = torch.ones(shape, dtype=torch.float16, device=DEVICE)
    x[-1, -1] = 2.0  # beyond what 32 bits can count
    assert x.numel() > 2**31
    y, mean, var = launch.forward(x, None, None, eps=EPS)
    assert_close(mean, torch.tensor([1.0] * 15 + [1 + 1 / 40], dtype=torch.float64, device=DEVICE))
    assert_close(var, torch.tensor([0.0] * 15 + [39 / 1600], device=DEVICE))
    assert_close(y[-1, -1, -1, -1].float().item(), 39**0.5, rtol=4e-3, atol=0)
