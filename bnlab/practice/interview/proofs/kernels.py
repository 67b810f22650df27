"""Proofs of answers on speed, on GPUs, and on the digits that fast code loses."""

from typing import Any

import numpy as np
import torch

from bnlab.kernels.gpu import layout
from bnlab.kernels.gpu.facts import stored
from bnlab.reference import variance


class _Counted:
    """A number that counts what is done to it and to its results, in the class of its run."""

    operations = 0

    def _operate(self, _other: Any) -> "_Counted":
        type(self).operations += 1
        return self

    __add__ = __sub__ = __mul__ = _operate


def arithmetic_per_byte(*, operations: int = 7, bytes_moved: int = 12, per_byte: float = 0.58) -> bool:
    """Operations and bytes for each element: sums above a pilot, then a line, by two sweeps over float32."""

    class Number(_Counted):
        pass

    x, pilot, total, squares, centre, scale, shift = (Number() for _ in range(7))
    above = x - pilot
    _ = total + above, squares + above * above
    _ = (x - centre) * scale + shift
    moved = _bytes("statistics", "normalise")
    return (Number.operations, moved) == (operations, bytes_moved) and round(operations / moved, 2) == per_byte


def sweeps(*, forward: int = 3, backward: int = 5, resident_forward: int = 2, resident_backward: int = 3) -> bool:
    """Accesses an element of the GPU kernels, as their facts have them."""
    found = (
        _bytes("statistics", "normalise"),
        _bytes("sums", "gradient_of_x"),
        _bytes("resident_forward"),
        _bytes("resident_backward"),
    )
    return found == tuple(4 * one for one in (forward, backward, resident_forward, resident_backward))


def fused_accesses(
    *, relu_apart: int = 5, relu_fused: int = 3, add_and_relu_apart: int = 8, add_and_relu_fused: int = 4
) -> bool:
    """Accesses of a norm with what follows it: one operation after another, each from memory, and in one kernel."""
    norm, relu, add = _bytes("statistics", "normalise") // 4, 1 + 1, 2 + 1
    fused = (_bytes("statistics") + _bytes("normalise", fused="add + ReLU")) // 4
    return (norm + relu, norm, norm + add + relu, fused) == (
        relu_apart,
        relu_fused,
        add_and_relu_apart,
        add_and_relu_fused,
    )


def mask_computed_again(*, times_smaller: int = 32, from_input: bool = True, after_a_residual: bool = False) -> bool:
    """The size of a mask of bits beside float32, and whether the input alone tells where a ReLU was 0."""
    x, residual = np.random.default_rng(0).normal(size=(2, 4096)).astype(np.float32)
    value = (x - x.mean()) * np.float32(1.5) + np.float32(0.25)
    kept, kept_of_sum = np.maximum(value, 0) > 0, np.maximum(value + residual, 0) > 0
    return (
        x.nbytes == np.packbits(kept).nbytes * times_smaller
        and np.array_equal(value > 0, kept) == from_input
        and np.array_equal(value > 0, kept_of_sum) == after_a_residual
    )


def one_block_a_channel(*, blocks: int = 64, tiles: int = 6272) -> bool:
    """Independent pieces of 128 images of 64 channels and 56 x 56 positions: channels, and our kernels' tiles."""
    found = layout.planes(128, 64, 56 * 56)
    return (found.channels, found.programs) == (blocks, tiles)


def order_of_sums(*, large: int = 100_000_000, one_order: int = 0, other_order: int = 1) -> bool:
    """Three float32 numbers added up in two orders."""
    a, b, c = np.float32(large), np.float32(1), np.float32(-100_000_000)
    return (float(a), float((a + b) + c), float((a + c) + b)) == (large, one_order, other_order)


def first_offset_that_breaks(*, raw: int = 1000, shifted: bool = False) -> bool:
    """The first power of ten, as a mean of values of variance 1, at which a float32 variance is off by half."""
    noise = np.random.default_rng(0).normal(size=4096)

    def breaks(algorithm: Any, offset: int) -> bool:
        x = (noise + offset).astype(np.float32)
        return bool(abs(float(algorithm(x)[1]) / x.astype(np.float64).var() - 1) > 0.5)

    powers = [10**power for power in range(7)]
    first = next(offset for offset in powers if breaks(variance.raw_moments, offset))
    return first == raw and any(breaks(variance.shifted, offset) for offset in powers) == shifted


