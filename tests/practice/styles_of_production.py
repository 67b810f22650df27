"""Correct answers to the exercises of the clinic, production and the interview, as different people write them."""

import copy
import math
from functools import reduce

import numpy as np
import torch
from scipy import stats
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from bnlab import deploy
from bnlab.reference import batch_norm_forward, variance

# --- the clinic


def counted_by_hand(batch_size, accumulated, processes, synchronised):
    together = 0
    for _ in range(processes if synchronised else 1):
        together += batch_size
    return together, sum([batch_size] * accumulated) * processes


def frozen_by_train(pretrained):
    for _, module in pretrained.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train(False)


def frozen_by_apply(pretrained):
    pretrained.apply(lambda module: module.eval() if "BatchNorm" in type(module).__name__ else None)


def frozen_by_attribute(pretrained):
    for module in pretrained.modules():
        if type(module) in {nn.BatchNorm1d, nn.BatchNorm2d}:
            module.training = False
            module.train = lambda mode=True, module=module: module


def frozen_by_recursion(pretrained):
    for child in pretrained.children():
        if isinstance(child, (nn.BatchNorm1d, nn.BatchNorm2d)):
            child.eval()
        frozen_by_recursion(child)


def frozen_by_deploy(pretrained):
    deploy.freeze(pretrained, affine=False)


def domains_by_where(x, domain, eps):
    y = x.copy()
    for one in np.unique(domain):
        places = np.where(domain == one)[0]
        y[places], _ = batch_norm_forward(x[places], np.ones(x.shape[1]), np.zeros(x.shape[1]), eps=eps)
    return y


def domains_by_weights(x, domain, eps):
    """One-hot rows turn each domain's mean, and with it each row's, into a matrix product."""
    member = np.eye(2)[domain]
    count = np.maximum(member.sum(0), 1)[:, None]
    centred = x - member @ (member.T @ x / count)
    return centred / np.sqrt(member @ (member.T @ centred**2 / count) + eps)


def domains_on_tensors(x, domain, eps):
    y = torch.zeros_like(x)
    for one in (0, 1):
        mask = domain == one
        if mask.any():
            var, mean = torch.var_mean(x[mask], dim=0, correction=0)
            y[mask] = (x[mask] - mean) * torch.rsqrt(var + eps)
    return y


def domains_sorted_and_back(x, domain, eps):
    order = np.argsort(domain, kind="stable")
    parts = np.split(x[order], [np.count_nonzero(domain == 0)])
    done = [(part - part.mean(0)) / np.sqrt(part.var(0) + eps) for part in parts if len(part)]
    return np.concatenate(done)[np.argsort(order)]


def domains_row_by_row(x, domain, eps):
    rows = []
    for row, own in zip(x, domain, strict=True):
        mates = x[domain == own]
        rows.append((row - mates.mean(0)) / np.sqrt(mates.var(0) + eps))
    return rows


# --- serving


def convolution_by_torch(weight, bias, gamma, beta, running_mean, running_var, eps):
    return fuse_conv_bn_weights(weight, bias, running_mean, running_var, eps, gamma, beta)


def convolution_by_probing(weight, bias, gamma, beta, running_mean, running_var, eps):
    """Batch norm in evaluation, as a function, of the weights as a batch and of a bias alone."""

    def normalised(values):
        values = torch.as_tensor(values)
        return functional.batch_norm(values, running_mean, running_var, gamma, beta, training=False, eps=eps)

    constant = normalised(torch.zeros_like(bias)[None])[0]
    rows = normalised(weight.flatten(1).T) - constant
    return rows.T.reshape(weight.shape), normalised(bias[None])[0]


def convolution_filter_by_filter(weight, bias, gamma, beta, running_mean, running_var, eps):
    filters, biases = [], []
    for values in zip(weight, bias, gamma, beta, running_mean, running_var, strict=True):
        w, b, g, shift, mean, var = values
        factor = g / math.sqrt(var + eps)
        filters.append(w * factor)
        biases.append(b * factor + shift - mean * factor)
    return np.stack(filters), np.array(biases)


def ranks_by_merging(counts, means, m2s):
    parts = [variance.Moments(*part) for part in zip(counts, means, m2s, strict=True)]
    count, mean, m2 = reduce(variance.merge, parts)
    return count, mean, m2 / count


def ranks_by_mean_squares(counts, means, m2s):
    share = counts / counts.sum()
    mean = share @ means
    return counts.sum(), mean, m2s.sum(0) / counts.sum() + share @ (means - mean) ** 2


