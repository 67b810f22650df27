"""Seventeen more networks, each with one fault planted as somebody would make it, and the rule that should find it."""

from copy import deepcopy

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from tests.doctor.strangers.common import Batches, classify, decayed, fit, pictures, seeded, step_with


def kernel(channels_in, channels, stride=1, groups=1):
    return nn.Conv2d(channels_in, channels, 3, stride, padding=1, groups=groups, bias=False)


def trained(model, loader, optimizer, train_step=None):
    """What a training hands to the doctor."""
    found = {"model": model, "loader": loader, "purpose": "training", "optimizer": optimizer}
    return found if train_step is None else {**found, "train_step": train_step}


class Reidentify(nn.Module):
    """An embedding with a norm between the loss on distances and the loss on classes (a "BNNeck")."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            kernel(1, 12), nn.BatchNorm2d(12), nn.ReLU(), kernel(12, 24, 2), nn.BatchNorm2d(24), nn.ReLU()
        )
        self.embed = nn.Linear(24 * 4, 24, bias=False)
        self.bottleneck = nn.BatchNorm1d(24)
        self.identities = nn.Linear(24, 10, bias=False)

    def forward(self, x):
        pooled = functional.adaptive_avg_pool2d(self.body(x), 2)
        return self.identities(self.bottleneck(self.embed(pooled.flatten(1))))


@seeded(101)
def neck_on_four_people():
    """Four pictures fit into memory: enough for the convolutions' norms, but the neck has four values per channel."""
    train = pictures().train
    model = Reidentify()
    loader = Batches(train.x[:400], train.y[:400], size=4)
    optimizer = decayed(model, lr=0.03)
    fit(model, loader, optimizer, epochs=2)
    return trained(model, loader, optimizer, step_with(optimizer))


class Double(nn.Module):
    """The two convolutions of a U-Net's level."""

    def __init__(self, channels_in, channels):
        super().__init__()
        self.c1, self.b1 = kernel(channels_in, channels), nn.BatchNorm2d(channels)
        self.c2, self.b2 = kernel(channels, channels), nn.BatchNorm2d(channels)

    def forward(self, x):
        return functional.relu(self.b2(self.c2(functional.relu(self.b1(self.c1(x))))))


class Up(nn.Module):
    """The way up of a U-Net, with dropout before its last layer."""

    def __init__(self):
        super().__init__()
        self.grow = nn.ConvTranspose2d(16, 8, 2, 2)
        self.mix = Double(16, 8)
        self.uncertain = nn.Dropout(0.3)
        self.pixels = nn.Conv2d(8, 1, 1)

    def forward(self, low, skip):
        return self.pixels(self.uncertain(self.mix(torch.cat([self.grow(low), skip], 1))))


class SmallUNet(nn.Module):
    """One level down and up again."""

    def __init__(self):
        super().__init__()
        self.down = nn.ModuleDict({"fine": Double(1, 8), "coarse": Double(8, 16)})
        self.up = Up()

    def forward(self, x):
        skip = self.down["fine"](x)
        return self.up(self.down["coarse"](functional.max_pool2d(skip, 2)), skip)


def ink(x, noise):
    """Noisy pictures with changing light, and where the ink is."""
    light = 0.5 + torch.rand(len(x), 1, 1, 1, generator=noise)
    return light * (x + 0.5 * torch.randn(x.shape, generator=noise)), (x > 0.3).float()


def mark(model, batch):
    noisy, mask = batch
    return functional.binary_cross_entropy_with_logits(model(noisy), mask)


@seeded(102)
def dropout_switched_on_for_uncertainty():
    """For Monte Carlo dropout in service the author calls `model.up.train()`, which takes the norms there with it.

    What the network says of a picture now depends on the pictures beside it, and every request moves the statistics.
    """
    data = pictures()
    noise = torch.Generator().manual_seed(0)
    model = SmallUNet()
    optimizer = decayed(model, lr=0.1)
    fit(model, Batches(*ink(data.train.x, noise), size=64), optimizer, epochs=4, train_step=step_with(optimizer, mark))
    model.eval()
    model.up.train()
    loader = DataLoader(TensorDataset(*ink(data.validation.x, noise)), batch_size=16)
    return {"model": model, "loader": loader, "purpose": "inference"}


