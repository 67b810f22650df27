"""Oracle chain: finite differences and torch in float64 -> bnlab.reference's gradients."""

import re

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from bnlab.reference import (
    batch_norm_backward,
    batch_norm_backward_staged,
    batch_norm_forward,
    batch_norm_inference,
    batch_norm_inference_backward,
    gradcheck,
)
from tests.tolerances import RTOL

TOLERANCE = RTOL[torch.float64]
EPS = 1e-5

SHAPES = {
    "count_2": (2, 3),  # x_hat and 1 span everything: only eps lets a gradient through
    "table": (5, 3),
    "image": (2, 5, 3, 7),  # sizes all different, so that a wrong axis cannot pass by chance
    "volume": (2, 4, 3, 5, 7),
    "one_channel": (6, 1, 2, 3),
    "one_example": (1, 3, 4, 5),
}
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
each_backward = pytest.mark.parametrize("backward", [batch_norm_backward, batch_norm_backward_staged])


@pytest.fixture
def draw(rng):
    """Draws x, gamma, beta and grad_y, none of them like another, and none uniform, which would hide most errors."""

    def draw(shape, offset=0.0, spread=2.0):
        channels = shape[1]
        x = rng.normal(offset, spread, size=shape)
        return x, rng.normal(2.0, 1.0, channels), rng.normal(-3.0, 1.0, channels), rng.normal(0.5, 1.0, size=shape)

    return draw


def torch_gradients(x, gamma, beta, grad_y, *statistics, training, eps=EPS):
    """Gradients of torch.nn.functional.batch_norm with respect to x, gamma and beta, in float64."""
    x, gamma, beta = (torch.tensor(values, dtype=torch.float64, requires_grad=True) for values in (x, gamma, beta))
    mean, var = map(torch.tensor, statistics) if statistics else (None, None)
    y = torch.nn.functional.batch_norm(x, mean, var, gamma, beta, training, eps=eps)
    gradients = torch.autograd.grad(y, [x, gamma, beta], torch.tensor(grad_y, dtype=torch.float64))
    return [gradient.numpy() for gradient in gradients]


def close(actual, expected, tolerance=TOLERANCE):
    for got, wanted in zip(actual, expected, strict=True):
        assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


# --- training --------------------------------------------------------------------------------------------------------


@each_backward
@each_shape
@pytest.mark.parametrize("offset", [0.0, 1e3])  # a centred input hides cancellation
def test_gradients_agree_with_torch(draw, backward, shape, offset):
    x, gamma, beta, grad_y = draw(shape, offset)
    _, cache = batch_norm_forward(x, gamma, beta)
    close(backward(grad_y, cache), torch_gradients(x, gamma, beta, grad_y, training=True))


@each_backward
@pytest.mark.parametrize("eps", [0.3, 1e-5])  # large, so that a fixed 1e-5 would show; and ten times the variance
def test_gradients_agree_with_torch_where_eps_matters(draw, backward, eps):
    x, gamma, beta, grad_y = draw((5, 3, 4), spread=1e-3)
    _, cache = batch_norm_forward(x, gamma, beta, eps=eps)
    expected = torch_gradients(x, gamma, beta, grad_y, training=True, eps=eps)
    close(backward(grad_y, cache), expected, tolerance=1e-9)  # a gain of 300 enlarges the rounding of both


@each_backward
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_grad_x_agrees_with_finite_differences(rng, draw, backward, offset):
    x, gamma, beta, grad_y = draw((5, 3, 4, 3), offset)
    _, cache = batch_norm_forward(x, gamma, beta)
    grad_x, _, _ = backward(grad_y, cache)

    def loss(x):
        return (grad_y * batch_norm_forward(x, gamma, beta)[0]).sum()

    assert gradcheck(loss, x, grad_x, rng=rng).agrees


@each_backward
def test_grad_gamma_and_grad_beta_agree_with_finite_differences(rng, draw, backward):
    x, gamma, beta, grad_y = draw((5, 3, 4, 3))
    _, cache = batch_norm_forward(x, gamma, beta)
    _, grad_gamma, grad_beta = backward(grad_y, cache)

    def loss(affine):
        return (grad_y * batch_norm_forward(x, *affine)[0]).sum()

    affine, gradient = np.stack([gamma, beta]), np.stack([grad_gamma, grad_beta])
    assert gradcheck(loss, affine, gradient, rng=rng).agrees


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 4)),
    mean=st.sampled_from([0.0, 1.0, 1e3]),
    spread=st.sampled_from([1e-4, 1e-2, 1.0, 100.0]),  # variances from far below eps to far above
    seed=st.integers(0, 2**32 - 1),
)
def test_staged_code_and_closed_form_agree(shape, mean, spread, seed):
    rng = np.random.default_rng(seed)
    x, grad_y = rng.normal(mean, spread, size=shape), rng.normal(size=shape)
    gamma, beta = rng.normal(size=(2, shape[1]))
    _, cache = batch_norm_forward(x, gamma, beta)
    staged, closed = batch_norm_backward_staged(grad_y, cache), batch_norm_backward(grad_y, cache)
    gain = np.abs(gamma * cache.inv_std).max()  # up to 316: what rounding of the order of 1 is multiplied by
    assert_allclose(staged[0], closed[0], rtol=TOLERANCE, atol=TOLERANCE * max(gain, 1))
    close(staged[1:], closed[1:])


