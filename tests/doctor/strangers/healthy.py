"""Ten trained networks without a batch norm mistake, each with something at which a hasty checker might cry out."""

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from bnlab.layers import BatchNorm1d, BatchNorm2d, FrozenBatchNorm2d, SequenceBatchNorm1d
from tests.doctor.strangers.common import Batches, classify, decayed, fit, pictures, seeded, step_with, utterances


def conv(channels_in, channels, stride=1, *, bias=False):
    return nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=bias)


class Biased(nn.Module):
    """Convolutions with a bias, each before a norm."""

    def __init__(self, norm):
        super().__init__()
        self.eyes = nn.ModuleList([conv(1, 8, bias=True), conv(8, 16, 2, bias=True)])
        self.norms = nn.ModuleList([norm(8), norm(16)])
        self.mouth = nn.Linear(16 * 4, 10)

    def forward(self, x):
        for eye, norm in zip(self.eyes, self.norms, strict=True):
            x = functional.relu(norm(eye(x)))
        return self.mouth(functional.adaptive_avg_pool2d(x, 2).flatten(1))


@seeded(1)
def biases_before_frozen_norms():
    """The norms of a trained checkpoint were exchanged for frozen ones, and the convolutions' biases go on learning.

    Before a norm that subtracts a constant a bias is no waste. Kernels stay as they are, so the constants still fit.
    """
    train = pictures().train
    loader = Batches(train.x, train.y, size=64)
    checkpoint = Biased(nn.BatchNorm2d)
    fit(checkpoint, loader, decayed(checkpoint, lr=0.1), epochs=6)
    model = Biased(FrozenBatchNorm2d)
    model.load_state_dict(checkpoint.state_dict())
    for eye in model.eyes:
        eye.weight.requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    fit(model, loader, optimizer, epochs=2)
    return {"model": model, "loader": loader, "purpose": "training", "optimizer": optimizer}


class Transfer(nn.Module):
    """A frozen body under a new head; `train` leaves the body in eval mode, which is the point of it."""

    def __init__(self, body, channels, classes):
        super().__init__()
        self.body = body.requires_grad_(False)
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(channels, classes))
        self.train()

    def train(self, mode=True):
        super().train(mode)
        self.body.eval()
        return self

    def forward(self, x):
        return self.head(self.body(x))


@seeded(2)
def frozen_on_purpose():
    """Transfer learning: the body, trained to tell ten digits, stays in eval mode without gradients.

    Only a head for odd against even digits learns, on the same pictures, and only the head is in the optimizer.
    """
    train = pictures().train
    body = nn.Sequential(
        conv(1, 12), nn.BatchNorm2d(12), nn.ReLU(), conv(12, 24, 2), nn.BatchNorm2d(24), nn.ReLU(), nn.Flatten()
    )
    first = nn.Sequential(body, nn.Linear(24 * 16, 10))
    fit(first, Batches(train.x, train.y, size=64), decayed(first, lr=0.1), epochs=6)
    model = Transfer(body, 24 * 16, 2)
    loader = DataLoader(
        TensorDataset(train.x, train.y % 2), 48, shuffle=True, generator=torch.Generator().manual_seed(0)
    )
    optimizer = torch.optim.Adam(model.head.parameters(), lr=3e-3)
    fit(model, loader, optimizer, epochs=4)
    return {
        "model": model,
        "loader": loader,
        "purpose": "training",
        "optimizer": optimizer,
        "train_step": step_with(optimizer),
    }


class Loud(nn.Module):
    """The last norm sets the scale of the logits: its output is averaged and classified by small fixed directions."""

    def __init__(self):
        super().__init__()
        self.add_module("block-1", nn.Sequential(conv(1, 12), nn.BatchNorm2d(12), nn.GELU()))
        self.add_module("block-2", nn.Sequential(conv(12, 24, 2), nn.BatchNorm2d(24), nn.GELU()))
        self.neck = nn.Sequential(nn.Flatten(), nn.Linear(24 * 16, 32, bias=False), nn.BatchNorm1d(32))
        self.register_buffer("directions", functional.normalize(torch.randn(10, 32)) / 10)
        nn.init.constant_(self.neck[2].weight, 20.0)

    def forward(self, x):
        x = getattr(self, "block-2")(getattr(self, "block-1")(x))
        return self.neck(x) @ self.directions.T


