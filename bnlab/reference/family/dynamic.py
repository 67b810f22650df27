"""Dynamic tanh and dynamic erf: in the place of a norm, one bounded function of each element, and no statistics."""

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Float64
from scipy.special import erf

from bnlab.reference.backward import _like_the_input
from bnlab.reference.family.steps import _trailing

Array: TypeAlias = Float64[np.ndarray, "*shape"]
PerFeature: TypeAlias = Float64[np.ndarray, "*features"]


class DynamicCache(NamedTuple):
    """What a dynamic function leaves for its backward pass; all in float64.

    Attributes:
        x: the input, a copy.
        bounded: `tanh` or `erf` of it, before the affine.
        alpha: the slope that was used.
        shift: what was added to `alpha * x`; 0 for the dynamic tanh.
        gamma: the scale that was used, a copy.
    """

    x: Float64[np.ndarray, "*shape"]
    bounded: Float64[np.ndarray, "*shape"]
    alpha: float
    shift: float
    gamma: Float64[np.ndarray, "*features"]


def dynamic_tanh_forward(
    x: Float[np.ndarray, "*shape"],
    alpha: float,
    gamma: Float[np.ndarray, "*features"],
    beta: Float[np.ndarray, "*features"],
) -> tuple[Array, DynamicCache]:
    """DyT: `gamma * tanh(alpha * x) + beta`, element by element (Zhu et al. 2025, section 4, arXiv:2503.10622).

    No element meets another, so there is nothing to average, no `eps`, and no difference between training and
    inference. For a small `alpha` it is a straight line of slope `gamma * alpha`. Input is float32 or float64;
    everything is computed and returned in float64. NaN passes through, element by element.

    Args:
        x: activations, any shape that ends in that of `gamma`.
        alpha: the slope at zero, one number for the layer.
        gamma: scale of each feature.
        beta: shift of each feature.

    Returns:
        `y`, of the shape of `x`, and the `DynamicCache`.

    Raises:
        ValueError: a dtype other than float32 and float64, `alpha` not one number, a `gamma` without axes or with
            others than the last of `x`, or `beta` of another shape than `gamma`.

    Example:
        >>> y, _ = dynamic_tanh_forward(np.array([[-100.0, 0.2]]), 0.5, gamma=np.array([1.0, 2.0]), beta=np.zeros(2))
        >>> y.round(3)
        array([[-1.   ,  0.199]])
    """
    x, gamma, (beta,) = _trailing(x, gamma, beta=beta)
    alpha = _one_number("alpha", alpha)
    bounded = np.tanh(alpha * x)
    return gamma * bounded + beta, DynamicCache(x, bounded, alpha, 0.0, gamma)


def dynamic_tanh_backward(
    grad_y: Float[np.ndarray, "*shape"], cache: DynamicCache
) -> tuple[Array, np.float64, PerFeature, PerFeature]:
    """Gradients of dynamic tanh (Zhu et al. 2025, section 4, arXiv:2503.10622).

    Far from zero `tanh` is flat, and nothing arrives at `x`: a bounded function tames large activations by giving up
    their gradient. Input is float32 or float64; everything is computed and returned in float64. NaN passes through.

    Args:
        grad_y: gradient of the loss with respect to the output.
        cache: what `dynamic_tanh_forward` returned beside that output.

    Returns:
        `grad_x`, of the shape of `grad_y`, `grad_alpha`, one number, then `grad_gamma` and `grad_beta`, of the shape of
        `gamma`.

    Raises:
        ValueError: `grad_y` has a dtype other than float32 and float64, or another shape than the input had.

    Example:
        >>> _, cache = dynamic_tanh_forward(np.array([[-100.0, 0.0]]), 0.5, gamma=np.ones(2), beta=np.zeros(2))
        >>> grad_x, _, _, _ = dynamic_tanh_backward(np.ones((1, 2)), cache)
        >>> grad_x
        array([[0. , 0.5]])
    """
    grad_y = _like_the_input(grad_y, cache.x)
    grad_inside = grad_y * cache.gamma * (1 - cache.bounded**2)
    grad_gamma, grad_beta = _affine_gradients(grad_y, cache)
    return cache.alpha * grad_inside, (grad_inside * cache.x).sum(), grad_gamma, grad_beta


