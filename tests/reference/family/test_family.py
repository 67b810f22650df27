"""Oracle chain: finite differences and torch in float64 -> every member of bnlab.reference.family."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from bnlab.reference import batch_norm_forward, gradcheck
from tests.reference.family.members import MEMBERS, draw, run_torch
from tests.tolerances import RTOL

TOLERANCE = RTOL[torch.float64]

each_member = pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS)
each_case = pytest.mark.parametrize(
    ("member", "case"),
    [pytest.param(member, case, id=f"{name}-{case}") for name, member in MEMBERS.items() for case in member.cases],
)
each_offset = pytest.mark.parametrize("offset", [0.0, 1e3])  # a centred input hides cancellation
WITH_EPS = {name: member for name, member in MEMBERS.items() if member.eps is not None}
each_eps = pytest.mark.parametrize("member", WITH_EPS.values(), ids=WITH_EPS)
ONE_BY_ONE = ("layer_norm", "rms_norm", "instance_norm", "group_norm", "filter_response_norm", "dynamic_tanh")
each_one_by_one = pytest.mark.parametrize("name", [*ONE_BY_ONE, "dynamic_erf"])


def close(actual, expected, tolerance=TOLERANCE):
    assert len(actual) == len(expected)
    for got, wanted in zip(actual, expected, strict=True):
        assert np.shape(got) == np.shape(wanted)
        assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


@each_case
@each_offset
def test_forward_agrees_with_torch(rng, member, case, offset):
    arguments, options = draw(rng, member, case, offset)
    y, _ = member.forward(*arguments, **options)
    close([y], [run_torch(member, arguments, options)])


@each_case
@each_offset
def test_gradients_agree_with_torch(rng, member, case, offset):
    arguments, options = draw(rng, member, case, offset)
    grad_y = rng.normal(0.5, 1.0, size=arguments[0].shape)  # a uniform one would hide most errors
    _, cache = member.forward(*arguments, **options)
    close(member.gradients(grad_y, cache), run_torch(member, arguments, options, grad_y))


@each_eps
@pytest.mark.parametrize("eps", [0.3, 1e-5])  # large, so that a fixed one would show; and ten times the variance
def test_output_and_gradients_agree_with_torch_where_eps_matters(rng, member, eps):
    arguments, options = draw(rng, member, next(iter(member.cases)), spread=1e-3)
    grad_y = rng.normal(0.5, 1.0, size=arguments[0].shape)
    y, cache = member.forward(*arguments, **options, eps=eps)
    close([y], [run_torch(member, arguments, options, eps=eps)])
    # a gain of 300 enlarges the rounding of both
    close(member.gradients(grad_y, cache), run_torch(member, arguments, options, grad_y, eps=eps), tolerance=1e-9)


@each_eps
def test_eps_has_the_documented_default(rng, member):
    arguments, options = draw(rng, member, next(iter(member.cases)), spread=1e-3)
    assert_array_equal(
        member.forward(*arguments, **options)[0], member.forward(*arguments, **options, eps=member.eps)[0]
    )


@each_member
@each_offset
def test_every_gradient_agrees_with_finite_differences(rng, member, offset):
    arguments, options = draw(rng, member, next(iter(member.cases)), offset)
    grad_y = rng.normal(0.5, 1.0, size=arguments[0].shape)
    _, cache = member.forward(*arguments, **options)

    def output(arguments):
        if "r_max" in options:  # r and d are constants to the gradient, so the differences must hold them
            x, gamma, beta = arguments
            return batch_norm_forward(x, gamma * cache.r, gamma * cache.d + beta)[0]
        return member.forward(*arguments, **options)[0]

    for i, gradient in enumerate(member.gradients(grad_y, cache)):

        def loss(value, i=i):
            value = value.item() if value.ndim == 0 else value
            return (grad_y * output([*arguments[:i], value, *arguments[i + 1 :]])).sum()

        check = gradcheck(loss, np.asarray(arguments[i]), np.asarray(gradient), rng=rng)
        assert check.agrees, f"gradient {i}: {check}"


@each_member
def test_float32_is_computed_in_float64(rng, member):
    arguments, options = draw(rng, member, next(iter(member.cases)), offset=1e3)
    arguments = [np.float32(value) if np.ndim(value) else value for value in arguments]
    grad_y = np.float32(rng.normal(1e3, 1.0, size=arguments[0].shape))
    y, cache = member.forward(*arguments, **options)
    gradients = member.gradients(grad_y, cache)
    assert {value.dtype for value in (y, *gradients)} == {np.dtype(np.float64)}
    double = [np.float64(value) for value in arguments]
    close([y], [run_torch(member, double, options)])
    expected = run_torch(member, double, options, np.float64(grad_y))
    close(gradients, expected, tolerance=1e-9)  # of sums of a thousand's size


@each_one_by_one
def test_an_example_comes_out_the_same_alone_as_among_others(rng, name):
    member = MEMBERS[name]
    arguments, options = draw(rng, member, "image")
    x, *parameters = arguments
    y, _ = member.forward(x, *parameters, **options)
    alone, _ = member.forward(x[1:2], *parameters, **options)
    assert_allclose(alone, y[1:2], rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["ghost_batch_norm", "batch_renorm"])
def test_an_example_feels_the_others_where_batch_statistics_are_taken(rng, name):
    member = MEMBERS[name]
    (x, gamma, beta), options = draw(rng, member, "image")
    y, _ = member.forward(x, gamma, beta, **options)
    x[0] += rng.normal(size=x[0].shape)
    moved, _ = member.forward(x, gamma, beta, **options)
    assert np.abs(moved[1] - y[1]).max() > 0.01  # in one ghost with example 0


@each_one_by_one
def test_an_empty_batch_gives_an_empty_output_and_zero_gradients(rng, name):
    member = MEMBERS[name]
    arguments, options = draw(rng, member, "image")
    x, *parameters = arguments
    y, cache = member.forward(x[:0], *parameters, **options)
    grad_x, *others = member.gradients(np.empty(y.shape), cache)
    assert y.shape == grad_x.shape == (0, *x.shape[1:])
    for gradient, parameter in zip(others, parameters, strict=True):
        assert_array_equal(gradient, np.zeros(np.shape(parameter)))


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("layer_norm", np.s_[1]),
        ("rms_norm", np.s_[1]),
        ("instance_norm", np.s_[1, 2]),
        ("group_norm", np.s_[1, 2:4]),
        ("batch_renorm", np.s_[:, 2]),
        ("ghost_batch_norm", np.s_[:2, 2]),
        ("filter_response_norm", np.s_[1, 2]),
        ("weight_standardise", np.s_[1]),
        ("dynamic_tanh", np.s_[1, 2, 0, 1]),
        ("dynamic_erf", np.s_[1, 2, 0, 1]),
    ],
)
def test_nan_is_lost_with_all_that_shares_its_statistics_and_nothing_else(rng, name, lost):
    member = MEMBERS[name]
    case = "convolution" if name == "weight_standardise" else "image"
    (x, *parameters), options = draw(rng, member, case)
    if name == "group_norm":
        options = {"groups": 3}  # pairs of channels
    index = (1, 1, 2, 3) if name == "weight_standardise" else (1, 2, 0, 1)
    x[index] = np.nan
    y, _ = member.forward(x, *parameters, **options)
    expected = np.zeros(x.shape, bool)
    expected[lost] = True
    assert_array_equal(np.isnan(y), expected)
