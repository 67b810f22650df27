"""Correct answers to the exercises on uses and alternatives, as different people write them: every one must pass."""

import math
from itertools import accumulate

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from bnlab import reference
from bnlab.reference import family

# --- residual networks


def share_block_by_block(input_variance, branch_variances):
    behind, shares = input_variance, []
    for variance in branch_variances:
        behind = behind + variance
        shares.append(variance / behind)
    return np.array(shares)


def share_by_accumulate(input_variance, branch_variances):
    before = list(accumulate(branch_variances, initial=input_variance))[:-1]
    return [float(added / (added + skip)) for added, skip in zip(branch_variances, before, strict=True)]


def share_on_tensors(input_variance, branch_variances):
    return branch_variances.float() / (branch_variances.cumsum(0).float() + input_variance)


def pruned_by_mask(gamma, beta, k):
    ranks = np.argsort(np.argsort(np.abs(gamma)))
    return np.where(ranks >= k, gamma, 0), np.where(ranks >= k, beta, 0)


def pruned_by_threshold(gamma, beta, k):
    sizes = np.sort(np.abs(gamma))
    kept = np.abs(gamma) > sizes[k - 1] if k else np.ones(len(gamma), bool)
    return gamma * kept, beta * kept


def pruned_by_partition(gamma, beta, k):
    if k == len(gamma):
        return np.zeros_like(gamma), np.zeros_like(beta)
    kept = np.ones_like(gamma)
    kept[np.argpartition(gamma**2, k)[:k]] = 0
    return gamma * kept, beta * kept


def pruned_by_topk(gamma, beta, k):
    off = gamma.abs().topk(k, largest=False).indices
    return gamma.index_fill(0, off, 0), beta.index_fill(0, off, 0)


def pruned_by_sorting_pairs(gamma, beta, k):
    places = sorted(range(len(gamma)), key=lambda place: abs(gamma[place]))[:k]
    return tuple([0.0 if place in places else one[place] for place in range(len(gamma))] for one in (gamma, beta))


def listed_by_owner(model):
    found = []
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            found.extend(module.parameters(recurse=False))
    return found


def listed_by_class_name(model):
    return {p for m in model.modules() if type(m).__name__.startswith("BatchNorm") for p in m.parameters()}


def listed_by_a_generator(model):
    for _, module in model.named_modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.affine:
            yield module.weight
            yield module.bias


def listed_by_recursion(model, seen=None):
    seen = {} if seen is None else seen
    for child in model.children():
        if "BatchNorm" in str(type(child)):
            seen.update({id(p): p for p in child.parameters()})
        listed_by_recursion(child, seen)
    return list(seen.values())


def started_with_init(network):
    for block in network.blocks:
        nn.init.zeros_(block.branch[-1].weight)


def started_with_data(network):
    for block in network.blocks.children():
        *_, last = (m for m in block.branch if isinstance(m, nn.BatchNorm2d))
        last.weight.data = torch.zeros(last.num_features)


def started_with_new_parameters(network):
    for block in network.blocks:
        norm = block.branch[len(block.branch) - 1]
        norm.weight = nn.Parameter(0 * norm.weight)


def started_by_state_dict(network):
    state = network.state_dict()
    for number, block in enumerate(network.blocks):
        state[f"blocks.{number}.branch.{len(block.branch) - 1}.weight"].zero_()  # shares memory with the parameter


# --- sequences


def steps_on_tensors(x):
    var, mean = torch.var_mean(x, dim=0, correction=0)
    return mean, var


def steps_one_by_one(x):
    means = [np.mean(x[:, t], axis=0) for t in range(x.shape[1])]
    variances = [np.mean((x[:, t] - means[t]) ** 2, axis=0) for t in range(x.shape[1])]
    return np.stack(means), np.stack(variances)


def steps_as_features(x):
    _, cache = reference.batch_norm_forward(x.reshape(len(x), -1), np.ones(x[0].size), np.zeros(x[0].size))
    return cache.batch_mean.reshape(x.shape[1:]), cache.batch_var.reshape(x.shape[1:])


def padded_by_concatenation(x, lengths):
    values = np.concatenate([one[:length] for one, length in zip(x, lengths, strict=True)])
    return values.mean(0), values.var(0)


