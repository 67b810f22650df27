import numpy as np
import pytest

from bnlab.experiments import studies
from bnlab.experiments.claims.mistakes import DECLARATIONS
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.selection import best
from bnlab.experiments.studies import dropout_before_norm, served_shift, sorted_batches

PROVENANCE = Provenance("2026-01-31", {}, "0123456789ab")
SEEDS = (0, 1)


def twice(value):
    return np.array([value, value])


def rows(*values):
    return np.array([twice(value) for value in values])


def mixed():
    """One, two and ten classes a batch, in an order that is not the default."""
    test = {
        "no_norm": rows(0.99, 0.98, 0.97),
        "batch_norm": rows(0.9, 0.1, 0.6),
        "layer_norm": rows(0.95, 0.85, 0.88),
    }
    return sorted_batches.Result(
        config=sorted_batches.Config(seeds=SEEDS, classes=(10, 1, 2)),
        provenance=PROVENANCE,
        validation={},
        test=test,
        recalibrated={"batch_norm": rows(0.91, 0.17, 0.63)},
    )


def served():
    def accuracies(clean):
        return {name: twice(clean - 0.01 * place) for place, name in enumerate(served_shift.SHIFTS)}

    return served_shift.Result(
        config=served_shift.Config(seeds=SEEDS),
        provenance=PROVENANCE,
        stored=accuracies(0.97),
        by_batch=accuracies(0.9),
        adapted=accuracies(0.8),
        by_class=accuracies(0.2),
    )


def dropped():
    return dropout_before_norm.Result(
        config=dropout_before_norm.Config(seeds=SEEDS),
        provenance=PROVENANCE,
        validation={},
        running={"none": twice(0.6), "before_norms": twice(0.35), "behind_the_last": twice(0.5)},
        exact={"none": twice(0.61), "before_norms": twice(0.4), "behind_the_last": twice(0.52)},
        variance={
            "none": rows(1, 1.25, 1, 1),
            "before_norms": rows(1, 0.5, 0.8, 0.9),
            "behind_the_last": rows(1, 2, 1, 1),
        },
    )


MEASURED = {
    "one-class-batches": 85 - 10,
    "one-class-recalibrated": 17 - 10,
    "two-class-batches": 88 - 60,
    "sorted-in-training-mode": 97 - 20,
    "dropout-shifts-variance": 2,
    "dropout-shift-costs": 40 - 35,
    "dropout-place": 52 - 40,
}
TEST_IMAGES, TEST_SERIES = 360, 1000
ERRORS = {  # of a difference of two shares on one split, in points
    "one-class-batches": (0.85, 0.1, TEST_IMAGES),
    "one-class-recalibrated": (0.17, 0.1, TEST_IMAGES),
    "two-class-batches": (0.88, 0.6, TEST_IMAGES),
    "sorted-in-training-mode": (0.97, 0.2, TEST_IMAGES),
    "dropout-shift-costs": (0.4, 0.35, TEST_SERIES),
    "dropout-place": (0.52, 0.4, TEST_SERIES),
}
RESULTS = {"sorted_batches": mixed, "served_shift": served, "dropout_before_norm": dropped}


@pytest.mark.parametrize("declaration", DECLARATIONS, ids=lambda one: one.id)
def test_every_claim_measures_what_it_says(declaration):
    values = declaration.measure(RESULTS[declaration.study]()).values
    assert values == pytest.approx([MEASURED[declaration.id]] * 2)


@pytest.mark.parametrize("declaration", DECLARATIONS, ids=lambda one: one.id)
def test_every_gain_of_accuracy_knows_the_size_of_its_test_split(declaration):
    error = declaration.measure(RESULTS[declaration.study]()).test_error
    if declaration.id not in ERRORS:
        assert error is None
        return
    one, other, examples = ERRORS[declaration.id]
    assert error == pytest.approx(100 * ((one * (1 - one) + other * (1 - other)) / examples) ** 0.5)


def test_no_arm_with_dropout_is_judged_at_the_edge_of_its_rates():
    stored = studies.result("dropout_before_norm")
    chosen = {arm: best(rates) for arm, rates in stored.validation.items()}
    assert all(0 < place < len(stored.config.learning_rates) - 1 for place in chosen.values()), chosen


def test_every_claim_is_measured_here():
    assert {one.id for one in DECLARATIONS} == set(MEASURED)
    assert {one.id for one in DECLARATIONS if one.unit == "points"} == set(ERRORS)
