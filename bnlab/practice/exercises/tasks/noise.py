"""Exercises on what regularises: the noise of small batches within a large one, and a learning rate that shrinks."""

import numpy as np

from bnlab.practice.exercises.task import Case, Task, mistake
from bnlab.practice.exercises.tasks.data import eighths, far_from_zero, scales
from bnlab.practice.exercises.tasks.forward import LAST, OF_THE_ROOT


def effective_learning_rate(learning_rate, weight):
    """For each unit that feeds a batch norm: the learning rate over the squared norm of its weights.

    weight has shape (out, in), one row for each unit; the result has shape (out,). After van Laarhoven 2017.
    """
    squared_norm = (weight**2).sum(axis=1)
    return learning_rate / squared_norm


def ghost_batch_norm(x, gamma, beta, ghost_size, eps):
    """Ghost batch norm in training mode: every ghost_size consecutive rows are normalised as a batch of their own.

    x has shape (n, c), gamma and beta have shape (c,), and ghost_size divides n; the result has the shape of x. The
    variance is the biased one. After Hoffer et al. 2017.
    """
    n, c = x.shape
    ghosts = x.reshape(n // ghost_size, ghost_size, c)
    mean = ghosts.mean(axis=1, keepdims=True)
    var = ghosts.var(axis=1, keepdims=True)
    x_hat = ((ghosts - mean) / np.sqrt(var + eps)).reshape(n, c)
    return gamma * x_hat + beta


MEAN = "ghosts.mean(axis=1, keepdims=True)"
VAR = "ghosts.var(axis=1, keepdims=True)"
SHAPE = "x.reshape(n // ghost_size, ghost_size, c)"
SQUARES = "(weight**2).sum(axis=1)"

TASKS = (
    Task(
        id="effective_learning_rate",
        chapter="07",
        level="easy",
        solution=effective_learning_rate,
        returns=("rate",),
        cases=(
            Case("two units", (0.5, np.array([[0.5, 0.0, 0.5], [0.5, 1, 0.5]]))),
            Case("a square matrix", (0.25, np.array([[0.25, -0.5], [1, 0.5]]))),
            Case("four units of six weights", (2.0, eighths(0, 4, 6))),
            Case("one unit", (1.0, eighths(1, 1, 5) / 2)),
            Case("a start eight times too large", (0.5, 8 * eighths(2, 3, 4))),
        ),
        mistakes=(
            mistake("norm-not-squared", SQUARES, f"np.sqrt({SQUARES})"),
            mistake("norm-not-squared", SQUARES, f"{SQUARES} ** 2"),
            mistake("one-norm-for-all", SQUARES, "(weight**2).sum()"),
            mistake("one-norm-for-all", SQUARES, "np.full(len(weight), (weight**2).sum())"),
            mistake("columns-not-rows", "axis=1", "axis=0"),
            mistake("mean-not-sum", "(weight**2).sum", "(weight**2).mean"),
            mistake("rate-multiplied", "learning_rate / squared_norm", "learning_rate * squared_norm"),
            mistake("another-norm", SQUARES, "np.abs(weight).sum(axis=1) ** 2"),
            mistake("another-norm", SQUARES, "weight.sum(axis=1) ** 2"),
            mistake("another-norm", SQUARES, "np.abs(weight).sum(axis=1)"),
            mistake("ratio-inverted", "learning_rate / squared_norm", "squared_norm / learning_rate"),
        ),
        hints=(
            "Each row of the matrix is one unit. What is the squared length of a row?",
            "`(weight**2).sum(axis=1)` has shape (out,); divide the learning rate by it.",
        ),
        after="At twice the length the gradient is half as long, and a step turns the weights half as far: a quarter.",
    ),
    Task(
        id="ghost_batch_norm",
        chapter="07",
        level="medium",
        solution=ghost_batch_norm,
        returns=("y",),
        cases=(
            Case("two ghosts of 3", (np.array([[0.0], [4], [5], [1], [1], [7]]), np.ones(1), np.zeros(1), 3, 1e-5)),
            Case("three ghosts of 4", (eighths(0, 12, 3), scales(1, 3), eighths(2, 3), 4, 1e-5)),
            Case("a variance near eps", (eighths(3, 10, 2) / 512, scales(4, 2), eighths(5, 2), 5, 1e-5)),
            Case("a mean of 1000", (eighths(6, 12, 4, around=1000), scales(7, 4), eighths(8, 4), 6, 1e-5)),
            Case("one ghost, a larger eps", (eighths(9, 4, 3), scales(10, 3), eighths(11, 3), 4, 0.125)),
            Case("ghosts of one row", (eighths(12, 3, 2), scales(13, 2), eighths(14, 2), 1, 1e-5)),
            Case(
                "float32, mean 5000", (far_from_zero(15, 16, 6), scales(16, 6), eighths(17, 6), 8, 1e-5), cancels=True
            ),
        ),
        mistakes=(
            mistake("ghosts-ignored", "axis=1", "axis=(0, 1)"),
            mistake("ghosts-interleaved", SHAPE, "x.reshape(ghost_size, n // ghost_size, c)", "axis=1", "axis=0"),
            mistake("ghosts-interleaved", "axis=1", "axis=0"),
            mistake("ghosts-miscounted", SHAPE, "x.reshape(ghost_size, n // ghost_size, c)"),
            mistake("ghosts-by-half", VAR, "x.var(axis=0)"),
            mistake("ghosts-by-half", MEAN, "x.mean(axis=0)"),
            mistake("ghosts-by-half", VAR, f"{VAR}.mean(axis=0)"),
            mistake("global-statistics", "axis=1", "axis=(1, 2)"),
            mistake("layer-norm-axes", "axis=1", "axis=2"),
            mistake("unbiased-normalisation", "ghosts.var(axis=1", "ghosts.var(axis=1, ddof=1"),
            mistake("one-pass-cancellation", VAR, "(ghosts * ghosts).mean(axis=1, keepdims=True) - mean * mean"),
            *(one for one in OF_THE_ROOT if one.misconception != "not-centred"),
            mistake("not-centred", "(ghosts - mean)", "ghosts"),
            mistake("affine-ignored", LAST, "x_hat"),
            mistake("affine-ignored", LAST, "gamma * x_hat"),
            mistake("affine-ignored", LAST, "x_hat + beta"),
            mistake("affine-swapped", LAST, "beta * x_hat + gamma"),
            mistake("affine-swapped", LAST, "gamma * (x_hat + beta)"),
        ),
        hints=(
            "Give each ghost an axis of its own: (n, c) becomes (ghosts, ghost_size, c).",
            "`x.reshape(n // ghost_size, ghost_size, c)` keeps neighbours together. Which axis is a batch now?",
            "Mean and variance over axis 1 with `keepdims=True`, then back to (n, c) before gamma and beta.",
        ),
        after="Eight GPUs without synchronisation do exactly this: the batch of each is a ghost.",
    ),
)
