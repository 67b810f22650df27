"""Oracle chain: torch in float64 -> bnlab.reference."""

import re

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from bnlab.reference import batch_norm_forward, batch_norm_inference, update_running_stats
from tests.tolerances import RTOL

TOLERANCE = RTOL[torch.float64]
EPS = 1e-5

SHAPES = {
    "count_2": (2, 3),  # where biased and unbiased variance differ most
    "table": (5, 3),
    "sequence": (4, 3, 7),
    "image": (2, 5, 3, 7),  # sizes all different, so that a wrong axis cannot pass by chance
    "volume": (2, 4, 3, 5, 7),
    "one_channel": (6, 1, 2, 3),
    "one_example": (1, 3, 4, 5),  # a batch of 1 still has statistics when there are positions
}


@pytest.fixture(params=SHAPES.values(), ids=SHAPES.keys())
def shape(request):
    return request.param


@pytest.fixture
def affine(rng):
    """Draws gamma and beta unlike each other and unlike 1 and 0, so that a swap or an omission shows."""
    return lambda channels: (rng.normal(2.0, 1.0, channels), rng.normal(-3.0, 1.0, channels))


def torch_batch_norm(x, gamma, beta, mean=None, var=None, *, training, momentum=0.1, eps=EPS):
    """torch.nn.functional.batch_norm on NumPy arrays in float64; `mean` and `var` are updated in place."""
    statistics = [None if values is None else torch.from_numpy(values) for values in (mean, var)]
    tensors = [torch.from_numpy(np.asarray(values, np.float64)) for values in (gamma, beta)]
    x = torch.from_numpy(np.asarray(x, np.float64))
    return torch.nn.functional.batch_norm(x, *statistics, *tensors, training, momentum, eps).numpy()


def close(actual, expected):
    assert_allclose(actual, expected, rtol=TOLERANCE, atol=TOLERANCE)


# --- training --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, 1e3])  # a centred input hides cancellation
def test_forward_agrees_with_torch(rng, affine, shape, offset):
    x = rng.normal(offset, 2.0, size=shape)
    gamma, beta = affine(shape[1])
    y, _ = batch_norm_forward(x, gamma, beta)
    close(y, torch_batch_norm(x, gamma, beta, training=True))


def test_forward_agrees_with_torch_for_another_eps(rng, affine):
    x = rng.normal(size=(5, 3))
    gamma, beta = affine(3)
    y, _ = batch_norm_forward(x, gamma, beta, eps=0.3)  # large, so that a fixed 1e-5 would show
    close(y, torch_batch_norm(x, gamma, beta, training=True, eps=0.3))


def test_cache_holds_the_statistics_and_the_normalised_input(rng, affine):
    x = rng.normal(4.0, 3.0, size=(2, 5, 3, 7))
    gamma, beta = affine(5)
    y, cache = batch_norm_forward(x, gamma, beta)
    close(cache.batch_mean, x.mean((0, 2, 3)))
    close(cache.batch_var, x.var((0, 2, 3)))  # np.var divides by the count: biased
    close(cache.inv_std, 1 / np.sqrt(x.var((0, 2, 3)) + EPS))
    close(cache.x_hat, torch_batch_norm(x, np.ones(5), np.zeros(5), training=True))
    close(cache.x_hat * gamma.reshape(1, 5, 1, 1) + beta.reshape(1, 5, 1, 1), y)
    assert_array_equal(cache.gamma, gamma)
    assert cache.count == 2 * 3 * 7
    assert type(cache.count) is int


def test_x_hat_has_the_variance_that_eps_leaves(rng):
    x = rng.normal(-7.0, 0.01, size=(4, 3, 5))  # variance 1e-4, ten times eps
    _, cache = batch_norm_forward(x, np.ones(3), np.zeros(3))
    close(cache.x_hat.mean((0, 2)), 0)
    close(cache.x_hat.var((0, 2)), cache.batch_var / (cache.batch_var + EPS))


def test_eps_stands_inside_the_root():
    x = np.sqrt(EPS) * np.array([[-1.0], [1.0]])  # variance exactly eps: 1 / sqrt(2) inside, 0.997 outside
    y, _ = batch_norm_forward(x, np.ones(1), np.zeros(1), eps=EPS)
    close(y, [[-np.sqrt(0.5)], [np.sqrt(0.5)]])


