"""Layer normalisation, drop-in for that of `torch.nn`."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bnlab.layers.elementary import statistics_dtype
from bnlab.layers.steps import centre, rescale, scale_and_shift
from bnlab.layers.trailing import TrailingAxes


class LayerNorm(TrailingAxes):
    """Layer norm: every example by the mean and biased variance of its last axes (Ba et al. 2016, arXiv:1607.06450).

    No example meets another, so a batch of one is as good as any, and training and evaluation are the same. `weight`
    and `bias` belong to places, not to channels: of an image over (c, height, width) there are as many as pixels.
    Constructor, attributes and state_dict are those of `torch.nn.LayerNorm`. Statistics are computed in float32, and in
    float64 for float64 input; the output has the input's dtype.

    Args:
        normalized_shape: lengths of the last axes, which are averaged over; one number for the last axis alone.
        eps: added to the variance, under the root.
        elementwise_affine: whether to learn a scale (`weight`) for each place.
        bias: whether `elementwise_affine` also learns a shift.
        device: where the parameters live.
        dtype: floating dtype of the parameters.

    Raises:
        ValueError: at construction, `normalized_shape` has no axis or one shorter than 1; in the forward pass, the
            input ends in other axes or is not floating-point, or `eps` is negative.

    Example:
        >>> LayerNorm(2)(torch.tensor([[1.0, 3.0], [10.0, 30.0]])).detach().round(decimals=4)
        tensor([[-1.,  1.],
                [-1.,  1.]])
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(  # noqa: PLR0917 - torch.nn's signature
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,  # noqa: FBT001, FBT002 - torch.nn takes it by position
        bias: bool = True,  # noqa: FBT001, FBT002 - torch.nn takes it by position
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, kept, start in (("weight", elementwise_affine, 1.0), ("bias", elementwise_affine and bias, 0.0)):
            self.register_parameter(name, self._new_parameter(start, device=device, dtype=dtype) if kept else None)

    def reset_parameters(self) -> None:
        """Start anew: scale 1, shift 0."""
        if self.weight is not None:
            nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def extra_repr(self) -> str:
        """The constructor's arguments, as `torch.nn` prints them."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axes of `x`."""
        self._check_trailing(x)
        wide = x.to(statistics_dtype(x.dtype))
        x_hat = rescale(centre(wide, self._axes), self._axes, self.eps)
        return scale_and_shift(x_hat, self.weight, self.bias).to(x.dtype)
