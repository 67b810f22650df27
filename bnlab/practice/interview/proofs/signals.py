"""Proofs of answers on the signal in a network: its size from layer to layer, and the scale of the weights."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bnlab.reference import batch_norm_forward


def half_as_large_a_start(*, layers: int = 20, forward: int = 1_048_576, each_matrix: int = 524_288) -> bool:
    """How much smaller activations and gradients are if every weight of a ReLU network is halved."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(layers, 16, 16, dtype=torch.float64, generator=generator) / math.sqrt(8)
    data = torch.randn(4, 16, dtype=torch.float64, generator=generator)
    grad_y = torch.randn(4, 16, dtype=torch.float64, generator=generator)

    def signals(scale: float) -> tuple[Tensor, ...]:
        weights, x = (scale * start).requires_grad_(), data.clone().requires_grad_()
        y = x
        for weight in weights:
            y = torch.relu(y @ weight)
        return y, *torch.autograd.grad(y, (x, weights), grad_y)

    smaller = (forward, forward, each_matrix)
    return all(
        bool(whole.any()) and torch.allclose(whole / times, halved, rtol=1e-9, atol=0)
        for whole, halved, times in zip(signals(1.0), signals(0.5), smaller, strict=True)
    )


def two_over_fan_in(*, two: int = 2, kept: float = 0.5, after_20_layers: int = 1024) -> bool:
    """The square of torch's gain for ReLU, what ReLU keeps of a mean square, and what its lack costs over 20 layers."""
    z = torch.randn(1000, dtype=torch.float64)
    z = torch.cat([z, -z])
    share = float(torch.relu(z).square().mean() / z.square().mean())
    return (
        math.isclose(nn.init.calculate_gain("relu") ** 2, two)
        and math.isclose(share, kept)
        and math.isclose(share ** (-20 / 2), after_20_layers)
    )


def start_scale_cancels(*, output_power: int = 0, grad_x_power: int = 0, gradient_power: int = -1) -> bool:
    """How output and gradients of a linear layer with batch norm go with the scale of its weights, as powers of it."""
    layer = nn.BatchNorm1d(3, eps=1e-12, dtype=torch.float64)
    data, grad_y = torch.randn(16, 5, dtype=torch.float64), torch.randn(16, 3, dtype=torch.float64)
    start = torch.randn(5, 3, dtype=torch.float64)

    def signals(scale: int) -> tuple[Tensor, ...]:
        weights, x = (scale * start).requires_grad_(), data.clone().requires_grad_()
        y = layer(x @ weights)
        return y, *torch.autograd.grad(y, (x, weights), grad_y)

    powers = (output_power, grad_x_power, gradient_power)
    return all(
        torch.allclose(scaled, one * 4.0**power)
        for one, scaled, power in zip(signals(1), signals(4), powers, strict=True)
    )


def gradient_growth(*, squared: float = 1.467, norm: float = 1.211, layers: int = 30, after_them: int = 313) -> bool:
    """How the gradient grows toward the input of a plain ReLU network with batch norm: in the limit, and in one."""
    limit = math.pi / (math.pi - 1)
    probability = (np.arange(100_000) + 0.5) / 100_000
    h = np.maximum(torch.special.ndtri(torch.from_numpy(probability)).numpy(), 0)
    return (
        (round(limit, 3), round(math.sqrt(limit), 3)) == (squared, norm)
        and math.isclose(0.5 / h.var(), squared, rel_tol=1e-3)
        and math.isclose(_growth_in_a_network(), norm, rel_tol=0.03)
        and int(limit ** (layers / 2)) == after_them
    )


