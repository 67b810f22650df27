"""Batch renormalisation: batch norm, corrected towards the running statistics that inference will use."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

from bnlab.reference.backward import Gradients, batch_norm_backward
from bnlab.reference.batch_norm import Cache, _activations, _broadcast, _per_channel, batch_norm_forward


class RenormCache(NamedTuple):
    """What batch renorm leaves for its backward pass and for the running statistics.

    Attributes:
        batch: the `Cache` of batch norm on the same input; `update_running_stats` takes its statistics.
        r: the correction of each channel's scale, shape `(c,)`.
        d: the correction of each channel's position, in running standard deviations, shape `(c,)`.
    """

    batch: Cache
    r: Float64[np.ndarray, " c"]
    d: Float64[np.ndarray, " c"]


def batch_renorm_forward(
    x: Float[np.ndarray, "n c *spatial"],
    gamma: Float[np.ndarray, " c"],
    beta: Float[np.ndarray, " c"],
    running_mean: Float[np.ndarray, " c"],
    running_std: Float[np.ndarray, " c"],
    *,
    r_max: float,
    d_max: float,
    eps: float = 1e-5,
) -> tuple[Float64[np.ndarray, "n c *spatial"], RenormCache]:
    """Normalise by the batch, then move towards the running statistics (Ioffe 2017, Algorithm 1, arXiv:1702.03275).

    With the limits wide open the result is what inference gives, `(x - running_mean) / running_std`; with `r_max=1` and
    `d_max=0` it is batch norm. `running_std` is divided by as it is, so it must hold `eps` already: the paper keeps a
    moving average of `sqrt(batch_var + eps)`. With the running variance of `update_running_stats`, pass
    `np.sqrt(running_var + eps)`, and move that variance on by what `cache.batch` holds. Nothing is updated here. Input
    is float32 or float64; everything is computed and returned in float64. NaN passes through: it turns its whole
    channel into NaN, and no other.

    Args:
        x: activations, float32 or float64, any rank from 2.
        gamma: scale of each channel.
        beta: shift of each channel.
        running_mean: mean of each channel so far.
        running_std: standard deviation of each channel so far, `eps` included; positive.
        r_max: limit of the correction of scale: `r` stays from `1 / r_max` to `r_max`. At least 1.
        d_max: limit of the correction of position: `d` stays from `-d_max` to `d_max`. At least 0.
        eps: floor under the batch's variance, inside the root; positive.

    Returns:
        `y`, of the shape of `x`, and the `RenormCache`.

    Raises:
        ValueError: what `batch_norm_forward` refuses, a running statistic of another shape than `(c,)`, a `running_std`
            that is not positive, `r_max` below 1, or `d_max` below 0.

    Example:
        A batch with mean 2 and standard deviation 1, where 0 and 2 are the running ones. Wide limits bring `x` back,
        halved; narrow ones leave batch norm:

        >>> x, affine, running = np.array([[1.0], [3.0]]), (np.ones(1), np.zeros(1)), (np.zeros(1), np.array([2.0]))
        >>> wide, cache = batch_renorm_forward(x, *affine, *running, r_max=3.0, d_max=5.0)
        >>> narrow, _ = batch_renorm_forward(x, *affine, *running, r_max=1.0, d_max=0.0)
        >>> wide.ravel().round(3), narrow.ravel().round(3)
        (array([0.5, 1.5]), array([-1.,  1.]))
        >>> cache.r.round(3), cache.d.round(3)
        (array([0.5]), array([1.]))
    """
    x = _activations(x)
    gamma, beta, running_mean, running_std = _per_channel(
        x, gamma=gamma, beta=beta, running_mean=running_mean, running_std=running_std
    )
    _check_limits(running_std, r_max, d_max)

    _, batch = batch_norm_forward(x, gamma, beta, eps=eps)
    r = np.clip(1 / (batch.inv_std * running_std), 1 / r_max, r_max)
    d = np.clip((batch.batch_mean - running_mean) / running_std, -d_max, d_max)
    x_hat = _broadcast(r, x) * batch.x_hat + _broadcast(d, x)
    return _broadcast(gamma, x) * x_hat + _broadcast(beta, x), RenormCache(batch, r, d)


def batch_renorm_backward(grad_y: Float[np.ndarray, "n c *spatial"], cache: RenormCache) -> Gradients:
    """Gradients of batch renorm, with `r` and `d` held constant (Ioffe 2017, section 3, arXiv:1702.03275).

    The paper stops the gradient at `r` and `d`, although both are computed from the batch. So the loss sees batch norm
    with the affine `gamma * r` and `gamma * d + beta`. These are not the derivatives of `batch_renorm_forward`: within
    the limits those would be inference's, and the gradient would not know that the batch is normalised at all. Input is
    float32 or float64; everything is computed and returned in float64. NaN passes through.

    Args:
        grad_y: gradient of the loss with respect to the output.
        cache: what `batch_renorm_forward` returned beside that output.

    Returns:
        `grad_x`, of the shape of `grad_y`, then `grad_gamma` and `grad_beta`, of shape `(c,)`.

    Raises:
        ValueError: `grad_y` has a dtype other than float32 and float64, or another shape than the input had.

    Example:
        The output is that of inference, a straight line in `x`; the gradient is still batch norm's, which a shift of
        the whole channel does not reach:

        >>> running = (np.zeros(1), np.array([2.0]))
        >>> x = np.array([[1.0], [3.0]])
        >>> _, cache = batch_renorm_forward(x, np.ones(1), np.zeros(1), *running, r_max=3.0, d_max=5.0)
        >>> grad_x, _, _ = batch_renorm_backward(np.ones((2, 1)), cache)
        >>> grad_x.ravel()
        array([0., 0.])
    """
    batch, r, d = cache
    grad_x, along_x_hat, grad_beta = batch_norm_backward(grad_y, batch._replace(gamma=batch.gamma * r))
    return grad_x, r * along_x_hat + d * grad_beta, grad_beta


def _check_limits(running_std: np.ndarray, r_max: float, d_max: float) -> None:
    if (running_std <= 0).any():
        raise ValueError(f"running_std must be positive, got {running_std.min()}")
    if not r_max >= 1:
        raise ValueError(f"r_max must be at least 1, got {r_max}")
    if not d_max >= 0:
        raise ValueError(f"d_max must be at least 0, got {d_max}")
