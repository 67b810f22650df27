import numpy as np
import pytest

from bnlab.experiments.data import DATASETS, digits
from bnlab.experiments.studies import init_sensitivity as study

SMALL = study.Config(
    scales=(0.1, 1.0, 10.0), learning_rates=(0.1, 1.0), small_rates=(1e-5,), seeds=(0, 1), depth=4, width=24, steps=40
)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def test_batch_norm_trains_from_every_start_and_the_plain_network_from_one(result):
    assert (result.test["batch_norm"] > 0.5).all()
    assert (result.test["no_norm"][1] > 0.5).all()
    assert (result.test["no_norm"][[0, 2]] < 0.5).all()


def test_at_the_common_rate_the_large_start_is_slow_with_batch_norm(result):
    common, best = result.test_at_common_rate["batch_norm"], result.test["batch_norm"]
    assert (common[2] < common[1] - 0.1).all()
    assert (common[2] < best[2]).all()


def test_only_the_arm_without_norm_has_the_small_rates(result):
    assert SMALL.rates_of("no_norm") == (1e-5, 0.1, 1.0)
    assert SMALL.rates_of("batch_norm") == (0.1, 1.0)
    assert [result.validation[arm].shape for arm in study.ARMS] == [(3, 3, 2), (3, 2, 2)]


def test_arms_with_the_same_norm_give_the_same_numbers(monkeypatch):
    # What the arms share (draws, batches, steps) is the control of the comparison.
    monkeypatch.setattr(study, "ARMS", {"one": None, "other": None})
    result = study.run(SMALL)
    assert np.array_equal(result.validation["one"], result.validation["other"])
    assert len(np.unique(result.validation["one"])) > 2


def test_the_scale_multiplies_hidden_weights_and_nothing_else():
    one, ten = (study.network(SMALL, "batch_norm", scale=scale, seed=3).state_dict() for scale in (1.0, 10.0))
    for name, values in one.items():
        hidden = values.ndim == 2 and len(values) == SMALL.width
        assert np.allclose(ten[name], (10 if hidden else 1) * values), name


def test_the_best_rate_of_a_scale_is_that_of_the_highest_median():
    validation = np.array([[[0.9, 0.9, 0.1], [0.8, 0.8, 0.99]], [[0.1, 0.1, 0.9], [0.2, 0.2, 0.2]]])
    assert study.best_by_scale(validation) == [0, 1]


def test_test_accuracy_is_that_of_the_rate_chosen_in_validation(result):
    chosen = result.best_rates("batch_norm")
    for scale, rate in enumerate(chosen):
        if rate == SMALL.common_rate:
            assert np.array_equal(result.test["batch_norm"][scale], result.test_at_common_rate["batch_norm"][scale])
    assert set(chosen) == {0.1, 1.0}  # both cases occur


def test_validation_and_test_are_of_different_images(monkeypatch):
    data = digits()
    monkeypatch.setitem(DATASETS, "digits", lambda: data._replace(test=data.validation))
    result = study.run(SMALL)
    best = [result.config.rates_of("batch_norm").index(rate) for rate in result.best_rates("batch_norm")]
    assert np.array_equal(result.test["batch_norm"], result.validation["batch_norm"][range(3), best])


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"common_rate": 0.2}, r"common_rate: expected one of the learning rates \(0\.01, 0\.1, 1\.0\), got 0\.2"),
        ({"scales": (1.0, 0.0)}, "scales: expected more than 0, got 0"),
    ],
)
def test_settings_that_cannot_be_run_are_refused(settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        study.Config(**settings)


def test_a_scale_that_was_not_run_is_named(result):
    assert result.at(10.0) == 2
    with pytest.raises(ValueError, match=r"expected one of the scales \(0\.1, 1\.0, 10\.0\), got 30\.0"):
        result.at(30.0)
