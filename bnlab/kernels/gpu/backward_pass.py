"""Backward: where a channel fits one program one kernel, else sums, merge, gradient.

A ReLU's mask is not kept but computed again, by the forward's operations in the forward's order (`tl.fma` leaves the
compiler no choice), rounded as the output was: so it is the forward's mask, bit for bit. Where a residual was added
before the ReLU, the mask is the sign of the output, and the masked gradient is the residual's gradient too.
"""
# ruff: noqa: PLR0917 - a kernel takes its arguments by position
# mypy: disable-error-code="import-untyped,import-not-found,no-untyped-def,untyped-decorator"

import triton
import triton.language as tl

from bnlab.kernels.gpu.tiles import line, load, per_channel, rectify, tile


@triton.jit
def masked(grad_y, x, y, grad_residual, at, inside, centre, scale, shift, relu: tl.constexpr):
    """The gradient behind the ReLU, which with `y` is written as the residual's too, and `x - centre`, 0 outside."""
    gradient = load(grad_y, at, inside)
    centred = tl.where(inside, load(x, at, inside) - centre, 0.0)
    if y is not None:
        gradient = rectify(gradient, load(y, at, inside))
        tl.store(grad_residual + at, gradient.to(grad_residual.dtype.element_ty), mask=inside)
    elif relu:
        gradient = rectify(gradient, tl.fma(centred, scale, shift).to(x.dtype.element_ty))
    return gradient, centred


@triton.jit
def sums(
    grad_y,
    x,
    y,
    mean,
    var,
    weight,
    bias,
    grad_residual,
    grad_x,
    partials,
    eps,
    n,
    channels,
    length,
    splits,
    relu: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
    planes: tl.constexpr,
    align: tl.constexpr,
):
    """Of each tile the sums of the gradient and of its product with `x - centre`: `partials` (2, splits, c).

    With `y` it writes the residual's gradient, and with `grad_x`, where the statistics are constants, that of `x`.
    """
    at, inside, channel, real, _, split = tile(n, channels, length, rows, columns, planes, align)
    known_mean = tl.load(mean + channel, mask=real, other=0.0).to(tl.float64)
    centre, scale, shift, _, _ = line(known_mean, load(var, channel, real), weight, bias, channel, real, eps)
    gradient, centred = masked(grad_y, x, y, grad_residual, at, inside, centre, scale, shift, relu)
    if grad_x is not None:
        tl.store(grad_x + at, (gradient * scale).to(grad_x.dtype.element_ty), mask=inside)
    # store two numbers per channel
    partial = partials + split * channels + channel
    tl.store(partial, per_channel(gradient, planes), mask=real)
    tl.store(partial + splits * channels, per_channel(gradient * centred, planes), mask=real)


@triton.jit
def merge_sums(
    partials,
    mean,
    var,
    weight,
    bias,
    grad_weight,
    grad_bias,
    lines,
    eps,
    count,
    channels,
    splits,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """Add up the tiles of each channel, in float64: the gradients of the shift and of the scale.

    And write all that `gradient_of_x` asks of a channel, `lines` (5, c): centre, scale and shift, for the ReLU's mask;
    slope and level of the line in `x - centre` that is the gradient's components along x_hat and along 1.
    """
    channel = tl.program_id(0) * columns + tl.arange(0, columns)[None, :]
    real = channel < channels
    # lane by lane in the order of the tiles, then the lanes
    gradients = tl.zeros([rows, columns], tl.float64)
    products = tl.zeros([rows, columns], tl.float64)
    for first in range(0, splits, rows):
        split = first + tl.arange(0, rows)[:, None]
        at, inside = split * channels + channel, (split < splits) & real
        gradients += load(partials, at, inside)
        products += load(partials + splits * channels, at, inside)
    of_bias = tl.sum(gradients, axis=0, keep_dims=True).to(tl.float32)
    product = tl.sum(products, axis=0, keep_dims=True).to(tl.float32)
    # the products were taken about the centre, which is the mean rounded
    known_mean = tl.load(mean + channel, mask=real, other=0.0).to(tl.float64)
    centre, scale, shift, inv_std, rest = line(known_mean, load(var, channel, real), weight, bias, channel, real, eps)
    of_weight = tl.fma(rest, of_bias, product) * inv_std
    tl.store(grad_bias + channel, of_bias, mask=real)
    tl.store(grad_weight + channel, of_weight, mask=real)
    # what is left to do is a line for each element
    slope = of_weight * inv_std / count
    tl.store(lines + channel, centre, mask=real)
    tl.store(lines + channels + channel, scale, mask=real)
    tl.store(lines + 2 * channels + channel, shift, mask=real)
    tl.store(lines + 3 * channels + channel, slope, mask=real)
    tl.store(lines + 4 * channels + channel, tl.fma(rest, slope, of_bias / count), mask=real)


@triton.jit
def gradient_of_x(
    grad_y,
    x,
    lines,
    grad_x,
    n,
    channels,
    length,
    relu: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
    planes: tl.constexpr,
    align: tl.constexpr,
):
    """The gradient without its component along 1 and that along x_hat, times the scale."""
    at, inside, channel, real, _, _ = tile(n, channels, length, rows, columns, planes, align)
    # load both, and mask the gradient
    gradient = load(grad_y, at, inside)
    centred = load(x, at, inside) - load(lines, channel, real)
    scale = load(lines + channels, channel, real)
    if relu:
        output = tl.fma(centred, scale, load(lines + 2 * channels, channel, real))
        gradient = rectify(gradient, output.to(x.dtype.element_ty))
    # subtract both components
    slope, level = load(lines + 3 * channels, channel, real), load(lines + 4 * channels, channel, real)
    result = scale * (gradient - level - centred * slope)
    tl.store(grad_x + at, result.to(grad_x.dtype.element_ty), mask=inside)


@triton.jit
def resident_backward(
    grad_y,
    x,
    y,
    mean,
    var,
    weight,
    bias,
    grad_residual,
    grad_x,
    grad_weight,
    grad_bias,
    eps,
    n,
    channels,
    length,
    relu: tl.constexpr,
    constant: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
    planes: tl.constexpr,
    align: tl.constexpr,
):
    """All of it at once, for a channel that fits one tile: both inputs are read once and stay in registers."""
    at, inside, channel, real, count, _ = tile(n, channels, length, rows, columns, planes, align)
    known_mean = tl.load(mean + channel, mask=real, other=0.0).to(tl.float64)
    centre, scale, shift, inv_std, rest = line(known_mean, load(var, channel, real), weight, bias, channel, real, eps)
    gradient, centred = masked(grad_y, x, y, grad_residual, at, inside, centre, scale, shift, relu)
    centred += rest  # from here on about the mean
    # both sums
    of_bias = per_channel(gradient, planes)
    of_weight = per_channel(gradient * centred, planes) * inv_std
    tl.store(grad_bias + channel, of_bias, mask=real)
    tl.store(grad_weight + channel, of_weight, mask=real)
    # both components taken out, as in `gradient_of_x`
    if not constant:
        gradient = gradient - of_bias / count - centred * (of_weight * inv_std / count)
    tl.store(grad_x + at, (scale * gradient).to(grad_x.dtype.element_ty), mask=inside)
