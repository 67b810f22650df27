"""Exercises on batch norm in sequences: per step, with padding, in an LSTM, and what it tells of the future."""

import numpy as np

from bnlab.practice.exercises.task import Case, Task, mistake
from bnlab.practice.exercises.tasks.data import eighths, scales
from bnlab.practice.exercises.tasks.sequence_layers import LAYERS, normalise


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
    first sequence from step t on. The result has shape (n,): for each sequence, the largest absolute change of an
    output before step t.
    """
    edited = x + 0
    edited[0, t:] += 1
    moved = np.abs(layer(edited) - layer(x))
    return moved[:, :t].max(axis=(1, 2))


def recurrent_step(from_x, from_h, bias, cell, gamma_x, gamma_h, gamma_c, beta_c, normalise):
    """One step of an LSTM with batch norm: the new hidden state and the new cell, both (n, c).

    from_x and from_h are W_x x and W_h h, of shape (n, 4 * c), for the gates forget, input, output and candidate side
    by side; bias, gamma_x and gamma_h have shape (4 * c,), cell has (n, c), gamma_c and beta_c have (c,).
    normalise(z) gives every column of z mean 0 and variance 1. Three things are normalised: W_x x and W_h h, each by
    itself and without a beta, and the new cell, on its way to the hidden state only. After Cooijmans et al. 2016.
    """
    gates = gamma_x * normalise(from_x) + gamma_h * normalise(from_h) + bias
    forget, enter, leave, candidate = np.split(gates, 4, axis=1)
    forget, enter, leave = (1 / (1 + np.exp(-gate)) for gate in (forget, enter, leave))
    new_cell = forget * cell + enter * np.tanh(candidate)
    shown = gamma_c * normalise(new_cell) + beta_c
    return leave * np.tanh(shown), new_cell


MEAN_AND_VAR = "mean = x.mean(axis=0)\n    var = x.var(axis=0)"
VALUES = "values.mean(axis=0), values.var(axis=0)"
SPREAD = "values.var(axis=0)"
PER_SEQUENCE = "np.array([one[:length].{}(axis=0) for one, length in zip(x, lengths)])"
FILLED = "(x * real[..., None])"
MOVED = "np.abs(layer(edited) - layer(x))"
LARGEST = "moved[:, :t].max(axis=(1, 2))"
GATES = "gamma_x * normalise(from_x) + gamma_h * normalise(from_h) + bias"
SHOWN = "gamma_c * normalise(new_cell) + beta_c"
ORDER = "forget, enter, leave, candidate ="


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


def step_case(name: str, seed: int, n: int, c: int) -> Case:
    """What an LSTM with batch norm is given at one step, for n sequences and c features."""
    inputs = (eighths(seed, n, 4 * c), eighths(seed + 1, n, 4 * c) * 2 + 1, eighths(seed + 2, 4 * c))
    gammas = (scales(seed + 4, 4) / 2, scales(seed + 5, 4), scales(seed + 6, c))
    wide = tuple(np.repeat(one, c) for one in gammas[:2])
    return Case(name, (*inputs, eighths(seed + 3, n, c), *wide, gammas[2], eighths(seed + 7, c) + 0.25, normalise))


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
            mistake("front-taken-for-padding", "< lengths[:, None]", ">= x.shape[1] - lengths[:, None]"),
            mistake("last-step-off", "< lengths[:, None]", "<= lengths[:, None]"),
            mistake("last-step-off", "< lengths[:, None]", "< np.maximum(lengths[:, None] - 1, 1)"),
            mistake(
                "unweighted-average",
                VALUES,
                f"{PER_SEQUENCE.format('mean')}.mean(axis=0), {PER_SEQUENCE.format('var')}.mean(axis=0)",
            ),
            mistake("unweighted-average", "values.mean(axis=0)", f"{PER_SEQUENCE.format('mean')}.mean(axis=0)"),
            mistake("averaged-variances", SPREAD, f"np.average({PER_SEQUENCE.format('var')}, axis=0, weights=lengths)"),
            mistake("averaged-variances", SPREAD, f"{PER_SEQUENCE.format('var')}.mean(axis=0)"),
            mistake("unbiased-normalisation", SPREAD, "values.var(axis=0, ddof=1)"),
            mistake("std-not-variance", SPREAD, "values.std(axis=0)"),
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
            mistake("one-step-edited", "edited[0, t:] += 1", "edited[0, t] += 1"),
            mistake("one-step-edited", "edited[0, t:] += 1", "edited[0, -1] += 1"),
            mistake("every-sequence-edited", "edited[0, t:] += 1", "edited[:, t:] += 1"),
            mistake("changes-cancel", LARGEST, "np.abs((layer(edited) - layer(x))[:, :t].sum(axis=(1, 2)))"),
            mistake("changes-cancel", LARGEST, "np.abs((layer(edited) - layer(x))[:, :t].mean(axis=(1, 2)))"),
            mistake("changes-cancel", MOVED, "layer(edited) - layer(x)"),
            mistake("average-not-largest", LARGEST, "moved[:, :t].mean(axis=(1, 2))"),
            mistake("average-not-largest", LARGEST, "moved[:, :t].sum(axis=(1, 2))"),
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
    Task(
        id="recurrent_step",
        chapter="09",
        level="hard",
        solution=recurrent_step,
        returns=("hidden", "new_cell"),
        cases=(
            step_case("three sequences, one feature", 0, 3, 1),
            step_case("four sequences, two features", 20, 4, 2),
            step_case("six sequences, three features", 40, 6, 3),
        ),
        mistakes=(
            mistake("sum-normalised", GATES, "gamma_x * normalise(from_x + from_h) + bias"),
            mistake("sum-normalised", GATES, "gamma_h * normalise(from_x + from_h) + bias"),
            mistake("sum-normalised", GATES, "normalise(gamma_x * from_x + gamma_h * from_h) + bias"),
            mistake("bias-normalised-away", GATES, "gamma_x * normalise(from_x + bias) + gamma_h * normalise(from_h)"),
            mistake("bias-normalised-away", GATES, "gamma_x * normalise(from_x) + gamma_h * normalise(from_h + bias)"),
            mistake(
                "bias-counted-twice", GATES, "gamma_x * normalise(from_x) + gamma_h * normalise(from_h) + 2 * bias"
            ),
            mistake("one-sum-not-normalised", "gamma_h * normalise(from_h)", "from_h"),
            mistake("one-sum-not-normalised", "gamma_h * normalise(from_h)", "gamma_h * from_h"),
            mistake("one-sum-not-normalised", "gamma_x * normalise(from_x)", "gamma_x * from_x"),
            mistake("cell-normalised-and-kept", "tanh(shown), new_cell", "tanh(shown), shown"),
            mistake("cell-normalised-and-kept", "tanh(shown), new_cell", "tanh(shown), normalise(new_cell)"),
            mistake("cell-not-normalised", SHOWN, "new_cell"),
            mistake("cell-not-normalised", SHOWN, "gamma_c * new_cell + beta_c"),
            mistake("norm-behind-the-tanh", "np.tanh(shown)", "(gamma_c * normalise(np.tanh(new_cell)) + beta_c)"),
            mistake("old-cell-shown", SHOWN, "gamma_c * normalise(cell) + beta_c"),
            mistake("gammas-swapped", GATES, "gamma_h * normalise(from_x) + gamma_x * normalise(from_h) + bias"),
            mistake("gates-in-another-order", ORDER, "enter, forget, candidate, leave ="),
            mistake("gates-in-another-order", ORDER, "enter, forget, leave, candidate ="),
            mistake("gates-interleaved", "np.split(gates, 4, axis=1)", "(gates[:, start::4] for start in range(4))"),
            mistake("candidate-through-sigmoid", "np.tanh(candidate)", "1 / (1 + np.exp(-candidate))"),
            mistake("candidate-through-sigmoid", "np.tanh(candidate)", "candidate"),
            mistake("affine-ignored", SHOWN, "normalise(new_cell)"),
            mistake("affine-ignored", SHOWN, "gamma_c * normalise(new_cell)"),
            mistake("affine-ignored", GATES, "normalise(from_x) + normalise(from_h) + bias"),
            mistake("affine-swapped", SHOWN, "gamma_c * (normalise(new_cell) + beta_c)"),
        ),
        hints=(
            "Leave the norms out first: split the gates, forget, add, show. Then ask of each norm where it stands.",
            "The gates are `gamma_x * normalise(from_x) + gamma_h * normalise(from_h) + bias`, split into four.",
            "The new cell is handed on as it is; `gamma_c * normalise(new_cell) + beta_c` goes into the last tanh.",
        ),
        after="Cooijmans et al. start gamma at 0.1, so that sigmoid and tanh begin where they are nearly straight.",
    ),
)
