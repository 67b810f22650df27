"""The two steps that the family is made of, on tensors: centring and rescaling, over axes that the member chooses."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def centre(x: Float[Tensor, "*shape"], axes: Sequence[int]) -> Float[Tensor, "*shape"]:
    """Take the mean over `axes` away; in the dtype of `x`, which should be at least float32.

    >>> centre(torch.tensor([[1.0, 3.0], [10.0, 20.0]]), axes=[1])
    tensor([[-1.,  1.],
            [-5.,  5.]])
    """
    return x - x.mean(tuple(axes), keepdim=True)


def rescale(x: Float[Tensor, "*shape"], axes: Sequence[int], eps: float) -> Float[Tensor, "*shape"]:
    """Divide by the root mean square over `axes`, with `eps` inside the root; in the dtype of `x`.

    Of what has been centred first, the mean square is the biased variance, free of the cancellation that `E[x^2] -
    E[x]^2` suffers where the mean is large.

    Raises:
        ValueError: `eps` is negative. With 0, zeros alone become 0 / 0, which is NaN.

    Example:
        >>> rescale(torch.tensor([[3.0, -4.0, 0.0, 0.0]]), axes=[1], eps=0.0)
        tensor([[ 1.2000, -1.6000,  0.0000,  0.0000]])
    """
    if eps < 0:
        raise ValueError(f"expected eps of at least 0, got {eps}")
    return x * torch.rsqrt(x.square().mean(tuple(axes), keepdim=True) + eps)


def scale_and_shift(
    x_hat: Float[Tensor, "*shape"], weight: Float[Tensor, "*affine"] | None, bias: Float[Tensor, "*affine"] | None
) -> Float[Tensor, "*shape"]:
    """`weight * x_hat + bias` in the dtype of `x_hat`, where shapes that broadcast are the caller's business.

    >>> scale_and_shift(torch.ones(2), torch.tensor([2.0, 3.0]), None)
    tensor([2., 3.])
    """
    y = x_hat if weight is None else x_hat * weight.to(x_hat.dtype)
    return y if bias is None else y + bias.to(x_hat.dtype)
