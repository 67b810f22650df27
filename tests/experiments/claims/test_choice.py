import numpy as np
import pytest

from bnlab.experiments.claims.choice import DECLARATIONS
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import batch_mean_spread, norm_free, small_batches

PROVENANCE = Provenance("2026-01-31", {}, "0123456789ab")
SEEDS = (0, 1)


def twice(*values):
    return np.array([[value, value] for value in values])


def mlp():
    """Accuracies in which every arm and batch size has a number of its own."""
    test = {
        "no_norm": twice(0.81, 0.83, 0.84),
        "batch_norm": twice(0.21, 0.73, 0.94),
        "batch_renorm": twice(0.45, 0.67, 0.78),
        "layer_norm": twice(0.9, 0.88, 0.87),
    }
    config = small_batches.Config(seeds=SEEDS)
    recalibrated = {"batch_norm": twice(0.33, 0.74, 0.95)}
    unread = {"validation": {}, "train": {}, "by_batch": {}}
    return small_batches.Result(config=config, provenance=PROVENANCE, test=test, recalibrated=recalibrated, **unread)


def cnn():
    config = small_batches.Config(seeds=SEEDS, network="cnn", compared=("batch_norm", "group_norm"))
    test = {"batch_norm": twice(0.5, 0.6, 0.7), "group_norm": twice(0.53, 0.8, 0.9)}
    unread = {"validation": {}, "train": {}, "recalibrated": {}, "by_batch": {}}
    return small_batches.Result(config=config, provenance=PROVENANCE, test=test, **unread)


def spread():
    config = batch_mean_spread.Config(batch_sizes=(4, 32), seeds=SEEDS)
    independent = (32 * 64) ** -0.5
    layers = np.array([twice(9, 0.7 * independent), twice(9, 8), twice(9, 3 * independent)])
    unread = {"untrained": np.full((3, 2, 2), 9.0), "shuffled": twice(9, 9)}
    return batch_mean_spread.Result(
        config=config, provenance=PROVENANCE, spread=layers, positions=np.array(64), **unread
    )


def free():
    test = {"no_norm": 0.5, "batch_norm": 0.6, "layer_norm": 0.7, "rms_norm": 0.8, "dynamic_tanh": 0.63}
    test["dynamic_erf"] = 0.61
    config = norm_free.Config(seeds=SEEDS)
    by_arm = {arm: np.array([value, value]) for arm, value in test.items()}
    return norm_free.Result(config=config, provenance=PROVENANCE, validation={}, test=by_arm, train={})


RESULTS = {"small_batches": mlp, "small_batches_cnn": cnn, "batch_mean_spread": spread, "norm_free": free}
MEASURED = {
    "batch-of-two-mlp": 90 - 21,
    "batch-of-two-maps": 53 - 50,
    "batch-of-32-mlp": 94 - 87,
    "renorm-at-two": 45 - 21,
    "renorm-is-no-full-cure": 90 - 45,
    "training-itself-suffers": 90 - 33,
    "positions-worth-less": 3,
    "positions-worth-less-first": 0.7,
    "dyt-over-layer-norm": 63 - 70,
    "derf-over-dyt": 61 - 63,
}


@pytest.mark.parametrize("declaration", DECLARATIONS, ids=lambda one: one.id)
def test_a_claim_measures_what_it_says(declaration):
    values, _ = declaration.measure(RESULTS[declaration.study]())
    assert values == pytest.approx(np.full(2, MEASURED[declaration.id]))


def test_every_claim_is_tried_here():
    assert {one.id for one in DECLARATIONS} == set(MEASURED)


def test_differences_of_accuracies_carry_the_error_of_the_test_images():
    errors = {one.id: one.measure(RESULTS[one.study]()).test_error for one in DECLARATIONS}
    assert errors["renorm-at-two"] == pytest.approx(100 * np.sqrt((0.45 * 0.55 + 0.21 * 0.79) / 360))
    assert errors["dyt-over-layer-norm"] == pytest.approx(100 * np.sqrt((0.63 * 0.37 + 0.7 * 0.3) / 360))
    assert errors["positions-worth-less"] is None
