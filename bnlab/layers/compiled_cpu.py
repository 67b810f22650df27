"""Batch normalisation on the CPU by compiled code: the backend "numba".

It takes float32 and float64, contiguous or channels_last; of any other layout a copy is taken first. It computes with
as many threads as torch does. ReLU, and a residual that is added before it, are fused. Only first derivatives are
there: to differentiate a gradient raises RuntimeError, and so do the transforms of `torch.func`. `torch.compile` leaves
a gap in its graph where this stands. Where numba's threads are those of OpenMP, a process that is forked after their
first use cannot use them: start it by "spawn".
"""

from typing import Any, TypeAlias

import numba
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from bnlab.kernels import cpu
from bnlab.layers import elementary

Gradients: TypeAlias = tuple[Tensor | None, ...]
DTYPES = (torch.float32, torch.float64)
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
        ValueError: `x` is not on the CPU, or not of float32 or float64.

    Example:
        >>> y, mean, var = normalise_by_batch(torch.tensor([[1.0, 10.0], [3.0, 30.0]]), None, None, 1e-5, relu=True)
        >>> y.round(decimals=4), mean, var
        (tensor([[0., 0.],
                [1., 1.]]), tensor([ 2., 20.]), tensor([  1., 100.]))
    """
    _check(x)
    if x.numel() == 0:
        y, mean, var = elementary.normalise_by_batch(x, weight, bias, eps)
        return y if residual is None else y + residual, mean, var
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
        ValueError: `x` is not on the CPU, or not of float32 or float64.

    Example:
        >>> normalise_by(torch.tensor([[6.0]]), torch.tensor([2.0]), torch.tensor([4.0]), None, None, eps=0.0)
        tensor([[2.]])
    """
    _check(x)
    if x.numel() == 0:
        return elementary.normalise_by(x, mean, var, weight, bias, eps)
    y: Tensor = NormaliseBy.apply(x, mean, var, weight, bias, eps, residual, relu)  # type: ignore[no-untyped-call]
    return y


class NormaliseByBatch(torch.autograd.Function):
    """Training: `cpu.forward` and `cpu.backward`."""

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
        """Output, mean and biased variance of the batch."""
        x = _dense(x)
        y = torch.empty_like(x)
        added = None if residual is None else _like(x, residual).numpy()
        _use_the_threads_of_torch()
        _, mean, var = cpu.forward(
            x.numpy(), *_affine(x, weight, bias), eps=eps, residual=added, relu=relu, out=y.numpy()
        )
        ctx.statistics, ctx.eps, ctx.relu, ctx.constant = (mean, var), eps, relu, False
        ctx.residual = residual is not None
        ctx.save_for_backward(x, weight, bias, y if relu and ctx.residual else None)
        rounded = [torch.from_numpy(one).to(x.dtype, copy=True) for one in (mean, var)]  # the caller's own
        ctx.mark_non_differentiable(*rounded)
        return y, rounded[0], rounded[1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, *_statistics: Any) -> Gradients:
        """Gradients of x, weight, bias and residual."""
        grad_x, grad_weight, grad_bias, grad_residual = _gradients(ctx, grad_y)
        return grad_x, grad_weight, grad_bias, None, grad_residual, None


class NormaliseBy(torch.autograd.Function):
    """Evaluation: `cpu.inference` and `cpu.backward`."""

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
        x = _dense(x)
        y = torch.empty_like(x)
        added = None if residual is None else _like(x, residual).numpy()
        # Copies, since running statistics may move before the backward pass that needs these.
        statistics = [one.detach().double().numpy().copy() for one in (mean, var)]
        _use_the_threads_of_torch()
        cpu.inference(
            x.numpy(), *(*statistics, *_affine(x, weight, bias)), eps=eps, residual=added, relu=relu, out=y.numpy()
        )
        ctx.statistics, ctx.eps, ctx.relu, ctx.constant = statistics, eps, relu, True
        ctx.residual = residual is not None
        ctx.save_for_backward(x, weight, bias, y if relu and ctx.residual else None)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> Gradients:
        """Gradients of x, weight, bias and residual; none of mean and var."""
        grad_x, grad_weight, grad_bias, grad_residual = _gradients(ctx, grad_y)
        return grad_x, None, None, grad_weight, grad_bias, None, grad_residual, None


def _gradients(ctx: Any, grad_y: Tensor) -> Gradients:
    x, weight, bias, y = ctx.saved_tensors
    grad_x = torch.empty_like(x)
    grad_y = _like(x, grad_y)
    _use_the_threads_of_torch()
    found = cpu.backward(
        grad_y.numpy(),
        x.numpy(),
        *(*ctx.statistics, *_affine(x, weight, bias)),
        eps=ctx.eps,
        relu=ctx.relu,
        y=None if y is None else y.numpy(),
        constant=ctx.constant,
        out=grad_x.numpy(),
    )
    grad_weight, grad_bias = (
        None if parameter is None else torch.from_numpy(gradient).to(parameter.dtype)
        for parameter, gradient in ((weight, found.weight), (bias, found.bias))
    )
    grad_residual = grad_y if ctx.residual and not ctx.relu else None
    return grad_x, grad_weight, grad_bias, grad_residual if y is None else torch.from_numpy(found.residual)


def _check(x: Tensor) -> None:
    if x.device.type != "cpu" or x.dtype not in DTYPES:
        raise ValueError(f"backend 'numba' expected x of float32 or float64 on the CPU, got {x.dtype} on {x.device}")


def _dense(x: Tensor) -> Tensor:
    return x if x.is_contiguous() or x.movedim(1, -1).is_contiguous() else x.contiguous()


def _like(x: Tensor, tensor: Tensor) -> Tensor:
    """The tensor in the layout of `x`: autograd may hand over an expanded one."""
    if tensor.stride() == x.stride() and tensor.dtype == x.dtype:
        return tensor
    return torch.empty_like(x).copy_(tensor)


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> tuple[np.ndarray, np.ndarray]:
    one, zero = np.ones(x.shape[1]), np.zeros(x.shape[1])
    # in float64, since NumPy has no bfloat16
    return one if weight is None else weight.double().numpy(), zero if bias is None else bias.double().numpy()


def _use_the_threads_of_torch() -> None:
    numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
