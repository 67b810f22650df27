import numpy as np
import pytest
import torch
from torch import nn

from bnlab.experiments.data import digits
from bnlab.experiments.ensemble import Ensemble
from bnlab.experiments.studies import channel_importance as study
from bnlab.experiments.training import train, train_ensemble

SMALL = study.Config(depth=2, width=6, removed=2, draws=2, probed=64, steps=40, seeds=(0, 1), penalty=0.1)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


@pytest.fixture(scope="module")
def trained():
    model = study.network(SMALL, seed=0)
    train(model, digits().train, learning_rate=0.3, seed=0, steps=40, batch_size=32)
    return model.eval()


def test_removed_channels_give_zero_and_the_others_live_on(trained):
    removed = np.zeros((2, 6), dtype=bool)
    removed[0, 4] = removed[1, 0] = True
    pruned = study.without(trained, removed, digits().train.x)
    first, last = pruned[:3](digits().test.x), pruned[:6](digits().test.x)
    assert first[:, 4].abs().max() == last[:, 0].abs().max() == 0
    assert (first[:, :4].amax((0, 2, 3)) > 0).all()
    assert trained[1].weight[4] != 0  # the network itself stays whole


def test_statistics_are_recomputed_so_that_a_constant_channel_leaves_no_trace(trained):
    x, nothing = digits().train.x, np.zeros((2, 6), dtype=bool)
    pruned = study.without(trained, ~nothing * np.array([[True], [False]]), x)
    means = pruned[:4](x).mean((0, 2, 3))  # in front of the second norm
    torch.testing.assert_close(pruned[4].running_mean, means, atol=1e-5, rtol=1e-4)


def test_harm_is_the_rise_of_the_loss_when_a_channel_alone_is_gone(trained):
    probe = study.Split(*(part[:64] for part in digits().train))
    before = [parameter.clone() for parameter in trained.parameters()]
    harm = study.harms(trained, probe)
    alone = np.zeros((2, 6), dtype=bool)
    alone[1, 3] = True
    losses = [
        nn.functional.cross_entropy(study.without(trained, removed, probe.x)(probe.x), probe.y).item()
        for removed in (alone, np.zeros((2, 6), dtype=bool))
    ]
    assert harm.shape == (2, 6)
    assert harm[1, 3] == pytest.approx(losses[0] - losses[1], rel=0.1)  # unbiased variance there, biased here
    assert all(torch.equal(a, b) for a, b in zip(before, trained.parameters(), strict=True))


def test_the_smallest_are_chosen_in_each_norm():
    scores = np.array([[0.3, -1.0, 0.1], [5.0, 4.0, 6.0]])
    assert study.smallest(scores, 2).tolist() == [[False, True, True], [True, True, False]]
    assert not study.smallest(scores, 0).any()


def test_the_penalty_pulls_gammas_to_zero_and_nothing_else():
    moved = {}
    for arm in ("adam", "adam_penalised"):
        model = study.network(SMALL, seed=0)
        optimiser = study.optimiser(SMALL, arm, model)
        before = Ensemble.of([model]).parameters
        after = train_ensemble(
            [model], digits().train, learning_rates=[0.01], seeds=[0], steps=1, batch_size=32, optimiser=optimiser
        ).parameters
        moved[arm] = {name: after[name] - before[name] for name in before}
    different = {name for name, step in moved["adam"].items() if not torch.equal(step, moved["adam_penalised"][name])}
    assert different == {"1.weight", "4.weight"}
    assert (moved["adam_penalised"]["1.weight"] < 0).all()


def test_a_penalty_leaves_smaller_gammas(result):
    sizes = {arm: np.abs(gamma).mean() for arm, gamma in result.gamma.items()}
    assert sizes["adam_penalised"] < 0.9 * sizes["adam"]
    assert set(result.test) == {"sgd", "adam", "adam_penalised"}


def test_nothing_removed_is_the_best_and_every_rule_has_its_place(result):
    for arm in study.ARMS:
        assert result.test[arm].shape == (len(study.REMOVED), 2)
        assert (result.accuracy(arm, "none") >= result.accuracy(arm, "highest")).all()
    with pytest.raises(ValueError, match=r"removed: expected one of none, measured, .*, got 'all'"):
        result.accuracy("sgd", "all")


def test_the_channels_of_least_measured_harm_go_before_those_of_most(monkeypatch, trained):
    removed = []

    def without(model, channels, x):  # noqa: ARG001 - as study.without
        removed.append(channels)
        return model

    monkeypatch.setattr(study, "without", without)
    harm = np.array([[3.0, 1.0, 2.0, 6.0, 5.0, 4.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    study._tested(SMALL, trained, harm, 0, digits())
    at = study.REMOVED.index("measured")
    assert removed[at].tolist() == [[False, True, True, False, False, False], [True, True, False, False, False, False]]


def test_the_correlation_is_that_of_ranks_within_each_norm(result):
    gamma = {"sgd": np.array([[[-3.0, 2.0, 1.0], [10.0, 20.0, 30.0]]])}
    harm = {"sgd": np.array([[[9.0, 4.0, 1.0], [5.0, 6.0, 7.0]]])}
    agreeing = study.Result(**vars(result) | {"gamma": gamma, "harm": harm})
    assert agreeing.correlation("sgd") == pytest.approx([1.0])
    harm["sgd"] = harm["sgd"] * np.array([[[-1.0], [1.0]]])
    assert agreeing.correlation("sgd") == pytest.approx([0.0])  # -1 in one norm and 1 in the other


def test_at_least_one_channel_stays():
    with pytest.raises(ValueError, match="removed: expected less than the 6 channels of a norm, got 6"):
        study.Config(width=6, removed=6)
