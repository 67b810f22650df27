"""What each norm does not change with, and where two norms are one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from bnlab.reference import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference,
    family,
    update_running_stats,
)
from tests.reference.family.members import EPS, MEMBERS, draw
from tests.tolerances import RTOL

TOLERANCE = RTOL[torch.float64]
any_seed = st.integers(0, 2**32 - 1)
by_hypothesis = settings(max_examples=25, deadline=None, derandomize=True)
any_shape = st.tuples(
    st.integers(1, 4), st.sampled_from([2, 4, 6]), st.integers(1, 4), st.integers(4, 6)
)  # no set of two


def close(actual, expected, tolerance=TOLERANCE):
    for got, wanted in zip(actual, expected, strict=True):
        assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


@pytest.fixture
def image(rng):
    """x, gamma, beta and grad_y for images of six channels."""
    shape = (4, 6, 3, 7)
    return rng.normal(3.0, 2.0, shape), rng.normal(2.0, 1.0, 6), rng.normal(-3.0, 1.0, 6), rng.normal(0.5, 1.0, shape)


# --- two that are one ------------------------------------------------------------------------------------------------


def test_one_group_is_layer_norm_up_to_the_shape_of_the_affine(image):
    x, gamma, beta, grad_y = image
    y, cache = family.group_norm_forward(x, gamma, beta, groups=1)
    spread = [np.broadcast_to(v[:, None, None], x.shape[1:]) for v in (gamma, beta)]
    layer, layer_cache = family.layer_norm_forward(x, *spread)
    grad_x, *affine = family.group_norm_backward(grad_y, cache)
    layer_grad_x, *layer_affine = family.layer_norm_backward(grad_y, layer_cache)
    close([y, grad_x], [layer, layer_grad_x])
    close(affine, [gradient.sum((1, 2)) for gradient in layer_affine])


def test_a_group_for_each_channel_is_instance_norm(image):
    x, gamma, beta, grad_y = image
    y, cache = family.group_norm_forward(x, gamma, beta, groups=6)
    instance, instance_cache = family.instance_norm_forward(x, gamma, beta)
    close([y], [instance])
    close(family.group_norm_backward(grad_y, cache), family.instance_norm_backward(grad_y, instance_cache))


def test_instance_norm_of_one_example_is_its_batch_norm(image):
    x, gamma, beta, grad_y = (values[:1] if values.ndim == 4 else values for values in image)
    y, cache = family.instance_norm_forward(x, gamma, beta)
    batch, batch_cache = batch_norm_forward(x, gamma, beta)
    close([y], [batch])
    close(family.instance_norm_backward(grad_y, cache), batch_norm_backward(grad_y, batch_cache))


def test_layer_norm_of_a_table_is_batch_norm_of_its_transpose(rng):
    x, grad_y = rng.normal(3.0, 2.0, (2, 5, 4))
    y, cache = family.layer_norm_forward(x, np.ones(4), np.zeros(4))
    batch, batch_cache = batch_norm_forward(x.T, np.ones(5), np.zeros(5))
    close([y], [batch.T])
    close([family.layer_norm_backward(grad_y, cache)[0]], [batch_norm_backward(grad_y.T, batch_cache)[0].T])


def test_rms_norm_is_layer_norm_where_the_mean_is_zero(rng):
    x, grad_y = rng.normal(3.0, 2.0, (2, 5, 4))
    x -= x.mean(1, keepdims=True)
    gamma = rng.normal(2.0, 1.0, 4)
    y, cache = family.rms_norm_forward(x, gamma)
    layer, layer_cache = family.layer_norm_forward(x, gamma, np.zeros(4))
    close([y], [layer])
    grad_x, grad_gamma = family.rms_norm_backward(grad_y, cache)
    layer_grad_x, layer_grad_gamma, _ = family.layer_norm_backward(grad_y, layer_cache)
    close([grad_gamma, grad_x - grad_x.mean(1, keepdims=True)], [layer_grad_gamma, layer_grad_x])
    assert np.abs(grad_x - layer_grad_x).max() > 0.1  # it does feel a step away from mean zero


def test_one_ghost_is_batch_norm(image):
    x, gamma, beta, grad_y = image
    y, cache = family.ghost_batch_norm_forward(x, gamma, beta, ghost_size=4)
    batch, batch_cache = batch_norm_forward(x, gamma, beta)
    assert_array_equal(y, batch)
    close(family.ghost_batch_norm_backward(grad_y, cache), batch_norm_backward(grad_y, batch_cache))


def test_ghosts_are_batch_norm_of_each_part(image):
    x, gamma, beta, _ = image
    y, caches = family.ghost_batch_norm_forward(x, gamma, beta, ghost_size=2)
    for part, cache in ((slice(0, 2), caches[0]), (slice(2, 4), caches[1])):
        expected, expected_cache = batch_norm_forward(x[part], gamma, beta)
        assert_array_equal(y[part], expected)
        assert_array_equal(cache.batch_var, expected_cache.batch_var)


def test_batch_renorm_with_closed_limits_is_batch_norm(rng, image):
    x, gamma, beta, grad_y = image
    running = rng.normal(size=6), rng.uniform(1, 3, 6)
    y, cache = family.batch_renorm_forward(x, gamma, beta, *running, r_max=1.0, d_max=0.0)
    batch, batch_cache = batch_norm_forward(x, gamma, beta)
    close([y], [batch])
    close(family.batch_renorm_backward(grad_y, cache), batch_norm_backward(grad_y, batch_cache))


def test_batch_renorm_with_open_limits_is_inference(rng, image):
    x, gamma, beta, _ = image
    running_mean, running_var = rng.normal(size=6), rng.uniform(1, 3, 6)
    running_std = np.sqrt(running_var + EPS)
    y, _ = family.batch_renorm_forward(x, gamma, beta, running_mean, running_std, r_max=np.inf, d_max=np.inf)
    close([y], [batch_norm_inference(x, gamma, beta, running_mean, running_var)])


def test_weight_standardisation_is_layer_norm_over_the_fan_in(rng):
    weight, grad_y = rng.normal(0.3, 0.1, (2, 4, 3, 2, 5))
    ones = np.ones(weight.shape[1:])
    w_hat, cache = family.weight_standardise_forward(weight)
    layer, layer_cache = family.layer_norm_forward(weight, ones, 0 * ones)
    close([w_hat], [layer])
    close([family.weight_standardise_backward(grad_y, cache)], family.layer_norm_backward(grad_y, layer_cache)[:1])


def test_a_filter_response_norm_that_cuts_nothing_is_rms_norm_of_each_channel(image):
    x, gamma, beta, _ = image
    y, _ = family.filter_response_norm_forward(x, gamma, beta, np.full(6, -np.inf), eps=EPS)
    rms, _ = family.rms_norm_forward(x, np.ones((3, 7)))
    close([y], [gamma[:, None, None] * rms + beta[:, None, None]])


@pytest.mark.parametrize("alpha", [1e-3, 1e-4])
def test_dynamic_functions_are_straight_lines_for_a_small_alpha(rng, alpha):
    x, gamma, beta = rng.normal(size=(5, 3)), rng.normal(size=3), rng.normal(size=3)
    tanh, _ = family.dynamic_tanh_forward(x, alpha, gamma, beta)
    erf, _ = family.dynamic_erf_forward(x, alpha, 0.0, gamma, beta)
    bound = np.abs(gamma) * np.abs(alpha * x) ** 3  # the next term of both series is smaller
    assert (np.abs(tanh - (gamma * alpha * x + beta)) <= bound).all()
    assert (np.abs(erf - (gamma * alpha * x * 2 / np.sqrt(np.pi) + beta)) <= bound).all()


# --- running statistics ----------------------------------------------------------------------------------------------


def test_batch_renorm_composes_with_the_running_statistics_of_batch_norm(rng):
    mean, var = np.zeros(2), np.ones(2)
    for _ in range(200):
        x = rng.normal([5.0, -3.0], [2.0, 0.5], size=(16, 2))
        y, cache = family.batch_renorm_forward(
            x, np.ones(2), np.zeros(2), mean, np.sqrt(var + EPS), r_max=3.0, d_max=5.0
        )
        batch = cache.batch
        inference = batch_norm_inference(x, np.ones(2), np.zeros(2), mean, var)
        mean, var = update_running_stats(mean, var, batch.batch_mean, batch.batch_var, count=batch.count)
    close([y], [inference])  # the limits are not reached any more
    close([mean, var], [[5.0, -3.0], [4.0, 0.25]], tolerance=0.3)


def test_batch_renorm_limits_r_on_both_sides_and_d_on_both_sides(rng):
    x = rng.normal([0.0, 0.0, 9.0, -9.0, 0.1], [9.0, 0.1, 1.0, 1.0, 1.0], size=(200, 5))
    _, cache = family.batch_renorm_forward(
        x, np.ones(5), np.zeros(5), np.zeros(5), np.ones(5), r_max=1.5, d_max=2.0, eps=0.01
    )
    close([cache.r[:2]], [[1.5, 1 / 1.5]])
    close([cache.d[2:4]], [[2.0, -2.0]])
    close([cache.r[4], cache.d[4]], [np.sqrt(x[:, 4].var() + 0.01), x[:, 4].mean()])  # within both limits


def test_batch_renorm_has_the_gradient_of_batch_norm_where_its_output_is_that_of_inference(image):
    x, gamma, beta, grad_y = image
    _, cache = family.batch_renorm_forward(x, gamma, beta, np.full(6, 3.0), np.full(6, 2.0), r_max=9.0, d_max=9.0)
    grad_x, _, _ = family.batch_renorm_backward(grad_y, cache)
    close([grad_x.sum((0, 2, 3))], [np.zeros(6)])  # inference's gradient would not sum to zero


# --- what does not change the output ---------------------------------------------------------------------------------

OWN = {  # the axes of (n, c, h, w) along which each index has statistics of its own; the others are averaged over
    "layer_norm": (0,),
    "rms_norm": (0,),
    "instance_norm": (0, 1),
    "group_norm": (0, 1),  # the second, once it is cut into groups
    "ghost_batch_norm": (1,),  # in one ghost
    "filter_response_norm": (0, 1),
}
CENTRED = ["layer_norm", "instance_norm", "group_norm", "ghost_batch_norm"]
NOT_CENTRED = ["rms_norm", "filter_response_norm"]


def normalised(name, x, gradient_of=None):
    """The output of a norm with an affine that differs by channel, or the gradient with respect to x."""
    member, c = MEMBERS[name], x.shape[1]
    per_channel = np.linspace(0.5, 2.0, c), np.linspace(-1.0, 1.0, c), np.full(c, -0.2)
    parameters = list(per_channel[: len(member.parameters)])
    if name in ("layer_norm", "rms_norm"):
        parameters = [np.broadcast_to(values[:, None, None], x.shape[1:]) for values in parameters]
    options = {"group_norm": {"groups": 2}, "ghost_batch_norm": {"ghost_size": len(x)}}.get(name, {})
    y, cache = member.forward(x, *parameters, **options, eps=1e-12)
    return y if gradient_of is None else member.gradients(gradient_of, cache)[0]


def one_number_a_set(name, shape, rng, low, high):
    """Random numbers that line up with x, the same for all elements that share their statistics."""
    numbers = rng.uniform(low, high, [size if axis in OWN[name] else 1 for axis, size in enumerate(shape)])
    return np.repeat(numbers[:, :2], shape[1] // 2, axis=1) if name == "group_norm" else numbers


@pytest.mark.parametrize("name", CENTRED)
@by_hypothesis
@given(shape=any_shape, seed=any_seed)
def test_a_shift_of_a_set_changes_nothing_where_there_is_a_mean_to_take_away(name, shape, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    shifted = x + one_number_a_set(name, shape, rng, -10, 10)
    close([normalised(name, shifted)], [normalised(name, x)], tolerance=1e-7)


@pytest.mark.parametrize("name", OWN)
@by_hypothesis
@given(shape=any_shape, seed=any_seed)
def test_a_stretch_of_a_set_changes_nothing(name, shape, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(1.0, 1.0, size=shape)
    stretched = x * one_number_a_set(name, shape, rng, 0.1, 10)
    close([normalised(name, stretched)], [normalised(name, x)], tolerance=1e-7)


@pytest.mark.parametrize("name", NOT_CENTRED)
def test_a_shift_changes_the_output_where_no_mean_is_taken_away(rng, name):
    x = rng.normal(size=(2, 4, 3, 5))
    assert np.abs(normalised(name, x + 1) - normalised(name, x)).max() > 0.5


@pytest.mark.parametrize("name", ["batch_renorm", "dynamic_tanh", "dynamic_erf"])
def test_a_stretch_changes_the_output_where_the_input_alone_does_not_set_the_scale(rng, name):
    member = MEMBERS[name]
    (x, *parameters), options = draw(rng, member, "image")
    if name == "batch_renorm":
        options |= {"r_max": 100.0, "d_max": 100.0}
    doubled, _ = member.forward(2 * x, *parameters, **options)
    assert np.abs(doubled - member.forward(x, *parameters, **options)[0]).max() > 0.5


@pytest.mark.parametrize("name", OWN)
@by_hypothesis
@given(shape=any_shape, seed=any_seed)
def test_no_gradient_points_along_what_changes_nothing(name, shape, seed):
    rng = np.random.default_rng(seed)
    x, grad_y = rng.normal(1.0, 1.0, size=shape), rng.normal(0.5, 1.0, size=shape)
    grad_x = normalised(name, x, gradient_of=grad_y)
    scale = np.abs(grad_x).sum() + np.abs(grad_y).sum()
    shift, stretch = one_number_a_set(name, shape, rng, -1, 1), one_number_a_set(name, shape, rng, -1, 1) * x
    assert abs((grad_x * stretch).sum()) <= 1e-8 * scale
    if name in CENTRED:
        assert abs((grad_x * shift).sum()) <= 1e-8 * scale


# --- details ---------------------------------------------------------------------------------------------------------


def test_a_channel_of_one_position_gives_beta(rng):
    x, beta = rng.normal(size=(5, 3)), rng.normal(size=3)
    y, cache = family.instance_norm_forward(x, np.ones(3), beta)
    assert_array_equal(y, np.tile(beta, (5, 1)))
    assert_array_equal(family.instance_norm_backward(x, cache)[0], 0.0)


def test_filter_response_norm_of_one_position_is_nearly_its_sign():
    y, _ = family.filter_response_norm_forward(np.array([[-3.0, 0.01, 7.0]]), np.ones(3), np.zeros(3), np.full(3, -9.0))
    assert_allclose(y, [[-1.0, 1.0, 1.0]], atol=0.01)


def test_the_threshold_takes_the_gradient_of_what_it_replaces_and_of_ties():
    x, grad_y = np.array([[[1.0, -1.0, 1.0, -1.0]]]), np.array([[[1.0, 10.0, 100.0, 1000.0]]])
    _, cache = family.filter_response_norm_forward(x, np.ones(1), np.zeros(1), np.zeros(1))
    assert_array_equal(family.filter_response_norm_backward(grad_y, cache)[3], [1010.0])
    _, cache = family.filter_response_norm_forward(0 * x, np.ones(1), np.zeros(1), np.zeros(1))
    assert_array_equal(family.filter_response_norm_backward(grad_y, cache)[3], [1111.0])


def test_weight_standardisation_uses_the_biased_variance():
    w_hat, _ = family.weight_standardise_forward(np.array([[-1.0, 1.0]]))  # the unbiased variance is 2
    close([w_hat], [np.array([[-1.0, 1.0]]) / np.sqrt(1 + EPS)])


@pytest.mark.parametrize("name", ["dynamic_tanh", "dynamic_erf"])
def test_a_dynamic_function_is_bounded_and_flat_far_from_zero(rng, name):
    member = MEMBERS[name]
    (x, *parameters), _ = draw(rng, member, "table")
    gamma, beta = parameters[-2:]
    y, cache = member.forward(1e6 * x, *parameters)
    assert_allclose(np.abs(y - beta), np.tile(np.abs(gamma), (5, 1)))
    assert_array_equal(member.gradients(np.ones(x.shape), cache)[0], 0.0)
