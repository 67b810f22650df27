"""Correct answers as different people write them: every one must pass."""

import math
from itertools import pairwise

import numpy as np
import torch
from scipy import stats
from torch import nn
from torch.nn import functional

from bnlab import deploy, layers, reference
from bnlab.experiments.intervals import ratio_interval
from bnlab.reference import variance
from tests.practice.styles_of_kernels import STYLES_OF_KERNELS
from tests.practice.styles_of_production import STYLES_OF_PRODUCTION
from tests.practice.styles_of_theory import STYLES_OF_THEORY
from tests.practice.styles_of_use_cases import STYLES_OF_USE_CASES

# --- batch_norm_forward


def in_numpy_with_other_names(inputs, scale, shift, epsilon=1e-5):
    centred = inputs - np.mean(inputs, axis=0)
    return scale * centred * (np.mean(centred**2, axis=0) + epsilon) ** -0.5 + shift


def by_keywords_only(*, x, gamma, beta, eps):
    return in_numpy_with_other_names(x, gamma, beta, eps)


def in_float32(x, gamma, beta, eps):
    x, gamma, beta = (a.astype(np.float32) for a in (x, gamma, beta))
    return in_numpy_with_other_names(x, gamma, beta, np.float32(eps))


def with_einsum(x, gamma, beta, eps):
    n = len(x)
    centred = x - np.einsum("nc->c", x) / n
    var = np.einsum("nc,nc->c", centred, centred) / n
    return np.einsum("nc,c->nc", centred, gamma / np.sqrt(var + eps)) + beta


def with_loops(x, gamma, beta, eps):
    rows, columns = x.shape
    y = [[0.0] * columns for _ in range(rows)]
    for c in range(columns):
        values = [float(x[n, c]) for n in range(rows)]
        mean = sum(values) / rows
        var = sum((value - mean) ** 2 for value in values) / rows
        for n in range(rows):
            y[n][c] = gamma[c] * (values[n] - mean) / math.sqrt(var + eps) + beta[c]
    return y


def with_welford(x, gamma, beta, eps):
    var = np.array([variance.welford(x[:, c])[1] for c in range(x.shape[1])])
    return gamma * (x - x.mean(0)) / np.sqrt(var + eps) + beta


def centred_by_the_first_row(x, gamma, beta, eps):
    moved = x - x[0]
    mean = moved.mean(0)
    var = (moved**2).mean(0) - mean**2
    return gamma * (moved - mean) / np.sqrt(var + eps) + beta


def in_torch_on_tensors(x, gamma, beta, eps):
    var, mean = torch.var_mean(x, dim=0, correction=0)
    return gamma * (x - mean) * torch.rsqrt(var + eps) + beta


def in_torch_on_arrays(x, gamma, beta, eps):
    x = torch.from_numpy(x)
    y = (x - x.mean(0)) / torch.sqrt(x.var(0, unbiased=False) + eps)
    return (torch.from_numpy(gamma) * y + torch.from_numpy(beta)).numpy()


def by_functional(x, gamma, beta, eps):
    gamma, beta = gamma.to(x.dtype), beta.to(x.dtype)
    return functional.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)


def by_torch_nn(x, gamma, beta, eps):
    layer = nn.BatchNorm1d(x.shape[1], eps=eps, dtype=torch.float64)
    layer.weight.data, layer.bias.data = torch.tensor(gamma), torch.tensor(beta)
    return layer(torch.tensor(x, dtype=torch.float64))


def by_our_layer(x, gamma, beta, eps):
    layer = layers.BatchNorm1d(x.shape[1], eps=eps, dtype=torch.float64)
    layer.load_state_dict({**layer.state_dict(), "weight": torch.tensor(gamma), "bias": torch.tensor(beta)})
    return layer(torch.tensor(x, dtype=torch.float64))


def by_the_reference(x, gamma, beta, eps):
    return reference.batch_norm_forward(x, gamma, beta, eps=eps)[0]


