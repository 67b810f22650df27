"""Layers over sequences for the cases, from operations that NumPy's arrays and torch's tensors both have."""

from collections.abc import Callable
from typing import Any

Layer = Callable[[Any], Any]


def normalise(z: Any) -> Any:
    """Every column of z with mean 0 and variance 1, epsilon aside."""
    return _normalised(z, 0)


def _normalised(x: Any, axes: int | tuple[int, ...]) -> Any:
    centred = x - x.mean(axes, keepdims=True)
    return centred / ((centred**2).mean(axes, keepdims=True) + 1e-5) ** 0.5


def _batch_norm(x: Any) -> Any:
    return _normalised(x, (0, 1))


def _so_far(x: Any) -> Any:
    return x.cumsum(1) / (0 * x + 1).cumsum(1)


def _to_the_end(x: Any) -> Any:
    return x.sum(1, keepdims=True) - x.cumsum(1) + x


def _minus_to_the_end(x: Any) -> Any:
    return -_to_the_end(x)


def _alternating(x: Any) -> Any:
    """The later values, with a sign that changes from step to step: what moves nearly cancels in a sum."""
    signs = (-1.0) ** (0 * x + 1).cumsum(1)
    return signs * _to_the_end(x)


LAYERS: dict[str, Layer] = {
    "batch_norm": _batch_norm,
    "each_step": normalise,
    "so_far": _so_far,
    "to_the_end": _to_the_end,
    "minus_to_the_end": _minus_to_the_end,
    "alternating": _alternating,
}
