"""Proofs of answers on noise, dropout, weight decay and the scale of the weights as a learning rate."""

import math
from functools import cache

import numpy as np
import torch
from scipy.special import gammaln
from torch import nn
from torch.nn.functional import dropout

from bnlab.layers import BatchNorm1d
from bnlab.layers.ghost import GhostBatchNorm1d


def noise_of_the_statistics(*, mean_at_32: float = 0.177, mean_at_512: float = 0.044, std_at_32: float = 0.125) -> bool:
    """How far mean and standard deviation of a batch scatter from batch to batch, for a standard normal channel."""
    rng = np.random.default_rng(0)
    small, large = rng.normal(size=(10_000, 32)), rng.normal(size=(2_000, 512))
    found = (small.mean(1).std(), large.mean(1).std(), small.std(1).std())
    stated = (mean_at_32, mean_at_512, std_at_32)
    return all(math.isclose(one, other, rel_tol=0.05) for one, other in zip(found, stated, strict=True)) and stated == (
        *(round(1 / math.sqrt(count), 3) for count in (32, 512)),
        round(1 / math.sqrt(2 * 32), 3),
    )


def ghosts_are_batches(
    *,
    batch: int = 512,
    ghost: int = 32,
    times_the_noise: int = 4,
    training_differs: bool = True,
    inference: bool = False,
) -> bool:
    """How much more the statistics of a ghost scatter than the batch's, and in which mode the two layers differ."""
    whole, ghosts = BatchNorm1d(1), GhostBatchNorm1d(1, ghost_size=32)
    x = torch.randn(512, 1)
    differs = [not torch.allclose(whole(x), ghosts(x), atol=1e-3)]
    ghosts.load_state_dict(whole.state_dict())
    differs.append(not torch.allclose(whole.eval()(x), ghosts.eval()(x)))
    draws = np.random.default_rng(0).normal(size=(2_000, batch))
    scatter = draws.reshape(-1, 32).mean(1).std() / draws.mean(1).std() if batch % 32 == 0 else 0.0
    return (
        ghost == ghosts.ghost_size
        and math.isclose(scatter, times_the_noise, rel_tol=0.05)
        and differs == [training_differs, inference]
    )


def variance_shift(
    *, dropped: float = 0.5, variance_times: int = 2, std_left: float = 0.707, before: float = 77.42,
    after: float = 68.55, points: float = 8.87,
) -> bool:  # fmt: skip
    """Dropout in front of batch norm: its variance in training beside inference, and a network's published accuracy."""
    x = torch.ones(1_000_000)
    x[::2] = -1  # a centred channel
    variance = float(dropout(x, dropped, training=True).var() / x.var())
    layer = nn.BatchNorm1d(1, momentum=1.0)
    layer(dropout(x, 0.5, training=True)[:, None])
    std = float(layer.eval()(x[:, None]).detach().std())
    return (
        math.isclose(variance, variance_times, rel_tol=0.02)
        and math.isclose(std, std_left, rel_tol=0.02)
        and round(before - after, 2) == points
    )


def decay_moves_the_rate(*, longer: int = 2, turns_less: int = 4, output_moves: bool = False) -> bool:
    """What longer weights before batch norm do to the turn of a step, and what shrinking them does to the output."""
    layer = nn.BatchNorm1d(3, eps=1e-12, dtype=torch.float64)
    x = torch.randn(16, 3, dtype=torch.float64)
    moves = not torch.allclose(layer(x), layer(0.9 * x))
    return math.isclose(_turn(1) / _turn(longer), turns_less, rel_tol=1e-6) and moves == output_moves


def balance(*, rate: float = 0.1, decay: float = 0.0005, turn: float = 0.01, steps: int = 5000) -> bool:
    """Where the length of scale-invariant weights settles under decay, as the turn of a step, and how soon."""
    squared, turns = 2.0, []  # the gradient has norm 1 at length 1, and is orthogonal to the weights
    for _ in range(60_000):
        turns.append(rate / squared)
        squared = (1 - rate * decay) ** 2 * squared + rate**2 / squared
    settled = turns[-1]
    off = [abs(math.log(one / settled)) for one in turns]
    begin = next(step for step, distance in enumerate(off) if distance < 0.1)
    end = next(step for step, distance in enumerate(off) if distance < 0.1 / math.e)
    return (
        math.isclose(settled, turn, rel_tol=1e-3)
        and steps == round(1 / (4 * rate * decay))
        and math.isclose(end - begin, steps, rel_tol=0.1)
    )


