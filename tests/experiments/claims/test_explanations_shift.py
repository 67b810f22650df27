"""What chapter 12's claims of covariate shift read off a result, on results made up so that the answer is known."""

import numpy as np
import pytest

from bnlab.experiments.claims import explanations_shift
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies.noisy_norm import Config, Result

DECLARATIONS = {one.id: one for one in explanations_shift.DECLARATIONS}
SEEDS, RATES, LOOKS = 10, 3, 10
ARMS = tuple(Config().arms())


def measured(id, **numbers):  # noqa: A002 - that is what it is called everywhere
    """What a claim reads off a result in which these arms have these values and all others 7."""
    shapes = {
        "validation": (RATES, SEEDS),
        "drift": (LOOKS, RATES, SEEDS),
        "distance": (LOOKS, RATES, SEEDS),
        "distance_held": (LOOKS, RATES, SEEDS),
        "cosine": (LOOKS, RATES, SEEDS),
        "loss": (LOOKS, RATES, SEEDS),
        "train_loss": (RATES, SEEDS),
        "test": (SEEDS,),
        "test_running": (SEEDS,),
    }
    filled = {name: {arm: np.full(shape, 7.0) for arm in ARMS} for name, shape in shapes.items()}
    for name, arms in numbers.items():
        for arm, value in arms.items():
            filled[name][arm] = value if isinstance(value, np.ndarray) else np.full(shapes[name], value)
    result = Result(config=Config(), provenance=Provenance("2026-01-31", {}, "0123456789ab"), **filled)
    return DECLARATIONS[id].measure(result)


def constant(value):
    return pytest.approx(np.full(SEEDS, value))


def at_rate(position, value):
    numbers = np.full((LOOKS, RATES, SEEDS), 7.0)
    numbers[:, position] = value
    return numbers


def test_drifts_are_compared_at_the_common_rate():
    drift = {"no_norm": at_rate(1, 0.2), "batch_norm": at_rate(1, 0.004), "batch_norm 0.5": at_rate(1, 0.5)}
    assert measured("norm-keeps-inputs-still", drift=drift).values == constant(50.0)
    assert measured("noisy-norm-drifts", drift=drift).values == constant(2.5)


def test_gradient_shifts_are_compared_at_the_common_rate():
    distance = {"no_norm": at_rate(1, 0.4), "batch_norm": at_rate(1, 0.1), "batch_norm 0.5": at_rate(1, 0.3)}
    held = {"batch_norm": at_rate(1, 0.1), "batch_norm 0.5": at_rate(1, 0.05)}
    assert measured("norm-shifts-gradient-more", distance=distance).values == constant(0.25)
    assert measured("noise-moves-gradient", distance=distance).values == constant(3.0)
    assert measured("noise-held-gradient-steadier", distance_held=held).values == constant(2.0)


def test_a_gain_is_in_points_and_carries_the_test_sets_error():
    found = measured("noisy-norm-better", test={"batch_norm 0.5": 0.5, "no_norm": 0.4})
    assert found.values == constant(10.0)
    assert found.test_error == pytest.approx(100 * np.sqrt((0.25 + 0.24) / 1000))


def test_the_fit_is_that_at_each_arms_best_rate():
    def rising(best):
        return np.array([[0.9 if rate == best else 0.5] * SEEDS for rate in range(RATES)])

    losses = np.array([[1.0], [2.0], [3.0]]).repeat(SEEDS, axis=1)
    found = measured(
        "noisy-norm-fits-worse",
        validation={"batch_norm": rising(1), "batch_norm 0.5": rising(2)},
        train_loss={"batch_norm": losses, "batch_norm 0.5": losses},
    )
    assert found.values == constant(1.5)


def test_what_noise_costs_without_norm_is_beyond_what_it_costs_with_it():
    test = {"no_norm": 0.4, "no_norm 0.5": 0.2, "batch_norm": 0.5, "batch_norm 0.5": 0.45}
    found = measured("noise-needs-norm", test=test)
    assert found.values == constant(15.0)
    assert found.test_error == pytest.approx(100 * np.sqrt((0.24 + 0.16 + 0.25 + 0.2475) / 1000))


def test_every_claim_is_of_the_chapter_and_says_what_it_holds_fast():
    assert len(DECLARATIONS) == len(explanations_shift.DECLARATIONS) == 8
    assert {one.chapter for one in DECLARATIONS.values()} == {"12_why_it_works"}
    assert {one.study for one in DECLARATIONS.values()} == {"noisy_norm"}
    assert all(one.control.endswith(".") and 20 < len(one.statement) <= 220 for one in DECLARATIONS.values())
