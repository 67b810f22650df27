"""Exercises on the relatives of batch norm: the same four lines over other axes."""

import numpy as np

from bnlab.practice.exercises.task import Case, Task, mistake
from bnlab.practice.exercises.tasks.data import eighths, far_from_zero, scales
from bnlab.practice.exercises.tasks.forward import LAST, LAST_OF_IMAGES, OF_THE_ROOT, ONE_PASS, over


def layer_norm(x, gamma, beta, eps):
    """Layer norm: each vector along the last axis is normalised by its own mean and biased variance.

    x has shape (..., d), gamma and beta have shape (d,); the result has the shape of x.
    """
    mean = x.mean(axis=-1, keepdims=True)
    var = x.var(axis=-1, keepdims=True)
    x_hat = (x - mean) / np.sqrt(var + eps)
    return gamma * x_hat + beta


def group_norm(x, gamma, beta, groups, eps):
    """Group norm: in each example, each group of neighbouring channels is normalised over its channels and positions.

    x has shape (n, c, height, width), gamma and beta have shape (c,), and groups divides c; the result has x's shape.
    """
    n, c, height, width = x.shape
    grouped = x.reshape(n, groups, c // groups, height, width)
    mean = grouped.mean(axis=(2, 3, 4), keepdims=True)
    var = grouped.var(axis=(2, 3, 4), keepdims=True)
    x_hat = ((grouped - mean) / np.sqrt(var + eps)).reshape(x.shape)
    return gamma[:, None, None] * x_hat + beta[:, None, None]


TASKS = (
    Task(
        id="layer_norm",
        chapter="03",
        level="medium",
        solution=layer_norm,
        returns=("y",),
        cases=(
            Case("two rows", (np.array([[1.0, 1, 5, 5], [0, 2, 4, 10]]), np.ones(4), np.zeros(4), 1e-5)),
            Case("four rows of three", (eighths(0, 4, 3), scales(1, 3), eighths(2, 3), 1e-5)),
            Case("2 sequences of 3 steps", (eighths(3, 2, 3, 5), scales(4, 5), eighths(5, 5), 1e-5)),
            Case("a variance near eps", (eighths(6, 3, 4) / 512, scales(7, 4), eighths(8, 4), 1e-5)),
            Case("one row, a larger eps", (eighths(9, 1, 6), scales(10, 6), eighths(11, 6), 0.125)),
            Case("float32, mean 5000", (far_from_zero(12, 6, 8), scales(13, 8), eighths(14, 8), 1e-5), cancels=True),
        ),
        mistakes=(
            *OF_THE_ROOT,
            mistake("unbiased-normalisation", "x.var(axis=-1", "x.var(axis=-1, ddof=1"),
            mistake("one-pass-cancellation", "x.var(axis=-1, keepdims=True)", ONE_PASS.format("-1, keepdims=True")),
            *(mistake("batch-axes", *edit) for edit in over("-1", "0", "(0, 1)", "tuple(range(x.ndim - 1))")),
            *(mistake("wrong-axes", *edit) for edit in over("-1", "1", "tuple(range(1, x.ndim))", "-2")),
            mistake("global-statistics", "axis=-1", "axis=None"),
            mistake("affine-ignored", LAST, "x_hat"),
            mistake("affine-ignored", LAST, "gamma * x_hat"),
            mistake("affine-ignored", LAST, "x_hat + beta"),
            mistake("affine-swapped", LAST, "beta * x_hat + gamma"),
            mistake("affine-swapped", LAST, "gamma * (x_hat + beta)"),
        ),
        hints=(
            "The four lines are those of batch norm. Only one argument changes.",
            "`x.mean(axis=-1, keepdims=True)`: each row has its own mean.",
        ),
        after="No example sees another, so training and inference are one function, and nothing is kept for later.",
    ),
    Task(
        id="group_norm",
        chapter="03",
        level="stretch",
        solution=group_norm,
        returns=("y",),
        cases=(
            Case(
                "one image of four channels, one pixel",
                (np.array([1.0, 5, 0, 8]).reshape(1, 4, 1, 1), np.ones(4), np.zeros(4), 2, 1e-5),
            ),
            Case("2 images, 6 channels, 3 groups", (eighths(0, 2, 6, 3, 2), scales(1, 6), eighths(2, 6), 3, 1e-5)),
            Case("2 groups", (eighths(3, 3, 6, 2, 2), scales(4, 6), eighths(5, 6), 2, 1e-5)),
            Case("one group", (eighths(6, 2, 3, 2, 4), scales(7, 3), eighths(8, 3), 1, 1e-5)),
            Case("as many groups as channels", (eighths(9, 2, 3, 4, 2), scales(10, 3), eighths(11, 3), 3, 0.125)),
            Case("a variance near eps", (eighths(12, 2, 4, 2, 3) / 512, scales(13, 4), eighths(14, 4), 2, 1e-5)),
            Case(
                "float32, mean 5000",
                (far_from_zero(15, 2, 4, 2, 3), scales(16, 4), eighths(17, 4), 2, 1e-5),
                cancels=True,
            ),
        ),
        mistakes=(
            *(edit for edit in OF_THE_ROOT if edit.misconception != "not-centred"),
            mistake("not-centred", "(grouped - mean)", "grouped"),
            mistake("unbiased-normalisation", "grouped.var(axis=(2, 3, 4)", "grouped.var(axis=(2, 3, 4), ddof=1"),
            mistake(
                "one-pass-cancellation",
                "grouped.var(axis=(2, 3, 4), keepdims=True)",
                "(grouped * grouped).mean(axis=(2, 3, 4), keepdims=True) - mean * mean",
            ),
            mistake("batch-axes", "axis=(2, 3, 4)", "axis=(0, 2, 3, 4)"),
            mistake("batch-axes", "axis=(2, 3, 4)", "axis=(0, 3, 4)"),
            mistake("wrong-axes", "axis=(2, 3, 4)", "axis=(3, 4)"),
            mistake("wrong-axes", "axis=(2, 3, 4)", "axis=2"),
            mistake("layer-norm-axes", "axis=(2, 3, 4)", "axis=(1, 2, 3, 4)"),
            mistake("global-statistics", "axis=(2, 3, 4)", "axis=None"),
            mistake("wrong-groups", "x.reshape(n, groups, c // groups,", "x.reshape(n, c // groups, groups,"),
            mistake(
                "wrong-groups",
                "x.reshape(n, groups, c // groups, height, width)",
                "x.reshape(n, c // groups, groups, height, width).swapaxes(1, 2)",
                "np.sqrt(var + eps)).reshape(",
                "np.sqrt(var + eps)).swapaxes(1, 2).reshape(",
            ),
            mistake("affine-ignored", LAST_OF_IMAGES, "x_hat"),
            mistake("affine-ignored", LAST_OF_IMAGES, "gamma[:, None, None] * x_hat"),
            mistake("affine-ignored", LAST_OF_IMAGES, "x_hat + beta[:, None, None]"),
            mistake("affine-swapped", LAST_OF_IMAGES, "beta[:, None, None] * x_hat + gamma[:, None, None]"),
            mistake("affine-swapped", LAST_OF_IMAGES, "gamma[:, None, None] * (x_hat + beta[:, None, None])"),
        ),
        hints=(
            "Give the channels two axes: which group, and which channel of the group.",
            "After `x.reshape(n, groups, c // groups, height, width)` the statistics run over the last three axes.",
            "Reshape x_hat back before gamma and beta: these are one per channel.",
        ),
        after="One group is layer norm over (c, height, width); as many groups as channels is instance norm.",
    ),
)
