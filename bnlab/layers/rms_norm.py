"""Root mean square normalisation, drop-in for that of `torch.nn`."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bnlab.layers.elementary import statistics_dtype
from bnlab.layers.steps import rescale, scale_and_shift
from bnlab.layers.trailing import TrailingAxes


class RMSNorm(TrailingAxes):
    """RMS norm: every example by the root mean square of its last axes (Zhang & Sennrich 2019, arXiv:1910.07467).

    Layer norm without the centring and without a shift: a mean that all places share stays in the output. Constructor,
    attributes and state_dict are those of `torch.nn.RMSNorm`. The mean square is computed in float32, and in float64
    for float64 input; the output has the input's dtype.

    Args:
        normalized_shape: lengths of the last axes, which are averaged over; one number for the last axis alone.
        eps: added to the mean square, under the root; None for the rounding unit of the dtype that it is computed in,
            `torch.finfo(...).eps`, so that half-precision input gets float32's.
        elementwise_affine: whether to learn a scale (`weight`) for each place.
        device: where the parameter lives.
        dtype: floating dtype of the parameter.

    Raises:
        ValueError: at construction, `normalized_shape` has no axis or one shorter than 1; in the forward pass, the
            input ends in other axes or is not floating-point, or `eps` is negative.

    Example:
        The root mean square of 3, -4, 0 and 0 is 2.5:

        >>> RMSNorm(4)(torch.tensor([[3.0, -4.0, 0.0, 0.0]])).detach()
        tensor([[ 1.2000, -1.6000,  0.0000,  0.0000]])
    """

    weight: nn.Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,  # noqa: FBT001, FBT002 - torch.nn takes it by position
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        weight = self._new_parameter(1.0, device=device, dtype=dtype) if elementwise_affine else None
        self.register_parameter("weight", weight)

    def reset_parameters(self) -> None:
        """Start anew: scale 1."""
        if self.weight is not None:
            nn.init.ones_(self.weight)

    def extra_repr(self) -> str:
        """The constructor's arguments, as `torch.nn` prints them."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"

    def forward(self, x: Tensor) -> Tensor:
        """Rescale the last axes of `x`."""
        self._check_trailing(x)
        wide = x.to(statistics_dtype(x.dtype))
        eps = torch.finfo(wide.dtype).eps if self.eps is None else self.eps
        return scale_and_shift(rescale(wide, self._axes, eps), self.weight, None).to(x.dtype)
