import numpy as np
import pytest

from bnlab.experiments.data import DATASETS, digits
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import learning_rate_tolerance as study

SMALL = study.Config(learning_rates=(0.1, 1.0), seeds=(0, 1), depth=8, width=32, batch_size=32, steps=60)
PROVENANCE = Provenance("2026-01-31", {}, "0123456789ab")


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def made_up(learning_rates, validation, test=()):
    config = study.Config(learning_rates=learning_rates, seeds=tuple(range(validation.shape[1])))
    return study.Result(
        config=config,
        provenance=PROVENANCE,
        validation={"no_norm": validation},
        diverged={"no_norm": np.zeros(validation.shape, dtype=bool)},
        test={"no_norm": np.array(test)},
    )


def test_a_rate_that_breaks_the_plain_network_trains_the_normalised_one(result):
    assert (result.validation["batch_norm"][1] > 0.7).all()
    assert (result.validation["no_norm"][0] > 0.3).all()  # three times what guessing gives: it learns
    assert (result.validation["no_norm"][1] < 0.2).all()


def test_divergence_is_recorded_where_it_happened(result):
    assert not result.diverged["batch_norm"].any()
    assert not result.diverged["no_norm"][0].any()
    assert result.diverged["no_norm"][1].any()
    assert (result.validation["no_norm"][result.diverged["no_norm"]] == 0).all()


def test_arms_with_the_same_norm_give_the_same_numbers(monkeypatch):
    # What the arms share (weights, batches, settings) is the control of the comparison.
    monkeypatch.setattr(study, "ARMS", {"one": None, "other": None})
    result = study.run(SMALL)
    assert np.array_equal(result.validation["one"], result.validation["other"])
    assert np.array_equal(result.test["one"], result.test["other"])
    assert len(np.unique(result.validation["one"])) > 2  # the seeds and rates do differ


def test_the_largest_rate_is_that_of_each_seed():
    result = made_up((0.1, 1.0, 10.0), np.array([[0.95, 0.91], [0.97, 0.2], [0.1, 0.1]]))
    assert result.largest_rates("no_norm", 0.9).tolist() == [1.0, 0.1]
    assert result.largest_rates("no_norm", 0.93).tolist() == [1.0, 0.0]  # the second reaches it nowhere


def test_the_best_rate_is_the_one_with_the_highest_median_in_validation():
    result = made_up((0.1, 1.0), np.array([[0.9, 0.9, 0.1], [0.8, 0.8, 0.99]]))  # the second has the higher mean
    assert result.best_rate("no_norm") == 0


def test_the_test_split_is_read_at_the_best_validated_rate_only(monkeypatch, result):
    # The same networks, with the test images in the place of the validation images, say what the test accuracies are.
    data = digits()
    monkeypatch.setitem(DATASETS, "digits", lambda: data._replace(validation=data.test, test=data.validation))
    swapped = study.run(SMALL)
    for arm in study.ARMS:
        assert result.test[arm].shape == (2,)
        assert np.array_equal(result.test[arm], swapped.validation[arm][result.best_rate(arm)])


def test_validation_and_test_accuracy_are_of_different_images(result):
    for arm in study.ARMS:
        assert not np.array_equal(result.validation[arm][result.best_rate(arm)], result.test[arm])


def test_each_dataset_is_the_one_that_was_asked_for():
    changes = {"dataset": "mnist1d", "steps": 5, "seeds": (0,), "learning_rates": (0.1,), "depth": 1}
    one, other = (study.run(study.Config(**changes | {"dataset": name})) for name in ("mnist1d", "digits"))
    assert one.validation["no_norm"] != other.validation["no_norm"]
