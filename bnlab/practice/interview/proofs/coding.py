"""Proofs of answers on writing batch norm by hand, and on tests that can fail."""

import copy
import math

import numpy as np
import torch
from torch import nn

from bnlab.reference import batch_norm_backward, batch_norm_forward
from bnlab.reference.variance import Moments, merge


def forward_in_four_lines(
    *, at_eps: float = 0.707, eps: float = 1e-5, biased_two: int = 1, unbiased_two: float = 0.707, agrees: bool = True
) -> bool:
    """The four lines against torch, where the variance equals epsilon, and for two rows by either variance."""
    rng = np.random.default_rng(0)
    x, gamma, beta = rng.normal(3, 2, size=(5, 3)), rng.normal(size=3), rng.normal(size=3)
    ours = gamma * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5) + beta
    theirs = nn.functional.batch_norm(
        torch.as_tensor(x), None, None, torch.as_tensor(gamma), torch.as_tensor(beta), training=True
    )
    quiet = np.array([[-1.0], [1.0]]) * math.sqrt(eps)
    two = np.array([0.0, 2.0]) - 1
    return (
        np.allclose(ours, theirs.numpy()) == agrees
        and round(float((quiet / np.sqrt(quiet.var(axis=0) + 1e-5)).std()), 3) == at_eps
        and float(two[1] / two.std(ddof=0)) == biased_two
        and round(float(two[1] / two.std(ddof=1)), 3) == unbiased_two
    )


def backward_in_three_lines(
    *, agrees_with_differences: bool = True, without_its_terms: bool = False, sum_shows_a_factor: bool = False,
    sum_shows_the_variance_term: bool = False, sum_shows_the_mean_term: bool = True, sums_of_grad_x: int = 0,
) -> bool:  # fmt: skip
    """The closed form and wrong ones against central differences, by a random upstream gradient and by ones."""
    rng = np.random.default_rng(0)
    x, gamma, beta = rng.normal(2, 3, size=(6, 2)), np.array([0.5, 2.0]), np.zeros(2)
    y, cache = batch_norm_forward(x, gamma, beta)
    direction, step = rng.normal(size=x.shape), 1e-5

    def close(g: np.ndarray, grad_x: np.ndarray) -> bool:
        ends = [(g * batch_norm_forward(x + sign * step * direction, gamma, beta)[0]).sum() for sign in (1, -1)]
        return math.isclose((grad_x * direction).sum(), (ends[0] - ends[1]) / (2 * step), rel_tol=1e-5, abs_tol=1e-7)

    uneven, ones = rng.normal(size=y.shape), np.ones_like(y)
    right = {name: batch_norm_backward(g, cache)[0] for name, g in (("uneven", uneven), ("ones", ones))}
    scale, x_hat = gamma * cache.inv_std, (y - beta) / gamma
    wrong = {
        name: (grad_x / gamma, scale * (g - g.mean(0)), scale * (g - x_hat * (g * x_hat).mean(0)))
        for (name, grad_x), g in zip(right.items(), (uneven, ones), strict=True)
    }
    return (
        close(uneven, right["uneven"]) == agrees_with_differences
        and close(uneven, scale * uneven) == without_its_terms
        and not any(close(uneven, one) for one in wrong["uneven"])
        and [not close(ones, one) for one in wrong["ones"]]
        == [sum_shows_a_factor, sum_shows_the_variance_term, sum_shows_the_mean_term]
        and np.allclose(right["uneven"].sum(0), sums_of_grad_x)
    )


def the_module(
    *, saved: int = 4, trained: int = 2, of_the_old: float = 0.9, of_the_new: float = 0.1, factor_of_two: int = 2,
    stored_is_unbiased: bool = True,
) -> bool:  # fmt: skip
    """What torch's layer saves and trains, how it averages, and which of the two variances it stores."""
    layer = nn.BatchNorm2d(1, track_running_stats=True, dtype=torch.float64)
    state = [name for name in layer.state_dict() if name != "num_batches_tracked"]
    two = torch.tensor([0.0, 4.0], dtype=torch.float64)[:, None, None, None]
    layer.get_buffer("running_mean").fill_(1)
    layer(two - 2)
    left = layer.get_buffer("running_mean").item()
    var = layer.get_buffer("running_var").item() - 0.9
    biased, unbiased = (two.var(correction=correction).item() for correction in (0, 1))
    return (
        (len(state), len(list(layer.parameters()))) == (saved, trained)
        and math.isclose(left, of_the_old)
        and unbiased == factor_of_two * biased
        and math.isclose(var, of_the_new * unbiased) == stored_is_unbiased
        and math.isclose(var / unbiased, of_the_new)
    )


