"""Networks of every kind that folding and export must serve, with statistics as training leaves them."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from bnlab import layers
from bnlab.deploy.survey import batch_norm_layers
from tests.deploy.networks import ResNet


def trained(model, seed=0):
    """The model in evaluation, with uneven statistics: variances from ten times eps to 10, gammas of both signs."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for norm in batch_norm_layers(model):
            for tensor in (norm.running_mean, norm.weight, norm.bias):
                if tensor is not None:
                    tensor.copy_(torch.randn(tensor.shape, generator=generator) + 0.2)
            if norm.running_var is not None:
                norm.running_var.copy_(10 ** (5 * torch.rand(norm.running_var.shape, generator=generator) - 4))
    return model.eval()


class PreActivation(nn.Module):
    """Pre-activation blocks: batch norm before each convolution, and so behind a sum or another's activation."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.norm1, self.conv1 = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm3, self.head = nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1)

    def forward(self, x):
        x = self.stem(x)  # two users: norm1 and the sum
        inner = self.conv1(torch.relu(self.norm1(x)))
        x = x + self.conv2(torch.relu(self.norm2(inner)))
        return self.head(self.norm3(x)).mean((2, 3))


class MobileNet(nn.Module):
    """Depthwise, pointwise and grouped convolutions, with a residual around an inverted bottleneck."""

    def __init__(self):
        super().__init__()

        def unit(c_in, c_out, kernel, **options):
            conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False, **options)
            return [conv, nn.BatchNorm2d(c_out), nn.ReLU6()]

        self.stem = nn.Sequential(*unit(1, 8, 3))
        self.block = nn.Sequential(*unit(8, 16, 1), *unit(16, 16, 3, groups=16), *unit(16, 8, 1)[:2])
        self.grouped = nn.Sequential(*unit(8, 12, 3, groups=4, stride=2), *unit(12, 6, 1, groups=2))

    def forward(self, x):
        x = self.stem(x)
        return self.grouped(x + self.block(x)).mean((2, 3))


class UNet(nn.Module):
    """A skip by concatenation from behind a batch norm, and one from before it, which must not be folded."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(1, 4, 3, padding=1)
        self.down_norm = nn.BatchNorm2d(4)
        self.bottom = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.bottom_norm = nn.BatchNorm2d(6)
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.up_norm = nn.BatchNorm2d(4)
        self.last = nn.Conv2d(12, 2, 1)

    def forward(self, x):
        raw = self.down(x)
        skip = torch.relu(self.down_norm(raw))
        x = torch.relu(self.bottom_norm(self.bottom(skip)))
        return self.last(torch.cat([raw, skip, self.up_norm(self.up(x))], dim=1))


class Shared(nn.Module):
    """One convolution before two norms, one norm behind two convolutions, and one norm under two names."""

    def __init__(self):
        super().__init__()
        self.conv, self.other, self.third = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        self.first, self.second, self.shared = (nn.BatchNorm2d(3) for _ in range(3))
        self.norm = nn.BatchNorm2d(3)
        self.same_norm = self.norm

    def forward(self, x):
        x = torch.relu(self.first(self.conv(x)))
        x = torch.relu(self.second(self.conv(x)))
        x = torch.relu(self.shared(self.other(x)))
        x = torch.relu(self.shared(x))
        return self.same_norm(self.third(x))


