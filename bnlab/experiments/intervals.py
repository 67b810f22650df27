"""What a handful of seeds says about an effect: an interval, and a verdict on a claim."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit
from scipy.stats import binom

Verdict = Literal["supported", "partly", "not supported here"]


class Interval(NamedTuple):
    """An estimate and the interval that has the truth with the stated confidence."""

    estimate: float
    low: float
    high: float

    def verdict(self, margin: float, *, no_effect: float = 0.0) -> Verdict:
        """What it says of the claim that an effect is beyond a margin that was declared beforehand.

        "supported" if the whole interval lies beyond the margin, "not supported here" if it does not lie wholly above
        no effect, "partly" between the two.

        Args:
            margin: the effect that the claim asks for.
            no_effect: 0 for differences, 1 for ratios.

        Raises:
            ValueError: the margin is below no effect.

        Example:
            >>> [Interval(2, low, 3).verdict(margin=1) for low in (1.5, 0.5, -0.5)]
            ['supported', 'partly', 'not supported here']
        """
        if not margin >= no_effect:
            raise ValueError(f"expected a margin of at least {no_effect:g}, got {margin}")
        if self.low > margin:
            return "supported"
        return "partly" if self.low > no_effect else "not supported here"


def t_interval(values: Float[np.ndarray, " n"], *, confidence: float = 0.95) -> Interval:
    """Student's interval for the mean of a few independent values, such as one paired difference for each seed.

    Args:
        values: at least 2; that their mean is about normal is what it assumes.
        confidence: how often such intervals cover the true mean, in the long run.

    Raises:
        ValueError: fewer than two values, one that is not finite, or a confidence that is not between 0 and 1.

    Example:
        >>> [round(number, 3) for number in t_interval(np.array([1.0, 2.0, 3.0]))]
        [2.0, -0.484, 4.484]
    """
    _check(values, confidence)
    if not np.isfinite(values).all():
        raise ValueError(f"expected finite values, got {values.tolist()}; censored ones need sign_interval")
    mean = values.mean()
    half = stdtrit(values.size - 1, (1 + confidence) / 2) * values.std(ddof=1) / np.sqrt(values.size)
    return Interval(float(mean), float(mean - half), float(mean + half))


def ratio_interval(ratios: Float[np.ndarray, " n"], *, confidence: float = 0.95) -> Interval:
    """Geometric mean of a few paired ratios, and Student's interval on their logarithms.

    Where an effect multiplies, the logarithm is what adds up, and twice as much weighs like half as much.

    Raises:
        ValueError: as `t_interval`, or a ratio that is not above 0.

    Example:
        >>> [round(number, 3) for number in ratio_interval(np.array([1.0, 2.0, 4.0]))]
        [2.0, 0.357, 11.19]
    """
    if not (ratios > 0).all():
        raise ValueError(f"expected ratios above 0, got {ratios.tolist()}")
    return Interval(*(float(np.exp(number)) for number in t_interval(np.log(ratios), confidence=confidence)))


def sign_interval(values: Float[np.ndarray, " n"], *, confidence: float = 0.95) -> Interval:
    """The median and its exact interval, from one order statistic to another (the sign test, inverted).

    Nothing is assumed but that the values are independent and alike: they may lie on a grid, and some may be infinite,
    as when an event was never seen. Of 10 values it is the second smallest to the second largest, at 97.9%.

    Raises:
        ValueError: so few values that even the smallest and the largest do not reach the confidence (at 95%, fewer than
            six), one that is not a number, or a confidence that is not between 0 and 1.

    Example:
        >>> sign_interval(np.array([3.0, 10, 10, 10, 30, 30, np.inf, np.inf, np.inf, np.inf]))
        Interval(estimate=30.0, low=10.0, high=inf)
    """
    _check(values, confidence)
    if np.isnan(values).any():
        raise ValueError(f"expected numbers or infinities, got {values.tolist()}")
    outside = int(binom.ppf((1 - confidence) / 2, values.size, 0.5))  # this many on either side are too improbable
    if outside == 0:
        raise ValueError(f"expected enough values for an interval of {confidence:.0%}, got {values.size}")
    ordered = np.sort(values)
    middle = ordered[[(values.size - 1) // 2, values.size // 2]]
    median = middle[0] if middle[0] == middle[1] else middle.mean()  # two infinities have no mean
    return Interval(float(median), float(ordered[outside - 1]), float(ordered[-outside]))


def _check(values: Float[np.ndarray, " n"], confidence: float) -> None:
    if values.ndim != 1 or values.size < 2:
        raise ValueError(f"expected at least 2 values in one dimension, got shape {values.shape}")
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, got {confidence}")