# --- images


def images_as_a_table(x, gamma, beta, eps):
    n, c, height, width = x.shape
    table = x.transpose(0, 2, 3, 1).reshape(-1, c)
    y = in_numpy_with_other_names(table, gamma, beta, eps)
    return y.reshape(n, height, width, c).transpose(0, 3, 1, 2)


def images_by_torch_nn(x, gamma, beta, eps):
    layer = nn.BatchNorm2d(x.shape[1], eps=eps, dtype=torch.float64)
    layer.weight.data, layer.bias.data = torch.tensor(gamma), torch.tensor(beta)
    return layer(torch.tensor(x, dtype=torch.float64))


def images_on_tensors(x, gamma, beta, eps):
    var, mean = torch.var_mean(x, (0, 2, 3), correction=0, keepdim=True)
    return gamma.view(1, -1, 1, 1) * (x - mean) / (var + eps).sqrt() + beta.view(1, -1, 1, 1)


def channels_last_as_a_table(x, gamma, beta, eps):
    return in_numpy_with_other_names(x.reshape(-1, x.shape[-1]), gamma, beta, eps).reshape(x.shape)


def channels_last_by_permute(x, gamma, beta, eps):
    gamma, beta = gamma.to(x.dtype), beta.to(x.dtype)
    y = functional.batch_norm(x.permute(0, 3, 1, 2), None, None, gamma, beta, training=True, eps=eps)
    return y.permute(0, 2, 3, 1)


# --- statistics


def variance_by_pairs(x):
    return variance.pairwise(x)[1]


def variance_on_tensors(x):
    return x.var(correction=0)


def variance_in_plain_python(x):
    values = [float(value) for value in x]
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / len(values)


def merged_by_moments(n, mean_a, var_a, m, mean_b, var_b):
    count, mean, m2 = variance.merge(variance.Moments(n, mean_a, n * var_a), variance.Moments(m, mean_b, m * var_b))
    return count, mean, m2 / count


def merged_by_mean_squares(n, mean_a, var_a, m, mean_b, var_b):
    share = m / (n + m)
    mean = (1 - share) * mean_a + share * mean_b
    spread = (1 - share) * (mean_a - mean) ** 2 + share * (mean_b - mean) ** 2
    return n + m, mean, (1 - share) * var_a + share * var_b + spread


def update_by_difference(running_mean, running_var, batch_mean, batch_var, count, momentum):
    unbiased = batch_var / (1 - 1 / count)
    return (
        running_mean + momentum * (batch_mean - running_mean),
        running_var + momentum * (unbiased - running_var),
    )


def update_by_lerp(running_mean, running_var, batch_mean, batch_var, count, momentum):
    return (
        torch.lerp(running_mean, batch_mean, momentum),
        torch.lerp(running_var, batch_var * (count / (count - 1)), momentum),
    )


def average_from_the_first(batch_vars, momentum):
    weights = momentum * (1 - momentum) ** np.arange(len(batch_vars))[::-1]
    return (weights[:, None] * batch_vars).sum(0) / weights.sum()


# --- relatives


def layer_norm_by_torch(x, gamma, beta, eps):
    return functional.layer_norm(x, x.shape[-1:], gamma.to(x.dtype), beta.to(x.dtype), eps)


def layer_norm_row_by_row(x, gamma, beta, eps):
    rows = x.reshape(-1, x.shape[-1])
    return np.stack([gamma * (row - row.mean()) / np.sqrt(row.var() + eps) + beta for row in rows]).reshape(x.shape)


def group_norm_by_torch(x, gamma, beta, groups, eps):
    return functional.group_norm(x, groups, gamma.to(x.dtype), beta.to(x.dtype), eps)


