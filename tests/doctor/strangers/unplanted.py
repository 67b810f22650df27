"""Ten more trained networks without a batch norm mistake, of which some look as if they had one."""

from copy import deepcopy

import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from tests.doctor.strangers.common import Batches, decayed, fit, pictures, seeded, step_with


def kernel(channels_in, channels, stride=1, groups=1):
    return nn.Conv2d(channels_in, channels, 3, stride, padding=1, groups=groups, bias=False)


def trained(model, loader, optimizer, train_step=None):
    """What a training hands to the doctor."""
    found = {"model": model, "loader": loader, "purpose": "training", "optimizer": optimizer}
    return found if train_step is None else {**found, "train_step": train_step}


class Discriminator(nn.Module):
    """Real pictures of digits, or not."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 3, 2, 1),
            nn.LeakyReLU(0.2),
            kernel(12, 24, 2),
            nn.BatchNorm2d(24),
            nn.LeakyReLU(0.2),
        )
        self.logit = nn.Linear(24 * 4, 1)

    def forward(self, x):
        return self.logit(self.features(x).flatten(1)).squeeze(1)


def tell_apart(model, both):
    real = torch.arange(len(both)) < len(both) // 2
    return functional.binary_cross_entropy_with_logits(model(both), real.float())


@seeded(201)
def discriminator_on_mixed_batches():
    """Real and painted pictures pass the discriminator in one batch, half of each, and so share their statistics.

    The loader gives the real ones alone; the step adds the others, which differ from them a little.
    """
    train = pictures().train
    model = Discriminator()
    noise = torch.Generator().manual_seed(0)
    optimizer = decayed(model, lr=0.02)
    usual = step_with(optimizer, tell_apart)

    def train_step(model, batch):
        (real,) = batch
        painted = 0.8 * real.flip(0) + 0.4 * torch.randn(real.shape, generator=noise)
        return usual(model, torch.cat([real, painted]))

    loader = Batches(train.x, size=64, drop_last=True)
    fit(model, loader, optimizer, epochs=8, train_step=train_step)
    return trained(model, loader, optimizer, train_step)


class Grown(nn.Module):
    """A layer of a dense block: norm, activation, convolution, and its maps beside those it read."""

    def __init__(self, channels, growth):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.conv = kernel(channels, growth)

    def forward(self, x):
        return torch.cat([x, self.conv(functional.relu(self.bn(x)))], 1)


@seeded(202)
def dense_block_for_inference():
    """Each map is normalised again by every later layer, and no norm follows a convolution directly."""
    data = pictures()
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1))
    model.add_module("dense", nn.Sequential(Grown(8, 8), Grown(16, 8), nn.MaxPool2d(2), Grown(24, 8)))
    model.add_module("final", nn.BatchNorm2d(32))
    model.add_module("out", nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 10)))
    fit(model, Batches(data.train.x, data.train.y, size=64), decayed(model, lr=0.1), epochs=5)
    loader = Batches(data.validation.x, data.validation.y, size=24)
    return {"model": model.eval(), "loader": loader, "purpose": "inference"}


class Pyramid(nn.Module):
    """One head for two resolutions, whose convolutions are shared while each level has norms of its own."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(kernel(1, 12), nn.BatchNorm2d(12), nn.ReLU())
        self.lower = nn.Sequential(kernel(12, 12, 2), nn.BatchNorm2d(12), nn.ReLU())
        self.shared = nn.ModuleList([kernel(12, 12), kernel(12, 12)])
        self.norms = nn.ModuleDict(
            {level: nn.ModuleList([nn.BatchNorm2d(12), nn.BatchNorm2d(12)]) for level in ("p1", "p2")}
        )
        self.predict = nn.Linear(12 * 4, 10)

    def head(self, x, norms):
        for conv, norm in zip(self.shared, norms, strict=True):
            x = functional.relu(norm(conv(x)))
        return self.predict(functional.adaptive_avg_pool2d(x, 2).flatten(1))

    def forward(self, x):
        high = self.stem(x)
        return {"p1": self.head(high, self.norms["p1"]), "p2": self.head(self.lower(high), self.norms["p2"])}


