import numpy as np
import pytest
import torch
from torch import nn

from bnlab.experiments.data import DATASETS, Dataset, Split, digits
from bnlab.experiments.studies import small_cnns as study

EVERY_ARM = tuple(study.Config().arms())
SMALL = study.Config(compared=EVERY_ARM, learning_rates=(1e-6, 0.3), seeds=(0, 1), depth=2, blocks=1, steps=30)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def test_norms_stand_where_the_arm_says():
    def kinds(arm):
        return [type(m).__name__ for m in study.network(SMALL, arm, seed=0).modules() if not list(m.children())]

    assert "BatchNorm2d" not in kinds("no_norm") + kinds("residual")
    assert kinds("before")[:3] == ["Conv2d", "BatchNorm2d", "ReLU"]
    assert kinds("after")[:3] == ["Conv2d", "ReLU", "BatchNorm2d"]
    gammas = dict(study.network(SMALL, "zero_gamma", seed=0).named_parameters())
    assert gammas["3.branch.4.weight"].abs().max() == 0


@pytest.mark.parametrize("arms", [EVERY_ARM[:3], EVERY_ARM[3:]])
def test_networks_of_one_kind_start_from_the_same_weights(arms):
    first, *others = (
        [m.weight for m in study.network(SMALL, arm, seed=3).modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        for arm in arms
    )
    for other in others:
        assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_numbers_are_those_at_the_best_rate(result):
    assert {result.best_rate(arm) for arm in ("before", "after")} == {0.3}
    assert (result.train["after"] > 0.4).all()
    assert set(result.test) == set(EVERY_ARM)


def test_the_rate_is_not_chosen_on_the_test_split(monkeypatch):
    data = digits()
    wrong = Dataset(data.train, data.validation, Split(data.test.x, (data.test.y + 1) % 10))
    monkeypatch.setitem(DATASETS, "digits", lambda: wrong)
    result = study.run(study.Config(**vars(SMALL) | {"compared": ("after",), "steps": 60}))
    assert result.best_rate("after") == 0.3
    assert (result.test["after"] < 0.1).all()


def test_the_arms_that_are_compared_are_trained_and_no_others():
    result = study.run(study.Config(**vars(SMALL) | {"compared": ("after", "no_norm"), "steps": 2}))
    assert list(result.test) == ["after", "no_norm"]
    assert np.shape(result.validation["after"]) == (2, 2)


def test_batch_norm_is_judged_by_the_statistics_of_the_whole_training_split(monkeypatch):
    seen = []
    monkeypatch.setattr(
        study, "recalibrated", lambda ensemble, split: seen.append((ensemble, len(split.y))) or ensemble
    )
    study.run(study.Config(**vars(SMALL) | {"steps": 1}))
    assert [any(isinstance(m, study.BatchNorm2d) for m in ensemble.architecture.modules()) for ensemble, _ in seen] == [
        True
    ] * len(study.NORMALISED)
    assert {examples for _, examples in seen} == {1077}
    assert set(study.NORMALISED) == set(EVERY_ARM) - {"no_norm", "residual"}


def test_an_unknown_arm_is_refused():
    with pytest.raises(ValueError, match=r"compared: expected names of arms \(no_norm, .*\), got 'between'"):
        study.Config(compared=("between",))
