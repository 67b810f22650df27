"""Instance normalisation: each channel of each example by its own positions."""

import numpy as np
from jaxtyping import Float, Float64

from bnlab.reference.backward import Gradients, _like_the_input
from bnlab.reference.batch_norm import _activations, _broadcast, _check_eps, _per_channel
from bnlab.reference.family.steps import NormCache, _check_elements, centre, rescale, rescale_backward


def instance_norm_forward(
    x: Float[np.ndarray, "n c *spatial"],
    gamma: Float[np.ndarray, " c"],
    beta: Float[np.ndarray, " c"],
    *,
    eps: float = 1e-5,
) -> tuple[Float64[np.ndarray, "n c *spatial"], NormCache]:
    """Normalise each channel of each example (Ulyanov, Vedaldi & Lempitsky 2016, section 2, arXiv:1607.08022).

    Batch norm that does not average over the batch: the contrast of every image is removed by itself, in training and
    in inference alike. The variance is biased. A channel of one position, and so any `x` without spatial axes, gives
    exactly `beta`. Input is float32 or float64; everything is computed and returned in float64. NaN passes through: it
    turns its own channel of its own example into NaN, and no other.

    Args:
        x: activations, float32 or float64, any rank from 2.
        gamma: scale of each channel.
        beta: shift of each channel.
        eps: floor under the variance, inside the root; positive.

    Returns:
        `y`, of the shape of `x`, and the `NormCache`.

    Raises:
        ValueError: a dtype other than float32 and float64, a rank below 2, no channels, no positions, `gamma` or `beta`
            of another shape than `(c,)`, or `eps` not positive and finite.

    Example:
        One image of two channels, three pixels each:

        >>> x = np.array([[[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]])
        >>> y, _ = instance_norm_forward(x, gamma=np.ones(2), beta=np.zeros(2))
        >>> y.round(3)
        array([[[-1.225,  0.   ,  1.225],
                [-1.225,  0.   ,  1.225]]])
    """
    x = _activations(x)
    gamma, beta = _per_channel(x, gamma=gamma, beta=beta)
    axes = range(2, x.ndim)
    _check_elements(x, axes)
    _check_eps(eps)

    x_hat, inv_std = rescale(centre(x, axes), axes, eps=eps)
    return _broadcast(gamma, x) * x_hat + _broadcast(beta, x), NormCache(x_hat, inv_std, gamma)


def instance_norm_backward(grad_y: Float[np.ndarray, "n c *spatial"], cache: NormCache) -> Gradients:
    """Gradients of instance norm (Ulyanov, Vedaldi & Lempitsky 2016, section 2, arXiv:1607.08022).

    Input is float32 or float64; everything is computed and returned in float64. NaN passes through.

    Args:
        grad_y: gradient of the loss with respect to the output.
        cache: what `instance_norm_forward` returned beside that output.

    Returns:
        `grad_x`, of the shape of `grad_y`, then `grad_gamma` and `grad_beta`, of shape `(c,)`.

    Raises:
        ValueError: `grad_y` has a dtype other than float32 and float64, or another shape than the input had.

    Example:
        >>> _, cache = instance_norm_forward(np.array([[[1.0, 2.0, 6.0]]]), gamma=np.ones(1), beta=np.zeros(1))
        >>> grad_x, _, grad_beta = instance_norm_backward(np.array([[[1.0, 0.0, 0.0]]]), cache)
        >>> abs(grad_x.sum()) < 1e-12, grad_beta
        (np.True_, array([1.]))
    """
    x_hat, inv_std, gamma = cache
    grad_y = _like_the_input(grad_y, x_hat)
    axes, all_but_channel = range(2, grad_y.ndim), (0, *range(2, grad_y.ndim))

    grad_x = centre(rescale_backward(_broadcast(gamma, grad_y) * grad_y, x_hat, inv_std, axes), axes)
    return grad_x, (grad_y * x_hat).sum(all_but_channel), grad_y.sum(all_but_channel)
