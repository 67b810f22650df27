"""Filter response normalisation with its thresholded linear unit."""

import torch
from torch import Tensor, nn

from bnlab.layers.elementary import per_channel, statistics_dtype
from bnlab.layers.steps import rescale, scale_and_shift


class FilterResponseNorm2d(nn.Module):
    """Filter response norm over (n, c, height, width) (Singh & Krishnan 2019, arXiv:1911.09737).

    Each channel of each example is divided by its root mean square over the positions, uncentred, and what comes out
    is scaled, shifted and cut from below at a learned `tau`: the thresholded linear unit, which stands where a ReLU
    would, so none should follow; at a tie the gradient goes to `tau`. No example meets another, so training and
    evaluation are the same. The mean square is computed in float32, and in float64 for float64 input; the output has
    the input's dtype. A map of one position leaves hardly more than the sign of `x`; for such layers the paper learns
    `eps`, which is a constant here.

    Args:
        num_features: channels of the input, at least 1.
        eps: added to the mean square, under the root; the paper's 1e-6.
        device: where the parameters live.
        dtype: floating dtype of the parameters.

    Raises:
        ValueError: at construction, `num_features` is below 1; in the forward pass, the input's shape or dtype does not
            fit, or `eps` is negative.

    Example:
        The root mean square of 3, -4, 0 and 0 is 2.5, and `tau` starts at 0:

        >>> FilterResponseNorm2d(1)(torch.tensor([[[[3.0, -4.0], [0.0, 0.0]]]])).detach().ravel()
        tensor([1.2000, 0.0000, 0.0000, 0.0000])
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-6,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"expected num_features of at least 1, got {num_features}")
        self.num_features = num_features
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(num_features, device=device, dtype=dtype))
        self.tau = nn.Parameter(torch.zeros(num_features, device=device, dtype=dtype))

    def reset_parameters(self) -> None:
        """Start anew: scale 1, shift 0, threshold 0."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)
        nn.init.zeros_(self.tau)

    def extra_repr(self) -> str:
        """The channels and eps."""
        return f"{self.num_features}, eps={self.eps}"

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every map of `x`, then cut it at the threshold."""
        if x.ndim != 4 or x.shape[1] != self.num_features:
            expected = f"(n, c, height, width) with c = {self.num_features}"
            raise ValueError(f"FilterResponseNorm2d expected x of shape {expected}, got {tuple(x.shape)}")
        if not x.is_floating_point():
            raise ValueError(f"FilterResponseNorm2d expected x of a floating-point dtype, got {x.dtype}")
        wide = x.to(statistics_dtype(x.dtype))
        weight, bias, tau = (per_channel(p, wide) for p in (self.weight, self.bias, self.tau))
        y = scale_and_shift(rescale(wide, (2, 3), self.eps), weight, bias)
        # Not maximum, which would halve the gradient where the two are equal; and NaN is not below tau, so it passes.
        return torch.where(y <= tau, tau, y).to(x.dtype)
