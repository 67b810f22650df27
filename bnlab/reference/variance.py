"""Six ways to compute a mean and a variance, each accumulating in the dtype of its input.

On paper they are equal. In float32 they part as soon as the mean is large beside the spread, as it can be in data
that nobody has centred; to show that, the dtype is kept here, and nowhere else in `bnlab.reference`. Every variance is
biased (divided by the count), as batch normalisation needs it. NaN passes through all six.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float

MeanAndVariance: TypeAlias = tuple[np.floating[Any], np.floating[Any]]


class Moments(NamedTuple):
    """What two sets of values need in order to be merged; `mean` and `m2` are scalars, or arrays over channels.

    Attributes:
        count: how many values.
        mean: their mean.
        m2: the sum of their squared distances from the mean: `count` times the biased variance.
    """

    count: int  # type: ignore[assignment]  # hides tuple.count, which a record has no use for
    mean: Any
    m2: Any


def merge(a: Moments, b: Moments) -> Moments:
    """Moments of two sets taken together (Chan, Golub & LeVeque 1983, doi:10.1080/00031305.1983.10483115).

    Beside the spread within each set there is the spread between their two means. `mean` and `m2` keep the dtype of the
    arguments'. An empty set, `Moments(0, 0, 0)`, changes nothing; NaN passes through.

    Args:
        a: moments of one set.
        b: moments of the other.

    Returns:
        The moments of the union.

    Example:
        >>> merge(Moments(count=2, mean=2.0, m2=2.0), Moments(count=1, mean=8.0, m2=0.0))  # 1 and 3, then 8
        Moments(count=3, mean=4.0, m2=26.0)
    """
    count = a.count + b.count
    share_of_b = b.count / max(count, 1)
    delta = b.mean - a.mean
    mean = a.mean + delta * share_of_b
    m2 = a.m2 + b.m2 + delta * delta * (a.count * share_of_b)
    return Moments(count, mean, m2)


def two_pass(x: Float[np.ndarray, " count"]) -> MeanAndVariance:
    """Mean first, then the mean square of what is left (the definition, as in Ioffe & Szegedy 2015, Algorithm 1).

    Sums run in order, in the dtype of `x`. The centred values are small, so their squares are safe; what remains is the
    error of the mean, which enters the variance squared: little, unless a long sum of large values has lost the mean.

    Args:
        x: values, float32 or float64.

    Returns:
        The mean and the biased variance, in the dtype of `x`.

    Raises:
        ValueError: `x` is not one-dimensional, has no values, or has another dtype.

    Example:
        >>> two_pass(np.array([1.0, 3.0, 8.0]))
        (np.float64(4.0), np.float64(8.666666666666666))
    """
    _check(x)
    mean = _sum_in_order(x) / x.size
    return mean, _sum_in_order((x - mean) ** 2) / x.size


def raw_moments(x: Float[np.ndarray, " count"]) -> MeanAndVariance:
    """E[x^2] - E[x]^2 in one pass: two large numbers, nearly equal, are subtracted (Chan, Golub & LeVeque 1983).

    Sums run in order, in the dtype of `x`. With a mean `k` standard deviations from zero the difference loses about
    `2 log10(k)` digits, of the seven that float32 has; the result can even be negative.

    Args:
        x: values, float32 or float64.

    Returns:
        The mean and what should be the biased variance, in the dtype of `x`.

    Raises:
        ValueError: `x` is not one-dimensional, has no values, or has another dtype.

    Example:
        These two triples have the same variance, 2/9. Near 25,000,000 float32 holds even numbers only, so the squares
        of the second are rounded:

        >>> raw_moments(np.array([1.0, 1.0, 2.0], np.float32))[1].round(3)
        np.float32(0.222)
        >>> raw_moments(np.array([5001.0, 5001.0, 5002.0], np.float32))[1]
        np.float32(-2.0)
    """
    _check(x)
    mean = _sum_in_order(x) / x.size
    return mean, _sum_in_order(x * x) / x.size - mean * mean


def shifted(x: Float[np.ndarray, " count"]) -> MeanAndVariance:
    """E[d^2] - E[d]^2 of `d = x - x[0]`: one pass, with the common offset gone (Chan, Golub & LeVeque 1983).

    Sums run in order, in the dtype of `x`. Moving every value by one constant moves the mean and leaves the variance,
    and the first value is near enough to the mean, unless it is an outlier.

    Args:
        x: values, float32 or float64.

    Returns:
        The mean and the biased variance, in the dtype of `x`.

    Raises:
        ValueError: `x` is not one-dimensional, has no values, or has another dtype.

    Example:
        >>> shifted(np.array([5001.0, 5001.0, 5002.0], np.float32))[1].round(3)
        np.float32(0.222)
    """
    _check(x)
    mean, var = raw_moments(x - x[0])
    return x[0] + mean, var


def welford(x: Float[np.ndarray, " count"]) -> MeanAndVariance:
    """One value at a time, a running mean corrected as it goes (Welford 1962, doi:10.1080/00401706.1962.10490022).

    Everything runs in the dtype of `x`. The step multiplies the distance from the old mean by that from the new, which
    have one sign, so `m2` only ever grows.

    Args:
        x: values, float32 or float64.

    Returns:
        The mean and the biased variance, in the dtype of `x`.

    Raises:
        ValueError: `x` is not one-dimensional, has no values, or has another dtype.

    Example:
        >>> welford(np.array([5001.0, 5001.0, 5002.0], np.float32))[1].round(3)
        np.float32(0.222)
    """
    _check(x)
    mean = m2 = x.dtype.type(0)
    for count, value in enumerate(x, start=1):
        delta = value - mean
        mean = mean + delta / count
        m2 = m2 + delta * (value - mean)
    return mean, m2 / x.size


def chan(x: Float[np.ndarray, " count"], *, block: int = 256) -> MeanAndVariance:
    """Blocks of values, each in two passes, merged from left to right (Chan, Golub & LeVeque 1983).

    Everything runs in the dtype of `x`. No block waits for another: this is how threads, and whole machines, share the
    work.

    Args:
        x: values, float32 or float64.
        block: values in a block; the last may have fewer.

    Returns:
        The mean and the biased variance, in the dtype of `x`.

    Raises:
        ValueError: `x` is not one-dimensional, has no values, or has another dtype, or `block` is below 1.

    Example:
        >>> chan(np.array([5001.0, 5001.0, 5002.0], np.float32), block=2)[1].round(3)
        np.float32(0.222)
    """
    _check(x)
    if block < 1:
        raise ValueError(f"block must be at least 1, got {block}")
    blocks = (x[start : start + block] for start in range(0, x.size, block))
    _, mean, m2 = reduce(merge, map(_moments, blocks))
    return mean, m2 / x.size


def pairwise(x: Float[np.ndarray, " count"]) -> MeanAndVariance:
    """Halve until the pieces are small, then merge them back as a tree (Chan, Golub & LeVeque 1983).

    Everything runs in the dtype of `x`. A value takes part in about `log2(count)` merges where a running sum adds
    `count` times, so rounding hardly grows with the number of values.

    Args:
        x: values, float32 or float64.

    Returns:
        The mean and the biased variance, in the dtype of `x`.

    Raises:
        ValueError: `x` is not one-dimensional, has no values, or has another dtype.

    Example:
        >>> pairwise(np.array([5001.0, 5001.0, 5002.0], np.float32))[1].round(3)
        np.float32(0.222)
    """
    _check(x)

    def tree(part: np.ndarray) -> Moments:
        if part.size <= 128:  # down to single values the tree would cost far more and gain little
            return _moments(part)
        half = part.size // 2
        return merge(tree(part[:half]), tree(part[half:]))

    _, mean, m2 = tree(x)
    return mean, m2 / x.size


ALGORITHMS: dict[str, Callable[[np.ndarray], MeanAndVariance]] = {
    "two_pass": two_pass,
    "raw_moments": raw_moments,
    "shifted": shifted,
    "welford": welford,
    "chan": chan,
    "pairwise": pairwise,
}


def _sum_in_order(x: np.ndarray) -> Any:
    """Sum from first to last, as a plain loop would; `np.sum` is pairwise and would hide what order does."""
    return np.cumsum(x)[-1]


def _moments(x: np.ndarray) -> Moments:
    mean, var = two_pass(x)
    return Moments(x.size, mean, var * x.size)


def _check(x: np.ndarray) -> None:
    if x.dtype.type not in {np.float32, np.float64}:
        raise ValueError(f"x must be float32 or float64, got {x.dtype}")
    if x.ndim != 1 or x.size == 0:
        raise ValueError(f"x must be one-dimensional with at least one value, got shape {x.shape}")