@seeded(3)
def loud_gammas():
    """The directions of the classes are fixed and short, so the last norm's scales start at 20 and stay that large.

    Weight decay is on kernels and matrices only; scales and shifts have none, and learn at twice the rate.
    """
    train = pictures().train
    model = Loud()
    loader = Batches(train.x, train.y, size=96)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.05},
            {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0, "lr": 1e-2},
        ],
        lr=5e-3,
    )
    fit(model, loader, optimizer, epochs=8)
    return {"model": model, "loader": loader, "purpose": "training", "optimizer": optimizer}


class Grey(nn.Module):
    """Raw grey values from 0 to 16, standardised by a norm over their single channel."""

    def __init__(self):
        super().__init__()
        self.standardise = nn.BatchNorm2d(1, affine=False, momentum=None)
        self.squeeze = nn.Sequential(conv(1, 16), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 3, 1, bias=False))
        self.three = nn.BatchNorm2d(3)
        self.out = nn.Linear(3 * 64, 10)

    def forward(self, grey):
        return self.out(functional.relu(self.three(self.squeeze(self.standardise(grey)))).flatten(1))


@seeded(4)
def few_channels_on_raw_pixels():
    """A norm of one channel without scale or shift stands at the input, in place of a mean and a deviation by hand.

    It averages over all batches alike (`momentum=None`); further up, a bottleneck has a norm of three channels.
    """
    data = pictures()
    model = Grey()
    grey = 6.02 * data.train.x + 4.88
    loader = Batches(grey, data.train.y, size=64, wrap=lambda x, y: [x, y])
    optimizer = decayed(model, lr=0.05)
    fit(model, loader, optimizer, epochs=8)
    return {"model": model, "loader": loader, "purpose": "training", "optimizer": optimizer}


class BatchNormAct2d(nn.BatchNorm2d):
    """Batch norm with its activation inside, as some model libraries have it."""

    def __init__(self, channels, *, apply_act=True):
        super().__init__(channels)
        self.drop = nn.Identity()
        self.act = nn.ReLU(inplace=True) if apply_act else nn.Identity()

    def forward(self, x):
        return self.act(self.drop(super().forward(x)))


class Branch(nn.Module):
    """A residual block whose last scale starts at 0."""

    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.path = nn.Sequential(
            conv(channels_in, channels, stride),
            BatchNormAct2d(channels),
            conv(channels, channels),
            BatchNormAct2d(channels, apply_act=False),
        )
        nn.init.zeros_(self.path[3].weight)
        self.shortcut = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), BatchNormAct2d(channels, apply_act=False)
            )

    def forward(self, x):
        return functional.relu(self.path(x) + self.shortcut(x))


class Staged(nn.Module):
    """A residual network with its stages in a dictionary, and dropout after the last norm."""

    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleDict(
            {
                "stem": nn.Sequential(conv(1, 12), BatchNormAct2d(12)),
                "s1": Branch(12, 12, 1),
                "s2": nn.Sequential(Branch(12, 20, 2), Branch(20, 20, 1)),
            }
        )
        self.classify = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(20, 10))

    def forward(self, x):
        for stage in self.stages.values():
            x = stage(x)
        return self.classify(x)


@seeded(5)
def residual_network_for_inference():
    """A residual network with zero-initialised last scales, trained and put into eval mode, reads held-out pictures.

    The loader draws every class equally often, and its last batch is shorter than the others.
    """
    data = pictures()
    model = Staged()
    fit(model, Batches(data.train.x, data.train.y, size=64), decayed(model, lr=0.1), epochs=8)
    held_out = data.validation
    weights = 1.0 / torch.bincount(held_out.y)[held_out.y].double()
    sampler = WeightedRandomSampler(weights, len(held_out.y), generator=torch.Generator().manual_seed(0))
    loader = DataLoader(
        TensorDataset(held_out.x, held_out.y), 32, sampler=sampler, generator=torch.Generator().manual_seed(0)
    )
    return {"model": model.eval(), "loader": loader, "purpose": "inference"}


