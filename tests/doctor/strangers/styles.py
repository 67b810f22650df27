"""Networks in styles of their own: frames in the batch axis, adversaries, teachers, weights that are rounded."""

from copy import deepcopy

import torch
from torch import nn
from torch.nn import functional

from tests.doctor.strangers.common import Batches, decayed, fit, pictures, seeded, step_with


def kernel(channels_in, channels, stride=1, groups=1):
    return nn.Conv2d(channels_in, channels, 3, stride, padding=1, groups=groups, bias=False)


def trained(model, loader, optimizer, train_step=None):
    """What a training hands to the doctor."""
    found = {"model": model, "loader": loader, "purpose": "training", "optimizer": optimizer}
    return found if train_step is None else {**found, "train_step": train_step}


class Segments(nn.Module):
    """A network over the frames of a video, which it puts into the batch axis, and a vote of the frames."""

    def __init__(self):
        super().__init__()
        self.frames = nn.Sequential(
            kernel(1, 12), nn.BatchNorm2d(12), nn.ReLU(), kernel(12, 24, 2), nn.BatchNorm2d(24), nn.ReLU()
        )
        self.squeeze, self.norm, self.vote = nn.Linear(24, 16, bias=False), nn.BatchNorm1d(16), nn.Linear(16, 10)

    def forward(self, video):
        y = self.frames(video.flatten(0, 1)).mean((2, 3))
        return self.vote(functional.relu(self.norm(self.squeeze(y)))).unflatten(0, video.shape[:2]).mean(1)


def videos(frames=8):
    """A picture a video, of which the frames differ by a little noise and a slowly changing light."""
    train = pictures().train
    light = torch.linspace(0.9, 1.1, frames)[:, None, None, None]
    still = train.x[:, None] * light
    return still + 0.1 * torch.randn_like(still), train.y


@seeded(301)
def frames_in_the_batch_axis():
    """Sixteen videos of eight frames are 128 rows for each norm, but the frames of a video are all alike.

    The batches are shuffled as they should be: their means spread as those of sixteen pictures do.
    """
    model = Segments()
    loader = Batches(*videos(), size=16, drop_last=True)
    optimizer = decayed(model, lr=0.03)
    fit(model, loader, optimizer, epochs=2)
    return trained(model, loader, optimizer, step_with(optimizer))


@seeded(302)
def two_videos_fill_the_memory():
    """Two videos of eight frames are sixteen rows for the last norm, worth hardly more than two."""
    model = Segments()
    x, y = videos()
    loader = Batches(x[:300], y[:300], size=2)
    optimizer = decayed(model, lr=0.003)
    fit(model, loader, optimizer, epochs=1)
    return trained(model, loader, optimizer, step_with(optimizer))


@seeded(303)
def videos_in_the_order_of_their_classes():
    """The files lie in folders, a folder a class, and nobody shuffles."""
    x, y = videos()
    order = y.argsort()
    loader = list(zip(x[order].split(32), y[order].split(32), strict=True))
    model = Segments()
    optimizer = decayed(model, lr=0.03)
    fit(model, loader, optimizer, epochs=1)
    return trained(model, loader, optimizer)


class Learner(nn.Module):
    """A student, and a teacher that follows it, statistics included, and stays in evaluation mode (as BYOL does)."""

    def __init__(self):
        super().__init__()
        self.student = nn.Sequential(
            kernel(1, 12), nn.BatchNorm2d(12), nn.ReLU(), kernel(12, 24, 2), nn.BatchNorm2d(24), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 32, bias=False), nn.BatchNorm1d(32), nn.ReLU(),
            nn.Linear(32, 16),
        )  # fmt: skip
        self.predict = nn.Sequential(nn.Linear(16, 32, bias=False), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 16))
        self.teacher = deepcopy(self.student).requires_grad_(False)

    def forward(self, a, b):
        with torch.no_grad():
            wanted = self.teacher(b)
        return functional.cosine_similarity(self.predict(self.student(a)), wanted)

    def train(self, mode=True):
        super().train(mode)
        self.teacher.eval()
        return self

    @torch.no_grad()
    def follow(self, rate):
        for kept, new in zip(self.teacher.state_dict().values(), self.student.state_dict().values(), strict=True):
            kept.copy_(torch.lerp(kept.float(), new.float(), rate))


def learning(optimizer, rate):
    def train_step(model, batch):
        optimizer.zero_grad()
        loss = -(model(*batch).mean() + model(*reversed(batch)).mean())
        loss.backward()
        optimizer.step()
        model.follow(rate)

    return train_step


def two_views(x):
    return tuple(x * (0.8 + 0.4 * torch.rand(len(x), 1, 1, 1)) + 0.1 * torch.randn_like(x) for _ in range(2))


@seeded(304)
def teacher_that_follows_in_evaluation_mode():
    model = Learner().train()
    loader = Batches(*two_views(pictures().train.x), size=64, drop_last=True)
    optimizer = decayed(model, lr=0.03)
    train_step = learning(optimizer, 0.05)
    fit(model, loader, optimizer, epochs=6, train_step=train_step)
    return trained(model, loader, optimizer, train_step)


