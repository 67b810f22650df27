"""What an examination accepts, and that it leaves everything as it was."""

import copy
import json
import random
import time
from contextlib import nullcontext, suppress

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from bnlab.doctor import RULES, Finding, Report, examine
from tests.deploy.networks import ResNet
from tests.doctor.patients import perceptron, rows


def snapshot(model):
    return {
        "state": {name: value.clone() for name, value in model.state_dict().items()},
        "gradients": {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()},
        "modes": [module.training for module in model.modules()],
        "hooks": [len(module._forward_pre_hooks) + len(module._forward_hooks) for module in model.modules()],
        "asks": [p.requires_grad for p in model.parameters()],
        "objects": [id(x) for x in (*model.modules(), *model.parameters(), *model.buffers())],
        "random": (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()),  # noqa: NPY002 - what others draw from
    }


def assert_same(before, after):
    for key, value in before.items():
        if key in {"state", "gradients"}:
            for name, tensor in value.items():
                assert (tensor is None and after[key][name] is None) or torch.equal(tensor, after[key][name]), name
        else:
            assert after[key] == value, key


class Drawing:
    """Batches that draw from all three sources of random numbers, and may end badly."""

    def __init__(self, *, fails):
        self.fails = fails

    def __iter__(self):
        for index in range(4):
            if self.fails and index == 2:
                raise OSError("the disk is gone")
            yield torch.randn(16, 6) + random.random() + np.random.rand(), torch.zeros(16).long()  # noqa: NPY002 - as above


def train_step_of(model, optimizer):
    def train_step(copy, batch):
        copy.train()
        optimizer.zero_grad()  # of the original's parameters, as in a script
        nn.functional.cross_entropy(copy(batch[0]), batch[1]).backward()
        optimizer.step()
        model(batch[0])  # a slip: the original, which would move its running statistics

    return train_step


@pytest.fixture
def model():
    """In mixed modes, with gradients, hooks and a dropout layer."""
    model = perceptron(before_norm=lambda: nn.Dropout(0.3))
    model(torch.randn(8, 6)).sum().backward()
    model[2].eval()
    model[4].weight.requires_grad_(False)
    model[4].register_forward_pre_hook(lambda *_: None)
    return model


@pytest.mark.parametrize("purpose", ["training", "inference"])
def test_nothing_changes(model, purpose):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1, momentum=0.9)
    step, before = train_step_of(model, optimizer), snapshot(model)
    examine(model, Drawing(fails=False), purpose=purpose, optimizer=optimizer, train_step=step)
    assert_same(before, snapshot(model))
    assert not optimizer.state


def test_nothing_changes_when_the_loader_raises(model):
    before = snapshot(model)
    with pytest.raises(OSError, match="the disk is gone"):
        examine(model, Drawing(fails=True))
    assert_same(before, snapshot(model))


def test_nothing_changes_when_the_model_raises(model):
    loader = [torch.randn(4, 7)]
    before = snapshot(model)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        examine(model, loader)
    assert_same(before, snapshot(model))


def test_nothing_changes_when_the_training_step_raises(model):
    def train_step(copy, batch):
        copy(batch[0]).sum().backward()
        raise KeyError("label")

    before = snapshot(model)
    with pytest.raises(KeyError, match="label"):
        examine(model, Drawing(fails=False), train_step=train_step)
    assert_same(before, snapshot(model))


def test_a_forward_that_was_set_on_the_instance_does_not_reach_the_original():
    model = perceptron()
    layers = nn.Sequential(*model)

    def forward(x):
        return layers(x)  # a copy's, too, is that of the original's layers

    model.forward = forward
    loader, before = rows(), snapshot(model)
    examine(model, loader)
    assert_same({**before, "random": None}, {**snapshot(model), "random": None})


def test_a_loader_draws_the_same_batches_afterwards():
    generator = torch.Generator().manual_seed(3)
    loader = DataLoader(TensorDataset(torch.arange(48.0).reshape(8, 6)), 2, shuffle=True, generator=generator)
    state = generator.get_state()
    examine(perceptron(), loader)
    assert torch.equal(generator.get_state(), state)


class Generators:
    """Data that draw from generators of their own, of every kind, at several depths."""

    def __init__(self):
        self.transform = nn.Identity()
        self.transform.noise = np.random.default_rng(1)
        self.draws = {"torch": [torch.Generator().manual_seed(2)], "python": random.Random(3)}
        self.old = np.random.RandomState(4)

    def __len__(self):
        return 64

    def __getitem__(self, index):
        shift = self.transform.noise.random() + self.draws["python"].random() + self.old.rand()
        return torch.randn(6, generator=self.draws["torch"][0]) + shift, index % 3


def test_data_draw_the_same_afterwards():
    data = Generators()
    states = [data[0][0].tolist() for _ in range(2)]
    data.__init__()
    examine(perceptron(), DataLoader(data, 16))
    assert [data[0][0].tolist() for _ in range(2)] == states