def layout_changes_the_digits(*, offset: int = 100_000, same_in_both: bool = False) -> bool:
    """The first power of ten, as a mean, at which torch's variance is off by half in one of two layouts."""
    noise = np.random.default_rng(0).normal(size=(8, 2, 64, 64))

    def is_off(offset: int, memory_format: torch.memory_format) -> bool:
        x = torch.from_numpy((noise + offset).astype(np.float32)).contiguous(memory_format=memory_format)
        mean, var = torch.zeros(2), torch.zeros(2)
        torch.nn.functional.batch_norm(x, mean, var, training=True, momentum=1.0)
        right = x.double().transpose(0, 1).flatten(1).var(1)
        return bool((var.double() / right - 1).abs().max() > 0.5)

    last = {10**power: is_off(10**power, torch.channels_last) for power in range(6)}
    first = next((power for power, off in last.items() if off), None)
    contiguous = is_off(100_000, torch.contiguous_format)
    return first == offset and (contiguous == last[100_000]) == same_in_both


def constant_channel(*, exact_when_shifted: bool = True, exact_when_summed: bool = False, gain: int = 316) -> bool:
    """Whether a channel of equal float32 values, 0.1, has a mean of 0.1 and a variance of 0; and what eps lets pass."""
    x = np.full(4096, 0.1, np.float32)
    mean, var = variance.shifted(x)
    summed = variance.two_pass(x)[0]
    return (
        bool(mean == x[0] and var == 0) == exact_when_shifted
        and bool(summed == x[0]) == exact_when_summed
        and round(1e-5**-0.5) == gain
    )


def half_precision_sums(*, largest: int = 65_504, square_overflows: int = 256, stuck_at: int = 2048) -> bool:
    """Where float16 ends: the largest number, the first whole number whose square is infinite, the first lost + 1."""
    with np.errstate(over="ignore"):
        whole = np.arange(1, 4096).astype(np.float16)
        infinite = int(whole[np.isinf(whole * whole)][0])
        stuck = int(whole[whole + np.float16(1) == whole][0])
    return (float(np.finfo(np.float16).max), infinite, stuck) == (largest, square_overflows, stuck_at)


def resident_tile(*, elements: int = 16_384, kilobytes: int = 64, small_maps: bool = True, large: bool = False) -> bool:
    """The largest tile that our kernels keep in registers, and which of two shapes fit."""
    return (
        elements == layout.RESIDENT
        and kilobytes * 1024 == layout.RESIDENT * 4
        and layout.planes(8, 1024, 7 * 7).resident == small_maps
        and layout.planes(128, 64, 56 * 56).resident == large
    )


def time_from_bytes(*, elements: int = 25_690_112, megabytes: int = 308, microseconds: int = 92) -> bool:
    """What 128 images of 64 x 56 x 56 float32 values move in two sweeps, and how long that takes at 3.35 TB/s."""
    count = 128 * 64 * 56 * 56
    moved = count * _bytes("statistics", "normalise")
    return (count, round(moved / 1e6), round(moved / 3.35e12 * 1e6)) == (elements, megabytes, microseconds)


def without_a_gpu(*, targets: int = 4, spills: int = 0) -> bool:
    """For how many architectures the kernels were compiled ahead of time, and how many registers went to memory."""
    facts = stored().facts
    return len({fact.target for fact in facts}) == targets and sum(fact.spills for fact in facts) == spills


def _bytes(*kernels: str, fused: str | None = None) -> int:
    """What these kernels move for each element of float32, each with the least that is fused into it."""
    moved = 0
    for kernel in kernels:
        facts = [fact for fact in stored().facts if (fact.kernel, fact.dtype) == (kernel, "float32")]
        moved += min(fact.bytes_per_element for fact in facts if fused in {None, fact.fused})
    return moved
