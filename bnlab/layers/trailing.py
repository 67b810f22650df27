"""What the layers over the last axes of the input share: their shape, and the check that the input has it."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


class TrailingAxes(nn.Module):
    """A layer with an affine over the last axes of its input, as `torch.nn.LayerNorm` counts them.

    Args:
        normalized_shape: lengths of those axes; one number for the last axis alone.

    Raises:
        ValueError: at construction, there is no axis or one shorter than 1; in the forward pass, the input ends in
            other axes or is not floating-point.
    """

    normalized_shape: tuple[int, ...]

    def __init__(self, normalized_shape: int | Sequence[int]) -> None:
        super().__init__()
        axes = tuple(normalized_shape) if isinstance(normalized_shape, Iterable) else (normalized_shape,)
        if not axes or min(axes) < 1:
            raise ValueError(f"expected normalized_shape of one axis or more, each at least 1, got {normalized_shape}")
        self.normalized_shape = axes

    @property
    def _axes(self) -> range:
        """The last axes, counted from the end."""
        return range(-len(self.normalized_shape), 0)

    def _new_parameter(
        self, value: float, *, device: torch.device | str | int | None, dtype: torch.dtype | None
    ) -> nn.Parameter:
        """One value for each place of the last axes."""
        return nn.Parameter(torch.full(self.normalized_shape, value, device=device, dtype=dtype))

    def _check_trailing(self, x: Tensor) -> None:
        if tuple(x.shape[-len(self.normalized_shape) :]) != self.normalized_shape:
            expected = ", ".join(map(str, self.normalized_shape))
            raise ValueError(f"{type(self).__name__} expected x of shape (*, {expected}), got {tuple(x.shape)}")
        if not x.is_floating_point():
            raise ValueError(f"{type(self).__name__} expected x of a floating-point dtype, got {x.dtype}")
