from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from bnlab.experiments.data import digits
from bnlab.experiments.studies import batch_mean_spread as study

SMALL = study.Config(batch_sizes=(1, 4), batches=300, width=8, steps=60, seeds=(0, 1))

CONVOLVED = study.convolved


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def test_every_layer_size_and_seed_has_its_number(result):
    assert result.spread.shape == result.untrained.shape == (3, 2, 2)
    assert result.shuffled.shape == (2, 2)
    assert result.positions == 64


def test_values_dealt_anew_spread_as_independent_ones_do(result):
    assert result.independent() == pytest.approx([1 / 8, 1 / 16])
    assert result.shuffled == pytest.approx(np.repeat(result.independent()[:, None], 2, axis=1), rel=0.1)


def test_images_are_drawn_independently_whatever_their_positions_do(result):
    assert result.spread[:, 1] == pytest.approx(result.spread[:, 0] / 2, rel=0.15)


def test_positions_of_the_last_convolution_are_worth_less_than_they_number(result):
    assert (result.effective()[-1] < 32).all()
    assert (result.effective(result.untrained)[-1] > 1.5 * result.effective()[-1]).all()


def test_the_untrained_network_is_seen_with_the_statistics_of_the_whole_split(monkeypatch):
    seen = []
    monkeypatch.setattr(study, "convolved", lambda model, x: seen.append(deepcopy(model)) or CONVOLVED(model, x))
    study.run(study.Config(**vars(SMALL) | {"seeds": (3,), "steps": 5}))
    trained, untrained = seen
    start = study.network(SMALL, 3)
    assert torch.equal(untrained[0].weight, start[0].weight)
    assert not torch.equal(trained[0].weight, start[0].weight)
    maps = start[0](digits().train.x)
    assert torch.allclose(untrained[1].running_mean, maps.mean((0, 2, 3)), atol=1e-5)


def test_effective_values_are_those_that_would_spread_as_far():
    spread = np.array([[[8**-0.5], [(4 * 8) ** -0.5]]])  # an image is worth 8
    rest = {"untrained": 2 * spread, "shuffled": np.zeros((2, 1)), "positions": np.array(64)}
    made = study.Result(config=SMALL, provenance=None, spread=spread, **rest)
    assert made.effective() == pytest.approx(np.array([[8.0]]))
    assert made.effective(made.untrained) == pytest.approx(np.array([[2.0]]))


def test_an_image_of_equal_positions_is_worth_one_value(rng):
    means = torch.tensor(rng.normal(size=(500, 3)), dtype=torch.float32)
    values = means[:, :, None].expand(500, 3, 16)
    found = study._spread(means, values, SMALL, torch.Generator().manual_seed(0))
    assert found == pytest.approx([1.0, 0.5], rel=0.1)


def test_values_are_those_of_the_convolutions_in_evaluation():
    convolution, x = nn.Conv2d(1, 2, 3, padding=1), digits().train.x[:5]
    norm = nn.BatchNorm2d(2)
    maps = study.convolved(nn.Sequential(convolution, norm, nn.ReLU(), nn.Conv2d(2, 3, 1)), x)
    assert torch.equal(maps[0], convolution(x))
    assert [tuple(m.shape) for m in maps] == [(5, 2, 8, 8), (5, 3, 8, 8)]
    assert norm.num_batches_tracked == 0


def test_dealing_anew_keeps_the_values_and_breaks_the_images():
    values = torch.arange(600.0).view(100, 6)
    dealt = study._dealt_anew(values, torch.Generator().manual_seed(0))
    assert torch.equal(dealt.flatten().sort().values, values.flatten())
    assert dealt.mean(1).std() < 0.6 * values.mean(1).std()
