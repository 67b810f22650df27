"""What the claims of chapter 02 read off a result, on results made up so that the answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from bnlab.experiments.claims import purpose
from bnlab.experiments.studies import study_of

DECLARATIONS = {one.id: one for one in purpose.DECLARATIONS}


def measured(id, **numbers):  # noqa: A002 - that is what it is called everywhere
    """The effect of each of ten seeds, on the stored result with some numbers replaced."""
    declaration = DECLARATIONS[id]
    return declaration.measure(replace(study_of(declaration.study).stored(), **numbers)).values


def by_scale(first, last, scale):
    """Ten seeds that go evenly, on a log scale, from the first layer to the last, at this scale; 1 elsewhere."""
    numbers = np.ones((5, 20, 10))
    numbers[scale] = np.geomspace(first, last, 20)[:, None]
    return numbers


def by_rate(rate, value):
    numbers = np.ones((3, 10))
    numbers[rate] = value
    return numbers


def test_the_signal_that_is_kept_is_compared_at_half_the_start():
    std = {"no_norm": by_scale(2.0, 2e-4, 0), "batch_norm": by_scale(0.6, 0.3, 0)}
    assert measured("signal-survives-half-start", std=std) == pytest.approx(np.full(10, 5000))


def test_the_gradient_grows_toward_the_input():
    gradient = {"batch_norm": by_scale(1.2**19, 1.0, 2)}
    assert measured("gradient-grows-toward-input", gradient=gradient) == pytest.approx(np.full(10, 1.2**10))


@pytest.mark.parametrize("plain", [(8.0, 2.0), (2.0, 8.0)])  # four times either way is as uneven
def test_evenness_does_not_ask_which_end_is_larger(plain):
    gradient = {"no_norm": by_scale(*plain, 2), "batch_norm": by_scale(20.0, 1.0, 2)}
    assert measured("gradients-evener-than-he", gradient=gradient) == pytest.approx(np.full(10, 0.2))


def test_the_wander_of_the_sigmoids_input_is_compared_at_the_slow_rate():
    wander = {"no_norm": by_rate(0, 6.0), "before_norm": by_rate(0, 9.0), "after_norm": by_rate(0, 2.0)}
    assert measured("sigmoid-input-drifts-less", wander=wander).tolist() == [3.0] * 10


def test_the_drift_of_the_linear_layer_and_of_the_norm_are_compared_at_the_fast_rate():
    from_end = {"no_norm": by_rate(1, 6.0), "before_norm": by_rate(1, 2.0), "after_norm": by_rate(1, 4.0)}
    assert measured("linear-output-drifts-less", from_end=from_end).tolist() == [3.0] * 10
    assert measured("norm-itself-stops-drift", from_end=from_end).tolist() == [0.5] * 10


def test_seeds_are_measured_from_the_median_of_their_own_arm_and_step():
    accuracy = np.linspace(0.4, 0.6, 10)[None] + np.linspace(0, 0.3, 15)[:, None]  # all rise alike
    level = np.broadcast_to(np.linspace(0.8, 0.85, 10), (15, 10))  # a quarter of the distance, and no rise
    test = {"no_norm": accuracy, "batch_norm": level}
    assert measured("steadier-across-seeds", test=test) == pytest.approx(np.full(10, 4.0))


def test_the_lead_after_fifty_steps_is_in_points():
    test = {"no_norm": np.full((15, 10), 0.9), "batch_norm": np.full((15, 10), 0.1)}
    test["no_norm"][4], test["batch_norm"][4] = 0.3, 0.7  # the fifth look comes after 50 steps
    assert measured("ahead-after-50-steps", test=test) == pytest.approx(np.full(10, 40.0))


def test_every_claim_of_the_chapter_is_tested_here_and_belongs_to_it():
    assert len(DECLARATIONS) == 8
    assert {one.chapter for one in DECLARATIONS.values()} == {"02_purpose"}
