"""Weight standardisation: each filter by its own weights, and no activation at all."""

import numpy as np
from jaxtyping import Float, Float64

from bnlab.reference.backward import _like_the_input
from bnlab.reference.batch_norm import _as_float64, _check_eps
from bnlab.reference.family.steps import NormCache, centre, rescale, rescale_backward


def weight_standardise_forward(
    weight: Float[np.ndarray, " out *fan_in"], *, eps: float = 1e-5
) -> tuple[Float64[np.ndarray, " out *fan_in"], NormCache]:
    """Give each filter's weights mean zero and variance one (Qiao et al. 2019, arXiv:1903.10520).

    The layer then works with the result in the place of its weights. It is layer norm without an affine, over each
    filter's fan-in: every axis but the first. The variance is biased (divided by the fan-in), and `eps` stands inside
    the root. Input is float32 or float64; everything is computed and returned in float64. NaN passes through: it turns
    its own filter into NaN, and no other.

    Args:
        weight: a filter for each output channel, float32 or float64, any rank from 2.
        eps: floor under the variance, inside the root; positive.

    Returns:
        The standardised weight, of the shape of `weight`, and the `NormCache`, with a `gamma` of 1.

    Raises:
        ValueError: a dtype other than float32 and float64, a rank below 2, no weights, or `eps` not positive and
            finite.

    Example:
        >>> standardised, _ = weight_standardise_forward(np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]))
        >>> standardised.round(3)
        array([[-1.225,  0.   ,  1.225],
               [-1.225,  0.   ,  1.225]])
    """
    weight = _as_float64("weight", weight)
    if weight.ndim < 2 or weight.size == 0:
        raise ValueError(f"weight must have shape (out, *fan_in), with at least one weight, got {weight.shape}")
    _check_eps(eps)
    fan_in = range(1, weight.ndim)

    w_hat, inv_std = rescale(centre(weight, fan_in), fan_in, eps=eps)
    return w_hat.copy(), NormCache(w_hat, inv_std, np.ones(1))


def weight_standardise_backward(
    grad_y: Float[np.ndarray, " out *fan_in"], cache: NormCache
) -> Float64[np.ndarray, " out *fan_in"]:
    """Gradient of weight standardisation (Qiao et al. 2019, arXiv:1903.10520).

    Input is float32 or float64; everything is computed and returned in float64. NaN passes through.

    Args:
        grad_y: gradient of the loss with respect to the standardised weight.
        cache: what `weight_standardise_forward` returned beside it.

    Returns:
        The gradient with respect to the weight that is trained, of the shape of `grad_y`.

    Raises:
        ValueError: `grad_y` has a dtype other than float32 and float64, or another shape than the weight had.

    Example:
        >>> _, cache = weight_standardise_forward(np.array([[1.0, 2.0, 6.0]]))
        >>> grad_weight = weight_standardise_backward(np.array([[1.0, 0.0, 0.0]]), cache)
        >>> abs(grad_weight.sum()) < 1e-12
        np.True_
    """
    grad_y = _like_the_input(grad_y, cache.x_hat)
    fan_in = range(1, grad_y.ndim)
    return centre(rescale_backward(grad_y, cache.x_hat, cache.inv_rms, fan_in), fan_in)