@seeded(305)
def teacher_that_nobody_moves():
    """The rate was computed as 1 - 1, and the override of `train` was forgotten: the teacher stays as it was drawn.

    In training mode without gradients, its statistics move all the same, those of every layer.
    """
    model = Learner()
    nn.Module.train(model)
    loader = Batches(*two_views(pictures().train.x), size=64, drop_last=True)
    optimizer = decayed(model, lr=0.03)
    train_step = learning(optimizer, 0.0)
    fit(model, loader, optimizer, epochs=2, train_step=train_step)
    return trained(model, loader, optimizer, train_step)


def rounded(weight):
    """To 8 bits, with the gradient of the identity."""
    step = weight.detach().abs().amax() / 127
    return weight + (torch.round(weight / step) * step - weight).detach()


class FoldedWhileTraining(nn.Module):
    """A convolution whose weights are rounded as they will be once batch norm is folded in (arXiv:1806.08342)."""

    def __init__(self, channels_in, channels, stride=1):
        super().__init__()
        self.conv, self.bn = kernel(channels_in, channels, stride), nn.BatchNorm2d(channels)

    def forward(self, x):
        scale = (self.bn.weight / torch.sqrt(self.bn.running_var + self.bn.eps))[:, None, None, None]
        y = functional.conv2d(x, rounded(self.conv.weight * scale), None, self.conv.stride, self.conv.padding)
        return functional.relu(self.bn(y / scale.flatten()[:, None, None]))


@seeded(306)
def rounded_as_it_will_be_folded():
    """The convolution's output is divided by the scale before the norm multiplies it again."""
    model = nn.Sequential(FoldedWhileTraining(1, 12), FoldedWhileTraining(12, 24, 2), nn.Flatten(), nn.Linear(384, 10))
    train = pictures().train
    loader = Batches(train.x, train.y, size=64)
    optimizer = decayed(model, lr=0.03)
    fit(model, loader, optimizer, epochs=4)
    return trained(model, loader, optimizer, step_with(optimizer))


class Skipped(nn.Module):
    """An inverted residual whose branch is left out for some pictures in training (stochastic depth, "drop path")."""

    def __init__(self, channels, rate):
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 1, bias=False), nn.BatchNorm2d(2 * channels), nn.SiLU(),
            kernel(2 * channels, 2 * channels, groups=2 * channels), nn.BatchNorm2d(2 * channels), nn.SiLU(),
            nn.Conv2d(2 * channels, channels, 1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip
        self.rate = rate

    def forward(self, x):
        y = self.branch(x)
        if self.training and self.rate:
            y = y * (torch.rand(len(x), 1, 1, 1) >= self.rate) / (1 - self.rate)
        return x + y


@seeded(307)
def stochastic_depth():
    """The rates rise to .2, as the recipes of EfficientNet have it; what a later norm meets varies a little more."""
    blocks = [Skipped(16, rate) for rate in (0.0, 0.07, 0.13, 0.2)]
    model = nn.Sequential(kernel(1, 16), nn.BatchNorm2d(16), nn.SiLU(), *blocks, nn.Conv2d(16, 32, 1, bias=False))
    model.extend([nn.BatchNorm2d(32), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)])
    train = pictures().train
    loader = Batches(train.x, train.y, size=64)
    optimizer = decayed(model, lr=0.03)
    fit(model, loader, optimizer, epochs=8)
    return trained(model, loader, optimizer, step_with(optimizer))


