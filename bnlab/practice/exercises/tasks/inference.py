"""Exercises on inference: with running statistics batch norm is one straight line per channel."""

import numpy as np

from bnlab.practice.exercises.task import Case, Task, mistake
from bnlab.practice.exercises.tasks.data import eighths, scales
from bnlab.practice.exercises.tasks.forward import LAST


def batch_norm_inference(x, gamma, beta, running_mean, running_var, eps):
    """Batch norm of a table at inference.

    x has shape (n, c), all else (c,); the result has the shape of x. n may be 1.
    """
    x_hat = (x - running_mean) / np.sqrt(running_var + eps)
    return gamma * x_hat + beta


def fold_affine(gamma, beta, running_mean, running_var, eps):
    """Batch norm at inference as one straight line: scale and shift, of shape (c,), with y = scale * x + shift."""
    scale = gamma / np.sqrt(running_var + eps)
    shift = beta - running_mean * scale
    return scale, shift


ROOT = "np.sqrt(running_var + eps)"
OF_THE_ROOT = (
    mistake("eps-outside-sqrt", ROOT, "(np.sqrt(running_var) + eps)"),
    mistake("eps-missing", ROOT, "np.sqrt(running_var)"),
    mistake("std-not-variance", ROOT, "(running_var + eps)"),
    mistake("std-not-variance", ROOT, "np.sqrt(np.sqrt(running_var) + eps)"),
    mistake("std-not-variance", ROOT, "np.sqrt(running_var**2 + eps)"),
)
HAT = f"(x - running_mean) / {ROOT}"


def trained(seed: int, c: int) -> tuple[np.ndarray, ...]:
    """Gamma, beta, running mean and running variance of c channels; the last varies as little as eps."""
    running_var = scales(seed, c)
    running_var[-1] = 2.0**-17
    return scales(seed + 1, c), eighths(seed + 2, c), eighths(seed + 3, c), running_var


TASKS = (
    Task(
        id="batch_norm_inference",
        chapter="05",
        level="easy",
        solution=batch_norm_inference,
        returns=("y",),
        cases=(
            Case(
                "two values", (np.array([[6.0], [10]]), np.ones(1), np.zeros(1), np.array([2.0]), np.array([4.0]), 1e-5)
            ),
            Case("one row", (eighths(0, 1, 3), *trained(1, 3), 1e-5)),
            Case("five rows", (eighths(2, 5, 4), *trained(3, 4), 1e-5)),
            Case("a mean of 1000", (eighths(4, 6, 2, around=1000), *trained(5, 2), 1e-5)),
            Case("a larger eps", (eighths(6, 3, 2), *trained(7, 2), 0.125)),
        ),
        mistakes=(
            *OF_THE_ROOT,
            mistake("eval-uses-batch-stats", HAT, "(x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)"),
            mistake("eval-uses-batch-stats", HAT, "(x - x.mean(axis=0)) / np.sqrt(running_var + eps)"),
            mistake("eval-uses-batch-stats", HAT, "(x - running_mean) / np.sqrt(x.var(axis=0) + eps)"),
            mistake("not-centred", "(x - running_mean)", "x"),
            mistake("affine-ignored", LAST, "x_hat"),
            mistake("affine-ignored", LAST, "gamma * x_hat"),
            mistake("affine-ignored", LAST, "x_hat + beta"),
            mistake("affine-swapped", LAST, "beta * x_hat + gamma"),
            mistake("affine-swapped", LAST, "gamma * (x_hat + beta)"),
        ),
        hints=(
            "Nothing is measured on x.",
            "Subtract the running mean, divide by the root of the running variance plus epsilon, then scale and shift.",
        ),
        after="A row's output does not depend on the other rows: that is what makes it fit for use.",
    ),
    Task(
        id="fold_affine",
        chapter="05",
        level="medium",
        solution=fold_affine,
        returns=("scale", "shift"),
        cases=(
            Case("one channel", (np.array([3.0]), np.array([1.0]), np.array([2.0]), np.array([4.0]), 1e-5)),
            Case("three channels", (*trained(1, 3), 1e-5)),
            Case("a larger eps", (*trained(5, 4), 0.125)),
        ),
        mistakes=(
            *OF_THE_ROOT,
            mistake("affine-ignored", "gamma /", "1 /"),
            mistake("affine-ignored", "beta - running_mean * scale", "-running_mean * scale"),
            mistake("affine-swapped", "return scale, shift", "return shift, scale"),
            mistake("not-centred", "beta - running_mean * scale", "beta"),
            mistake("shift-not-scaled", "beta - running_mean * scale", "beta - running_mean"),
            mistake("shift-not-scaled", "running_mean * scale", "running_mean * gamma"),
        ),
        hints=(
            "Write out gamma * (x - running_mean) / sqrt(running_var + eps) + beta and collect what multiplies x.",
            "What is left without x is the shift: beta minus scale times the running mean.",
        ),
        after="A convolution in front can take both in: its weights times the scale, its bias times it plus the shift.",
    ),
)
