"""Batch norm of `(n, c, length)` arrays on the CPU: channel by channel, each in n runs of `length` neighbours.

A thread takes a slab, a few neighbouring channels of all images, and sweeps over it twice: once for sums, once for what
is made of them. The slab is small, so that the second sweep finds it in the cache and memory is read once; and it holds
several channels where the runs of one are short, since the processor fetches ahead only along a run.

Sums are taken of what lies above a pilot mean, so that a large mean costs no digits: in the input's dtype over a run,
where they are fast, then in float64. If the pilot proves far from the mean, they are taken once more, above the mean.
numba compiles a function for the dtypes it meets and keeps the result on disk; it does not notice a change in another
file, so all that a kernel calls stands in its own.
"""

from typing import Any

import numpy as np
from numba import njit, prange

# Sums in any order, so that they vectorise, while NaN and infinity stay what they are; 1 / 0 is infinity, as in NumPy.
COMPILED: dict[str, Any] = {"cache": True, "fastmath": {"reassoc", "contract"}, "error_model": "numpy"}
RUN = 4096  # values whose sum is taken in the input's dtype
PILOT = 64  # values of which the pilot is the mean; a single one might be an outlier
FAR = 4  # a pilot is, if the square of its distance from the mean is as many variances; then sums are taken again
SLAB = 1 << 18  # values: 1 MB of float32, a usual second-level cache
NEIGHBOURS = 16  # channels in a slab, at most


