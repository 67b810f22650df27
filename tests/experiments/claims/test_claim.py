"""The rule is fed made-up results, and gives each verdict."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bnlab.experiments.claims.claim import Declaration, Measured, gain_in_points, number


def declared(**changes):
    settings = {
        "id": "made-up",
        "statement": "Batch norm helps.",
        "source": "nobody",
        "study": "learning_rate_tolerance",
        "chapter": "06_benefits_faster",
        "control": "same weights.",
        "unit": "points",
        "margin": 1.0,
        "measure": Measured,  # the made-up result is itself the effect of each seed
    }
    return Declaration(**settings | changes)


TEN = np.arange(10.0)  # mean 4.5, half an interval of 2.17


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (TEN, "supported"),  # 2.3 to 6.7
        (TEN - 2, "partly"),  # 0.3 to 4.7: an effect, but it may be smaller than asked for
        (TEN - 4, "not supported here"),  # -1.7 to 2.7
        (-TEN, "not supported here"),  # the other way round
    ],
)
def test_each_verdict_of_a_difference(values, verdict):
    assert declared().judge(values).verdict == verdict


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (4.0 * 1.1**TEN, "supported"),
        (2.0 * 1.1**TEN, "partly"),
        (0.7 * 1.1**TEN, "not supported here"),
        (0.2 * 1.1**TEN, "not supported here"),
    ],
)
def test_each_verdict_of_a_ratio(values, verdict):
    assert declared(unit="times", margin=3.0).judge(values).verdict == verdict


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([10.0] * 8 + [math.inf, 3.0], "supported"),  # one seed at the margin is not enough against it
        ([10.0] * 8 + [3.0, 3.0], "partly"),
        ([10.0] * 8 + [1.0, 1.0], "not supported here"),
        ([math.inf] * 9 + [1.0], "supported"),
    ],
)
def test_each_verdict_of_values_on_a_grid(values, verdict):
    assert declared(unit="times", margin=3.0, exact=True).judge(np.array(values)).verdict == verdict


def test_points_may_have_the_sign_tests_interval_too():
    values = np.array([2.0] * 9 + [-500.0])  # a mean would be lost
    assert declared(exact=True).judge(values).verdict == "supported"
    assert declared().judge(values).verdict == "not supported here"


def test_the_summary_is_the_statement_and_beneath_it_what_came_out():
    assert declared().judge(TEN).summary == "Batch norm helps.\n  supported: 4.5 [2.3, 6.7] points"


def test_a_claim_keeps_what_it_rests_on():
    claim = declared(unit="times", margin=2.0, exact=True).judge(np.array([4.0] * 7 + [math.inf] * 3))
    assert (claim.effect, claim.interval, claim.n_seeds, claim.censored) == (4.0, (4.0, math.inf), 10, 3)
    assert claim.values == (*[4.0] * 7, *[math.inf] * 3)
    assert (claim.id, claim.study, claim.chapter, claim.margin) == (
        "made-up",
        "learning_rate_tolerance",
        "06_benefits_faster",
        2.0,
    )


@pytest.mark.parametrize(("seeds", "headline"), [(4, False), (9, True)])
def test_too_few_seeds_are_refused(seeds, headline):
    least = 10 if headline else 5
    with pytest.raises(ValueError, match=rf"^made-up: expected at least {least} seeds, got {seeds}$"):
        declared(headline=headline).judge(np.arange(float(seeds)))


def test_a_claim_says_what_was_censored_and_how_sure_the_test_images_make_it():
    text = str(declared(unit="times", margin=2.0, exact=True).judge(np.array([4.0] * 7 + [math.inf] * 3)))
    assert "4 [4, beyond] times (median, exact interval of the sign test; n = 10 seeds, " in text
    assert "beyond what was watched in 3)" in text
    measured = replace(declared().judge(TEN), test_error=1.25)
    assert "4.5 [2.3, 6.7] points (95% interval, paired t; n = 10 seeds)" in str(measured)
    assert "Standard error from the finite split alone: 1.2." in str(measured)


def test_an_effect_beyond_what_was_watched_in_every_seed_has_no_number():
    claim = declared(unit="times", margin=2.0, exact=True).judge(np.full(10, math.inf))
    assert (claim.verdict, claim.measured) == ("supported", "beyond what was watched in all 10 seeds")


def test_a_gain_is_paired_and_in_points():
    values, error = gain_in_points(np.array([0.9, 0.8]), np.array([0.7, 0.9]), examples=400)
    assert values == pytest.approx([20.0, -10.0])
    assert error == pytest.approx(100 * math.sqrt((0.85 * 0.15 + 0.8 * 0.2) / 400))


def test_a_perfect_accuracy_still_has_an_error():
    _, error = gain_in_points(np.ones(5), np.ones(5), examples=100)
    assert error == pytest.approx(100 * math.sqrt(2 * 0.005 * 0.995 / 100))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (0.0123, "0.01"), (0.52, "0.52"), (4.49, "4.5"), (-4.49, "-4.5"), (31.6, "32"), (99.6, "100"),
        (12345.6, "12346"), (3e7, "3e7"), (math.inf, "beyond"), (-math.inf, "-beyond"),
    ],
)  # fmt: skip
def test_numbers_are_short(value, text):
    assert number(value) == text
