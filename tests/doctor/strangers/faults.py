"""Ten networks, each with one batch norm mistake as people make it, and what a good tool must say of each."""

from copy import deepcopy
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from bnlab.layers import GhostBatchNorm2d
from tests.doctor.strangers.common import Batches, decayed, fit, pictures, seeded, step_with, utterances


class Expected(NamedTuple):
    """What to demand of a report: in plain words, at which modules (any of them will do), and how severe at least."""

    say: str
    modules: tuple[str, ...]
    severity: str


class BatchNormAct2d(nn.BatchNorm2d):
    """Batch norm with its activation inside, as some model libraries have it."""

    def __init__(self, channels, act=functional.relu, **options):
        super().__init__(channels, **options)
        self.act = act

    def forward(self, x):
        return self.act(super().forward(x))


def conv(channels_in, channels, stride=1):
    return nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)


class Halved(nn.Module):
    """A classifier of raw grey values of which every tensor is bfloat16."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Flatten(), nn.Linear(64, 32, bias=False), nn.BatchNorm1d(32, momentum=0.01))
        self.mixer = nn.Sequential(nn.Linear(32, 32, bias=False), nn.BatchNorm1d(32, momentum=0.01))
        self.classifier = nn.Linear(32, 10)
        self.to(torch.bfloat16)

    def forward(self, x):
        x = functional.relu(self.stem(x.to(torch.bfloat16)))
        return self.classifier(functional.relu(self.mixer(x)))


@seeded(1)
def whole_model_in_bfloat16():
    """To save memory the author called `model.to(torch.bfloat16)`, norms and all, rather than use autocast.

    The norms average slowly, with a momentum of 0.01: so small a step is lost in the rounding of a bfloat16 buffer, and
    the running statistics stop far from where they should go.
    """
    train = pictures().train
    model = Halved()
    loader = DataLoader(
        TensorDataset(6 * train.x + 5, train.y), 32, shuffle=True, generator=torch.Generator().manual_seed(0)
    )
    optimizer = decayed(model, lr=0.02)
    fit(model, loader, optimizer, epochs=15)
    return {"model": model, "loader": loader, "purpose": "training", "optimizer": optimizer}


class Checkpointed(nn.Module):
    """Stages whose activations are computed again in the backward pass."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.ModuleList(
            [
                nn.Sequential(conv(1, 8), nn.BatchNorm2d(8), nn.ReLU()),
                nn.Sequential(conv(8, 12, 2), nn.BatchNorm2d(12), nn.ReLU()),
                nn.Sequential(conv(12, 16, 2), nn.BatchNorm2d(16), nn.ReLU()),
            ]
        )
        self.out = nn.Linear(16, 10)

    def forward(self, x):
        x = self.trunk[0](x)
        for stage in self.trunk[1:]:
            x = checkpoint(stage, x, use_reentrant=False) if self.training else stage(x)
        return self.out(x.mean((2, 3)))


@seeded(2)
def checkpointed_stages_count_twice():
    """The two upper stages were wrapped in activation checkpointing when memory ran out.

    Their forward pass runs a second time during backward, and so each batch moves their running statistics twice.
    """
    train = pictures().train
    model = Checkpointed()
    loader = Batches(train.x, train.y, size=64)
    optimizer = decayed(model, lr=0.05)
    fit(model, loader, optimizer, epochs=3)
    return {
        "model": model,
        "loader": loader,
        "purpose": "training",
        "optimizer": optimizer,
        "train_step": step_with(optimizer),
    }