class Encoder(nn.Module):
    """An encoder that is called for each view by itself."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            conv(1, 12), nn.BatchNorm2d(12), nn.LeakyReLU(0.1), conv(12, 24, 2), nn.BatchNorm2d(24), nn.LeakyReLU(0.1)
        )
        self.probe = nn.Linear(24 * 4, 10)

    def forward(self, view):
        return self.probe(functional.adaptive_max_pool2d(self.net(view), 2).flatten(1))


def two_views(x, y):
    """Two views with noise of their own; the noise is drawn from the rows, so that a batch always gives the same."""
    noise = torch.Generator().manual_seed(int(y.sum()))
    first, second = (x + 0.2 * torch.randn(x.shape, generator=noise) for _ in range(2))
    return {"view_a": first, "view_b": second, "digit": y}


def agree(model, batch):
    a, b = model(batch["view_a"]), model(batch["view_b"])
    supervised = functional.cross_entropy(a, batch["digit"]) + functional.cross_entropy(b, batch["digit"])
    return supervised + 0.1 * functional.mse_loss(a.softmax(1), b.softmax(1))


@seeded(6)
def one_encoder_for_two_views():
    """One encoder reads two noisy views of the same pictures in each step, and shall agree with itself.

    Its running statistics move twice a step, as they should: both views come from one distribution.
    """
    train = pictures().train
    model = Encoder()
    loader = Batches(train.x, train.y, size=64, wrap=two_views)
    optimizer = decayed(model, lr=0.03)
    train_step = step_with(optimizer, agree)
    fit(model, loader, optimizer, epochs=6, train_step=train_step)
    return {"model": model, "loader": loader, "purpose": "training", "optimizer": optimizer, "train_step": train_step}


class Gate(nn.Module):
    """Squeeze and excitation with a norm inside, where maps have a single pixel."""

    def __init__(self, channels):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, 8, 1, bias=False)
        self.bn = BatchNorm2d(8)
        self.fc2 = nn.Conv2d(8, channels, 1)

    def forward(self, x):
        squeezed = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(functional.relu(self.bn(self.fc1(squeezed)))))


@seeded(7)
def single_pixels_in_large_batches():
    """A squeeze-and-excitation gate has a norm of its own, on maps of one pixel.

    Batches of 128 give it 128 values per channel, which is enough; the short last batch is dropped.
    """
    train = pictures().train
    model = nn.Sequential()
    model.add_module("stem", nn.Sequential(conv(1, 16), BatchNorm2d(16), nn.ReLU()))
    model.add_module("gate", Gate(16))
    model.add_module("down", nn.Sequential(conv(16, 24, 2), BatchNorm2d(24), nn.ReLU()))
    model.add_module("head", nn.Sequential(nn.Flatten(), nn.Linear(24 * 16, 10)))
    loader = Batches(train.x, train.y, size=128, drop_last=True)
    optimizer = decayed(model, lr=0.1)
    fit(model, loader, optimizer, epochs=32)
    return {
        "model": model,
        "loader": loader,
        "purpose": "training",
        "optimizer": optimizer,
        "train_step": step_with(optimizer),
    }


class MaskedSpeech(nn.Module):
    """Convolutions over time whose norms are told where the padding is."""

    def __init__(self):
        super().__init__()
        self.convolutions = nn.ModuleList(
            [nn.Conv1d(12, 16, 5, padding=2, bias=False), nn.Conv1d(16, 16, 5, padding=2, bias=False)]
        )
        self.normalise = nn.ModuleList([SequenceBatchNorm1d(16), SequenceBatchNorm1d(16)])
        self.words = nn.Linear(16, 3)

    def forward(self, batch):
        x, lengths = batch["features"], batch["lengths"]
        for convolution, norm in zip(self.convolutions, self.normalise, strict=True):
            x = norm(convolution(x).transpose(1, 2), lengths=lengths).relu().transpose(1, 2)
            x = x * (torch.arange(x.shape[2]) < lengths[:, None])[:, None]
        return self.words(x.sum(2) / lengths[:, None])


def recognise(model, batch):
    return functional.cross_entropy(model(batch), batch["label"])


def collate(features, lengths, label):
    """Cut the batch to its longest utterance."""
    return {"features": features[..., : lengths.max()], "lengths": lengths, "label": label}


@seeded(8)
def padded_sequences_with_a_mask():
    """Utterances of 8 to 60 frames, padded in each batch to the longest, and norms that leave the padding out.

    The model takes the whole batch as a dictionary; batches differ in length.
    """
    model = MaskedSpeech()
    loader = Batches(*utterances(320), size=32, wrap=collate)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    train_step = step_with(optimizer, recognise)
    fit(model, loader, optimizer, epochs=6, train_step=train_step)
    return {"model": model, "loader": loader, "purpose": "training", "optimizer": optimizer, "train_step": train_step}


class Patches(nn.Module):
    """A small transformer over the sixteen 2x2 patches of a picture, with layer norm alone."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(1, 32, 2, 2)
        self.place = nn.Parameter(0.1 * torch.randn(16, 32))
        self.groups = nn.GroupNorm(4, 32)
        self.encoder = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.cls = nn.Linear(16 * 32, 10)

    def forward(self, x):
        tokens = self.groups(self.embed(x)).flatten(2).transpose(1, 2) + self.place
        return self.cls(self.encoder(tokens).flatten(1))