def both_levels(model, batch):
    x, y = batch
    return sum(functional.cross_entropy(logits, y) for logits in model(x).values())


@seeded(203)
def shared_convolutions_own_norms():
    """The head's convolutions run twice in each pass, but none of its norms does: EfficientDet has it so."""
    train = pictures().train
    model = Pyramid()
    loader = Batches(train.x, train.y, size=64)
    optimizer = decayed(model, lr=0.03)
    train_step = step_with(optimizer, both_levels)
    fit(model, loader, optimizer, epochs=5, train_step=train_step)
    return trained(model, loader, optimizer, train_step)


class Recomputed(nn.Module):
    """A transformer on a convolutional stem; its layers are checkpointed, and have no batch norm."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Sequential(kernel(1, 16), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 2, 2))
        self.place = nn.Parameter(0.1 * torch.randn(16, 32))
        self.layer = nn.TransformerEncoderLayer(32, 4, 48, dropout=0.0, batch_first=True, norm_first=True)
        self.out = nn.Linear(32, 10)

    def forward(self, x):
        x = self.tokens(x).flatten(2).transpose(1, 2) + self.place
        x = checkpoint(self.layer, x, use_reentrant=False) if self.training else self.layer(x)
        return self.out(x.mean(1))


@seeded(204)
def checkpoints_around_layer_norm():
    """What is computed again in the backward pass has layer norm only; the stem's batch norm runs once."""
    train = pictures().train
    model = Recomputed()
    loader = Batches(train.x, train.y, size=64)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.05},
            {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=4e-3,
    )
    fit(model, loader, optimizer, epochs=6)
    return trained(model, loader, optimizer, step_with(optimizer))


class Mixed(nn.Module):
    """Numbers and a category; the dropout before the norms was tuned to 0, that after the last one was not."""

    def __init__(self):
        super().__init__()
        self.lookup = nn.Embedding(6, 4)
        self.numbers = nn.BatchNorm1d(8)
        self.deep = nn.Sequential(
            nn.Linear(12, 48, bias=False), nn.Dropout(0.0), nn.BatchNorm1d(48), nn.Mish(), nn.Dropout(0.1)
        )
        self.out = nn.Linear(48, 2)

    def forward(self, numbers, kind):
        return self.out(self.deep(torch.cat([self.numbers(numbers), self.lookup(kind)], 1)))


def decide(model, batch):
    numbers, kind, label = batch
    return functional.cross_entropy(model(numbers, kind), label)


@seeded(205)
def rare_flags_and_no_dropout():
    """A table with a column that is nearly always 0, seldom 1: its variance is small, but it is no dead channel."""
    rows = 1536
    numbers = torch.randn(rows, 8)
    numbers[:, 7] = (torch.rand(rows) < 0.08).float()
    kind = torch.randint(0, 6, (rows,))
    label = (numbers[:, 0] + 0.5 * (kind - 2.5) + 3 * numbers[:, 7] > 0).long()
    model = Mixed()
    loader = Batches(numbers * torch.tensor([1.0, 1, 1, 1, 30, 0.05, 1, 1]), kind, label, size=64)
    optimizer = decayed(model, lr=0.03)
    train_step = step_with(optimizer, decide)
    fit(model, loader, optimizer, epochs=6, train_step=train_step)
    return trained(model, loader, optimizer, train_step)


