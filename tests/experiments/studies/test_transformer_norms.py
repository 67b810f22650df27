import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from bnlab.experiments.data import Dataset, Split
from bnlab.experiments.sequence_models import UNSCORED
from bnlab.experiments.studies import transformer_norms as study
from bnlab.experiments.token_data import VOCABULARY, encoded, number_words
from bnlab.experiments.training import Ensemble

SMALL = study.Config(learning_rates=(1e-6, 0.03), seeds=(0, 1), steps=60, batch_size=32)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def test_every_arm_is_trained_at_every_rate(result):
    assert set(result.validation) == set(study.NORMS)
    for arm in study.NORMS:
        assert result.validation[arm].shape == (2, 2)
        assert result.test[arm].shape == result.training_mode[arm].shape == result.evaluation_mode[arm].shape == (2,)


def test_training_lowers_the_loss(result):
    for arm in ("layer_norm", "rms_norm", "batch_norm", "batch_norm_real"):
        assert (result.evaluation_mode[arm] < 2).all()  # of log 43 = 3.8 for a guess


def test_modes_are_the_same_for_norms_of_one_step_and_differ_for_batch_norm(result):
    for arm in study.NORMS:
        same = np.array_equal(result.training_mode[arm], result.evaluation_mode[arm])
        assert same == (arm in {"layer_norm", "rms_norm"})


def test_arms_start_from_the_same_weights():
    weights = [study.network(SMALL, arm, seed=5).head.weight for arm in study.NORMS]
    assert all(torch.equal(weights[0], other) for other in weights)


def test_a_number_counts_if_all_its_scored_steps_are_right(monkeypatch):
    split = encoded([7, 121, 40])
    logits = torch.nn.functional.one_hot(split.y.clamp(min=0), len(VOCABULARY)).float()[None].repeat(2, 1, 1, 1)
    logits[0, 1, 5] = 0  # one word of 121 in the first member
    logits[1, 2, 0] = 0  # a step of 40 that is not scored
    monkeypatch.setattr(study, "_logits", lambda *_, **__: logits)
    ensemble = Ensemble.of([study.network(SMALL, "layer_norm", seed) for seed in (0, 1)])
    assert study.accuracy(ensemble, split).tolist() == pytest.approx([2 / 3, 1])


@pytest.mark.parametrize("training", [True, False])
def test_the_loss_is_the_mean_over_scored_steps(training):
    split = Split(*(tensor[:24] for tensor in number_words().validation))
    model = study.network(SMALL, "batch_norm", seed=1)
    model(split.x)
    ensemble = Ensemble.of([model])
    expected = cross_entropy(model.train(training)(split.x).double(), split.y)
    assert study.loss(ensemble, split, 24, training=training).item() == pytest.approx(expected.item(), rel=1e-5)
    by_eight = study.loss(ensemble, split, 8, training=training).item()
    assert (by_eight == pytest.approx(expected.item(), rel=1e-5)) != training


def test_validation_chooses_and_the_test_split_is_read_at_that_rate(monkeypatch):
    data = number_words()
    wrong = torch.where(data.validation.y == UNSCORED, UNSCORED, 2)  # "=" is never right
    monkeypatch.setattr(
        study, "number_words", lambda: Dataset(data.train, data.validation, Split(data.validation.x, wrong))
    )
    monkeypatch.setattr(study, "NORMS", {"layer_norm": study.NORMS["layer_norm"]})
    result = study.run(study.Config(**vars(SMALL) | {"steps": 150}))
    assert result.best_rate("layer_norm") == 0.03
    assert (result.test["layer_norm"] == 0).all()
