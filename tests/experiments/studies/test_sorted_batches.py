import numpy as np
import pytest
import torch
from torch import nn

from bnlab.deploy import recalibrate
from bnlab.experiments.data import DATASETS, Dataset, Split, digits
from bnlab.experiments.studies import sorted_batches as study
from bnlab.experiments.training import Ensemble

SMALL = study.Config(classes=(1, 10), learning_rates=(0.1, 1e-6), seeds=(0, 1), width=32, prepared=60, steps=60)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def test_every_arm_number_of_classes_rate_and_seed_has_its_number(result):
    assert set(result.test) == set(result.validation) == {"no_norm", "batch_norm", "layer_norm"}
    assert all(accuracies.shape == (2, 2, 2) for accuracies in result.validation.values())
    assert all(accuracies.shape == (2, 2) for accuracies in result.test.values())
    assert {arm: accuracies.shape for arm, accuracies in result.recalibrated.items()} == {"batch_norm": (2, 2)}
    assert (result.at(1), result.at(10)) == (0, 1)


def test_one_class_a_batch_ruins_batch_norm_alone(result):
    one, ten = result.at(1), result.at(10)
    assert result.test["batch_norm"][one].max() < 0.2
    assert result.test["layer_norm"][one].min() > 0.3
    assert result.test["batch_norm"][ten].min() > 0.8
    assert result.recalibrated["batch_norm"][ten].min() > 0.8


@pytest.mark.parametrize("classes", [1, 2, 5, 10])
def test_a_batch_holds_as_many_examples_of_each_of_its_classes(classes):
    split = digits().train
    batches = study.prepared_batches(split, classes, SMALL)
    assert batches.x.shape == (60, 20, 1, 8, 8)
    for labels in batches.y:
        _, counts = labels.unique(return_counts=True)
        assert counts.tolist() == [20 // classes] * classes


def test_images_keep_their_labels_and_none_stands_twice_in_a_batch():
    split = digits().train
    batches = study.prepared_batches(split, 2, SMALL)
    known = {image.numpy().tobytes(): int(label) for image, label in zip(*split, strict=True)}
    for images, labels in zip(*batches, strict=True):
        names = [image.numpy().tobytes() for image in images]
        assert len(set(names)) == 20
        assert [known[name] for name in names] == labels.tolist()


def test_all_classes_come_up():
    assert study.prepared_batches(digits().train, 1, SMALL).y.unique().tolist() == list(range(10))


def test_a_prepared_batch_is_normalised_as_a_whole():
    network = study._network(SMALL, "batch_norm", study.prepared_batches(digits().train, 1, SMALL), seed=0)
    x = digits().train.x[:20]
    logits = study.WholeBatch(network)(x[None])
    assert torch.equal(logits, network(x).T[None])
    labels = torch.arange(20) % 10
    loss = nn.functional.cross_entropy(logits, labels[None])
    assert loss.item() == pytest.approx(nn.functional.cross_entropy(network(x), labels).item())


def test_arms_start_from_the_same_weights_and_see_the_same_batches():
    batches = study.prepared_batches(digits().train, 2, SMALL)
    again = study.prepared_batches(digits().train, 2, SMALL)
    assert torch.equal(batches.x, again.x)
    starts = [[p for p in study._network(SMALL, arm, batches, seed=3).parameters() if p.ndim > 1] for arm in study.ARMS]
    for other in starts[1:]:
        assert all(torch.equal(one, two) for one, two in zip(starts[0], other, strict=True))


def test_arms_have_the_norm_that_they_are_called_after():
    batches = study.prepared_batches(digits().train, 2, SMALL)
    kinds = {arm: {type(m).__name__ for m in study._network(SMALL, arm, batches, 0)} for arm in study.ARMS}
    norms = {"BatchNorm1d", "LayerNorm"}
    assert {arm: found & norms for arm, found in kinds.items()} == {
        "no_norm": set(),
        "batch_norm": {"BatchNorm1d"},
        "layer_norm": {"LayerNorm"},
    }


def test_recalibration_takes_the_whole_training_split():
    config = study.Config(**vars(SMALL) | {"learning_rates": (0.1,), "classes": (1,), "steps": 20})
    trained = study._trained(config, "batch_norm", study.prepared_batches(digits().train, 1, config))
    models = [trained.member(index) for index in range(2)]
    for model in models:
        recalibrate(model, [digits().train.x])
    expected = Ensemble.of(models).accuracy(digits().test).numpy()
    assert study.run(config).recalibrated["batch_norm"][0] == pytest.approx(expected)


def test_the_rate_is_not_chosen_on_the_test_split(monkeypatch):
    data = digits()
    wrong = Dataset(data.train, data.validation, Split(data.test.x, (data.test.y + 1) % 10))
    monkeypatch.setitem(DATASETS, "digits", lambda: wrong)
    result = study.run(study.Config(**vars(SMALL) | {"classes": (10,), "steps": 60}))
    assert (np.median(result.validation["layer_norm"][0], axis=1) > [0.5, -1]).all()
    assert (result.test["layer_norm"] < 0.1).all()  # at 1e-6 it would be a guess, near 0.1 and above


@pytest.mark.parametrize("count", [3, 20])
def test_classes_that_do_not_fit_a_batch_are_refused(count):
    with pytest.raises(ValueError, match=f"classes: expected divisors of 20 up to 10, got {count}"):
        study.Config(classes=(1, count))


def test_a_number_of_classes_that_was_not_run_is_named(result):
    with pytest.raises(ValueError, match=r"expected one of the numbers of classes \(1, 10\), got 2"):
        result.at(2)
