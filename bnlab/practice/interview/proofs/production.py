"""Proofs of answers on the way from a checkpoint to serving, and on several machines."""

import math
from functools import reduce
from typing import Any

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor, nn

from bnlab.experiments.studies import STUDIES
from bnlab.reference.variance import Moments, merge


def folded(
    *, scale: float = 1.5, weight: int = 3, bias: int = 8, agrees: bool = True, norm_before_padding_agrees: bool = False
) -> bool:
    """The fold of gamma 3, beta 1/2, mean 1 and variance 4 into a weight of 2 and a bias of 6, and the wrong order."""
    layer = nn.BatchNorm2d(1, eps=1e-12, dtype=torch.float64).eval()
    for name, value in {"weight": 3.0, "bias": 0.5, "running_mean": 1.0, "running_var": 4.0}.items():
        layer.state_dict()[name].fill_(value)
    x = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    same = torch.allclose(layer(2 * x + 6), weight * x + bias)
    convolution = nn.Conv2d(1, 1, 3, padding=1, dtype=torch.float64)
    shift = 0.5 - scale * 1
    moved = convolution.weight.detach().sum() * shift
    after = nn.functional.conv2d(x, convolution.weight * scale, convolution.bias, padding=1) + moved
    return (
        torch.allclose(layer(x + 1) - layer(x), torch.tensor(scale).double())
        and same == agrees
        and torch.allclose(convolution(layer(x)), after) == norm_before_padding_agrees
    )


def served_shifts(
    *, clean: int = 97, contrast: int = 14, contrast_mended: int = 84, inverted: int = 21, inverted_mended: int = 19,
    sorted_by_class: int = 16, scale_and_shift_vanish: bool = True, inversion_turns_the_sign: bool = True,
) -> bool:  # fmt: skip
    """What batch statistics undo, and the course's accuracies in percent (the study `served_shift`)."""
    study: Any = STUDIES["served_shift"].stored()
    found = [study.stored[one] for one in ("clean", "contrast", "inverted")]
    found += [study.by_batch["contrast"], study.by_batch["inverted"], study.by_class["clean"]]
    x, layer = torch.rand(8, 3, 4, 4, dtype=torch.float64), nn.BatchNorm2d(3, eps=1e-12, dtype=torch.float64)
    y = layer(x)
    return (
        [round(100 * float(np.mean(one))) for one in found]
        == [clean, contrast, inverted, contrast_mended, inverted_mended, sorted_by_class]
        and torch.allclose(layer(0.3 * x + 0.5), y) == scale_and_shift_vanish
        and torch.allclose(layer(1 - x), -y) == inversion_turns_the_sign
    )


def false_alarms(
    *, positions: int = 16, worth: int = 4, really: float = 1.5, at_three: float = 0.27, at_really: float = 13.4,
    channels: int = 64, in_one_of_them: float = 15.9, threshold: float = 4.1,
) -> bool:  # fmt: skip
    """How often an alarm at three standard errors goes off, if positions are dependent and if channels are many."""
    rate = float(2 * norm.sf(3))
    return (
        math.isclose(3 * math.sqrt(worth / positions), really)
        and round(100 * rate, 2) == at_three
        and round(200 * float(norm.sf(really)), 1) == at_really
        and round(100 * (1 - (1 - rate) ** channels), 1) == in_one_of_them
        and round(float(norm.isf(rate / 2 / channels)), 1) == threshold
    )


def averaged_weights(
    *, end: int = 1, average: float = 0.5, comes_out: float = 0.707, half_way: int = 41, exact: int = 78, ends: int = 97
) -> bool:
    """The variance behind averaged weights, and the course's accuracies in percent (the study `weight_averaging`)."""
    x = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    first, second = torch.eye(2, dtype=torch.float64)
    variances = [(x @ weight).var(correction=0).item() for weight in (first, second, (first + second) / 2)]
    study: Any = STUDIES["weight_averaging"].stored()
    ways, middle = (study.averaged["independent"], study.exact["independent"]), study.config.parts // 2
    accuracies = [round(100 * float(np.mean(one))) for one in (ways[0][middle], ways[1][middle], ways[1][[0, -1]])]
    return (
        variances == [end, end, average]
        and round(math.sqrt(variances[2] / end), 3) == comes_out
        and accuracies == [half_way, exact, ends]
    )