def padded_by_masked_sums(x, lengths):
    real = (np.arange(x.shape[1])[None] < lengths[:, None])[..., None]
    count = real.sum()
    mean = (x * real).sum((0, 1)) / count
    return mean, ((x - mean) ** 2 * real).sum((0, 1)) / count


def padded_on_tensors(x, lengths):
    real = torch.arange(x.shape[1]).expand(len(x), -1).lt(lengths.unsqueeze(1))
    var, mean = torch.var_mean(x[real], dim=0, correction=0)
    return mean, var


def padded_by_packing(x, lengths):
    values = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False).data
    return values.mean(0), values.var(0, unbiased=False)


def padded_with_nan(x, lengths):
    x = x.copy()
    for one, length in zip(x, lengths, strict=True):
        one[length:] = np.nan
    return np.nanmean(x, axis=(0, 1)), np.nanvar(x, axis=(0, 1))


def padded_in_loops(x, lengths):
    means, variances = [], []
    for c in range(x.shape[2]):
        values = [float(x[i, t, c]) for i in range(len(x)) for t in range(lengths[i])]
        means.append(math.fsum(values) / len(values))
        variances.append(math.fsum((value - means[-1]) ** 2 for value in values) / len(values))
    return means, variances


def moved_by_copy(layer, x, t):
    edited = x.copy()
    edited[0, t:, :] = edited[0, t:, :] + 1
    past, other_past = layer(x)[:, :t, :], layer(edited)[:, :t, :]
    return np.max(np.abs(past - other_past).reshape(len(x), -1), axis=1)


def moved_on_tensors(layer, x, t):
    edited = x.clone()
    edited[0, t:] += 1.0
    return (layer(edited) - layer(x))[:, :t].abs().amax(dim=(1, 2))


def moved_sequence_by_sequence(layer, x, t):
    step = np.zeros(x.shape)
    step[0, t:] = 1
    return [float(np.linalg.norm((a - b)[:t].ravel(), np.inf)) for a, b in zip(layer(x + step), layer(x), strict=True)]


def step_on_tensors(from_x, from_h, bias, cell, gamma_x, gamma_h, gamma_c, beta_c, normalise):
    f, i, o, g = (normalise(from_x) * gamma_x + normalise(from_h) * gamma_h + bias).chunk(4, dim=1)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(gamma_c * normalise(cell) + beta_c), cell


def step_with_its_own_norm(from_x, from_h, bias, cell, gamma_x, gamma_h, gamma_c, beta_c, _):
    def norm(z, gamma, beta=0.0):
        return gamma * (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) + beta

    c = cell.shape[1]
    z = norm(from_x, gamma_x, bias) + norm(from_h, gamma_h)
    f, i, o = (0.5 * (1 + np.tanh(z[:, k * c : (k + 1) * c] / 2)) for k in range(3))
    new = f * cell + i * np.tanh(z[:, 3 * c :])
    return o * np.tanh(norm(new, gamma_c, beta_c)), new


# --- alternatives


