from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from bnlab import reference
from bnlab.layers.functional import batch_norm, update_running_stats
from tests.layers.backends import OF_EVERY_ORDER
from tests.tolerances import RTOL

SHAPES = {
    "rank_2": (7, 3),
    "rank_3": (5, 3, 4),
    "odd_spatial": (4, 3, 5, 3),
    "rank_5": (2, 3, 2, 3, 2),
    "count_2": (2, 3),  # the fewest values that have a variance
    "one_channel": (6, 1, 3, 3),  # a channel axis of 1 broadcasts against anything
}
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
few_examples = settings(max_examples=40, deadline=None, derandomize=True)
normal_floats = partial(st.floats, allow_subnormal=False)  # torch is set to flush subnormal numbers to zero


def per_channel(values, like):
    return values.reshape(1, -1, *(1,) * (like.ndim - 2))


@st.composite
def batches(draw):
    """A float64 batch in which every channel has its own mean, from 0 to 1000, and its own spread, from 0.01 to 10."""
    channels, seed = draw(st.integers(1, 4)), draw(st.integers(0, 2**32 - 1))
    spatial = draw(st.lists(st.integers(1, 4), max_size=3))
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(draw(st.integers(2, 8)), channels, *spatial))
    spread = 10 ** rng.uniform(-2, 1, size=channels)
    mean = rng.choice([0.0, 1.0, 1e3], size=channels)
    return torch.tensor(x * per_channel(spread, x) + per_channel(mean, x))


# ---- the oracle: the reference ----


@each_shape
@pytest.mark.parametrize("offset", [0.0, 1e3])  # a centred input hides cancellation
def test_training_agrees_with_the_reference(rng, shape, offset, backend):
    x = rng.normal(offset, 2.0, size=shape)
    gamma, beta = rng.normal(size=(2, shape[1]))
    expected, cache = reference.batch_norm_forward(x, gamma, beta, eps=1e-3)
    start = rng.normal(size=shape[1]), rng.uniform(1, 2, size=shape[1])
    expected_mean, expected_var = reference.update_running_stats(
        *start, cache.batch_mean, cache.batch_var, count=cache.count, momentum=0.3
    )

    running_mean, running_var = map(torch.tensor, start)
    tensors = (torch.tensor(x), running_mean, running_var, torch.tensor(gamma), torch.tensor(beta))
    y = batch_norm(*tensors, training=True, momentum=0.3, eps=1e-3, backend=backend)
    assert_allclose(y, expected, rtol=RTOL[torch.float64], atol=1e-10)
    assert_allclose(running_mean, expected_mean, rtol=RTOL[torch.float64])
    assert_allclose(running_var, expected_var, rtol=RTOL[torch.float64])


@each_shape
def test_evaluation_agrees_with_the_reference_and_changes_no_statistics(rng, shape, backend):
    x = rng.normal(3.0, 2.0, size=shape)
    gamma, beta, running_mean = rng.normal(size=(3, shape[1]))
    running_var = rng.uniform(1e-4, 2, size=shape[1])
    expected = reference.batch_norm_inference(x, gamma, beta, running_mean, running_var, eps=1e-3)
    arrays = x, running_mean, running_var, gamma, beta
    tensors = [torch.tensor(array, requires_grad=array is x) for array in arrays]  # gradients are on: not the mode
    y = batch_norm(*tensors, training=False, eps=1e-3, backend=backend)
    assert_allclose(y.detach(), expected, rtol=RTOL[torch.float64], atol=1e-10)
    for tensor, array in zip(tensors, arrays, strict=True):
        assert_allclose(tensor.detach(), array, rtol=0)


def test_eps_is_a_floor_under_the_variance():
    x = torch.tensor([[-1e-3], [1e-3]], dtype=torch.float64)  # variance 1e-6, a tenth of eps
    y = batch_norm(x, None, None, training=True, eps=1e-5)
    assert_allclose(y.std(correction=0), (1e-6 / (1e-6 + 1e-5)) ** 0.5, rtol=RTOL[torch.float64])


def test_eps_may_be_0_in_evaluation_where_a_variance_is_given(backend):
    x = torch.tensor([[7.0]], requires_grad=True)
    y = batch_norm(x, torch.tensor([1.0]), torch.tensor([4.0]), training=False, eps=0.0, backend=backend)
    y.backward()
    assert (y.item(), x.grad.item()) == (3.0, 0.5)


