"""Exercises on the signal in a network: how it grows from layer to layer, and how far the input of a layer moves."""

import numpy as np

from bnlab.practice.exercises.task import Case, Task, mistake
from bnlab.practice.exercises.tasks.data import eighths, scales


def growth_per_layer(sizes):
    """The factor by which a signal grows from one layer to the next: the geometric mean over the network.

    sizes has shape (layers,): the standard deviation of the activations, or the norm of the gradient, at each layer in
    order; there are at least two. The result is one number.
    """
    steps = len(sizes) - 1
    return (sizes[-1] / sizes[0]) ** (1 / steps)


def mean_shift(before, after):
    """How far the input of a layer moves between two moments of training, in standard deviations: one number.

    before and after have shape (n, c): what the layer is given for the same n examples at the two moments. For each
    channel, take the distance between its two means, divided by its biased standard deviation before; then average over
    the channels.
    """
    moved = np.abs(after.mean(axis=0) - before.mean(axis=0))
    return (moved / before.std(axis=0)).mean()


MOVED = "np.abs(after.mean(axis=0) - before.mean(axis=0))"
DRIFT = "(moved / before.std(axis=0)).mean()"
GROWTH = "(sizes[-1] / sizes[0]) ** (1 / steps)"

TASKS = (
    Task(
        id="growth_per_layer",
        chapter="02",
        level="easy",
        solution=growth_per_layer,
        returns=("growth",),
        cases=(
            Case("three layers", (np.array([2.0, 3, 18]),)),
            Case("two layers", (np.array([0.5, 4]),)),
            Case("a signal that dies", (np.array([8.0, 5, 6, 0.25, 0.125]),)),
            Case("up, and back to where it began", (np.array([1.5, 6, 0.75, 3, 1.5]),)),
            Case("thirty layers", (1.25 ** np.arange(30) * scales(0, 13)[np.arange(30) % 13],)),
        ),
        mistakes=(
            mistake("layers-not-steps", "len(sizes) - 1", "len(sizes)"),
            mistake("ratios-averaged", GROWTH, "(sizes[1:] / sizes[:-1]).mean()"),
            mistake("growth-of-the-whole", " ** (1 / steps)", ""),
            mistake("growth-of-the-whole", GROWTH, "sizes[-1] / sizes[0] / steps"),
            mistake("one-step-alone", GROWTH, "sizes[1] / sizes[0]"),
            mistake("one-step-alone", GROWTH, "sizes[-1] / sizes[-2]"),
            mistake("difference-not-ratio", GROWTH, "(sizes[-1] - sizes[0]) / steps"),
            mistake("difference-not-ratio", GROWTH, "sizes[-1] - sizes[0]"),
            mistake("log-not-undone", GROWTH, "np.log(sizes[-1] / sizes[0]) / steps"),
            mistake("ratio-inverted", "sizes[-1] / sizes[0]", "sizes[0] / sizes[-1]"),
        ),
        hints=(
            "If every step multiplies by g, how many times has g been applied when the last layer is reached?",
            "last = first * g ** (layers - 1). Solve for g.",
        ),
        after="At 1.2 a layer the signal doubles within four layers, and grows more than 200 times within thirty.",
    ),
    Task(
        id="mean_shift",
        chapter="02",
        level="medium",
        solution=mean_shift,
        returns=("shift",),
        cases=(
            Case("one channel, from 7 to 1", (np.array([[5.0], [9]]), np.array([[-2.0], [4]]))),
            Case(
                "one channel up, one down",
                (np.array([[0.0, 1], [2, 5], [7, 6]]), np.array([[2.0, -2], [1, 1], [9, -5]])),
            ),
            Case("the same values on other examples", (eighths(0, 5, 3), eighths(0, 5, 3)[::-1].copy())),
            Case(
                "channels of unlike scale", (eighths(1, 6, 3) * [0.25, 1, 8], eighths(2, 6, 3) * [1, 4, 2] - [1, 0, 3])
            ),
            Case("a mean of 1000", (eighths(3, 7, 4, around=1000), 2 * eighths(4, 7, 4) + 1001)),
        ),
        mistakes=(
            mistake("signs-cancel", MOVED, MOVED[7:-1]),
            mistake("signs-cancel", MOVED, MOVED[7:-1], DRIFT, f"np.abs({DRIFT})"),
            mistake("not-in-deviations", DRIFT, "moved.mean()"),
            mistake("shift-over-variance", "before.std", "before.var"),
            mistake("moving-yardstick", "before.std(axis=0)", "after.std(axis=0)"),
            mistake("moving-yardstick", "before.std(axis=0)", "(0.5 * (before.std(axis=0) + after.std(axis=0)))"),
            mistake("moving-yardstick", "before.std(axis=0)", "np.sqrt((before.var(axis=0) + after.var(axis=0)) / 2)"),
            mistake("examples-not-means", MOVED, "np.abs(after - before).mean(axis=0)"),
            mistake("channels-summed", DRIFT, DRIFT.replace("mean", "sum")),
            mistake("channels-not-averaged", DRIFT, "moved / before.std(axis=0)"),
            mistake("unbiased-normalisation", "before.std(axis=0)", "before.std(axis=0, ddof=1)"),
            mistake("wrong-axes", "axis=0", "axis=1"),
            mistake("global-statistics", "axis=0", "axis=None"),
            mistake("global-statistics", "before.std(axis=0)", "before.std()"),
            mistake("global-statistics", DRIFT, "moved.mean() / before.std(axis=0).mean()"),
        ),
        hints=(
            "For each channel, three numbers: the mean before, the mean after, and the standard deviation before.",
            "`np.abs(after.mean(axis=0) - before.mean(axis=0))` is how far each channel has moved.",
            "Divide that by `before.std(axis=0)`, and take the mean of the result.",
        ),
        after="The examples stay the same, so what moved is the network alone: no part of it is the luck of a batch.",
    ),
)
