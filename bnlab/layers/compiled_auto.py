"""Batch normalisation by the fastest code that takes the input: the backend "auto".

That is Triton's on a CUDA device and numba's on the CPU; "torch" for a dtype or a device that neither takes. So whether
a gradient has a gradient depends on the input: only that of "torch" has one.
"""

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from bnlab.layers import elementary

ON_CPU = (torch.float32, torch.float64)
ON_CUDA = (torch.float32, torch.float16, torch.bfloat16)


def normalise_by_batch(x: Tensor, *others: Any, **named: Any) -> tuple[Tensor, Tensor, Tensor]:
    """As the fastest does, from the same arguments; see `elementary`."""
    found: tuple[Tensor, Tensor, Tensor] = fastest(x).normalise_by_batch(x, *others, **named)
    return found


def normalise_by(x: Tensor, *others: Any, **named: Any) -> Tensor:
    """As the fastest does, from the same arguments; see `elementary`."""
    y: Tensor = fastest(x).normalise_by(x, *others, **named)
    return y


def fastest(x: Tensor) -> ModuleType:
    """The backend for this input.

    >>> fastest(torch.zeros(2, 3)).__name__, fastest(torch.zeros(2, 3, dtype=torch.float16)).__name__
    ('bnlab.layers.compiled_cpu', 'bnlab.layers.elementary')
    """
    if x.device.type == "cpu" and x.dtype in ON_CPU:
        return import_module("bnlab.layers.compiled_cpu")
    if x.is_cuda and x.dtype in ON_CUDA and _has_triton():
        return import_module("bnlab.layers.compiled_gpu")
    return elementary


@cache  # a search through the file system, which no layer should repeat at each step
def _has_triton() -> bool:
    return find_spec("triton") is not None
