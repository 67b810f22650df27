"""Tracing leaves the given model alone, whatever its forward pass writes down."""

import copy

import pytest
import torch
from torch import nn

from bnlab.deploy import fold
from bnlab.deploy.pairs import pairs
from bnlab.deploy.parity import arguments
from tests.deploy.architectures import trained

X = torch.zeros(2, 2, 6, 6)


class Writes(nn.Module):
    """A network that writes something down on each pass."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
        self.register_buffer("calls", torch.zeros(1))
        self.count, self.seen = 0, []

    def forward(self, x):
        self.note(x)
        return self.norm(self.conv(x))

    def note(self, x):
        pass


class CountsInABuffer(Writes):
    def note(self, _):
        self.calls.add_(1)


class Counts(Writes):
    def note(self, _):
        self.count += 1


class KeepsFeatures(Writes):
    def forward(self, x):
        self.feat = self.conv(x)
        return self.norm(self.feat)


class KeepsFeaturesInAList(Writes):
    def forward(self, x):
        y = self.conv(x)
        self.seen.append({"features": y})
        return self.norm(y)


class ReplacesABuffer(Writes):
    def note(self, x):
        self.calls = 0.9 * self.calls + x.mean()


class Hooked(Writes):
    """One whose inner part tells the outer one what it gives."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
        self.inner.register_forward_hook(self.write)

    def write(self, _module, _args, output):
        self.seen.append(output)

    def forward(self, x):
        return self.norm(self.conv(self.inner(x)))


WRITERS = [CountsInABuffer, Counts, KeepsFeatures, KeepsFeaturesInAList, ReplacesABuffer, Hooked]


def everything(model):
    """Every attribute of every module, and what its tensors hold."""
    attributes = [{name: copy.copy(value) for name, value in vars(module).items()} for module in model.modules()]
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return attributes, [(name, id(tensor), tensor.tolist()) for name, tensor in tensors]


@pytest.mark.parametrize("kind", WRITERS)
def test_a_model_whose_passes_write_things_down_is_bit_for_bit_what_it_was(kind):
    model = trained(kind())
    before = everything(model)
    assert len(pairs(model, arguments(X))) == len(fold(model, X).folded) + len(fold(model, X).left)
    assert everything(model) == before


@pytest.mark.parametrize("kind", [CountsInABuffer, Counts, ReplacesABuffer, Hooked])
def test_what_is_written_down_does_not_stand_in_the_way(kind):
    model = trained(kind())
    report = fold(model, X)
    assert report.left == ()
    torch.testing.assert_close(report.model(X + 1), model(X + 1))


@pytest.mark.parametrize(("kind", "name"), [(KeepsFeatures, "feat"), (KeepsFeaturesInAList, "seen")])
def test_a_layer_whose_output_is_kept_is_left_as_it_is(kind, name):
    report = fold(trained(nn.Sequential(kind())), X)
    assert [left.why for left in report.left] == [f"its input is also kept as '0.{name}'"]


def test_a_model_that_keeps_its_last_output_can_be_folded():
    model = trained(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)))
    model.last = model(X)
    assert len(fold(model, X).folded) == 1
    assert model.last.requires_grad


def test_hooks_meet_tensors_alone():
    seen = []
    model = trained(nn.Sequential(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)), nn.ReLU()))
    model[0].register_forward_hook(lambda _, args, y: seen.extend((*args, y)))
    assert len(fold(model, X).folded) == 1
    assert seen
    assert {type(one) for one in seen} == {torch.Tensor}


@pytest.mark.parametrize("within", [0, 1])
def test_a_part_with_hooks_parts_what_is_within_from_what_is_without(within):
    model = trained(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)))
    model[within] = nn.Sequential(model[within])
    if within == 0:
        model[0].register_forward_hook(lambda _, __, y: y.relu())
    else:
        model[1].register_forward_pre_hook(lambda _, args: (args[0].relu(),))
    report = fold(model, X)
    why = f"it follows the hooks of {within}, which is no convolution or linear layer"
    assert [left.why for left in report.left] == [why]
    torch.testing.assert_close(report.model(X + 1), model(X + 1))


class Recurses(nn.Module):
    def forward(self, x):
        self.loop = []
        self.loop.append(self.loop)
        return x


def test_what_cannot_be_followed_or_copied_is_refused_in_one_line():
    model = nn.Sequential(nn.BatchNorm2d(2), Recurses()).eval()
    with pytest.raises(ValueError, match=r"whose forward pass torch\.fx can follow, got Recursion") as error:
        fold(model, X)
    assert "\n" not in str(error.value)
    model[1] = nn.Identity()
    model.generator = (one for one in ())
    with pytest.raises(ValueError, match=r"expected a model that copy.deepcopy can copy, got cannot pickle"):
        fold(model, X)


def test_a_compiled_model_is_refused_with_what_to_give_instead():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval()
    with pytest.raises(ValueError, match=r"expected a model before torch.compile, .* give model\._orig_mod"):
        fold(torch.compile(model, backend="eager"), torch.zeros(1, 4))
