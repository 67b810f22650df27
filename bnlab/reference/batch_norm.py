"""Batch normalisation as its paper defines it: the training forward pass, inference, and the running statistics."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64


class Cache(NamedTuple):
    """What the training forward pass leaves for the backward pass and for the running statistics; all in float64.

    Attributes:
        x_hat: the normalised input, shape `(n, c, *spatial)`.
        inv_std: `1 / sqrt(batch_var + eps)`, shape `(c,)`.
        gamma: the scale that was used, a copy, shape `(c,)`.
        batch_mean: mean of each channel, shape `(c,)`.
        batch_var: biased variance of each channel (divided by `count`), shape `(c,)`.
        count: elements in each channel: the paper's m, or m' for a convolution.
    """

    x_hat: Float64[np.ndarray, "n c *spatial"]
    inv_std: Float64[np.ndarray, " c"]
    gamma: Float64[np.ndarray, " c"]
    batch_mean: Float64[np.ndarray, " c"]
    batch_var: Float64[np.ndarray, " c"]
    count: int  # type: ignore[assignment]  # hides tuple.count, which a record has no use for


def batch_norm_forward(
    x: Float[np.ndarray, "n c *spatial"],
    gamma: Float[np.ndarray, " c"],
    beta: Float[np.ndarray, " c"],
    *,
    eps: float = 1e-5,
) -> tuple[Float64[np.ndarray, "n c *spatial"], Cache]:
    """Normalise each channel by its batch, then scale and shift (Ioffe & Szegedy 2015, Algorithm 1, arXiv:1502.03167).

    A channel's statistics are taken over the batch and every spatial position together (section 3.2), the variance
    biased and in a second pass over the centred values. Input is float32 or float64; everything is computed and
    returned in float64. NaN passes through: it turns its whole channel into NaN, and no other. A channel of one element
    gives exactly `beta`.

    Args:
        x: activations, float32 or float64, any rank from 2.
        gamma: scale of each channel.
        beta: shift of each channel.
        eps: floor under the variance, inside the root. It must be positive: without it a channel that does not vary
            would be 0 / 0.

    Returns:
        `y`, the normalised, scaled and shifted input, and the `Cache`.

    Raises:
        ValueError: a dtype other than float32 and float64, a rank below 2, no channels, an empty batch, `gamma` or
            `beta` of another shape than `(c,)`, or `eps` not positive and finite.

    Example:
        Two channels, one ten times the other, with means 2 and 20:

        >>> x = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
        >>> y, cache = batch_norm_forward(x, gamma=np.ones(2), beta=np.zeros(2))
        >>> y.round(3)
        array([[-1.225, -1.225],
               [ 0.   ,  0.   ],
               [ 1.225,  1.225]])
        >>> cache.batch_mean, cache.batch_var.round(3), cache.count
        (array([ 2., 20.]), array([ 0.667, 66.667]), 3)
    """
    x = _activations(x)
    gamma, beta = _per_channel(x, gamma=gamma, beta=beta)
    _check_eps(eps)
    if x.size == 0:
        raise ValueError(f"x must have at least one element per channel to take statistics of, got shape {x.shape}")
    axes = (0, *range(2, x.ndim))
    count = x.size // x.shape[1]

    batch_mean = x.mean(axes)
    centred = x - _broadcast(batch_mean, x)
    batch_var = np.square(centred).mean(axes)
    inv_std = 1 / np.sqrt(batch_var + eps)
    x_hat = centred * _broadcast(inv_std, x)
    y = _broadcast(gamma, x) * x_hat + _broadcast(beta, x)
    return y, Cache(x_hat, inv_std, gamma, batch_mean, batch_var, count)


def batch_norm_inference(
    x: Float[np.ndarray, "n c *spatial"],
    gamma: Float[np.ndarray, " c"],
    beta: Float[np.ndarray, " c"],
    running_mean: Float[np.ndarray, " c"],
    running_var: Float[np.ndarray, " c"],
    *,
    eps: float = 1e-5,
) -> Float64[np.ndarray, "n c *spatial"]:
    """Normalise by statistics fixed in advance (Ioffe & Szegedy 2015, Algorithm 2, line 11, arXiv:1502.03167).

    The batch plays no part: each element is scaled and shifted by constants of its channel, so an example's output does
    not depend on what it is batched with, and an empty batch gives an empty output. Input is float32 or float64;
    everything is computed and returned in float64. NaN passes through, element by element.

    Args:
        x: activations, float32 or float64, any rank from 2.
        gamma: scale of each channel.
        beta: shift of each channel.
        running_mean: mean of each channel, as `update_running_stats` keeps it.
        running_var: unbiased variance of each channel, as `update_running_stats` keeps it.
        eps: floor under the variance, inside the root; positive.

    Returns:
        `y`, of the shape of `x`.

    Raises:
        ValueError: a dtype other than float32 and float64, a rank below 2, no channels, an array per channel of another
            shape than `(c,)`, a negative `running_var`, or `eps` not positive and finite.

    Example:
        A single example has no batch to be normalised by, and needs none:

        >>> mean, var = np.array([2.0]), np.array([4.0])
        >>> batch_norm_inference(np.array([[6.0]]), np.ones(1), np.zeros(1), mean, var).round(3)
        array([[2.]])
    """
    x = _activations(x)
    gamma, beta, running_mean, running_var = _per_channel(
        x, gamma=gamma, beta=beta, running_mean=running_mean, running_var=running_var
    )
    _check_eps(eps)
    _check_variance("running_var", running_var)

    inv_std = 1 / np.sqrt(running_var + eps)
    x_hat = (x - _broadcast(running_mean, x)) * _broadcast(inv_std, x)
    y: Float64[np.ndarray, "n c *spatial"] = _broadcast(gamma, x) * x_hat + _broadcast(beta, x)
    return y


def update_running_stats(
    running_mean: Float[np.ndarray, " c"],
    running_var: Float[np.ndarray, " c"],
    batch_mean: Float[np.ndarray, " c"],
    batch_var: Float[np.ndarray, " c"],
    *,
    count: int,
    momentum: float = 0.1,
) -> tuple[Float64[np.ndarray, " c"], Float64[np.ndarray, " c"]]:
    """Move the running statistics towards a batch's (Ioffe & Szegedy 2015, section 3.1, arXiv:1502.03167).

    The paper tracks training with moving averages; its Algorithm 2 asks for the unbiased variance, `m / (m - 1)` times
    the batch's.
    Momentum is PyTorch's, the weight of the *new* value: `(1 - momentum) * old + momentum * batch`, so that Keras's
    0.99 is 0.01 here. Input is float32 or float64; everything is computed and returned in float64. NaN passes through.

    Args:
        running_mean: mean of each channel so far.
        running_var: unbiased variance of each channel so far.
        batch_mean: mean of each channel in this batch.
        batch_var: *biased* variance of each channel in this batch, as `Cache` has it.
        count: elements per channel behind `batch_mean` and `batch_var`, at least 2.
        momentum: weight of this batch, from 0 (ignore it) to 1 (forget all before it).

    Returns:
        The new `running_mean` and `running_var` (unbiased), as new arrays.

    Raises:
        ValueError: a dtype other than float32 and float64, arrays that are not all of one shape `(c,)`, a negative
            variance, a `momentum` outside [0, 1], or a `count` below 2, whose unbiased variance is undefined.

    Example:
        Two elements with biased variance 1 have unbiased variance 2, and a tenth of the way from 1 to 2 is 1.1:

        >>> mean, var = np.zeros(1), np.ones(1)
        >>> update_running_stats(mean, var, batch_mean=np.array([5.0]), batch_var=np.array([1.0]), count=2)
        (array([0.5]), array([1.1]))
    """
    running_mean = _as_float64("running_mean", running_mean)
    if running_mean.ndim != 1 or running_mean.size == 0:
        raise ValueError(f"running_mean must have shape (channels,), with at least one, got {running_mean.shape}")
    running_var, batch_mean, batch_var = _of_shape(
        running_mean.shape, running_var=running_var, batch_mean=batch_mean, batch_var=batch_var
    )
    _check_variance("running_var", running_var)
    _check_variance("batch_var", batch_var)
    if not 0 <= momentum <= 1:
        raise ValueError(f"momentum must be from 0 to 1 (the weight of the new batch), got {momentum}")
    if count < 2:
        raise ValueError(f"count must be at least 2 for an unbiased variance, got {count}")

    unbiased_var = batch_var * (count / (count - 1))
    new_mean = (1 - momentum) * running_mean + momentum * batch_mean
    new_var = (1 - momentum) * running_var + momentum * unbiased_var
    return new_mean, new_var


def _broadcast(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """View `values`, shape `(c,)`, so that it lines up with the channels of `x`."""
    return values.reshape(1, -1, *(1,) * (x.ndim - 2))


def _as_float64(name: str, array: np.ndarray) -> np.ndarray:
    """Copy into float64, so that nothing returned can share memory with an argument."""
    array = np.asarray(array)
    if array.dtype.type not in {np.float32, np.float64}:
        raise ValueError(f"{name} must be float32 or float64, got {array.dtype}")
    return array.astype(np.float64)


def _activations(x: np.ndarray) -> np.ndarray:
    x = _as_float64("x", x)
    if x.ndim < 2:
        raise ValueError(f"x must have shape (n, c, *spatial), got {x.shape}")
    if x.shape[1] == 0:
        raise ValueError(f"x must have at least one channel, got shape {x.shape}")
    return x


def _per_channel(x: np.ndarray, **arrays: np.ndarray) -> list[np.ndarray]:
    return _of_shape(x.shape[1:2], **arrays)


def _of_shape(shape: tuple[int, ...], **arrays: np.ndarray) -> list[np.ndarray]:
    """Copy each array into float64, refusing one that has not one value per channel."""
    for name, array in arrays.items():
        if np.shape(array) != shape:
            raise ValueError(f"{name} must have shape {shape}, one value per channel, got {np.shape(array)}")
    return [_as_float64(name, array) for name, array in arrays.items()]


def _check_eps(eps: float) -> None:
    if not (math.isfinite(eps) and eps > 0):
        raise ValueError(f"eps must be positive and finite, got {eps}")


def _check_variance(name: str, var: np.ndarray) -> None:
    if (var < 0).any():
        raise ValueError(f"{name} must not be negative, got {var.min()}")