# ---- gradients ----


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 3), (2, 2, 3, 2)], ids=str)
@pytest.mark.parametrize("parameters", ["weight bias", "weight", "bias", ""])
def test_first_and_second_derivatives_agree_with_finite_differences(rng, backend, training, shape, parameters):
    x = torch.tensor(rng.normal(2.0, 1.5, size=shape), requires_grad=True)
    given = {name: torch.tensor(rng.normal(size=2), requires_grad=True) for name in parameters.split()}
    running = [torch.tensor([0.5, -1.0]).double(), torch.tensor([2.0, 0.3]).double()]

    def normalised(x, *values):
        statistics = (None, None) if training else running
        affine = dict(zip(given, values, strict=True))
        return batch_norm(x, *statistics, **affine, training=training, backend=backend)

    assert gradcheck(normalised, (x, *given.values()))
    assert gradgradcheck(normalised, (x, *given.values()))


@pytest.mark.parametrize("backend", OF_EVERY_ORDER)
@few_examples
@given(x=batches(), seed=st.integers(0, 2**32 - 1))
def test_grad_x_sums_to_zero_over_each_channel(backend, x, seed):
    x.requires_grad_()
    grad_y = torch.tensor(np.random.default_rng(seed).normal(size=x.shape))  # a uniform one would hide most errors
    y = batch_norm(x, None, None, training=True, backend=backend)
    (grad_x,) = torch.autograd.grad(y, x, grad_y)
    axes = (0, *range(2, x.ndim))
    # A wrong term, such as a detached mean, leaves a sum of the size of its largest entries.
    assert (grad_x.sum(axes).abs() <= 1e-9 * grad_x.abs().amax(axes) + 1e-9).all()


# ---- invariances ----


@few_examples
@given(batches(), normal_floats(-100, 100))
def test_output_does_not_change_when_a_channel_is_shifted(x, shift):
    y, shifted = (batch_norm(z, None, None, training=True) for z in (x, x + shift))
    assert_allclose(shifted, y, atol=1e-7)  # x + shift is rounded to 1e-13, and a gain of up to 316 enlarges it


@few_examples
@given(batches(), normal_floats(0.01, 100), st.sampled_from([-1, 1]))
def test_output_keeps_only_the_sign_of_a_scale_when_eps_is_scaled_too(x, scale, sign):
    y = batch_norm(x, None, None, training=True, eps=1e-5)
    scaled = batch_norm(sign * scale * x, None, None, training=True, eps=1e-5 * scale**2)
    assert_allclose(scaled, sign * y, atol=1e-7)


@pytest.mark.parametrize("backend", OF_EVERY_ORDER)
@few_examples
@given(value=normal_floats(-1e4, 1e4, width=32), gamma=normal_floats(-3, 3), count=st.integers(2, 600))
def test_a_constant_channel_gives_its_shift(backend, value, gamma, count):
    x = torch.full((count, 1), value, dtype=torch.float32)
    weight, bias = torch.tensor([gamma], dtype=torch.float32), torch.tensor([0.5])
    y = batch_norm(x, None, None, weight, bias, training=True, backend=backend)
    rounding = (
        abs(gamma) * count * np.spacing(np.float32(abs(value))) / 1e-5**0.5
    )  # of the mean, times the largest gain
    assert (y - 0.5).abs().max() <= rounding


# ---- running statistics ----


@few_examples
@given(batches(), st.integers(1, 30), normal_floats(0.0, 1.0))
def test_running_statistics_have_their_closed_form_after_n_identical_batches(x, n, momentum):
    channels, axes = x.shape[1], (0, *range(2, x.ndim))
    running_mean, running_var = torch.full((channels,), 5.0).double(), torch.full((channels,), 7.0).double()
    for _ in range(n):
        batch_norm(x, running_mean, running_var, training=True, momentum=momentum)

    remaining = (1 - momentum) ** n  # of the start
    mean = remaining * 5.0 + (1 - remaining) * x.mean(axes)
    var = remaining * 7.0 + (1 - remaining) * x.var(axes, correction=1)
    expected = (x - per_channel(mean, x)) / (per_channel(var, x) + 1e-5).sqrt()
    assert_allclose(batch_norm(x, running_mean, running_var, training=False), expected, rtol=1e-8, atol=1e-8)


def test_momentum_may_be_a_tensor():
    x, start = torch.tensor([[1.0], [3.0]]), 10.0
    running_mean, running_var = torch.tensor([start]), torch.ones(1)
    batch_norm(x, running_mean, running_var, training=True, momentum=torch.tensor(0.25))
    assert_allclose(running_mean, [0.75 * start + 0.25 * 2.0])


