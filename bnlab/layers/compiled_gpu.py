"""Batch normalisation by the kernels of `bnlab.kernels.gpu`: the backend "triton".

For float32, float16 and bfloat16 on a CUDA device, contiguous or channels_last; other strides are copied first. ReLU,
and a residual that is added before it, are fused. The input is kept for the backward pass, and with a residual and a
ReLU the output. First derivatives only: a second one raises. Triton is imported by the first call, so that this module
can be imported where there is none.
"""

from types import ModuleType
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

Gradients: TypeAlias = tuple[Tensor | None, ...]
FUSES = True  # a residual and a ReLU


def normalise_by_batch(  # noqa: PLR0917 - the formula's operands, in its order
    x: Float[Tensor, "n c *spatial"],
    weight: Float[Tensor, " c"] | None,
    bias: Float[Tensor, " c"] | None,
    eps: float,
    residual: Float[Tensor, "n c *spatial"] | None = None,
    relu: bool = False,  # noqa: FBT001, FBT002 - the operands of a fused layer follow those of the others
) -> tuple[Float[Tensor, "n c *spatial"], Float[Tensor, " c"], Float[Tensor, " c"]]:
    """What `elementary.normalise_by_batch` returns, plus `residual`, behind a ReLU; the statistics carry no gradient.

    Raises:
        ValueError: `x` is not on a CUDA device or has a dtype that the kernels have not; or Triton is missing.
    """
    y, mean, var = NormaliseByBatch.apply(x, weight, bias, eps, residual, relu)  # type: ignore[no-untyped-call]
    return y, mean, var


def normalise_by(  # noqa: PLR0917 - the formula's operands, in its order
    x: Float[Tensor, "n c *spatial"],
    mean: Float[Tensor, " c"],
    var: Float[Tensor, " c"],
    weight: Float[Tensor, " c"] | None,
    bias: Float[Tensor, " c"] | None,
    eps: float,
    residual: Float[Tensor, "n c *spatial"] | None = None,
    relu: bool = False,  # noqa: FBT001, FBT002 - as above
) -> Float[Tensor, "n c *spatial"]:
    """What `elementary.normalise_by` returns, plus `residual`, behind a ReLU; the statistics are constants.

    Raises:
        ValueError: `x` is not on a CUDA device or has a dtype that the kernels have not; or Triton is missing.
    """
    # Copies, since running statistics may move before the backward pass that needs these.
    statistics = mean.clone(), var.clone()
    y: Tensor = NormaliseBy.apply(x, *statistics, weight, bias, eps, residual, relu)  # type: ignore[no-untyped-call]
    return y


class NormaliseByBatch(torch.autograd.Function):
    """Training: `launch.forward` and `launch.backward`."""

    @staticmethod
    def forward(  # noqa: PLR0917 - the formula's operands, in its order
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        residual: Tensor | None,
        relu: bool,  # noqa: FBT001 - autograd passes by position
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Output, mean and biased variance of the batch, both in float32."""
        y, mean, var = _launch().forward(x, weight, bias, eps=eps, residual=residual, relu=relu)
        ctx.eps, ctx.relu, ctx.constant, ctx.adding = eps, relu, False, residual is not None
        ctx.save_for_backward(x, mean, var, weight, bias, y if relu and ctx.adding else None)
        rounded = mean.float()
        ctx.mark_non_differentiable(rounded, var)
        return y, rounded, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, *_statistics: Any) -> Gradients:
        """Gradients of x, weight, bias and residual."""
        grad_x, grad_weight, grad_bias, grad_residual = _gradients(ctx, grad_y)
        return grad_x, grad_weight, grad_bias, None, grad_residual, None


class NormaliseBy(torch.autograd.Function):
    """Evaluation: `launch.inference` and `launch.backward`."""

    @staticmethod
    def forward(  # noqa: PLR0917 - the formula's operands, in its order
        ctx: Any,
        x: Tensor,
        mean: Tensor,
        var: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        residual: Tensor | None,
        relu: bool,  # noqa: FBT001 - autograd passes by position
    ) -> Tensor:
        """Output."""
        y: Tensor = _launch().inference(x, mean, var, weight, bias, eps=eps, residual=residual, relu=relu)
        ctx.eps, ctx.relu, ctx.constant, ctx.adding = eps, relu, True, residual is not None
        ctx.save_for_backward(x, mean, var, weight, bias, y if relu and ctx.adding else None)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> Gradients:
        """Gradients of x, weight, bias and residual; none of mean and var."""
        grad_x, grad_weight, grad_bias, grad_residual = _gradients(ctx, grad_y)
        return grad_x, None, None, grad_weight, grad_bias, None, grad_residual, None


def _gradients(ctx: Any, grad_y: Tensor) -> Gradients:
    x, mean, var, weight, bias, y = ctx.saved_tensors
    grad_x, grad_weight, grad_bias, *masked = _launch().backward(
        grad_y, x, mean, var, weight, bias, eps=ctx.eps, relu=ctx.relu, y=y, constant=ctx.constant
    )
    grad_residual = masked[0] if masked else grad_y if ctx.adding else None
    return grad_x, None if weight is None else grad_weight, None if bias is None else grad_bias, grad_residual


def _launch() -> ModuleType:
    try:
        from bnlab.kernels.gpu import launch  # noqa: PLC0415 - Triton is for those who ask for it
    except ModuleNotFoundError as error:
        raise ValueError(f"expected Triton, which exists for Linux only, for backend 'triton', got: {error}") from error
    return launch