class PooledPyramid(nn.Module):
    """A segmenter of volumes with a branch that sees the whole volume at once, as DeepLab's does."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv3d(1, 8, 3, padding=1, bias=False), nn.BatchNorm3d(8), nn.ReLU())
        self.branches = nn.ModuleDict(
            {
                "local": nn.Sequential(nn.Conv3d(8, 8, 1, bias=False), nn.BatchNorm3d(8), nn.ReLU()),
                "dilated": nn.Sequential(
                    nn.Conv3d(8, 8, 3, padding=2, dilation=2, bias=False), nn.BatchNorm3d(8), nn.ReLU()
                ),
                "global": nn.Sequential(
                    nn.AdaptiveAvgPool3d(1), nn.Conv3d(8, 8, 1, bias=False), nn.BatchNorm3d(8), nn.ReLU()
                ),
            }
        )
        self.voxels = nn.Conv3d(24, 1, 1)

    def forward(self, volume):
        x = self.encoder(volume)
        found = [branch(x).expand(-1, -1, *x.shape[2:]) for branch in self.branches.values()]
        return self.voxels(torch.cat(found, dim=1)).squeeze(1)


def segment(model, batch):
    volume, mask = batch
    return functional.binary_cross_entropy_with_logits(model(volume), mask)


@seeded(3)
def pooled_branch_on_two_volumes():
    """Only two scans fit into memory, and the image-pooling branch was kept as the paper has it.

    Its norm sees a single value of each scan per channel: of two values, one always becomes about 1 and the other -1.
    """
    grid = torch.stack(torch.meshgrid(*[torch.arange(10.0)] * 3, indexing="ij"))
    centre = torch.randint(3, 7, (40, 3, 1, 1, 1))
    mask = (((grid - centre) ** 2).sum(1) < torch.randint(4, 12, (40, 1, 1, 1))).float()
    volume = (mask + 0.4 * torch.randn(mask.shape))[:, None] * (0.5 + torch.rand(40, 1, 1, 1, 1))
    model = PooledPyramid()
    loader = Batches(volume, mask, size=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    train_step = step_with(optimizer, segment)
    fit(model, loader, optimizer, epochs=4, train_step=train_step)
    return {
        "model": model,
        "loader": loader,
        "purpose": "training",
        "optimizer": optimizer,
        "train_step": train_step,
    }


class Detector(nn.Module):
    """A pretrained backbone under two heads: what it is and how large."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict({"kind": nn.Linear(16, 10), "size": nn.Linear(16, 1)})

    def forward(self, x):
        features = self.backbone(x).mean((2, 3))
        return {name: head(features) for name, head in self.heads.items()}


def backbone():
    return nn.Sequential(
        conv(1, 8), BatchNormAct2d(8), conv(8, 16, 2), BatchNormAct2d(16), conv(16, 16), BatchNormAct2d(16)
    )


def detect(model, batch):
    found = model(batch["image"])
    kind = functional.cross_entropy(found["kind"], batch["kind"])
    return kind + functional.mse_loss(found["size"].squeeze(1), batch["size"])


@seeded(4)
def frozen_weights_moving_statistics():
    """The backbone was frozen for fine-tuning by `requires_grad_(False)`, and then `model.train()` was called.

    Its norms still normalise by the small batches of the new camera, and their running statistics drift away from
    those the frozen weights were trained with.
    """
    train = pictures().train
    body = backbone()
    pretraining = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
    fit(pretraining, Batches(train.x, train.y, size=64), decayed(pretraining, lr=0.1), epochs=5)
    model = Detector(body)
    model.backbone.requires_grad_(False)
    model.train()
    rows = slice(0, 320)
    camera = 0.5 * train.x[rows] + 0.4
    loader = Batches(
        camera,
        train.y[rows],
        camera.std((1, 2, 3)),
        size=8,
        wrap=lambda image, kind, size: {"image": image, "kind": kind, "size": size},
    )
    optimizer = torch.optim.Adam(model.heads.parameters(), lr=1e-2)
    train_step = step_with(optimizer, detect)
    fit(model, loader, optimizer, epochs=2, train_step=train_step)
    return {
        "model": model,
        "loader": loader,
        "purpose": "training",
        "optimizer": optimizer,
        "train_step": train_step,
    }


class Tagger(nn.Module):
    """Three convolutions and a linear layer, with the norms in a list of their own."""

    def __init__(self):
        super().__init__()
        widths = [(1, 12, 1), (12, 16, 2), (16, 24, 2)]
        self.kernels = nn.ModuleList([conv(*width) for width in widths])
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels) for _, channels, _ in widths])
        self.tag = nn.Linear(24, 10)

    def forward(self, x):
        for kernel, norm in zip(self.kernels, self.norms, strict=True):
            x = functional.relu(norm(kernel(x)))
        return self.tag(x.mean((2, 3)))


@seeded(5)
def averaged_weights_without_buffers():
    """A moving average of the weights is kept in a deep copy and sent to production; the loop goes over `parameters()`.

    Running statistics are buffers, so the copy still has those it was born with: mean 0 and variance 1.
    """
    data = pictures()
    model = Tagger()
    average = deepcopy(model).requires_grad_(False).eval()
    optimizer = decayed(model, lr=0.05)
    usual = step_with(optimizer)

    def train_step(model, batch):
        loss = usual(model, batch)
        with torch.no_grad():
            for kept, new in zip(average.parameters(), model.parameters(), strict=True):
                kept.lerp_(new, 0.1)
        return loss

    fit(model, Batches(data.train.x, data.train.y, size=64), optimizer, epochs=5, train_step=train_step)
    loader = Batches(data.validation.x, data.validation.y, size=32)
    return {"model": average, "loader": loader, "purpose": "inference"}


