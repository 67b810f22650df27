"""Layer normalisation: each example by its own features."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Float64

from bnlab.reference.backward import _like_the_input
from bnlab.reference.batch_norm import _check_eps
from bnlab.reference.family.steps import NormCache, _check_elements, _trailing, centre, rescale, rescale_backward

Gradients: TypeAlias = tuple[
    Float64[np.ndarray, "*shape"], Float64[np.ndarray, "*normalised"], Float64[np.ndarray, "*normalised"]
]


def layer_norm_forward(
    x: Float[np.ndarray, "*shape"],
    gamma: Float[np.ndarray, "*normalised"],
    beta: Float[np.ndarray, "*normalised"],
    *,
    eps: float = 1e-5,
) -> tuple[Float64[np.ndarray, "*shape"], NormCache]:
    """Normalise each example over its last axes (Ba, Kiros & Hinton 2016, equation 3, arXiv:1607.06450).

    The axes are those that `gamma` has: `(features,)` for `x` of shape `(n, time, features)`, or `(c, h, w)` for
    images. No example meets another, so training and inference are the same, and an empty batch gives an empty output.
    The variance is biased, as in the paper, which has no `eps`. Input is float32 or float64; everything is computed and
    returned in float64. NaN passes through: it turns its own example into NaN, and no other.

    Args:
        x: activations, any shape that ends in that of `gamma`.
        gamma: a scale for each element of the normalised axes.
        beta: a shift for each of them.
        eps: floor under the variance, inside the root; positive.

    Returns:
        `y`, of the shape of `x`, and the `NormCache`.

    Raises:
        ValueError: a dtype other than float32 and float64, a `gamma` without axes or with others than the last of `x`,
            `beta` of another shape than `gamma`, nothing to normalise over, or `eps` not positive and finite.

    Example:
        Two examples, one ten times the other, each by itself:

        >>> x = np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
        >>> y, _ = layer_norm_forward(x, gamma=np.ones(3), beta=np.zeros(3))
        >>> y.round(3)
        array([[-1.225,  0.   ,  1.225],
               [-1.225,  0.   ,  1.225]])
    """
    x, gamma, (beta,) = _trailing(x, gamma, beta=beta)
    axes = range(x.ndim - gamma.ndim, x.ndim)
    _check_elements(x, axes)
    _check_eps(eps)

    x_hat, inv_std = rescale(centre(x, axes), axes, eps=eps)
    return gamma * x_hat + beta, NormCache(x_hat, inv_std, gamma)


def layer_norm_backward(grad_y: Float[np.ndarray, "*shape"], cache: NormCache) -> Gradients:
    """Gradients of layer norm (Ba, Kiros & Hinton 2016, equation 3, arXiv:1607.06450).

    Two things differ from batch norm. `gamma` varies along the averaged axes, so it is multiplied in before anything is
    taken out; and its own gradient is summed over the examples, across the axes that were *not* averaged. Input is
    float32 or float64; everything is computed and returned in float64. NaN passes through.

    Args:
        grad_y: gradient of the loss with respect to the output.
        cache: what `layer_norm_forward` returned beside that output.

    Returns:
        `grad_x`, of the shape of `grad_y`, then `grad_gamma` and `grad_beta`, of the shape of `gamma`.

    Raises:
        ValueError: `grad_y` has a dtype other than float32 and float64, or another shape than the input had.

    Example:
        >>> _, cache = layer_norm_forward(np.array([[1.0, 2.0, 6.0]]), gamma=np.ones(3), beta=np.zeros(3))
        >>> grad_x, _, grad_beta = layer_norm_backward(np.array([[1.0, 0.0, 0.0]]), cache)
        >>> abs(grad_x.sum()) < 1e-12, grad_beta  # a shift of the whole example changes nothing
        (np.True_, array([1., 0., 0.]))
    """
    x_hat, inv_std, gamma = cache
    grad_y = _like_the_input(grad_y, x_hat)
    examples, axes = range(grad_y.ndim - gamma.ndim), range(grad_y.ndim - gamma.ndim, grad_y.ndim)

    grad_x = centre(rescale_backward(grad_y * gamma, x_hat, inv_std, axes), axes)
    return grad_x, (grad_y * x_hat).sum(tuple(examples)), grad_y.sum(tuple(examples))