def test_normalisation_uses_the_biased_variance():
    y, _ = batch_norm_forward(np.array([[-1.0], [1.0]]), np.ones(1), np.zeros(1))  # the unbiased variance is 2
    close(y, np.array([[-1.0], [1.0]]) / np.sqrt(1 + EPS))


def test_a_mean_far_beyond_the_spread_costs_nothing():
    x = np.array([1e8 - 1, 1e8 + 1] * 8).reshape(16, 1)  # exact in float64; E[x^2] - E[x]^2 is not
    y, cache = batch_norm_forward(x, np.ones(1), np.zeros(1))
    assert_array_equal(cache.batch_var, 1.0)
    close(y, (x - 1e8) / np.sqrt(1 + EPS))


def test_float32_input_has_float64_statistics(rng):
    x = rng.normal(5000.0, 1.0, size=(16, 2, 8, 8)).astype(np.float32)  # float32 statistics lose 3 to 7 digits here
    gamma, beta = np.array([2.0, 0.5], np.float32), np.array([-3.0, 1.0], np.float32)
    y, cache = batch_norm_forward(x, gamma, beta)
    close(y, torch_batch_norm(x, gamma, beta, training=True))
    assert y.dtype == np.float64
    assert {array.dtype for array in cache if isinstance(array, np.ndarray)} == {np.dtype(np.float64)}


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1)], ids=["table", "image"])
def test_one_element_per_channel_gives_exactly_beta(affine, shape):
    gamma, beta = affine(3)
    y, cache = batch_norm_forward(np.full(shape, 0.1), gamma, beta)
    assert_array_equal(y, beta.reshape(shape))
    assert_array_equal(cache.x_hat, 0.0)


@pytest.mark.parametrize("value", [0.1, 1e4 / 3])  # neither fits a float: their mean is rounded
def test_a_constant_channel_gives_beta_within_rounding(affine, value):
    gamma, beta = affine(2)
    x = np.full((7, 2, 9), value)
    y, cache = batch_norm_forward(x, gamma, beta)
    bound = np.abs(gamma) * cache.count * np.spacing(value) / np.sqrt(EPS)
    assert (np.abs(y - beta.reshape(1, 2, 1)) <= bound.reshape(1, 2, 1)).all()


def test_nan_turns_its_own_channel_into_nan_and_no_other(rng):
    x = rng.normal(size=(4, 3, 5))
    x[2, 1, 3] = np.nan
    y, cache = batch_norm_forward(x, np.ones(3), np.zeros(3))
    assert np.isnan(y[:, 1]).all()
    assert np.isfinite(y[:, [0, 2]]).all()
    assert_array_equal(np.isnan(cache.batch_mean), [False, True, False])
    assert_array_equal(np.isnan(cache.batch_var), [False, True, False])


# `runtime` rounds subnormal numbers to zero, and Hypothesis may then not draw them.
activations = arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4)),
    elements=st.floats(-10, 10, allow_subnormal=False),
)


@settings(max_examples=60, deadline=None)
@given(x=activations, shift=st.floats(-100, 100, allow_subnormal=False))
def test_forward_is_unmoved_by_a_shift(x, shift):
    channels = x.shape[1]
    shifted, _ = batch_norm_forward(x + shift, np.ones(channels), np.zeros(channels))
    close(shifted, batch_norm_forward(x, np.ones(channels), np.zeros(channels))[0])


@settings(max_examples=60, deadline=None)
@given(x=activations, scale=st.floats(0.01, 100), sign=st.sampled_from([-1.0, 1.0]))
def test_forward_is_unmoved_by_a_scale_that_eps_shares(x, scale, sign):
    """The factor cancels only if eps, a variance, is scaled by its square; a negative factor flips the sign."""
    channels = x.shape[1]
    scaled, _ = batch_norm_forward(sign * scale * x, np.ones(channels), np.zeros(channels), eps=EPS * scale**2)
    close(scaled, sign * batch_norm_forward(x, np.ones(channels), np.zeros(channels), eps=EPS)[0])


# --- inference -------------------------------------------------------------------------------------------------------


