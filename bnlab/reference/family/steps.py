"""The two steps that the family is made of: centring and rescaling, each over axes that the member chooses."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from bnlab.reference.batch_norm import _as_float64


class NormCache(NamedTuple):
    """What a member without state leaves for its backward pass; all in float64.

    Attributes:
        x_hat: the normalised input, of its shape.
        inv_rms: what each set of elements was multiplied by, with the axes that were averaged kept, of length 1.
        gamma: the scale that was used, a copy.
    """

    x_hat: Float64[np.ndarray, "*shape"]
    inv_rms: Float64[np.ndarray, "*sets"]
    gamma: Float64[np.ndarray, "*affine"]


def centre(x: Float64[np.ndarray, "*shape"], axes: Sequence[int]) -> Float64[np.ndarray, "*shape"]:
    """Take the mean over `axes` away. It is its own backward pass: what is taken from `x` is taken from its gradient.

    Args:
        x: float64.
        axes: what the mean is taken over.

    Returns:
        `x`, with a mean of zero over `axes`.

    Example:
        >>> centre(np.array([[1.0, 3.0], [10.0, 20.0]]), axes=(1,))
        array([[-1.,  1.],
               [-5.,  5.]])
    """
    centred: Float64[np.ndarray, "*shape"] = x - x.mean(tuple(axes), keepdims=True)
    return centred


def rescale(
    x: Float64[np.ndarray, "*shape"], axes: Sequence[int], *, eps: float
) -> tuple[Float64[np.ndarray, "*shape"], Float64[np.ndarray, "*sets"]]:
    """Divide by the root mean square over `axes`, with `eps` inside the root.

    Of what has been centred first, the mean square is the (biased) variance, and its root the standard deviation.

    Args:
        x: float64.
        axes: what the mean square is taken over.
        eps: floor under the mean square; positive.

    Returns:
        `x_hat`, whose mean square over `axes` is 1 but for `eps`, and what it was multiplied by, `inv_rms`.

    Example:
        >>> x_hat, inv_rms = rescale(np.array([[3.0, -4.0, 0.0, 0.0]]), axes=(1,), eps=1e-12)
        >>> x_hat.round(3), inv_rms.round(3)
        (array([[ 1.2, -1.6,  0. ,  0. ]]), array([[0.4]]))
    """
    inv_rms = 1 / np.sqrt(np.square(x).mean(tuple(axes), keepdims=True) + eps)
    return x * inv_rms, inv_rms


def rescale_backward(
    grad_x_hat: Float64[np.ndarray, "*shape"],
    x_hat: Float64[np.ndarray, "*shape"],
    inv_rms: Float64[np.ndarray, "*sets"],
    axes: Sequence[int],
) -> Float64[np.ndarray, "*shape"]:
    """Gradient of `rescale`: without its component along `x_hat`, since a stretch of `x` changes nothing.

    Args:
        grad_x_hat: gradient of the loss with respect to `x_hat`.
        x_hat: as `rescale` returned it.
        inv_rms: as `rescale` returned it.
        axes: those of `rescale`.

    Returns:
        The gradient of the loss with respect to `x`.

    Example:
        What is left is at a right angle to `x`, which is (3, -4) here:

        >>> x_hat, inv_rms = rescale(np.array([3.0, -4.0]), axes=(0,), eps=1e-12)
        >>> grad_x = rescale_backward(np.array([1.0, 0.0]), x_hat, inv_rms, axes=(0,))
        >>> (grad_x / grad_x[1]).round(3)
        array([1.333, 1.   ])
    """
    along_x_hat = (grad_x_hat * x_hat).mean(tuple(axes), keepdims=True) * x_hat
    grad_x: Float64[np.ndarray, "*shape"] = inv_rms * (grad_x_hat - along_x_hat)
    return grad_x


def _trailing(
    x: np.ndarray, gamma: np.ndarray, **others: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Copy all into float64, refusing a `gamma` whose axes are not the last ones of `x`, and others unlike `gamma`."""
    x, gamma = _as_float64("x", x), _as_float64("gamma", gamma)
    if gamma.ndim == 0:
        raise ValueError("gamma must have the axes that are normalised, the last ones of x, got shape ()")
    if x.shape[-gamma.ndim :] != gamma.shape:
        raise ValueError(
            f"gamma must have the shape of the last axes of x, whose shape is {x.shape}, got {gamma.shape}"
        )
    for name, array in others.items():
        if np.shape(array) != gamma.shape:
            raise ValueError(f"{name} must have the shape of gamma, {gamma.shape}, got {np.shape(array)}")
    return x, gamma, [_as_float64(name, array) for name, array in others.items()]


def _check_elements(x: np.ndarray, axes: Sequence[int]) -> None:
    if math.prod(x.shape[axis] for axis in axes) == 0:
        raise ValueError(f"x must have at least one element to take statistics of, got shape {x.shape}")