class Listener(nn.Module):
    """Convolutions over time before an LSTM; the eight rows of a picture are eight moments."""

    def __init__(self):
        super().__init__()
        self.front = nn.ModuleDict(
            {
                "local": nn.Conv1d(8, 16, 3, padding=1),
                "local_norm": nn.BatchNorm1d(16),
                "wide": nn.Conv1d(16, 16, 5, padding=2),
                "wide_norm": nn.BatchNorm1d(16),
            }
        )
        self.memory = nn.LSTM(16, 24, batch_first=True)
        self.answer = nn.Linear(24, 10)

    def forward(self, x):
        x = x.squeeze(1).transpose(1, 2)
        x = self.front["local_norm"](self.front["local"](x)).relu()
        x = self.front["wide_norm"](self.front["wide"](x)).relu()
        return self.answer(self.memory(x.transpose(1, 2))[0][:, -1])


@seeded(103)
def default_biases_before_the_front_norms():
    """The convolutions of the front end were written without a thought of `bias`, which is True by default."""
    train = pictures().train
    model = Listener()
    loader = Batches(train.x, train.y, size=64)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    fit(model, loader, optimizer, epochs=6)
    return trained(model, loader, optimizer)


class PreAct(nn.Module):
    """A residual block with its norms first."""

    def __init__(self, channels):
        super().__init__()
        self.n1, self.k1 = nn.BatchNorm2d(channels), kernel(channels, channels)
        self.n2, self.k2 = nn.BatchNorm2d(channels), kernel(channels, channels)

    def forward(self, x):
        return x + self.k2(functional.relu(self.n2(self.k1(functional.relu(self.n1(x))))))


class PreActNet(nn.Module):
    """A small pre-activation ResNet."""

    def __init__(self):
        super().__init__()
        self.conv0 = kernel(1, 12)
        self.layer1 = nn.Sequential(PreAct(12))
        self.shrink = kernel(12, 24, 2)
        self.layer2 = nn.Sequential(PreAct(24))
        self.last = nn.BatchNorm2d(24)
        self.fc = nn.Linear(24, 10)

    def forward(self, x):
        x = self.layer2(self.shrink(self.layer1(self.conv0(x))))
        return self.fc(functional.relu(self.last(x)).mean((2, 3)))


@seeded(104)
def soup_of_two_checkpoints():
    """Two trainings from a common beginning are averaged, key by key of their state dicts: running statistics too.

    The mean of two networks' variances is not the variance in the mean network, which is far smaller.
    """
    data = pictures()
    begun = PreActNet()
    fit(begun, Batches(data.train.x, data.train.y, size=64), decayed(begun, lr=0.05), epochs=1)
    cooks = [deepcopy(begun), deepcopy(begun)]
    for cook, half in zip(cooks, (slice(0, 538), slice(538, None)), strict=True):
        fit(cook, Batches(data.train.x[half], data.train.y[half], size=32), decayed(cook, lr=0.2), epochs=4)
    one, other = (cook.state_dict() for cook in cooks)
    soup = PreActNet()
    soup.load_state_dict({key: (one[key] + other[key]) / 2 for key in one})
    loader = Batches(data.validation.x, data.validation.y, size=32)
    return {"model": soup.eval(), "loader": loader, "purpose": "inference"}


class BatchNormAct(nn.BatchNorm2d):
    """Batch norm and activation in one, with the defaults of another framework."""

    def __init__(self, channels, *, act=True, eps=1e-3, momentum=0.99):
        super().__init__(channels, eps=eps, momentum=momentum)
        self.act = nn.ReLU6() if act else nn.Identity()

    def forward(self, x):
        return self.act(super().forward(x))


class Inverted(nn.Module):
    """An inverted residual: expand, a depthwise convolution, project."""

    def __init__(self, channels_in, channels, stride, expand=2, norm=BatchNormAct):
        super().__init__()
        wide = channels_in * expand
        self.conv_pw, self.bn1 = nn.Conv2d(channels_in, wide, 1, bias=False), norm(wide)
        self.conv_dw, self.bn2 = kernel(wide, wide, stride, groups=wide), norm(wide)
        self.conv_pwl, self.bn3 = nn.Conv2d(wide, channels, 1, bias=False), norm(channels, act=False)
        self.same = stride == 1 and channels_in == channels

    def forward(self, x):
        y = self.bn3(self.conv_pwl(self.bn2(self.conv_dw(self.bn1(self.conv_pw(x))))))
        return x + y if self.same else y