def with_ghosts(module):
    """Exchange every BatchNorm2d below for one with ghost batches, which takes over the values."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            ghost = GhostBatchNorm2d(child.num_features, ghost_size=16)
            ghost.load_state_dict(child.state_dict())
            setattr(module, name, ghost)
        else:
            with_ghosts(child)
    return module


@seeded(6)
def optimizer_made_before_the_exchange():
    """Norms were exchanged for ghost batch norms after the optimizer had been made.

    The optimizer still holds the scales and shifts of the discarded layers, and those in the network never train.
    """
    train = pictures().train
    model = Tagger()
    optimizer = decayed(model, lr=0.05)
    model = with_ghosts(model)
    loader = Batches(train.x, train.y, size=64, drop_last=True)
    fit(model, loader, optimizer, epochs=4)
    return {"model": model, "loader": loader, "purpose": "training", "optimizer": optimizer}


class Speech(nn.Module):
    """Convolutions over time and a mean over the real frames."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(12, 16, 5, padding=2, bias=False),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Conv1d(16, 16, 5, padding=2, bias=False),
            nn.BatchNorm1d(16),
            nn.ReLU(),
        )
        self.project = nn.Linear(16, 3)

    def forward(self, features, lengths):
        real = torch.arange(features.shape[2]) < lengths[:, None]
        x = self.layers(features) * real[:, None]
        return self.project(x.sum(2) / lengths[:, None])


def recognise(model, batch):
    return functional.cross_entropy(model(batch["features"], batch["lengths"]), batch["label"])


def collate(features, lengths, label):
    """Cut the batch to its longest utterance."""
    return {"features": features[..., : lengths.max()], "lengths": lengths, "label": label}


@seeded(7)
def padding_in_the_statistics():
    """Utterances are padded with zeros to the longest of the batch, and the mask is used for pooling only.

    More than half of all frames are padding, far from the features' values, and the norms average over them too.
    """
    model = Speech()
    loader = Batches(*utterances(384), size=16, wrap=collate)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    train_step = step_with(optimizer, recognise)
    fit(model, loader, optimizer, epochs=4, train_step=train_step)
    return {
        "model": model,
        "loader": loader,
        "purpose": "training",
        "optimizer": optimizer,
        "train_step": train_step,
    }


class CopiedLine(nn.Module):
    """A plain network of one width, written out by hand."""

    def __init__(self):
        super().__init__()
        self.c1 = conv(1, 16)
        self.n1 = nn.BatchNorm2d(16)
        self.c2 = conv(16, 16, 2)
        self.n2 = nn.BatchNorm2d(16)
        self.c3 = conv(16, 16, 2)
        self.n3 = nn.BatchNorm2d(16)
        self.top = nn.Linear(16, 10)

    def forward(self, x):
        x = functional.relu(self.n1(self.c1(x)))
        x = functional.relu(self.n1(self.c2(x)))
        x = functional.relu(self.n3(self.c3(x)))
        return self.top(x.mean((2, 3)))


@seeded(8)
def copied_line_calls_the_first_norm_again():
    """A line of `forward` was copied and its norm not renamed: all widths are equal, so nothing complains.

    `n1` averages over two layers that have nothing to do with each other, and `n2` never runs.
    """
    train = pictures().train
    model = CopiedLine()
    loader = Batches(train.x, train.y, size=64)
    optimizer = decayed(model, lr=0.05)
    fit(model, loader, optimizer, epochs=4)
    return {"model": model, "loader": loader, "purpose": "training", "optimizer": optimizer}


class Critic(nn.Module):
    """A critic for 8x8 pictures in the manner of DCGAN."""

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential()
        self.main.add_module("initial:conv", nn.Conv2d(1, 16, 4, 2, 1, bias=False))
        self.main.add_module("initial:relu", nn.LeakyReLU(0.2))
        self.main.add_module("pyramid:conv", nn.Conv2d(16, 32, 4, 2, 1, bias=False))
        self.main.add_module("pyramid:norm", nn.BatchNorm2d(32))
        self.main.add_module("pyramid:relu", nn.LeakyReLU(0.2))
        self.main.add_module("extra:conv", nn.Conv2d(32, 32, 3, 1, 1, bias=False))
        self.main.add_module("extra:norm", nn.BatchNorm2d(32))
        self.main.add_module("extra:relu", nn.LeakyReLU(0.2))
        self.main.add_module("final:conv", nn.Conv2d(32, 1, 2, 1, 0, bias=False))

    def forward(self, x):
        return self.main(x).flatten()