class TwoInputs(nn.Module):
    """Two inputs, a default that chooses the path, and a dictionary of outputs."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(3, 5), nn.Linear(4, 5, bias=False)
        self.left_norm, self.right_norm = layers.BatchNorm1d(5), nn.BatchNorm1d(5)

    def forward(self, a, b, features=False):
        a, b = self.left_norm(self.left(a)), self.right_norm(input=self.right(b))
        if features:
            return a
        return {"sum": a + b, "parts": (a, [b])}


def odd_names():
    inner = nn.Sequential()
    inner.add_module("conv-1|`x`", nn.Conv1d(2, 4, 3, dilation=2, padding=2))
    inner.add_module("0 norm", nn.BatchNorm1d(4, eps=1e-3))
    return nn.Sequential(nn.ModuleDict({"träger": inner})["träger"], nn.Sequential(nn.Sequential(nn.ReLU())))


def convolutions_of_all_kinds():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=2, dilation=2, padding_mode="circular"),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 4, (3, 1), stride=(2, 1), padding=(1, 0), padding_mode="reflect", bias=False),
        nn.BatchNorm2d(4, affine=False),
        nn.Conv2d(4, 6, 3, padding="same", padding_mode="replicate"),
        nn.BatchNorm2d(6, bias=False),
        nn.Conv2d(6, 6, 2, padding="valid", groups=3),
        nn.SyncBatchNorm(6),
    )


def transposed():
    return nn.Sequential(
        nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 9, 3, groups=3, dilation=2, padding=1),  # 2 channels in and 3 out in each group
        nn.BatchNorm2d(9),
        nn.ReLU(),
        nn.ConvTranspose2d(9, 9, 2, groups=9),
        nn.BatchNorm2d(9),
    )


def ours_and_torch_s():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        layers.BatchNorm2d(4, backend="manual"),
        nn.Conv2d(4, 4, 3),
        layers.GhostBatchNorm2d(4, ghost_size=2),
        nn.Conv2d(4, 6, 3, bias=False),
        layers.FrozenBatchNorm2d(6, eps=1e-3),
        nn.ReLU(),
        nn.Conv2d(6, 6, 1),
        layers.BatchRenorm2d(6),
        nn.Conv2d(6, 6, 1),
        layers.BatchNorm2d(6, affine=False),
        nn.Conv2d(6, 3, 1),
        nn.BatchNorm2d(3),
    )


def in_one_dimension():
    return nn.Sequential(
        nn.Conv1d(2, 6, 3, padding=1, groups=2),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.ConvTranspose1d(6, 4, 4, stride=2, groups=2),
        layers.BatchNorm1d(4),
    )


def in_three_dimensions():
    return nn.Sequential(
        nn.Conv3d(1, 4, 3, padding=1),
        nn.BatchNorm3d(4),
        nn.ReLU(),
        nn.Conv3d(4, 4, 3, groups=2, bias=False),
        layers.BatchNorm3d(4),
        nn.ConvTranspose3d(4, 6, 2, groups=2),
        layers.FrozenBatchNorm3d(6),
    )


def mlp():
    return nn.Sequential(
        nn.Linear(6, 8, bias=False),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Linear(8, 8),
        nn.BatchNorm1d(8),
        nn.Tanh(),
        nn.Linear(8, 3),
    )


def plain_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 5 * 4, 3),
    )


class Architecture(NamedTuple):
    """How a network is built, the shapes of its inputs but for the batch, and what becomes of its norms."""

    build: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    folded: int
    left: tuple[str, ...]

    def example(self, batch=2):
        inputs = tuple(torch.randn(batch, *shape) for shape in self.shapes)
        return inputs[0] if len(inputs) == 1 else inputs


IMAGE = ((1, 9, 8),)
ARCHITECTURES = {
    "plain_cnn": Architecture(plain_cnn, IMAGE, 2, ()),
    "resnet": Architecture(ResNet, IMAGE, 8, ()),
    "pre_activation": Architecture(PreActivation, IMAGE, 1, ("norm1", "norm3")),
    "mobilenet": Architecture(MobileNet, IMAGE, 6, ()),
    "transposed": Architecture(transposed, ((4, 4, 3),), 3, ()),
    "one_dimension": Architecture(in_one_dimension, ((2, 9),), 2, ()),
    "three_dimensions": Architecture(in_three_dimensions, ((1, 4, 5, 3),), 3, ()),
    "mlp": Architecture(mlp, ((6,),), 2, ()),
    "convolutions_of_all_kinds": Architecture(convolutions_of_all_kinds, IMAGE, 4, ()),
    "shared": Architecture(Shared, ((3, 6, 5),), 1, ("first", "second", "shared")),
    "odd_names": Architecture(odd_names, ((2, 9),), 1, ()),
    "ours_and_torch_s": Architecture(ours_and_torch_s, IMAGE, 6, ()),
    "unet": Architecture(UNet, ((1, 8, 6),), 2, ("down_norm",)),
    "two_inputs": Architecture(TwoInputs, ((3,), (4,)), 1, ("right_norm",)),
}