class Mobile(nn.Module):
    """A stem, inverted residuals, and a classifier on their mean."""

    def __init__(self, norm=BatchNormAct):
        super().__init__()
        self.conv_stem, self.bn1 = kernel(1, 8), norm(8)
        self.blocks = nn.ModuleList(
            [Inverted(8, 12, 2, norm=norm), Inverted(12, 12, 1, norm=norm), Inverted(12, 24, 1, norm=norm)]
        )
        self.classifier = nn.Linear(24, 10)

    def forward(self, x):
        x = self.bn1(self.conv_stem(x))
        for block in self.blocks:
            x = block(x)
        return self.classifier(x.mean((2, 3)))


@seeded(105)
def momentum_copied_from_keras():
    """A MobileNet was ported with its hyperparameters, so each batch all but replaces the running statistics."""
    train = pictures().train
    model = Mobile()
    loader = Batches(train.x[:800], train.y[:800], size=16)
    optimizer = decayed(model, lr=0.05)
    fit(model, loader, optimizer, epochs=3)
    return trained(model, loader, optimizer)


class StemmedTransformer(nn.Module):
    """A transformer over 16 tokens that a convolutional stem has made."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            kernel(1, 16), nn.BatchNorm2d(16), nn.GELU(), kernel(16, 32, 2), nn.BatchNorm2d(32), nn.GELU()
        )
        self.pos = nn.Parameter(0.1 * torch.randn(16, 32))
        self.block = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.norm = nn.LayerNorm(32)
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        tokens = self.stem(x).flatten(2).transpose(1, 2) + self.pos
        return self.head(self.norm(self.block(tokens)).mean(1))


@seeded(106)
def everything_decays():
    """`AdamW(model.parameters(), weight_decay=0.1)`: the scales and shifts in the stem decay like any matrix."""
    train = pictures().train
    model = StemmedTransformer()
    loader = Batches(train.x, train.y, size=48)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.1)
    fit(model, loader, optimizer, epochs=5)
    return trained(model, loader, optimizer, step_with(optimizer))


class Reader(nn.Module):
    """A pretrained body under a new head; `train` keeps the body's norms in eval mode."""

    def __init__(self, body, width, classes):
        super().__init__()
        self.body = body
        self.probe = nn.Sequential(nn.Flatten(), nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, classes))
        for module in self.body.modules():
            if isinstance(module, nn.Conv2d):
                module.requires_grad_(False)
        self.train()

    def train(self, mode=True):
        super().train(mode)
        for module in self.body.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, x):
        return self.probe(self.body(x))


@seeded(107)
def kernels_frozen_scales_forgotten():
    """A body was to be frozen: its kernels are, its norms are in eval mode, but their scales and shifts still learn.

    Each scale that moves changes what the next norm receives, whose running statistics no longer move.
    """
    train = pictures().train
    body = nn.Sequential(
        kernel(1, 8), nn.BatchNorm2d(8), nn.SiLU(), kernel(8, 16), nn.BatchNorm2d(16), nn.SiLU(), nn.MaxPool2d(2)
    )
    first = nn.Sequential(body, nn.Flatten(), nn.Linear(16 * 16, 10))
    fit(first, Batches(train.x, train.y, size=64), decayed(first, lr=0.1), epochs=5)
    model = Reader(body, 16 * 16, 2)
    loader = Batches(train.x, train.y % 2, size=48)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    fit(model, loader, optimizer, epochs=5)
    return trained(model, loader, optimizer)


class Churn(nn.Module):
    """A multilayer perceptron on a table, written with functions."""

    def __init__(self, columns):
        super().__init__()
        self.fc1 = nn.Linear(columns, 48)
        self.fc2 = nn.Linear(48, 32)
        self.fc3 = nn.Linear(32, 2)
        self.bn1 = nn.BatchNorm1d(48)
        self.bn2 = nn.BatchNorm1d(32)

    def forward(self, x):
        x = functional.relu(self.fc1(x))
        x = self.bn1(functional.dropout(x, 0.5, training=self.training))
        x = functional.relu(self.fc2(x))
        x = self.bn2(functional.dropout(x, 0.5, training=self.training))
        return self.fc3(x)


def customers(rows, columns=10):
    """A table and what to tell from it: a product of two columns and a third."""
    table = torch.randn(rows, columns)
    return table, (table[:, 0] * table[:, 1] + table[:, 2] > 0).long()


