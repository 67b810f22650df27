"""Exercises on the training forward pass."""

import numpy as np

from bnlab.practice.exercises.task import Case, Task, mistake
from bnlab.practice.exercises.tasks.data import eighths, far_from_zero, scales


def batch_norm_forward(x, gamma, beta, eps):
    """Batch norm of a table in training mode.

    x has shape (n, c), gamma and beta have shape (c,); the result has the shape of x.
    """
    mean = x.mean(axis=0)
    var = x.var(axis=0)
    x_hat = (x - mean) / np.sqrt(var + eps)
    return gamma * x_hat + beta


def batch_norm_conv_axes(x, gamma, beta, eps):
    """Batch norm of images in training mode.

    x has shape (n, c, height, width), gamma and beta have shape (c,); the result has the shape of x.
    """
    mean = x.mean(axis=(0, 2, 3), keepdims=True)
    var = x.var(axis=(0, 2, 3), keepdims=True)
    x_hat = (x - mean) / np.sqrt(var + eps)
    return gamma[:, None, None] * x_hat + beta[:, None, None]


def find_the_bug_axes(x, gamma, beta, eps):
    """Batch norm of images in training mode, with the channels last, as Keras has them.

    x has shape (n, height, width, c), gamma and beta have shape (c,); the result has the shape of x.
    """
    mean = x.mean(axis=(0, 1, 2), keepdims=True)
    var = x.var(axis=(0, 1, 2), keepdims=True)
    x_hat = (x - mean) / np.sqrt(var + eps)
    return gamma * x_hat + beta


ROOT = "np.sqrt(var + eps)"
ONE_PASS = "(x * x).mean(axis={0}) - mean * mean"
LAST = "gamma * x_hat + beta"
LAST_OF_IMAGES = "gamma[:, None, None] * x_hat + beta[:, None, None]"

OF_THE_ROOT = (
    mistake("eps-outside-sqrt", ROOT, "(np.sqrt(var) + eps)"),
    mistake("eps-missing", ROOT, "np.sqrt(var)"),
    mistake("std-not-variance", ROOT, "(var + eps)"),
    mistake("std-not-variance", ROOT, "np.sqrt(np.sqrt(var) + eps)"),
    mistake("std-not-variance", ROOT, "np.sqrt(var**2 + eps)"),
    mistake("not-centred", "(x - mean)", "x"),
)


def over(axes: str, *wrong: str) -> list[tuple[str, str]]:
    """Edits that take the statistics over other axes."""
    return [(f"axis={axes}", f"axis={other}") for other in wrong]


