"""Is this the gradient? A function's own differences, in random directions, decide."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

STEPS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10)


@dataclass(frozen=True, eq=False)
class GradCheck:
    """What `gradcheck` found. Plotted on logarithmic axes, `relative_errors` against `steps` is a V.

    Its right arm is truncation, which shrinks with the square of the step. Its left arm is rounding, which grows as the
    step shrinks: the two values of the function agree in ever more digits, and their difference keeps ever fewer. A
    wrong gradient has no V but a floor, as high as it is wrong.

    Attributes:
        steps: the steps that were tried.
        relative_errors: for each of them, how far the differences are from what the gradient says, as a share of it.
    """

    steps: Float64[np.ndarray, " steps"]
    relative_errors: Float64[np.ndarray, " steps"]

    @property
    def relative_error(self) -> float:
        """The smallest of `relative_errors`; NaN if any of them is."""
        return float(self.relative_errors.min())

    @property
    def best_step(self) -> float:
        """The step that `relative_error` was found at."""
        return float(self.steps[self.relative_errors.argmin()])

    @property
    def agrees(self) -> bool:
        """Whether `relative_error` is at most 1e-8."""
        return self.relative_error <= 1e-8  # a right gradient gets there in float64, a wrong formula does not

    def __str__(self) -> str:
        """One line that is the same on every machine, as residuals are not; an error is given if it is one."""
        found = "" if self.agrees else f"; relative error {self.relative_error:.1g} at best"
        return f"gradient and central differences agree to 1e-8: {self.agrees}{found}"

    def _repr_markdown_(self) -> str:
        return str(self)


def gradcheck(
    function: Callable[[np.ndarray], float],
    x: Float64[np.ndarray, "*shape"],
    gradient: Float64[np.ndarray, "*shape"],
    *,
    rng: np.random.Generator,
    directions: int = 8,
    steps: Sequence[float] | Float64[np.ndarray, " steps"] = STEPS,
) -> GradCheck:
    """Compare a gradient with central differences in random directions, over a range of steps, in float64.

    In each direction `v`, with standard normal entries, `function(x + step * v) - function(x - step * v)` is held
    against the same difference as the gradient foretells it. The relative error of a step is the norm, over the
    directions, of what lies between the two, divided by the norm of what was foretold (or found, if that is larger): a
    direction that happens to run across the gradient does no harm. NaN passes through. A gradient that is zero
    everywhere cannot be checked in this way, since nothing is left to divide by but rounding.

    Args:
        function: takes an array like `x`, a fresh copy at each call, and returns one number.
        x: where the gradient was taken, float64.
        gradient: the gradient to check, float64, of the shape of `x`.
        rng: draws the directions.
        directions: how many, at least 1. Each costs two calls of `function` a step.
        steps: how far to go in each direction, in units of `x`; positive.

    Returns:
        The relative error at every step, the smallest one, and the step it was found at.

    Raises:
        ValueError: `x` or `gradient` is not float64, they differ in shape or are empty, `directions` is below 1,
            `steps` is empty or has one that is not positive and finite, or `function` returns anything but one number.

    Example:
        >>> x = np.array([1.0, 2.0, 3.0])
        >>> print(gradcheck(lambda x: (x**3).sum(), x, 3 * x**2, rng=np.random.default_rng(0)))
        gradient and central differences agree to 1e-8: True
        >>> print(gradcheck(lambda x: (x**3).sum(), x, 2 * x**2, rng=np.random.default_rng(0)))
        gradient and central differences agree to 1e-8: False; relative error 0.3 at best
    """
    _check(x, gradient, directions, steps)
    found = np.empty((len(steps), directions))
    foretold = np.empty((len(steps), directions))
    for j in range(directions):
        direction = rng.normal(size=x.shape)
        for i, step in enumerate(steps):
            ahead, behind = np.asarray(x + step * direction), np.asarray(x - step * direction)
            foretold[i, j] = (gradient * (ahead - behind)).sum()  # not 2 * step * direction: x + step is rounded
            found[i, j] = _value(function, ahead) - _value(function, behind)

    apart = np.linalg.norm(found - foretold, axis=1)
    size = np.maximum(np.linalg.norm(foretold, axis=1), np.linalg.norm(found, axis=1))
    relative_errors = np.divide(apart, size, out=np.zeros(len(steps)), where=size != 0)
    return GradCheck(np.array(steps, np.float64), relative_errors)


def _value(function: Callable[[np.ndarray], float], x: np.ndarray) -> float:
    value = function(x)
    if np.ndim(value) != 0:
        raise ValueError(f"function must return one number, got shape {np.shape(value)}")
    return value


def _check(x: np.ndarray, gradient: np.ndarray, directions: int, steps: Sequence[float] | np.ndarray) -> None:
    for name, array in (("x", x), ("gradient", gradient)):
        if np.asarray(array).dtype != np.float64:
            raise ValueError(f"{name} must be float64, got {np.asarray(array).dtype}")
    if gradient.shape != x.shape:
        raise ValueError(f"gradient must have the shape of x, {x.shape}, got {gradient.shape}")
    if x.size == 0:
        raise ValueError(f"x must have at least one element, got shape {x.shape}")
    if directions < 1:
        raise ValueError(f"directions must be at least 1, got {directions}")
    if len(steps) == 0:
        raise ValueError("steps must have at least one step, got none")
    for step in steps:
        if not (np.isfinite(step) and step > 0):
            raise ValueError(f"steps must be positive and finite, got {step}")
