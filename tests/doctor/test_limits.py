"""Where a rule begins: for each limit a network just on this side of it, and one just on that."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from bnlab.doctor import examine
from tests.doctor.patients import Sequences, perceptron, rows


def severity_of(rule, report):
    """At which the rule was found; None if it was not."""
    return next((finding.severity for finding in report.findings if finding.id == rule), None)


class Positions(nn.Module):
    """Batch norm over images of so many positions that are independent of each other."""

    def __init__(self, channels=4):
        super().__init__()
        self.norm, self.head = nn.BatchNorm1d(channels), nn.Linear(channels, 1)

    def forward(self, x):
        return self.head(self.norm(x).mean(2))


def positions(images, each, batches=40):
    return [torch.randn(images, 4, each) for _ in range(batches)]


@pytest.mark.parametrize(
    ("images", "each", "severity"),
    [
        (3, 1, "error"),  # 3 values, and an error below 4
        (5, 1, "warning"),  # below 8
        (7, 1, "warning"),
        (9, 1, "note"),  # below 16
        (14, 1, "note"),
        (18, 1, None),
        (3, 400, "warning"),  # values enough, and images too few
        (4, 400, None),
    ],
)
def test_few_values_or_few_images_are_graded(images, each, severity):
    assert severity_of("BN001", examine(Positions(), positions(images, each))) == severity


def test_a_loader_of_few_images_in_all_counts_positions():
    """From 4 images nobody can say how independent positions are; from 6 one can, of the same constant pictures."""
    constant = [torch.randn(2, 4, 1).expand(2, 4, 400) for _ in range(3)]
    assert severity_of("BN001", examine(Positions(), constant[:2])) == "warning"  # 800 values, but 2 images
    assert severity_of("BN001", examine(Positions(), constant)) == "error"  # worth 2


@pytest.mark.parametrize(
    ("momentum", "severity"),
    [
        (0.45, None),
        (0.5, None),
        (0.55, "warning"),
        (0.89, "warning"),
        (0.9, "error"),
        (0.999, "error"),
        (1.0, "warning"),
    ],
)
def test_a_large_momentum_is_graded(momentum, severity):
    assert severity_of("BN005", examine(perceptron(momentum=momentum))) == severity


@pytest.mark.parametrize(
    ("momentum", "batches", "severity"),
    [
        (0.0, 0, "warning"),
        (0.0, 3, None),  # a trained layer held still
        (0.9e-4, 0, "warning"),
        (0.9e-4, 7000, "warning"),  # .53 is left of the start
        (0.9e-4, 8000, None),  # .49
        (1.1e-4, 0, None),
    ],
)
def test_a_tiny_momentum_is_found_where_the_statistics_are_still_those_of_the_start(momentum, batches, severity):
    model = perceptron(momentum=momentum)
    for norm in (one for one in model.modules() if isinstance(one, nn.BatchNorm1d)):
        norm.num_batches_tracked.fill_(batches)
    assert severity_of("BN005", examine(model)) == severity
    assert severity_of("BN005", examine(model.eval(), purpose="inference")) is None


class Noisy(nn.Module):
    """Adds noise of a given variance to rows of variance 1, in training alone."""

    def __init__(self, extra):
        super().__init__()
        self.norm, self.head, self.extra = nn.BatchNorm1d(256), nn.Linear(256, 1), extra

    def forward(self, x):
        noise = self.extra**0.5 * torch.randn_like(x) if self.training else 0
        return self.head(self.norm(x + noise))


@pytest.mark.parametrize(("extra", "severity"), [(0.07, None), (0.13, "note"), (0.2, "note"), (0.32, "warning")])
def test_a_variance_that_is_larger_in_training_is_graded(extra, severity):
    loader = [torch.randn(32, 256) for _ in range(6)]
    assert severity_of("BN008", examine(Noisy(extra), loader)) == severity


def scaled(*, scale=(), var=(), channels=16):
    """A layer with the given scales and running variances in its first channels, and 1 in the others."""
    model = nn.Sequential(nn.BatchNorm1d(channels))
    with torch.no_grad():
        model[0].weight[: len(scale)] = torch.tensor(scale)
        model[0].running_var[: len(var)] = torch.tensor(var)
    return model


EPS = 1e-5


@pytest.mark.parametrize(
    ("model", "severity"),
    [
        (lambda: scaled(scale=[25.0]), None),  # 30 times the median
        (lambda: scaled(scale=[36.0]), "warning"),
        (lambda: scaled(scale=[80.0] * 16), None),  # 100 for all
        (lambda: scaled(scale=[120.0] * 16), "warning"),
        (lambda: scaled(scale=[0.01] * 15 + [0.8]), None),  # 80 times the median, and small
        (lambda: scaled(scale=[0.01] * 15 + [1.2]), "warning"),
        (lambda: scaled(var=[0.8e10]), None),
        (lambda: scaled(var=[1.25e10]), "warning"),
        (lambda: scaled(scale=[1.25e-3] * 8), None),
        (lambda: scaled(scale=[0.8e-3]), "note"),
        (lambda: scaled(scale=[0.8e-3] * 3), "note"),  # a quarter of the layer
        (lambda: scaled(scale=[0.8e-3] * 4), "warning"),
        (lambda: scaled(var=[0.08 * EPS] * 8), "warning"),
        (lambda: scaled(var=[0.125 * EPS] * 8), "note"),
        (lambda: scaled(var=[0.9 * EPS] * 8), "note"),
        (lambda: scaled(var=[1.1 * EPS] * 8), None),
    ],
)
def test_channels_that_are_dead_or_explode_are_graded(model, severity):
    assert severity_of("BN009", examine(model())) == severity


class Twice(nn.Module):
    """The same layer for its input, and for the input moved or stretched."""

    def __init__(self, change):
        super().__init__()
        self.norm, self.head, self.change = nn.BatchNorm1d(16), nn.Linear(16, 1), change

    def forward(self, x):
        return self.head(self.norm(x).mean(2)) + self.head(self.norm(self.change(x.flip(0))).mean(2))


@pytest.mark.parametrize(
    ("change", "severity"),
    [
        (lambda x: x, "note"),
        (lambda x: x + 0.4, "note"),  # half a standard deviation
        (lambda x: x + 0.6, "warning"),
        (lambda x: 1.5 * x, "note"),  # a factor of exp(.5) = 1.65
        (lambda x: 1.8 * x, "warning"),
        (lambda x: x / 1.5, "note"),
        (lambda x: x / 1.8, "warning"),
    ],
)
def test_calls_that_meet_other_inputs_are_graded(change, severity):
    loader = [torch.randn(256, 16, 50) for _ in range(2)]  # positions enough for chance to be small
    report = examine(Twice(change), loader)
    assert severity_of("BN010", report) == severity, report


def test_calls_that_chance_sets_apart_are_a_note():
    """Over 16 images means of one distribution are up to a standard deviation apart."""
    report = examine(Twice(torch.randn_like), [torch.randn(16, 16, 1)])
    assert severity_of("BN010", report) == "note", report


class Three(nn.Module):
    """Two layers that meet the same twice, one of them under two names, and one that does not."""

    def __init__(self):
        super().__init__()
        self.near = nn.ModuleList([Twice(lambda x: x), Twice(lambda x: x)])
        self.far = Twice(lambda x: x + 3)
        self.again = self.near[1].norm

    def forward(self, x):
        return self.near[0](x) + self.near[1](x) + self.far(x)


def test_layers_that_serve_several_places_are_one_finding_of_each_kind():
    report = examine(Three(), [torch.randn(64, 16, 50) for _ in range(4)])
    far, near = [one for one in report.findings if one.id == "BN010"]
    assert (far.severity, far.module, far.also) == ("warning", "far.norm", ())
    assert near.severity == "note"
    assert {near.module, *near.also} == {"near.0.norm", "near.1.norm", "again"}


def halved(layer, part, dtype):
    names = {"statistics": ("running_mean", "running_var"), "parameters": ("weight", "bias")}[part]
    for name in names:
        getattr(layer, name).data = getattr(layer, name).data.to(dtype)


@pytest.mark.parametrize(
    ("part", "purpose", "var", "severity"),
    [
        ("statistics", "training", 1.0, "error"),
        ("parameters", "training", 1.0, "warning"),
        ("parameters", "inference", 1.0, "note"),
        ("statistics", "inference", 1.0, "note"),
        ("statistics", "inference", 1e-9, "warning"),  # 0 in float16
        ("statistics", "inference", 1e9, "warning"),  # infinite in float16
        ("parameters", "inference", 0.0, "note"),  # in float32, where it says so itself
    ],
)
def test_half_precision_is_graded(part, purpose, var, severity):
    model = perceptron().eval()
    model[4].running_var.fill_(var)
    halved(model[4], part, torch.float16)
    assert severity_of("BN011", examine(model.train(purpose == "training"), purpose=purpose)) == severity


@pytest.mark.parametrize("images", [15, 16])
def test_several_processes_need_16_images_each(images, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    found = severity_of("BN012", examine(perceptron(), rows(n=images)))
    assert found == ("warning" if images < 16 else None)


def clustered(times, batches=20, size=32, channels=64):
    """Batches whose means spread so many times as much as chance would have it, in each channel."""
    spread = ((times - 1) / size) ** 0.5
    return [torch.randn(size, channels) + spread * torch.randn(channels) for _ in range(batches)]


@pytest.mark.parametrize(("times", "severity"), [(1.5, None), (2.0, None), (12.0, "warning")])
def test_batches_unlike_each_other_are_told_from_chance(times, severity):
    model = nn.Sequential(nn.BatchNorm1d(64), nn.Linear(64, 1))
    assert severity_of("BN013", examine(model, clustered(times))) == severity


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize(("images", "batches"), [(4, 20), (8, 10), (16, 10)])
def test_batches_of_two_views_are_no_sorted_batches(views, images, batches):
    """As in contrastive learning: each image twice in a batch, nearly the same."""
    loader = []
    for _ in range(batches):
        x = torch.randn(images, 6).repeat(views, 1)
        loader.append(x + 0.05 * torch.randn_like(x))
    assert severity_of("BN013", examine(perceptron(), loader)) is None


@pytest.mark.parametrize(
    ("padded", "severity"), [(0, None), (1, "note"), (3, "warning"), (12, "warning")], ids="{}_of_20".format
)
def test_padding_is_graded(padded, severity):
    """A note up to a tenth of all steps: 1 of 20 is half of that, 3 of 20 half as much again."""
    lengths = torch.full((32,), 20)
    lengths[::2] -= 2 * padded if padded < 10 else padded
    real = torch.arange(20) < lengths[:, None]
    loader = [(torch.where(real[..., None], torch.randn(32, 20, 6) + 3, 0.0), lengths) for _ in range(6)]
    assert severity_of("BN018", examine(Sequences(told=False), loader)) == severity


class Past(nn.Module):
    """A share of a layer's output goes past the batch norm, so its bias has that share of a use."""

    def __init__(self, share):
        super().__init__()
        self.linear, self.norm, self.share = nn.Linear(6, 8), nn.BatchNorm1d(8), share

    def forward(self, x):
        x = self.linear(x)
        return functional.relu(self.norm(x)) + self.share * x


@pytest.mark.parametrize(("share", "severity"), [(0.0, "note"), (1e-6, "note"), (0.01, None), (1.0, None)])
def test_a_bias_counts_as_redundant_where_its_gradient_is_nil(share, severity):
    """Float32 leaves a millionth of the terms; a hundredth of the way past the norm leaves a thousandth."""
    assert severity_of("BN003", examine(Past(share), rows())) == severity