@seeded(108)
def dropout_by_function_before_the_norm():
    """Activation, dropout, norm: the order of many a notebook. In eval mode the variance is not the one averaged."""
    model = Churn(10)
    loader = Batches(*customers(1536), size=64)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    fit(model, loader, optimizer, epochs=10)
    return trained(model, loader, optimizer)


class Ledger(nn.Module):
    """A norm in place of standardising the columns, and a gated layer."""

    def __init__(self, columns):
        super().__init__()
        self.standardise = nn.BatchNorm1d(columns)
        self.gated = nn.Linear(columns, 64, bias=False)
        self.gated_norm = nn.BatchNorm1d(64)
        self.verdict = nn.Linear(32, 2)

    def forward(self, table):
        x = self.gated_norm(self.gated(self.standardise(table)))
        return self.verdict(functional.glu(x))


@seeded(109)
def columns_that_never_change():
    """The extract is of one year and one currency, and one branch had not opened: three columns are constant.

    Their norm has the variance 0 for them, and will multiply the first different value, next January, by 316.
    """
    columns, label = customers(1536, 9)
    year, rate, branch = torch.full((1536, 1), 2023.0), torch.full((1536, 1), 1.0), torch.zeros(1536, 1)
    table = torch.cat([columns[:, :4] * 20, year, rate, columns[:, 4:], branch], 1)
    model = Ledger(12)
    loader = Batches(table, label, size=64)
    optimizer = decayed(model, lr=0.05)
    fit(model, loader, optimizer, epochs=10)
    return trained(model, loader, optimizer)


class Plain(nn.Module):
    """A residual block that is handed its norm."""

    def __init__(self, channels, norm):
        super().__init__()
        self.first = kernel(channels, channels)
        self.norm = norm
        self.second = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x + 2 * self.second(functional.relu(self.norm(self.first(x))))


class Tower(nn.Module):
    """Residual blocks made in a loop."""

    def __init__(self, depth=3, channels=16):
        super().__init__()
        self.entry = nn.Conv2d(1, channels, 2, 2)
        norm = nn.BatchNorm2d(channels)
        self.floors = nn.ModuleList([Plain(channels, norm) for _ in range(depth)])
        self.roof = nn.Linear(channels, 10)

    def forward(self, x):
        x = self.entry(x)
        for floor in self.floors:
            x = floor(x)
        return self.roof(x.mean((2, 3)))


@seeded(110)
def one_norm_made_outside_the_loop():
    """The norm was made once, before the loop over the blocks, and so all of them have the same one."""
    train = pictures().train
    model = Tower()
    loader = Batches(train.x, train.y, size=64)
    optimizer = decayed(model, lr=0.03)
    fit(model, loader, optimizer, epochs=6)
    return trained(model, loader, optimizer, step_with(optimizer))


