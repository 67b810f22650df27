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


def sparse_rows(images, channels):
    """1 in 3 images of 100, else 0, brought to mean 0 and variance 1."""
    return ((torch.rand(images, channels) < 0.03).float() - 0.03) / (0.03 * 0.97) ** 0.5


@pytest.mark.parametrize("images", [32, 100, 300])
@pytest.mark.parametrize("draw", [correlated_maps, skewed_rows, sparse_rows])
def test_the_false_alarm_rate_is_the_stated_one(draw, images):
    layer, trials = nn.BatchNorm1d(16, eps=0.0), 200
    alarms = sum(_alarms(layer, draw(images, 16)) for _ in range(trials))
    assert alarms <= 4  # .3% are promised, .6 of these trials: 5 or more happen once in 2,500 times


def test_what_is_no_chance_is_found_in_nearly_every_window_of_100():
    layer = nn.BatchNorm1d(16, eps=0.0)
    for factor in (0.0, 0.5, 1.6, 1e4):
        one = torch.ones(16).index_fill(0, torch.tensor([3]), factor)
        assert sum(_alarms(layer, torch.randn(100, 16) * one) for _ in range(50)) >= 45


def test_a_layer_of_sparse_channels_may_miss_all_values_of_one():
    layer = nn.BatchNorm1d(16)
    layer.running_mean.fill_(0.03)
    layer.running_var.fill_(0.03 * 0.97)
    x = torch.zeros(100, 16)
    for channel in range(1, 16):
        x[: channel % 5 + 1, channel] = 1.0  # channel 0 has none of the three expected
    [one] = drift(layer, [x]).layers
    assert not one.alarm


def _alarms(layer, x):
    rows = x.flatten(2).double() if x.ndim > 2 else x[..., None].double()
    means, variances = rows.mean(2), rows.var(2, correction=0)
    off = distance(layer, PerImage(means, variances, torch.zeros(len(x)), rows.shape[2]), None)
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
    assert not drift(layer, [torch.randn(8, 32) for _ in range(300)], training_batch=8).alarm
    assert drift(layer, [torch.randn(8, 32) for _ in range(300)]).alarm


@pytest.mark.parametrize(
    ("momentum", "images_behind"), [(0.1, 8 * 19), (0.5, 8 * 3), (None, 8 * 7), (0.0, float("inf"))]
)
def test_the_errors_are_those_of_both_samples(momentum, images_behind):
    layer, x = nn.BatchNorm1d(3, momentum=momentum), torch.randn(40, 3)
    layer.num_batches_tracked.fill_(7)
    [exact], [noisy] = (drift(layer, [x], training_batch=batch).layers for batch in (None, 8))
    assert exact.errors / noisy.errors == pytest.approx((1 + 40 / images_behind) ** 0.5, rel=1e-12)


@pytest.mark.parametrize("training_batch", [None, 32])
def test_how_the_window_is_cut_into_batches_does_not_matter(training_batch):
    layer, x = nn.BatchNorm1d(3), torch.randn(256, 3)
    whole, *others = (drift(layer, x.split(size), training_batch=training_batch) for size in (256, 32, 4, 1))
    assert all(other == whole for other in others)


def test_a_sparse_channel_among_dense_ones_needs_a_few_hundred_images():
    layer, alarms = nn.BatchNorm1d(16, eps=0.0), 0
    for _ in range(200):
        x = torch.randn(300, 16)
        x[:, :8] = sparse_rows(300, 8)
        alarms += _alarms(layer, x)
    assert alarms <= 5  # .4% were measured: .8 of these trials


def test_the_rate_is_shared_among_the_layers():
    x = torch.randn(100, 4)
    alone = drift(nn.BatchNorm1d(4), [x]).layers[0]
    together = drift(nn.Sequential(nn.BatchNorm1d(4), nn.BatchNorm1d(4), nn.BatchNorm1d(4)), [x]).layers
    assert alone.limit == beyond_chance(100, 8, RATE)
    assert [one.limit for one in together] == [beyond_chance(100, 24, RATE)] * 3


NAN, INFINITE = float("nan"), float("inf")


def spoilt(where, value):
    x = torch.randn(64, 4, 2, 2)
    x[where] = value
    return x


