"""On healthy, trained networks of many shapes nothing above a note is reported."""

from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional

from bnlab.deploy import freeze, recalibrate
from bnlab.doctor import examine
from bnlab.experiments.data import digits
from bnlab.layers import BatchNorm2d, BatchNormLSTM, BatchRenorm1d, GhostBatchNorm2d, SequenceBatchNorm1d
from tests.deploy.networks import ResNet
from tests.doctor.patients import trained


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class LSTM(nn.Module):
    """Rows of the picture as steps: sequence-wise batch norm, then an LSTM that is normalised at every step."""

    def __init__(self):
        super().__init__()
        self.project, self.norm = nn.Linear(8, 16, bias=False), SequenceBatchNorm1d(16)
        self.lstm, self.head = BatchNormLSTM(16, 24, max_length=8), nn.Linear(24, 10)

    def forward(self, x):
        return self.head(self.lstm(self.norm(self.project(x.squeeze(1))))[0][:, -1])


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(8, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        return self.head(self.layer(self.embed(x.squeeze(1))).mean(1))


class Twins(nn.Module):
    """Two branches that share nothing, for the upper and the lower half of the picture."""

    def __init__(self):
        super().__init__()
        self.upper, self.lower, self.head = conv(1, 8), conv(1, 8), nn.Linear(16, 10)

    def forward(self, x):
        halves = self.upper(x[:, :, :4]), self.lower(x[:, :, 4:])
        return self.head(torch.cat([half.mean((2, 3)) for half in halves], 1))


def conv(channels_in, channels, norm=nn.BatchNorm2d, **options):
    layers = nn.Conv2d(channels_in, channels, 3, padding=1, bias=False, **options), norm(channels), nn.ReLU()
    return nn.Sequential(*layers)


def pooled(*layers, features):
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, 10))


def perceptron(norm=nn.BatchNorm1d):
    layers = [nn.Flatten()]
    for features in (64, 48, 48):
        layers += [nn.Linear(features, 48, bias=False), norm(48), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(48, 10))


def fine_tuned():
    """A trained network whose trunk, norms included, is frozen while a new head learns."""
    model = trained(pooled(conv(1, 16), conv(16, 16), features=16), loader())
    model.requires_grad_(False)
    freeze(model)
    model[-1] = nn.Linear(16, 10)
    return model


def volumes():
    layers = nn.Conv3d(1, 8, 3, padding=1, bias=False), nn.BatchNorm3d(8), nn.ReLU(), nn.AdaptiveAvgPool3d(1)
    return nn.Sequential(nn.Unflatten(2, (2, 4)), *layers, nn.Flatten(), nn.Linear(8, 10))


def rows_as_channels():
    layers = [Lambda(lambda x: x.squeeze(1))]
    for channels in (8, 24):
        layers += [nn.Conv1d(channels, 24, 3, padding=1, bias=False), nn.BatchNorm1d(24), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(24, 10))


def depthwise():
    one = conv(16, 16, groups=16)
    return pooled(conv(1, 16), one, nn.Conv2d(16, 24, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU(), features=24)


def pre_activation():
    return pooled(
        nn.Conv2d(1, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, bias=False),
        nn.BatchNorm2d(16), nn.ReLU(), features=16,
    )  # fmt: skip


SHAPES = {
    "perceptron": perceptron,
    "convolutional": lambda: pooled(conv(1, 16), conv(16, 16), features=16),
    "residual": lambda: nn.Sequential(ResNet(), nn.Linear(5, 10)),
    "residual_ours": lambda: nn.Sequential(ResNet(BatchNorm2d), nn.Linear(5, 10)),
    "lstm": LSTM,
    "without_norm": lambda: pooled(nn.Conv2d(1, 8, 3), nn.ReLU(), features=8),
    "one_dimensional": rows_as_channels,
    "three_dimensional": volumes,
    "transformer": Transformer,
    "twins": Twins,
    "fine_tuned": fine_tuned,
    "depthwise": depthwise,
    "pre_activation": pre_activation,
    "group_norm": lambda: pooled(nn.Conv2d(1, 8, 3), nn.GroupNorm(4, 8), nn.ReLU(), features=8),
    "instance_norm": lambda: pooled(nn.Conv2d(1, 8, 3), nn.InstanceNorm2d(8, track_running_stats=True), features=8),
    "renorm": lambda: perceptron(BatchRenorm1d),
    "ghosts": lambda: pooled(conv(1, 16, lambda c: GhostBatchNorm2d(c, ghost_size=32)), features=16),
}


@cache
def loader():
    data = digits().train
    return list(zip(data.x.reshape(-1, 1, 8, 8).split(64)[:15], data.y.split(64)[:15], strict=True))


@pytest.fixture(scope="module", params=SHAPES)
def network(request):
    torch.manual_seed(0)
    return trained(SHAPES[request.param](), loader())


def test_a_trained_network_is_healthy_for_training(network):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)

    def train_step(model, batch, optimizer):
        optimizer.zero_grad()
        functional.cross_entropy(model(batch[0]), batch[1]).backward()
        optimizer.step()

    report = examine(network, loader(), optimizer=optimizer, train_step=train_step)
    assert report.healthy, report


def test_a_trained_network_is_healthy_for_inference(network):
    modes = {module: module.training for module in network.modules()}
    report = examine(network.eval(), loader(), purpose="inference")
    for module, mode in modes.items():
        module.training = mode
    assert report.healthy, report


def test_an_untrained_network_is_healthy_for_training():
    report = examine(perceptron(), loader())
    assert report.healthy, report


def test_a_recalibrated_network_with_dropout_behind_its_norms_is_healthy():
    model = perceptron()
    model.insert(len(model) - 1, nn.Dropout(0.5))
    trained(model, loader())
    recalibrate(model, loader())
    report = examine(model.eval(), loader(), purpose="inference")
    assert report.healthy, report