def start_as_a_rate(*, scale: int = 30, turns_less: int = 900) -> bool:
    """How much less a step of gradient descent turns weights before batch norm that are longer."""
    return math.isclose(_turn(1) / _turn(scale), turns_less, rel_tol=1e-6)


def batch_noise_shrinks_gamma(
    *, at_4: float = 0.798, at_32: float = 0.976, as_a_decay: float = 0.253, at_32_as_a_decay: float = 0.024
) -> bool:
    """The gamma that fits a normal input best from batches of 4 and 32, and the decay that would do the same."""

    def best(count: int) -> float:
        return math.sqrt(2 / count) * math.exp(float(gammaln(count / 2) - gammaln((count - 1) / 2)))

    rng = np.random.default_rng(0)
    h = rng.normal(size=(200_000, 4))
    x_hat = (h - h.mean(1, keepdims=True)) / h.std(1, keepdims=True)
    fitted = float((x_hat * h).mean() / (x_hat**2).mean())
    return (
        [round(best(4), 3), round(best(32), 3)] == [at_4, at_32]
        and [round(1 / best(4) - 1, 3), round(1 / best(32) - 1, 3)] == [as_a_decay, at_32_as_a_decay]
        and math.isclose(fitted, at_4, rel_tol=0.005)
    )


def adamw_in_balance(
    *, rate: float = 0.001, decay: float = 0.1, turn: float = 0.0141, steps: int = 5000, rate_times: int = 4,
    longer_with_adamw: int = 4, longer_with_sgd: int = 2,
) -> bool:  # fmt: skip
    """How far a step turns weights in the end, how soon, and their length if the rate grows and the decay falls."""
    (turn_here, length_here), (turn_there, length_there) = (_settled(one) for one in (0.01, 0.04))
    return (
        round(math.sqrt(2 * rate * decay), 4) == turn
        and steps == round(1 / (2 * rate * decay))
        and rate_times == round(0.04 / 0.01)
        and all(math.isclose(one, math.sqrt(2 * 0.02), rel_tol=0.05) for one in (turn_here, turn_there))
        and math.isclose(length_there / length_here, longer_with_adamw, rel_tol=0.05)
        and math.isclose(_length_with_sgd(0.04) / _length_with_sgd(0.01), longer_with_sgd, rel_tol=1e-6)
    )


def _turn(scale: float) -> float:
    """The turn of weights before a batch norm in one step at rate 1: the norm of their gradient over their own."""
    rng = np.random.default_rng(0)
    data, start, grad_y = (torch.from_numpy(rng.normal(size=shape)) for shape in ((16, 5), (5, 3), (16, 3)))
    weights = (scale * start).requires_grad_()
    layer = nn.BatchNorm1d(3, eps=1e-12, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(layer(data @ weights), weights, grad_y)
    return float(gradient.norm() / weights.detach().norm())


@cache
def _settled(rate: float, steps: int = 200, size: int = 2_000) -> tuple[float, float]:
    """The turn of the last of many steps whose entries are all as large as the rate, with rate times decay 0.02."""
    rng = np.random.default_rng(0)
    before = weights = rng.normal(size=size) / 10
    for _ in range(steps):
        before, weights = weights, 0.98 * weights + rate * rng.choice([-1.0, 1.0], size)
    lengths = [float(np.linalg.norm(one)) for one in (before, weights)]
    return math.acos(float(before @ weights) / math.prod(lengths)), lengths[1]


def _length_with_sgd(rate: float, steps: int = 1_000) -> float:
    squared = 1.0  # the gradient has norm 1 at length 1, and is orthogonal to the weights
    for _ in range(steps):
        squared = 0.98**2 * squared + rate**2 / squared
    return math.sqrt(squared)
