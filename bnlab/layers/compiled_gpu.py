"""Batch normalisation by the kernels of `bnlab.kernels.gpu`: the backend "triton".

For float32, float16 and bfloat16 on a CUDA device, contiguous or channels_last; other strides are copied first. The
input is kept for the backward pass, and nothing else as large. First derivatives only: a second one raises. Triton is
imported by the first call, so that this module can be imported where there is none.
"""

from types import ModuleType
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

Gradients: TypeAlias = tuple[Tensor | None, ...]


def normalise_by_batch(
    x: Float[Tensor, "n c *spatial"],
    weight: Float[Tensor, " c"] | None,
    bias: Float[Tensor, " c"] | None,
    eps: float,
) -> tuple[Float[Tensor, "n c *spatial"], Float[Tensor, " c"], Float[Tensor, " c"]]:
    """What `elementary.normalise_by_batch` returns; the mean and the variance carry no gradient.

    Raises:
        ValueError: `x` is not on a CUDA device or has a dtype that the kernels have not; or Triton is missing.
    """
    y, mean, var = NormaliseByBatch.apply(x, weight, bias, eps)  # type: ignore[no-untyped-call]
    return y, mean, var


def normalise_by(  # noqa: PLR0917 - the formula's operands, in its order
    x: Float[Tensor, "n c *spatial"],
    mean: Float[Tensor, " c"],
    var: Float[Tensor, " c"],
    weight: Float[Tensor, " c"] | None,
    bias: Float[Tensor, " c"] | None,
    eps: float,
) -> Float[Tensor, "n c *spatial"]:
    """What `elementary.normalise_by` returns; the mean and the variance are constants.

    Raises:
        ValueError: `x` is not on a CUDA device or has a dtype that the kernels have not; or Triton is missing.
    """
    # Copies, since running statistics may move before the backward pass that needs these.
    y: Tensor = NormaliseBy.apply(x, mean.clone(), var.clone(), weight, bias, eps)  # type: ignore[no-untyped-call]
    return y


class NormaliseByBatch(torch.autograd.Function):
    """Training: `launch.forward` and `launch.backward`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Output, mean and biased variance of the batch, both in float32."""
        y, mean, var = _launch().forward(x, weight, bias, eps=eps)
        ctx.eps = eps
        ctx.save_for_backward(x, mean, var, weight)  # no gradient depends on the bias
        rounded = mean.float()
        ctx.mark_non_differentiable(rounded, var)
        return y, rounded, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, *_statistics: Any) -> Gradients:
        """Gradients of x, weight and bias."""
        x, mean, var, weight = ctx.saved_tensors
        _, of_weight, of_bias, _ = ctx.needs_input_grad
        grad_x, grad_weight, grad_bias = _launch().backward(grad_y, x, mean, var, weight, None, eps=ctx.eps)
        return grad_x, grad_weight if of_weight else None, grad_bias if of_bias else None, None


class NormaliseBy(torch.autograd.Function):
    """Evaluation: `launch.inference` and `launch.backward`."""

    @staticmethod
    def forward(  # noqa: PLR0917 - the formula's operands, in its order
        ctx: Any, x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> Tensor:
        """Output."""
        ctx.eps = eps
        ctx.save_for_backward(x, mean, var, weight)
        y: Tensor = _launch().inference(x, mean, var, weight, bias, eps=eps)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> Gradients:
        """Gradients of x, weight and bias; none of mean and var."""
        x, mean, var, weight = ctx.saved_tensors
        _, _, _, of_weight, of_bias, _ = ctx.needs_input_grad
        grad_x, grad_weight, grad_bias = _launch().backward(
            grad_y, x, mean, var, weight, None, eps=ctx.eps, constant=True
        )
        return grad_x, None, None, grad_weight if of_weight else None, grad_bias if of_bias else None, None


def _launch() -> ModuleType:
    try:
        from bnlab.kernels.gpu import launch  # noqa: PLC0415 - Triton is for those who ask for it
    except ModuleNotFoundError as error:
        raise ValueError(f"expected Triton, which exists for Linux only, for backend 'triton', got: {error}") from error
    return launch
