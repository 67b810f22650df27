"""What the strangers' networks share: data, loaders, and a short training with a falling learning rate."""

import math
from functools import cache, wraps

import torch
from torch.nn import functional

from bnlab.experiments.data import Split, digits


@cache
def pictures():
    """The digits, with half of those to train on: the networks' statistics settle on these, too."""
    data = digits()
    return data._replace(train=Split(data.train.x[:540], data.train.y[:540]))


def seeded(seed):
    """A decorator: the function draws from its own random numbers and leaves those of its caller alone."""

    def decorate(function):
        @wraps(function)
        def run():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                return function()

        return run

    return decorate


class Batches:
    """Shuffled batches, in a new order each time; `wrap` makes of the tensors' rows what the author's loop takes."""

    def __init__(self, *tensors, size, wrap=lambda *rows: rows, drop_last=False):
        self.tensors = tensors
        self.size = size
        self.wrap = wrap
        self.drop_last = drop_last
        self.generator = torch.Generator().manual_seed(0)

    def __len__(self):
        rows = len(self.tensors[0])
        return rows // self.size if self.drop_last else math.ceil(rows / self.size)

    def __iter__(self):
        order = torch.randperm(len(self.tensors[0]), generator=self.generator)
        for rows in order.split(self.size)[: len(self)]:
            yield self.wrap(*(tensor[rows] for tensor in self.tensors))


def classify(model, batch):
    x, y = batch
    return functional.cross_entropy(model(x).float(), y)


def step_with(optimizer, loss=classify):
    """The usual training step."""

    def train_step(model, batch):
        optimizer.zero_grad()
        value = loss(model, batch)
        value.backward()
        optimizer.step()
        return value.detach()

    return train_step


def fit(model, loader, optimizer, *, epochs, train_step=None):
    """Train with a cosine schedule, at whose end the running statistics have caught up with the weights."""
    train_step = train_step or step_with(optimizer)
    peaks = [group["lr"] for group in optimizer.param_groups]
    total = epochs * len(loader)
    done = 0
    for _ in range(epochs):
        for batch in loader:
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * (0.01 + 0.99 * (1 + math.cos(math.pi * done / total)) / 2)
            train_step(model, batch)
            done += 1


def decayed(model, *, lr, weight_decay=1e-4):
    """SGD with weight decay on matrices and kernels only."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.SGD(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=lr,
        momentum=0.9,
    )


def utterances(rows):
    """Padded features of rising, falling and wavering sounds: `rows` of 12 bands, 8 to 60 frames, zeros behind."""
    lengths = torch.where(torch.rand(rows) < 0.75, torch.randint(8, 20, (rows,)), torch.randint(45, 61, (rows,)))
    labels = torch.randint(0, 3, (rows,))
    time = torch.arange(60.0)
    slope = (time - lengths[:, None] / 2) / lengths[:, None]
    curves = torch.stack([slope, -slope, torch.sin(time).expand(rows, 60) / 2], dim=1)[torch.arange(rows), labels]
    bands = torch.linspace(0.5, 3.0, 12)
    features = -6.0 + bands[:, None] * (curves[:, None] * 3 + torch.randn(rows, 12, 60))
    real = time < lengths[:, None]
    return torch.where(real[:, None], features, 0.0), lengths, labels