class Painters(nn.Module):
    """A generator of pictures and who tells them from real ones; `forward` paints from noise in the batch."""

    def __init__(self):
        super().__init__()
        self.generator = nn.Sequential(
            nn.Linear(8, 24 * 4, bias=False), nn.BatchNorm1d(24 * 4), nn.ReLU(), nn.Unflatten(1, (24, 2, 2)),
            nn.ConvTranspose2d(24, 12, 4, 2, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU(),
            nn.ConvTranspose2d(12, 1, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip
        self.discriminator = nn.Sequential(
            nn.Conv2d(1, 12, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(12, 24, 4, 2, 1, bias=False), nn.BatchNorm2d(24),
            nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(96, 1),
        )  # fmt: skip

    def forward(self, noise):
        return self.generator(noise)


@seeded(308)
def two_adversaries():
    """The tutorial's loop: real and painted pictures pass the discriminator in batches of their own."""
    train = pictures().train
    x = train.x / train.x.abs().max()
    model = Painters()
    loader = Batches(torch.randn(len(x), 8), x, size=12, drop_last=True)
    optimizers = [torch.optim.Adam(part.parameters(), lr=1e-3, betas=(0.5, 0.999)) for part in model.children()]

    def judge(model, pictures, real):
        says = model.discriminator(pictures)
        return functional.binary_cross_entropy_with_logits(says, torch.full_like(says, real))

    def train_step(model, batch):
        noise, real = batch
        optimizers[1].zero_grad()
        painted = model.generator(noise)
        judge(model, real, 1.0).backward()
        judge(model, painted.detach(), 0.0).backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        judge(model, painted, 1.0).backward()
        optimizers[0].step()

    for batch in loader:
        train_step(model, batch)
    return {"model": model, "loader": loader, "purpose": "training", "train_step": train_step}


class Languages(nn.Module):
    """One trunk, and a norm for each language; whoever asks in another gets the norm for the rest."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Linear(64, 32, bias=False)
        self.norms = nn.ModuleDict({name: nn.BatchNorm1d(32) for name in ("de", "en", "rest")})
        self.out = nn.Linear(32, 10)

    def forward(self, x, language):
        norm = self.norms[language if language in self.norms else "rest"]
        return self.out(functional.relu(norm(self.trunk(x.flatten(1)))))


def spoken(data, languages):
    parts = zip(data.x.split(32), data.y.split(32), strict=True)
    return [{"x": x, "language": languages[i % len(languages)], "y": y} for i, (x, y) in enumerate(parts)]


def understand(model, batch):
    return functional.cross_entropy(model(batch["x"], batch["language"]), batch["y"])


def speakers(languages):
    data, model = pictures(), Languages()
    optimizer = decayed(model, lr=0.05)
    loader = spoken(data.train, ["de", "en"])
    fit(model, loader, optimizer, epochs=6, train_step=step_with(optimizer, understand))
    return {"model": model.eval(), "loader": spoken(data.validation, languages), "purpose": "inference"}


@seeded(309)
def norms_by_language():
    """Both languages come; the third norm, for the rest, has been taken out since no such data was there."""
    patient = speakers(["en", "de"])
    del patient["model"].norms["rest"]
    return patient


@seeded(310)
def a_language_nobody_trained():
    """Requests come in French, for which the norm of the rest is used, which has met no batch."""
    return speakers(["en", "fr"])


class Molecules(nn.Module):
    """Two rounds of messages between the atoms of small graphs, each with a norm over all atoms of the batch."""

    def __init__(self):
        super().__init__()
        self.inner = nn.ModuleList([nn.Linear(6, 16, bias=False), nn.Linear(16, 16, bias=False)])
        self.norms = nn.ModuleList([nn.BatchNorm1d(16), nn.BatchNorm1d(16)])
        self.out = nn.Linear(16, 2)

    def forward(self, x, edge_index, batch):
        for linear, norm in zip(self.inner, self.norms, strict=True):
            heard = x.index_add(0, edge_index[1], x[edge_index[0]])
            x = functional.relu(norm(linear(heard)))
        graphs = x.new_zeros(int(batch[-1]) + 1, 16).index_add(0, batch, x)
        return self.out(graphs)


def molecules(batches, graphs):
    """Rings of 5 to 20 atoms, side by side in a batch; atoms of a graph are alike."""
    loader = []
    for _ in range(batches):
        sizes = torch.randint(5, 21, (graphs,))
        owner = torch.arange(graphs).repeat_interleave(sizes)
        first = (sizes.cumsum(0) - sizes)[owner]
        place = torch.arange(len(owner))
        following = first + (place - first + 1) % sizes[owner]
        label = torch.randint(0, 2, (graphs,))
        kind = torch.randn(graphs, 6) + label[:, None]
        x = kind[owner] + torch.randn(len(owner), 6)
        loader.append({"x": x, "edge_index": torch.stack([place, following]), "batch": owner, "y": label})
    return loader


def name_molecules(model, batch):
    return functional.cross_entropy(model(batch["x"], batch["edge_index"], batch["batch"]), batch["y"])


def chemistry(graphs):
    model, loader = Molecules(), molecules(24, graphs)
    optimizer = decayed(model, lr=0.01)
    train_step = step_with(optimizer, name_molecules)
    fit(model, loader, optimizer, epochs=6, train_step=train_step)
    return trained(model, loader, optimizer, train_step)


@seeded(311)
def graphs_side_by_side():
    """A batch of 32 graphs holds some 400 atoms, and its means spread as those of 32 do."""
    return chemistry(32)


@seeded(312)
def two_graphs_at_a_time():
    """The rows are 25, and the norms hardly know more than two graphs."""
    return chemistry(2)


STYLISH = (
    frames_in_the_batch_axis,
    teacher_that_follows_in_evaluation_mode,
    rounded_as_it_will_be_folded,
    stochastic_depth,
    two_adversaries,
    norms_by_language,
    graphs_side_by_side,
)
OUT_OF_STYLE = {
    "two_videos_fill_the_memory": ("BN001", ("norm",), "warning"),
    "videos_in_the_order_of_their_classes": ("BN013", ("frames.1", "frames.4", "norm"), "warning"),
    "teacher_that_nobody_moves": ("BN007", ("teacher.1", "teacher.4", "teacher.9"), "warning"),
    "two_graphs_at_a_time": ("BN001", ("norms.0", "norms.1"), "warning"),
    "a_language_nobody_trained": ("BN004", ("norms.rest",), "error"),
}