def synchronised(
    *, processes: int = 8, examples: int = 4, together: int = 32, channels: int = 64, numbers_sent: int = 129,
    merged_is_joined: bool = True, averaged_is_joined: bool = False,
) -> bool:  # fmt: skip
    """What SyncBatchNorm merges: count, mean and sum of squares of each process, against the joined batch."""
    if (processes, channels) != (8, 64):
        return False
    parts = [torch.randn(examples, channels, dtype=torch.float64) for _ in range(processes)]
    joined = torch.cat(parts)
    moments = [Moments(len(part), part.mean(0), (len(part) * part.var(0, correction=0))) for part in parts]
    count, mean, m2 = reduce(merge, moments)
    var = joined.var(0, correction=0)
    average = torch.stack([part.var(0, correction=0) for part in parts]).mean(0)
    return (
        count == len(joined) == together
        and 1 + mean.numel() + m2.numel() == numbers_sent
        and (torch.allclose(mean, joined.mean(0)) and torch.allclose(m2 / count, var)) == merged_is_joined
        and torch.allclose(average, var) == averaged_is_joined
    )


def half_precision(
    *, largest: int = 65_504, spread: int = 300, variance: int = 90_000, stored_is_infinite: bool = True,
    mean: int = 100, of_batches: float = 100.25, spacing: float = 0.0625, autocast_keeps_float32: bool = True,
) -> bool:  # fmt: skip
    """What becomes of running statistics that are stored in float16, and of those under autocast."""
    layer = nn.BatchNorm1d(1, momentum=1.0).half()
    layer(torch.tensor([[-1.0], [1.0]]).half() * spread)
    infinite = bool(layer.get_buffer("running_var").isinf())
    slow = nn.BatchNorm1d(1).half()
    slow.get_buffer("running_mean").fill_(mean)
    for _ in range(100):
        slow((of_batches + torch.tensor([[-1.0], [1.0]])).half())
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(torch.randn(2, 1, 5, 5))
    return (
        torch.finfo(torch.float16).max == largest < variance == spread**2
        and infinite == stored_is_infinite
        and slow.get_buffer("running_mean").item() == mean
        and abs(of_batches - mean) == 0.25
        and float(np.spacing(np.float16(mean))) == spacing
        and (network[1].running_mean.dtype == torch.float32) == autocast_keeps_float32
    )


def eight_bits(*, limit: int = 127, times_smaller: int = 100, steps_left: float = 1.27, bits: int = 8) -> bool:
    """The whole numbers that a filter is left with whose weights are so many times smaller than another's."""
    shared_scale = 1 / limit
    return limit == 2 ** (bits - 1) - 1 and round(1 / times_smaller / shared_scale, 2) == steps_left


def gradients_by_example(
    *,
    batch_norm_mixes_examples: bool = True,
    group_norm_mixes_examples: bool = False,
    frozen_batch_norm_mixes_examples: bool = False,
) -> bool:
    """Whether the gradient on a batch is another than the sum of its examples' gradients, taken one by one."""
    x = torch.randn(6, 4, 2, 2, dtype=torch.float64)

    def gradient(network: nn.Sequential, x: Tensor) -> Tensor:
        return torch.autograd.grad(network(x).mean((2, 3)).square().sum(), network.get_parameter("0.weight"))[0]

    found = []
    for layer in (nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.BatchNorm2d(4).eval()):
        network = nn.Sequential(nn.Conv2d(4, 4, 1), layer, nn.ReLU(), nn.Conv2d(4, 1, 1)).double()
        together = gradient(network, x)
        alone = torch.stack([gradient(network, one) for one in x.chunk(6)]).sum(0)
        found.append(not torch.allclose(together, alone, rtol=1e-6))
    return found == [batch_norm_mixes_examples, group_norm_mixes_examples, frozen_batch_norm_mixes_examples]
