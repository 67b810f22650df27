"""Training forward and inference: where a channel fits one program one kernel, else statistics, merge, normalise.

Statistics are taken above a pilot, the channel's first value: so a large mean costs no digits, and a constant channel
has a variance of exactly 0 and gives exactly `bias`. Tiles of one channel are merged by another kernel, in a fixed
order: no atomics, no waiting for one another, the same bits every run.
"""
# ruff: noqa: PLR0917 - a kernel takes its arguments by position
# mypy: disable-error-code="import-untyped,import-not-found,no-untyped-def,untyped-decorator"

import triton
import triton.language as tl

from bnlab.kernels.gpu.tiles import line, load, per_channel, pilot, tile


@triton.jit
def statistics(
    x,
    partials,
    n,
    channels,
    length,
    splits,
    rows: tl.constexpr,
    columns: tl.constexpr,
    planes: tl.constexpr,
    align: tl.constexpr,
):
    """Of each tile the count, the mean above the pilot and the sum of squares about it: `partials` (3, splits, c)."""
    at, inside, channel, real, count, split = tile(n, channels, length, rows, columns, planes, align)
    # load once, above the pilot
    above = tl.where(inside, load(x, at, inside) - pilot(x, channel, length, real), 0.0)
    # two passes over registers: the mean, then the squares about it
    mean = per_channel(above, planes) / count
    centred = tl.where(inside, above - mean, 0.0)
    squares = per_channel(centred * centred, planes)
    # store three numbers per channel
    partial = partials + split * channels + channel
    tl.store(partial, count + tl.zeros_like(mean), mask=real)
    tl.store(partial + splits * channels, mean, mask=real)
    tl.store(partial + 2 * splits * channels, squares, mask=real)


@triton.jit
def merge_statistics(x, partials, mean, var, channels, length, splits, rows: tl.constexpr, columns: tl.constexpr):
    """Merge the tiles of each channel (Chan, Golub & LeVeque 1983, for any number of parts at once), in float64.

    Of the large tensors it has nothing to read, so float64 costs nothing, and a million tiles may be merged.
    """
    channel = tl.program_id(0) * columns + tl.arange(0, columns)[None, :]
    real = channel < channels
    # the mean of all: the tiles' means, weighted by their counts
    counts = tl.zeros([rows, columns], tl.float64)
    weighted = tl.zeros([rows, columns], tl.float64)
    for first in range(0, splits, rows):
        split = first + tl.arange(0, rows)[:, None]
        at, inside = split * channels + channel, (split < splits) & real
        count = load(partials, at, inside).to(tl.float64)
        counts += count
        weighted += count * load(partials + splits * channels, at, inside)
    count_of_all = tl.maximum(tl.sum(counts, axis=0, keep_dims=True), 1.0)
    above = tl.sum(weighted, axis=0, keep_dims=True) / count_of_all
    # the squares about it: those about the tiles' means, and those of the tiles' means
    squares = tl.zeros([rows, columns], tl.float64)
    for first in range(0, splits, rows):
        split = first + tl.arange(0, rows)[:, None]
        at, inside = split * channels + channel, (split < splits) & real
        away = load(partials + splits * channels, at, inside) - above
        squares += load(partials + 2 * splits * channels, at, inside)
        squares += load(partials, at, inside) * away * away
    # the mean stays in float64, since float32 would round it
    batch_mean = pilot(x, channel, length, real).to(tl.float64) + above
    tl.store(mean + channel, batch_mean, mask=real)
    batch_var = tl.sum(squares, axis=0, keep_dims=True) / count_of_all
    tl.store(var + channel, batch_var.to(tl.float32), mask=real)


@triton.jit
def normalise(
    x,
    residual,
    mean,
    var,
    weight,
    bias,
    y,
    eps,
    n,
    channels,
    length,
    relu: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
    planes: tl.constexpr,
    align: tl.constexpr,
):
    """Scale and shift by statistics that are known; add the residual, if there is one; ReLU, if asked for."""
    at, inside, channel, real, _, _ = tile(n, channels, length, rows, columns, planes, align)
    # a line for each channel
    known_mean = tl.load(mean + channel, mask=real, other=0.0).to(tl.float64)
    centre, scale, shift, _, _ = line(known_mean, load(var, channel, real), weight, bias, channel, real, eps)
    # apply it
    value = tl.fma(load(x, at, inside) - centre, scale, shift)
    if residual is not None:
        value += load(residual, at, inside)
    if relu:
        value = tl.where(value <= 0, 0.0, value)  # unlike a maximum, this keeps NaN
    tl.store(y + at, value.to(y.dtype.element_ty), mask=inside)


@triton.jit
def resident_forward(
    x,
    residual,
    weight,
    bias,
    y,
    mean,
    var,
    eps,
    n,
    channels,
    length,
    relu: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
    planes: tl.constexpr,
    align: tl.constexpr,
):
    """All of it at once, for a channel that fits one tile: the input is read once and stays in registers."""
    at, inside, channel, real, count, _ = tile(n, channels, length, rows, columns, planes, align)
    # load once
    value = load(x, at, inside)
    first = pilot(x, channel, length, real)
    # two passes over registers: the mean, then the squares about it
    above = tl.where(inside, value - first, 0.0)
    average = per_channel(above, planes) / count
    centred = tl.where(inside, above - average, 0.0)
    batch_var = per_channel(centred * centred, planes) / count
    batch_mean = first.to(tl.float64) + average.to(tl.float64)
    tl.store(mean + channel, batch_mean, mask=real)
    tl.store(var + channel, batch_var, mask=real)
    # the line, as in `normalise`
    centre, scale, shift, _, _ = line(batch_mean, batch_var, weight, bias, channel, real, eps)
    value = tl.fma(value - centre, scale, shift)
    if residual is not None:
        value += load(residual, at, inside)
    if relu:
        value = tl.where(value <= 0, 0.0, value)
    tl.store(y + at, value.to(y.dtype.element_ty), mask=inside)
