import re

import jaxtyping
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from bnlab.reference import gradcheck
from bnlab.reference.gradcheck import STEPS


def wave(x):
    """A function with derivatives of every order, so that truncation shows."""
    return np.sin(x).sum() + np.exp(x / 3).sum()


def gradient_of_wave(x):
    return np.cos(x) + np.exp(x / 3) / 3


@pytest.mark.parametrize("shape", [(), (1,), (4,), (3, 2, 5)], ids=str)
def test_a_right_gradient_agrees(rng, shape):
    x = np.asarray(rng.normal(size=shape))
    check = gradcheck(wave, x, np.asarray(gradient_of_wave(x)), rng=rng)
    assert check.agrees
    assert check.relative_error < 1e-9
    assert check.best_step in {1e-4, 1e-5, 1e-6}


@pytest.mark.parametrize(
    ("wrong", "relative_error"),
    [
        (lambda gradient: -gradient, 2.0),
        (lambda gradient: 2 * gradient, 0.5),
        (lambda gradient: (1 + 1e-6) * gradient, 1e-6),
        (np.zeros_like, 1.0),
    ],
    ids=["sign", "doubled", "a millionth too large", "zero"],
)
def test_a_wrong_gradient_has_the_relative_error_by_which_it_is_wrong(rng, wrong, relative_error):
    x = rng.normal(size=(3, 4))
    check = gradcheck(wave, x, wrong(gradient_of_wave(x)), rng=rng)
    assert not check.agrees
    assert_allclose(check.relative_error, relative_error, rtol=1e-2)


def test_a_mistake_in_a_single_element_is_seen(rng):
    x = rng.normal(size=(20, 20))
    gradient = gradient_of_wave(x)
    gradient[7, 11] += 1e-3
    assert gradcheck(wave, x, gradient, rng=rng).relative_error > 1e-6


def test_a_mistake_across_every_vector_of_signs_is_seen():
    gradient = np.array([1.0, -1.0]) + np.array([1.0, 1.0])  # off by (1, 1): invisible to the direction (1, -1)
    check = gradcheck(lambda x: x[0] - x[1], np.zeros(2), gradient, rng=np.random.default_rng(1), directions=1)
    assert not check.agrees


def test_errors_over_steps_make_a_v(rng):
    x = rng.normal(size=(3, 4))
    check = gradcheck(wave, x, gradient_of_wave(x), rng=rng)
    assert_array_equal(check.steps, STEPS)
    truncation = check.relative_errors[:3]
    assert_allclose(truncation[1:] / truncation[:-1], 1e-2, rtol=0.1)  # a tenth of the step, a hundredth of the error
    rounding = check.relative_errors[-4:]
    assert rounding[-1] > 100 * rounding[0]  # a thousandth of the step, about a thousand times the error
    assert check.relative_error == check.relative_errors.min()
    assert check.steps[check.relative_errors.argmin()] == check.best_step


def test_a_linear_function_has_no_truncation(rng):
    slope = rng.normal(size=5)
    check = gradcheck(lambda x: (slope * x).sum(), rng.normal(size=5), slope, rng=rng)
    assert check.relative_errors[0] < 1e-13


def test_rounding_of_x_itself_is_no_error_of_the_gradient(rng):
    """At 1e6 a step of 1e-9 is rounded to a tenth of itself; the distance really gone is what counts."""
    x = 1e6 + rng.normal(size=5)
    check = gradcheck(lambda z: (z - x).sum(), x, np.ones(5), rng=rng, steps=[1e-9])
    assert check.relative_error < 1e-6


def test_a_flat_function_and_a_zero_gradient_agree(rng):
    check = gradcheck(lambda _: 3.0, np.ones(4), np.zeros(4), rng=rng)
    assert_array_equal(check.relative_errors, 0.0)


def test_steps_may_be_an_array(rng):
    check = gradcheck(np.sum, np.ones(3), np.ones(3), rng=rng, steps=np.logspace(-1, -3, 3))
    assert_allclose(check.steps, [0.1, 0.01, 0.001])