def _growth_in_a_network(layers: int = 12, width: int = 256) -> float:
    """The mean growth per layer of the gradient's norm in one network at its start."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(width, width, generator=generator)
    blocks = []
    for _ in range(layers):
        linear = nn.Linear(width, width, bias=False)
        nn.init.kaiming_normal_(linear.weight, generator=generator)
        blocks.append(nn.Sequential(linear, nn.BatchNorm1d(width), nn.ReLU()))
    outputs = [x.requires_grad_()]
    for block in blocks:
        outputs.append(block(outputs[-1]))
    gradients = torch.autograd.grad(outputs[-1], outputs, torch.randn(width, width, generator=generator))
    first, last = gradients[1].norm(), gradients[-1].norm()  # the first block is fed by data, not by ReLU
    return float((first / last) ** (1 / (layers - 1)))


def loss_of_a_guess(*, classes: int = 10, loss: float = 2.303) -> bool:
    """The cross-entropy of logits that are all 0."""
    return round(float(cross_entropy(torch.zeros(1, classes), torch.tensor([0]))), 3) == loss


def moments_behind_the_norm(
    *, mean: int = 0, variance: int = 1, moves_in_front: bool = True, moves_behind: bool = False, shape: bool = True
) -> bool:
    """What moves between two inputs of a channel in front of batch norm and behind it: the moments and the shape."""
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=(1000, 1)), np.exp(rng.normal(2, 1, size=(1000, 1)))
    behind = [batch_norm_forward(x, np.ones(1), np.zeros(1))[0] for x in (before, after)]

    def moves(one: np.ndarray, other: np.ndarray) -> bool:
        return not (
            math.isclose(one.mean(), other.mean(), abs_tol=1e-4) and math.isclose(one.var(), other.var(), rel_tol=1e-4)
        )

    skewness = [(x_hat**3).mean() for x_hat in behind]
    return (
        all(math.isclose(x_hat.mean(), mean, abs_tol=1e-9) for x_hat in behind)
        and all(math.isclose(x_hat.var(), variance, rel_tol=1e-4) for x_hat in behind)
        and (moves(before, after), moves(*behind)) == (moves_in_front, moves_behind)
        and (not math.isclose(*skewness, rel_tol=0.1)) == shape
    )


def no_activation_escapes(
    *, relu: float = 1.211, tanh: float = 1.085, leaky: float = 1.097, absolute: float = 1.659, linear: int = 1
) -> bool:
    """The growth of the gradient's norm per layer behind batch norm, by the moments of the activation in between."""
    z = torch.special.ndtri((torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000)

    def growth(function: Callable[[torch.Tensor], torch.Tensor]) -> float:
        x = z.clone().requires_grad_()
        y = function(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        return math.sqrt(slope.square().mean().item() / y.var(correction=0).item())

    found = [
        growth(one) for one in (torch.relu, torch.tanh, lambda x: torch.maximum(x, x / 4), torch.abs, lambda x: 2 * x)
    ]
    return all(
        math.isclose(one, other, rel_tol=1e-3)
        for one, other in zip(found, (relu, tanh, leaky, absolute, linear), strict=True)
    )


def growth_beside_skips(
    *, blocks: int = 100, squared: int = 101, norm: float = 10.05, plain: int = 209, a_layer: float = 1.467
) -> bool:
    """How much the gradient grows over 100 residual blocks of linear and norm, and over 100 plain ones with ReLU."""
    in_20 = math.prod(1 + 1 / block for block in range(1, 21))
    return (
        blocks == 100
        and math.isclose(math.prod(1 + 1 / block for block in range(1, blocks + 1)), squared)
        and round(math.sqrt(squared), 2) == norm
        and round(math.pi / (math.pi - 1), 3) == a_layer
        and int((math.pi / (math.pi - 1)) ** (blocks / 2) / 1e6) == plain
        and math.isclose(_growth_of_residual_blocks(20), in_20, rel_tol=0.1)
    )


@cache
def _growth_of_residual_blocks(blocks: int, width: int = 384) -> float:
    """The growth of the squared gradient in one network at its start."""
    generator = torch.Generator().manual_seed(0)
    x = start = torch.randn(width, width, generator=generator).requires_grad_()
    for _ in range(blocks):
        weight = torch.randn(width, width, generator=generator) / math.sqrt(width)
        x = x + nn.functional.batch_norm(x @ weight, None, None, training=True)
    upstream = torch.randn(width, width, generator=generator)
    (gradient,) = torch.autograd.grad(x, start, upstream)
    return float((gradient.norm() / upstream.norm()) ** 2)
