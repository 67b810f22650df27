"""Ghost batch normalisation: batch norm on each part of a batch."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Float64

from bnlab.reference.backward import Gradients, _like_the_input, batch_norm_backward
from bnlab.reference.batch_norm import Cache, _activations, batch_norm_forward

GhostCache: TypeAlias = tuple[Cache, ...]


def ghost_batch_norm_forward(
    x: Float[np.ndarray, "n c *spatial"],
    gamma: Float[np.ndarray, " c"],
    beta: Float[np.ndarray, " c"],
    *,
    ghost_size: int,
    eps: float = 1e-5,
) -> tuple[Float64[np.ndarray, "n c *spatial"], GhostCache]:
    """Batch norm on each part of the batch by itself (Hoffer, Hubara & Soudry 2017, Algorithm 1, arXiv:1705.08741).

    The parts, the ghosts, are consecutive examples. Each has a `Cache` of its own, whose statistics
    `update_running_stats` takes, one ghost after another. Input is float32 or float64; everything is computed and
    returned in float64. NaN passes through: it turns its channel of its ghost into NaN, and no other.

    Args:
        x: activations, float32 or float64, any rank from 2.
        gamma: scale of each channel, the same for all ghosts.
        beta: shift of each channel, the same for all ghosts.
        ghost_size: examples of a ghost; the batch is a multiple of it.
        eps: floor under the variance, inside the root; positive.

    Returns:
        `y`, of the shape of `x`, and the `Cache` of each ghost.

    Raises:
        ValueError: what `batch_norm_forward` refuses, a `ghost_size` below 1, or a batch that is no multiple of it.

    Example:
        Four examples in two ghosts:

        >>> x = np.array([[1.0], [3.0], [10.0], [30.0]])
        >>> y, caches = ghost_batch_norm_forward(x, gamma=np.ones(1), beta=np.zeros(1), ghost_size=2)
        >>> y.ravel().round(3), [cache.batch_mean.item() for cache in caches]
        (array([-1.,  1., -1.,  1.]), [2.0, 20.0])
    """
    x = _activations(x)
    if ghost_size < 1 or len(x) == 0 or len(x) % ghost_size:
        raise ValueError(
            f"x must have a multiple of ghost_size examples, got {len(x)} for a ghost_size of {ghost_size}"
        )
    ghosts = np.split(x, len(x) // ghost_size)
    outputs, caches = zip(*[batch_norm_forward(ghost, gamma, beta, eps=eps) for ghost in ghosts], strict=True)
    return np.concatenate(outputs), caches


def ghost_batch_norm_backward(grad_y: Float[np.ndarray, "n c *spatial"], cache: GhostCache) -> Gradients:
    """Gradients of ghost batch norm (Hoffer, Hubara & Soudry 2017, Algorithm 1, arXiv:1705.08741).

    No gradient crosses from one ghost to another; they meet only in `grad_gamma` and `grad_beta`, which are sums over
    them. Input is float32 or float64; everything is computed and returned in float64. NaN passes through.

    Args:
        grad_y: gradient of the loss with respect to the output.
        cache: what `ghost_batch_norm_forward` returned beside that output.

    Returns:
        `grad_x`, of the shape of `grad_y`, then `grad_gamma` and `grad_beta`, of shape `(c,)`.

    Raises:
        ValueError: `grad_y` has a dtype other than float32 and float64, or another shape than the input had.

    Example:
        >>> x = np.array([[1.0], [2.0], [6.0], [10.0], [30.0], [20.0]])
        >>> _, caches = ghost_batch_norm_forward(x, gamma=np.ones(1), beta=np.zeros(1), ghost_size=3)
        >>> grad_x, _, _ = ghost_batch_norm_backward(np.array([[1.0], [0.0], [0.0], [0.0], [0.0], [0.0]]), caches)
        >>> (grad_x != 0).ravel()
        array([ True,  True,  True, False, False, False])
    """
    grad_y = _like_the_input(grad_y, np.concatenate([ghost.x_hat for ghost in cache]))
    parts = np.split(grad_y, len(cache))
    gradients = [batch_norm_backward(part, ghost) for part, ghost in zip(parts, cache, strict=True)]
    grad_x, grad_gamma, grad_beta = zip(*gradients, strict=True)
    return np.concatenate(grad_x), sum(grad_gamma), sum(grad_beta)