def fold_on_a_fresh_norm(
    *, scale: float = 0.999995, idle_fold_passes_fresh: bool = True, idle_fold_passes_used: bool = False,
    output_axis_transposed: int = 1,
) -> bool:  # fmt: skip
    """A fold that does nothing, compared on a new norm and on one that has seen data; and a transposed convolution."""
    x = torch.randn(4, 2, 5, 5, dtype=torch.float64)
    convolution, layer = nn.Conv2d(2, 3, 3, dtype=torch.float64), nn.BatchNorm2d(3, dtype=torch.float64).eval()
    used = copy.deepcopy(layer).train()
    used(7 * x[:, :1].repeat(1, 3, 1, 1) + 1)
    found = [torch.allclose(one.eval()(convolution(x)), convolution(x), atol=1e-4) for one in (layer, used)]
    fresh_scale = (layer.weight / torch.sqrt(layer.get_buffer("running_var") + layer.eps)).detach()
    transposed = nn.ConvTranspose2d(2, 3, 5)
    return (
        all(math.isclose(one, scale, rel_tol=1e-9, abs_tol=1e-6) for one in fresh_scale.tolist())
        and round(float(fresh_scale[0]), 6) == scale
        and found == [idle_fold_passes_fresh, idle_fold_passes_used]
        and transposed.weight.shape[output_axis_transposed] == transposed.out_channels
    )


def average_over_batches(
    *, large: int = 32, small: int = 1, weigh_alike: bool = True, lost: int = 25, averaged: int = 0
) -> bool:
    """What torch's plain average over batches makes of a short batch, and of batches whose means differ."""
    layer = nn.BatchNorm2d(1, momentum=None, dtype=torch.float64)
    for count, value in ((large, 0.0), (small, 1.0)):
        layer(torch.full((count, 1, 2, 2), value, dtype=torch.float64))
    alike = math.isclose(layer.get_buffer("running_mean").item(), 0.5)
    other = nn.BatchNorm1d(1, momentum=None, dtype=torch.float64)
    batches = [torch.full((3, 1), value, dtype=torch.float64) for value in (0.0, 10.0)]
    for batch in batches:
        other(batch)
    return (
        (large, small) == (32, 1)
        and alike == weigh_alike
        and other.get_buffer("running_var").item() == averaged
        and torch.cat(batches).var(correction=0).item() - averaged == lost
    )


def merged_by_hand(
    *, first: int = 1, second: int = 3, first_mean: int = 0, second_mean: int = 8, mean: int = 6, variance: int = 12,
    plain_mean: int = 4, nan_times_0_is_nan: bool = True,
) -> bool:  # fmt: skip
    """The merge of counts 1 and 3 around 0 and 8 without spread, against the values themselves."""
    values = np.concatenate([np.full(first, float(first_mean)), np.full(second, float(second_mean))])
    count, merged, m2 = merge(Moments(first, first_mean, 0), Moments(second, second_mean, 0))
    return (
        (count, merged, m2 / count) == (first + second, mean, variance)
        and (values.mean(), values.var()) == (mean, variance)
        and (first_mean + second_mean) / 2 == plain_mean
        and math.isnan(0 * math.nan) == nan_times_0_is_nan
    )


def inputs_that_show_mistakes(
    *, values: int = 2048, differ_by: float = 0.05, few: int = 2, differ_by_a_factor: int = 2, inside: float = 0.302,
    outside: float = 0.99, one_batch_shows_momentum: bool = False, two_batches_show_it: bool = True,
) -> bool:  # fmt: skip
    """On which inputs mistakes show: the count for the biased variance, a quiet channel, a second batch."""
    quiet = np.array([-1e-3, 1e-3])
    shown = [float((quiet / scale).std()) for scale in (np.sqrt(quiet.var() + 1e-5), quiet.std() + 1e-5)]

    def differs(variances: list[float]) -> bool:
        right = wrong = 1.0
        for var in variances:
            right, wrong = 0.9 * right + 0.1 * var, 0.1 * right + 0.9 * var
        return not math.isclose(right, wrong)

    return (
        round(100 / (values - 1), 2) == differ_by
        and values == 32 * 8 * 8
        and few == differ_by_a_factor * (few - 1)
        and [round(one, 3) for one in shown] == [inside, outside]
        and differs([1.0]) == one_batch_shows_momentum
        and differs([1.0, 4.0]) == two_batches_show_it
    )


def grouped_by_reshape(
    *, channels: int = 8, groups: int = 4, means: int = 64, values: int = 72, by_reshape: bool = True,
    with_axes_swapped: bool = False, images: int = 16,
) -> bool:  # fmt: skip
    """Group norm as a reshape to groups of neighbouring channels, against torch, and with the two axes swapped."""
    if channels % groups:
        return False
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(images, channels, 6, 6, dtype=torch.float64, generator=generator)
    x = x * torch.arange(1, channels + 1)[:, None, None]
    theirs = nn.functional.group_norm(x, groups)

    def normalised(grouped: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
        var, mean = torch.var_mean(grouped, axes, correction=0, keepdim=True)
        return ((grouped - mean) / torch.sqrt(var + 1e-5)).reshape(x.shape)

    grouped = x.reshape(images, groups, channels // groups, 6, 6)
    swapped = x.reshape(images, channels // groups, groups, 6, 6)
    mean = grouped.mean((2, 3, 4))
    return (
        (mean.numel(), grouped[0, 0].numel()) == (means, values)
        and torch.allclose(normalised(grouped, (2, 3, 4)), theirs) == by_reshape
        and torch.allclose(normalised(swapped, (1, 3, 4)), theirs) == with_axes_swapped
    )
