import numpy as np
import pytest

from bnlab.experiments.claims.sequential import DECLARATIONS
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import future_leak, recurrent_norm, transformer_norms

PROVENANCE = Provenance("2026-01-31", {}, "0123456789ab")
SEEDS = (0, 1)


def twice(value):
    return np.array([value, value])


def recurrent():
    """Numbers of which no two arms and no two choices of a rate share one."""
    gradient = {"no_norm": [1.0, 2.0, 3.0, 8.0], "forget_two": [1.0, 1.0, 1.0, 1.0]} | {
        "batch_norm": [1.0, 2.0, 6.0, 2.0],
        "gamma_one": [9.0, 9.0, 4.0, 1.0],
    }
    return recurrent_norm.Result(
        config=recurrent_norm.Config(seeds=SEEDS),
        provenance=PROVENANCE,
        validation={},
        test={"no_norm": twice(0.5), "forget_two": twice(0.55), "batch_norm": twice(0.7), "gamma_one": twice(0.6)},
        test_at_common_rate={
            "no_norm": twice(0.1),
            "forget_two": twice(0.17),
            "batch_norm": twice(0.4),
            "gamma_one": twice(0.25),
        },
        gradient={arm: np.array([twice(value) for value in values]) for arm, values in gradient.items()},
    )


def transformer():
    accuracies = {
        "layer_norm": 0.9,
        "rms_norm": 0.85,
        "batch_norm": 0.7,
        "batch_norm_real": 0.76,
        "batch_norm_one": 0.2,
    }
    return transformer_norms.Result(
        config=transformer_norms.Config(seeds=SEEDS),
        provenance=PROVENANCE,
        validation={},
        test={arm: twice(value) for arm, value in accuracies.items()},
        training_mode={arm: twice(value + 1) for arm, value in accuracies.items()},
        evaluation_mode={arm: twice(value + 3) for arm, value in accuracies.items()},
    )


def leak():
    config = future_leak.Config(seeds=SEEDS, batch_sizes=(1, 8), tosses=4, edited=2)
    moved = np.array([[0.9, 0.8, 1.0, 0.7], [0.03, 0.04, 1.0, 0.5]])
    losses = {"layer_norm": [0.7, 0.71], "batch_norm": [0.5, 0.69]}
    after = {"layer_norm": [0.72, 0.73], "batch_norm": [0.9, 0.8]}
    return future_leak.Result(
        config=config,
        provenance=PROVENANCE,
        moved={"batch_norm": np.stack([moved, moved], -1), "layer_norm": np.zeros((2, 4, 2))},
        moved_elsewhere={},
        training_mode={arm: np.array([twice(value) for value in values]) for arm, values in losses.items()},
        evaluation_mode={arm: np.array([twice(value) for value in values]) for arm, values in after.items()},
    )


RESULTS = {
    "recurrent_norm": recurrent,
    "transformer_norms": transformer,
    "future_leak": leak,
}
MEASURED = {
    "recurrent-norm-small-rate": 40 - 10,
    "recurrent-norm-best-rate": 70 - 50,
    "forget-bias-small-rate": 17 - 10,
    "gamma-tenth": 40 - 25,
    "recurrent-gradient-kept": (6 / 2) / (3 / 8),
    "gamma-tenth-keeps-more": (6 / 2) / (4 / 1),
    "layer-norm-better": 90 - 70,
    "one-sequence-statistics": 70 - 20,
    "mode-gap-one-sequence": 3.2 / 1.2,
    "padding-costs": 76 - 70,
    "layer-norm-beats-rms-norm": 90 - 85,
    "past-moves": 100 * np.sqrt((0.03**2 + 0.04**2) / 2),
    "leak-below-log-2": np.log(2) / 0.5,
    "leak-helps": 0.72 / 0.9,
}


@pytest.mark.parametrize("declaration", DECLARATIONS, ids=lambda one: one.id)
def test_a_claim_measures_what_it_says(declaration):
    values, _ = declaration.measure(RESULTS[declaration.study]())
    assert values == pytest.approx(twice(MEASURED[declaration.id]))


def test_differences_of_accuracies_carry_the_error_of_their_own_split():
    examples = {"recurrent_norm": 360, "transformer_norms": 400}
    for one in DECLARATIONS:
        result = RESULTS[one.study]()
        error = one.measure(result).test_error
        assert (error is not None) == (one.unit == "points" and one.study in examples)
        if one.id == "recurrent-norm-best-rate":
            assert error == pytest.approx(100 * np.sqrt((0.7 * 0.3 + 0.5 * 0.5) / 360))
        if one.id == "padding-costs":
            assert error == pytest.approx(100 * np.sqrt((0.76 * 0.24 + 0.7 * 0.3) / 400))