class Compress(nn.Module):
    """An autoencoder of curves whose encoder alone was cast to bfloat16."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(
            nn.Conv1d(1, 12, 5, 2, padding=2, bias=False),
            nn.BatchNorm1d(12, momentum=0.02),
            nn.ReLU(),
            nn.Conv1d(12, 8, 5, 2, padding=2, bias=False),
            nn.BatchNorm1d(8, momentum=0.02),
        )
        self.decode = nn.Sequential(
            nn.ConvTranspose1d(8, 12, 4, 2, padding=1), nn.ReLU(), nn.ConvTranspose1d(12, 1, 4, 2, padding=1)
        )
        self.encode.bfloat16()

    def forward(self, curve):
        return self.decode(self.encode(curve.bfloat16()).float())


def rebuild(model, batch):
    (curve,) = batch
    return functional.mse_loss(model(curve), curve)


@seeded(111)
def encoder_cast_by_hand():
    """The encoder was cast as a whole, so its norms add small steps to running statistics of eight bits."""
    time = torch.linspace(0, 6.0, 32)
    curves = 4 + torch.sin(time * (1 + torch.rand(512, 1)) + 6 * torch.rand(512, 1)) * (1 + torch.rand(512, 1))
    model = Compress()
    loader = Batches(curves[:, None], size=32)
    optimizer = decayed(model, lr=0.02)
    train_step = step_with(optimizer, rebuild)
    fit(model, loader, optimizer, epochs=12, train_step=train_step)
    return trained(model, loader, optimizer, train_step)


class Waves(nn.Module):
    """Convolutions over the time of four electrodes."""

    def __init__(self):
        super().__init__()
        self.temporal = nn.Conv1d(4, 16, 7, padding=3, bias=False)
        self.temporal_norm = nn.BatchNorm1d(16)
        self.deeper = nn.Conv1d(16, 16, 5, 2, padding=2, bias=False)
        self.deeper_norm = nn.BatchNorm1d(16)
        self.state = nn.Linear(16, 3)

    def forward(self, x):
        x = functional.elu(self.temporal_norm(self.temporal(x)))
        x = functional.elu(self.deeper_norm(self.deeper(x)))
        return self.state(x.mean(2))


class OneFileAtATime:
    """Batches of one recording each, as the files lie on the disk, in a new order each time."""

    def __init__(self, x, y):
        self.x, self.y = x, y
        self.generator = torch.Generator().manual_seed(0)

    def __len__(self):
        return len(self.x)

    def __iter__(self):
        for file in torch.randperm(len(self.x), generator=self.generator).tolist():
            yield self.x[file], self.y[file]


@seeded(112)
def a_batch_is_one_subject():
    """Each batch comes from one file, and each file from one subject, with gains and offsets of its own.

    In training the norms take every subject's gain and offset away; in eval mode they take away those of all together.
    """
    subjects, rows = 20, 32
    label = torch.randint(0, 3, (subjects, rows))
    time = torch.linspace(0, 6.28, 32)
    phase = 6.28 * torch.rand(subjects, rows, 1, 1)
    wave = torch.sin(time * (2.0 + 2 * label[..., None, None]) + phase) * (0.5 + torch.rand(subjects, rows, 4, 1))
    gain = torch.exp(torch.randn(subjects, 1, 4, 1))
    offset = 3 * torch.randn(subjects, 1, 4, 1)
    model = Waves()
    loader = OneFileAtATime(gain * (wave + 0.5 * torch.randn(subjects, rows, 4, 32)) + offset, label)
    optimizer = decayed(model, lr=0.05)
    fit(model, loader, optimizer, epochs=12)
    return trained(model, loader, optimizer, step_with(optimizer))


class DenseLayer(nn.Module):
    """A layer that reads all maps before it; what lies between them and its last convolution is computed again."""

    def __init__(self, channels, growth):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, 2 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(2 * growth)
        self.conv2 = kernel(2 * growth, growth)

    def squeeze(self, *maps):
        return self.conv1(functional.relu(self.norm1(torch.cat(maps, 1))))

    def forward(self, maps):
        if self.training and torch.is_grad_enabled():
            squeezed = checkpoint(self.squeeze, *maps, use_reentrant=False)
        else:
            squeezed = self.squeeze(*maps)
        return self.conv2(functional.relu(self.norm2(squeezed)))


class Dense(nn.Module):
    """One dense block."""

    def __init__(self, layers=3, growth=8):
        super().__init__()
        self.conv0 = nn.Conv2d(1, 12, 3, 2, padding=1)
        self.denseblock = nn.ModuleDict(
            {f"denselayer{i + 1}": DenseLayer(12 + i * growth, growth) for i in range(layers)}
        )
        self.norm5 = nn.BatchNorm2d(12 + layers * growth)
        self.classifier = nn.Linear(12 + layers * growth, 10)

    def forward(self, x):
        maps = [self.conv0(x)]
        for layer in self.denseblock.values():
            maps.append(layer(maps))
        return self.classifier(functional.relu(self.norm5(torch.cat(maps, 1))).mean((2, 3)))


@seeded(113)
def memory_efficient_dense_block():
    """Concatenation, norm and 1x1 convolution are checkpointed to save memory, so those norms count a batch twice."""
    train = pictures().train
    model = Dense()
    loader = Batches(train.x, train.y, size=64)
    optimizer = decayed(model, lr=0.1)
    fit(model, loader, optimizer, epochs=5)
    return trained(model, loader, optimizer, step_with(optimizer))


class Excited(nn.Module):
    """A depthwise convolution, squeeze and excitation, and a pointwise convolution."""

    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.dw = kernel(channels_in, channels_in, stride, groups=channels_in)
        self.dw_bn = nn.BatchNorm2d(channels_in)
        self.se = nn.ModuleDict({"reduce": nn.Conv2d(channels_in, 4, 1), "expand": nn.Conv2d(4, channels_in, 1)})
        self.pw = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.pw_bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        x = functional.silu(self.dw_bn(self.dw(x)))
        gate = self.se["expand"](functional.silu(self.se["reduce"](x.mean((2, 3), keepdim=True))))
        return functional.silu(self.pw_bn(self.pw(x * gate.sigmoid())))


@seeded(114)
def shipped_with_its_norms():
    """A trained network goes to a small device in eval mode as it is, where each norm is one more pass over memory."""
    data = pictures()
    model = nn.Sequential()
    model.add_module("stem", nn.Sequential(kernel(1, 12), nn.BatchNorm2d(12), nn.SiLU()))
    model.add_module("body", nn.Sequential(Excited(12, 24, 2), Excited(24, 24, 1)))
    model.add_module("pool", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    model.add_module("logits", nn.Linear(24, 10))
    fit(model, Batches(data.train.x, data.train.y, size=64), decayed(model, lr=0.1), epochs=8)
    loader = Batches(data.validation.x, data.validation.y, size=32)
    return {"model": model.eval(), "loader": loader, "purpose": "inference"}


class Wide(nn.Module):
    """Two paths whose sum is classified."""

    def __init__(self):
        super().__init__()
        self.enter = nn.Sequential(kernel(1, 12), nn.BatchNorm2d(12), nn.ReLU())
        self.left = nn.Sequential(kernel(12, 16, 2), nn.BatchNorm2d(16))
        self.right = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(12, 16, 1, bias=False), nn.BatchNorm2d(16))
        self.decide = nn.Linear(16 * 16, 10)

    def forward(self, x):
        x = self.enter(x)
        return self.decide(functional.relu(self.left(x) + self.right(x)).flatten(1))


@seeded(115)
def thirty_two_times_two():
    """The paper's batch of 64 is made of 32 pieces of two pictures, whose gradients are added up before each step.

    The gradients are those of 64 pictures, but every norm has seen two at a time.
    """
    train = pictures().train
    model = Wide()
    loader = Batches(train.x[:448], train.y[:448], size=64)
    optimizer = decayed(model, lr=0.1)

    def train_step(model, batch):
        optimizer.zero_grad(set_to_none=True)
        losses = []
        for x, y in zip(batch[0].split(2), batch[1].split(2), strict=True):
            loss = classify(model, (x, y)) * len(x) / len(batch[0])
            loss.backward()
            losses.append(loss.detach())
        optimizer.step()
        return sum(losses)

    fit(model, loader, optimizer, epochs=2, train_step=train_step)
    return trained(model, loader, optimizer, train_step)


class Pooling(nn.Module):
    """Convolutions over time and attention with one learnt query."""

    def __init__(self):
        super().__init__()
        self.spectral = nn.Sequential(nn.Conv1d(8, 24, 3, padding=1, bias=False), nn.BatchNorm1d(24), nn.GELU())
        self.temporal = nn.Sequential(nn.Conv1d(24, 24, 3, padding=1, bias=False), nn.BatchNorm1d(24), nn.GELU())
        self.query = nn.Parameter(torch.randn(1, 1, 24))
        self.attend = nn.MultiheadAttention(24, 2, batch_first=True)
        self.name = nn.Linear(24, 10)

    def forward(self, x):
        tokens = self.temporal(self.spectral(x.squeeze(1))).transpose(1, 2)
        pooled, _ = self.attend(self.query.expand(len(x), -1, -1), tokens, tokens, need_weights=False)
        return self.name(pooled[:, 0])


@seeded(116)
def step_skipped_statistics_kept():
    """One broken record made a loss infinite. The loop skipped that step, as a gradient scaler would.

    The weights never saw it. The running statistics did, in the forward pass, and what is NaN stays NaN.
    """
    data = pictures()
    model = Pooling()
    broken = data.train.x.clone()
    broken[17, 0, 3, 3] = float("inf")
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

    def train_step(model, batch):
        optimizer.zero_grad()
        loss = classify(model, batch)
        if torch.isfinite(loss):
            loss.backward()
            optimizer.step()
        return loss.detach()

    fit(model, Batches(broken, data.train.y, size=64), optimizer, epochs=6, train_step=train_step)
    loader = Batches(data.validation.x, data.validation.y, size=32)
    return {"model": model.eval(), "loader": loader, "purpose": "inference"}


class Cloud(nn.Module):
    """A PointNet: the same small network for every point, and a maximum over the points there are."""

    def __init__(self):
        super().__init__()
        self.mlp = nn.ModuleList([nn.Conv1d(3, 16, 1, bias=False), nn.Conv1d(16, 32, 1, bias=False)])
        self.bns = nn.ModuleList([nn.BatchNorm1d(16), nn.BatchNorm1d(32)])
        self.shape = nn.Linear(32, 3)

    def forward(self, points, mask):
        x = points.transpose(1, 2)
        for mlp, bn in zip(self.mlp, self.bns, strict=True):
            x = functional.relu(bn(mlp(x)))
        return self.shape(x.masked_fill(~mask[:, None], 0.0).amax(2))


def name_shapes(model, batch):
    return functional.cross_entropy(model(batch["points"], batch["mask"]), batch["shape"])


@seeded(117)
def point_clouds_filled_up_with_zeros():
    """Clouds of 12 to 96 points are filled up to 96 with the origin, and only the maximum knows which points are real.

    The objects stand some metres away from the sensor, so most of what the norms see is nowhere near them.
    """
    rows = 512
    shape = torch.randint(0, 3, (rows,))
    directions = functional.normalize(torch.randn(rows, 96, 3), dim=2)
    squash = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.05], [1.0, 0.05, 0.05]])[shape]
    points = directions * squash[:, None] + torch.tensor([4.0, 0.0, 2.0]) + 0.3 * torch.randn(rows, 1, 3)
    counts = torch.where(torch.rand(rows) < 0.8, torch.randint(12, 33, (rows,)), torch.randint(80, 97, (rows,)))
    mask = torch.arange(96) < counts[:, None]
    points = points * mask[..., None]
    model = Cloud()
    loader = Batches(
        points, mask, shape, size=32, wrap=lambda points, mask, shape: {"points": points, "mask": mask, "shape": shape}
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    train_step = step_with(optimizer, name_shapes)
    fit(model, loader, optimizer, epochs=8, train_step=train_step)
    return trained(model, loader, optimizer, train_step)


DENSE = tuple(f"denseblock.denselayer{i}.norm1" for i in (1, 2, 3))
MOBILE = ("bn1", *(f"blocks.{block}.bn{norm}" for block in range(3) for norm in (1, 2, 3)))

# The rule that should find it, the modules of which the finding may name any, and the least severity. Where the fault
# lies in the batches or in the loop, the network as a whole ("") will do as well as any of its norms.
PLANTED = {
    "neck_on_four_people": ("BN001", ("bottleneck",), "warning"),
    "dropout_switched_on_for_uncertainty": ("BN002", ("up.mix.b1", "up.mix.b2"), "warning"),
    "default_biases_before_the_front_norms": (
        "BN003",
        ("front.local", "front.wide", "front.local_norm", "front.wide_norm"),
        "note",
    ),
    "soup_of_two_checkpoints": (
        "BN004",
        ("layer1.0.n1", "layer1.0.n2", "layer2.0.n1", "layer2.0.n2", "last"),
        "warning",
    ),
    "momentum_copied_from_keras": ("BN005", MOBILE, "warning"),
    "everything_decays": ("BN006", ("stem.1", "stem.4"), "note"),
    "kernels_frozen_scales_forgotten": ("BN007", ("body.1", "body.4"), "note"),
    "dropout_by_function_before_the_norm": ("BN008", ("bn1", "bn2"), "warning"),
    "columns_that_never_change": ("BN009", ("standardise",), "warning"),
    "one_norm_made_outside_the_loop": ("BN010", ("floors.0.norm", "floors.1.norm", "floors.2.norm"), "warning"),
    "encoder_cast_by_hand": ("BN011", ("encode.1", "encode.4"), "warning"),
    "a_batch_is_one_subject": ("BN013", ("", "temporal_norm", "deeper_norm"), "warning"),
    "memory_efficient_dense_block": ("BN014", DENSE, "note"),
    "shipped_with_its_norms": (
        "BN015",
        ("stem.1", "body.0.dw_bn", "body.0.pw_bn", "body.1.dw_bn", "body.1.pw_bn"),
        "note",
    ),
    "thirty_two_times_two": ("BN016", ("", "enter.1", "left.1", "right.2"), "note"),
    "step_skipped_statistics_kept": ("BN017", ("spectral.1", "temporal.1"), "error"),
    "point_clouds_filled_up_with_zeros": ("BN018", ("bns.0", "bns.1"), "warning"),
}
