import numpy as np

from bnlab.experiments.claims.faster import DECLARATIONS
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import learning_rate_tolerance, rate_by_group

PROVENANCE = Provenance("2026-01-31", {}, "0123456789ab")


def measured(id, result):  # noqa: A002 - as in the ledger
    [declaration] = [one for one in DECLARATIONS if one.id == id]
    return declaration.measure(result).values.tolist()


def test_a_seed_that_trains_at_no_rate_has_its_limit_below_the_grid():
    result = learning_rate_tolerance.Result(
        config=learning_rate_tolerance.Config(learning_rates=(0.1, 1.0), seeds=(0, 1, 2, 3)),
        provenance=PROVENANCE,
        validation={
            "batch_norm": np.array([[0.9, 0.9, 0.1, 0.1], [0.9, 0.9, 0.1, 0.1]]),
            "no_norm": np.array([[0.9, 0.1, 0.1, 0.9], [0.1, 0.1, 0.1, 0.1]]),
        },
        diverged={},
        test={},
    )
    assert measured("lr-tolerance-digits", result) == [10.0, np.inf, 1.0, 0.0]


def test_two_limits_beyond_the_grid_are_equal():
    trains = {"hidden": 2, "hidden_no_norm": 1, "gamma_beta": 2, "head": 1, "all_but_hidden": 0}  # of the two rates
    result = rate_by_group.Result(
        config=rate_by_group.Config(learning_rates=(0.1, 1.0), seeds=(0,)),
        provenance=PROVENANCE,
        validation={group: np.array([[0.9 * (n > 0)], [0.9 * (n > 1)]]) for group, n in trains.items()},
    )
    assert measured("hidden-weights-tolerate", result) == [np.inf]
    assert measured("limit-lies-elsewhere", result) == [1.0]
