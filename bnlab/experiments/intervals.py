"""What a handful of seeds says about a mean: an interval, and a verdict on a claim."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit


class Interval(NamedTuple):
    """A mean and the interval that has it with the stated confidence."""

    mean: float
    low: float
    high: float

    def verdict(self, margin: float) -> str:
        """What it says of the claim that an effect is positive and larger than a margin declared beforehand.

        "supported" if the whole interval lies beyond the margin, "not supported here" if it does not exclude zero,
        "partly" between the two.

        >>> [Interval(2, low, 3).verdict(margin=1) for low in (1.5, 0.5, -0.5)]
        ['supported', 'partly', 'not supported here']
        """
        if self.low > margin:
            return "supported"
        return "partly" if self.low > 0 else "not supported here"


def t_interval(values: Float[np.ndarray, " n"], *, confidence: float = 0.95) -> Interval:
    """Student's interval for the mean of a few independent values, such as one paired difference for each seed.

    Args:
        values: at least 2; that their mean is about normal is what it assumes.
        confidence: how often such intervals cover the true mean, in the long run.

    Raises:
        ValueError: fewer than two values, or a confidence that is not between 0 and 1.

    Example:
        >>> [round(number, 3) for number in t_interval(np.array([1.0, 2.0, 3.0]))]
        [2.0, -0.484, 4.484]
    """
    if values.ndim != 1 or values.size < 2:
        raise ValueError(f"expected at least 2 values in one dimension, got shape {values.shape}")
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, got {confidence}")
    mean = values.mean()
    half = stdtrit(values.size - 1, (1 + confidence) / 2) * values.std(ddof=1) / np.sqrt(values.size)
    return Interval(float(mean), float(mean - half), float(mean + half))
