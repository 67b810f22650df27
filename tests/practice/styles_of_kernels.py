"""Correct answers to the exercises of chapter 13, as different people write them: all must pass."""

from functools import reduce

import numpy as np
import torch
from torch.nn import functional

from bnlab.reference import variance

# --- accesses


def accesses_by_table(backward, relu, residual, resident):
    table = {
        (False, False): (1 if resident else 2, 1),
        (False, True): (2 if resident else 3, 1),
        (True, False): (2 if resident else 4, 1),
        (True, True): (3 if resident else 5, 2),
    }
    return table[backward, residual and (relu or not backward)]


def accesses_sweep_by_sweep(backward, relu, residual, resident):
    inputs = {"x", "grad_y"} if backward else {"x"}
    first, second = set(inputs), set() if resident else set(inputs)
    written = {"grad_x"} if backward else {"y"}
    if residual and not backward:
        second.add("residual")
    if backward and relu and residual:
        first.add("y")
        written.add("grad_residual")
    return len(first) + len(second), len(written)


# --- find_the_bug_one_pass


def moments_above_the_first(x, block):
    above = [x[start : start + block] - x[0] for start in range(0, x.size, block)]
    distance = sum(part.sum() for part in above) / x.size
    return x[0] + distance, sum((part**2).sum() for part in above) / x.size - distance**2


def moments_by_merging(x, block):
    parts = np.split(x, range(block, len(x), block))
    records = [variance.Moments(len(part), part.mean(), part.var() * len(part)) for part in parts]
    count, mean, m2 = reduce(variance.merge, records)
    return mean, m2 / count


def moments_in_float64(x, block):
    pilot = x[:block].mean(dtype=np.float64)
    total = squares = 0.0
    for start in range(0, len(x), block):
        part = x[start : start + block].astype(np.float64) - pilot
        total, squares = total + part.sum(), squares + (part * part).sum()
    mean = total / len(x)
    return pilot + mean, squares / len(x) - mean * mean


def moments_in_two_passes(x, block):  # which the docstring leaves to the learner
    return x.mean(), x.var()


def moments_on_tensors(x, block):
    pilot = x[:block].mean()
    above = torch.cat([part - pilot for part in x.split(block)])
    return pilot + above.mean(), above.var(correction=0)


# --- add_relu


def epilogue_with_loops(x, residual, mean, var, gamma, beta, eps):
    n, c, length = x.shape
    y = np.empty_like(x)
    for j in range(c):
        scale = gamma[j] / np.sqrt(var[j] + eps)
        for i in range(n):
            for k in range(length):
                value = (x[i, j, k] - mean[j]) * scale + beta[j] + residual[i, j, k]
                y[i, j, k] = max(value, 0)  # which keeps a NaN that comes first
    return y


def epilogue_by_maximum(x, residual, mean, var, gamma, beta, eps):
    column = (slice(None), None)
    y = gamma[column] * ((x - mean[column]) / np.sqrt(var[column] + eps)) + beta[column]
    return np.maximum(y + residual, 0)


def epilogue_by_torch(x, residual, mean, var, gamma, beta, eps):
    y = functional.batch_norm(x.double(), mean.double(), var.double(), gamma.double(), beta.double(), eps=eps)
    return functional.relu(y + residual)


STYLES_OF_KERNELS = {
    "accesses": [accesses_by_table, accesses_sweep_by_sweep],
    "find_the_bug_one_pass": [
        moments_above_the_first,
        moments_by_merging,
        moments_in_float64,
        moments_in_two_passes,
        moments_on_tensors,
    ],
    "add_relu": [epilogue_with_loops, epilogue_by_maximum, epilogue_by_torch],
}
