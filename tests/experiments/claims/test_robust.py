import numpy as np
import pytest

from bnlab.experiments.claims.robust import DECLARATIONS
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import batch_noise, init_sensitivity, regularisers

PROVENANCE = Provenance("2026-01-31", {}, "0123456789ab")
SEEDS = (0, 1)


def twice(value):
    return np.array([value, value])


def starts():
    """Accuracies in which every arm, scale and choice of rate has a number of its own."""
    return init_sensitivity.Result(
        config=init_sensitivity.Config(scales=(0.1, 1.0, 10.0), seeds=SEEDS),
        provenance=PROVENANCE,
        validation={},
        test={"no_norm": np.array([[0.11] * 2, [0.22] * 2, [0.33] * 2]), "batch_norm": np.array([[0.97] * 2] * 3)},
        test_at_common_rate={"no_norm": np.zeros((3, 2)), "batch_norm": np.array([[0.9] * 2, [0.8] * 2, [0.5] * 2])},
    )


def noise():
    accuracies = {"no_norm": 0.1, "4": 0.2, "16": 0.5, "64": 0.6, "512": 0.4}
    losses = {"no_norm": 9.0, "4": 3.0, "16": 2.0, "64": 5.0, "512": 7.0}
    by_arm = {arm: twice(value) for arm, value in accuracies.items()}
    train = {arm: twice(1 - value) for arm, value in accuracies.items()}
    test_loss = {arm: twice(value) for arm, value in losses.items()}
    config = batch_noise.Config(seeds=SEEDS)
    unread = {"validation": {}, "train_loss": {}}
    return batch_noise.Result(
        config=config, provenance=PROVENANCE, test=by_arm, train=train, test_loss=test_loss, **unread
    )


def compared():
    config = regularisers.Config(seeds=SEEDS, steps=20, common_rate=0.1)
    places = {arm: 1.0 + place for place, arm in enumerate(config.arms())}
    return regularisers.Result(
        config=config,
        provenance=PROVENANCE,
        validation={},
        test={arm: twice(place / 100) for arm, place in places.items()},
        test_loss={arm: twice(place) for arm, place in places.items()},
        train_loss={},
        squared_norm={arm: np.array([[100.0] * 2, [place] * 2]) for arm, place in places.items()},
    )


MEASURED = {  # regularisers: arms are numbered from 1 in their order
    "small-start": 97 - 11,
    "large-start": 97 - 33,
    "large-start-costs": 80 - 50,
    "large-start-larger-rate": 97 - 50,
    "large-start-costs-at-best": 0,
    "ghosts-loss": 7 / 2,
    "smaller-ghosts-better": 20 - 50,
    "noise-costs-fit": 50 - 80,
    "dropout-beside-norm": 3 / 4,
    "decay-effective-rate": 3 / 6,
}


@pytest.mark.parametrize("declaration", DECLARATIONS, ids=lambda one: one.id)
def test_a_claim_measures_what_it_says(declaration):
    results = {"init_sensitivity": starts, "batch_noise": noise, "regularisers": compared, "weight_decay": compared}
    values, _ = declaration.measure(results[declaration.study]())
    assert values == pytest.approx(twice(MEASURED[declaration.id]))


def test_differences_of_accuracies_carry_the_error_of_their_own_split():
    errors = {one.id: one.measure(noise()).test_error for one in DECLARATIONS if one.study == "batch_noise"}
    assert errors["smaller-ghosts-better"] == pytest.approx(100 * np.sqrt((0.2 * 0.8 + 0.5 * 0.5) / 1000))
    assert errors["noise-costs-fit"] == pytest.approx(100 * np.sqrt((0.5 * 0.5 + 0.8 * 0.2) / 1024))
    assert errors["ghosts-loss"] is None