@pytest.mark.parametrize(
    ("where", "value", "broken"),
    [
        ((5,), NAN, (0, 1, 2, 3)),
        ((slice(None), 1), NAN, (1,)),
        ((5, 2, 0, 1), INFINITE, (2,)),
        ((5, 2), -INFINITE, (2,)),
    ],
    ids=["image", "channel", "value", "minus"],
)
def test_what_is_no_number_alarms_and_the_others_are_judged(where, value, broken):
    x = spoilt(where, value)
    healthy, moved = drift(nn.BatchNorm2d(4), [x]), drift(nn.BatchNorm2d(4), [x + 5])
    for found, channels in ((healthy, 0), (moved, 4 - len(broken))):
        [one] = found.layers
        assert (found.alarm, one.broken, one.channels) == (True, broken, channels)
        assert f": ALARM, NaN, infinite or no variance in {len(broken)} of 4 channels, {broken[0]} first" in repr(found)
    if len(broken) < 4:
        assert moved.layers[0].distance == pytest.approx(5, abs=0.1)
        assert moved.layers[0].widening == pytest.approx(1, abs=0.1)
    else:
        assert "mean off" not in repr(moved)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("running_mean", NAN),
        ("running_var", NAN),
        ("running_mean", INFINITE),
        ("running_var", INFINITE),
        ("running_var", -1.0),
    ],
)
def test_stored_statistics_that_are_no_numbers_alarm(name, value):
    layer = nn.BatchNorm2d(4)
    getattr(layer, name)[2] = value
    [healthy], [moved] = (drift(layer, [torch.randn(64, 4, 2, 2) + shift]).layers for shift in (0, 5))
    assert (healthy.alarm, healthy.broken, healthy.channels) == (True, (2,), 0)
    assert (moved.broken, moved.channels) == ((2,), 3)
    assert moved.worst != 2
    assert moved.errors < INFINITE


def test_nothing_moves_where_nothing_varies():
    layer = nn.BatchNorm1d(2)
    layer.running_var.zero_()
    [same], [other] = (drift(layer, [torch.full((10, 2), value)]).layers for value in (0.0, 1.0))
    assert (same.alarm, same.broken, same.errors) == (False, (), 0)
    assert (other.channels, other.errors) == (2, INFINITE)


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
        (3, [torch.ones(4, 2)], r"expected model to be an nn\.Module, got int"),
        (nn.Linear(2, 2), [torch.ones(4, 2)], "expected a model with batch-norm layers that keep running statistics"),
        (nn.BatchNorm1d(2, track_running_stats=False), [torch.ones(4, 2)], "expected a model with batch-norm layers"),
        (nn.BatchNorm1d(2), [], "expected a loader with at least two images, got 0"),
        (nn.BatchNorm1d(2), [torch.ones(1, 2)], "expected a loader with at least two images, got 1"),
    ],
)
def test_bad_input_is_refused(model, loader, message):
    with pytest.raises(ValueError, match=message):
        drift(model, loader)


@pytest.mark.parametrize("training_batch", [0, -5])
def test_a_training_batch_without_images_is_refused(training_batch):
    with pytest.raises(ValueError, match=f"expected training_batch of at least 1, or None, got {training_batch}"):
        drift(nn.BatchNorm1d(2), [torch.randn(9, 2)], training_batch=training_batch)


def test_it_shows_itself():
    shown = repr(drift(nn.BatchNorm1d(3), [torch.randn(100, 3) + 1]))
    assert shown.startswith("1 of 1 layers alarm over 100 images\n  : ALARM, mean off by ")
    assert "| `` | ALARM, " in drift(nn.BatchNorm1d(3), [torch.randn(100, 3) + 1])._repr_markdown_()


class PartlyCompiled(nn.Module):
    def __init__(self):
        super().__init__()
        block = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        self.block, self.norm = torch.compile(block, backend="eager"), nn.BatchNorm1d(3)

    def forward(self, x):
        return self.norm(self.block(x))


@torch.no_grad()
def test_layers_that_were_compiled_before_the_hooks_came_are_heard():
    window = torch.randn(64, 4)
    whole = torch.compile(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), backend="eager").eval()
    part = PartlyCompiled().eval()
    for model, names in ((whole, ["_orig_mod.1"]), (part, ["block._orig_mod.1", "norm"])):
        model(window)
        for _ in range(2):
            assert [layer.name for layer in drift(model, [window]).layers] == names
