import numpy as np
import pytest
import torch
from torch import nn

from bnlab.experiments.data import DATASETS, Dataset, Split, digits
from bnlab.experiments.ensemble import Ensemble
from bnlab.experiments.studies import affine_only as study
from bnlab.experiments.training import train_ensemble
from bnlab.layers import BatchNorm2d

SMALL = study.Config(
    blocks=1, width=12, learning_rates=(1e-6, 0.1), head_rates=(0.3, 1e-6), seeds=(0, 1), steps=80, rate_of_all=0.03
)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def moved(arm, steps=3):
    """By parameter, the share of its numbers that training has moved."""
    model = study.network(SMALL, arm, seed=0)
    before = Ensemble.of([model]).parameters
    optimiser = study.AdamOfSome(masks=tuple(study.masks(arm, model).items()))
    trained = train_ensemble(
        [model], digits().train, learning_rates=[0.1], seeds=[0], steps=steps, batch_size=32, optimiser=optimiser
    ).parameters
    return {name: (trained[name] != before[name]).double().mean().item() for name in before}


def test_only_gamma_and_beta_move_in_the_arm_of_these():
    shares = moved("affine")
    model = study.network(SMALL, "affine", seed=0)
    norms = {name for name, m in model.named_modules() if isinstance(m, BatchNorm2d)}
    for name, share in shares.items():
        assert (share > 0) == (name.rpartition(".")[0] in norms), name


def test_two_weights_of_each_filter_move_in_the_random_arm():
    shares = moved("random")
    filters = {name: p for name, p in study.network(SMALL, "random", seed=0).named_parameters() if p.ndim == 4}
    assert {name for name, share in shares.items() if share} == set(filters)
    assert shares["0.weight"] == pytest.approx(2 / 9)
    for mask in study.masks("random", study.network(SMALL, "random", seed=0)).values():
        assert (mask.flatten(1).sum(1) == 2).all()


def test_the_head_moves_alone_or_everything_does():
    assert [name for name, share in moved("head").items() if share] == ["6.weight", "6.bias"]
    assert all(moved("all").values())


def test_as_many_numbers_are_trained_in_the_control(result):
    model = study.network(SMALL, "all", seed=0)
    gammas = sum(m.num_features for m in model.modules() if isinstance(m, BatchNorm2d))
    assert result.trained["affine"] == result.trained["random"] == 2 * gammas
    assert result.trained["all"] == sum(p.numel() for p in model.parameters())
    assert result.trained["head"] == 10 * 12 + 10


def test_gammas_are_those_of_the_best_rate_and_untouched_where_they_are_not_trained(result):
    assert result.gamma["affine"].shape == (2, 3 * 12)
    assert result.best_rate("affine") == 0.1
    assert (np.abs(result.gamma["affine"] - 1) > 0.05).any()
    assert (result.gamma["random"] == 1).all()


def test_gammas_near_zero_count_as_switched_off_whatever_their_sign(result):
    gamma = {"affine": np.array([[0.04, -0.04, -1.0, 0.06], [1.0, 1.0, 1.0, -0.01]])}
    changed = study.Result(**vars(result) | {"gamma": gamma})
    assert changed.switched_off("affine") == pytest.approx([0.5, 0.25])


def test_arms_start_from_the_same_weights():
    first, *others = (
        [m.weight for m in study.network(SMALL, arm, seed=3).modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        for arm in study.ARMS
    )
    for other in others:
        assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_rate_is_not_chosen_on_the_test_split(monkeypatch):
    data = digits()
    wrong = Dataset(data.train, data.validation, Split(data.test.x, (data.test.y + 1) % 10))
    monkeypatch.setitem(DATASETS, "digits", lambda: wrong)
    result = study.run(SMALL)
    assert result.best_rate("head") == 0.3
    assert (result.test["all"] < 0.1).all()
