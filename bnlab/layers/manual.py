"""Batch normalisation with its derivative written by hand: the backend "manual".

Left to autograd, the elementary operations keep the centred input for the backward pass: a new tensor of the input's
size, and twice as wide where the input is half precision. These two functions keep their inputs alone and compute the
rest again, by operations that autograd can differentiate. So the gradient has a gradient: had `x_hat` been saved, a
second backward pass would take it for a constant, and the second derivatives would be wrong without a word.

Gradients are computed in the dtype of the statistics, and autograd brings each to the dtype of what it belongs to.
Reverse mode only: `torch.func.grad`, `vmap` and `jacrev` compose with these functions; `jvp` raises
`NotImplementedError`.
"""

from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from bnlab.layers import elementary
from bnlab.layers.elementary import per_channel, statistics_dtype

Gradients: TypeAlias = tuple[Tensor | None, ...]


def normalise_by_batch(
    x: Float[Tensor, "n c *spatial"],
    weight: Float[Tensor, " c"] | None,
    bias: Float[Tensor, " c"] | None,
    eps: float,
) -> tuple[Float[Tensor, "n c *spatial"], Float[Tensor, " c"], Float[Tensor, " c"]]:
    """What `elementary.normalise_by_batch` returns; the mean and the variance carry no gradient.

    >>> x = torch.tensor([[1.0], [2.0], [6.0]], requires_grad=True)
    >>> y, _, _ = normalise_by_batch(x, None, None, eps=1e-5)
    >>> y.grad_fn.name(), [saved is x for saved in y.grad_fn.saved_tensors]
    ('NormaliseByBatchBackward', [True, False])
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

    >>> normalise_by(torch.tensor([[6.0]]), torch.tensor([2.0]), torch.tensor([4.0]), None, None, eps=0.0)
    tensor([[2.]])
    """
    # Copies, since running statistics may move before the backward pass that needs these.
    y: Tensor = NormaliseBy.apply(x, mean.clone(), var.clone(), weight, bias, eps)  # type: ignore[no-untyped-call]
    return y


class NormaliseByBatch(torch.autograd.Function):
    """Training: the gradient of Ioffe & Szegedy 2015, section 3 (arXiv:1502.03167).

    In the closed form of `bnlab.reference.batch_norm_backward`.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        """Output, mean and biased variance of the batch."""
        x_hat, mean, var, _ = _standardise(x, eps)
        y = x_hat if weight is None else x_hat * per_channel(weight, x_hat)
        y = y if bias is None else y + per_channel(bias, x_hat)
        return y.to(x.dtype), mean, var

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        """Keep the inputs, but for `bias`, which no gradient depends on."""
        x, weight, _, ctx.eps = inputs
        _, mean, var = output
        ctx.mark_non_differentiable(mean, var)
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor, *_statistics: Any) -> Gradients:
        """Gradients of x, weight and bias."""
        x, weight = ctx.saved_tensors
        _, of_weight, of_bias, _ = ctx.needs_input_grad
        x_hat, _, _, inv_std = _standardise(x, ctx.eps)
        grad_y = grad_y.to(x_hat.dtype)

        axes, count = _axes_and_count(x)
        grad_bias = grad_y.sum(axes)
        grad_weight = (grad_y * x_hat).sum(axes)
        along_one = per_channel(grad_bias / count, x_hat)
        along_x_hat = per_channel(grad_weight / count, x_hat) * x_hat
        gain = inv_std if weight is None else inv_std * weight
        grad_x = per_channel(gain, x_hat) * (grad_y - along_one - along_x_hat)
        return grad_x, grad_weight if of_weight else None, grad_bias if of_bias else None, None


class NormaliseBy(torch.autograd.Function):
    """Evaluation: each channel is a straight line, so the gradient is the slope.

    As in `bnlab.reference.batch_norm_inference_backward`.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(  # noqa: PLR0917 - the formula's operands, in its order
        x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> Tensor:
        """Output."""
        return elementary.normalise_by(x, mean, var, weight, bias, eps)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004 - torch's signature
        """Keep the inputs, but for `bias`, which no gradient depends on."""
        x, mean, var, weight, _, ctx.eps = inputs
        ctx.save_for_backward(x, mean, var, weight)

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> Gradients:
        """Gradients of x, weight and bias; none of mean and var."""
        x, mean, var, weight = ctx.saved_tensors
        _, _, _, of_weight, of_bias, _ = ctx.needs_input_grad
        wide, grad_y = (tensor.to(statistics_dtype(x.dtype)) for tensor in (x, grad_y))
        centred = wide - per_channel(mean, wide)
        inv_std = torch.rsqrt(var.to(wide.dtype) + ctx.eps)

        axes, _ = _axes_and_count(x)
        gain = inv_std if weight is None else inv_std * weight
        grad_bias = grad_y.sum(axes)
        grad_weight = (grad_y * centred).sum(axes) * inv_std
        grad_x = per_channel(gain, wide) * grad_y
        return grad_x, None, None, grad_weight if of_weight else None, grad_bias if of_bias else None, None


def _standardise(x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x_hat, mean, biased variance and inv_std: what the forward pass needs, and the backward pass again."""
    axes, count = _axes_and_count(x)
    wide = x.to(statistics_dtype(x.dtype))
    mean = wide.sum(axes) / count
    centred = wide - per_channel(mean, wide)
    var = centred.square().sum(axes) / count
    inv_std = torch.rsqrt(var + eps)
    return centred * per_channel(inv_std, wide), mean, var, inv_std


def _axes_and_count(x: Tensor) -> tuple[tuple[int, ...], int]:
    """The axes that a channel's values lie along, and how many values; 1 if there are none, and every sum is 0."""
    return (0, *range(2, x.ndim)), max(x.numel() // x.shape[1], 1)
