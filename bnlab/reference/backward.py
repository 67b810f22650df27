"""Batch normalisation differentiated: the graph node by node, its closed form, and inference."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Float64

from bnlab.reference.batch_norm import (
    Cache,
    _activations,
    _as_float64,
    _broadcast,
    _check_eps,
    _check_variance,
    _per_channel,
)

Gradients: TypeAlias = tuple[Float64[np.ndarray, "n c *spatial"], Float64[np.ndarray, " c"], Float64[np.ndarray, " c"]]


def batch_norm_backward(grad_y: Float[np.ndarray, "n c *spatial"], cache: Cache) -> Gradients:
    """Gradients of training-mode batch norm in closed form (Ioffe & Szegedy 2015, section 3, arXiv:1502.03167).

    All values of a channel share one mean and one variance, so the loss cannot feel a shift of the channel, nor, but
    for `eps`, a stretch: `grad_x` is `grad_y` without its component along 1 (the mean's share) and without that along
    `x_hat` (the variance's share), times the gain `gamma * inv_std`. Input is float32 or float64; everything is
    computed and returned in float64. NaN passes through: it turns its whole channel into NaN, and no other.

    Args:
        grad_y: gradient of the loss with respect to the output.
        cache: what `batch_norm_forward` returned beside that output.

    Returns:
        `grad_x`, of the shape of `grad_y`, then `grad_gamma` and `grad_beta`, of shape `(c,)`.

    Raises:
        ValueError: `grad_y` has a dtype other than float32 and float64, or another shape than the input had.

    Example:
        Two values, at -1 and 1 once normalised. A pull on one of them is half a shift and half a stretch of the two,
        and batch norm undoes both: almost nothing arrives at `x`. What `eps` leaves of the stretch is too small to
        print.

        >>> from bnlab.reference import batch_norm_forward
        >>> _, cache = batch_norm_forward(np.array([[4.0], [6.0]]), gamma=np.ones(1), beta=np.zeros(1))
        >>> grad_x, grad_gamma, grad_beta = batch_norm_backward(np.array([[1.0], [0.0]]), cache)
        >>> np.abs(grad_x).max() < 1e-5, grad_gamma.round(3), grad_beta
        (np.True_, array([-1.]), array([1.]))
    """
    grad_y = _like_the_input(grad_y, cache.x_hat)
    axes = (0, *range(2, grad_y.ndim))

    grad_beta = grad_y.sum(axes)
    grad_gamma = (grad_y * cache.x_hat).sum(axes)
    along_one = _broadcast(grad_beta / cache.count, grad_y)
    along_x_hat = _broadcast(grad_gamma / cache.count, grad_y) * cache.x_hat
    gain = _broadcast(cache.gamma * cache.inv_std, grad_y)
    grad_x = gain * (grad_y - along_one - along_x_hat)
    return grad_x, grad_gamma, grad_beta


def batch_norm_backward_staged(grad_y: Float[np.ndarray, "n c *spatial"], cache: Cache) -> Gradients:
    """The gradients of `batch_norm_backward`, by the chain rule at one node of the graph at a time.

    From the last line of the forward pass to the first (Ioffe & Szegedy 2015, Algorithm 1, arXiv:1502.03167); each
    comment repeats the line that is being differentiated. Two rules do all the work: a value that was used twice
    collects a gradient from each use, and where one value was broadcast over a channel, its gradient is the sum over
    that channel. Input is float32 or float64; everything is computed and returned in float64. NaN passes through.

    Args:
        grad_y: gradient of the loss with respect to the output.
        cache: what `batch_norm_forward` returned beside that output.

    Returns:
        `grad_x`, of the shape of `grad_y`, then `grad_gamma` and `grad_beta`, of shape `(c,)`.

    Raises:
        ValueError: `grad_y` has a dtype other than float32 and float64, or another shape than the input had.

    Example:
        >>> from bnlab.reference import batch_norm_forward
        >>> _, cache = batch_norm_forward(np.array([[1.0], [2.0], [6.0]]), gamma=np.ones(1), beta=np.zeros(1))
        >>> grad_y = np.array([[1.0], [0.0], [0.0]])
        >>> staged, closed = batch_norm_backward_staged(grad_y, cache), batch_norm_backward(grad_y, cache)
        >>> all(np.allclose(one, other) for one, other in zip(staged, closed))
        True
    """
    grad_y = _like_the_input(grad_y, cache.x_hat)
    axes = (0, *range(2, grad_y.ndim))
    x_hat, count = cache.x_hat, cache.count
    gamma, inv_std = _broadcast(cache.gamma, x_hat), _broadcast(cache.inv_std, x_hat)
    centred = x_hat / inv_std

    # from y = gamma * x_hat + beta
    grad_beta = grad_y.sum(axes)
    grad_gamma = (grad_y * x_hat).sum(axes)
    grad_x_hat = grad_y * gamma

    # from x_hat = centred * inv_std
    grad_centred_direct = grad_x_hat * inv_std
    grad_inv_std = (grad_x_hat * centred).sum(axes, keepdims=True)

    # from inv_std = (var + eps) ** -0.5
    grad_var = grad_inv_std * -0.5 * inv_std**3

    # from var = (centred**2).sum(axes) / count
    grad_centred_through_var = grad_var * 2 * centred / count
    grad_centred = grad_centred_direct + grad_centred_through_var

    # from centred = x - mean
    grad_mean = -grad_centred.sum(axes, keepdims=True)

    # from mean = x.sum(axes) / count
    grad_x = grad_centred + grad_mean / count
    return grad_x, grad_gamma, grad_beta


def batch_norm_inference_backward(
    grad_y: Float[np.ndarray, "n c *spatial"],
    x: Float[np.ndarray, "n c *spatial"],
    gamma: Float[np.ndarray, " c"],
    running_mean: Float[np.ndarray, " c"],
    running_var: Float[np.ndarray, " c"],
    *,
    eps: float = 1e-5,
) -> Gradients:
    """Gradients of inference-mode batch norm (Ioffe & Szegedy 2015, Algorithm 2, line 11, arXiv:1502.03167).

    The running statistics are constants, so each channel is a straight line: every element of `grad_x` is that of
    `grad_y` times the slope `gamma * inv_std`, and nothing is taken out, as training takes out the mean's share and the
    variance's. `beta` is not needed, and an empty batch gives zeros for `grad_gamma` and `grad_beta`. Input is float32
    or float64; everything is computed and returned in float64. NaN passes through.

    Args:
        grad_y: gradient of the loss with respect to the output.
        x: the activations that were normalised, any rank from 2.
        gamma: scale of each channel.
        running_mean: mean of each channel, as it was used.
        running_var: unbiased variance of each channel, as it was used.
        eps: floor under the variance, inside the root; positive.

    Returns:
        `grad_x`, of the shape of `grad_y`, then `grad_gamma` and `grad_beta`, of shape `(c,)`.

    Raises:
        ValueError: a dtype other than float32 and float64, a rank below 2, no channels, `grad_y` of another shape than
            `x`, an array per channel of another shape than `(c,)`, a negative `running_var`, or `eps` not positive and
            finite.

    Example:
        A slope of 3 / 2, whatever the other examples are:

        >>> mean, var, x = np.array([2.0]), np.array([4.0]), np.array([[6.0], [0.0]])
        >>> grad_x, _, _ = batch_norm_inference_backward(np.ones((2, 1)), x, np.array([3.0]), mean, var)
        >>> grad_x.round(3)
        array([[1.5],
               [1.5]])
    """
    x = _activations(x)
    grad_y = _like_the_input(grad_y, x)
    gamma, running_mean, running_var = _per_channel(x, gamma=gamma, running_mean=running_mean, running_var=running_var)
    _check_eps(eps)
    _check_variance("running_var", running_var)
    axes = (0, *range(2, x.ndim))

    inv_std = 1 / np.sqrt(running_var + eps)
    x_hat = (x - _broadcast(running_mean, x)) * _broadcast(inv_std, x)
    grad_x = _broadcast(gamma * inv_std, x) * grad_y
    return grad_x, (grad_y * x_hat).sum(axes), grad_y.sum(axes)


def _like_the_input(grad_y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Copy `grad_y` into float64, refusing one that has not one value per element of the input."""
    grad_y = _as_float64("grad_y", grad_y)
    if grad_y.shape != x.shape:
        raise ValueError(f"grad_y must have the input's shape {x.shape}, got {grad_y.shape}")
    return grad_y