def test_inference_agrees_with_torch(rng, affine, shape):
    channels = shape[1]
    x = rng.normal(100.0, 2.0, size=shape)
    gamma, beta = affine(channels)
    mean, var = rng.normal(99.0, 1.0, channels), rng.uniform(1e-6, 1e-4, channels)  # variances near eps
    y = batch_norm_inference(x, gamma, beta, mean, var)
    close(y, torch_batch_norm(x, gamma, beta, mean, var, training=False))


def test_inference_agrees_with_torch_for_another_eps(rng, affine):
    x, (gamma, beta) = rng.normal(size=(5, 3)), affine(3)
    y = batch_norm_inference(x, gamma, beta, np.zeros(3), np.ones(3), eps=0.3)
    close(y, torch_batch_norm(x, gamma, beta, np.zeros(3), np.ones(3), training=False, eps=0.3))


def test_inference_on_one_example_does_not_depend_on_its_batch(rng, affine):
    x, (gamma, beta) = rng.normal(size=(6, 3, 4)), affine(3)
    statistics = rng.normal(size=3), rng.uniform(1, 2, 3)
    alone = batch_norm_inference(x[:1], gamma, beta, *statistics)
    assert_array_equal(batch_norm_inference(x, gamma, beta, *statistics)[:1], alone)


def test_inference_computes_float32_input_in_float64(rng):
    x = rng.normal(5000.0, 1.0, size=(4, 2, 3)).astype(np.float32)
    mean, var = np.full(2, 5000.1, np.float32), np.full(2, 0.9, np.float32)
    ones, zeros = np.ones(2, np.float32), np.zeros(2, np.float32)
    y = batch_norm_inference(x, ones, zeros, mean, var)
    assert y.dtype == np.float64
    double = mean.astype(np.float64), var.astype(np.float64)
    close(y, torch_batch_norm(x, ones, zeros, *double, training=False))


def test_inference_on_an_empty_batch_is_empty():
    assert batch_norm_inference(np.empty((0, 2, 3)), np.ones(2), np.zeros(2), np.zeros(2), np.ones(2)).shape == (
        0,
        2,
        3,
    )


def test_inference_passes_nan_through_element_by_element():
    y = batch_norm_inference(np.array([[np.nan, 1.0], [1.0, 1.0]]), np.ones(2), np.zeros(2), np.zeros(2), np.ones(2))
    assert_array_equal(np.isnan(y), [[True, False], [False, False]])


# --- running statistics ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.1, 0.7])  # neither is 0.5, where a flipped convention would pass
def test_training_then_inference_agrees_with_torch_over_many_steps(rng, affine, shape, momentum):
    channels = shape[1]
    gamma, beta = affine(channels)
    mean, var = np.zeros(channels), np.ones(channels)
    torch_mean, torch_var = mean.copy(), var.copy()
    for step in range(20):
        x = rng.normal(3.0 + step, 1.0 + step, size=shape)  # moving, so that the order of the averages shows
        _, cache = batch_norm_forward(x, gamma, beta)
        mean, var = update_running_stats(
            mean, var, cache.batch_mean, cache.batch_var, count=cache.count, momentum=momentum
        )
        torch_batch_norm(x, gamma, beta, torch_mean, torch_var, training=True, momentum=momentum)
        close(mean, torch_mean)
        close(var, torch_var)
    y = batch_norm_inference(x, gamma, beta, mean, var)
    close(y, torch_batch_norm(x, gamma, beta, torch_mean, torch_var, training=False))


@pytest.mark.parametrize("steps", [1, 10, 100])
def test_running_stats_after_identical_batches_have_a_closed_form(steps):
    old_mean, old_var, batch_mean, batch_var = np.array([7.0]), np.array([1.0]), np.array([-3.0]), np.array([4.0])
    mean, var = old_mean, old_var
    for _ in range(steps):
        mean, var = update_running_stats(mean, var, batch_mean, batch_var, count=5, momentum=0.2)
    left = 0.8**steps
    close(mean, left * old_mean + (1 - left) * batch_mean)
    close(var, left * old_var + (1 - left) * batch_var * 5 / 4)