def ranks_on_tensors(counts, means, m2s):
    weights = counts.unsqueeze(1)
    count = weights.sum()
    mean = torch.sum(weights * means, dim=0) / count
    return count, mean, (m2s.sum(0) + (weights * (means - mean).square()).sum(0)) / count


def ranks_without_the_empty(counts, means, m2s):
    full = counts > 0
    n, mean_r, var_r = counts[full][:, None], means[full], m2s[full] / counts[full][:, None]
    mean = np.average(mean_r, axis=0, weights=n[:, 0])
    return int(n.sum()), mean, (n * (var_r + mean_r**2)).sum(0) / n.sum() - mean**2


def scores_by_scipy(x, running_mean):
    return stats.ttest_1samp(x.reshape(*x.shape[:2], -1).mean(-1), running_mean, axis=0).statistic


def scores_on_tensors(x, running_mean):
    of_images = x.flatten(2).mean(2)
    return (of_images.mean(0) - running_mean) * len(x) ** 0.5 / of_images.std(0)


def scores_channel_by_channel(x, running_mean):
    scores = []
    for c, stored in enumerate(running_mean):
        means = [float(image[c].mean()) - stored for image in x]
        distance = math.fsum(means) / len(means)
        squares = math.fsum((mean - distance) ** 2 for mean in means)
        scores.append(distance / math.sqrt(squares / (len(means) - 1) / len(means)))
    return scores


def filters_one_by_one(weight, bits):
    most, numbers, scales = 2 ** (bits - 1) - 1, [], []
    for one in weight:
        scale = max(abs(float(one.min())), abs(float(one.max()))) / most
        scales.append(scale or 1.0)
        numbers.append(np.rint(one / scales[-1]).astype(int))
    return np.stack(numbers), np.array(scales)


def filters_on_tensors(weight, bits):
    limit = (1 << (bits - 1)) - 1
    scale = weight.abs().amax((1, 2, 3), keepdim=True) / limit
    scale[scale == 0] = 1
    return torch.clamp((weight / scale).round(), -limit, limit), scale.flatten()


def filters_by_torch(weight, bits):
    limit = 2 ** (bits - 1) - 1
    scale = weight.flatten(1).abs().max(1).values / limit
    scale = torch.where(scale == 0, 1.0, scale)
    zero = torch.zeros(len(weight), dtype=torch.int64)
    quantised = torch.quantize_per_channel(copy.deepcopy(weight).float(), scale, zero, 0, torch.qint8)
    return quantised.int_repr(), scale


def filters_without_dividing_zeros(weight, bits):
    limit = 2 ** (bits - 1) - 1
    largest = np.max(np.abs(weight), axis=(1, 2, 3), keepdims=True)
    q = np.divide(weight * limit, largest, out=np.zeros_like(weight), where=largest > 0)
    return np.floor(q + 0.5), np.where(largest == 0, 1, largest / limit).ravel()


# --- an answer


def graded_by_lists():
    words = ["sound", "sound", "unsupported", "contested", "sound", "sound", "unsupported", "unsupported"]
    return dict(enumerate(words, start=1)), [3, 5, 6]


def graded_by_exceptions():
    verdicts = dict.fromkeys(range(1, 9), "sound") | {4: "contested"}
    verdicts.update(dict.fromkeys((3, 7, 8), "unsupported"))
    return [verdicts, {1, 2, 3, 4, 5, 6} - {1, 2, 4}]


STYLES_OF_PRODUCTION = {
    "examples_behind": [counted_by_hand, lambda n, a, p, s: (n * p**s, n * a * p)],
    "freeze_norms": [frozen_by_train, frozen_by_apply, frozen_by_attribute, frozen_by_recursion, frozen_by_deploy],
    "domain_norm": [
        domains_by_where,
        domains_by_weights,
        domains_on_tensors,
        domains_sorted_and_back,
        domains_row_by_row,
    ],
    "fold_convolution": [convolution_by_torch, convolution_by_probing, convolution_filter_by_filter],
    "merge_ranks": [ranks_by_merging, ranks_by_mean_squares, ranks_on_tensors, ranks_without_the_empty],
    "drift_scores": [scores_by_scipy, scores_on_tensors, scores_channel_by_channel],
    "quantise_filters": [
        filters_one_by_one,
        filters_on_tensors,
        filters_by_torch,
        filters_without_dividing_zeros,
    ],
    "grade_the_answer": [graded_by_lists, graded_by_exceptions],
}
