"""Proofs of answers on pipelines, clients, half precision and memory."""

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from bnlab.experiments.studies import STUDIES
from bnlab.reference.variance import Moments, merge


def micro_batches(
    *, stages: int = 4, pieces: int = 8, examples: int = 64, noise: float = 2.8, left: float = 0.43,
    smaller: float = 0.0131, idle: int = 3, slots: int = 11, joined_gradient: bool = False,
) -> bool:  # fmt: skip
    """What a norm in a pipeline sees, how often its running mean moves, and whether the gradient is the joined one."""
    x = torch.randn(examples, 3, dtype=torch.float64)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 1)).double()
    weight = model.get_parameter("0.weight")
    joined = torch.autograd.grad(model(x).square().mean(), weight)[0]
    norm = nn.BatchNorm1d(1, dtype=torch.float64)
    norm.get_buffer("running_mean").fill_(1)
    for part in x.chunk(pieces):
        (model(part).square().mean() / pieces).backward()
        norm(torch.tensor([[-1.0], [1.0]], dtype=torch.float64))
    assert weight.grad is not None
    return (
        examples == 8 * pieces
        and round(math.sqrt(pieces), 1) == noise
        and round(norm.get_buffer("running_mean").item(), 2) == left
        and round(1 - 0.9 ** (1 / pieces), 4) == smaller
        and (stages - 1, pieces + stages - 1) == (idle, slots)
        and torch.allclose(weight.grad, joined, rtol=1e-6) == joined_gradient
    )


def averaged_clients(
    *, first: int = 0, second: int = 10, averaged_mean: int = 5, averaged: int = 1, merged: int = 26,
    half_way: int = 41, exact: int = 78, fits_a_client: bool = False,
) -> bool:  # fmt: skip
    """Averaged and merged statistics of two clients of variance 1, and accuracies of the study `weight_averaging`."""
    values = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(500)[:, None]
    clients = [values + mean for mean in (first, second)]
    mean = sum(one.mean().item() for one in clients) / 2
    var = sum(one.var(correction=0).item() for one in clients) / 2
    count, _, m2 = merge(*(Moments(len(one), one.mean().item(), len(one) * 1.0) for one in clients))
    layer = nn.BatchNorm1d(1, dtype=torch.float64).eval()
    layer.get_buffer("running_mean").fill_(mean)
    layer.get_buffer("running_var").fill_(var)
    fits = any(abs(layer(one).mean().item()) < 1 for one in clients)
    study: Any = STUDIES["weight_averaging"].stored()
    middle = study.config.parts // 2
    found = [round(100 * float(np.mean(way["independent"][middle]))) for way in (study.averaged, study.exact)]
    return (
        (mean, var, m2 / count) == (averaged_mean, averaged, merged)
        and found == [half_way, exact]
        and fits == fits_a_client
    )


def eps_in_half_precision(
    *, too_small: float = 1e-8, becomes_0: bool = True, smallest: float = 6e-8, kept: float = 1e-5,
    kept_as: float = 1.001e-5, gain: int = 316, square_vanishes: float = 1.7e-4, overflows: int = 256,
    cap: int = 10_000, nan: bool = True, nan_in_float32: bool = False, lost_beside_1: bool = True,
) -> bool:  # fmt: skip
    """What float16 makes of an epsilon, of squares, and of a channel of equal values."""

    def half(value: float) -> torch.Tensor:
        return torch.tensor(value, dtype=torch.float16)

    equal = torch.zeros(4)
    found = [
        bool((x / torch.sqrt(x.square().mean() + torch.tensor(too_small, dtype=x.dtype))).isnan().all())
        for x in (equal.half(), equal)
    ]
    finite = [bool((half(one) * half(one)).isfinite()) for one in (overflows - 1, overflows)]
    largest = max(one for one in np.arange(1, 30) * 1e-5 if float(half(float(one)).square()) == 0)
    return (
        (half(too_small).item() == 0) == becomes_0
        and found == [nan, nan_in_float32]
        and float(f"{torch.finfo(torch.float16).smallest_normal * 2**-10:.0e}") == smallest
        and float(f"{half(kept).item():.3e}") == kept_as
        and round(1 / math.sqrt(kept)) == gain
        and math.isclose(largest, square_vanishes)
        and finite == [True, False]
        and math.isclose(1 / math.sqrt(too_small), cap)
        and ((half(1.0) + half(kept)).item() == 1) == lost_beside_1
    )


def sectors_of_a_warp(
    *, threads: int = 32, value: int = 4, in_a_row: int = 128, sector: int = 32, sectors: int = 4, channels: int = 64,
    stride: int = 256, apart: int = 32, times: int = 8,
) -> bool:  # fmt: skip
    """The sectors that a warp's addresses touch in NCHW and, for one channel, in channels_last, by torch's strides."""
    x = torch.empty(2, channels, 8, 8)
    touched = []
    for layout in (torch.contiguous_format, torch.channels_last):
        strides = x.to(memory_format=layout).stride()
        step = strides[3] * x.element_size()
        touched.append((step, len({thread * step // sector for thread in range(threads)})))
    return (
        x.element_size() == value
        and threads * value == in_a_row == sectors * sector
        and touched == [(value, sectors), (stride, apart)]
        and apart // sectors == times
    )
