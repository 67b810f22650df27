"""Arrays for the cases: reproducible, and exact in float32, so that an answer in float32 is held to account too."""

import numpy as np


def eighths(seed: int, *shape: int, around: float = 0.0) -> np.ndarray:
    """Random multiples of 1/8 with a spread of about 1."""
    return np.round(np.random.default_rng(seed).normal(around, 1, shape) * 8) / 8


def scales(seed: int, *shape: int) -> np.ndarray:
    """Random multiples of 1/8 between 1/2 and 2, for gammas and variances: no two alike in a row, none near 0."""
    steps = np.random.default_rng(seed).permutation(13)[: int(np.prod(shape))]
    return (4 + steps.reshape(shape)) / 8


def far_from_zero(seed: int, *shape: int) -> np.ndarray:
    """float32 integers around 5000, whose squares need more digits than float32 has."""
    whole = np.random.default_rng(seed).integers(-6, 7, shape) + 5000
    return whole.astype(np.float32)
