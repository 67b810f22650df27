import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bnlab.experiments.data import Split, digits
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import gradient_growth as study

SMALL = study.Config(
    seeds=(0, 1), batch_sizes=(8, 256), depth=10, width=96, widths=(16, 96), middle=4, deep=150, deep_width=16
)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def test_with_batch_norm_and_a_large_batch_growth_is_near_the_theory(result):
    for activation in study.ACTIVATIONS:
        expected = study.growth_in_theory(activation)
        assert result.growth[f"batch_norm {activation}"][1].mean() == pytest.approx(expected, rel=0.06)


def test_without_a_norm_the_gradient_keeps_its_size_or_shrinks(result):
    assert result.growth["no_norm relu"] == pytest.approx(np.ones((2, 2)), rel=0.1)
    assert result.growth["no_norm linear"] == pytest.approx(np.ones((2, 2)), rel=0.1)
    assert (result.growth["no_norm tanh"] < 1).all()


def test_a_batch_of_eight_grows_faster(result):
    assert (result.over(10, "batch_norm", "relu", 8) > 1.5 * result.over(10, "batch_norm", "relu", 256)).all()


def test_growth_over_layers_is_a_power_of_that_of_one(result):
    assert result.over(3, "no_norm", "tanh", 256) == pytest.approx(result.growth["no_norm tanh"][1] ** 3)


@pytest.mark.parametrize("activation", study.ACTIVATIONS)
def test_the_gradient_is_that_behind_each_activation(activation):
    x, y = (tensor[:32] for tensor in digits().train)
    config = replace(SMALL, seeds=(5,))
    (found,) = study._growth(config, f"batch_norm {activation}", Split(x, y), width=24, size=32)
    model = study.network("batch_norm", activation, inputs=64, depth=10, width=24, seed=5).train()
    signals, value = [], x
    for place, layer in enumerate(model):
        value = layer(value)
        if place in range(3, 31, 3):  # behind linear, norm, activation
            value.retain_grad()
            signals.append(value)
    nn.functional.cross_entropy(value, y).backward()
    norms = [signal.grad.norm().item() for signal in signals]
    assert found == pytest.approx((norms[3] / norms[7]) ** (1 / 4), rel=1e-5)


@pytest.mark.parametrize(
    ("activation", "squared"),
    [("relu", math.pi / (math.pi - 1)), ("linear", 1.0), ("tanh", 1.1778)],
)
def test_the_theory_is_that_of_a_standard_normal_input(activation, squared):
    assert study.growth_in_theory(activation) ** 2 == pytest.approx(squared, rel=1e-4)


def test_the_theory_agrees_with_random_numbers():
    z = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slope = 1 - torch.tanh(z).square()
    drawn = (slope.square().mean() / torch.tanh(z).var()).sqrt().item()
    assert study.growth_in_theory("tanh") == pytest.approx(drawn, rel=2e-3)


def test_reach_counts_the_layers_from_the_head_to_the_first_that_overflows():
    batch = Split(torch.tensor([[1.0], [3.0]]), torch.tensor([0, 1]))
    doubling = [nn.Linear(1, 1, bias=False) for _ in range(4)]
    head = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        for layer in doubling:
            layer.weight.fill_(2.0)
        head.weight.copy_(torch.tensor([[1e-6], [-1e-6]]))
    model = nn.Sequential(*(part for layer in doubling for part in (layer, nn.ReLU())), head)
    last = 0.5 * 2e-6 * (1 / 2)  # of the last ReLU's output: half of the logits' difference, in a batch of two
    for factor, expected in [(1.5, 1), (3, 2), (6, 3), (20, 4)]:
        assert study.reach(model, batch, factor * last) == expected
    assert study.reach(model, batch, 0.5 * last) == 0


def test_float16_overflows_first_and_a_network_too_shallow_for_it_does_not(result):
    assert (result.reach["float16"] < 120).all()
    assert (result.reach["float32"] == 150).all()


def test_growth_is_measured_half_way_between_the_ends():
    assert study.growth_a_layer(np.array([99.0, 16.0, 7.0, 7.0, 7.0, 1.0, 99.0]), 4) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(SMALL, middle=10), "middle: expected fewer than the 10 hidden layers, got 10"),
        (lambda: replace(SMALL, batch_sizes=(1, 8)), "batch_sizes: expected at least 2, got 1"),
        (lambda: study.run(replace(SMALL, batch_sizes=(2000,))), "at most the 1077 training examples, got 2000"),
        (
            lambda: study.Result(
                config=SMALL,
                provenance=Provenance("2026-01-31", {}, "0123456789ab"),
                growth={},
                by_width=np.ones((2, 2)),
                reach={},
            ).over(1, "no_norm", "relu", 9),
            "batch_size: expected one of 8, 256, got 9",
        ),
    ],
)
def test_what_cannot_be_run_or_was_not_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
