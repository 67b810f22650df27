import numpy as np
import pytest
import torch

from bnlab.experiments.data import digits
from bnlab.experiments.ensemble import Ensemble
from bnlab.experiments.models import mlp
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import training_curves as study
from bnlab.experiments.training import train
from bnlab.layers import BatchNorm1d

SMALL = study.Config(seeds=(0, 1), learning_rates=(0.1, 3.0), depth=6, width=24, batch_size=32, steps=40, every=20)
ONE_IMAGE = 3e-3  # of the 360: another order of summation may move one across a boundary


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def made_up(test):
    config = study.Config(seeds=(0, 1), learning_rates=(0.1,), steps=30, every=10)
    return study.Result(
        config=config,
        provenance=Provenance("2026-01-31", {}, "0123456789ab"),
        validation={"no_norm": np.array(test)[None]},
        test={"no_norm": np.array(test)},
    )


def test_a_point_of_a_curve_is_the_accuracy_of_a_network_trained_alone_for_so_long(result):
    data = digits()
    model = mlp(64, 10, depth=6, width=24, norm=BatchNorm1d, generator=torch.Generator().manual_seed(1))
    train(model, data.train, learning_rate=0.1, seed=1, steps=20, batch_size=32)
    ensemble = Ensemble.of([model])
    assert result.best_rate("batch_norm") == 0
    assert result.validation["batch_norm"][0, 0, 1] == pytest.approx(
        ensemble.accuracy(data.validation).item(), abs=ONE_IMAGE
    )
    assert result.test["batch_norm"][0, 1] == pytest.approx(ensemble.accuracy(data.test).item(), abs=ONE_IMAGE)
    assert not np.array_equal(result.validation["batch_norm"][0], result.test["batch_norm"])


def test_a_run_that_diverges_stands_at_zero(result):
    assert result.validation["no_norm"][1, -1].min() == 0  # the other seed of this rate guesses
    assert (result.validation["no_norm"][0] > 0).all()


def test_arms_with_the_same_norm_give_the_same_curves(monkeypatch):
    monkeypatch.setattr(study, "ARMS", {"one": None, "other": None})
    result = study.run(SMALL)
    assert np.array_equal(result.validation["one"], result.validation["other"])
    assert np.array_equal(result.test["one"], result.test["other"])
    assert len(np.unique(result.validation["one"][0])) == 4  # steps and seeds do differ


def test_the_best_rate_is_the_one_that_ends_best_in_validation():
    early_and_late = np.array([[[0.9, 0.9], [0.2, 0.2]], [[0.1, 0.1], [0.5, 0.4]]])
    result = made_up(np.zeros((3, 2)))
    result.validation["no_norm"] = early_and_late
    assert result.best_rate("no_norm") == 1  # the second, though the first was ahead at first


def test_the_accuracy_at_a_step_is_that_of_every_seed():
    result = made_up([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    assert result.steps().tolist() == [10, 20, 30]
    assert result.at_step("no_norm", 20).tolist() == [0.3, 0.4]
    with pytest.raises(ValueError, match="step: expected a multiple of 10 up to 30, got 25"):
        result.at_step("no_norm", 25)


def test_what_a_run_loses_again_is_the_sum_of_its_falls():
    result = made_up([[0.5, 0.1], [0.2, 0.3], [0.1, 0.4]])
    assert result.lost_again("no_norm") == pytest.approx([0.4, 0.0])


def test_steps_between_two_evaluations_are_refused():
    with pytest.raises(ValueError, match="steps: expected a multiple of every, 10, got 15"):
        study.run(study.Config(steps=15))