@seeded(9)
def no_batch_norm_at_all():
    """A transformer with layer norm and group norm, trained in batches of 16: nothing here depends on the batch."""
    train = pictures().train
    model = Patches()
    loader = Batches(train.x, train.y, size=16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    fit(model, Batches(train.x, train.y, size=64), optimizer, epochs=6)
    return {"model": model, "loader": loader, "purpose": "training", "optimizer": optimizer}


class Table(nn.Module):
    """Columns of very different units, standardised at the input, and two hidden layers."""

    def __init__(self, columns):
        super().__init__()
        self.units = BatchNorm1d(columns)
        self.hidden = nn.Sequential(
            nn.Linear(columns, 32, bias=False), nn.BatchNorm1d(32), nn.SiLU(), nn.Linear(32, 32, bias=False)
        )
        self.final_norm = nn.BatchNorm1d(32)
        self.readout = nn.Linear(32, 2)
        self.seen = {}
        self.final_norm.register_forward_hook(self.remember)

    def remember(self, _module, _inputs, output):
        self.seen["spread"] = output.detach().std().item()

    def forward(self, table):
        return self.readout(functional.silu(self.final_norm(self.hidden(self.units(table)))))


@seeded(10)
def accumulated_halves_of_a_table():
    """Rows of a table whose columns range from fractions to thousands, so a norm stands at the input.

    Each step accumulates gradients over two halves of a batch of 128, which is still 64 rows for every norm; a hook
    notes the spread of the last one's output.
    """
    columns = torch.randn(2048, 8)
    label = (columns[:, 0] * columns[:, 1] + columns[:, 2] > 0).long()
    table = columns * torch.logspace(-0.5, 3.5, 8) + torch.linspace(-3.0, 2000.0, 8)
    model = Table(8)
    optimizer = decayed(model, lr=0.1)

    def train_step(model, batch):
        optimizer.zero_grad()
        total = 0.0
        for x, y in zip(batch[0].chunk(2), batch[1].chunk(2), strict=True):
            loss = classify(model, (x, y)) / 2
            loss.backward()
            total += loss.detach()
        optimizer.step()
        return total

    loader = Batches(table, label, size=128)
    fit(model, loader, optimizer, epochs=15, train_step=train_step)
    return {"model": model, "loader": loader, "purpose": "training", "optimizer": optimizer, "train_step": train_step}


HEALTHY = (
    biases_before_frozen_norms,
    frozen_on_purpose,
    loud_gammas,
    few_channels_on_raw_pixels,
    residual_network_for_inference,
    one_encoder_for_two_views,
    single_pixels_in_large_batches,
    padded_sequences_with_a_mask,
    no_batch_norm_at_all,
    accumulated_halves_of_a_table,
)
