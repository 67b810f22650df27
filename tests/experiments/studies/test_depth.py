import numpy as np
import pytest
import torch
from torch import nn

from bnlab.experiments.data import DATASETS, Split, digits
from bnlab.experiments.models import PreactivationBlock
from bnlab.experiments.studies import depth as study

SMALL = study.Config(
    depths=(2, 4),
    residual_depths=(4,),
    plain_rates=((1e-6, 0.1), (0.1, 1e-6)),
    plain_norm_rates=((1e-6, 0.3), (0.3, 1e-6)),
    residual_rates=((1e-6, 0.1),),
    residual_norm_rates=((0.1, 0.3, 1.0),),
    skip_init_rates=((0.1,),),
    seeds=(0, 1),
    width=24,
    steps=80,
)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def test_each_arm_has_its_own_depths_and_rates(result):
    assert result.validation["plain"].shape == (2, 2, 2)
    assert result.validation["residual_norm"].shape == (1, 3, 2)
    assert result.train["skip_init"].shape == (1, 2)
    assert SMALL.rates_of("plain_norm") == ((1e-6, 0.3), (0.3, 1e-6))


def test_accuracy_is_that_at_the_best_rate_of_each_depth(result):
    assert result.best_rates("plain") == (0.1, 0.1)
    assert result.best_rates("plain_norm") == (0.3, 0.3)
    assert (result.train["plain_norm"] > 0.6).all()  # at the other rate nothing is learned
    assert result.trained("plain_norm", 4) == pytest.approx(result.train["plain_norm"][1])


def test_a_depth_that_was_not_run_is_refused(result):
    with pytest.raises(ValueError, match="depth: expected one of 4, got 20"):
        result.trained("residual", 20)


def test_a_residual_network_has_as_many_hidden_layers_as_it_is_said_to():
    model = study.network(SMALL, "residual", 4, seed=0)
    assert len([layer for layer in model if isinstance(layer, PreactivationBlock)]) == 2
    assert len([m for m in model.modules() if isinstance(m, nn.Linear)]) == 4 + 2  # stem and head


@pytest.mark.parametrize("arms", [study.PLAIN, study.RESIDUAL])
def test_arms_of_one_kind_start_from_the_same_weights(arms):
    first, *others = (
        [m.weight for m in study.network(SMALL, arm, 4, seed=3).modules() if isinstance(m, nn.Linear)] for arm in arms
    )
    for other in others:
        assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_batch_norm_is_judged_by_exact_statistics_and_nothing_else_is(monkeypatch):
    seen = []
    monkeypatch.setattr(
        study, "recalibrated", lambda ensemble, split: seen.append((ensemble, len(split.y))) or ensemble
    )
    study.run(study.Config(**vars(SMALL) | {"steps": 1}))
    kinds = [{type(m).__name__ for m in ensemble.architecture.modules()} for ensemble, _ in seen]
    assert len(seen) == 3  # two plain depths, one residual
    assert all("BatchNorm1d" in names for names in kinds)
    assert {examples for _, examples in seen} == {1077}
    assert {arm for arm in study.PLAIN | study.RESIDUAL if "norm" in arm} == set(study.NORMALISED)


def test_odd_residual_depths_are_refused():
    with pytest.raises(ValueError, match="residual_depths: expected even numbers, got 5"):
        study.Config(residual_depths=(4, 5))


def test_every_depth_needs_its_rates():
    with pytest.raises(ValueError, match="plain_rates: expected learning rates for each of 1 depths, got 3 lists"):
        study.Config(depths=(4,))
    with pytest.raises(ValueError, match="residual_rates: expected as many learning rates at each depth, got "):
        study.Config(residual_rates=((0.1,), (0.1, 0.3)))


def test_accuracy_is_that_on_the_training_split(monkeypatch):
    data = digits()
    wrong = Split(data.validation.x, (data.validation.y + 1) % 10)
    monkeypatch.setitem(DATASETS, "digits", lambda: data._replace(validation=wrong))
    one_rate = dict.fromkeys(("residual_rates", "residual_norm_rates", "skip_init_rates"), ((0.1,),))
    plain = {"depths": (2,), "plain_rates": ((0.1,),), "plain_norm_rates": ((0.3,),)}
    result = study.run(study.Config(**vars(SMALL) | one_rate | plain))
    assert (result.train["plain_norm"] > 0.6).all()  # of the validation images, whose classes are wrong, hardly any
    assert (result.validation["plain_norm"] < 0.1).all()


def test_the_test_split_is_not_read(monkeypatch, result):
    tuned = []
    monkeypatch.setattr(study, "for_tuning", lambda data: tuned.append(data) or data._replace(test=None))
    again = study.run(SMALL)
    assert tuned
    assert np.array_equal(again.train["plain"], result.train["plain"])