def group_norm_with_loops(x, gamma, beta, groups, eps):
    y = np.empty(x.shape)
    for n, image in enumerate(x):
        for channels in np.split(np.arange(x.shape[1]), groups):
            values = image[channels].astype(np.float64)
            y[n, channels] = (values - values.mean()) / np.sqrt(values.var() + eps)
    return y * gamma.reshape(-1, 1, 1) + beta.reshape(-1, 1, 1)


# --- backward


def by_the_reference_backward(grad_y, cache):
    return reference.batch_norm_backward(grad_y, cache)


def with_one_division(grad_y, cache):
    m = cache.count
    grad_gamma, grad_beta = np.einsum("nc,nc->c", grad_y, cache.x_hat), np.einsum("nc->c", grad_y)
    inner = m * grad_y - grad_beta - cache.x_hat * grad_gamma
    return cache.gamma * cache.inv_std / m * inner, grad_gamma, grad_beta


def on_tensors(grad_y, cache):
    grad_gamma, grad_beta = (grad_y * cache.x_hat).sum(0), grad_y.sum(0)
    inner = grad_y - grad_y.mean(0) - cache.x_hat * torch.mean(grad_y * cache.x_hat, dim=0)
    return cache.gamma * cache.inv_std * inner, grad_gamma, grad_beta


def backward_in_float32(grad_y, cache):
    narrow = reference.Cache(*(a.astype(np.float32) for a in cache[:-1]), cache.count)
    return with_one_division(grad_y.astype(np.float32), narrow)


def staged_as_in_the_paper(grad_y, cache):
    m, inv_std = cache.count, cache.inv_std
    centred = cache.x_hat / inv_std
    grad_x_hat = grad_y * cache.gamma
    grad_inv_std = np.einsum("nc,nc->c", grad_x_hat, centred)
    grad_var = grad_inv_std * (-1 / 2) * inv_std**3
    grad_mean = (-grad_x_hat * inv_std).sum(0) + grad_var * (-2 * centred).mean(0)
    grad_x = grad_x_hat * inv_std + grad_var * 2 * centred / m + grad_mean / m
    return grad_x_hat, grad_inv_std, grad_var, grad_mean, grad_x


def staged_on_tensors(grad_y, cache):
    centred = cache.x_hat / cache.inv_std
    grad_x_hat = grad_y * cache.gamma
    grad_inv_std = torch.sum(grad_x_hat * centred, dim=0)
    grad_var = -0.5 * grad_inv_std * torch.pow(cache.inv_std, 3)
    grad_centred = grad_x_hat * cache.inv_std + 2 / cache.count * grad_var * centred
    return grad_x_hat, grad_inv_std, grad_var, -grad_centred.sum(0), grad_centred - grad_centred.mean(0)


# --- inference


def inference_by_functional(x, gamma, beta, mean, var, eps):
    return functional.batch_norm(x, mean, var, gamma, beta, training=False, eps=eps)


def inference_by_the_reference(x, gamma, beta, running_mean, running_var, eps):
    return reference.batch_norm_inference(x, gamma, beta, running_mean, running_var, eps=eps)


def inference_as_a_line(x, gamma, beta, mean, var, eps):
    slope = gamma * (var + eps) ** -0.5
    return slope * x + (beta - slope * mean)


def folded_on_tensors(gamma, beta, mean, var, eps):
    inv_std = torch.rsqrt(var + eps)
    return gamma * inv_std, beta - gamma * mean * inv_std


def folded_by_two_points(gamma, beta, mean, var, eps):
    zero, one = (gamma * (x - mean) / np.sqrt(var + eps) + beta for x in (0, 1))
    return one - zero, zero


# --- modules


