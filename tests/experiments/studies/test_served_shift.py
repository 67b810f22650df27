import pytest
import torch

from bnlab.deploy import adapt, prediction_time_statistics, recalibrate
from bnlab.experiments.data import Split, digits
from bnlab.experiments.models import cnn
from bnlab.experiments.optimisers import SGD, cosine
from bnlab.experiments.studies import served_shift as study
from bnlab.experiments.training import train
from bnlab.layers import BatchNorm2d

SMALL = study.Config(seeds=(0, 3), depth=2, width=8, steps=40)
INK = Split(torch.tensor([-1.0, 0.0, 3.0]).reshape(3, 1, 1, 1), torch.tensor([4, 5, 6]))  # none, a quarter, full
TWO_IMAGES = 2.5 / 360  # another order of summation may move one or two across a boundary


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


@pytest.fixture(scope="module")
def network():
    """The second member, trained alone and in the ordinary way, with the statistics of the training split."""
    model = cnn(1, 10, depth=2, width=8, norm=BatchNorm2d, generator=torch.Generator().manual_seed(3))
    settings = {"steps": 40, "batch_size": 32, "optimiser": SGD(momentum=0.9), "schedule": cosine}
    train(model, digits().train, learning_rate=0.1, seed=3, **settings)
    recalibrate(model, [digits().train.x])
    return model.eval()


def accuracy(network, split, batches):
    with torch.no_grad():
        right = [network(split.x[rows]).argmax(1) == split.y[rows] for rows in batches]
    return torch.cat(right).double().mean().item()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("clean", [-1.0, 0.0, 3.0]),
        ("contrast", [-1.0, -0.7, 0.2]),
        ("brightness", [1.0, 2.0, 5.0]),  # half of the range of 4, unclipped
        ("inverted", [3.0, 2.0, -1.0]),
    ],
)
def test_ink_is_changed_in_units_of_its_range(name, expected):
    changed = study.shifted(INK, name, like=INK)
    assert changed.x.flatten().tolist() == pytest.approx(expected)
    assert torch.equal(changed.y, INK.y)


def test_the_range_is_that_of_the_training_images():
    dark = Split(INK.x[1:2], INK.y[1:2])
    assert study.shifted(dark, "inverted", like=INK).x.item() == pytest.approx(2)


def test_blur_takes_the_mean_of_a_pixel_and_its_neighbours():
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 2] = 9
    blurred = study.SHIFTS["blur"](image)
    assert blurred[0, 0, 1:4, 1:4].eq(1).all()
    assert blurred.sum() == 9


def test_noise_is_fixed_and_three_tenths_of_full_ink():
    clean = torch.zeros(2000, 1, 2, 2)
    noisy = study.SHIFTS["noise"](clean)
    assert noisy.std().item() == pytest.approx(0.3, rel=0.05)
    assert torch.equal(noisy, study.SHIFTS["noise"](clean))


@pytest.mark.parametrize("name", ["clean", "contrast", "noise"])
def test_each_kind_of_statistics_is_that_of_the_package(result, network, name):
    data = digits()
    split = study.shifted(data.test, name, like=data.train)
    everything = [slice(None)]
    mixed = torch.randperm(360, generator=torch.Generator().manual_seed(0)).split(36)
    by_class = split.y.argsort(stable=True).split(36)
    expected = {"stored": accuracy(network, split, everything)}
    with prediction_time_statistics(network):
        expected |= {"by_batch": accuracy(network, split, mixed), "by_class": accuracy(network, split, by_class)}
    with adapt(network, [split.x]):
        expected["adapted"] = accuracy(network, split, everything)
    found = {kind: getattr(result, kind)[name][1] for kind in expected}
    assert found == pytest.approx(expected, abs=TWO_IMAGES)
    assert len({round(value, 2) for value in found.values()}) > (1 if name == "clean" else 2)  # the kinds do differ


def test_every_change_is_served_in_all_four_ways(result):
    for kind in ("stored", "by_batch", "adapted", "by_class"):
        assert list(getattr(result, kind)) == list(study.SHIFTS)
        assert all(accuracies.shape == (2,) for accuracies in getattr(result, kind).values())


def test_stored_statistics_are_those_of_the_training_split_and_adapted_ones_of_the_changed_images(monkeypatch):
    seen = []
    monkeypatch.setattr(study, "recalibrated", lambda ensemble, split: seen.append(split) or ensemble)
    study.run(study.Config(**vars(SMALL) | {"steps": 1}))
    data = digits()
    expected = [data.train, *(study.shifted(data.test, name, like=data.train) for name in study.SHIFTS)]
    assert [len(split.y) for split in seen] == [1077] + 6 * [360]
    assert all(torch.equal(split.x, other.x) for split, other in zip(seen, expected, strict=True))