@pytest.mark.parametrize("count", [1, -3])
def test_running_statistics_need_a_count_that_has_a_variance(count):
    running_mean, running_var = torch.zeros(2), torch.ones(2)
    with pytest.raises(ValueError, match=rf"count of at least 2, .*, got {count}"):
        update_running_stats(running_mean, running_var, torch.ones(2), torch.zeros(2), count=count)
    assert running_mean.tolist() == [0.0, 0.0]
    assert running_var.tolist() == [1.0, 1.0]


def test_running_statistics_take_no_part_in_the_graph(backend):
    running_mean, running_var = torch.zeros(3), torch.ones(3)
    x = torch.randn(8, 3, requires_grad=True)
    first = batch_norm(x, running_mean, running_var, training=True, backend=backend)
    assert running_mean.grad_fn is None
    assert running_var.grad_fn is None
    assert not running_mean.requires_grad
    assert not running_var.requires_grad
    second = batch_norm(x, running_mean, running_var, training=False, backend=backend)
    # This one moves the buffers that `second` was computed from.
    batch_norm(x, running_mean, running_var, training=True, backend=backend)
    (first.pow(3).sum() + second.pow(3).sum()).backward()  # fails if a saved tensor was modified
    assert x.grad is not None


# ---- dtypes and memory ----


@pytest.mark.parametrize("offset", [1e3, 1e4])
@pytest.mark.parametrize("shape", [(512, 4), (8, 4, 24, 24)], ids=["rank_2", "rank_4"])
def test_a_large_mean_costs_no_more_than_its_own_rounding(rng, offset, shape, backend):
    x = torch.tensor(rng.normal(offset, 1.0, size=shape), dtype=torch.float32)
    running = [torch.zeros(4), torch.zeros(4)]
    expected_running = [torch.zeros(4).double(), torch.zeros(4).double()]
    y = batch_norm(x, *running, training=True, momentum=1.0, backend=backend)
    expected = batch_norm(x.double(), *expected_running, training=True, momentum=1.0)
    assert_allclose(y, expected, atol=2 * np.spacing(np.float32(offset)), rtol=0)  # the mean is one float32
    for got, truth in zip(running, expected_running, strict=True):
        assert_allclose(got, truth, rtol=RTOL[torch.float32])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_statistics_of_half_precision_input_are_those_of_float32(rng, dtype, backend):
    x = torch.tensor(rng.normal(5.0, 1.0, size=(4096, 2))).to(dtype)
    running_mean, running_var = torch.zeros(2), torch.zeros(2)
    y = batch_norm(x, running_mean, running_var, training=True, momentum=1.0, backend=backend)
    assert y.dtype == dtype
    assert_allclose(running_mean, x.double().mean(0), rtol=RTOL[torch.float32])
    assert_allclose(running_var, x.double().var(0, correction=1), rtol=RTOL[torch.float32])


def test_a_variance_beyond_the_range_of_float16_is_finite():
    x = torch.tensor([[-400.0], [400.0]], dtype=torch.float16)  # variance 160,000; float16 ends at 65,504
    running_mean, running_var = torch.zeros(1), torch.ones(1)
    y = batch_norm(x, running_mean, running_var, training=True, momentum=1.0)
    assert_allclose(running_var, [320_000.0])
    assert_allclose(y.float(), [[-1.0], [1.0]], rtol=RTOL[torch.float16])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("shape", "memory_format"),
    [
        ((2, 3, 4, 5), torch.contiguous_format),
        ((2, 3, 4, 5), torch.channels_last),
        ((2, 3, 4, 5, 3), torch.channels_last_3d),
    ],
)
def test_memory_format_is_kept(shape, memory_format, dtype, training, backend):
    x = torch.randn(shape, dtype=dtype).contiguous(memory_format=memory_format).requires_grad_()
    per_channel = torch.zeros(3), torch.ones(3), torch.ones(3), torch.ones(3)
    y = batch_norm(x, *per_channel, training=training, backend=backend)
    (grad_x,) = torch.autograd.grad(y, x, torch.randn_like(y))
    assert y.is_contiguous(memory_format=memory_format)
    assert grad_x.is_contiguous(memory_format=memory_format)