def dynamic_erf_forward(
    x: Float[np.ndarray, "*shape"],
    alpha: float,
    shift: float,
    gamma: Float[np.ndarray, "*features"],
    beta: Float[np.ndarray, "*features"],
) -> tuple[Array, DynamicCache]:
    """Derf: `gamma * erf(alpha * x + shift) + beta`, element by element (Chen et al. 2025, arXiv:2512.10938).

    The dynamic tanh with another bounded function, `2 / sqrt(pi)` steep at its centre, and with a centre that is
    learned. Input is float32 or float64; everything is computed and returned in float64. NaN passes through, element by
    element.

    Args:
        x: activations, any shape that ends in that of `gamma`.
        alpha: the scale of the input, one number for the layer.
        shift: what is added to `alpha * x`, one number for the layer (the paper's s).
        gamma: scale of each feature.
        beta: shift of each feature.

    Returns:
        `y`, of the shape of `x`, and the `DynamicCache`.

    Raises:
        ValueError: a dtype other than float32 and float64, `alpha` or `shift` not one number, a `gamma` without axes or
            with others than the last of `x`, or `beta` of another shape than `gamma`.

    Example:
        >>> x, gamma = np.array([[-100.0, 0.2]]), np.array([1.0, 2.0])
        >>> y, _ = dynamic_erf_forward(x, 0.5, 0.0, gamma=gamma, beta=np.zeros(2))
        >>> y.round(3)
        array([[-1.   ,  0.225]])
    """
    x, gamma, (beta,) = _trailing(x, gamma, beta=beta)
    alpha, shift = _one_number("alpha", alpha), _one_number("shift", shift)
    bounded = erf(alpha * x + shift)
    return gamma * bounded + beta, DynamicCache(x, bounded, alpha, shift, gamma)


def dynamic_erf_backward(
    grad_y: Float[np.ndarray, "*shape"], cache: DynamicCache
) -> tuple[Array, np.float64, np.float64, PerFeature, PerFeature]:
    """Gradients of dynamic erf (Chen et al. 2025, arXiv:2512.10938).

    The derivative of `erf` is the Gaussian bell `2 / sqrt(pi) * exp(-u^2)`. Input is float32 or float64; everything is
    computed and returned in float64. NaN passes through.

    Args:
        grad_y: gradient of the loss with respect to the output.
        cache: what `dynamic_erf_forward` returned beside that output.

    Returns:
        `grad_x`, of the shape of `grad_y`, `grad_alpha` and `grad_shift`, one number each, then `grad_gamma` and
        `grad_beta`, of the shape of `gamma`.

    Raises:
        ValueError: `grad_y` has a dtype other than float32 and float64, or another shape than the input had.

    Example:
        >>> _, cache = dynamic_erf_forward(np.array([[-100.0, 0.0]]), 0.5, 0.0, gamma=np.ones(2), beta=np.zeros(2))
        >>> grad_x, _, grad_shift, _, _ = dynamic_erf_backward(np.ones((1, 2)), cache)
        >>> grad_x.round(3), grad_shift.round(3)
        (array([[0.   , 0.564]]), np.float64(1.128))
    """
    grad_y = _like_the_input(grad_y, cache.x)
    slope = 2 / math.sqrt(math.pi) * np.exp(-np.square(cache.alpha * cache.x + cache.shift))
    grad_inside = grad_y * cache.gamma * slope
    grad_gamma, grad_beta = _affine_gradients(grad_y, cache)
    return cache.alpha * grad_inside, (grad_inside * cache.x).sum(), grad_inside.sum(), grad_gamma, grad_beta


def _affine_gradients(grad_y: np.ndarray, cache: DynamicCache) -> tuple[np.ndarray, np.ndarray]:
    examples = tuple(range(grad_y.ndim - cache.gamma.ndim))
    return (grad_y * cache.bounded).sum(examples), grad_y.sum(examples)


def _one_number(name: str, value: float) -> float:
    if np.ndim(value) != 0:
        raise ValueError(f"{name} must be one number, got shape {np.shape(value)}")
    return float(value)
