import numpy as np
import pytest
from scipy.stats import binomtest

from bnlab.experiments.intervals import Interval, ratio_interval, sign_interval, t_interval

# --- Student's


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


@pytest.mark.parametrize("interval", [t_interval, ratio_interval, sign_interval])
@pytest.mark.parametrize("values", [np.array([1.0]), np.empty(0), np.ones((3, 2))], ids=["one", "none", "table"])
def test_too_few_values_are_refused(interval, values):
    with pytest.raises(ValueError, match="at least 2 values in one dimension, got shape"):
        interval(values)


@pytest.mark.parametrize("interval", [t_interval, ratio_interval, sign_interval])
@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_outside_0_and_1_is_refused(interval, confidence):
    with pytest.raises(ValueError, match="expected a confidence between 0 and 1, got"):
        interval(np.ones(9), confidence=confidence)


@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_a_mean_of_values_that_are_not_finite_is_refused(lost):
    with pytest.raises(ValueError, match=r"expected finite values, got .*; censored ones need sign_interval"):
        t_interval(np.array([1.0, 2.0, lost]))


# --- ratios


def test_a_ratio_and_its_inverse_have_inverse_intervals():
    ratios = np.array([1.5, 2.0, 3.0, 7.0])
    there, back = ratio_interval(ratios), ratio_interval(1 / ratios)
    assert there.estimate == pytest.approx(63 ** (1 / 4))
    assert (1 / back.estimate, 1 / back.high, 1 / back.low) == pytest.approx(there)


@pytest.mark.parametrize("ratio", [0.0, -1.0, np.nan])
def test_a_ratio_not_above_0_is_refused(ratio):
    with pytest.raises(ValueError, match="expected ratios above 0, got"):
        ratio_interval(np.array([1.0, ratio]))


# --- the sign test


@pytest.mark.parametrize(("count", "rank"), [(6, 1), (8, 1), (9, 2), (10, 2), (12, 3), (20, 6)])
def test_the_sign_interval_ends_at_the_tables_ranks(count, rank):
    values = np.arange(count, 0.0, -1)  # unsorted, so that ranks and not places count
    assert sign_interval(values) == ((count + 1) / 2, rank, count + 1 - rank)


@pytest.mark.parametrize("count", [6, 9, 10, 15])
def test_the_sign_interval_is_the_sign_test_inverted(count):
    low = int(sign_interval(np.arange(1.0, count + 1)).low)
    inside, outside = (binomtest(below, count).pvalue for below in (low, low - 1))  # a median just above, just below
    assert outside <= 0.05 < inside


def test_what_was_never_seen_counts_as_beyond_everything():
    values = np.array([2.0, 4, 4, 8, 8, 8, np.inf, np.inf, np.inf, np.inf])
    assert sign_interval(values) == (8.0, 4.0, np.inf)
    assert sign_interval(np.array([1.0, 2, *[np.inf] * 8])) == (np.inf, 2.0, np.inf)


def test_too_few_values_for_the_sign_test_are_refused():
    with pytest.raises(ValueError, match="expected enough values for an interval of 95%, got 5"):
        sign_interval(np.arange(5.0))


def test_a_value_that_is_no_number_has_no_rank():
    with pytest.raises(ValueError, match="expected numbers or infinities, got"):
        sign_interval(np.array([1.0] * 9 + [np.nan]))


# --- verdicts


@pytest.mark.parametrize(
    ("low", "verdict"),
    [(1.001, "supported"), (1.0, "partly"), (0.001, "partly"), (0.0, "not supported here"), (-3, "not supported here")],
)
def test_a_verdict_depends_on_the_lower_end_alone(low, verdict):
    assert Interval(5.0, low, 10.0).verdict(margin=1.0) == verdict


@pytest.mark.parametrize(("low", "verdict"), [(3.1, "supported"), (1.1, "partly"), (1.0, "not supported here")])
def test_no_effect_of_a_ratio_is_one(low, verdict):
    assert Interval(5.0, low, 10.0).verdict(margin=3.0, no_effect=1.0) == verdict


def test_a_margin_that_asks_for_less_than_no_effect_is_refused():
    with pytest.raises(ValueError, match=r"expected a margin of at least 1, got 0\.5"):
        Interval(5.0, 2.0, 10.0).verdict(margin=0.5, no_effect=1.0)
