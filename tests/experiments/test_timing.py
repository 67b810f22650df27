import time

import pytest
import torch
from torch import nn

from bnlab.experiments.data import Split
from bnlab.experiments.timing import WARM_UP, seconds_per_step

SPLIT = Split(torch.randn(40, 4), torch.arange(40) % 2)


class Sleeping(nn.Module):
    """A network whose forward pass takes as long as it is told, and notes when it was called."""

    def __init__(self, name, calls, *, seconds):
        super().__init__()
        self.linear, self.name, self.calls, self.seconds = nn.Linear(4, 2), name, calls, seconds

    def forward(self, x):
        self.calls.append(self.name)
        time.sleep(self.seconds(len(self.calls)))
        return self.linear(x)


def test_a_step_is_timed_without_its_warm_up():
    models = {"one": Sleeping("one", [], seconds=lambda call: 0.2 if call <= WARM_UP else 0.01)}
    seconds = seconds_per_step(models, SPLIT, batch_size=10, seed=0, rounds=2, steps=2)
    assert 0.01 <= seconds["one"] < 0.1


def test_networks_take_turns():
    calls = []
    models = {name: Sleeping(name, calls, seconds=lambda _: 0.0) for name in ("one", "other")}
    seconds_per_step(models, SPLIT, batch_size=10, seed=0, rounds=3, steps=2)
    assert calls[2 * WARM_UP :] == (["one"] * 2 + ["other"] * 2) * 3


def test_a_disturbed_round_does_not_count():
    models = {"one": Sleeping("one", [], seconds=lambda call: 0.3 if call == WARM_UP + 1 else 0.001)}
    seconds = seconds_per_step(models, SPLIT, batch_size=10, seed=0, rounds=3, steps=1)
    assert seconds["one"] < 0.1


def test_a_step_trains():
    model = nn.Linear(4, 2)
    before = model.weight.detach().clone()
    seconds_per_step({"one": model}, SPLIT, batch_size=10, seed=0, rounds=1, steps=1)
    assert model.weight.detach() != pytest.approx(before)
