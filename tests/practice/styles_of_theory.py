"""Correct answers to the exercises on why batch norm works, as different people write them: every one must pass."""

import math

import numpy as np
import torch
from torch import nn

# --- two shifts


def shift_by_squares(gradient_at, below, own, new_below, new_own):
    change_by_below = gradient_at(new_below, own) - gradient_at(below, own)
    change_by_own = gradient_at(below, new_own) - gradient_at(below, own)
    return [np.sqrt((change**2).sum()) for change in (change_by_below, change_by_own)]


def shift_on_tensors(gradient_at, below, own, new_below, new_own):
    before = gradient_at(below, own)
    moved = torch.stack([gradient_at(new_below, own), gradient_at(below, new_own)])
    return tuple((moved - before).flatten(1).norm(dim=1))


def shift_entry_by_entry(gradient_at, below, own, new_below, new_own):
    before = gradient_at(below, own).ravel()
    by_below, by_own = (gradient_at(*moved).ravel() for moved in ((new_below, own), (below, new_own)))
    return math.dist(before, by_below), math.dist(before, by_own)


def shift_in_float32(gradient_at, below, own, new_below, new_own):
    before, *after = (gradient_at(*at).astype(np.float32) for at in ((below, own), (new_below, own), (below, new_own)))
    return tuple(np.linalg.norm(one - before) for one in after)


# --- scale and decay


def rescaled_by_keeping_the_product(weight, learning_rate, decay, factor):
    lost = learning_rate * decay
    new_rate = learning_rate * factor * factor
    return weight * factor, new_rate, lost / new_rate


def rescaled_on_tensors(weight, learning_rate, decay, factor):
    return weight.float().mul(factor), learning_rate * factor**2, decay * factor**-2


def rescaled_by_the_squared_norm(weight, learning_rate, decay, factor):
    longer = weight * factor
    squares = (longer**2).sum() / (weight**2).sum()
    return [longer, learning_rate * squares, decay / squares]


def rates_by_a_loop(learning_rate, decay, steps):
    rates, kept = [], 1 - learning_rate * decay
    rate = learning_rate / kept
    for _ in range(steps):
        rates.append(rate)
        rate /= kept**2
    return rates


def rates_by_the_lengths(learning_rate, decay, steps):
    length = np.cumprod(np.full(steps, 1 - learning_rate * decay))  # after each step
    before = np.concatenate([[1], length[:-1]])
    return learning_rate / (length * before)


def rates_on_tensors(learning_rate, decay, steps):
    powers = torch.arange(1, 2 * steps, 2, dtype=torch.float64)
    return learning_rate * torch.exp(-powers * math.log1p(-learning_rate * decay))


# --- depth


def growth_by_moments(outputs, slopes):
    variance = (outputs**2).mean(0) - outputs.mean(0) ** 2
    return float(((slopes**2).mean() / variance.mean()) ** 0.5)


def growth_by_norms(outputs, slopes):
    centred = outputs - outputs.mean(axis=0)
    return np.linalg.norm(slopes) / np.linalg.norm(centred)


def growth_of_activations_on_tensors(outputs, slopes):
    return (slopes.square().mean() / outputs.var(0, correction=0).mean()).sqrt()


def growth_of_activations_in_float32(outputs, slopes):
    outputs, slopes = outputs.astype(np.float32), slopes.astype(np.float32)
    return np.sqrt(np.mean(slopes**2) / np.mean(np.var(outputs, axis=0)))


def growth_by_a_network(outputs, slopes):
    """What a norm with identity weights sees: the statistics that torch's layer collects."""
    norm = nn.BatchNorm1d(outputs.shape[1], momentum=1.0, affine=False, dtype=torch.float64)
    norm(torch.as_tensor(outputs))
    biased = norm.running_var * (len(outputs) - 1) / len(outputs)
    return np.sqrt(np.mean(slopes**2) / biased.mean().item())


STYLES_OF_THEORY = {
    "gradient_shift": [shift_by_squares, shift_on_tensors, shift_entry_by_entry, shift_in_float32],
    "rescale_training": [rescaled_by_keeping_the_product, rescaled_on_tensors, rescaled_by_the_squared_norm],
    "rates_without_decay": [rates_by_a_loop, rates_by_the_lengths, rates_on_tensors],
    "gradient_growth": [
        growth_by_moments,
        growth_by_norms,
        growth_of_activations_on_tensors,
        growth_of_activations_in_float32,
        growth_by_a_network,
    ],
}
