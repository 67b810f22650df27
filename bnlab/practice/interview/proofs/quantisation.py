"""Proofs of answers on eight bits: ranges around a norm, shifts by rounding, and folds that move."""

import math

import torch
from scipy.stats import norm
from torch import nn


def ranges_around_a_norm(
    *, mean: int = 100, spread: int = 20, deviations: int = 3, low: int = 40, high: int = 160, behind: int = 3,
    training_mode_moves_statistics: bool = True,
) -> bool:  # fmt: skip
    """The range of a channel in front of a norm and behind it, within three standard deviations."""
    layer = nn.BatchNorm1d(1, eps=1e-12, dtype=torch.float64)
    layer.get_buffer("running_mean").fill_(mean)
    layer.get_buffer("running_var").fill_(spread**2)
    ends = torch.tensor([[mean - deviations * spread], [mean + deviations * spread]], dtype=torch.float64)
    found = layer.eval()(ends).detach().ravel()
    layer.train()(ends)
    moved = layer.get_buffer("running_var").item() != spread**2
    return (
        ends.ravel().tolist() == [low, high]
        and torch.allclose(found, torch.tensor([-behind, behind]).double())
        and moved == training_mode_moves_statistics
    )


def range_of_a_channel(
    *, beta: int = 1, gamma: float = 0.5, times: int = 6, low: int = -2, high: int = 4, outside: int = 36,
    behind_relu: float = 1.004, moments_fix_the_tails: bool = False,
) -> bool:  # fmt: skip
    """Mean and spread behind a norm, the range they give, and the mean of a normal channel behind a ReLU."""
    generator = torch.Generator().manual_seed(0)
    y = beta + gamma * torch.randn(2_000_000, generator=generator)
    mean = beta * norm.cdf(beta / gamma) + gamma * norm.pdf(beta / gamma)
    heavy = torch.tensor([0.0] * 199 + [1.0], dtype=torch.float64)[:, None]
    layer = nn.BatchNorm1d(1, eps=1e-12, dtype=torch.float64)
    inside = layer(heavy).abs().max().item() <= times
    return (
        (beta - times * gamma, beta + times * gamma) == (low, high)
        and outside == times**2
        and round(float(mean), 3) == behind_relu
        and math.isclose(y.relu().mean().item(), behind_relu, rel_tol=2e-3)
        and inside == moments_fix_the_tails
    )


def shift_of_a_rounded_layer(
    *,
    inputs: int = 512,
    mean: int = 1,
    error: float = 0.001,
    shift: float = 0.512,
    new_statistics_take_it_out: bool = True,
) -> bool:
    """The mean shift of a sum whose weights are all off alike, and what a norm's new statistics make of it."""
    generator = torch.Generator().manual_seed(0)
    x = mean + torch.randn(64, inputs, dtype=torch.float64, generator=generator)
    x = x - x.mean(0) + mean
    weight = torch.randn(inputs, 1, dtype=torch.float64, generator=generator)
    found = (x @ (weight + error) - x @ weight).mean().item()
    layer = nn.BatchNorm1d(1, eps=1e-12, momentum=1.0, dtype=torch.float64)
    layer(x @ (weight + error))
    centred = abs(layer.eval()(x @ (weight + error)).mean().item()) < 1e-9
    return math.isclose(found, shift, rel_tol=1e-9) and centred == new_statistics_take_it_out


def jitter_of_a_fold(
    *, few: int = 32, scatters: float = 0.125, levels: int = 127, moved_by: int = 16, many: int = 8192,
    scatters_less: float = 0.0078, moved_less: int = 1, moves_if_the_grid_follows: bool = False,
) -> bool:  # fmt: skip
    """How far the batch's standard deviation scatters, and how far a folded weight then moves on either grid."""
    generator = torch.Generator().manual_seed(0)
    stds = torch.randn(4000, 32, dtype=torch.float64, generator=generator).std(1)
    folded = torch.tensor([0.3, 1.0], dtype=torch.float64) / stds[:, None]  # weights of one filter over the batch's
    on_a_fixed_grid = torch.round(levels * folded[:, 1])
    on_its_own = torch.round(levels * folded / folded.amax(1, keepdim=True))
    found = [1 / math.sqrt(2 * count) for count in (few, many)]
    return (
        [round(found[0], 3), round(found[1], 4)] == [scatters, scatters_less]
        and math.isclose((stds.std() / stds.mean()).item(), scatters, rel_tol=0.05)
        and (few, many, levels) == (32, 2**13, 2**7 - 1)
        and math.isclose(on_a_fixed_grid.std().item(), moved_by, rel_tol=0.1)
        and bool((on_its_own != on_its_own[0]).any()) == moves_if_the_grid_follows
        and [round(levels * one) for one in found] == [moved_by, moved_less]
    )
