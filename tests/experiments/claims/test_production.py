import numpy as np
import pytest

from bnlab.experiments.claims.production import DECLARATIONS
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import served_shift, weight_averaging

PROVENANCE = Provenance("2026-01-31", {}, "0123456789ab")
SEEDS = (0, 1)


def twice(value):
    return np.array([value, value])


def served():
    """No two numbers the same, so that no other difference gives the one that is claimed."""
    percent = {
        "stored": {"clean": 97, "contrast": 14, "brightness": 23, "blur": 29, "noise": 41, "inverted": 21},
        "by_batch": {"clean": 94, "contrast": 83, "brightness": 92, "blur": 67, "noise": 61, "inverted": 19},
        "adapted": {"clean": 98, "contrast": 85, "brightness": 93, "blur": 68, "noise": 64, "inverted": 20},
        "by_class": {"clean": 16, "contrast": 13, "brightness": 12, "blur": 11, "noise": 10, "inverted": 9},
    }
    numbers = {kind: {name: twice(value / 100) for name, value in row.items()} for kind, row in percent.items()}
    return served_shift.Result(config=served_shift.Config(seeds=SEEDS), provenance=PROVENANCE, **numbers)


def path():
    """Five places from one network to the other, of which the third is half-way."""

    def along(*percent):
        return np.array([twice(value / 100) for value in percent])

    return weight_averaging.Result(
        config=weight_averaging.Config(seeds=SEEDS),
        provenance=PROVENANCE,
        averaged={"independent": along(95, 81, 42, 80, 96), "forked": along(94, 91, 90, 92, 93)},
        exact={"independent": along(97, 88, 77, 87, 93), "forked": along(96, 98, 99, 97, 92)},
    )


MEASURED = {
    "batch-statistics-contrast": 83 - 14,
    "batch-statistics-inverted": 19 - 21,
    "batch-statistics-cost-clean": 97 - 94,
    "half-way-recalibrated": 77 - 42,
    "half-way-as-good": 77 - (97 + 93) / 2,
}
RESULTS = {"served_shift": served, "weight_averaging": path}


@pytest.mark.parametrize("declaration", DECLARATIONS, ids=lambda one: one.id)
def test_every_claim_measures_what_it_says(declaration):
    values = declaration.measure(RESULTS[declaration.study]()).values
    assert values == pytest.approx([MEASURED[declaration.id]] * 2)


def test_every_claim_is_measured_here():
    assert {one.id for one in DECLARATIONS} == set(MEASURED)