@each_backward
@pytest.mark.parametrize("spread", [2.0, 3e-3])  # variances far above eps and near it
def test_grad_x_has_no_part_along_one_and_along_x_hat_only_what_eps_leaves(draw, backward, spread):
    x, gamma, beta, grad_y = draw((6, 3, 5), spread=spread)
    _, cache = batch_norm_forward(x, gamma, beta)
    grad_x, grad_gamma, _ = backward(grad_y, cache)
    scale = np.abs(grad_x).sum((0, 2))
    left_by_eps = EPS / (cache.batch_var + EPS)
    assert (np.abs(grad_x.sum((0, 2))) <= TOLERANCE * scale).all()
    assert_allclose((grad_x * cache.x_hat).sum((0, 2)), gamma * cache.inv_std * grad_gamma * left_by_eps, rtol=1e-8)


@each_backward
def test_no_gradient_crosses_from_one_channel_to_another(draw, backward):
    x, gamma, beta, grad_y = draw((4, 3, 5))
    grad_y[:, [0, 2]] = 0
    _, cache = batch_norm_forward(x, gamma, beta)
    for gradient in backward(grad_y, cache):
        by_channel = np.moveaxis(gradient, -gradient.ndim + 1, 0) if gradient.ndim > 1 else gradient
        assert (by_channel[[0, 2]] == 0).all()
        assert (by_channel[1] != 0).any()


@each_backward
def test_one_element_per_channel_has_no_gradient(draw, backward):
    x, gamma, beta, grad_y = draw((1, 3, 1))
    _, cache = batch_norm_forward(x, gamma, beta)
    grad_x, grad_gamma, grad_beta = backward(grad_y, cache)
    assert_array_equal(grad_x, 0.0)  # the output is beta, whatever x is
    assert_array_equal(grad_gamma, 0.0)
    assert_array_equal(grad_beta, grad_y.reshape(3))


@each_backward
def test_float32_gradients_are_computed_in_float64(draw, backward):
    x, gamma, beta, grad_y = draw((16, 2, 8, 8))
    grad_y = (1000 + grad_y).astype(np.float32)  # float32 sums lose the part that passes
    _, cache = batch_norm_forward(x, gamma, beta)
    gradients = backward(grad_y, cache)
    assert [gradient.dtype for gradient in gradients] == [np.float64] * 3
    close(gradients, torch_gradients(x, gamma, beta, grad_y.astype(np.float64), training=True))


@each_backward
def test_nan_turns_its_own_channel_into_nan_and_no_other(draw, backward):
    x, gamma, beta, grad_y = draw((4, 3, 5))
    grad_y[2, 1, 3] = np.nan
    _, cache = batch_norm_forward(x, gamma, beta)
    grad_x, grad_gamma, grad_beta = backward(grad_y, cache)
    assert np.isnan(grad_x[:, 1]).all()
    assert np.isfinite(grad_x[:, [0, 2]]).all()
    assert_array_equal(np.isnan(grad_gamma), [False, True, False])
    assert_array_equal(np.isnan(grad_beta), [False, True, False])


# --- inference -------------------------------------------------------------------------------------------------------


@each_shape
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_inference_gradients_agree_with_torch(rng, draw, shape, eps):
    x, gamma, beta, grad_y = draw(shape, offset=100.0)
    mean, var = rng.normal(99.0, 1.0, shape[1]), rng.uniform(1e-6, 1e-4, shape[1])  # variances near eps
    gradients = batch_norm_inference_backward(grad_y, x, gamma, mean, var, eps=eps)
    close(gradients, torch_gradients(x, gamma, beta, grad_y, mean, var, training=False, eps=eps))


def test_inference_gradients_agree_with_finite_differences(rng, draw):
    x, gamma, beta, grad_y = draw((5, 3, 4))
    mean, var = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    grad_x, grad_gamma, grad_beta = batch_norm_inference_backward(grad_y, x, gamma, mean, var)

    def loss(x, gamma, beta):
        return (grad_y * batch_norm_inference(x, gamma, beta, mean, var)).sum()

    assert gradcheck(lambda x: loss(x, gamma, beta), x, grad_x, rng=rng).agrees
    assert gradcheck(lambda gamma: loss(x, gamma, beta), gamma, grad_gamma, rng=rng).agrees
    assert gradcheck(lambda beta: loss(x, gamma, beta), beta, grad_beta, rng=rng).agrees


def test_inference_of_a_constant_loss_gradient_passes_it_all(draw):
    x, gamma, _, _ = draw((5, 3))
    var = np.array([0.25, 1.0, 4.0])
    grad_x, _, _ = batch_norm_inference_backward(np.ones((5, 3)), x, gamma, np.zeros(3), var)
    assert_allclose(grad_x, np.tile(gamma / np.sqrt(var + EPS), (5, 1)))  # in training it would be 0


