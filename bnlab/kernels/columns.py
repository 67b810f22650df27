"""Batch norm on the CPU of `(rows, columns)` arrays: vectors `(n, c)`, and images in the layout channels_last.

A channel has no neighbours of its own there, so the runs of `planes` would be one value long. Instead a row is taken
whole, each column with sums, a pilot and a line of its own; columns j, j + c, j + 2c, ... are one channel, since rows
of few channels are joined to longer ones before they come here.

Threads share out blocks of rows, in one launch for the sums and one for what is made of them. So memory is read twice:
only an array that fits the cache is spared the second time. How sums are taken is told in `planes`.
"""

from typing import Any

import numpy as np
from numba import njit, prange

# Sums in any order, so that they vectorise, while NaN and infinity stay what they are; 1 / 0 is infinity, as in NumPy.
COMPILED: dict[str, Any] = {"cache": True, "fastmath": {"reassoc", "contract"}, "error_model": "numpy"}
ROWS = 256  # rows whose sum is taken in the input's dtype
PILOT = 64  # values of which the pilot is the mean; a single one might be an outlier
FAR = 4  # a pilot is, if the square of its distance from the mean is as many variances; then sums are taken again
BLOCKS = 64  # of rows, at most: a number of their own, so that more threads change no digit


@njit(parallel=True, **COMPILED)
def forward(x, residual, adding, weight, bias, eps, relu, y, mean, var):
    """Write `y`, and in float64 the mean and the biased variance of each channel; see `planes`."""
    rows, columns = x.shape
    c, count = mean.size, rows * columns // mean.size
    block = max(ROWS, (rows + BLOCKS - 1) // BLOCKS)
    blocks = (rows + block - 1) // block
    pilot = np.empty(columns, x.dtype)
    _pilots(x, c, pilot)
    for _ in range(2):
        sums = np.zeros((blocks, 2, columns))
        for number in prange(blocks):
            _add_moments(x, number * block, min(number * block + block, rows), pilot, sums[number])
        if not _statistics(_by_channel(sums, c), count, pilot, mean, var):
            break
    lines = np.empty((3, columns), x.dtype)
    _lines(mean, var, weight, bias, eps, lines)
    for number in prange(blocks):
        for i in range(number * block, min(number * block + block, rows)):
            if not adding:
                _apply(x, i, lines, relu, y)
            else:
                _apply_and_add(x, residual, i, lines, relu, y)


@njit(parallel=True, **COMPILED)
def inference(x, residual, adding, mean, var, weight, bias, eps, relu, y):
    """Write `y` by statistics that are given."""
    rows, columns = x.shape
    block = (rows + BLOCKS - 1) // BLOCKS
    lines = np.empty((3, columns), x.dtype)
    _lines(mean, var, weight, bias, eps, lines)
    for number in prange((rows + block - 1) // block):
        for i in range(number * block, min(number * block + block, rows)):
            if not adding:
                _apply(x, i, lines, relu, y)
            else:
                _apply_and_add(x, residual, i, lines, relu, y)


@njit(parallel=True, **COMPILED)
def backward(
    grad_y, x, y, adding, mean, var, weight, bias, eps, relu, constant, grad_x, grad_residual, grad_weight, grad_bias
):
    """Write the gradients, as `planes.backward` does."""
    rows, columns = x.shape
    c, count = mean.size, rows * columns // mean.size
    block = max(ROWS, (rows + BLOCKS - 1) // BLOCKS)
    blocks = (rows + block - 1) // block
    lines = np.empty((3, columns), x.dtype)
    _lines(mean, var, weight, bias, eps, lines)
    sums = np.zeros((blocks, 2, columns))
    for number in prange(blocks):
        first, last = number * block, min(number * block + block, rows)
        if not adding:
            _add_gradients(grad_y, x, first, last, lines, relu, sums[number])
        else:
            for i in range(first, last):
                _pass_through(grad_y, y, i, grad_residual)
            _add_gradients(grad_residual, x, first, last, lines, False, sums[number])
    found = _by_channel(sums, c)
    slopes = np.zeros((2, columns), x.dtype)
    for channel in range(c):
        inv_std, rounded = 1 / np.sqrt(var[channel] + eps), mean[channel] - lines[0, channel]
        product = found[1, channel] - rounded * found[0, channel]
        grad_bias[channel], grad_weight[channel] = found[0, channel], product * inv_std
        if not constant:
            slope = -weight[channel] * inv_std**3 * product / count
            slopes[0, channel] = slope
            slopes[1, channel] = -weight[channel] * inv_std * found[0, channel] / count - slope * rounded
    for left in range(c, columns, c):
        slopes[:, left : left + c] = slopes[:, :c]
    for number in prange(blocks):
        for i in range(number * block, min(number * block + block, rows)):
            if not adding:
                _gradient(grad_y, x, i, lines, slopes, relu, grad_x)
            else:
                _gradient(grad_residual, x, i, lines, slopes, False, grad_x)


@njit(**COMPILED)
def _add_moments(x, first, last, pilot, sums):
    """Add, column by column, sum and sum of squares of what lies above the pilot in some rows."""
    for start in range(first, last, ROWS):
        stop = min(start + ROWS, last)
        total, squares = np.zeros(pilot.size, x.dtype), np.zeros(pilot.size, x.dtype)
        for i in range(start, stop - 3, 4):  # four rows at once, since each time all sums are loaded and stored
            for j in range(pilot.size):
                a, b, c, d = x[i, j] - pilot[j], x[i + 1, j] - pilot[j], x[i + 2, j] - pilot[j], x[i + 3, j] - pilot[j]
                total[j] += (a + b) + (c + d)
                squares[j] += (a * a + b * b) + (c * c + d * d)
        for i in range(stop - (stop - start) % 4, stop):
            for j in range(pilot.size):
                a = x[i, j] - pilot[j]
                total[j] += a
                squares[j] += a * a
        for j in range(pilot.size):
            sums[0, j] += total[j]
            sums[1, j] += squares[j]


@njit(**COMPILED)
def _pilots(x, c, pilot):
    """The mean of some of a channel's values, exactly their value if they are all the same; by column."""
    count, above = min(x.shape[0], PILOT), np.zeros(c)
    for i in range(count):
        row = i * x.shape[0] // count  # from all over, since those of one image resemble one another
        for channel in range(c):
            above[channel] += x[row, channel] - x[0, channel]
    for channel in range(c):
        found = x[0, channel] + above[channel] / count
        pilot[channel] = found if np.isfinite(found) else 0.0  # as in `planes`
    for left in range(c, pilot.size, c):
        pilot[left : left + c] = pilot[:c]


@njit(**COMPILED)
def _statistics(found, count, pilot, mean, var):
    """Mean and variance; tell whether a pilot was far from the mean, and if so put the mean in its place."""
    c, far = mean.size, False
    for channel in range(c):
        above = found[0, channel] / count
        mean[channel] = pilot[channel] + above
        var[channel] = max(found[1, channel] / count - above * above, 0.0)  # in this order a NaN stays
        if above * above > FAR * var[channel]:
            pilot[channel], far = mean[channel], True
    for left in range(c, pilot.size, c):
        pilot[left : left + c] = pilot[:c]
    return far


@njit(**COMPILED)
def _by_channel(sums, c):
    """Sums of blocks and columns (blocks, 2, columns) as those of channels (2, c)."""
    found = np.zeros((2, c))
    for number in range(sums.shape[0]):
        for left in range(0, sums.shape[2], c):
            found += sums[number, :, left : left + c]
    return found


@njit(**COMPILED)
def _lines(mean, var, weight, bias, eps, lines):
    """For each column the output as a line through a centre: y = (x - centre) * scale + shift; see `planes`."""
    c = mean.size
    for channel in range(c):
        scale = weight[channel] / np.sqrt(var[channel] + eps)
        lines[0, channel], lines[1, channel] = mean[channel], scale
        lines[2, channel] = bias[channel] - (mean[channel] - lines[0, channel]) * scale
    for left in range(c, lines.shape[1], c):
        lines[:, left : left + c] = lines[:, :c]


@njit(**COMPILED)
def _apply(x, i, lines, relu, out):
    zero = x.dtype.type(0)
    for j in range(x.shape[1]):
        value = (x[i, j] - lines[0, j]) * lines[1, j] + lines[2, j]
        out[i, j] = zero if relu and value < zero else value


@njit(**COMPILED)
def _apply_and_add(x, residual, i, lines, relu, out):
    zero = x.dtype.type(0)
    for j in range(x.shape[1]):
        value = (x[i, j] - lines[0, j]) * lines[1, j] + lines[2, j] + residual[i, j]
        out[i, j] = zero if relu and value < zero else value


@njit(**COMPILED)
def _add_gradients(grad, x, first, last, lines, relu, sums):
    """Add, column by column, the sums of the gradient behind the ReLU and of its product with the centred input."""
    zero = x.dtype.type(0)
    for start in range(first, last, ROWS):
        total, product = np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
        stop = min(start + ROWS, last)
        for i in range(start, stop - 1, 2):  # two rows at once, as in `_add_moments`
            for j in range(x.shape[1]):
                a, b = x[i, j] - lines[0, j], x[i + 1, j] - lines[0, j]
                one = zero if relu and a * lines[1, j] + lines[2, j] <= zero else grad[i, j]  # rounded as in `_apply`
                two = zero if relu and b * lines[1, j] + lines[2, j] <= zero else grad[i + 1, j]
                total[j] += one + two
                product[j] += one * a + two * b
        for i in range(stop - (stop - start) % 2, stop):
            for j in range(x.shape[1]):
                a = x[i, j] - lines[0, j]
                one = zero if relu and a * lines[1, j] + lines[2, j] <= zero else grad[i, j]
                total[j] += one
                product[j] += one * a
        for j in range(x.shape[1]):
            sums[0, j] += total[j]
            sums[1, j] += product[j]


@njit(**COMPILED)
def _pass_through(grad, y, i, passed):
    zero = grad.dtype.type(0)
    for j in range(grad.shape[1]):
        passed[i, j] = zero if y[i, j] <= zero else grad[i, j]


@njit(**COMPILED)
def _gradient(grad, x, i, lines, slopes, relu, out):
    zero = x.dtype.type(0)
    for j in range(x.shape[1]):
        above = x[i, j] - lines[0, j]
        passed = zero if relu and above * lines[1, j] + lines[2, j] <= zero else grad[i, j]
        out[i, j] = passed * lines[1, j] + (above * slopes[0, j] + slopes[1, j])
