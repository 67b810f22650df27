"""Batch normalisation modules, drop-in for those of `torch.nn`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bnlab.layers.elementary import statistics_dtype
from bnlab.layers.functional import backend_named, batch_norm


class BatchNorm(nn.Module):
    """What the three modules share (Ioffe & Szegedy 2015, arXiv:1502.03167), around `functional.batch_norm`.

    Constructor, attributes and state_dict are those of `torch.nn.BatchNorm*`, with a choice of `backend` beside them:
    either loads the other's checkpoint.

    Args:
        num_features: channels of the input, at least 1.
        eps: added to the variance, under the root.
        momentum: weight of the new batch, `running = (1 - momentum) * running + momentum * batch`; None for
            `1 / num_batches_tracked`, which makes the running statistics the plain average over all batches.
        affine: whether to learn a scale (`weight`) for each channel.
        track_running_stats: whether to keep running statistics for evaluation; without, each batch is always
            normalised by its own.
        device: where parameters and buffers live.
        dtype: floating dtype of parameters and buffers.
        bias: whether `affine` also learns a shift.
        backend: "torch" or "manual": who computes, with the same result; see `functional.batch_norm`. It is no part of
            a checkpoint.

    Raises:
        ValueError: at construction, `num_features` is below 1 or `backend` is unknown; in the forward pass, the input's
            shape or dtype does not fit, or statistics of a single value per channel were asked for. Buffers stay as
            they were then.
    """

    layouts: ClassVar[Mapping[int, str]] = MappingProxyType({})  # number of axes -> the shape, set by each subclass
    _version = 2  # torch's: a checkpoint of version 1 has no num_batches_tracked

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(  # noqa: PLR0917 - torch.nn's signature
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,  # noqa: FBT001, FBT002 - torch.nn takes it by position
        track_running_stats: bool = True,  # noqa: FBT001, FBT002 - torch.nn takes it by position
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
        backend: str = "torch",
    ) -> None:
        super().__init__()
        backend_named(backend)
        if num_features < 1:
            raise ValueError(f"expected num_features of at least 1, got {num_features}")
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.backend = backend

        def per_channel() -> Tensor:
            return torch.empty(num_features, device=device, dtype=dtype)

        self.register_parameter("weight", nn.Parameter(per_channel()) if affine else None)
        self.register_parameter("bias", nn.Parameter(per_channel()) if affine and bias else None)
        count = torch.tensor(0, device=device)
        self.register_buffer("running_mean", per_channel() if track_running_stats else None)
        self.register_buffer("running_var", per_channel() if track_running_stats else None)
        self.register_buffer("num_batches_tracked", count if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget every batch: mean 0, variance 1, no batches."""
        for buffer, start in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            if buffer is not None:
                buffer.fill_(start)

    def reset_parameters(self) -> None:
        """Start anew: scale 1, shift 0, running statistics reset."""
        self.reset_running_stats()
        if self.weight is not None:
            nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def extra_repr(self) -> str:
        """The constructor's arguments, as `torch.nn` prints them; a backend of one's own choice at the end."""
        backend = "" if self.backend == "torch" else f", backend={self.backend}"
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}{backend}"
        )

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x`; in training, also move the running statistics towards this batch's."""
        self._check_shape(x)
        tracking = self.training and self.track_running_stats
        y = batch_norm(
            x,
            self.running_mean if tracking or not self.training else None,
            self.running_var if tracking or not self.training else None,
            self.weight,
            self.bias,
            training=self.training or self.running_mean is None,
            momentum=self._weight_of_new_batch(),
            eps=self.eps,
            backend=self.backend,
        )
        if tracking and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)  # last, so that a rejected batch is not counted
        return y

    def _weight_of_new_batch(self) -> float | Tensor:
        if self.momentum is not None:
            return self.momentum
        if self.num_batches_tracked is None or self.running_mean is None:
            return 0.0  # nothing is tracked
        # A tensor, not a Python number: torch.compile and vmap cannot read one out of a tensor.
        return 1 / (self.num_batches_tracked + 1).to(statistics_dtype(self.running_mean.dtype))

    def _check_shape(self, x: Tensor) -> None:
        if x.ndim not in self.layouts or x.shape[1] != self.num_features:
            expected = f"{' or '.join(self.layouts.values())} with c = {self.num_features}"
            raise ValueError(f"{type(self).__name__} expected x of shape {expected}, got {tuple(x.shape)}")

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *rest: Any
    ) -> None:
        key = prefix + "num_batches_tracked"
        if local_metadata.get("version", 1) < 2 and self.num_batches_tracked is not None and key not in state_dict:
            is_meta = self.num_batches_tracked.is_meta
            state_dict[key] = torch.tensor(0) if is_meta else self.num_batches_tracked
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class BatchNorm1d(BatchNorm):
    """Batch norm over (n, c) or (n, c, length): one mean and variance per channel c; see `BatchNorm`.

    >>> BatchNorm1d(2)(torch.tensor([[1.0, 10.0], [3.0, 30.0]])).detach().round(decimals=4)
    tensor([[-1., -1.],
            [ 1.,  1.]])
    """

    layouts = MappingProxyType({2: "(n, c)", 3: "(n, c, length)"})


class BatchNorm2d(BatchNorm):
    """Batch norm over (n, c, height, width): one mean and variance per channel c; see `BatchNorm`.

    >>> BatchNorm2d(3)(torch.randn(8, 3, 5, 5)).mean((0, 2, 3)).abs().max().item() < 1e-6
    True
    """

    layouts = MappingProxyType({4: "(n, c, height, width)"})


class BatchNorm3d(BatchNorm):
    """Batch norm over (n, c, depth, height, width): one mean and variance per channel c; see `BatchNorm`.

    >>> BatchNorm3d(3)(torch.randn(8, 3, 2, 5, 5)).mean((0, 2, 3, 4)).abs().max().item() < 1e-6
    True
    """

    layouts = MappingProxyType({5: "(n, c, depth, height, width)"})