def test_momentum_weighs_the_new_batch():
    mean, _ = update_running_stats(np.zeros(1), np.ones(1), np.full(1, 10.0), np.ones(1), count=4, momentum=0.1)
    close(mean, 1.0)  # the other convention gives 9


def test_momentum_is_a_tenth_unless_said_otherwise():
    mean, _ = update_running_stats(np.zeros(1), np.ones(1), np.full(1, 10.0), np.ones(1), count=4)
    close(mean, 1.0)


def test_momentum_0_keeps_the_old_and_1_takes_the_new():
    old, new = (np.array([1.0]), np.array([2.0])), (np.array([3.0]), np.array([4.0]))
    assert update_running_stats(*old, *new, count=2, momentum=0.0) == old
    assert update_running_stats(*old, *new, count=2, momentum=1.0) == (3.0, 8.0)


def test_running_var_is_unbiased(rng):
    x = rng.normal(size=(2, 3))  # count 2: twice the biased variance
    _, cache = batch_norm_forward(x, np.ones(3), np.zeros(3))
    _, var = update_running_stats(
        np.zeros(3), np.ones(3), cache.batch_mean, cache.batch_var, count=cache.count, momentum=1.0
    )
    close(var, x.var(0, ddof=1))


def test_running_stats_of_float32_input_are_float64():
    old, new = np.ones(2, np.float32), np.full(2, 0.1, np.float32)
    mean, var = update_running_stats(old, old, new, new, count=3)
    assert mean.dtype == var.dtype == np.float64
    close(mean, 0.9 + 0.1 * np.float64(np.float32(0.1)))


def test_running_stats_pass_nan_through():
    mean, var = update_running_stats(np.zeros(2), np.ones(2), np.array([np.nan, 1.0]), np.array([1.0, np.nan]), count=2)
    assert_array_equal(np.isnan(mean), [True, False])
    assert_array_equal(np.isnan(var), [False, True])


# --- arguments -------------------------------------------------------------------------------------------------------