def test_inference_computes_float32_input_in_float64(draw):
    x, gamma, beta, grad_y = (values.astype(np.float32) for values in draw((16, 2, 8), offset=5000.0))
    mean, var = np.full(2, 5000.1, np.float32), np.full(2, 0.9, np.float32)
    gradients = batch_norm_inference_backward(grad_y, x, gamma, mean, var)
    assert [gradient.dtype for gradient in gradients] == [np.float64] * 3
    double = [values.astype(np.float64) for values in (x, gamma, beta, grad_y, mean, var)]
    close(gradients, torch_gradients(*double, training=False))


@pytest.mark.parametrize("shape", [(0, 2, 3), (4, 2, 0)])
def test_inference_on_an_empty_batch_has_zero_gradients(shape):
    empty = np.empty(shape)
    grad_x, grad_gamma, grad_beta = batch_norm_inference_backward(empty, empty, np.ones(2), np.zeros(2), np.ones(2))
    assert grad_x.shape == shape
    assert_array_equal([grad_gamma, grad_beta], np.zeros((2, 2)))


def test_inference_passes_nan_through_element_by_element():
    grad_y = np.array([[np.nan, 1.0], [1.0, 1.0]])
    grad_x, _, grad_beta = batch_norm_inference_backward(grad_y, np.ones((2, 2)), *np.ones((3, 2)))
    assert_array_equal(np.isnan(grad_x), [[True, False], [False, False]])
    assert_array_equal(np.isnan(grad_beta), [True, False])


# --- arguments -------------------------------------------------------------------------------------------------------

_, CACHE = batch_norm_forward(np.arange(24.0).reshape(2, 3, 4) ** 2, np.ones(3), np.zeros(3))
CALLS = {
    "closed": (batch_norm_backward, {"grad_y": np.ones((2, 3, 4)), "cache": CACHE}),
    "staged": (batch_norm_backward_staged, {"grad_y": np.ones((2, 3, 4)), "cache": CACHE}),
    "inference": (
        batch_norm_inference_backward,
        {
            "grad_y": np.ones((2, 3, 4)),
            "x": np.ones((2, 3, 4)),
            "gamma": np.ones(3),
            "running_mean": np.zeros(3),
            "running_var": np.ones(3),
        },
    ),
}


def arrays_among(arguments):
    cache = arguments.get("cache", ())
    return [value for value in (*arguments.values(), *cache) if isinstance(value, np.ndarray)]


@pytest.mark.parametrize("call", CALLS)
def test_arguments_are_neither_changed_nor_returned(call):
    function, arguments = CALLS[call]
    before = [array.copy() for array in arrays_among(arguments)]
    gradients = function(**arguments)
    for array, copy in zip(arrays_among(arguments), before, strict=True):
        assert_array_equal(array, copy)
        assert not any(np.shares_memory(array, gradient) for gradient in gradients)


BAD_INPUT = [
    *[
        bad
        for call in ("closed", "staged", "inference")
        for bad in [
            (call, {"grad_y": np.ones((2, 3, 5))}, "grad_y must have the input's shape (2, 3, 4), got (2, 3, 5)"),
            (call, {"grad_y": np.ones((2, 4, 3))}, "grad_y must have the input's shape (2, 3, 4), got (2, 4, 3)"),
            (call, {"grad_y": np.ones((2, 3))}, "grad_y must have the input's shape (2, 3, 4), got (2, 3)"),
            (call, {"grad_y": np.ones((1, 3, 4))}, "grad_y must have the input's shape (2, 3, 4), got (1, 3, 4)"),
            (call, {"grad_y": np.ones((2, 3, 4), int)}, "grad_y must be float32 or float64, got int64"),
        ]
    ],
    ("inference", {"x": np.ones((2, 3, 4), np.float16)}, "x must be float32 or float64, got float16"),
    ("inference", {"x": np.ones(3)}, "x must have shape (n, c, *spatial), got (3,)"),
    ("inference", {"x": np.ones((2, 0))}, "x must have at least one channel, got shape (2, 0)"),
    ("inference", {"gamma": np.ones(1)}, "gamma must have shape (3,), one value per channel, got (1,)"),
    ("inference", {"running_mean": np.ones(1)}, "running_mean must have shape (3,), one value per channel, got (1,)"),
    ("inference", {"running_var": np.ones(1)}, "running_var must have shape (3,), one value per channel, got (1,)"),
    ("inference", {"running_var": np.array([1.0, -2.0, 1.0])}, "running_var must not be negative, got -2.0"),
    ("inference", {"eps": 0.0}, "eps must be positive and finite, got 0.0"),
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
        ("closed", {"grad_y": np.ones((2, 3, 4), int)}),
        ("staged", {"grad_y": np.ones(3)}),
        ("inference", {"grad_y": np.ones((2, 3, 5))}),
        ("inference", {"running_var": np.ones(1)}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_the_shape_checker_is_awake(call, bad):
    function, good = CALLS[call]
    with pytest.raises(jaxtyping.TypeCheckError):
        function(**good | bad)
