"""Proofs of answers on how many and which examples share a mean."""

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from bnlab.experiments.studies import STUDIES
from bnlab.reference import batch_norm_forward


def scatter_of_a_mean(
    *, small: int = 8, at_small: float = 0.354, large: int = 32, at_large: float = 0.177, halved_by: int = 4
) -> bool:
    """How far the mean of m independent values scatters, beside their own spread, drawn and by the formula."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(20_000, 32, dtype=torch.float64, generator=generator)
    found = [drawn[:, :count].mean(1).std().item() for count in (small, large)]
    return (
        [round(1 / math.sqrt(count), 3) for count in (small, large)] == [at_small, at_large]
        and np.allclose(found, [at_small, at_large], rtol=0.02)
        and math.isclose(at_small / at_large, math.sqrt(halved_by), rel_tol=0.01)
    )


def recalibrated_after_small_batches(
    *, small: int = 2, at_small: int = 27, exact_at_small: int = 28, layer_norm_at_small: int = 92, large: int = 32,
    at_large: int = 91, exact_at_large: int = 91, layer_norm_at_large: int = 84,
) -> bool:  # fmt: skip
    """Accuracies in percent, medians of the study `small_batches`, as trained and with exact statistics."""
    study: Any = STUDIES["small_batches"].stored()
    sizes = study.config.batch_sizes
    if small not in sizes or large not in sizes:
        return False
    arms = (study.test["batch_norm"], study.recalibrated["batch_norm"], study.test["layer_norm"])
    found = [round(100 * float(np.median(arm[sizes.index(size)]))) for size in (small, large) for arm in arms]
    return found == [
        at_small,
        exact_at_small,
        layer_norm_at_small,
        at_large,
        exact_at_large,
        layer_norm_at_large,
    ]


def worth_of_a_batch(
    *, examples: int = 256, twice: int = 512, correlation: float = 0.5, worth: int = 2, batch_norm: int = 10,
    layer_norm: int = 87,
) -> bool:  # fmt: skip
    """How many independent values dependent ones are worth, and the medians of the study `sorted_batches`."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(4000, 1, dtype=torch.float64, generator=generator) * math.sqrt(correlation)
    own = torch.randn(4000, 256, dtype=torch.float64, generator=generator) * math.sqrt(1 - correlation)
    study: Any = STUDIES["sorted_batches"].stored()
    one = study.config.classes.index(1)
    accuracies = [round(100 * float(np.median(study.test[arm][one]))) for arm in ("batch_norm", "layer_norm")]
    worths = [count / (1 + (count - 1) * correlation) for count in (examples, twice)]
    return (
        examples == 256
        and twice == 2 * examples
        and [round(one) for one in worths] == [worth, worth]
        and math.isclose(1 / (shared + own).mean(1).var().item(), worth, rel_tol=0.05)
        and math.isclose(1 / correlation, worth)
        and accuracies == [batch_norm, layer_norm]
    )


def a_batch_of_one(
    *, raises: bool = True, gives_beta: bool = True, equals_instance_norm: bool = True, running: int = 1,
    between_images: int = 4, of_all: int = 5,
) -> bool:  # fmt: skip
    """One vector in torch and by the formula, one image beside instance norm, and what single images leave behind."""
    try:
        nn.BatchNorm1d(2)(torch.ones(1, 2))
    except ValueError:
        refused = True
    else:
        refused = False
    beta = np.array([3.0, -1.0])
    y, _ = batch_norm_forward(np.array([[7.0, 9.0]]), np.ones(2), beta)
    image = torch.randn(1, 3, 4, 4, dtype=torch.float64)
    same = torch.allclose(nn.BatchNorm2d(3).double()(image), nn.InstanceNorm2d(3)(image))
    values = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(5000).reshape(1, 1, 100, 100)
    images = [values + mean for mean in (-2.0, 2.0)]
    layer = nn.BatchNorm2d(1, dtype=torch.float64)
    for _ in range(60):
        for one in images:
            layer(one)
    return (
        (refused, np.array_equal(y[0], beta), same) == (raises, gives_beta, equals_instance_norm)
        and round(layer.get_buffer("running_var").item(), 3) == running
        and torch.stack([one.mean() for one in images]).var(correction=0).item() == between_images
        and torch.cat(images).var(correction=0).item() == of_all
    )


def momentum_by_examples(
    *, momentum: float = 0.1, times: int = 16, smaller: float = 0.00656, left: float = 0.9, memory: int = 10,
    examples: int = 320, examples_at_2: int = 20,
) -> bool:  # fmt: skip
    """The momentum with which so many updates forget what one did, in torch's layer."""
    layer = nn.BatchNorm1d(1, momentum=1 - (1 - momentum) ** (1 / times), dtype=torch.float64)
    layer.get_buffer("running_mean").fill_(1)
    for _ in range(16):
        layer(torch.tensor([[-1.0], [1.0]], dtype=torch.float64))
    return (
        math.isclose(layer.get_buffer("running_mean").item(), left)
        and round(layer.momentum or 0, 5) == smaller
        and round(1 / momentum) == memory
        and (32 * memory, 2 * memory) == (examples, examples_at_2)
    )


def error_by_images_a_gpu(
    *, at_32: float = 23.6, at_16: float = 23.7, at_8: float = 24.8, at_4: float = 27.3, at_2: float = 34.7,
    costs_16: float = 0.1, costs_8: float = 1.2, costs_4: float = 3.7, costs_2: float = 11.1, group_least: float = 24.0,
    group_most: float = 24.2,
) -> bool:  # fmt: skip
    """The differences of the published errors of a ResNet-50, in percent (arXiv:1803.08494)."""
    group_norm = (24.1, 24.2, 24.0, 24.2, 24.1)
    costs = [round(error - at_32, 1) for error in (at_16, at_8, at_4, at_2)]
    return costs == [costs_16, costs_8, costs_4, costs_2] and (min(group_norm), max(group_norm)) == (
        group_least,
        group_most,
    )
