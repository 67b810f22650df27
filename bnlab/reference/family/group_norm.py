"""Group normalisation: each example by groups of its channels."""

import numpy as np
from jaxtyping import Float, Float64

from bnlab.reference.backward import Gradients, _like_the_input
from bnlab.reference.batch_norm import _activations, _broadcast, _check_eps, _per_channel
from bnlab.reference.family.steps import NormCache, _check_elements, centre, rescale, rescale_backward


def group_norm_forward(
    x: Float[np.ndarray, "n c *spatial"],
    gamma: Float[np.ndarray, " c"],
    beta: Float[np.ndarray, " c"],
    *,
    groups: int,
    eps: float = 1e-5,
) -> tuple[Float64[np.ndarray, "n c *spatial"], NormCache]:
    """Normalise each group of neighbouring channels of each example (Wu & He 2018, equation 7, arXiv:1803.08494).

    One group is layer norm over channels and positions together, a group for each channel is instance norm; `gamma` and
    `beta` are per channel whatever the groups. No example meets another, so training and inference are the same. The
    variance is biased. Input is float32 or float64; everything is computed and returned in float64. NaN passes through:
    it turns its own group of its own example into NaN, and no other.

    Args:
        x: activations, float32 or float64, any rank from 2.
        gamma: scale of each channel.
        beta: shift of each channel.
        groups: how many; they divide the channels evenly.
        eps: floor under the variance, inside the root; positive.

    Returns:
        `y`, of the shape of `x`, and the `NormCache`, whose arrays have the groups' axis, `(n, groups, c / groups,
        *spatial)`.

    Raises:
        ValueError: a dtype other than float32 and float64, a rank below 2, no channels, no positions, `gamma` or `beta`
            of another shape than `(c,)`, `groups` that do not divide the channels, or `eps` not positive and finite.

    Example:
        Four channels of one pixel, in two groups:

        >>> x = np.array([[1.0, 3.0, 10.0, 30.0]])
        >>> y, _ = group_norm_forward(x, gamma=np.ones(4), beta=np.zeros(4), groups=2)
        >>> y.round(3)
        array([[-1.,  1., -1.,  1.]])
    """
    x = _activations(x)
    gamma, beta = _per_channel(x, gamma=gamma, beta=beta)
    n, c, *spatial = x.shape
    if groups < 1 or c % groups:
        raise ValueError(f"groups must divide the {c} channels evenly, got {groups}")
    _check_elements(x, range(1, x.ndim))
    _check_eps(eps)

    grouped = x.reshape(n, groups, c // groups, *spatial)
    axes = range(2, grouped.ndim)
    x_hat, inv_std = rescale(centre(grouped, axes), axes, eps=eps)
    y = _broadcast(gamma, x) * x_hat.reshape(x.shape) + _broadcast(beta, x)
    return y, NormCache(x_hat, inv_std, gamma)


def group_norm_backward(grad_y: Float[np.ndarray, "n c *spatial"], cache: NormCache) -> Gradients:
    """Gradients of group norm (Wu & He 2018, equation 7, arXiv:1803.08494).

    `gamma` varies within a group, so it is multiplied in before anything is taken out. Input is float32 or float64;
    everything is computed and returned in float64. NaN passes through.

    Args:
        grad_y: gradient of the loss with respect to the output.
        cache: what `group_norm_forward` returned beside that output.

    Returns:
        `grad_x`, of the shape of `grad_y`, then `grad_gamma` and `grad_beta`, of shape `(c,)`.

    Raises:
        ValueError: `grad_y` has a dtype other than float32 and float64, or another shape than the input had.

    Example:
        >>> x, affine = np.array([[1.0, 2.0, 6.0, 5.0]]), {"gamma": np.ones(4), "beta": np.zeros(4)}
        >>> _, cache = group_norm_forward(x, **affine, groups=1)
        >>> grad_x, _, grad_beta = group_norm_backward(np.array([[1.0, 0.0, 0.0, 0.0]]), cache)
        >>> abs(grad_x.sum()) < 1e-12, grad_beta
        (np.True_, array([1., 0., 0., 0.]))
    """
    grouped, inv_std, gamma = cache
    x_hat = grouped.reshape(len(grouped), len(gamma), *grouped.shape[3:])
    grad_y = _like_the_input(grad_y, x_hat)
    axes, all_but_channel = range(2, grouped.ndim), (0, *range(2, grad_y.ndim))

    grad_x_hat = (_broadcast(gamma, grad_y) * grad_y).reshape(grouped.shape)
    grad_x = centre(rescale_backward(grad_x_hat, grouped, inv_std, axes), axes).reshape(grad_y.shape)
    return grad_x, (grad_y * x_hat).sum(all_but_channel), grad_y.sum(all_but_channel)
