import numpy as np
import pytest
import torch
from torch import nn

from bnlab.experiments.data import DATASETS, Dataset, Split, digits
from bnlab.experiments.models import mlp
from bnlab.experiments.studies import dropout_before_norm as study
from bnlab.experiments.training import Ensemble
from bnlab.layers import BatchNorm1d

SMALL = study.Config(dataset="digits", learning_rates=(1e-6, 0.1), seeds=(0, 1), depth=3, width=32, steps=60)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def kinds(arm):
    return [type(layer).__name__ for layer in study.network(SMALL, arm, seed=0)]


def test_dropout_stands_where_the_arm_says():
    block = ["Linear", "BatchNorm1d", "ReLU"]
    assert kinds("none") == ["Flatten", *3 * block, "Linear"]
    assert kinds("before_norms") == ["Flatten", *3 * [*block, "Dropout"], "Linear"]
    assert kinds("behind_the_last") == ["Flatten", *3 * block, "Dropout", "Linear"]
    for arm in ("before_norms", "behind_the_last"):
        probabilities = {m.p for m in study.network(SMALL, arm, seed=0) if isinstance(m, nn.Dropout)}
        assert probabilities == {SMALL.dropout}


def test_arms_start_from_the_same_weights():
    first, *others = ([p for p in study.network(SMALL, arm, seed=3).parameters() if p.ndim > 1] for arm in study.ARMS)
    for other in others:
        assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_only_behind_dropout_is_the_stored_variance_that_of_another_network(result):
    assert result.variance["before_norms"].shape == (3, 2)
    for arm in ("none", "behind_the_last"):
        assert result.variance[arm] == pytest.approx(1, abs=0.15)
    first, *others = result.variance["before_norms"]
    assert first == pytest.approx(1, abs=0.15)
    assert max(variance.max() for variance in others) < 0.85


def test_numbers_are_those_at_the_best_rate(result):
    assert all(rates.shape == (2, 2) for rates in result.validation.values())
    assert all(result.validation[arm][1].min() > 0.5 + result.validation[arm][0].max() for arm in study.ARMS)
    assert all((accuracies > 0.6).all() for accuracies in (*result.running.values(), *result.exact.values()))


def test_variance_is_the_evaluated_one_in_units_of_the_stored_one():
    models = [mlp(4, 2, depth=1, width=3, norm=BatchNorm1d) for _ in range(2)]
    evaluated, stored = Ensemble.of(models), Ensemble.of(models)
    name = "2.running_var"
    evaluated.buffers[name] = torch.tensor([[1.0, 3.0, 8.0], [2.0, 2.0, 2.0]])
    stored.buffers[name] = torch.tensor([[1.0, 1.0, 2.0], [4.0, 4.0, 1.0]])
    assert study._variances(evaluated, stored) == pytest.approx(np.array([[3.0, 0.5]]))  # medians over the channels


def test_exact_statistics_are_those_of_the_training_split_without_dropout(monkeypatch):
    seen = []
    original = study.recalibrated
    monkeypatch.setattr(study, "recalibrated", lambda *given: seen.append(given) or original(*given))
    result = study.run(study.Config(**vars(SMALL) | {"learning_rates": (0.1,), "steps": 3}))
    assert [len(split.y) for _, split in seen] == [1077] * 3
    for (trained, _), arm in zip(seen, study.ARMS, strict=True):
        for index in range(2):
            model, x = trained.member(index).eval(), digits().train.x
            for place, layer in enumerate(model):
                if isinstance(layer, BatchNorm1d):
                    layer.running_mean.copy_(x.mean(0).detach())
                    layer.running_var.copy_(x.var(0).detach())
                    stored = trained.buffers[f"{place}.running_var"][index]
                    met = (layer.running_var / stored).median().item()
                    norm = sum(isinstance(one, BatchNorm1d) for one in model[:place])
                    assert result.variance[arm][norm, index] == pytest.approx(met, rel=3e-3)  # running_var is unbiased
                x = layer(x)
            right = (model(digits().test.x).argmax(-1) == digits().test.y).double().mean().item()
            assert result.exact[arm][index] == pytest.approx(right, abs=1.5 / 360)


def test_the_rate_is_not_chosen_on_the_test_split(monkeypatch):
    data = digits()
    wrong = Dataset(data.train, data.validation, Split(data.test.x, (data.test.y + 1) % 10))
    monkeypatch.setitem(DATASETS, "digits", lambda: wrong)
    result = study.run(study.Config(**vars(SMALL) | {"steps": 30}))
    assert (result.exact["none"] < 0.08).all()  # of another class each; at 1e-6 it would be a guess
