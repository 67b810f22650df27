import pytest
import torch

from bnlab.deploy import average, recalibrate
from bnlab.experiments.data import digits
from bnlab.experiments.models import mlp
from bnlab.experiments.optimisers import SGD, cosine
from bnlab.experiments.studies import weight_averaging as study
from bnlab.experiments.training import Ensemble, train
from bnlab.layers import BatchNorm1d

SMALL = study.Config(seeds=(0, 3), parts=2, depth=2, width=16, shared_steps=30, steps=40)
TWO_IMAGES = 2.5 / 360  # another order of summation may move one or two across a boundary


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def new(seed):
    return mlp(64, 10, depth=2, width=16, norm=BatchNorm1d, generator=torch.Generator().manual_seed(seed))


def trained(model, seed, steps):
    """By the plain loop, in place."""
    settings = {"batch_size": 32, "optimiser": SGD(momentum=0.9), "schedule": cosine}
    train(model, digits().train, learning_rate=0.1, seed=seed, steps=steps, **settings)
    return model


def networks(kind):
    """The two of seed 3."""
    if kind == "independent":
        return [trained(new(seed), seed, 40) for seed in (1003, 2003)]
    return [trained(trained(new(3), 3, 30), seed, 40) for seed in (1003, 2003)]


def accuracy(model):
    return Ensemble.of([model]).accuracy(digits().test).item()


@pytest.mark.parametrize("kind", study.KINDS)
def test_the_path_is_that_of_average_and_recalibrate(result, kind):
    ends = networks(kind)
    for place, share in enumerate((0, 0.5, 1)):
        between = average(ends, weights=[1 - share, share])
        assert result.averaged[kind][place, 1] == pytest.approx(accuracy(between), abs=TWO_IMAGES)
        recalibrate(between, [digits().train.x])
        assert result.exact[kind][place, 1] == pytest.approx(accuracy(between), abs=TWO_IMAGES)


def test_half_way_between_two_starts_more_is_lost_than_between_forks(result):
    assert (result.exact["independent"][1] < result.exact["forked"][1] - 0.1).all()
    assert (result.averaged["independent"][1] < result.averaged["forked"][1] - 0.1).all()


def test_between_takes_a_share_of_each_member_and_keeps_the_counters():
    torch.manual_seed(0)
    models = [new(seed) for seed in range(4)]
    for model in models:
        model(torch.randn(8, 64))
    one, other = Ensemble.of(models[:2]), Ensemble.of(models[2:])
    mixed = study.between(one, other, 0.25)
    for index in range(2):
        expected = average([models[index], models[2 + index]], weights=[0.75, 0.25]).state_dict()
        found = mixed.member(index).state_dict()
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor)
    assert (mixed.buffers["2.num_batches_tracked"] == 1).all()
    assert torch.equal(one.parameters["1.weight"][0], models[0][1].weight)  # the ends stay as they are


def test_places_divide_the_path_evenly():
    assert study.Config(parts=4).places() == (0, 0.25, 0.5, 0.75, 1)


def test_a_path_without_a_middle_is_refused():
    with pytest.raises(ValueError, match="parts: expected an even number, got 3"):
        study.Config(parts=3)
