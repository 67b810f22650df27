"""The batches on which the layers of the capstone are tried, and what they are tried for."""

from typing import Any

import numpy as np

from bnlab.practice.exercises.task import Case
from bnlab.practice.exercises.tasks.data import eighths, far_from_zero, scales

Batch = tuple[np.ndarray, ...]


def case(name: str, settings: dict[str, float], batches: list[Batch], *, axis: int = 1, cancels: bool = False) -> Case:
    """Two batches to train on and one to evaluate, for a layer with values of its own.

    Its arguments are the number of channels, further settings of the layer, the three batches, and running statistics
    to evaluate with: means and variances.

    Args:
        name: what is special about it.
        settings: keyword arguments of the layer beside the number of channels.
        batches: three, each what the layer is called with.
        axis: of the channels.
        cancels: as in `Case`.
    """
    channels = batches[0][0].shape[axis]
    variances = scales(61, channels) * settings.get("eps", 1.0)  # as small as eps, which has to be seen here too
    running = eighths(60, channels).astype(np.float32), variances.astype(np.float32)
    return Case(name, (channels, settings, batches, running), cancels=cancels)


def batches_of(seed: int, *shape: int, divide_by: int = 1) -> list[Batch]:
    """Two batches of a shape, and one that is half as large."""
    sizes = (shape[0], shape[0], -(-shape[0] // 2))
    return [(eighths(seed + i, n, *shape[1:]).astype(np.float32) / divide_by,) for i, n in enumerate(sizes)]


def shifted(seed: int, *shape: int) -> list[Batch]:
    """Three batches of float32 integers around 5000."""
    return [(far_from_zero(seed + i, *shape),) for i in range(3)]


def layout_of(case: Case) -> str:
    """Whether its batches are features, with a row for each example, or maps, with positions.

    Example:
        >>> layout_of(case("images", {}, batches_of(0, 4, 3, 2, 2)))
        'maps'
    """
    batches: list[Any] = case.arguments[2]
    return "features" if batches[0][0].ndim == 2 else "maps"
