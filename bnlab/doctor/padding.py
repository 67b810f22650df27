"""Whether what a layer is given is padding in part: known by the lengths that the loader hands out."""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bnlab.deploy.batches import tensors_in

STILL = 1e-4  # standard deviations: less from step to step is no signal
MOSTLY, HARDLY = 0.5, 0.05  # shares of steps that stand still, in padding and in what is real


def padded_share(x: Float[Tensor, "n c length"], batch: Any) -> float:
    """How much of a layer's input is padding: the share of its steps, 0 if no part of the batch speaks of any.

    An integer for each example, or a mask with an entry for each step, is taken for lengths if the input stands still
    from step to step behind them, in most places (a convolution smears the edges), and hardly anywhere before them.

    Example:
        >>> lengths = torch.tensor([3, 6])
        >>> x = torch.randn(2, 4, 10) * (torch.arange(10) < lengths[:, None])[:, None]
        >>> padded_share(x, {"x": x, "lengths": lengths})
        0.55
    """
    length = x.shape[2]
    still = (x.diff(dim=2).abs() <= STILL * x.std().clamp(min=1e-30)).all(1)  # from each step to the next
    for real in _real(batch, len(x), length):
        inner, outer = real[:, 1:] & real[:, :-1], ~real[:, 1:] & ~real[:, :-1]
        behind, before = still[outer].double().mean(), still[inner].double().mean()  # NaN where there are none
        if behind > MOSTLY and before < HARDLY:
            return round(1 - real.double().mean().item(), 3)
    return 0.0


def _real(batch: Any, images: int, length: int) -> Iterator[Bool[Tensor, "n length"]]:
    for part in (tensor.detach().cpu() for tensor in tensors_in(batch)):
        if part.shape == (images,) and not part.is_floating_point() and part.dtype != torch.bool:
            yield torch.arange(length) < part[:, None]
        elif part.shape == (images, length) and bool(((part == 0) | (part == 1)).all()):
            yield part.bool()
            yield ~part.bool()
