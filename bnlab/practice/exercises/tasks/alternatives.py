"""Exercises on the alternatives: which values share a mean, and two that do without a mean."""

import numpy as np

from bnlab.practice.exercises.task import Case, Task, mistake
from bnlab.practice.exercises.tasks.data import eighths, scales
from bnlab.practice.exercises.tasks.forward import LAST


def values_per_mean(norm, shape, groups):
    """How many means a norm computes for images of shape (n, c, height, width), and how many values share each: a pair.

    norm is "batch", "layer", "instance" or "group"; only group norm looks at groups, the number of groups of channels.
    Layer norm takes an image whole: all its channels and positions.
    """
    n, c, height, width = shape
    means = {"batch": c, "layer": n, "instance": n * c, "group": n * groups}[norm]
    return means, n * c * height * width // means


def rms_norm(x, gamma, eps):
    """RMS norm: each vector along the last axis is divided by the root of its mean square, then scaled by gamma.

    x has shape (..., d) and gamma has shape (d,); the result has the shape of x. eps is added to the mean square.
    """
    mean_square = (x**2).mean(axis=-1, keepdims=True)
    return gamma * x / np.sqrt(mean_square + eps)


def dynamic_tanh(x, alpha, gamma, beta):
    """DyT, in the place of a norm: a tanh of each value, with slope alpha at zero, then gamma and beta of its feature.

    x has shape (..., d), alpha is one number, gamma and beta have shape (d,); the result has the shape of x.
    """
    bounded = np.tanh(alpha * x)
    return gamma * bounded + beta


MEANS = '{"batch": c, "layer": n, "instance": n * c, "group": n * groups}'
VALUES = "n * c * height * width // means"
MEAN_SQUARE = "(x**2).mean(axis=-1, keepdims=True)"
ROOT = "np.sqrt(mean_square + eps)"
BOUNDED = "np.tanh(alpha * x)"


def counted(**changes: str) -> str:
    """The table of the means with some entries changed."""
    entries = {"batch": "c", "layer": "n", "instance": "n * c", "group": "n * groups", **changes}
    return "{" + ", ".join(f'"{norm}": {count}' for norm, count in entries.items()) + "}"


