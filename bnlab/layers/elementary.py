"""Batch normalisation by elementary tensor operations, which autograd differentiates: the backend "torch"."""

import torch
from jaxtyping import Float
from torch import Tensor


def normalise_by_batch(
    x: Float[Tensor, "n c *spatial"],
    weight: Float[Tensor, " c"] | None,
    bias: Float[Tensor, " c"] | None,
    eps: float,
) -> tuple[Float[Tensor, "n c *spatial"], Float[Tensor, " c"], Float[Tensor, " c"]]:
    """The output, in the dtype of `x`, and the batch's mean and biased variance, in that of the statistics.

    >>> y, mean, var = normalise_by_batch(torch.tensor([[1.0, 10.0], [3.0, 30.0]]), None, None, eps=1e-5)
    >>> y.round(decimals=4), mean, var
    (tensor([[-1., -1.],
            [ 1.,  1.]]), tensor([ 2., 20.]), tensor([  1., 100.]))
    """
    centred, mean, var = _centre(x.to(statistics_dtype(x.dtype)))
    return _scale_and_shift(centred, var, weight, bias, eps).to(x.dtype), mean, var


def normalise_by(  # noqa: PLR0917 - the formula's operands, in its order
    x: Float[Tensor, "n c *spatial"],
    mean: Float[Tensor, " c"],
    var: Float[Tensor, " c"],
    weight: Float[Tensor, " c"] | None,
    bias: Float[Tensor, " c"] | None,
    eps: float,
) -> Float[Tensor, "n c *spatial"]:
    """The output for statistics that are given, computed in their dtype or better, returned in the dtype of `x`.

    >>> normalise_by(torch.tensor([[6.0]]), torch.tensor([2.0]), torch.tensor([4.0]), None, None, eps=0.0)
    tensor([[2.]])
    """
    wide = x.to(statistics_dtype(x.dtype))
    return _scale_and_shift(wide - per_channel(mean, wide), var, weight, bias, eps).to(x.dtype)


def statistics_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype that statistics are computed in: at least float32, since half precision keeps only 3 digits of a sum.

    >>> statistics_dtype(torch.bfloat16), statistics_dtype(torch.float64)
    (torch.float32, torch.float64)
    """
    return torch.promote_types(dtype, torch.float32)


def batch_statistics(x: Float[Tensor, "n c *spatial"]) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
    """Mean and biased variance of every channel, over all other axes and in the dtype of `x`; zeros if there are none.

    >>> batch_statistics(torch.tensor([[1.0, 10.0], [3.0, 30.0]]))
    (tensor([ 2., 20.]), tensor([  1., 100.]))
    """
    _, mean, var = _centre(x)
    return mean, var


def per_channel(values: Float[Tensor, " c"], x: Float[Tensor, "n c *spatial"]) -> Float[Tensor, "1 c *ones"]:
    """View `values` so that it lines up with the channels of `x`, in the dtype of `x`.

    >>> per_channel(torch.tensor([1.0, 2.0]), torch.zeros(5, 2, 4, 4)).shape
    torch.Size([1, 2, 1, 1])
    """
    return values.to(x.dtype).reshape(1, -1, *(1,) * (x.ndim - 2))


def _centre(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The values without their channel's mean, that mean, and the biased variance.

    Two passes: the mean square minus the squared mean would cancel where the mean is large. `torch.var_mean` also gives
    both, but adds the values up one by one, at a fifth of the speed.
    """
    axes = (0, *range(2, x.ndim))
    count = max(x.numel() // x.shape[1], 1)  # of an empty batch every sum is 0
    mean = x.sum(axes) / count
    centred = x - per_channel(mean, x)
    return centred, mean, centred.square().sum(axes) / count


def _scale_and_shift(centred: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """The output: gamma and the standard deviation make one factor, which costs a pass over the data less than two."""
    gain = torch.rsqrt(var.to(centred.dtype) + eps)
    y = centred * per_channel(gain if weight is None else gain * weight.to(gain.dtype), centred)
    return y if bias is None else y + per_channel(bias, centred)