class WithOtherAttributes(nn.Module):
    """Dimensions kept, lerp_ for the averages, a counter beside them, epsilon as a tensor."""

    def __init__(self, channels, epsilon=1e-5, rate=0.1):
        super().__init__()
        self.rate = rate
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("epsilon", torch.tensor(epsilon))
        self.register_buffer("seen", torch.tensor(0))
        self.register_buffer("average", torch.zeros(1, channels, 1, 1))
        self.register_buffer("spread", torch.ones(1, channels, 1, 1))

    def forward(self, x):
        if not self.training:
            return self._finish((x - self.average) * torch.rsqrt(self.spread + self.epsilon))
        var, mean = torch.var_mean(x, (0, 2, 3), correction=0, keepdim=True)
        self.seen += 1
        m = x[:, 0].numel()
        self.average.lerp_(mean.detach(), self.rate)
        self.spread.lerp_(var.detach() * m / (m - 1), self.rate)
        return self._finish((x - mean) * torch.rsqrt(var + self.epsilon))

    def _finish(self, x_hat):
        return torch.einsum("c,nchw->nchw", self.weight, x_hat) + self.bias.reshape(-1, 1, 1)


class AroundFunctional(nn.Module):
    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.settings = {"eps": eps, "momentum": momentum}
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))

    def forward(self, x):
        affine = (self.weight, self.bias)
        return functional.batch_norm(x, self.mean, self.var, *affine, training=self.training, **self.settings)


# --- recalibration


def recalibrated_by_merging(model, loader):
    total = variance.Moments(0, 0.0, 0.0)
    for x in loader:
        values = model[0](x).detach()
        total = variance.merge(
            total, variance.Moments(len(values), values.mean(0), values.var(0, correction=0) * len(values))
        )
    model[1].running_mean[:] = total.mean
    model[1].running_var[:] = total.m2 / (total.count - 1)


