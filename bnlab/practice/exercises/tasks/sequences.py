"""Exercises on batch norm over sequences: statistics of each step, of padded sequences, and news of the future."""

import numpy as np

from bnlab.practice.exercises.task import Case, Task, mistake
from bnlab.practice.exercises.tasks.data import eighths
from bnlab.practice.exercises.tasks.sequence_layers import LAYERS


def step_statistics(x):
    """The mean and the biased variance by which recurrent batch norm normalises each time step.

    x has shape (n, length, c): n sequences with c features at each step. Every step has statistics of its own, so mean
    and variance have shape (length, c).
    """
    mean = x.mean(axis=0)
    var = x.var(axis=0)
    return mean, var


def padded_statistics(x, lengths):
    """The mean and the biased variance of each feature over all real steps of all sequences; both have shape (c,).

    x has shape (n, length, c) and lengths has shape (n,). Of sequence i the first lengths[i] steps are real, at least
    one; what stands behind them is padding, of any value.
    """
    real = np.arange(x.shape[1]) < lengths[:, None]
    values = x[real]
    return values.mean(axis=0), values.var(axis=0)


def moves_the_past(layer, x, t):
    """How far outputs before step t move when inputs from step t on are changed: 0 if the layer is causal.

    layer takes and gives arrays of shape (n, length, c), the shape of x. In a copy of x, add 1 to every input of the
    first sequence from step t on, where t is at least 1. The result has shape (n,): for each sequence, the largest
    absolute change of an output before step t.
    """
    edited = x + 0
    edited[0, t:] += 1
    moved = np.abs(layer(edited) - layer(x))
    return moved[:, :t].max(axis=(1, 2))


MEAN_AND_VAR = "mean = x.mean(axis=0)\n    var = x.var(axis=0)"
VALUES = "values.mean(axis=0), values.var(axis=0)"
SPREAD = "values.var(axis=0)"
PER_SEQUENCE = "np.array([one[:length].{}(axis=0) for one, length in zip(x, lengths)])"
PER_STEP = "np.array([x[lengths > t, t].mean(axis=0) for t in range(max(lengths))])"
FILLED = "(x * real[..., None])"
MOVED = "np.abs(layer(edited) - layer(x))"
LARGEST = "moved[:, :t].max(axis=(1, 2))"


def series(seed: int, *shape: int, around: float = 0.0) -> np.ndarray:
    """Sequences whose steps differ in mean and in spread."""
    length = shape[1]
    return eighths(seed, *shape) * (1 + np.arange(length)[:, None]) + 2 * np.arange(length)[:, None] + around