@seeded(9)
def clipped_critic():
    """A Wasserstein critic whose weights are kept small by clamping all of `critic.parameters()` to 0.01.

    The loop takes the norms' scales with it, which start at 1: what a norm hands on is a hundredth of what it was, and
    the next one sees a variance far below its eps.
    """
    train = pictures().train
    painter = nn.Sequential(nn.Linear(16, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
    noise = torch.Generator().manual_seed(0)
    model = Critic()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=5e-4)

    def train_step(critic, batch):
        (real,) = batch
        with torch.no_grad():
            fake = painter(torch.randn(len(real), 16, generator=noise))
        optimizer.zero_grad()
        score_real, score_fake = critic(torch.cat([real, fake])).chunk(2)
        loss = score_fake.mean() - score_real.mean()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for parameter in critic.parameters():
                parameter.clamp_(-0.01, 0.01)
        return loss.detach()

    loader = Batches(train.x, size=64, drop_last=True)
    fit(model, loader, optimizer, epochs=5, train_step=train_step)
    return {
        "model": model,
        "loader": loader,
        "purpose": "training",
        "optimizer": optimizer,
        "train_step": train_step,
    }


class Phone(nn.Module):
    """A small network of separable convolutions, with each norm beside its convolution."""

    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleDict()
        for name, channels_in, channels, stride in [("a", 1, 12, 1), ("b", 12, 16, 2), ("c", 16, 24, 2)]:
            self.stages[name] = nn.ModuleDict(
                {"conv": conv(channels_in, channels, stride), "bn": nn.BatchNorm2d(channels)}
            )
        self.classes = nn.Linear(24, 10)

    def forward(self, x):
        for stage in self.stages.values():
            x = functional.hardswish(stage["bn"](stage["conv"](x)))
        return self.classes(x.mean((2, 3)))


@seeded(10)
def folded_and_kept():
    """Before export the norms were folded into the convolutions, but the norms stayed where they are.

    Each convolution already does its norm's work, and the norm does it once more.
    """
    data = pictures()
    model = Phone()
    fit(model, Batches(data.train.x, data.train.y, size=64), decayed(model, lr=0.1), epochs=5)
    model.eval().requires_grad_(False)
    for stage in model.stages.values():
        norm = stage["bn"]
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        stage["conv"].weight.mul_(scale[:, None, None, None])
        stage["conv"].bias = nn.Parameter(norm.bias - scale * norm.running_mean, requires_grad=False)
    loader = DataLoader(TensorDataset(data.validation.x, data.validation.y), batch_size=24)
    return {"model": model, "loader": loader, "purpose": "inference"}


EXPECTED = {
    "whole_model_in_bfloat16": Expected(
        "The running statistics are kept in bfloat16, too coarse to average in: keep the norms in float32.",
        ("stem.2", "mixer.1"),
        "warning",
    ),
    "checkpointed_stages_count_twice": Expected(
        "Each batch moves these running statistics twice per step, since checkpointing runs the forward pass again.",
        ("trunk.1.1", "trunk.2.1"),
        "note",
    ),
    "pooled_branch_on_two_volumes": Expected(
        "In training this norm has only two values per channel, whose normalised values are always about 1 and -1.",
        ("branches.global.2",),
        "warning",
    ),
    "frozen_weights_moving_statistics": Expected(
        "The norms' parameters are frozen, but they normalise by the batch and still move their running statistics.",
        ("backbone.1", "backbone.3", "backbone.5"),
        "warning",
    ),
    "averaged_weights_without_buffers": Expected(
        "Inference uses running statistics that are still those of initialisation, or that do not fit the data.",
        ("norms.0", "norms.1", "norms.2"),
        "error",
    ),
    "optimizer_made_before_the_exchange": Expected(
        "The optimizer does not hold these norms' scales and shifts, though they ask for gradients: they never train.",
        ("norms.0", "norms.1", "norms.2"),
        "warning",
    ),
    "padding_in_the_statistics": Expected(
        "Padded frames take part in the batch statistics: normalise over the real frames only.",
        ("layers.1", "layers.4"),
        "warning",
    ),
    "copied_line_calls_the_first_norm_again": Expected(
        "One norm runs at two places with different inputs, and another never runs at all.",
        ("n1", "n2"),
        "warning",
    ),
    "clipped_critic": Expected(
        "The norms' scales are all squeezed to 0.01, or a norm's input varies less than its eps: do not clip them.",
        ("main.pyramid:norm", "main.extra:norm"),
        "warning",
    ),
    "folded_and_kept": Expected(
        "The running statistics do not fit what the layers receive, as if the norm had been applied before already.",
        ("stages.a.bn", "stages.b.bn", "stages.c.bn"),
        "warning",
    ),
}