class TwoScanners(nn.Module):
    """Kernels for both scanners, and a norm for each of them at every place."""

    def __init__(self):
        super().__init__()
        self.kernels = nn.ModuleList([kernel(1, 12), kernel(12, 20, 2)])
        self.by_scanner = nn.ModuleDict(
            {scanner: nn.ModuleList([nn.BatchNorm2d(12), nn.BatchNorm2d(20)]) for scanner in ("old", "new")}
        )
        self.read = nn.Linear(20 * 4, 10)

    def forward(self, x, scanner):
        for conv, norm in zip(self.kernels, self.by_scanner[scanner], strict=True):
            x = functional.relu(norm(conv(x)))
        return self.read(functional.adaptive_avg_pool2d(x, 2).flatten(1))


class ByScanner:
    """Shuffled batches, each from one scanner, of the two in turn."""

    def __init__(self, loaders):
        self.loaders = loaders

    def __len__(self):
        return sum(len(loader) for loader in self.loaders.values())

    def __iter__(self):
        for batches in zip(*self.loaders.values(), strict=True):
            for scanner, (x, y) in zip(self.loaders, batches, strict=True):
                yield {"picture": x, "scanner": scanner, "digit": y}


def scan(model, batch):
    return functional.cross_entropy(model(batch["picture"], batch["scanner"]), batch["digit"])


@seeded(206)
def norms_of_their_own_for_two_domains():
    """Every batch comes from one of two scanners, but goes to norms that see this scanner alone."""
    train = pictures().train
    half = len(train.y) // 2
    rows = {"old": slice(0, half), "new": slice(half, 2 * half)}
    loader = ByScanner(
        {
            "old": Batches(0.3 * train.x[rows["old"]] - 2, train.y[rows["old"]], size=48),
            "new": Batches(train.x[rows["new"]], train.y[rows["new"]], size=48),
        }
    )
    model = TwoScanners()
    optimizer = decayed(model, lr=0.05)
    train_step = step_with(optimizer, scan)
    fit(model, loader, optimizer, epochs=10, train_step=train_step)
    return trained(model, loader, optimizer, train_step)


class Separable(nn.Module):
    """Depthwise and pointwise convolutions around a residual."""

    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.depthwise, self.dn = kernel(channels_in, channels_in, stride, channels_in), nn.BatchNorm2d(channels_in)
        self.pointwise, self.pn = nn.Conv2d(channels_in, channels, 1, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x):
        return functional.hardswish(self.pn(self.pointwise(functional.hardswish(self.dn(self.depthwise(x))))))


@seeded(207)
def averaged_and_recalibrated():
    """Stochastic weight averaging, and `update_bn` before the averaged network goes to work.

    Its statistics have seen one epoch only, each batch with the same weight; its counters say seventeen.
    """
    data = pictures()
    loader = Batches(data.train.x, data.train.y, size=64)
    model = nn.Sequential(
        kernel(1, 12), nn.BatchNorm2d(12), nn.Hardswish(), Separable(12, 24, 2), Separable(24, 24, 1), nn.Flatten()
    )
    model.append(nn.Linear(24 * 16, 10))
    optimizer = decayed(model, lr=0.05)
    fit(model, loader, optimizer, epochs=3)
    average = AveragedModel(model)
    for group in optimizer.param_groups:
        group["lr"] = 0.03
    for _ in range(2):
        for batch in loader:
            step_with(optimizer)(model, batch)
        average.update_parameters(model)
    update_bn(loader, average)
    served = DataLoader(TensorDataset(data.validation.x, data.validation.y), batch_size=32)
    return {"model": average.eval(), "loader": served, "purpose": "inference"}


class Level(nn.Sequential):
    def __init__(self, channels_in, channels):
        super().__init__(kernel(channels_in, channels), nn.BatchNorm2d(channels), nn.ReLU())


class Letterbox(nn.Module):
    """A U-Net of two levels."""

    def __init__(self):
        super().__init__()
        self.inc, self.down, self.up = Level(1, 8), Level(8, 12), Level(20, 8)
        self.outc = nn.Conv2d(8, 1, 1)

    def forward(self, x):
        skip = self.inc(x)
        low = functional.interpolate(self.down(functional.avg_pool2d(skip, 2)), scale_factor=2.0)
        return self.outc(self.up(torch.cat([skip, low], 1)))


