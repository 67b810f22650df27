"""Proofs of answers on learning rates, on steps and hours, and on comparing a few runs."""

import math

import numpy as np
import torch
from scipy.special import stdtrit
from scipy.stats import binomtest
from torch import nn

from bnlab.layers.functional import batch_norm


def doubled_weights(*, layers: int = 8, grows: int = 256, with_batch_norm: int = 1) -> bool:
    """By how much the output of a ReLU network grows if a step doubles all its weights, without and with batch norm."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, 16, dtype=torch.float64, generator=generator)
    weights = torch.randn(layers, 16, 16, dtype=torch.float64, generator=generator) / math.sqrt(8)

    def output(scale: int, *, norm: bool) -> torch.Tensor:
        y = x
        for weight in weights:
            y = y @ (scale * weight)
            y = torch.relu(batch_norm(y, None, None, training=True, eps=1e-12) if norm else y)
        return y

    return torch.allclose(output(2, norm=False), grows * output(1, norm=False)) and torch.allclose(
        output(2, norm=True), with_batch_norm * output(1, norm=True), atol=1e-6
    )


def the_papers_table(
    *, plain: float = 31.0, alone: float = 13.3, five: float = 2.1, thirty: float = 2.7, times_alone: float = 2.3,
    times_rest: float = 6.3, times_thirty: float = 11.5, final_five: float = 73.0, final_thirty: float = 74.8,
    points: float = 1.8,
) -> bool:  # fmt: skip
    """Steps in millions and best accuracy in percent, and their ratios (arXiv:1502.03167, section 4.2)."""
    return (
        (round(plain / alone, 1), round(alone / five, 1)) == (times_alone, times_rest)
        and round(plain / thirty, 1) == times_thirty
        and round(final_thirty - final_five, 1) == points
    )


def steps_times_cost(*, dearer: float = 1.25, hours: int = 100, left: float = 62.5, break_even: int = 2) -> bool:
    """What is left of the hours with half the steps when each is dearer, and how dear a step may become."""
    return hours * 0.5 * dearer == left and 0.5 * break_even == 1


def five_seeds(
    *,
    seeds: int = 5,
    smallest_p: float = 0.0625,
    with_six: float = 0.031,
    coverage: float = 0.83,
    student: float = 2.78,
) -> bool:
    """The smallest p of a two-sided sign test, how often a bootstrap interval covers, and Student's factor."""
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(2_000, 5))
    again = rng.integers(5, size=(2_000, 400, 5))
    means = np.take_along_axis(samples[:, None, :], again, axis=2).mean(2)
    low, high = np.quantile(means, (0.025, 0.975), axis=1)
    covered = float(((low < 0) & (high > 0)).mean())
    return (
        float(binomtest(seeds, seeds).pvalue) == smallest_p
        and round(float(binomtest(6, 6).pvalue), 3) == with_six
        and math.isclose(covered, coverage, abs_tol=0.03)
        and round(float(stdtrit(seeds - 1, 0.975)), 2) == student
    )


def smoothness_by_scale(*, longer: int = 10, gradient: int = 10, curvature: int = 100) -> bool:
    """By how much gradient and curvature shrink where weights before batch norm are longer, for the same function."""
    rng = np.random.default_rng(0)
    x, start, target = (torch.from_numpy(rng.normal(size=shape)) for shape in ((16, 5), (5,), (16, 1)))
    layer = nn.BatchNorm1d(1, eps=1e-14, track_running_stats=False, dtype=torch.float64)

    def slopes(scale: int) -> tuple[float, float]:
        weights = (scale * start).requires_grad_()
        loss = (layer((x @ weights)[:, None]) - target).square().mean()
        (first,) = torch.autograd.grad(loss, weights, create_graph=True)
        rows = [torch.autograd.grad(slope, weights, retain_graph=True)[0] for slope in first]
        return float(first.detach().norm()), float(torch.stack(rows).norm())

    here, there = slopes(1), slopes(longer)
    return all(
        math.isclose(one / other, times, rel_tol=1e-6)
        for one, other, times in zip(here, there, (gradient, curvature), strict=True)
    )
