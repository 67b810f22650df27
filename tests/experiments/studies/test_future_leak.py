import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from bnlab.experiments.studies import future_leak as study
from bnlab.experiments.token_data import coin_tosses
from bnlab.experiments.training import Ensemble

SMALL = study.Config(tosses=5, batch_sizes=(1, 8), edited=3, probes=3, seeds=(0, 1), steps=60)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def test_with_layer_norm_nothing_before_the_changed_token_moves_nor_any_other_sequence(result):
    assert (result.moved["layer_norm"][:, :3] == 0).all()
    assert (result.moved["layer_norm"][:, 3:] > 0).all()
    assert (result.moved_elsewhere["layer_norm"][1] == 0).all()


def test_with_batch_norm_every_step_of_every_sequence_moves_less_in_a_larger_batch(result):
    moved = result.moved["batch_norm"]
    assert moved.shape == (2, 5, 2)
    assert (moved[1, :3] > 1e-3).all()
    assert (moved[0, :3] > moved[1, :3]).all()
    assert (result.moved_elsewhere["batch_norm"][1] > 1e-3).all()


def test_moves_are_shares_of_that_at_the_changed_token_and_alone_there_are_no_others(result):
    for arm in study.NORMS:
        assert result.moved[arm][:, 3] == pytest.approx(1)
        assert np.isnan(result.moved_elsewhere[arm][0]).all()


def test_moves_are_measured_on_the_logits_of_one_turned_token():
    x = coin_tosses(5).x
    model = study.network(SMALL, "batch_norm", seed=7)
    config = study.Config(**vars(SMALL) | {"probes": 1})
    here, elsewhere = study.moves(Ensemble.of([model]), x, 4, config)
    before = x[torch.randperm(32, generator=torch.Generator().manual_seed(0))[:4]]
    after = before.clone()
    after[0, 3] = 3 - before[0, 3]
    moved = (model(after) - model(before)).detach().square().mean(1).sqrt()
    torch.testing.assert_close(here[:, 0], moved[0] / moved[0, 3])
    rest = moved[1:].square().mean(0).sqrt() / moved[0, 3]
    torch.testing.assert_close(elsewhere[:, 0], rest)


@pytest.mark.parametrize("training", [True, False])
def test_the_loss_is_that_of_every_sequence_once_and_leaves_the_network_alone(training):
    split, model = coin_tosses(5), study.network(SMALL, "batch_norm", seed=7)
    model(split.x)  # so that the running statistics differ from a batch's
    ensemble = Ensemble.of([model])
    buffers = {name: buffer.clone() for name, buffer in ensemble.buffers.items()}
    found = study.loss(ensemble, split, 32, training=training)
    expected = cross_entropy(model.train(training)(split.x).double(), split.y)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert all(torch.equal(buffers[name], buffer) for name, buffer in ensemble.buffers.items())
    by_four = study.loss(ensemble, split, 4, training=training).item()
    assert (by_four == pytest.approx(found.item(), rel=1e-5)) != training


def test_a_network_that_is_not_told_stays_above_the_floor(result):
    for losses in (result.training_mode["layer_norm"], *result.evaluation_mode.values()):
        assert (losses > study.FLOOR - 1e-6).all()
    assert np.array_equal(result.training_mode["layer_norm"], result.evaluation_mode["layer_norm"])


def test_a_network_that_is_told_goes_below_it():
    config = study.Config(tosses=5, batch_sizes=(1,), edited=3, probes=1, seeds=(0, 1), steps=250)
    losses = study.run(config)
    assert (losses.training_mode["batch_norm"] < 0.97 * study.FLOOR).all()
    assert (losses.evaluation_mode["batch_norm"] > study.FLOOR).all()


def test_arms_start_from_the_same_weights():
    one, other = (study.network(SMALL, arm, seed=5) for arm in study.NORMS)
    assert torch.equal(one.head.weight, other.head.weight)
    assert torch.equal(one.token.weight, other.token.weight)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edited": 8}, "edited: expected a step below 8, got 8"),
        ({"batch_sizes": (2, 3)}, "batch_sizes: expected divisors of 256, got 3"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        study.Config(**changes)
