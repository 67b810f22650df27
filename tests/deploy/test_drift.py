"""Drift: what is found, what is left alone, and how often chance alone raises the alarm."""

import pytest
import torch
from torch import nn

from bnlab.deploy import drift
from bnlab.deploy.drift import LEAST, RATE
from bnlab.deploy.per_image import PerImage, beyond_chance, distance
from tests.deploy.networks import ResNet


def correlated_maps(images, channels, side=4):
    """Maps of variance 1 that are mostly one brightness an image: 16 positions, worth about 1.5 of them."""
    brightness = torch.randn(images, channels, 1, 1)
    return 0.8 * brightness + 0.6 * torch.randn(images, channels, side, side)


def skewed_rows(images, channels):
    """One value an image, of mean 0 and variance 1, as skewed as an exponential's."""
    return torch.empty(images, channels).exponential_() - 1


@pytest.mark.parametrize(
    ("draw", "images", "at_most"),
    [(correlated_maps, 64, 0.0125), (skewed_rows, 256, 0.02)],
    ids=["maps", "skewed"],
)
def test_the_false_alarm_rate_is_the_stated_one(draw, images, at_most):
    layer, trials = nn.BatchNorm1d(16, eps=0.0, momentum=0.0), 400
    alarms = sum(_alarms(layer, draw(images, 16)) for _ in range(trials))
    assert (
        alarms / trials <= at_most
    )  # .2% and .7% are stated: 1 and 3 of these trials; 5 and 8 are three standard errors more


def _alarms(layer, x):
    rows = x.flatten(2).double() if x.ndim > 2 else x[..., None].double()
    means, variances = rows.mean(2), rows.var(2, correction=0)
    off = distance(layer, PerImage(means, variances, torch.zeros(len(x)), rows.shape[2]), 64)
    return bool(off.beyond(beyond_chance(len(x), 32, RATE), LEAST).any())


def test_an_alarm_that_counted_positions_would_cry_wolf():
    alarms = {"positions": 0, "images": 0}
    for _ in range(400):
        x = correlated_maps(64, 1)
        alarms["positions"] += (x.mean() / x.std() * x.numel() ** 0.5).abs().item() > 3
        alarms["images"] += (x.mean() / x.mean((1, 2, 3)).std() * len(x) ** 0.5).abs().item() > 3
    assert alarms["images"] / 400 < 0.015
    assert alarms["positions"] / 400 > 0.3


def test_the_noise_of_what_was_stored_is_allowed_for():
    """Running statistics of small batches differ from thousands of images by their own noise: that is no drift."""
    layer = nn.BatchNorm1d(32)
    for _ in range(100):
        layer(torch.randn(8, 32))
    assert not drift(layer, [torch.randn(8, 32) for _ in range(300)]).alarm
    assert drift(layer, [torch.randn(8, 32) for _ in range(300)], training_batch=100_000).alarm


@pytest.fixture
def network():
    model = ResNet()
    with torch.no_grad():
        for _ in range(60):
            model(torch.randn(32, 1, 5, 4) * 2 + 1)
    return model.eval()


def pictures(shift=0.0):
    return [(torch.randn(32, 1, 5, 4) * 2 + 1 + shift, torch.zeros(32)) for _ in range(8)]


def test_a_shift_is_found_and_its_absence_is_not(network):
    healthy, shifted = drift(network, pictures()), drift(network, pictures(1.5))
    assert not healthy.alarm
    assert shifted.layers[0].name == "bn1"
    assert shifted.layers[0].alarm
    assert [layer.name for layer in healthy.layers] == [
        name for name, m in network.named_modules() if "Norm" in str(type(m))
    ]
    assert healthy.images == 256


def test_a_wider_spread_alone_is_found():
    layer = nn.BatchNorm1d(3)
    [one] = drift(layer, [torch.randn(200, 3) * torch.tensor([1.0, 1.0, 1.6])]).layers
    assert (one.channels, one.worst) == (1, 2)
    assert one.widening == pytest.approx(1.6 ** (1 / 3), rel=0.1)


def test_the_distance_is_in_stored_standard_deviations():
    layer = nn.BatchNorm1d(2, eps=0.0)
    layer.running_mean.copy_(torch.tensor([1.0, -4.0]))
    layer.running_var.copy_(torch.tensor([4.0, 9.0]))
    x = torch.tensor([[3.0, 2.0], [7.0, 8.0]])  # means 5 and 5: off by 2 and 3 standard deviations
    [one] = drift(layer, [x]).layers
    assert one.distance == pytest.approx((13 / 2) ** 0.5, rel=1e-12)


def test_nothing_changes(network):
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    loader = torch.utils.data.DataLoader(torch.randn(64, 1, 5, 4), 16, shuffle=True)
    state = torch.get_rng_state()
    drift(network, loader)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training
    assert not any(module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("model", "loader", "message"),
    [
        (nn.Linear(2, 2), [torch.ones(4, 2)], "expected a model with batch-norm layers that keep running statistics"),
        (nn.BatchNorm1d(2, track_running_stats=False), [torch.ones(4, 2)], "expected a model with batch-norm layers"),
        (nn.BatchNorm1d(2), [], "expected a loader with at least two images, got 0"),
        (nn.BatchNorm1d(2), [torch.ones(1, 2)], "expected a loader with at least two images, got 1"),
    ],
)
def test_bad_input_is_refused(model, loader, message):
    with pytest.raises(ValueError, match=message):
        drift(model, loader)


def test_it_shows_itself():
    shown = repr(drift(nn.BatchNorm1d(3), [torch.randn(100, 3) + 1]))
    assert shown.startswith("1 of 1 layers alarm over 100 images\n  : ALARM, mean off by ")
    assert "| `` | ALARM, " in drift(nn.BatchNorm1d(3), [torch.randn(100, 3) + 1])._repr_markdown_()
