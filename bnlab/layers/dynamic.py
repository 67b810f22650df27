"""Dynamic tanh and dynamic erf: in the place of a norm, one bounded function of each value, and no statistics."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bnlab.layers.elementary import statistics_dtype
from bnlab.layers.steps import scale_and_shift
from bnlab.layers.trailing import TrailingAxes


class DyT(TrailingAxes):
    """Dynamic tanh: `weight * tanh(alpha * x) + bias` (Zhu et al. 2025, section 4, arXiv:2503.10622).

    Stands where a transformer has layer norm or RMS norm, and looks at no value but the one at hand. `alpha` is one
    learned number for the layer. The parameters have the names and shapes of the authors' code. Computed in float32,
    and in float64 for float64 input; the output has the input's dtype.

    Args:
        normalized_shape: lengths of the last axes, which have a scale and a shift for each place.
        alpha_init_value: where `alpha` starts: the paper's 0.5; for large language models it is tuned.
        device: where the parameters live.
        dtype: floating dtype of the parameters.

    Raises:
        ValueError: at construction, `normalized_shape` has no axis or one shorter than 1; in the forward pass, the
            input ends in other axes or is not floating-point.

    Example:
        >>> DyT(2)(torch.tensor([[-100.0, 0.2]])).detach().round(decimals=4)
        tensor([[-1.0000,  0.0997]])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        alpha_init_value: float = 0.5,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(normalized_shape)
        self.alpha_init_value = alpha_init_value
        self.alpha = nn.Parameter(torch.full((1,), alpha_init_value, device=device, dtype=dtype))
        self.weight = self._new_parameter(1.0, device=device, dtype=dtype)
        self.bias = self._new_parameter(0.0, device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Start anew: scale 1, shift 0, `alpha` where it started."""
        nn.init.constant_(self.alpha, self.alpha_init_value)
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def extra_repr(self) -> str:
        """The shape and the start of `alpha`."""
        return f"{self.normalized_shape}, alpha_init_value={self.alpha_init_value}"

    def forward(self, x: Tensor) -> Tensor:
        """Bound every value of `x`, then scale and shift it."""
        self._check_trailing(x)
        wide = x.to(statistics_dtype(x.dtype))
        return scale_and_shift(self._bounded(wide), self.weight, self.bias).to(x.dtype)

    def _bounded(self, x: Tensor) -> Tensor:
        return torch.tanh(self.alpha.to(x.dtype) * x)


class Derf(DyT):
    """Dynamic erf: `weight * erf(alpha * x + shift) + bias` (Chen et al. 2025, arXiv:2512.10938).

    `DyT` with another bounded function, and a `shift` that is one learned number for the layer, too.

    Args:
        normalized_shape: lengths of the last axes, which have a scale and a shift for each place.
        alpha_init_value: where `alpha` starts; the authors' 0.5.
        shift_init_value: where `shift` starts; the authors' 0.
        device: where the parameters live.
        dtype: floating dtype of the parameters.

    Raises:
        ValueError: as in `DyT`.

    Example:
        >>> Derf(2)(torch.tensor([[-100.0, 0.2]])).detach().round(decimals=4)
        tensor([[-1.0000,  0.1125]])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        alpha_init_value: float = 0.5,
        shift_init_value: float = 0.0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(normalized_shape, alpha_init_value, device, dtype)
        self.shift_init_value = shift_init_value
        self.shift = nn.Parameter(torch.full((1,), shift_init_value, device=device, dtype=dtype))

    def reset_parameters(self) -> None:
        """Start anew: scale 1, shift 0, `alpha` and `shift` where they started."""
        super().reset_parameters()
        nn.init.constant_(self.shift, self.shift_init_value)

    def extra_repr(self) -> str:
        """The shape and the starts of `alpha` and `shift`."""
        return f"{super().extra_repr()}, shift_init_value={self.shift_init_value}"

    def _bounded(self, x: Tensor) -> Tensor:
        return torch.erf(self.alpha.to(x.dtype) * x + self.shift.to(x.dtype))
