"""Filter response normalisation: instance norm without the centring, and a threshold that is learned."""

from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float64

from bnlab.reference.backward import _like_the_input
from bnlab.reference.batch_norm import _activations, _broadcast, _check_eps, _per_channel
from bnlab.reference.family.steps import NormCache, _check_elements, rescale, rescale_backward

FourGradients: TypeAlias = tuple[
    Float64[np.ndarray, "n c *spatial"], Float64[np.ndarray, " c"], Float64[np.ndarray, " c"], Float64[np.ndarray, " c"]
]


class ThresholdCache(NamedTuple):
    """What filter response norm leaves for its backward pass.

    Attributes:
        norm: of the normalisation, before the threshold.
        passed: where the output is above the threshold, so that the gradient goes to the input and not to `tau`.
    """

    norm: NormCache
    passed: Bool[np.ndarray, "n c *spatial"]


def filter_response_norm_forward(
    x: Float[np.ndarray, "n c *spatial"],
    gamma: Float[np.ndarray, " c"],
    beta: Float[np.ndarray, " c"],
    tau: Float[np.ndarray, " c"],
    *,
    eps: float = 1e-6,
) -> tuple[Float64[np.ndarray, "n c *spatial"], ThresholdCache]:
    """Divide each channel of each example by its root mean square (Singh & Krishnan 2019, arXiv:1911.09737).

    Then comes the paper's thresholded linear unit, the larger of `y` and `tau`, in the place of a ReLU, which would
    cut at zero although nothing was centred there. `eps` is a constant, the paper's 1e-6; for channels of one position,
    whose output is hardly more than the sign of `x`, the paper learns it. Input is float32 or float64; everything is
    computed and returned in float64. NaN passes through: it turns its own channel of its own example into NaN, and no
    other.

    Args:
        x: activations, float32 or float64, any rank from 2.
        gamma: scale of each channel.
        beta: shift of each channel.
        tau: threshold of each channel, below which no output falls.
        eps: floor under the mean square, inside the root; positive.

    Returns:
        `y`, thresholded, of the shape of `x`, and the `ThresholdCache`.

    Raises:
        ValueError: a dtype other than float32 and float64, a rank below 2, no channels, no positions, an array per
            channel of another shape than `(c,)`, or `eps` not positive and finite.

    Example:
        The root mean square of 3, -4, 0 and 0 is 2.5:

        >>> x = np.array([[[3.0, -4.0, 0.0, 0.0]]])
        >>> y, _ = filter_response_norm_forward(x, gamma=np.ones(1), beta=np.zeros(1), tau=np.array([-0.5]))
        >>> y.round(3)
        array([[[ 1.2, -0.5,  0. ,  0. ]]])
    """
    x = _activations(x)
    gamma, beta, tau = _per_channel(x, gamma=gamma, beta=beta, tau=tau)
    axes = range(2, x.ndim)
    _check_elements(x, axes)
    _check_eps(eps)

    x_hat, inv_rms = rescale(x, axes, eps=eps)
    y, threshold = _broadcast(gamma, x) * x_hat + _broadcast(beta, x), _broadcast(tau, x)
    return np.maximum(y, threshold), ThresholdCache(NormCache(x_hat, inv_rms, gamma), y > threshold)


def filter_response_norm_backward(grad_y: Float[np.ndarray, "n c *spatial"], cache: ThresholdCache) -> FourGradients:
    """Gradients of filter response norm with its threshold (Singh & Krishnan 2019, arXiv:1911.09737).

    Each element of `grad_y` goes one of two ways: to the input where the output passed the threshold, to `tau` where it
    did not (a tie counts as not). Input is float32 or float64; everything is computed and returned in float64. NaN
    passes through.

    Args:
        grad_y: gradient of the loss with respect to the output.
        cache: what `filter_response_norm_forward` returned beside that output.

    Returns:
        `grad_x`, of the shape of `grad_y`, then `grad_gamma`, `grad_beta` and `grad_tau`, of shape `(c,)`.

    Raises:
        ValueError: `grad_y` has a dtype other than float32 and float64, or another shape than the input had.

    Example:
        >>> x = np.array([[[3.0, -4.0, 0.0, 0.0]]])
        >>> _, cache = filter_response_norm_forward(x, gamma=np.ones(1), beta=np.zeros(1), tau=np.array([-0.5]))
        >>> _, _, grad_beta, grad_tau = filter_response_norm_backward(np.ones((1, 1, 4)), cache)
        >>> grad_beta, grad_tau  # three elements passed, one did not
        (array([3.]), array([1.]))
    """
    (x_hat, inv_rms, gamma), passed = cache
    grad_y = _like_the_input(grad_y, x_hat)
    axes, all_but_channel = range(2, grad_y.ndim), (0, *range(2, grad_y.ndim))

    grad_tau = np.where(passed, 0, grad_y).sum(all_but_channel)
    grad_y = np.where(passed, grad_y, 0)
    grad_x = rescale_backward(_broadcast(gamma, grad_y) * grad_y, x_hat, inv_rms, axes)
    return grad_x, (grad_y * x_hat).sum(all_but_channel), grad_y.sum(all_but_channel), grad_tau