def counted_by_axes(norm, shape, groups):
    n, c, height, width = shape
    if norm == "batch":
        shared = n * height * width
    elif norm == "layer":
        shared = c * height * width
    else:
        shared = height * width * (1 if norm == "instance" else c // groups)
    return math.prod(shape) / shared, shared


def counted_by_averaging(norm, shape, groups):
    if norm in {"instance", "layer"}:
        groups = shape[1] if norm == "instance" else 1
    if norm == "batch":
        means = np.zeros(shape).mean((0, 2, 3))
    else:
        means = np.zeros(shape).reshape(shape[0], groups, -1).mean(-1)
    return means.size, math.prod(shape) // means.size


def rms_by_functional(x, gamma, eps):
    return functional.rms_norm(x, gamma.shape, gamma.to(x.dtype), eps)


def rms_row_by_row(x, gamma, eps):
    rows = [gamma * row / math.sqrt(row @ row / row.size + eps) for row in x.reshape(-1, x.shape[-1])]
    return np.reshape(rows, x.shape)


def rms_on_tensors(x, gamma, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * gamma


def tanh_on_tensors(x, alpha, gamma, beta):
    return torch.addcmul(beta, gamma, torch.tanh(x * alpha))


def tanh_by_exponentials(x, alpha, gamma, beta):
    return beta + gamma - 2 * gamma / (np.exp(2 * alpha * x) + 1)


def standardised_as_rows(weight, eps):
    rows = weight.reshape(len(weight), -1).astype(np.float64)
    centred = rows - rows.mean(1, keepdims=True)
    return (centred / np.sqrt((centred**2).mean(1, keepdims=True) + eps)).reshape(weight.shape)


def standardised_by_batch_norm(weight, eps):
    as_channels = weight.reshape(1, len(weight), -1)
    return functional.batch_norm(as_channels, None, None, training=True, momentum=0.0, eps=eps).reshape_as(weight)


def standardised_by_layer_norm(weight, eps):
    return functional.layer_norm(weight, weight.shape[1:], eps=eps)


def renorm_by_torch(x, running_mean, running_std, r_max, d_max, eps):
    var, mean = torch.var_mean(x, dim=0, correction=0)
    std = (var + eps).sqrt()
    r = (std / running_std).clamp(1 / r_max, r_max)
    d = ((mean - running_mean) / running_std).clamp(-d_max, d_max)
    return torch.addcmul(d, (x - mean) / std, r), r, d


def renorm_by_the_reference(x, running_mean, running_std, r_max, d_max, eps):
    ones = np.ones(x.shape[1])
    y, cache = family.batch_renorm_forward(
        x, ones, 0 * ones, running_mean, running_std, r_max=r_max, d_max=d_max, eps=eps
    )
    return y, cache.r, cache.d


def renorm_channel_by_channel(x, running_mean, running_std, r_max, d_max, eps):
    channels = []
    for values, running, spread in zip(x.T, running_mean, running_std, strict=True):
        std = math.sqrt(values.var() + eps)
        r = min(max(std / spread, 1 / r_max), r_max)
        d = min(max((values.mean() - running) / spread, -d_max), d_max)
        channels.append(((values - values.mean()) * r / std + d, r, d))
    x_hat, r, d = zip(*channels, strict=True)
    return np.stack(x_hat, axis=1), np.array(r), np.array(d)


STYLES_OF_USE_CASES = {
    "branch_share": [
        share_block_by_block,
        share_by_accumulate,
        share_on_tensors,
        lambda start, added: 1 - (start + np.cumsum(added) - added) / (start + np.cumsum(added)),
    ],
    "prune_channels": [
        pruned_by_mask,
        pruned_by_threshold,
        pruned_by_partition,
        pruned_by_topk,
        pruned_by_sorting_pairs,
    ],
    "norm_parameters": [listed_by_owner, listed_by_class_name, listed_by_a_generator, listed_by_recursion],
    "zero_last_gamma": [
        started_with_init,
        started_with_data,
        started_with_new_parameters,
        started_by_state_dict,
    ],
    "step_statistics": [steps_on_tensors, steps_one_by_one, steps_as_features],
    "padded_statistics": [
        padded_by_concatenation,
        padded_by_masked_sums,
        padded_on_tensors,
        padded_by_packing,
        padded_with_nan,
        padded_in_loops,
    ],
    "moves_the_past": [moved_by_copy, moved_on_tensors, moved_sequence_by_sequence],
    "recurrent_step": [step_on_tensors, step_with_its_own_norm],
    "values_per_mean": [counted_by_axes, counted_by_averaging],
    "rms_norm": [
        rms_by_functional,
        rms_row_by_row,
        rms_on_tensors,
        lambda x, gamma, eps: family.rms_norm_forward(x, gamma, eps=eps)[0],
    ],
    "dynamic_tanh": [
        tanh_on_tensors,
        tanh_by_exponentials,
        lambda *arguments: family.dynamic_tanh_forward(*arguments)[0],
    ],
    "weight_standardise": [
        standardised_as_rows,
        standardised_by_batch_norm,
        standardised_by_layer_norm,
        lambda weight, eps: family.weight_standardise_forward(weight, eps=eps)[0],
    ],
    "batch_renorm": [renorm_by_torch, renorm_by_the_reference, renorm_channel_by_channel],
}