def test_only_elementary_operations_run_forward_and_backward(backend):
    class Recorder(TorchDispatchMode):
        names: list[str] = []  # noqa: RUF012 - one recorder, used once

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.names.append(func.name())
            return func(*args, **(kwargs or {}))

    x, weight, bias = torch.randn(4, 3, requires_grad=True), torch.ones(3), torch.ones(3)
    with Recorder() as recorder:
        for training in (True, False):
            y = batch_norm(x, torch.zeros(3), torch.ones(3), weight, bias, training=training, backend=backend)
            y.pow(3).sum().backward()
    assert "aten::rsqrt" in recorder.names  # it did record
    assert not [name for name in recorder.names if "norm" in name]


# ---- NaN, empty and bad input ----


def test_a_nan_makes_its_channel_nan_in_training_and_itself_in_evaluation(backend):
    x = torch.randn(6, 2)
    x[2, 0] = torch.nan
    running_mean, running_var = torch.zeros(2), torch.ones(2)
    in_evaluation = batch_norm(x, running_mean, running_var, training=False, backend=backend)
    assert in_evaluation.isnan().sum() == 1
    in_training = batch_norm(x, running_mean, running_var, training=True, backend=backend)
    assert in_training.isnan().all(0).tolist() == [True, False]
    assert running_mean.isnan().tolist() == running_var.isnan().tolist() == [True, False]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2, 2), (2, 3, 0)], ids=str)
def test_an_empty_batch_gives_an_empty_output_zero_gradients_and_changes_no_statistics(shape, training, backend):
    x = torch.randn(shape, requires_grad=True)
    weight, bias = torch.ones(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    running_mean, running_var = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 5.0, 6.0])
    y = batch_norm(x, running_mean, running_var, weight, bias, training=training, backend=backend)
    y.sum().backward()
    assert y.shape == x.grad.shape == shape
    assert weight.grad.tolist() == bias.grad.tolist() == [0.0, 0.0, 0.0]
    assert running_mean.tolist() == [1.0, 2.0, 3.0]
    assert running_var.tolist() == [4.0, 5.0, 6.0]


BAD = {
    "rank_1": ({"x": torch.ones(3)}, r"expected x of shape \(n, c, \*spatial\) .*, got \(3,\)"),
    "no_channels": ({"x": torch.ones(4, 0)}, r"at least one channel, got \(4, 0\)"),
    "integers": ({"x": torch.ones(4, 3, dtype=torch.int64)}, r"floating-point dtype, got torch.int64"),
    "complex": ({"x": torch.ones(4, 3, dtype=torch.complex64)}, r"floating-point dtype, got torch.complex64"),
    "one_value": (
        {"x": torch.ones(1, 3, 1)},
        r"more than one value per channel in training, got x of shape \(1, 3, 1\)",
    ),
    "eps_0": ({"eps": 0.0}, r"expected eps above 0 in training, got 0.0"),
    "eps_negative": ({"eps": -1.0, "training": False}, r"expected eps of at least 0, got -1.0"),
    "mean_shape": ({"running_mean": torch.ones(2)}, r"expected running_mean of shape \(3,\), .*, got \(2,\)"),
    "var_shape": ({"running_var": torch.ones(3, 1)}, r"expected running_var of shape \(3,\), .*, got \(3, 1\)"),
    "weight_shape": ({"weight": torch.ones(1)}, r"expected weight of shape \(3,\), .*, got \(1,\)"),
    "bias_shape": ({"bias": torch.ones(4)}, r"expected bias of shape \(3,\), .*, got \(4,\)"),
    "one_statistic": ({"running_var": None}, r"both of running_mean and running_var or neither, got one"),
    "no_statistics": (
        {"running_mean": None, "running_var": None, "training": False},
        r"evaluation needs running_mean and running_var, got None",
    ),
    "no_statistics_manual": (
        {"running_mean": None, "running_var": None, "training": False, "backend": "manual"},
        r"evaluation needs running_mean and running_var, got None",
    ),
    "backend": ({"backend": "numpy"}, r"expected backend 'torch', 'manual', 'numba', 'triton' or 'auto', got 'numpy'"),
    "backend_in_evaluation": ({"backend": "Torch", "training": False}, r"expected backend .*, got 'Torch'"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_named_and_nothing_is_changed(change, message):
    good = {
        "x": torch.randn(4, 3),
        "running_mean": torch.zeros(3),
        "running_var": torch.ones(3),
        "weight": torch.ones(3),
        "bias": torch.zeros(3),
        "training": True,
    }
    arguments = good | change
    before = {name: value.clone() for name, value in arguments.items() if isinstance(value, torch.Tensor)}
    with pytest.raises(ValueError, match=message):
        batch_norm(**arguments)
    assert all(torch.equal(arguments[name], value) for name, value in before.items())
