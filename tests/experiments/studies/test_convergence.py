from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from bnlab.experiments.data import DATASETS, digits
from bnlab.experiments.models import mlp
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import convergence as study
from bnlab.experiments.training import train_ensemble

# Given up early enough that the plain sigmoid network has not arrived at the smaller rate.
SMALL = study.Config(learning_rates=(0.3, 1.0), seeds=(0, 1), width=20, steps=60, looks=60, accuracy=0.8, rounds=1)
LOOK = 12  # one at which the runs are on their way
PROVENANCE = Provenance("2026-01-31", {}, "0123456789ab")


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def made_up(**changes):
    numbers = {"validation": {}, "test": {}, "curves": {}, "seconds": {}} | changes
    return study.Result(config=SMALL, provenance=PROVENANCE, **numbers)


def test_a_run_arrives_at_the_first_look_at_which_it_has_the_accuracy(result):
    curve = result.curves["batch_norm"]
    best = result.best_rate("batch_norm")
    assert best == 1  # the other rate arrives later, so that this one is looked at again after it has arrived
    for seed, steps in enumerate(result.validation["batch_norm"][best]):
        reached = curve[:, seed] >= SMALL.accuracy
        assert steps == SMALL.steps_to_look_at()[reached.argmax()]
        assert reached.argmax() > 0  # a first look that had it could not tell the first from any other


def test_a_run_that_is_given_up_never_arrives(result):
    assert np.isinf(result.validation["no_norm"][0]).all()
    assert np.isfinite(result.validation["batch_norm"]).all()


def test_a_curve_is_that_of_a_network_trained_alone(result):
    best, step = result.best_rate("batch_norm"), SMALL.steps_to_look_at()[LOOK]
    models = [
        mlp(64, 10, depth=3, width=20, norm=study.BatchNorm1d, activation=nn.Sigmoid, generator=generator)
        for generator in (torch.Generator().manual_seed(seed) for seed in SMALL.seeds)
    ]
    rates, seeds = [SMALL.learning_rates[best]] * 2, SMALL.seeds
    # The order of the data is drawn for the whole training, so that its start does not depend on its length.
    alone = train_ensemble(models, digits().train, learning_rates=rates, seeds=seeds, steps=step, batch_size=60)
    expected = alone.accuracy(digits().validation).numpy()
    assert result.curves["batch_norm"][LOOK] == pytest.approx(expected, abs=1 / 360)
    assert expected[0] != expected[1]


def test_a_curve_ends_when_every_run_of_the_arm_has_arrived(result):
    seen = ~np.isnan(result.curves["batch_norm"]).any(axis=1)
    assert not seen.all()
    slowest = max(result.validation["batch_norm"].max(), result.test["batch_norm"].max())
    assert np.array(SMALL.steps_to_look_at())[seen].max() >= slowest
    assert not np.isnan(result.curves["no_norm"]).any()  # one of its rates never arrived


def test_steps_on_test_images_are_those_of_other_images_at_the_best_rate(monkeypatch, result):
    data = digits()
    monkeypatch.setitem(DATASETS, "digits", lambda: data._replace(validation=data.test, test=data.validation))
    swapped = study.run(SMALL)
    for arm in study.ARMS:
        assert np.array_equal(result.test[arm], swapped.validation[arm][result.best_rate(arm)])
    best = result.best_rate("batch_norm")
    assert not np.array_equal(result.test["batch_norm"], result.validation["batch_norm"][best])


def test_arms_with_the_same_norm_give_the_same_numbers(monkeypatch):
    monkeypatch.setattr(study, "ARMS", {"no_norm": study.BatchNorm1d, "batch_norm": study.BatchNorm1d})
    result = study.run(SMALL)
    assert np.array_equal(result.validation["no_norm"], result.validation["batch_norm"])
    assert np.array_equal(result.times_fewer_steps(), [1, 1])


def test_the_activation_is_the_one_that_was_asked_for():
    relu = study.run(study.Config(**vars(SMALL) | {"activation": "relu"}))
    assert np.isfinite(relu.validation["no_norm"][0]).all()  # where no sigmoid network arrived


@pytest.mark.parametrize(
    ("steps", "fastest"),
    [
        ([[30.0, 40, 50], [20, 30, 90], [np.inf] * 3], 1),  # by the median, not by the mean
        ([[30.0, 40, np.inf], [30, 50, 50], [np.inf] * 3], 0),  # one that never arrived is no reason against a rate
        ([[np.inf] * 4, [10.0, 20, np.inf, np.inf], [10, 20, 30, np.inf]], 2),
    ],
)
def test_the_best_rate_has_the_lowest_median(steps, fastest):
    assert made_up(validation={"no_norm": np.array(steps)}).best_rate("no_norm") == fastest


def test_ratios_are_paired_by_seed_and_time_is_steps_times_their_cost():
    result = made_up(
        test={"no_norm": np.array([60.0, np.inf]), "batch_norm": np.array([20.0, 10.0])},
        seconds={"no_norm": np.array([1e-3, 2e-3]), "batch_norm": np.array([1.5e-3, 4e-3])},
    )
    assert result.times_fewer_steps() == pytest.approx([3, np.inf])
    assert result.cost_of_a_step() == pytest.approx([1.5, 2])
    assert result.times_less_time() == pytest.approx([2, np.inf])


def test_a_run_with_batch_norm_that_never_arrived_has_no_ratio():
    result = made_up(test={"no_norm": np.array([np.inf, 20.0]), "batch_norm": np.array([np.inf, 10.0])})
    with pytest.raises(ValueError, match="every run with batch norm to arrive, got one that was given up"):
        result.times_fewer_steps()


def test_looks_start_with_the_first_step_and_end_with_the_last():
    looks = study.Config().steps_to_look_at()
    assert (looks[0], looks[-1]) == (1, 1000)
    late = [(after - before) / before for before, after in pairwise(looks) if before > 20]
    assert max(late) < 0.2  # what a look can miss


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "tanh"}, "^activation: expected one of sigmoid, relu, got 'tanh'$"),
        ({"accuracy": 90.0}, r"^accuracy: expected at most 1, got 90\.0$"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        study.Config(**changes)
