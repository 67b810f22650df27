from functools import partial

import numpy as np
import pytest
import torch

from bnlab.deploy import recalibrate
from bnlab.experiments.data import mnist1d
from bnlab.experiments.models import mlp
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import result as stored_or_rerun
from bnlab.experiments.studies import running_statistics as study
from bnlab.experiments.training import train_ensemble
from bnlab.layers import BatchNorm1d

SMALL = study.Config(
    momenta=(0.01, 0.1), steps=(20, 60), learning_rates=(0.1, 1.0), seeds=(0, 1), depth=2, width=32, batch_size=50
)
PROVENANCE = Provenance("2026-01-31", {}, "0123456789ab")
ONE_IMAGE = 1.5e-3  # of the 1,000: another order of summation may move one across a boundary


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def trained(steps, *, momentum):
    """The same networks, trained in the ordinary way with the layer's own running statistics."""
    members = [(rate, seed) for rate in SMALL.learning_rates for seed in SMALL.seeds]
    norm = partial(BatchNorm1d, momentum=momentum)
    models = [
        mlp(40, 10, depth=2, width=32, norm=norm, generator=torch.Generator().manual_seed(seed)) for _, seed in members
    ]
    rates, seeds = zip(*members, strict=True)
    return train_ensemble(models, mnist1d().train, learning_rates=rates, seeds=seeds, steps=steps, batch_size=50)


@pytest.mark.parametrize("momentum", range(2))
@pytest.mark.parametrize("step", range(2))
def test_each_average_is_that_of_a_layer_with_this_momentum(result, momentum, step):
    ensemble = trained(SMALL.steps[step], momentum=SMALL.momenta[momentum])
    ours = result.running[:, step, momentum].ravel()
    assert ours == pytest.approx(ensemble.accuracy(mnist1d().test).numpy(), abs=ONE_IMAGE)
    assert len(set(ours)) > 2  # rates and seeds do differ


def test_the_ceiling_is_that_of_the_recalibrated_network(result):
    data = mnist1d()
    model = trained(60, momentum=0.1).member(2)  # the second rate, the first seed
    recalibrate(model, data.train.x.split(50))
    right = [(model.eval()(split.x).argmax(-1) == split.y).double().mean() for split in (data.test, data.validation)]
    found = [result.recalibrated[1, 1, 0], result.validation[1, 0]]
    assert found == pytest.approx([accuracy.item() for accuracy in right], abs=ONE_IMAGE)


def test_recalibration_runs_in_batches_of_the_size_of_training():
    train = mnist1d().train
    ensemble = trained(5, momentum=0.1)
    alone = ensemble.member(3)
    recalibrate(alone, train.x.split(10))  # small, so that the second layer's input depends on it
    exact = study._recalibrated(ensemble, train, 10)
    torch.testing.assert_close(exact.buffers["5.running_var"][3], alone.get_buffer("5.running_var"))


def test_a_slow_average_has_not_arrived_after_twenty_steps(result):
    assert (result.gap(1)[0, 0] > 0.05).all()


def test_after_one_step_any_average_without_its_start_is_that_one_batch():
    config = study.Config(momenta=(0.01, 1.0), steps=(1,), learning_rates=(1.0,), seeds=(0, 1, 2), depth=2, width=32)
    result = study.run(config)
    assert result.corrected[0, 0, 0] == pytest.approx(result.running[0, 0, 1], abs=ONE_IMAGE)
    assert (result.running[0, 0, 0] != result.running[0, 0, 1]).all()  # else the start would not matter


def test_the_gap_is_recalibrated_minus_running_for_the_same_network():
    config = study.Config(momenta=(0.01, 0.1), steps=(10,), learning_rates=(0.1, 1.0), seeds=(0, 1))
    running = np.zeros((2, 1, 2, 2))
    running[1] = [[[0.1, 0.2], [0.5, 0.4]]]
    recalibrated = np.array([[[0.9, 0.9]], [[0.5, 0.6]]])
    result = study.Result(
        config=config,
        provenance=PROVENANCE,
        validation=np.zeros((2, 2)),
        running=running,
        corrected=running / 2,
        recalibrated=recalibrated,
    )
    assert result.gap(1) == pytest.approx(np.array([[[0.4, 0.4], [0.0, 0.2]]]))
    assert result.gap_without_start(1) == pytest.approx(np.array([[[0.45, 0.5], [0.25, 0.4]]]))


def test_an_average_without_its_start_has_that_of_the_batches_alone(rng):
    seen = torch.from_numpy(rng.normal(5, 1, size=(30, 4)))
    start = {"running_var": torch.ones(4).double(), "num_batches_tracked": torch.tensor(0)}
    average = {name: value.clone() for name, value in start.items()}
    for batch in seen:
        study._move(average, {"running_var": batch, "num_batches_tracked": torch.tensor(1)}, 0.02)
    weights = 0.98 ** torch.arange(29, -1, -1).double()
    corrected = study._without(start, average, 0.98**30)
    torch.testing.assert_close(corrected["running_var"], (weights / weights.sum()) @ seen)


def test_without_its_start_a_slow_average_is_nearer_and_a_fast_one_the_same(result):
    assert (result.gap_without_start(1)[0, 0] < result.gap(1)[0, 0]).all()
    assert result.gap_without_start(1)[1, 1] == pytest.approx(result.gap(1)[1, 1], abs=0.005)


def test_the_best_rate_is_chosen_on_validation_data():
    validation = np.array([[0.6, 0.6], [0.5, 0.8], [0.1, 0.9]])  # the middle one has the highest mean
    test_accuracy = np.array([[[0.9, 0.9]], [[0.1, 0.1]], [[0.9, 0.9]]])
    result = study.Result(
        config=study.Config(),
        provenance=PROVENANCE,
        validation=validation,
        running=test_accuracy[:, :, None],
        corrected=test_accuracy[:, :, None],
        recalibrated=test_accuracy,
    )
    assert result.best_rate() == 1


def test_the_stored_result_is_whole():
    config, result = study.Config(), stored_or_rerun("running_statistics")
    rates, steps, momenta, seeds = (
        len(each) for each in (config.learning_rates, config.steps, config.momenta, config.seeds)
    )
    assert result.config == config
    assert result.validation.shape == (rates, seeds)
    assert result.running.shape == result.corrected.shape == (rates, steps, momenta, seeds)
    assert result.recalibrated.shape == (rates, steps, seeds)
    assert seeds == 10


def test_a_part_of_the_stored_result_comes_out_again():
    stored = stored_or_rerun("running_statistics")
    config = study.Config(learning_rates=stored.config.learning_rates[:1], seeds=(0, 9), steps=(100,))
    anew = study.run(config)
    # A hundred steps in float32 elsewhere end in slightly other weights; the seeds differ by more than this.
    assert anew.running[0, 0] == pytest.approx(stored.running[0, 0][:, [0, 9]], abs=0.015)
    assert anew.corrected[0, 0] == pytest.approx(stored.corrected[0, 0][:, [0, 9]], abs=0.015)
    assert anew.recalibrated[0, 0] == pytest.approx(stored.recalibrated[0, 0][[0, 9]], abs=0.015)


def test_rerun_computes_with_the_default_settings(monkeypatch):
    monkeypatch.setattr(study, "run", lambda config: config)
    assert stored_or_rerun("running_statistics", rerun=True) == study.Config()
