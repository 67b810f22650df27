import numpy as np
import pytest
import torch
from torch import nn

from bnlab.experiments.data import DATASETS, Dataset, Split, digits
from bnlab.experiments.studies import small_batches as study

SMALL = study.Config(
    compared=("batch_norm", "layer_norm"), batch_sizes=(2, 32), learning_rates=(0.05, 0.2), seeds=(0, 1), width=16
)
CNN = study.Config(
    network="cnn", compared=("batch_norm", "group_norm"), batch_sizes=(32,), learning_rates=(0.1,), seeds=(0, 1)
)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def test_every_size_rate_and_seed_has_its_number(result):
    assert list(result.test) == ["batch_norm", "layer_norm"]
    assert result.validation["layer_norm"].shape == (2, 2, 2)
    assert result.test["layer_norm"].shape == result.train["batch_norm"].shape == (2, 2)
    assert set(result.recalibrated) == set(result.by_batch) == {"batch_norm"}
    assert result.by_batch["batch_norm"].shape == (2, 2)


def test_two_examples_cost_batch_norm_and_not_layer_norm(result):
    two = result.at(2)
    assert (result.test["batch_norm"][two] < result.test["layer_norm"][two] - 0.2).all()
    assert (result.test["batch_norm"][result.at(32)] > 0.6).all()


def test_a_batch_of_32_is_made_of_the_same_passes_as_one_of_2(monkeypatch):
    seen = []
    monkeypatch.setattr(study, "train_ensemble", lambda *_, **how: seen.append(how))
    for size in (2, 32):
        study._trained(SMALL, "batch_norm", size, digits().train)
    assert [how["steps"] for how in seen] == [1077 // 2, 1077 // 32]
    assert [how["batch_size"] for how in seen] == [2, 32]
    assert [how["learning_rates"][-1] for how in seen] == pytest.approx([0.2 / 16, 0.2])


def test_arms_start_from_the_same_weights():
    for config in (SMALL, CNN):
        starts = [
            [p.detach() for p in study.network(config, arm, seed=3).parameters() if p.ndim > 1] for arm in config.arms()
        ]
        for other in starts[1:]:
            assert all(torch.equal(one, two) for one, two in zip(starts[0], other, strict=True))


def test_the_cnn_brings_sixteen_positions_to_every_norm():
    shapes = []
    model = study.network(CNN, "batch_norm", seed=0)
    for layer in model:
        if isinstance(layer, study.BatchNorm2d):
            layer.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape[2:])))
    assert model(digits().train.x[:2]).shape == (2, 10)
    assert shapes == [(4, 4)] * 3


def test_the_cnn_learns_with_either_norm():
    result = study.run(CNN)
    assert all((accuracies > 0.6).all() for accuracies in result.test.values())


def test_a_norm_stands_behind_every_hidden_layer():
    kinds = {arm: [type(layer).__name__ for layer in study.network(SMALL, arm, seed=0)] for arm in SMALL.arms()}
    assert kinds["layer_norm"].count("LayerNorm") == kinds["batch_norm"].count("BatchNorm1d") == SMALL.depth
    assert kinds["no_norm"].count("Linear") == kinds["batch_renorm"].count("Linear") == SMALL.depth + 1


def test_validation_chooses_for_each_size_and_test_is_reported(monkeypatch):
    data = digits()
    monkeypatch.setitem(DATASETS, "digits", lambda: data._replace(test=data.validation))
    result = study.run(study.Config(**vars(SMALL) | {"batch_sizes": (32,), "learning_rates": (1e-6, 0.1)}))
    assert result.best_rates("layer_norm") == (0.1,)
    assert np.array_equal(result.test["layer_norm"][0], result.validation["layer_norm"][0, 1])


def test_no_rate_is_chosen_by_the_test_split(monkeypatch):
    data = digits()
    wrong = Dataset(data.train, data.validation, Split(data.test.x, (data.test.y + 1) % 10))
    monkeypatch.setitem(DATASETS, "digits", lambda: wrong)
    result = study.run(study.Config(**vars(SMALL) | {"batch_sizes": (32,), "learning_rates": (1e-6, 0.1)}))
    assert (np.array([*result.test.values()]) < 0.07).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "magic"}, r"network: expected one of mlp, cnn, got 'magic'"),
        ({"compared": ("group_norm",)}, r"compared: expected names of arms \(no_norm, .*\), got 'group_norm'"),
        ({"batch_sizes": (8, 1)}, r"batch_sizes: expected at least 2, got 1"),
    ],
)
def test_settings_that_cannot_be_run_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        study.Config(**change)


def test_a_size_that_was_not_run_is_refused(result):
    with pytest.raises(ValueError, match=r"expected one of the batch sizes \(2, 32\), got 3"):
        result.at(3)


def test_group_norm_has_groups_of_more_than_a_pair():
    norm = next(layer for layer in study.network(CNN, "group_norm", seed=0) if isinstance(layer, study.GroupNorm))
    assert norm.num_channels // norm.num_groups * 16 > 2
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in study.network(CNN, "group_norm", seed=0))