def test_the_same_rng_gives_the_same_errors_and_another_gives_others():
    x = np.arange(6.0).reshape(2, 3)
    one, same, other = (
        gradcheck(wave, x, gradient_of_wave(x), rng=np.random.default_rng(seed)).relative_errors for seed in (1, 1, 2)
    )
    assert_array_equal(one, same)
    assert (one != other).any()


def test_each_direction_costs_two_calls_a_step(rng):
    calls = []
    gradcheck(lambda x: calls.append(x) or x.sum(), np.ones(3), np.ones(3), rng=rng, directions=5, steps=[0.1, 0.01])
    assert len(calls) == 5 * 2 * 2


def test_each_direction_is_another(rng):
    visited = []
    gradcheck(lambda x: visited.append(x) or x.sum(), np.zeros(3), np.ones(3), rng=rng, directions=2, steps=[0.5])
    assert (np.abs(visited[0]) != np.abs(visited[2])).all()


def test_a_function_that_writes_into_its_argument_changes_nothing(rng):
    x = rng.normal(size=4)
    before = x.copy()

    def vandal(argument):
        value = wave(argument)
        argument[:] = np.nan
        return value

    assert gradcheck(vandal, x, gradient_of_wave(x), rng=rng).agrees
    assert_array_equal(x, before)


def test_nan_never_agrees(rng):
    assert not gradcheck(lambda _: np.nan, np.ones(3), np.ones(3), rng=rng).agrees
    assert not gradcheck(lambda x: x.sum(), np.ones(3), np.full(3, np.nan), rng=rng).agrees


def test_it_prints_one_line_without_residuals(rng):
    x = rng.normal(size=4)
    right = gradcheck(wave, x, gradient_of_wave(x), rng=rng)
    wrong = gradcheck(wave, x, 2 * gradient_of_wave(x), rng=rng)
    assert str(right) == "gradient and central differences agree to 1e-8: True"
    assert str(wrong) == "gradient and central differences agree to 1e-8: False; relative error 0.5 at best"
    assert right._repr_markdown_() == str(right)


GOOD = {"function": np.sum, "x": np.ones((2, 3)), "gradient": np.ones((2, 3))}
BAD_INPUT = [
    ({"x": np.ones((2, 3), np.float32)}, "x must be float64, got float32"),
    ({"x": np.ones((2, 3), int)}, "x must be float64, got int64"),
    ({"gradient": np.ones((2, 3), np.float32)}, "gradient must be float64, got float32"),
    ({"gradient": np.ones((3, 2))}, "gradient must have the shape of x, (2, 3), got (3, 2)"),
    ({"gradient": np.ones(3)}, "gradient must have the shape of x, (2, 3), got (3,)"),  # it would broadcast
    ({"x": np.ones((2, 0)), "gradient": np.ones((2, 0))}, "x must have at least one element, got shape (2, 0)"),
    ({"directions": 0}, "directions must be at least 1, got 0"),
    ({"steps": []}, "steps must have at least one step, got none"),
    ({"steps": [1e-3, 0.0]}, "steps must be positive and finite, got 0.0"),
    ({"steps": [-1e-3]}, "steps must be positive and finite, got -0.001"),
    ({"steps": [np.inf]}, "steps must be positive and finite, got inf"),
    ({"function": np.copy}, "function must return one number, got shape (2, 3)"),
    ({"function": lambda x: x.sum(keepdims=True)}, "function must return one number, got shape (1, 1)"),
]


@pytest.mark.usefixtures("no_shape_checker")
@pytest.mark.parametrize(("bad", "message"), BAD_INPUT, ids=[message for _, message in BAD_INPUT])
def test_bad_input_is_refused_in_one_line(rng, bad, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        gradcheck(**GOOD | bad, rng=rng)
    assert "\n" not in str(error.value)


def test_the_shape_checker_is_awake(rng):
    with pytest.raises(jaxtyping.TypeCheckError):
        gradcheck(np.sum, np.ones(3), np.ones(4), rng=rng)