def trace(model, batch):
    x, mask = batch
    return functional.binary_cross_entropy_with_logits(model(x), mask)


@seeded(208)
def pictures_in_black_frames():
    """All pictures stand in a frame of the same width and of one value, in training as in service.

    It is part of the picture: the statistics are those of what the network will always receive.
    """
    train = pictures().train
    framed = functional.pad(train.x + 0.3 * torch.randn_like(train.x), (1, 1, 1, 1), value=train.x.min().item())
    mask = functional.pad((train.x > 0.3).float(), (1, 1, 1, 1))
    model = Letterbox()
    loader = Batches(framed, mask, size=64)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    train_step = step_with(optimizer, trace)
    fit(model, loader, optimizer, epochs=4, train_step=train_step)
    return trained(model, loader, optimizer, train_step)


class Slow(nn.Module):
    """A multilayer perceptron whose norms have momentum 0.01 and eps 0.001, as TensorFlow's EfficientNets."""

    def __init__(self):
        super().__init__()
        self.wide = nn.Linear(64, 48, bias=False)
        self.wide_bn = nn.BatchNorm1d(48, eps=1e-3, momentum=0.01)
        self.deep = nn.Linear(48, 32, bias=False)
        self.deep_bn = nn.BatchNorm1d(32, eps=1e-3, momentum=0.01)
        self.out = nn.Linear(32, 10)

    def forward(self, x):
        x = functional.silu(self.wide_bn(self.wide(x.flatten(1))))
        return self.out(functional.silu(self.deep_bn(self.deep(x))))


@seeded(209)
def slow_momentum_converted_rightly():
    """A decay of 0.99 was converted to a momentum of 0.01, and the training is long enough for it."""
    train = pictures().train
    model = Slow()
    loader = Batches(train.x, train.y, size=64, drop_last=True)
    optimizer = decayed(model, lr=0.05)
    fit(model, loader, optimizer, epochs=45)
    return trained(model, loader, optimizer)


class MeanTeacher(nn.Module):
    """A student, and a teacher whose weights are the average of the student's; both normalise by the batch."""

    def __init__(self):
        super().__init__()
        self.student = nn.Sequential(
            kernel(1, 12), nn.BatchNorm2d(12), nn.ReLU(), kernel(12, 24, 2), nn.BatchNorm2d(24), nn.ReLU()
        )
        self.student.append(nn.Flatten()).append(nn.Linear(24 * 16, 10))
        self.teacher = deepcopy(self.student).requires_grad_(False)

    def forward(self, x):
        with torch.no_grad():
            wanted = self.teacher(x).softmax(1)
        return self.student(x), wanted

    @torch.no_grad()
    def follow(self):
        for kept, new in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            kept.lerp_(new, 0.1)


@seeded(210)
def teacher_in_train_mode():
    """The teacher has no gradients and is in train mode: its weights move by averaging, and so must its statistics."""
    train = pictures().train
    model = MeanTeacher()
    loader = Batches(train.x, train.y, size=64)
    optimizer = decayed(model.student, lr=0.05)

    def train_step(model, batch):
        x, y = batch
        optimizer.zero_grad()
        said, wanted = model(x)
        loss = functional.cross_entropy(said, y) + functional.mse_loss(said.softmax(1), wanted)
        loss.backward()
        optimizer.step()
        model.follow()
        return loss.detach()

    fit(model, loader, optimizer, epochs=6, train_step=train_step)
    return trained(model, loader, optimizer, train_step)


HEALTHY_TOO = (
    discriminator_on_mixed_batches,
    dense_block_for_inference,
    shared_convolutions_own_norms,
    checkpoints_around_layer_norm,
    rare_flags_and_no_dropout,
    norms_of_their_own_for_two_domains,
    averaged_and_recalibrated,
    pictures_in_black_frames,
    slow_momentum_converted_rightly,
    teacher_in_train_mode,
)