CALLS = {
    "forward": (batch_norm_forward, {"x": np.ones((2, 3, 4)), "gamma": np.ones(3), "beta": np.zeros(3)}),
    "inference": (
        batch_norm_inference,
        {
            "x": np.ones((2, 3, 4)),
            "gamma": np.ones(3),
            "beta": np.zeros(3),
            "running_mean": np.zeros(3),
            "running_var": np.ones(3),
        },
    ),
    "update": (
        update_running_stats,
        {
            "running_mean": np.zeros(3),
            "running_var": np.ones(3),
            "batch_mean": np.zeros(3),
            "batch_var": np.ones(3),
            "count": 8,
        },
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_arguments_are_neither_changed_nor_returned(call):
    function, arguments = CALLS[call]
    before = {name: np.array(value, copy=True) for name, value in arguments.items()}
    returned = function(**arguments)

    for name, value in arguments.items():
        assert_array_equal(value, before[name])
    arrays_in = [value for value in arguments.values() if isinstance(value, np.ndarray)]
    for array in flatten(returned):
        assert not any(np.shares_memory(array, argument) for argument in arrays_in)


def flatten(returned):
    if isinstance(returned, tuple):
        return [array for part in returned for array in flatten(part)]
    return [returned] if isinstance(returned, np.ndarray) else []


INT = np.ones(3, np.int64)
HALF = np.ones(3, np.float16)
NEGATIVE = np.array([1.0, -2.0, 1.0])
BAD_INPUT = [
    ("forward", {"x": np.ones((2, 3), np.int32)}, "x must be float32 or float64, got int32"),
    ("forward", {"x": np.ones((2, 3), np.float16)}, "x must be float32 or float64, got float16"),
    ("forward", {"x": np.ones((2, 3), complex)}, "x must be float32 or float64, got complex128"),
    ("forward", {"gamma": INT}, "gamma must be float32 or float64, got int64"),
    ("forward", {"beta": HALF}, "beta must be float32 or float64, got float16"),
    ("forward", {"x": np.ones(3)}, "x must have shape (n, c, *spatial), got (3,)"),
    ("forward", {"x": np.ones((2, 0))}, "x must have at least one channel, got shape (2, 0)"),
    ("forward", {"x": np.ones((0, 3))}, "x must have at least one element per channel"),
    ("forward", {"x": np.ones((2, 3, 0))}, "x must have at least one element per channel"),
    ("forward", {"gamma": np.ones(4)}, "gamma must have shape (3,), one value per channel, got (4,)"),
    ("forward", {"gamma": np.ones(1)}, "gamma must have shape (3,), one value per channel, got (1,)"),  # broadcasts
    ("forward", {"beta": np.ones((1, 3))}, "beta must have shape (3,), one value per channel, got (1, 3)"),
    ("forward", {"eps": 0.0}, "eps must be positive and finite, got 0.0"),
    ("forward", {"eps": -1e-5}, "eps must be positive and finite, got -1e-05"),
    ("forward", {"eps": np.inf}, "eps must be positive and finite, got inf"),
    ("forward", {"eps": np.nan}, "eps must be positive and finite, got nan"),
    ("inference", {"x": np.ones((2, 3), np.int32)}, "x must be float32 or float64, got int32"),
    ("inference", {"x": np.ones(3)}, "x must have shape (n, c, *spatial), got (3,)"),
    ("inference", {"x": np.ones((2, 0))}, "x must have at least one channel, got shape (2, 0)"),
    ("inference", {"gamma": np.ones(1)}, "gamma must have shape (3,), one value per channel, got (1,)"),
    ("inference", {"beta": np.ones(1)}, "beta must have shape (3,), one value per channel, got (1,)"),
    ("inference", {"running_mean": np.ones(1)}, "running_mean must have shape (3,), one value per channel, got (1,)"),
    ("inference", {"running_var": np.ones(1)}, "running_var must have shape (3,), one value per channel, got (1,)"),
    ("inference", {"running_var": INT}, "running_var must be float32 or float64, got int64"),
    ("inference", {"running_var": NEGATIVE}, "running_var must not be negative, got -2.0"),
    ("inference", {"eps": 0.0}, "eps must be positive and finite, got 0.0"),
    ("update", {"running_mean": INT}, "running_mean must be float32 or float64, got int64"),
    ("update", {"batch_mean": INT}, "batch_mean must be float32 or float64, got int64"),
    ("update", {"running_mean": np.empty(0)}, "running_mean must have shape (channels,), with at least one, got (0,)"),
    ("update", {"running_mean": np.ones((1, 3))}, "running_mean must have shape (channels,)"),
    ("update", {"running_var": np.ones(1)}, "running_var must have shape (3,), one value per channel, got (1,)"),
    ("update", {"batch_mean": np.ones(1)}, "batch_mean must have shape (3,), one value per channel, got (1,)"),
    ("update", {"batch_var": np.ones(1)}, "batch_var must have shape (3,), one value per channel, got (1,)"),
    ("update", {"running_var": NEGATIVE}, "running_var must not be negative, got -2.0"),
    ("update", {"batch_var": NEGATIVE}, "batch_var must not be negative, got -2.0"),
    ("update", {"momentum": -0.1}, "momentum must be from 0 to 1 (the weight of the new batch), got -0.1"),
    ("update", {"momentum": 1.1}, "momentum must be from 0 to 1 (the weight of the new batch), got 1.1"),
    ("update", {"momentum": np.nan}, "momentum must be from 0 to 1 (the weight of the new batch), got nan"),
    ("update", {"count": 1}, "count must be at least 2 for an unbiased variance, got 1"),
]


@pytest.mark.usefixtures("no_shape_checker")
@pytest.mark.parametrize(("call", "bad", "message"), BAD_INPUT, ids=[f"{c}-{m}" for c, _, m in BAD_INPUT])
def test_bad_input_is_refused_in_one_line(call, bad, message):
    function, good = CALLS[call]
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        function(**good | bad)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("call", "bad"),
    [
        ("forward", {"x": np.ones(3)}),
        ("forward", {"gamma": np.ones(4)}),
        ("forward", {"beta": np.ones((1, 3))}),
        ("forward", {"x": np.ones((2, 3), np.int32)}),
        ("inference", {"running_var": np.ones(1)}),
        ("update", {"batch_mean": np.ones(1)}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_the_shape_checker_is_awake(call, bad):
    function, good = CALLS[call]
    with pytest.raises(jaxtyping.TypeCheckError):
        function(**good | bad)
