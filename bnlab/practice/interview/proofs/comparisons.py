"""Proofs of answers on how to compare networks with and without batch norm."""

import math

import numpy as np
import torch
from scipy.integrate import quad
from scipy.stats import binom, norm
from torch import nn


def pairs(*, correlation: float = 0.8, apart: float = 1.414, paired: float = 0.632, fewer_seeds: int = 5) -> bool:
    """The spread of a difference of two arms in units of one arm's, unpaired and paired, and what pairing saves."""
    rng = np.random.default_rng(0)
    shared, *own = rng.normal(size=(3, 200_000))
    first, second = (math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * one for one in own)
    found = [(first - rng.permutation(second)).std(), (first - second).std()]
    return (
        all(math.isclose(one, other, rel_tol=0.01) for one, other in zip(found, (apart, paired), strict=True))
        and (round(math.sqrt(2), 3), round(math.sqrt(2 * (1 - correlation)), 3)) == (apart, paired)
        and round(1 / (1 - correlation), 6) == fewer_seeds
    )


def best_of_many(
    *, settings: int = 20, images: int = 1000, accuracy: int = 90, error: float = 0.95, largest: float = 1.87,
    too_good: float = 1.8, reported: float = 91.8,
) -> bool:  # fmt: skip
    """By how many points the best of equally good settings flatters itself on one test set, if their errors differ."""
    spread = 100 * math.sqrt(accuracy / 100 * (1 - accuracy / 100) / images)
    expected = quad(lambda z: z * settings * norm.pdf(z) * norm.cdf(z) ** (settings - 1), -8, 8)[0]
    draws = np.random.default_rng(0).binomial(images, accuracy / 100, size=(20_000, settings)).max(1)
    return (
        (settings, images, accuracy) == (20, 1000, 90)
        and (round(spread, 2), round(expected, 2), round(expected * spread, 1)) == (error, largest, too_good)
        and round(accuracy + too_good, 1) == reported
        and math.isclose(100 * draws.mean() / images - accuracy, too_good, rel_tol=0.05)
    )


def many_claims(
    *, claims: int = 40, level: float = 0.05, by_chance: int = 2, at_least_one: int = 87, corrected: float = 0.00125,
    then_at_least_one: int = 5, found: int = 6, that_many: float = 1.4,
) -> bool:  # fmt: skip
    """How many of 40 claims without any effect pass a test, and how likely one does, as it is and by Bonferroni."""

    def any_passes(level: float) -> int:
        return round(100 * (1 - (1 - level) ** claims))

    return (
        math.isclose(claims * level, by_chance)
        and math.isclose(level / claims, corrected)
        and (any_passes(level), any_passes(corrected)) == (at_least_one, then_at_least_one)
        and round(100 * float(binom.sf(found - 1, claims, level)), 1) == that_many
    )


def injected_noise(
    *, stored: int = 2, left: float = 0.707, shared_noise_passes: bool = False, recalibrated: int = 1
) -> bool:
    """Noise between two norms in training: of each example its own, or one shift for the whole batch."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(100_000, 1, dtype=torch.float64, generator=generator)
    clean = (clean - clean.mean()) / clean.std(correction=0)
    noise = torch.randn(100_000, 1, dtype=torch.float64, generator=generator)
    noise -= clean * (clean * noise).mean()
    noise = (noise - noise.mean()) / noise.std(correction=0)
    layer = nn.BatchNorm1d(1, momentum=1.0, dtype=torch.float64)
    shared = not torch.allclose(layer(clean), layer(clean + 5))
    layer(clean + noise)
    variance = layer.get_buffer("running_var").item()
    spread = layer.eval()(clean).std(correction=0).item()
    layer.train()(clean)
    measured_again = layer.eval()(clean).std(correction=0).item()
    return (
        round(variance, 3) == stored
        and round(spread, 3) == left
        and shared == shared_noise_passes
        and round(measured_again, 3) == recalibrated
    )
