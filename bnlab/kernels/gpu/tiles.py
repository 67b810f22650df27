"""What every kernel is made of: its tile of the input, sums over a channel, and the line that batch norm is.

A tensor is seen in one of two ways. *Planes*: `(n, channels, length)`, contiguous; a tile is some images by some
positions of one channel. *Rows*: `(n, channels)`, which `(N, C)` and channels_last input are; a tile is some rows by
some channels. All else is the same, so each kernel is written once: what belongs to a channel has the shape (1, 1) for
planes and (1, columns) for rows, and broadcasts.
"""
# ruff: noqa: PLR0917 - a kernel takes its arguments by position
# mypy: disable-error-code="import-untyped,import-not-found,no-untyped-def,untyped-decorator"

import triton
import triton.language as tl


@triton.jit
def tile(n, channels, length, rows: tl.constexpr, columns: tl.constexpr, planes: tl.constexpr, align: tl.constexpr):
    """The tile of this program.

    Programs are numbered in the order of memory, so that those which run together read neighbouring addresses.

    Args:
        n: images, or rows.
        channels: channels.
        length: positions of a plane; 1 for rows.
        rows: the tile's height, a power of two.
        columns: the tile's width, a power of two.
        planes: which of the two views.
        align: a power of two that divides the distance between two rows. The compiler cannot know it, and without it
            would load number by number rather than 16 bytes at once.

    Returns:
        The offsets of the elements and which of them exist; the channels' numbers and which of them exist; the
        elements that exist in each of its channels; and the tile's number among those of its channels.
    """
    if planes:
        length = length // align * align
        across = tl.cdiv(length, columns)
        block = tl.program_id(0) // across
        first_row, first_column = block // channels * rows, tl.program_id(0) % across * columns
        column = first_column + tl.arange(0, columns)[None, :]
        channel = block % channels + tl.zeros([1, 1], tl.int32)
        count = tl.minimum(rows, n - first_row) * tl.minimum(columns, length - first_column)
        split = block // channels * across + tl.program_id(0) % across
        last, stop = column, length
    else:
        channels = channels // align * align
        across = tl.cdiv(channels, columns)
        split = tl.program_id(0) // across
        first_row = split * rows
        channel = tl.program_id(0) % across * columns + tl.arange(0, columns)[None, :]
        count = tl.minimum(rows, n - first_row)
        last, stop = channel, channels
    row = first_row + tl.arange(0, rows)[:, None]
    start = row.to(tl.int64) * channels  # more than 2**31 elements are possible
    at = (start + channel) * length + column if planes else start + channel
    return at, (row < n) & (last < stop), channel, channel < channels, count.to(tl.float32), split


@triton.jit
def per_channel(values, planes: tl.constexpr):
    """The sums over the tile's elements of each channel; the order of addition is fixed."""
    total = tl.sum(values, axis=0, keep_dims=True)
    return tl.sum(total, axis=1, keep_dims=True) if planes else total


@triton.jit
def load(pointer, at, inside):
    """Elements in float32; 0 for those that do not exist."""
    return tl.load(pointer + at, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def pilot(x, channel, length, real):
    """The first value of each channel, which statistics are taken above."""
    return load(x, channel.to(tl.int64) * length, real)


@triton.jit
def line(mean, var, weight, bias, channel, real, eps):
    """Batch norm of a channel as a line: `y = (x - centre) * scale + shift`.

    The centre is the mean, rounded to float32; subtracting it from a near `x` is exact. What the rounding left is in
    the shift (and returned last, since the gradient of the scale needs it): at a mean of 1e5 it can be .004.

    Args:
        mean: means, float64.
        var: biased variances, float32.
        weight: where the scales are; None for 1.
        bias: where the shifts are; None for 0.
        channel: the channels' numbers.
        real: which of them exist.
        eps: floor under the variance.

    Returns:
        centre, scale, shift, inv_std, and the centre's distance from the mean.
    """
    inv_std = tl.rsqrt(var + eps)
    scale = inv_std if weight is None else inv_std * load(weight, channel, real)
    centre = mean.to(tl.float32)
    rest = (centre.to(tl.float64) - mean).to(tl.float32)
    shift = rest * scale if bias is None else tl.fma(rest, scale, load(bias, channel, real))
    return centre, scale, shift, inv_std, rest


@triton.jit
def rectify(gradient, output):
    """The gradient through a ReLU whose output (or input: they have the same sign) is given; NaN passes."""
    return tl.where(output <= 0, 0.0, gradient)
