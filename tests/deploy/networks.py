"""Networks that hold batch norm layers in every way that a network can."""

import torch
from torch import nn

from bnlab.layers import BatchNorm1d, BatchNorm2d


class Block(nn.Module):
    """A residual block as ResNets have it."""

    def __init__(self, channels_in, channels, norm):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1, bias=False)
        self.bn1 = norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = norm(channels)
        self.downsample = None  # registered by its name, and empty
        if channels_in != channels:
            self.downsample = nn.Sequential(nn.Conv2d(channels_in, channels, 1, bias=False), norm(channels))

    def forward(self, x):
        branch = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(branch + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """A small residual network: five layers of 8 channels, three of 12."""

    def __init__(self, norm=nn.BatchNorm2d):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.bn1 = norm(8)
        self.layer1 = nn.Sequential(Block(8, 8, norm), Block(8, 8, norm))
        self.layer2 = nn.Sequential(Block(8, 12, norm))
        self.fc = nn.Linear(12, 5)

    def forward(self, x):
        x = self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x)))))
        return self.fc(x.mean((2, 3)))


class Odd(nn.Module):
    """Ours and torch's, under odd names, in every container, one of them shared, another read by its attribute."""

    def __init__(self):
        super().__init__()
        self.shared = nn.BatchNorm1d(6)
        self.again = self.shared  # a second name within one parent, which `named_children` hides
        self.add_module("weird-name", BatchNorm1d(6, momentum=None))
        self.dictionary = nn.ModuleDict({"0": self.shared, "norm|`x`": nn.BatchNorm1d(6, affine=False)})
        self.listed = nn.ModuleList([nn.Sequential(nn.Linear(6, 6), BatchNorm1d(6, bias=False))])
        self.image = BatchNorm2d(2, eps=1e-3)
        self.untracked = nn.BatchNorm1d(6, track_running_stats=False)

    def forward(self, x):
        x = self.again(torch.tanh(3 * self.shared(x)))
        x = getattr(self, "weird-name")(x)
        for norm in self.dictionary.values():
            x = torch.tanh(norm(x) + 0.3)
        x = self.listed[0](x)
        x = self.image(x.reshape(len(x), 2, 3, 1)).reshape(len(x), self.shared.num_features)
        return self.untracked(torch.tanh(x))


ODD_NAMES = {  # every place of a layer, as the report shall give them
    ("shared", "again", "dictionary.0"),
    ("weird-name",),
    ("dictionary.norm|`x`",),
    ("listed.0.1",),
    ("image",),
    ("untracked",),
}


def warmed(model, x):
    """The model in float64 with parameters and statistics away from their start."""
    model = model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        for _ in range(3):
            model(x + torch.randn(()))
    return model


def images():
    return torch.randn(6, 1, 5, 4).double() * 3 + 2


def vectors():
    return torch.randn(9, 6).double() * 3 + 2