@pytest.mark.parametrize("raises", [False, True])
def test_what_a_training_step_holds_is_as_before(raises):
    """An optimizer with a state, its schedule and a generator: in a closure, and used on the original by a slip."""
    model, generator = perceptron(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2, 3])

    def train_step(_copy, batch):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch[0] + torch.randn(6, generator=generator)), batch[1]).backward()
        optimizer.step()
        schedule.step()
        if raises:
            raise KeyError("label")

    def told():
        one = copy.deepcopy((optimizer.state_dict(), schedule.state_dict(), generator.get_state().tolist()))
        return str(one), [id(value) for state in optimizer.state.values() for value in state.values()]

    for state in ("none", "some"):
        before = told()
        parameters = [parameter.detach().clone() for parameter in model.parameters()]
        with pytest.raises(KeyError, match="label") if raises else nullcontext():
            examine(model, rows(), train_step=train_step)
        assert told() == before, state
        assert all(map(torch.equal, parameters, model.parameters()))
        with suppress(KeyError):
            train_step(None, rows(batches=1)[0])


class Holder(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(6)


class Named(Holder):
    def forward(self, image, scale=1.0):
        return self.norm(image * scale)


class Whole(Holder):
    def forward(self, batch):
        return self.norm(batch["pixels"])


class Pair(Holder):
    def forward(self, a, b):
        return self.norm(a) + self.norm(b)


X = torch.randn(16, 6)


@pytest.mark.parametrize(
    ("model", "batch"),
    [
        (Named(), X),
        (Named(), (X, torch.zeros(16))),
        (Named(), [X]),
        (Named(), {"image": X, "label": torch.zeros(16)}),
        (Named(), {"pixels": X, "label": torch.zeros(16)}),
        (Whole(), {"pixels": X, "label": torch.zeros(16)}),
        (Pair(), (X, X)),
        (Pair(), ((X, X), torch.zeros(16))),
        (Pair(), (X, X, torch.zeros(16))),
    ],
    ids=["tensor", "pair", "list", "by_name", "other_name", "whole_dict", "two", "nested_two", "two_and_label"],
)
def test_a_batch_is_taken_in_every_usual_form(model, batch):
    assert ", 2 batches read, 32 images run" in examine(model, [batch, batch]).examined


def test_a_wrapper_is_looked_through():
    inner = perceptron(momentum=0.99)
    assert examine(nn.DataParallel(inner)).findings == examine(inner).findings


def test_a_model_that_keeps_an_activation_can_be_examined():
    model = perceptron()
    model.last = model(torch.randn(32, 6))
    assert examine(model, rows()).healthy


def test_a_training_pass_that_fails_is_not_examined():
    class WantsTargets(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(6)

        def forward(self, x, targets=None):
            if self.training and targets is None:
                raise AssertionError("targets should not be None when in training mode")
            return self.norm(x)

    report = examine(WantsTargets(), rows())
    assert report.not_examined == (
        "a training pass, which raised AssertionError: targets should not be None when in training mode",
    )


def test_without_a_loader_the_report_says_what_was_not_examined():
    report = examine(perceptron(bias=True))
    assert [finding.id for finding in report.findings] == ["BN003"]
    assert report.not_examined[-1].startswith("whatever takes a loader")


def test_an_empty_loader_is_not_examined():
    assert examine(perceptron(), []).not_examined == ("the loader, which is empty",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "resnet"}, "expected model to be an nn.Module, got str"),
        ({"model": nn.Linear(1, 1), "purpose": "serving"}, "expected purpose 'training' or 'inference', got 'serving'"),
        ({"model": nn.LazyBatchNorm1d()}, "expected a model that knows its shapes, got one with lazy layers"),
        ({"model": nn.BatchNorm1d(1), "loader": ["text"]}, "expected a batch that holds a tensor, got str"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        examine(**arguments)


@pytest.fixture
def report():
    gravest_last = [
        Finding(f"BN00{i}", s, "a|<b>", "1 of 2 [bold].", "Why.", "f(x)") for i, s in ((6, "note"), (5, "error"))
    ]
    return Report(tuple(gravest_last), "Net", ("this & that",))


def test_a_report_is_text_within_80_columns():
    shown = repr(examine(perceptron(bias=True, momentum=0.9), rows()))
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.index("BN005 error") < shown.index("BN003 note")  # the gravest first, not the first rule


def test_a_report_takes_no_text_for_markup(report):
    assert "1 of 2 [bold]. Why." in repr(report)
    assert "a|&lt;b&gt;" in report._repr_html_()
    assert "<b>" not in report._repr_html_()
    assert "this &amp; that" in report._repr_html_()


def test_a_report_is_json(report):
    read = json.loads(report.to_json())
    assert [finding["id"] for finding in read["findings"]] == ["BN006", "BN005"]
    assert set(read) == {"findings", "examined", "not_examined"}


def test_rules_have_titles():
    assert list(RULES) == [f"BN{number:03}" for number in range(1, 19)]
    assert all(title and title[0].islower() for title in RULES.values())


def test_a_long_loader_and_a_large_batch_cost_no_more():
    """What runs is bounded: 64 batches, about 160 images and a training pass on 32."""
    images = 0

    class Counting(ResNet):
        def forward(self, x):
            nonlocal images
            images += len(x)
            return super().forward(x)

    begin = time.process_time()  # of this process alone, on a busy machine, too
    examine(Counting(), (torch.randn(256, 1, 5, 4) for _ in range(1000)))
    assert images <= 64 * 3 + 2 * 32
    assert time.process_time() - begin < 10