def recalibrated_with_a_hook(model, loader):
    seen, modes = [], [module.training for module in model.modules()]
    hook = model[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    model.eval()
    for x in loader:
        model(x)
    hook.remove()
    for module, mode in zip(model.modules(), modes, strict=True):
        module.training = mode
    values = torch.cat(seen)
    model[1].running_mean.data = values.mean(0)
    model[1].running_var.data = values.var(0)


# --- shapes


def shapes_by_trying(x_shape):
    x = np.zeros(x_shape)
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    mean = x.mean(axes)
    return mean.shape, x.shape, x.size // mean.size


def shapes_by_torch(x_shape):
    return torch.Size([x_shape[1]]), torch.Size(x_shape), math.prod(x_shape) / x_shape[1]


def counted_on_a_layer(features):
    layer = nn.BatchNorm1d(features)
    return sum(p.numel() for p in layer.parameters()), layer.running_mean.numel() + layer.running_var.numel()


# --- signals


def growth_by_logarithms(sizes):
    return np.exp(np.diff(np.log(sizes)).mean())


def growth_by_geometric_mean(sizes):
    return stats.gmean(sizes[1:] / sizes[:-1])


def growth_step_by_step(sizes):
    product = 1.0
    for one, following in pairwise(sizes):
        product *= following / one
    return math.pow(product, 1 / (len(sizes) - 1))


def growth_on_tensors(sizes):
    return sizes.log().diff().mean().exp()


def growth_in_float32(sizes):
    sizes = sizes.astype(np.float32)
    return (sizes[-1] / sizes[0]) ** np.float32(1 / (sizes.size - 1))


def shift_on_tensors(before, after):
    var, mean = torch.var_mean(before, dim=0, correction=0)
    return torch.mean((after.mean(dim=0) - mean).abs() / var.sqrt())


def shift_of_normalised_inputs(before, after):
    """Normalised by what was measured before, the channels had the mean 0."""
    return np.abs(((after - before.mean(0)) / before.std(0)).mean(0)).mean()


def shift_channel_by_channel(before, after):
    shifts = []
    for one, other in zip(before.T, after.T, strict=True):
        mean = sum(one) / len(one)
        std = math.sqrt(sum((value - mean) ** 2 for value in one) / len(one))
        shifts.append(abs(sum(other) / len(other) - mean) / std)
    return sum(shifts) / len(shifts)


# --- comparisons


def speedup_in_two_factors(steps_without, steps_with, seconds_without, seconds_with):
    return steps_without / steps_with / (seconds_with / seconds_without)


def first_by_a_loop(accuracy, steps, target):
    for one, step in zip(accuracy, steps, strict=True):
        if not one < target:
            return int(step)
    return math.inf


def first_by_argmax(accuracy, steps, target):
    there = accuracy >= target
    return float(steps[np.argmax(there)]) if there.any() else np.inf


def first_by_the_smallest(accuracy, steps, target):
    return np.where(accuracy >= target, steps, np.inf).min()


def first_by_next(accuracy, steps, target):
    return next((s for a, s in zip(accuracy, steps, strict=True) if a >= target), float("inf"))


def first_on_tensors(accuracy, steps, target):
    return torch.where(accuracy.ge(target), steps.double(), torch.inf).min()


def ratio_by_scipy(without, with_norm):
    found = stats.ttest_rel(np.log(without), np.log(with_norm)).confidence_interval()
    return stats.gmean(without / with_norm), *np.exp(found)


def ratio_by_t_interval(without, with_norm):
    logs = np.log(without) - np.log(with_norm)
    n = logs.size
    low, high = stats.t.interval(0.95, n - 1, loc=logs.mean(), scale=stats.sem(logs))
    return math.exp(logs.mean()), math.exp(low), math.exp(high)


def ratio_as_a_factor(without, with_norm):
    logs = np.log2(without / with_norm)
    ratio = 2 ** logs.mean()
    factor = 2 ** (stats.t.ppf(0.975, logs.size - 1) * np.sqrt(logs.var(ddof=1) / logs.size))
    return ratio, ratio / factor, ratio * factor


def ratio_on_tensors(without, with_norm):
    logs = (without / with_norm).log()
    half = stats.t(len(logs) - 1).ppf(0.975) * logs.std() / len(logs) ** 0.5
    return tuple(torch.exp(logs.mean() + sign * half) for sign in (0, -1, 1))


# --- noise


def rate_by_norm(learning_rate, weight):
    return learning_rate / np.linalg.norm(weight, axis=1) ** 2


def rate_by_products(learning_rate, weight):
    return learning_rate / np.diag(weight @ weight.T)


def rate_on_tensors(learning_rate, weight):
    return learning_rate * weight.float().square().sum(-1).reciprocal()


def rate_row_by_row(learning_rate, weight):
    return [learning_rate / sum(w * w for w in row) for row in weight.tolist()]


def ghosts_one_by_one(x, gamma, beta, ghost_size, eps):
    ghosts = [x[start : start + ghost_size] for start in range(0, len(x), ghost_size)]
    return np.concatenate([in_numpy_with_other_names(ghost, gamma, beta, eps) for ghost in ghosts])


def ghosts_by_the_reference(x, gamma, beta, ghost_size, eps):
    ghosts = np.split(x, len(x) // ghost_size)
    return np.vstack([reference.batch_norm_forward(ghost, gamma, beta, eps=eps)[0] for ghost in ghosts])


def ghosts_on_tensors(x, gamma, beta, ghost_size, eps):
    ghosts = x.unflatten(0, (-1, ghost_size))
    var, mean = torch.var_mean(ghosts, dim=1, correction=0, keepdim=True)
    return gamma * ((ghosts - mean) * torch.rsqrt(var + eps)).flatten(0, 1) + beta


def ghosts_as_channels(x, gamma, beta, ghost_size, eps):
    n, c = x.shape
    wide = x.reshape(-1, ghost_size, c).transpose(1, 0, 2).reshape(ghost_size, -1)
    times = n // ghost_size
    y = in_numpy_with_other_names(wide, np.tile(gamma, times), np.tile(beta, times), eps)
    return y.reshape(ghost_size, times, c).transpose(1, 0, 2).reshape(n, c)


def ghosts_by_torch_nn(x, gamma, beta, ghost_size, eps):
    layer = nn.BatchNorm1d(x.shape[1], eps=eps, dtype=torch.float64)
    layer.weight.data, layer.bias.data = torch.tensor(gamma), torch.tensor(beta)
    ghosts = torch.tensor(x, dtype=torch.float64).split(ghost_size)
    if ghost_size == 1:  # which torch refuses to normalise
        return torch.tensor(beta).expand(x.shape)
    return torch.cat([layer(ghost) for ghost in ghosts])


STYLES = {
    "predict_shapes": [shapes_by_trying, shapes_by_torch],
    "count_parameters": [counted_on_a_layer, lambda num_features: (num_features * 2.0, num_features * 2.0)],
    "batch_norm_forward": [
        in_numpy_with_other_names,
        by_keywords_only,
        in_float32,
        with_einsum,
        with_loops,
        with_welford,
        centred_by_the_first_row,
        in_torch_on_tensors,
        in_torch_on_arrays,
        by_functional,
        by_torch_nn,
        by_our_layer,
        by_the_reference,
    ],
    "batch_norm_conv_axes": [images_as_a_table, images_by_torch_nn, images_on_tensors, by_the_reference, by_functional],
    "find_the_bug_axes": [channels_last_as_a_table, channels_last_by_permute],
    "stable_variance": [np.var, variance_by_pairs, variance_on_tensors, variance_in_plain_python],
    "merge_statistics": [merged_by_moments, merged_by_mean_squares],
    "update_running_stats": [update_by_difference, update_by_lerp],
    "find_the_bug_ema": [average_from_the_first],
    "layer_norm": [layer_norm_by_torch, layer_norm_row_by_row],
    "group_norm": [group_norm_by_torch, group_norm_with_loops],
    "batch_norm_backward_staged": [staged_as_in_the_paper, staged_on_tensors],
    "batch_norm_backward": [by_the_reference_backward, with_one_division, on_tensors, backward_in_float32],
    "find_the_bug_backward": [by_the_reference_backward, with_one_division, on_tensors],
    "batch_norm_inference": [inference_by_functional, inference_by_the_reference, inference_as_a_line],
    "fold_affine": [folded_on_tensors, folded_by_two_points],
    "batch_norm_module": [nn.BatchNorm2d, layers.BatchNorm2d, WithOtherAttributes, AroundFunctional],
    "find_the_bug_module": [nn.BatchNorm2d, WithOtherAttributes],
    "recalibrate": [recalibrated_by_merging, recalibrated_with_a_hook, deploy.recalibrate],
    "growth_per_layer": [
        growth_by_logarithms,
        growth_by_geometric_mean,
        growth_step_by_step,
        growth_on_tensors,
        growth_in_float32,
    ],
    "mean_shift": [shift_on_tensors, shift_of_normalised_inputs, shift_channel_by_channel],
    "wall_clock_speedup": [speedup_in_two_factors, lambda a, b, c, d: np.divide(a * c, b * d)],
    "steps_to_reach": [
        first_by_a_loop,
        first_by_argmax,
        first_by_the_smallest,
        first_by_next,
        first_on_tensors,
    ],
    "paired_ratio": [
        ratio_by_scipy,
        ratio_by_t_interval,
        ratio_as_a_factor,
        ratio_on_tensors,
        lambda without, with_norm: ratio_interval(without / with_norm),
    ],
    "effective_learning_rate": [rate_by_norm, rate_by_products, rate_on_tensors, rate_row_by_row],
    "ghost_batch_norm": [
        ghosts_one_by_one,
        ghosts_by_the_reference,
        ghosts_on_tensors,
        ghosts_as_channels,
        ghosts_by_torch_nn,
    ],
    **STYLES_OF_USE_CASES,
    **STYLES_OF_KERNELS,
    **STYLES_OF_PRODUCTION,
    **STYLES_OF_THEORY,
}
