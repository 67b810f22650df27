"""What chapter 12's claims of scale and depth read off a result, on results made up so that the answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from bnlab.experiments.claims import explanations_scale
from bnlab.experiments.studies import study_of

DECLARATIONS = {one.id: one for one in explanations_scale.DECLARATIONS}
SEEDS = 10
RATES = {1.0: 0, 10.0: 1, 100.0: 2, 1000.0: 3}  # position of each


def measured(id, **numbers):  # noqa: A002 - that is what it is called everywhere
    """The effect of each of ten seeds, on the stored result with some numbers replaced."""
    declaration = DECLARATIONS[id]
    return declaration.measure(replace(study_of(declaration.study).stored(), **numbers)).values


def by_position(count, values, *more):
    """Ten seeds at each of so many positions, all 7 but for these values at theirs; further axes are in the middle."""
    numbers = np.full((count, *more, SEEDS), 7.0)
    for position, value in values.items():
        numbers[position] = value
    return numbers


def constant(value):
    return pytest.approx(np.full(SEEDS, value))


def test_the_gradient_of_longer_and_of_shorter_weights_is_compared_with_the_law():
    scaled = {"batch_norm": by_position(8, {6: 1 / 80, 1: 4.0})}  # at 100 and at 0.001
    assert measured("longer-weights-smaller-gradient", gradient=scaled) == constant(80.0)
    assert measured("eps-breaks-invariance", gradient=scaled) == constant(250.0)


def test_the_schedule_is_compared_with_the_constant_rate_without_eps():
    apart = {"growing_rate": np.full(SEEDS, 1e-3), "no_decay": np.full(SEEDS, 0.2), "growing_rate_eps": np.ones(SEEDS)}
    assert measured("decay-is-a-schedule", apart=apart) == constant(200.0)


def norms_at_the_end(product, values):
    norms = by_position(4, {}, 21)
    for rate, value in values.items():
        norms[RATES[rate], -1] = value
    return {product: norms}


def test_what_the_norm_absorbs_is_how_much_longer_the_weights_are_at_the_end():
    without = norms_at_the_end("0", {1.0: 3.0, 100.0: 270.0})
    assert measured("norm-absorbs-rate", squared_norm=without) == constant(90.0)
    too_long = norms_at_the_end("0", {1.0: 3.0, 100.0: 900.0})  # a third of the effective rate is a change as well
    assert measured("norm-absorbs-rate", squared_norm=too_long) == constant(100 / 3)
    decayed = norms_at_the_end("0.01", {1.0: 0.5, 1000.0: 400.0})
    assert measured("decay-forgets-the-rate", squared_norm=decayed) == constant(800.0)


def test_the_cost_of_a_huge_rate_is_in_points_and_carries_the_splits_error():
    validation = {"0": by_position(4, {1: 0.5, 3: 0.4})}
    assert measured("huge-rate-costs-accuracy", validation=validation) == constant(10.0)
    declaration = DECLARATIONS["huge-rate-costs-accuracy"]
    result = replace(study_of("effective_rate").stored(), validation=validation)
    assert declaration.measure(result).test_error == pytest.approx(100 * np.sqrt((0.25 + 0.24) / 1000))


def test_the_angle_is_compared_at_rate_one_late_in_training():
    angle = {"0.0025": by_position(4, {}, 20), "0.01": by_position(4, {}, 20)}
    angle["0.0025"][0, -4:], angle["0.01"][0, -4:] = 0.05, 0.15  # after 255 to 300 steps
    assert measured("decay-sets-the-angle", angle=angle) == constant(3.0)


def test_a_rising_effective_rate_is_a_falling_norm_from_half_way_on():
    norms = by_position(4, {}, 21)
    norms[1, 10], norms[1, 20] = 6.0, 4.0  # rate 10, after 150 and 300 steps
    assert measured("effective-rate-keeps-rising", squared_norm={"0.01": norms}) == constant(1.5)


def test_growth_is_compared_over_ten_layers():
    growth = {
        "batch_norm relu": by_position(4, {0: 1.3, 3: 1.2}),
        "batch_norm tanh": by_position(4, {3: 1.1}),
        "batch_norm linear": by_position(4, {3: 1.05}),
    }
    assert measured("small-batch-larger-growth", growth=growth) == constant((1.3 / 1.2) ** 10)
    assert measured("tanh-smaller-growth", growth=growth) == constant((1.2 / 1.1) ** 10)
    assert measured("linear-growth", growth=growth) == constant(1.05**10)


def test_the_reach_of_float16_is_measured_against_a_hundred_layers():
    reach = {"float16": np.full(SEEDS, 80), "float32": np.full(SEEDS, 400)}
    assert measured("gradient-leaves-float16", reach=reach) == constant(1.25)


def test_the_growth_of_activations_is_that_of_the_last_layer_against_the_start():
    plain, normed = (by_position(4, {}, 4, 16) for _ in range(2))  # times, rates, layers, seeds
    plain[0, [1, 3], -1], plain[3, 3, -1], plain[3, 1, -1] = 2.0, np.inf, 1.0
    normed[0, 3, -1], normed[3, 3, -1] = 0.5, 0.25
    activations = {"no_norm": plain, "batch_norm": normed}
    assert measured("activations-blow-up", mean_square=activations).tolist() == [np.inf] * SEEDS
    assert measured("activations-grow-at-small-rate", mean_square=activations) == constant(0.5)
    plain[3, 3, -1] = 600.0
    assert measured("activations-blow-up", mean_square=activations) == constant(600.0)


def test_every_claim_is_of_the_chapter_and_says_what_it_holds_fast():
    assert len(DECLARATIONS) == len(explanations_scale.DECLARATIONS) == 14
    assert {one.chapter for one in DECLARATIONS.values()} == {"12_why_it_works"}
    assert all(one.control.endswith(".") and 20 < len(one.statement) <= 220 for one in DECLARATIONS.values())