TASKS = (
    Task(
        id="values_per_mean",
        chapter="11",
        level="easy",
        solution=values_per_mean,
        returns=("means", "values"),
        cases=(
            Case("group norm, small images", ("group", (2, 6, 3, 5), 2)),
            Case("batch norm", ("batch", (8, 6, 4, 4), 3)),
            Case("layer norm", ("layer", (5, 3, 2, 7), 1)),
            Case("instance norm", ("instance", (4, 12, 3, 3), 4)),
            Case("group norm of a late layer", ("group", (3, 64, 7, 7), 32)),
            Case("batch norm of one pixel each", ("batch", (16, 10, 1, 1), 5)),
            Case("one group", ("group", (4, 8, 2, 3), 1)),
            Case("instance norm, one image", ("instance", (1, 3, 8, 6), 1)),
        ),
        mistakes=(
            mistake("layer-norm-axes", MEANS, counted(batch="n", layer="c")),
            mistake("layer-norm-axes", MEANS, counted(batch="n")),
            mistake("positions-not-counted", "n * c * height * width // means", "n * c // means"),
            mistake("each-position-alone", MEANS, counted(layer="n * height * width")),
            mistake("each-position-alone", MEANS, counted(batch="c * height * width")),
            mistake("group-size-not-number", MEANS, counted(group="n * (c // groups)")),
            mistake("batch-axes", MEANS, counted(instance="c", group="groups")),
            mistake("batch-axes", MEANS, counted(group="groups")),
            mistake("batch-axes", MEANS, counted(instance="c")),
            mistake("instance-norm-of-a-batch", MEANS, counted(batch="n * c")),
            mistake("global-statistics", MEANS, counted(batch="1")),
            mistake("positions-not-counted", VALUES, f"{VALUES} // (height * width if norm == 'batch' else 1)"),
            mistake("group-of-one-channel", VALUES, f"height * width if norm == 'group' else {VALUES}"),
            mistake(
                "one-image-counted",
                VALUES,
                f"{VALUES} // (1 if norm == 'batch' else n)",
                MEANS,
                counted(layer="1", instance="c", group="groups"),
            ),
            mistake("results-swapped", f"return means, {VALUES}", f"return {VALUES}, means"),
        ),
        hints=(
            "Together the groups of values that share a mean hold every value once: means times values is all of them.",
            "Batch norm has c means. Layer norm has one for each image; the other two split an image by channels.",
        ),
        after="Only batch norm's share grows with the batch: the others average as many values in a batch of one.",
    ),
    Task(
        id="rms_norm",
        chapter="11",
        level="easy",
        solution=rms_norm,
        returns=("y",),
        cases=(
            Case("one row", (np.array([[1.0, 7, 5, 5]]), np.ones(4), 1e-5)),
            Case("four rows of three", (eighths(0, 4, 3), scales(1, 3), 1e-5)),
            Case("2 sequences of 3 steps", (eighths(2, 2, 3, 5) * np.arange(1, 4)[:, None], scales(3, 5), 1e-5)),
            Case("values near the root of eps", (eighths(4, 3, 4) / 512, scales(5, 4), 1e-5)),
            Case("a row of zeros, a larger eps", (np.array([[0.0, 0, 0], [1, -2, 0.5]]), scales(6, 3), 0.125)),
            Case("a mean of 1000", (eighths(7, 3, 4, around=1000), scales(8, 4), 1e-5)),
        ),
        mistakes=(
            mistake(
                "mean-subtracted",
                "gamma * x",
                "gamma * (x - x.mean(axis=-1, keepdims=True))",
                MEAN_SQUARE,
                "x.var(axis=-1, keepdims=True)",
            ),
            mistake("mean-subtracted", "gamma * x", "gamma * (x - x.mean(axis=-1, keepdims=True))"),
            mistake("mean-subtracted", MEAN_SQUARE, "x.var(axis=-1, keepdims=True)"),
            mistake("eps-outside-sqrt", ROOT, "(np.sqrt(mean_square) + eps)"),
            mistake("eps-missing", ROOT, "np.sqrt(mean_square)"),
            mistake("root-missing", ROOT, "(mean_square + eps)"),
            mistake("sum-not-mean", "(x**2).mean", "(x**2).sum"),
            mistake("square-of-the-mean", MEAN_SQUARE, "x.mean(axis=-1, keepdims=True) ** 2"),
            mistake("absolute-values", MEAN_SQUARE, "np.abs(x).mean(axis=-1, keepdims=True) ** 2"),
            mistake("batch-axes", "axis=-1", "axis=0"),
            mistake("batch-axes", "axis=-1", "axis=None"),
            mistake("batch-axes", "axis=-1", "axis=tuple(range(x.ndim - 1))"),
            mistake("steps-pooled", "axis=-1", "axis=tuple(range(1, x.ndim))"),
            mistake("affine-ignored", "gamma * x", "x"),
            mistake("gamma-inside", "(x**2)", "((gamma * x) ** 2)"),
            mistake("multiplied-not-divided", "gamma * x /", "gamma * x *"),
            mistake("gamma-from-one", "gamma * x", "(1 + gamma) * x"),
        ),
        hints=(
            "Square, mean, root: read the name backwards. The mean is over the last axis only.",
            "`(x**2).mean(axis=-1, keepdims=True)`, plus eps, under the root; no mean is subtracted and no beta added.",
        ),
        after="Where a row has mean 0, it is layer norm without beta. It has one statistic to compute, not two.",
    ),
    Task(
        id="dynamic_tanh",
        chapter="11",
        level="easy",
        solution=dynamic_tanh,
        returns=("y",),
        cases=(
            Case("one row of two", (np.array([[0.5, -2.0]]), 0.5, np.array([2.0, 1.0]), np.array([0.25, -1.0]))),
            Case("four rows of three", (eighths(0, 4, 3), 0.75, scales(1, 3), eighths(2, 3) + 0.25)),
            Case("2 sequences of 3 steps", (2 * eighths(3, 2, 3, 4), 0.5, scales(4, 4), eighths(5, 4))),
            Case("large values", (np.array([[40.0, -90.0, 5], [1, 0, -3]]), 0.25, scales(6, 3), eighths(7, 3))),
            Case("a steep slope", (eighths(8, 3, 2), 4.0, scales(9, 2), eighths(10, 2))),
        ),
        mistakes=(
            mistake("alpha-ignored", BOUNDED, "np.tanh(x)"),
            mistake("alpha-outside", BOUNDED, "alpha * np.tanh(x)"),
            mistake("alpha-outside", BOUNDED, "np.tanh(alpha * x) / alpha"),
            mistake("divided-by-alpha", BOUNDED, "np.tanh(x / alpha)"),
            mistake("affine-inside", "return gamma * bounded + beta", "return np.tanh(alpha * (gamma * x + beta))"),
            mistake("affine-inside", "return gamma * bounded + beta", "return np.tanh(gamma * alpha * x + beta)"),
            mistake("affine-inside", "return gamma * bounded + beta", "return gamma * np.tanh(alpha * x + beta)"),
            mistake("normalised-first", "alpha * x", "alpha * (x - x.mean(axis=-1, keepdims=True))"),
            mistake(
                "normalised-first",
                "alpha * x",
                "alpha * (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)",
            ),
            mistake("affine-ignored", LAST.replace("x_hat", "bounded"), "bounded"),
            mistake("affine-ignored", LAST.replace("x_hat", "bounded"), "gamma * bounded"),
            mistake("affine-ignored", LAST.replace("x_hat", "bounded"), "bounded + beta"),
            mistake("affine-swapped", LAST.replace("x_hat", "bounded"), "beta * bounded + gamma"),
            mistake("affine-swapped", LAST.replace("x_hat", "bounded"), "gamma * (bounded + beta)"),
        ),
        hints=(
            "Nothing is averaged. Which of alpha, gamma and beta act before the tanh, and which behind it?",
            "Alpha multiplies x inside the tanh; gamma and beta are those of every norm, behind it.",
        ),
        after="Values far beyond 1 / alpha are squashed, each by itself: training and inference are one function.",
    ),
)
