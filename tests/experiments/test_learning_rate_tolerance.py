import numpy as np
import pytest

from bnlab.experiments import learning_rate_tolerance as study

SMALL = study.Config(learning_rates=(0.1, 1.0), seeds=(0, 1), depth=8, width=32, batch_size=32, steps=60)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def test_a_rate_that_breaks_the_plain_network_trains_the_normalised_one(result):
    assert (result.accuracy["batch_norm"][1] > 0.7).all()
    assert (result.accuracy["no_norm"][0] > 0.3).all()  # three times what guessing gives: it learns
    assert (result.accuracy["no_norm"][1] < 0.2).all()


def test_divergence_is_recorded_where_it_happened(result):
    assert not result.diverged["batch_norm"].any()
    assert not result.diverged["no_norm"][0].any()
    assert result.diverged["no_norm"][1].any()
    assert (result.accuracy["no_norm"][result.diverged["no_norm"]] == 0).all()


def test_arms_with_the_same_norm_give_the_same_numbers(monkeypatch):
    # What the arms share (weights, batches, settings) is the control of the comparison.
    monkeypatch.setattr(study, "ARMS", {"one": None, "other": None})
    result = study.run(SMALL)
    assert np.array_equal(result.accuracy["one"], result.accuracy["other"])
    assert len(np.unique(result.accuracy["one"])) > 2  # the seeds and rates do differ


def test_the_largest_rate_is_that_of_each_seed():
    accuracy = {"no_norm": np.array([[0.95, 0.91], [0.97, 0.2], [0.1, 0.1]])}
    config = study.Config(learning_rates=(0.1, 1.0, 10.0), seeds=(0, 1))
    result = study.Result(config, accuracy, accuracy, {"no_norm": np.zeros((3, 2), dtype=bool)})
    assert result.largest_rates("no_norm", 0.9).tolist() == [1.0, 0.1]
    with pytest.raises(ValueError, match=r"each seed of 'no_norm' to reach 0\.93 at some rate, got one that does not"):
        result.largest_rates("no_norm", 0.93)


def test_the_best_rate_is_chosen_on_validation_data_and_reported_on_the_test_set():
    validation = {"no_norm": np.array([[0.9, 0.9, 0.1], [0.8, 0.8, 0.99]])}  # the first rate has the higher median
    accuracy = {"no_norm": np.array([[0.5, 0.6, 0.7], [1.0, 1.0, 1.0]])}
    config = study.Config(learning_rates=(0.1, 1.0), seeds=(0, 1, 2))
    result = study.Result(config, validation, accuracy, {"no_norm": np.zeros((2, 3), dtype=bool)})
    assert result.at_best_rate("no_norm").tolist() == [0.5, 0.6, 0.7]


def test_validation_and_test_accuracy_are_of_different_images(result):
    assert not np.array_equal(result.validation["batch_norm"], result.accuracy["batch_norm"])