def padded(seed: int, lengths: list[int], c: int, padding: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of these lengths, padded at the end, with some zeros among the real values too."""
    x = series(seed, len(lengths), max(lengths), c)
    x[0, 0] = 0
    for one, length in zip(x, lengths, strict=True):
        one[length:] = padding
    return x, np.array(lengths)


TASKS = (
    Task(
        id="step_statistics",
        chapter="09",
        level="easy",
        solution=step_statistics,
        returns=("mean", "var"),
        cases=(
            Case("two sequences of two steps", (np.array([[[1.0], [3]], [[5], [11]]]),)),
            Case("3 sequences of 4 steps", (series(0, 3, 4, 2),)),
            Case("5 sequences, 3 steps, 3 features", (series(1, 5, 3, 3),)),
            Case("as many sequences as steps and features", (series(2, 3, 3, 3),)),
            Case("a mean of 1000", (series(3, 4, 2, 3, around=1000),)),
            Case("one step", (series(4, 6, 1, 2),)),
        ),
        mistakes=(
            mistake("steps-pooled", "axis=0", "axis=(0, 1)"),
            mistake(
                "steps-pooled",
                "return mean, var",
                "return tuple(np.tile(one(axis=(0, 1)), (x.shape[1], 1)) for one in (x.mean, x.var))",
            ),
            mistake("steps-not-batch", "axis=0", "axis=1"),
            mistake("features-pooled", "axis=0", "axis=(0, 2)"),
            mistake(
                "features-pooled", "axis=0", "axis=(0, 2), keepdims=True", "return mean, var", "return mean[0], var[0]"
            ),
            mistake("layer-norm-axes", "axis=0", "axis=2"),
            mistake(
                "steps-so-far",
                MEAN_AND_VAR,
                "mean = np.array([x[:, : t + 1].mean(axis=(0, 1)) for t in range(x.shape[1])])\n"
                "    var = np.array([x[:, : t + 1].var(axis=(0, 1)) for t in range(x.shape[1])])",
            ),
            mistake("unbiased-normalisation", "x.var(axis=0)", "x.var(axis=0, ddof=1)"),
            mistake("std-not-variance", "x.var(axis=0)", "x.std(axis=0)"),
            mistake("squares-not-centred", "x.var(axis=0)", "(x**2).mean(axis=0)"),
            mistake("results-swapped", "return mean, var", "return var, mean"),
        ),
        hints=(
            "Which values meet at one step, in one feature? Those of all sequences.",
            "Only the axis of the sequences, the first one, is averaged over.",
        ),
        after="n values behind each mean, however long the sequences are; an average over all steps has n * length.",
    ),
    Task(
        id="padded_statistics",
        chapter="09",
        level="medium",
        solution=padded_statistics,
        returns=("mean", "var"),
        cases=(
            Case("two sequences, one padded step", (np.array([[[1.0], [3]], [[5], [0]]]), np.array([2, 1]))),
            Case("real zeros, and padding with zeros", padded(0, [3, 1, 5, 2], 2)),
            Case("padding with 99", padded(1, [4, 2, 1], 3, padding=99.0)),
            Case("padding with -1", padded(2, [2, 6, 3, 4, 1], 1, padding=-1.0)),
            Case("no padding", padded(3, [4, 4, 4], 2)),
            Case("no sequence as long as the batch", (series(4, 3, 6, 2), np.array([4, 2, 3]))),
        ),
        mistakes=(
            mistake("padding-counted", "x[real]", "x.reshape(-1, x.shape[2])"),
            mistake("padding-counted", "x[real]", f"{FILLED}.reshape(-1, x.shape[2])"),
            mistake("padding-counted", SPREAD, "x.var(axis=(0, 1))"),
            mistake("padding-counted", SPREAD, f"{FILLED}.var(axis=(0, 1))"),
            mistake(
                "padding-counted", VALUES, "x.mean(axis=(0, 1)), ((values - x.mean(axis=(0, 1))) ** 2).mean(axis=0)"
            ),
            mistake(
                "padding-in-the-divisor",
                VALUES,
                "values.sum(axis=0) / (x.shape[0] * x.shape[1]), SPREAD / (x.shape[0] * x.shape[1])".replace(
                    "SPREAD", "((values - values.sum(axis=0) / (x.shape[0] * x.shape[1])) ** 2).sum(axis=0)"
                ),
            ),
            mistake("padding-in-the-divisor", SPREAD, f"{SPREAD} * real.mean()"),
            mistake(
                "padding-in-the-spread",
                SPREAD,
                f"(({FILLED} - values.mean(axis=0)) ** 2).sum(axis=(0, 1)) / real.sum()",
            ),
            mistake(
                "zeros-are-padding",
                "x[real]",
                "np.where(x == 0, np.nan, x).reshape(-1, x.shape[2])",
                VALUES,
                "np.nanmean(values, axis=0), np.nanvar(values, axis=0)",
            ),
            mistake("zeros-are-padding", "np.arange(x.shape[1]) < lengths[:, None]", "(x != 0).any(axis=2)"),
            mistake("one-length-for-all", "lengths[:, None]", "lengths.min() + 0 * lengths[:, None]"),
            mistake("one-length-for-all", "lengths[:, None]", "lengths[0] + 0 * lengths[:, None]"),
            mistake("one-length-for-all", "lengths[:, None]", "lengths.max() + 0 * lengths[:, None]"),
            mistake("front-taken-for-padding", "< lengths[:, None]", ">= x.shape[1] - lengths[:, None]"),
            mistake("last-step-off", "< lengths[:, None]", "<= lengths[:, None]"),
            mistake("last-step-off", "< lengths[:, None]", "< np.maximum(lengths[:, None] - 1, 1)"),
            mistake(
                "unweighted-average",
                VALUES,
                f"{PER_SEQUENCE.format('mean')}.mean(axis=0), {PER_SEQUENCE.format('var')}.mean(axis=0)",
            ),
            mistake("unweighted-average", "values.mean(axis=0)", f"{PER_SEQUENCE.format('mean')}.mean(axis=0)"),
            mistake("unweighted-average", "values.mean(axis=0)", f"{PER_STEP}.mean(axis=0)"),
            mistake("results-swapped", VALUES, "values.var(axis=0), values.mean(axis=0)"),
            mistake("averaged-variances", SPREAD, f"np.average({PER_SEQUENCE.format('var')}, axis=0, weights=lengths)"),
            mistake("averaged-variances", SPREAD, f"{PER_SEQUENCE.format('var')}.mean(axis=0)"),
            mistake("unbiased-normalisation", SPREAD, "values.var(axis=0, ddof=1)"),
            mistake("std-not-variance", SPREAD, "values.std(axis=0)"),
            mistake("squares-not-centred", SPREAD, "(values**2).mean(axis=0)"),
            mistake("features-pooled", VALUES, "values.mean(), values.var()"),
            mistake("features-pooled", VALUES, "np.full(x.shape[2], values.mean()), np.full(x.shape[2], values.var())"),
        ),
        hints=(
            "First say which steps are real: an array of shape (n, length), True or False.",
            "`np.arange(length) < lengths[:, None]` is that array, and `x[real]` has one row for each real step.",
        ),
        after="Masked sums do it too; mask again after subtracting the mean, for a padded 0 is then no 0 any more.",
    ),
    Task(
        id="moves_the_past",
        chapter="09",
        level="medium",
        solution=moves_the_past,
        returns=("moved",),
        cases=(
            Case("batch norm over all steps", (LAYERS["batch_norm"], series(0, 2, 3, 1), 2)),
            Case("batch norm over all steps, three sequences", (LAYERS["batch_norm"], series(1, 3, 5, 2), 2)),
            Case("batch norm for each step", (LAYERS["each_step"], series(2, 3, 4, 2), 2)),
            Case("a mean of the steps so far", (LAYERS["so_far"], series(3, 2, 6, 2), 3)),
            Case("a sum from the step to the end", (LAYERS["to_the_end"], series(4, 3, 5, 2), 3)),
            Case("the same, turned upside down", (LAYERS["minus_to_the_end"], series(5, 3, 4, 3), 1)),
            Case("what comes next, now up, now down", (LAYERS["alternating"], series(6, 2, 5, 2), 4)),
        ),
        mistakes=(
            mistake("past-edited", "edited[0, t:] += 1", "edited[0, :t] += 1"),
            mistake("future-compared", "moved[:, :t]", "moved"),
            mistake("future-compared", "moved[:, :t]", "moved[:, t:]"),
            mistake("edited-step-compared", "moved[:, :t]", "moved[:, : t + 1]"),
            mistake("future-edited-in-part", "edited[0, t:] += 1", "edited[0, t] += 1"),
            mistake("future-edited-in-part", "edited[0, t:] += 1", "edited[0, -1] += 1"),
            mistake("future-edited-in-part", "edited[0, t:] += 1", "edited[0, t + 1 :] += 1"),
            mistake("inputs-replaced", "edited[0, t:] += 1", "edited[0, t:] = 1"),
            mistake("inputs-replaced", "edited[0, t:] += 1", "edited[0, t:] = 0"),
            mistake("every-sequence-edited", "edited[0, t:] += 1", "edited[:, t:] += 1"),
            mistake("changes-cancel", LARGEST, "np.abs((layer(edited) - layer(x))[:, :t].sum(axis=(1, 2)))"),
            mistake("changes-cancel", LARGEST, "np.abs((layer(edited) - layer(x))[:, :t].mean(axis=(1, 2)))"),
            mistake("changes-cancel", MOVED, "layer(edited) - layer(x)"),
            mistake("average-not-largest", LARGEST, "moved[:, :t].mean(axis=(1, 2))"),
            mistake("average-not-largest", LARGEST, "moved[:, :t].sum(axis=(1, 2))"),
            mistake("average-not-largest", LARGEST, "np.sqrt((moved[:, :t] ** 2).mean(axis=(1, 2)))"),
            mistake("others-not-compared", LARGEST, f"{LARGEST} * (np.arange(len(x)) == 0)"),
            mistake("sequences-together", LARGEST, "moved[:, :t].max()"),
            mistake("sequences-together", LARGEST, "moved[0, :t].max()"),
            mistake("inputs-compared", MOVED, "np.abs(layer(edited) - x)"),
        ),
        hints=(
            "Run the layer twice: on x, and on a copy of it in which the future of one sequence is another.",
            "`edited = x.copy()`, `edited[0, t:] += 1`; then compare the outputs at the steps `:t` only.",
            "The largest absolute difference over steps and features, `.max(axis=(1, 2))`: one for each sequence.",
        ),
        after="It is a test for any model in training mode. Batch norm over all steps fails it for every sequence.",
    ),
)