def channels_of_a_slab(shape: tuple[int, ...], *, arrays: int, threads: int) -> int:
    """How many channels a thread sweeps together: as many as fit, unless some threads would get none.

    >>> [channels_of_a_slab(shape, arrays=1, threads=2) for shape in ((32, 64, 56 * 56), (8, 256, 14 * 14), (8, 3, 9))]
    [2, 16, 1]
    """
    n, c, length = shape
    return max(min(SLAB // max(n * length * arrays, 1), NEIGHBOURS, c // (2 * threads)), 1)


@njit(parallel=True, **COMPILED)
def forward(x, residual, adding, weight, bias, eps, relu, slab, y, mean, var):
    """Write `y`, and in float64 the mean and the biased variance of each channel.

    `residual` is added if `adding`, and is any array of its type otherwise: None would be another type to compile for.
    """
    n, c, length = x.shape
    for number in prange((c + slab - 1) // slab):
        first, last = number * slab, min(number * slab + slab, c)
        lines = np.empty((slab, 3), x.dtype)
        for j in range(first, last):  # the first sweep: sums above the pilot, which `mean` keeps meanwhile
            mean[j], var[j] = _pilot(x[0, j]), 0.0
        total = np.zeros(slab)
        for i in range(n):
            for j in range(first, last):
                one, two = _moments(x, i, j, x.dtype.type(mean[j]))
                total[j - first] += one
                var[j] += two
        for j in range(first, last):
            if _statistics(j, total[j - first], n * length, mean, var):
                again = 0.0
                mean[j], var[j] = x.dtype.type(mean[j]), 0.0
                for i in range(n):
                    one, two = _moments(x, i, j, x.dtype.type(mean[j]))
                    again += one
                    var[j] += two
                _statistics(j, again, n * length, mean, var)
            _line(mean[j], var[j], weight[j], bias[j], eps, lines[j - first])
        for i in range(n):  # the second: the output
            for j in range(first, last):
                if not adding:
                    _apply(x, i, j, lines[j - first], relu, y)
                else:
                    _apply_and_add(x, residual, i, j, lines[j - first], relu, y)


@njit(parallel=True, **COMPILED)
def inference(x, residual, adding, mean, var, weight, bias, eps, relu, y):
    """Write `y` by statistics that are given."""
    n, c, _ = x.shape
    lines = np.empty((c, 3), x.dtype)
    for j in range(c):
        _line(mean[j], var[j], weight[j], bias[j], eps, lines[j])
    for i in prange(n):
        for j in range(c):
            if not adding:
                _apply(x, i, j, lines[j], relu, y)
            else:
                _apply_and_add(x, residual, i, j, lines[j], relu, y)


@njit(parallel=True, **COMPILED)
def backward(
    grad_y,
    x,
    y,
    adding,
    mean,
    var,
    weight,
    bias,
    eps,
    relu,
    constant,
    slab,
    grad_x,
    grad_residual,
    grad_weight,
    grad_bias,
):
    """Write the gradients of `x`, of the residual if `adding`, and in float64 of `weight` and `bias`.

    With a residual the ReLU's mask is read from the output `y`; without, it is computed again, and neither `y` nor
    `grad_residual` is touched. `constant` says that the statistics do not depend on `x`.
    """
    n, c, length = x.shape
    for number in prange((c + slab - 1) // slab):
        first, last = number * slab, min(number * slab + slab, c)
        lines, slopes = np.empty((slab, 3), x.dtype), np.zeros((slab, 2), x.dtype)
        total, product = np.zeros(slab), np.zeros(slab)
        for j in range(first, last):
            _line(mean[j], var[j], weight[j], bias[j], eps, lines[j - first])
        for i in range(n):  # the first sweep: the sums of the gradient, and of its product with the centred input
            for j in range(first, last):
                k = j - first
                if not adding:
                    one, two = _gradient_sums(grad_y, x, i, j, lines[k], relu)
                else:
                    _pass_through(grad_y, y, i, j, grad_residual)
                    one, two = _gradient_sums(grad_residual, x, i, j, lines[k], False)
                total[k] += one
                product[k] += two
        for j in range(first, last):
            k, inv_std, rounded = j - first, 1 / np.sqrt(var[j] + eps), mean[j] - lines[j - first, 0]
            product[k] -= rounded * total[k]
            grad_bias[j], grad_weight[j] = total[k], product[k] * inv_std
            if not constant:
                slope = -weight[j] * inv_std**3 * product[k] / (n * length)
                slopes[k, 0] = slope
                slopes[k, 1] = -weight[j] * inv_std * total[k] / (n * length) - slope * rounded
        for i in range(n):  # the second: the gradient of the input
            for j in range(first, last):
                k = j - first
                if not adding:
                    _gradient(grad_y, x, i, j, lines[k], slopes[k], relu, grad_x)
                else:
                    _gradient(grad_residual, x, i, j, lines[k], slopes[k], False, grad_x)


@njit(**COMPILED)
def _pilot(run):
    """The mean of the first values, exactly their value if they are all the same; 0 if that is no number."""
    first, count, above = run[0], min(run.size, PILOT), 0.0
    for i in range(count):
        above += run[i] - first
    found = first + above / count
    return run.dtype.type(found if np.isfinite(found) else 0.0)  # so that the mean of an infinity is infinite


@njit(**COMPILED)
def _moments(x, i, j, pilot):
    """Sum and sum of squares of what lies above the pilot in a run."""
    total, squares = 0.0, 0.0
    for start in range(0, x.shape[2], RUN):
        part, part_total, part_squares = x[i, j, start : start + RUN], x.dtype.type(0), x.dtype.type(0)
        for k in range(part.size):
            above = part[k] - pilot
            part_total += above
            part_squares += above * above
        total += part_total
        squares += part_squares
    return total, squares


@njit(**COMPILED)
def _statistics(j, total, count, mean, var):
    """Make the pilot the mean, and the sum of squares the variance; tell whether the pilot was far from the mean."""
    above = total / count
    mean[j] += above
    var[j] = max(var[j] / count - above * above, 0.0)  # in this order a NaN stays
    return above * above > FAR * var[j]


@njit(**COMPILED)
def _line(mean, var, weight, bias, eps, line):
    """The output as a line through a centre: y = (x - centre) * scale + shift, where x - centre loses no digits."""
    scale = weight / np.sqrt(var + eps)
    line[0] = mean
    line[1] = scale
    line[2] = bias - (mean - line[0]) * scale


@njit(**COMPILED)
def _apply(x, i, j, line, relu, y):
    centre, scale, shift, zero = line[0], line[1], line[2], x.dtype.type(0)
    for k in range(x.shape[2]):
        value = (x[i, j, k] - centre) * scale + shift
        y[i, j, k] = zero if relu and value < zero else value  # a NaN stays


@njit(**COMPILED)
def _apply_and_add(x, residual, i, j, line, relu, y):
    centre, scale, shift, zero = line[0], line[1], line[2], x.dtype.type(0)
    for k in range(x.shape[2]):
        value = (x[i, j, k] - centre) * scale + shift + residual[i, j, k]
        y[i, j, k] = zero if relu and value < zero else value


@njit(**COMPILED)
def _gradient_sums(grad, x, i, j, line, relu):
    """Sums of the gradient behind the ReLU and of its product with the centred input, of a run."""
    centre, scale, shift, zero = line[0], line[1], line[2], x.dtype.type(0)
    total, product = 0.0, 0.0
    for start in range(0, x.shape[2], RUN):
        part, part_grad = x[i, j, start : start + RUN], grad[i, j, start : start + RUN]
        part_total, part_product = zero, zero
        for k in range(part.size):
            above = part[k] - centre
            passed = zero if relu and above * scale + shift <= zero else part_grad[k]  # rounded as in `_apply`
            part_total += passed
            part_product += passed * above
        total += part_total
        product += part_product
    return total, product


@njit(**COMPILED)
def _pass_through(grad, y, i, j, passed):
    zero = grad.dtype.type(0)
    for k in range(grad.shape[2]):
        passed[i, j, k] = zero if y[i, j, k] <= zero else grad[i, j, k]


@njit(**COMPILED)
def _gradient(grad, x, i, j, line, slopes, relu, grad_x):
    centre, scale, shift, slope, level, zero = line[0], line[1], line[2], slopes[0], slopes[1], x.dtype.type(0)
    for k in range(x.shape[2]):
        above = x[i, j, k] - centre
        passed = zero if relu and above * scale + shift <= zero else grad[i, j, k]
        grad_x[i, j, k] = passed * scale + (above * slope + level)
