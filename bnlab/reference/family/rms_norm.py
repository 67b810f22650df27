"""Root mean square normalisation: layer normalisation without the centring."""

import numpy as np
from jaxtyping import Float, Float64

from bnlab.reference.backward import _like_the_input
from bnlab.reference.batch_norm import _check_eps
from bnlab.reference.family.steps import NormCache, _check_elements, _trailing, rescale, rescale_backward


def rms_norm_forward(
    x: Float[np.ndarray, "*shape"], gamma: Float[np.ndarray, "*normalised"], *, eps: float = 1e-5
) -> tuple[Float64[np.ndarray, "*shape"], NormCache]:
    """Divide each example by its root mean square (Zhang & Sennrich 2019, equation 4, arXiv:1910.07467).

    Layer norm less its mean and its `beta`: on examples whose mean is zero the two agree. A shift of an example does
    change the output; a stretch does not. The axes are those that `gamma` has, the last ones of `x`. The paper has no
    `eps`. Input is float32 or float64; everything is computed and returned in float64. NaN passes through: it turns its
    own example into NaN, and no other.

    Args:
        x: activations, any shape that ends in that of `gamma`.
        gamma: a scale for each element of the normalised axes (the paper's g).
        eps: floor under the mean square, inside the root; positive.

    Returns:
        `y`, of the shape of `x`, and the `NormCache`.

    Raises:
        ValueError: a dtype other than float32 and float64, a `gamma` without axes or with others than the last of `x`,
            nothing to normalise over, or `eps` not positive and finite.

    Example:
        The root mean square of 3, 4, 0 and 0 is 2.5:

        >>> y, _ = rms_norm_forward(np.array([[3.0, 4.0, 0.0, 0.0]]), gamma=np.ones(4))
        >>> y.round(3)
        array([[1.2, 1.6, 0. , 0. ]])
    """
    x, gamma, _ = _trailing(x, gamma)
    axes = range(x.ndim - gamma.ndim, x.ndim)
    _check_elements(x, axes)
    _check_eps(eps)

    x_hat, inv_rms = rescale(x, axes, eps=eps)
    return gamma * x_hat, NormCache(x_hat, inv_rms, gamma)


def rms_norm_backward(
    grad_y: Float[np.ndarray, "*shape"], cache: NormCache
) -> tuple[Float64[np.ndarray, "*shape"], Float64[np.ndarray, "*normalised"]]:
    """Gradients of RMS norm (Zhang & Sennrich 2019, equation 4, arXiv:1910.07467).

    One component is taken out of the gradient, that along `x_hat`, where layer norm takes two. Input is float32 or
    float64; everything is computed and returned in float64. NaN passes through.

    Args:
        grad_y: gradient of the loss with respect to the output.
        cache: what `rms_norm_forward` returned beside that output.

    Returns:
        `grad_x`, of the shape of `grad_y`, and `grad_gamma`, of the shape of `gamma`.

    Raises:
        ValueError: `grad_y` has a dtype other than float32 and float64, or another shape than the input had.

    Example:
        >>> x = np.array([[3.0, -4.0]])
        >>> _, cache = rms_norm_forward(x, gamma=np.ones(2))
        >>> grad_x, _ = rms_norm_backward(np.array([[1.0, 0.0]]), cache)
        >>> abs((grad_x * x).sum()) < 1e-5  # at a right angle to the input, but for `eps`
        np.True_
    """
    x_hat, inv_rms, gamma = cache
    grad_y = _like_the_input(grad_y, x_hat)
    examples, axes = range(grad_y.ndim - gamma.ndim), range(grad_y.ndim - gamma.ndim, grad_y.ndim)

    grad_x = rescale_backward(grad_y * gamma, x_hat, inv_rms, axes)
    return grad_x, (grad_y * x_hat).sum(tuple(examples))