TASKS = (
    Task(
        id="batch_norm_forward",
        chapter="03",
        level="easy",
        solution=batch_norm_forward,
        returns=("y",),
        cases=(
            Case("one column", (np.array([[1.0], [1.0], [5.0], [5.0]]), np.array([10.0]), np.array([3.0]), 1e-5)),
            Case("five rows, three columns", (eighths(0, 5, 3), scales(1, 3), eighths(2, 3), 1e-5)),
            Case("a variance near eps", (eighths(3, 6, 2) / 512, scales(4, 2), eighths(5, 2), 1e-5)),
            Case(
                "a column that never varies", (np.array([[7.0, 1], [7, 2], [7, 4]]), scales(6, 2), eighths(7, 2), 1e-5)
            ),
            Case("a mean of 1000", (eighths(8, 7, 4, around=1000), scales(9, 4), eighths(10, 4), 1e-5)),
            Case("a larger eps", (eighths(11, 2, 5), scales(12, 5), eighths(13, 5), 0.125)),
            Case("float32, mean 5000", (far_from_zero(14, 8, 6), scales(15, 6), eighths(16, 6), 1e-5), cancels=True),
        ),
        mistakes=(
            *OF_THE_ROOT,
            mistake("unbiased-normalisation", "x.var(axis=0)", "x.var(axis=0, ddof=1)"),
            mistake("one-pass-cancellation", "x.var(axis=0)", ONE_PASS.format(0)),
            mistake("layer-norm-axes", "axis=0", "axis=1, keepdims=True"),
            mistake("global-statistics", "axis=0", "axis=None"),
            mistake("affine-ignored", LAST, "x_hat"),
            mistake("affine-ignored", LAST, "gamma * x_hat"),
            mistake("affine-ignored", LAST, "x_hat + beta"),
            mistake("affine-swapped", LAST, "beta * x_hat + gamma"),
            mistake("affine-swapped", LAST, "gamma * (x_hat + beta)"),
        ),
        hints=(
            "Four lines: the mean of each column, the variance of each column, the division, the scale and shift.",
            "`x.mean(axis=0)` has one value per column, and NumPy lines it up with the columns of x by itself.",
            "x_hat is `(x - mean) / np.sqrt(var + eps)`, with `var = x.var(axis=0)`; NumPy's var divides by n.",
        ),
        after="These four lines are the definition; `bnlab.reference.batch_norm_forward` is the same for any shape.",
    ),
    Task(
        id="batch_norm_conv_axes",
        chapter="01",
        level="easy",
        solution=batch_norm_conv_axes,
        returns=("y",),
        cases=(
            Case(
                "two images of two pixels",
                (np.array([1.0, 3, 0, 8, 5, 7, 4, 4]).reshape(2, 2, 1, 2), np.ones(2), np.zeros(2), 1e-5),
            ),
            Case("2 images, 3 channels, 4 x 5", (eighths(0, 2, 3, 4, 5), scales(1, 3), eighths(2, 3), 1e-5)),
            Case("a variance near eps", (eighths(3, 3, 2, 2, 4) / 512, scales(4, 2), eighths(5, 2), 1e-5)),
            Case("a mean of 1000", (eighths(6, 2, 3, 2, 5, around=1000), scales(7, 3), eighths(8, 3), 1e-5)),
            Case("one image, a larger eps", (eighths(9, 1, 4, 3, 2), scales(10, 4), eighths(11, 4), 0.125)),
            Case(
                "float32, mean 5000", (far_from_zero(12, 2, 4, 2, 3), scales(13, 4), eighths(14, 4), 1e-5), cancels=True
            ),
        ),
        mistakes=(
            *OF_THE_ROOT,
            mistake("unbiased-normalisation", "x.var(axis=(0, 2, 3)", "x.var(axis=(0, 2, 3), ddof=1"),
            mistake(
                "one-pass-cancellation",
                "x.var(axis=(0, 2, 3), keepdims=True)",
                ONE_PASS.format("(0, 2, 3), keepdims=True"),
            ),
            *(mistake("wrong-axes", *edit) for edit in over("(0, 2, 3)", "0", "(2, 3)", "(0, 2)", "(0, 3)", "2", "3")),
            *(mistake("wrong-axes", *edit) for edit in over("(0, 2, 3)", "(0, 1)", "(0, 1, 2)", "(0, 1, 3)")),
            *(mistake("layer-norm-axes", *edit) for edit in over("(0, 2, 3)", "(1, 2, 3)", "1")),
            mistake("global-statistics", "axis=(0, 2, 3)", "axis=None"),
            mistake("affine-ignored", LAST_OF_IMAGES, "x_hat"),
            mistake("affine-ignored", LAST_OF_IMAGES, "gamma[:, None, None] * x_hat"),
            mistake("affine-ignored", LAST_OF_IMAGES, "x_hat + beta[:, None, None]"),
            mistake("affine-swapped", LAST_OF_IMAGES, "beta[:, None, None] * x_hat + gamma[:, None, None]"),
            mistake("affine-swapped", LAST_OF_IMAGES, "gamma[:, None, None] * (x_hat + beta[:, None, None])"),
        ),
        hints=(
            "One mean for each channel: which three axes does it run over?",
            "`keepdims=True` leaves the statistics in a shape that lines up with x. Gamma has to be lined up by hand.",
            "`x.mean(axis=(0, 2, 3), keepdims=True)`, and `gamma[:, None, None]` has shape (c, 1, 1).",
        ),
        after="A convolution applies one filter at every position, so the positions share the filter's mean, too.",
    ),
    Task(
        id="find_the_bug_axes",
        chapter="01",
        level="medium",
        solution=find_the_bug_axes,
        returns=("y",),
        cases=(
            Case(
                "two images of two pixels",
                (np.array([1.0, 0, 3, 8, 5, 4, 7, 4]).reshape(2, 1, 2, 2), np.ones(2), np.zeros(2), 1e-5),
            ),
            Case("2 images, 4 x 5, 3 channels", (eighths(0, 2, 4, 5, 3), scales(1, 3), eighths(2, 3), 1e-5)),
            Case("a variance near eps", (eighths(3, 3, 2, 4, 2) / 512, scales(4, 2), eighths(5, 2), 1e-5)),
            Case("one image, a larger eps", (eighths(9, 1, 3, 2, 4), scales(10, 4), eighths(11, 4), 0.125)),
            Case(
                "float32, mean 5000", (far_from_zero(12, 2, 2, 3, 4), scales(13, 4), eighths(14, 4), 1e-5), cancels=True
            ),
        ),
        mistakes=(
            *OF_THE_ROOT,
            mistake("unbiased-normalisation", "x.var(axis=(0, 1, 2)", "x.var(axis=(0, 1, 2), ddof=1"),
            mistake(
                "one-pass-cancellation",
                "x.var(axis=(0, 1, 2), keepdims=True)",
                ONE_PASS.format("(0, 1, 2), keepdims=True"),
            ),
            *(
                mistake("wrong-axes", *edit)
                for edit in over("(0, 1, 2)", "(0, 2, 3)", "0", "(1, 2)", "(0, 1)", "1", "2")
            ),
            *(mistake("wrong-axes", *edit) for edit in over("(0, 1, 2)", "(0, 2)", "(0, 3)", "(0, 1, 3)")),
            *(mistake("layer-norm-axes", *edit) for edit in over("(0, 1, 2)", "(1, 2, 3)", "3")),
            mistake("global-statistics", "axis=(0, 1, 2)", "axis=None"),
            mistake("affine-ignored", LAST, "x_hat"),
            mistake("affine-ignored", LAST, "gamma * x_hat"),
            mistake("affine-ignored", LAST, "x_hat + beta"),
            mistake("affine-swapped", LAST, "beta * x_hat + gamma"),
            mistake("affine-swapped", LAST, "gamma * (x_hat + beta)"),
        ),
        hints=(
            "No error is raised, and the output has the right shape. Which axis is the channel here?",
            "Over (0, 2, 3) the statistics are one per row of the image.",
        ),
        after="In the published code this comes from, a running mean had the shape (1, 28, 1, 6): print shapes.",
        bug=mistake("wrong-axes", "axis=(0, 1, 2)", "axis=(0, 2, 3)"),
    ),
)
