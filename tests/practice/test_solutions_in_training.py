"""What the solutions of chapter 12's exercises promise comes true in training, in float64 and without epsilon."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from bnlab.experiments.studies.gradient_growth import growth_in_theory
from bnlab.layers.functional import batch_norm
from bnlab.practice.exercises.tasks import explanations

STEPS = 20
RATE, DECAY = 0.5, 0.2


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(16, size, dtype=torch.float64, generator=generator) for size in (5, 3)]


@pytest.fixture
def start():
    return torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def outputs(weight, x):
    return batch_norm(x @ weight.T, None, None, training=True, eps=1e-100)


def trained(weight, data, rates, decay):
    """Weights before a norm after one step at each of the rates."""
    x, target = data
    for rate in rates:
        weight = weight.detach().requires_grad_()
        gradient = torch.autograd.grad((outputs(weight, x) - target).square().mean(), weight)[0]
        weight = weight - rate * (gradient + decay * weight)
    return weight.detach()


def test_rates_without_decay_give_the_network_that_was_trained_with_decay(data, start):
    rates = explanations.rates_without_decay(RATE, DECAY, STEPS)
    for steps in (1, 2, STEPS):
        with_decay = trained(start, data, [RATE] * steps, DECAY)
        without = trained(start, data, rates[:steps], 0.0)
        assert_allclose(outputs(without, data[0]), outputs(with_decay, data[0]), rtol=1e-9)


@pytest.mark.parametrize("factor", [0.25, 3.0])
def test_rescaled_training_goes_on_as_it_would_have(data, start, factor):
    weight, rate, decay = explanations.rescale_training(start, RATE, DECAY, factor)
    here, there = trained(start, data, [RATE] * STEPS, DECAY), trained(weight, data, [rate] * STEPS, decay)
    assert_allclose(there, factor * here, rtol=1e-9)


@pytest.mark.parametrize("activation", ["relu", "tanh", "linear"])
def test_growth_of_many_normal_values_is_that_of_the_theory(activation):
    z = torch.special.ndtri((torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000)[:, None].requires_grad_()
    h = {"relu": torch.relu, "tanh": torch.tanh, "linear": torch.clone}[activation](z)
    (slopes,) = torch.autograd.grad(h.sum(), z)
    found = explanations.gradient_growth(h.detach().numpy(), slopes.numpy())
    assert_allclose(found, growth_in_theory(activation), rtol=1e-3)


def test_longer_weights_before_a_norm_shift_no_gradient():
    below, own = np.arange(1.0, 7).reshape(2, 3), np.array([[1.0, -2]])
    by_below, by_own = explanations.gradient_shift(explanations.normed, below, own, 5 * below, 2 * own)
    assert by_below < 1e-12 < by_own
