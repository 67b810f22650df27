import numpy as np
import pytest

from bnlab.experiments.intervals import Interval, t_interval


def test_the_interval_is_the_textbooks():
    values = np.array([3.0, 5.0, 8.0, 8.0, 4.0, 6.0, 7.0, 2.0, 9.0, 8.0])  # mean 6, sum of squares 52
    half = 2.262157 * np.sqrt(52 / 9 / 10)  # t of 9 degrees of freedom, from any table
    assert t_interval(values) == pytest.approx((6.0, 6.0 - half, 6.0 + half), rel=1e-6)


def test_a_lower_confidence_uses_its_own_quantile():
    interval = t_interval(np.array([0.0, 2.0]), confidence=0.5)  # one degree of freedom: the quartile of Cauchy is 1
    assert interval == pytest.approx((1.0, 0.0, 2.0))


def test_ninety_five_of_a_hundred_intervals_cover_the_mean(rng):
    samples = rng.normal(3.0, 2.0, size=(4000, 5))
    covered = [low <= 3.0 <= high for _, low, high in map(t_interval, samples)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)  # three standard errors


@pytest.mark.parametrize("values", [np.array([1.0]), np.empty(0), np.ones((3, 2))], ids=["one", "none", "table"])
def test_too_few_values_are_refused(values):
    with pytest.raises(ValueError, match="at least 2 values in one dimension, got shape"):
        t_interval(values)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_outside_0_and_1_is_refused(confidence):
    with pytest.raises(ValueError, match="expected a confidence between 0 and 1, got"):
        t_interval(np.ones(3), confidence=confidence)


@pytest.mark.parametrize(
    ("low", "verdict"),
    [(1.001, "supported"), (1.0, "partly"), (0.001, "partly"), (0.0, "not supported here"), (-3, "not supported here")],
)
def test_a_verdict_depends_on_the_lower_end_alone(low, verdict):
    assert Interval(mean=5.0, low=low, high=10.0).verdict(margin=1.0) == verdict
