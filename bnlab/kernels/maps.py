"""Batch norm on the CPU of small maps, `(n, blocks, columns)`: each block holds the maps of several channels, whole.

The runs of `planes` would be short here, and starting a loop would cost as much as the loop. Instead a thread takes a
block, adds up the n images column by column, and then the columns of each channel; a block is small, so that the second
sweep finds it in the cache. Pilots, sums and lines are those that `planes` tells of, one for each column.
"""

from typing import Any

import numpy as np
from numba import njit, prange

# Sums in any order, so that they vectorise, while NaN and infinity stay what they are; 1 / 0 is infinity, as in NumPy.
COMPILED: dict[str, Any] = {"cache": True, "fastmath": {"reassoc", "contract"}, "error_model": "numpy"}
PILOT = 64  # values of which the pilot is the mean, at least; a single one might be an outlier
FAR = 4  # a pilot is, if the square of its distance from the mean is as many variances; then sums are taken again
IMAGES = 256  # whose sum is taken in the input's dtype


@njit(parallel=True, **COMPILED)
def forward(x, residual, adding, weight, bias, eps, relu, y, mean, var):
    """Write `y`, and in float64 the mean and the biased variance of each channel; see `planes`."""
    n, blocks, columns = x.shape
    length = blocks * columns // mean.size
    for b in prange(blocks):
        channels, count = range(b * columns // length, (b + 1) * columns // length), n * length
        pilot, lines = np.empty(columns, x.dtype), np.empty((3, columns), x.dtype)
        for k in range(len(channels)):
            pilot[k * length : (k + 1) * length] = _pilot(x, b, k * length, (k + 1) * length)
        for _ in range(2):
            sums, far = np.zeros((2, columns)), False
            _add_moments(x, b, pilot, sums)
            for k, channel in enumerate(channels):
                above = sums[0, k * length : (k + 1) * length].sum() / count
                square = sums[1, k * length : (k + 1) * length].sum() / count
                mean[channel] = pilot[k * length] + above
                var[channel] = max(square - above * above, 0.0)  # in this order a NaN stays
                if above * above > FAR * var[channel]:
                    pilot[k * length : (k + 1) * length], far = mean[channel], True
            if not far:
                break
        _lines(mean, var, weight, bias, eps, channels, length, lines)
        for i in range(n):
            if not adding:
                _apply(x, i, b, lines, relu, y)
            else:
                _apply_and_add(x, residual, i, b, lines, relu, y)


@njit(parallel=True, **COMPILED)
def inference(x, residual, adding, mean, var, weight, bias, eps, relu, y):
    """Write `y` by statistics that are given."""
    n, blocks, columns = x.shape
    length = blocks * columns // mean.size
    for b in prange(blocks):
        lines = np.empty((3, columns), x.dtype)
        _lines(mean, var, weight, bias, eps, range(b * columns // length, (b + 1) * columns // length), length, lines)
        for i in range(n):
            if not adding:
                _apply(x, i, b, lines, relu, y)
            else:
                _apply_and_add(x, residual, i, b, lines, relu, y)


@njit(parallel=True, **COMPILED)
def backward(
    grad_y, x, y, adding, mean, var, weight, bias, eps, relu, constant, grad_x, grad_residual, grad_weight, grad_bias
):
    """Write the gradients, as `planes.backward` does."""
    n, blocks, columns = x.shape
    length = blocks * columns // mean.size
    for b in prange(blocks):
        channels, count = range(b * columns // length, (b + 1) * columns // length), n * length
        lines, slopes = np.empty((3, columns), x.dtype), np.zeros((2, columns), x.dtype)
        _lines(mean, var, weight, bias, eps, channels, length, lines)
        sums = np.zeros((2, columns))
        if not adding:
            _add_gradients(grad_y, x, b, lines, relu, sums)
        else:
            for i in range(n):
                _pass_through(grad_y, y, i, b, grad_residual)
            _add_gradients(grad_residual, x, b, lines, False, sums)
        for k, channel in enumerate(channels):
            left, right = k * length, (k + 1) * length
            inv_std, rounded = 1 / np.sqrt(var[channel] + eps), mean[channel] - lines[0, left]
            total = sums[0, left:right].sum()
            product = sums[1, left:right].sum() - rounded * total
            grad_bias[channel], grad_weight[channel] = total, product * inv_std
            if not constant:
                slope = -weight[channel] * inv_std**3 * product / count
                slopes[0, left:right] = slope
                slopes[1, left:right] = -weight[channel] * inv_std * total / count - slope * rounded
        for i in range(n):
            if not adding:
                _gradient(grad_y, x, i, b, lines, slopes, relu, grad_x)
            else:
                _gradient(grad_residual, x, i, b, lines, slopes, False, grad_x)


@njit(**COMPILED)
def _pilot(x, b, left, right):
    """The mean of the first values of some columns, exactly their value if they are all the same; see `planes`."""
    first, above, count = x[0, b, left], 0.0, 0
    for i in range(min(x.shape[0], (PILOT + right - left - 1) // (right - left))):
        for j in range(left, right):
            above += x[i, b, j] - first
            count += 1
    found = first + above / count
    return x.dtype.type(found if np.isfinite(found) else 0.0)


@njit(**COMPILED)
def _add_moments(x, b, pilot, sums):
    """Add, column by column, sum and sum of squares of what lies above the pilot."""
    for start in range(0, x.shape[0], IMAGES):
        stop = min(start + IMAGES, x.shape[0])
        total, squares = np.zeros(pilot.size, x.dtype), np.zeros(pilot.size, x.dtype)
        for i in range(start, stop - 1, 2):  # two images at once, since each time all sums are loaded and stored
            for j in range(pilot.size):
                one, two = x[i, b, j] - pilot[j], x[i + 1, b, j] - pilot[j]
                total[j] += one + two
                squares[j] += one * one + two * two
        for i in range(stop - (stop - start) % 2, stop):
            for j in range(pilot.size):
                one = x[i, b, j] - pilot[j]
                total[j] += one
                squares[j] += one * one
        for j in range(pilot.size):
            sums[0, j] += total[j]
            sums[1, j] += squares[j]


@njit(**COMPILED)
def _lines(mean, var, weight, bias, eps, channels, length, lines):
    """For each column the output as a line through a centre: y = (x - centre) * scale + shift; see `planes`."""
    for k, channel in enumerate(channels):
        scale, centre = weight[channel] / np.sqrt(var[channel] + eps), lines.dtype.type(mean[channel])
        lines[0, k * length : (k + 1) * length] = centre
        lines[1, k * length : (k + 1) * length] = scale
        lines[2, k * length : (k + 1) * length] = bias[channel] - (mean[channel] - centre) * scale


@njit(**COMPILED)
def _apply(x, i, b, lines, relu, y):
    zero = x.dtype.type(0)
    for j in range(x.shape[2]):
        value = (x[i, b, j] - lines[0, j]) * lines[1, j] + lines[2, j]
        y[i, b, j] = zero if relu and value < zero else value  # a NaN stays


@njit(**COMPILED)
def _apply_and_add(x, residual, i, b, lines, relu, y):
    zero = x.dtype.type(0)
    for j in range(x.shape[2]):
        value = (x[i, b, j] - lines[0, j]) * lines[1, j] + lines[2, j] + residual[i, b, j]
        y[i, b, j] = zero if relu and value < zero else value


@njit(**COMPILED)
def _add_gradients(grad, x, b, lines, relu, sums):
    """Add, column by column, the sums of the gradient behind the ReLU and of its product with the centred input."""
    zero = x.dtype.type(0)
    for start in range(0, x.shape[0], IMAGES):
        total, product = np.zeros(x.shape[2], x.dtype), np.zeros(x.shape[2], x.dtype)
        stop = min(start + IMAGES, x.shape[0])
        for i in range(start, stop - 1, 2):  # two images at once, as in `_add_moments`
            for j in range(x.shape[2]):
                a, c = x[i, b, j] - lines[0, j], x[i + 1, b, j] - lines[0, j]
                one = (
                    zero if relu and a * lines[1, j] + lines[2, j] <= zero else grad[i, b, j]
                )  # rounded as in `_apply`
                two = zero if relu and c * lines[1, j] + lines[2, j] <= zero else grad[i + 1, b, j]
                total[j] += one + two
                product[j] += one * a + two * c
        for i in range(stop - (stop - start) % 2, stop):
            for j in range(x.shape[2]):
                a = x[i, b, j] - lines[0, j]
                one = zero if relu and a * lines[1, j] + lines[2, j] <= zero else grad[i, b, j]
                total[j] += one
                product[j] += one * a
        for j in range(x.shape[2]):
            sums[0, j] += total[j]
            sums[1, j] += product[j]


@njit(**COMPILED)
def _pass_through(grad, y, i, b, passed):
    zero = grad.dtype.type(0)
    for j in range(grad.shape[2]):
        passed[i, b, j] = zero if y[i, b, j] <= zero else grad[i, b, j]


@njit(**COMPILED)
def _gradient(grad, x, i, b, lines, slopes, relu, grad_x):
    zero = x.dtype.type(0)
    for j in range(x.shape[2]):
        above = x[i, b, j] - lines[0, j]
        passed = zero if relu and above * lines[1, j] + lines[2, j] <= zero else grad[i, b, j]
        grad_x[i, b, j] = passed * lines[1, j] + (above * slopes[0, j] + slopes[1, j])
