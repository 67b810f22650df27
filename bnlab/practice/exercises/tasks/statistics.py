"""Exercises on means and variances: computed without losing digits, merged, and averaged over time."""

import numpy as np

from bnlab.practice.exercises.task import Case, Task, mistake
from bnlab.practice.exercises.tasks.data import eighths, far_from_zero, scales


def stable_variance(x):
    """The biased variance of the values of x, shape (m,), also where their mean is far from 0 and x is float32."""
    mean = x.mean()
    return ((x - mean) ** 2).mean()


def merge_statistics(count_a, mean_a, var_a, count_b, mean_b, var_b):
    """Count, mean and biased variance of two sets of values together, from those of each set (Chan et al. 1983).

    Means and variances have shape (c,). A set may be empty.
    """
    count = count_a + count_b
    delta = mean_b - mean_a
    mean = mean_a + delta * count_b / count
    var = (count_a * var_a + count_b * var_b) / count + delta**2 * count_a * count_b / count**2
    return count, mean, var


def update_running_stats(running_mean, running_var, batch_mean, batch_var, count, momentum):
    """The running mean and variance after one more batch, as PyTorch keeps them; all have shape (c,).

    batch_var is the biased variance of the batch's count values per channel. Returns new arrays.
    """
    unbiased_var = batch_var * count / (count - 1)
    new_mean = (1 - momentum) * running_mean + momentum * batch_mean
    new_var = (1 - momentum) * running_var + momentum * unbiased_var
    return new_mean, new_var


def find_the_bug_ema(batch_vars, momentum):
    """A running variance with its start taken out: a weighted mean of the batch variances alone.

    Each older batch weighs 1 - momentum times as much as the next, the first included; the weights add up to 1.
    batch_vars has shape (batches, c); momentum is PyTorch's. The result has shape (c,).
    """
    running_var = np.zeros_like(batch_vars[0])
    for batch_var in batch_vars:
        running_var = (1 - momentum) * running_var + momentum * batch_var
    return running_var / (1 - (1 - momentum) ** len(batch_vars))


TASKS = (
    Task(
        id="stable_variance",
        chapter="03",
        level="medium",
        solution=stable_variance,
        returns=("var",),
        cases=(
            Case("three numbers", (np.array([1.0, 1.0, 4.0]),)),
            Case("eleven numbers", (eighths(0, 11),)),
            Case("equal numbers", (np.full(4, 2.5),)),
            Case("float32, mean 5000", (far_from_zero(1, 64),), cancels=True),
            Case("float32, mean 5001", (np.array([5001, 5001, 5002], np.float32),), cancels=True),
            Case("float64, mean 1e9", (1e9 + eighths(2, 64),), cancels=True),
        ),
        mistakes=(
            mistake("one-pass-cancellation", "((x - mean) ** 2).mean()", "(x * x).mean() - mean * mean"),
            mistake("unbiased-normalisation", "((x - mean) ** 2).mean()", "((x - mean) ** 2).sum() / (x.size - 1)"),
            mistake("std-not-variance", "((x - mean) ** 2).mean()", "np.sqrt(((x - mean) ** 2).mean())"),
            mistake("not-centred", "(x - mean) ** 2", "x**2"),
        ),
        hints=(
            "Subtract a number that is close to the values before you square.",
            "Two passes: the mean first, then the mean of the squared distances from it.",
        ),
        after="Subtracting the first value instead of the mean works in one pass: `bnlab.reference.variance.shifted`.",
    ),
    Task(
        id="merge_statistics",
        chapter="05",
        level="medium",
        solution=merge_statistics,
        returns=("count", "mean", "var"),
        cases=(
            Case(
                "equal values, 0 and 10",
                (2, np.zeros(1), np.zeros(1), 2, np.full(1, 10.0), np.zeros(1)),
            ),
            Case("3 and 7 values", (3, eighths(0, 2), scales(1, 2), 7, eighths(2, 2), scales(3, 2))),
            Case("an empty set", (0, np.zeros(3), np.zeros(3), 5, eighths(4, 3), scales(5, 3))),
            Case("means of 1000", (4, eighths(6, 2) + 1000, scales(7, 2), 9, eighths(8, 2) + 1000, scales(9, 2))),
        ),
        mistakes=(
            mistake("averaged-variances", " + delta**2 * count_a * count_b / count**2", ""),
            mistake(
                "unweighted-average",
                "mean_a + delta * count_b / count",
                "(mean_a + mean_b) / 2",
                "(count_a * var_a + count_b * var_b) / count + delta**2 * count_a * count_b / count**2",
                "(var_a + var_b) / 2 + delta**2 / 4",
            ),
            mistake("unweighted-average", "mean_a + delta * count_b / count", "(mean_a + mean_b) / 2"),
            mistake(
                "unweighted-average",
                "mean_a + delta * count_b / count",
                "(mean_a + mean_b) / 2",
                "(count_a * var_a + count_b * var_b) / count + delta**2 * count_a * count_b / count**2",
                "(var_a + var_b) / 2",
            ),
            mistake("unweighted-average", "(count_a * var_a + count_b * var_b) / count", "(var_a + var_b) / 2"),
            mistake(
                "unbiased-normalisation",
                "(count_a * var_a + count_b * var_b) / count + delta**2 * count_a * count_b / count**2",
                "(count_a * var_a + count_b * var_b + delta**2 * count_a * count_b / count) / (count - 1)",
            ),
        ),
        hints=(
            "The variance of the whole is the mean of the variances plus the variance of the means.",
            "Weighted by a and b, the means have the variance (mean_b - mean_a)^2 * a * b / (a + b)^2.",
        ),
        after="This is how threads, GPUs and batches pool their statistics, SyncBatchNorm and `recalibrate` included.",
    ),
    Task(
        id="update_running_stats",
        chapter="05",
        level="easy",
        solution=update_running_stats,
        returns=("running_mean", "running_var"),
        cases=(
            Case("one channel", (np.zeros(1), np.ones(1), np.array([10.0]), np.array([25.0]), 4, 0.125)),
            Case("m = 2", (eighths(0, 3), scales(1, 3), eighths(2, 3), scales(3, 3), 2, 0.25)),
            Case("m = 32", (eighths(4, 2), scales(5, 2), eighths(6, 2), scales(7, 2), 32, 0.125)),
            Case("momentum 1", (eighths(8, 2), scales(9, 2), eighths(10, 2), scales(11, 2), 6, 1.0)),
            Case("momentum 0", (eighths(12, 2), scales(13, 2), eighths(14, 2), scales(15, 2), 6, 0.0)),
        ),
        mistakes=(
            mistake("biased-running-var", "batch_var * count / (count - 1)", "batch_var"),
            mistake("unbiased-inverted", "count / (count - 1)", "(count - 1) / count"),
            mistake(
                "momentum-flipped",
                "(1 - momentum) * running_mean + momentum * batch_mean",
                "momentum * running_mean + (1 - momentum) * batch_mean",
                "(1 - momentum) * running_var + momentum * unbiased_var",
                "momentum * running_var + (1 - momentum) * unbiased_var",
            ),
            mistake("running-stats-never-updated", "return new_mean, new_var", "return running_mean, running_var"),
            mistake("std-not-variance", "batch_var * count", "np.sqrt(batch_var) * count"),
            mistake("std-not-variance", "momentum * unbiased_var", "momentum * np.sqrt(unbiased_var)"),
        ),
        hints=(
            "Momentum is the weight of the new batch.",
            "The variance that goes in is the unbiased one: multiply the biased one by count / (count - 1).",
        ),
        after="With momentum 0.1 a batch that lies ten back still has a weight of 0.1 * 0.9^10, about 3.5%.",
    ),
    Task(
        id="find_the_bug_ema",
        chapter="05",
        level="medium",
        solution=find_the_bug_ema,
        returns=("running_var",),
        cases=(
            Case("one batch of variance 4", (np.array([[4.0]]), 0.125)),
            Case("three batches", (scales(0, 3, 2), 0.25)),
            Case("ten equal batches", (np.full((10, 3), 4.0), 0.125)),
            Case("momentum 1", (scales(1, 2, 2), 1.0)),
        ),
        mistakes=(
            mistake("debiased-from-one", "np.zeros_like", "np.ones_like"),
            mistake("running-var-from-zero", " / (1 - (1 - momentum) ** len(batch_vars))", ""),
            mistake(
                "first-batch-too-heavy",
                "np.zeros_like(batch_vars[0])\n    for batch_var in batch_vars:",
                "batch_vars[0]\n    for batch_var in batch_vars[1:]:",
                " / (1 - (1 - momentum) ** len(batch_vars))",
                "",
            ),
            mistake("cold-start", "np.zeros_like", "np.ones_like", " / (1 - (1 - momentum) ** len(batch_vars))", ""),
            mistake(
                "momentum-flipped",
                "(1 - momentum) * running_var + momentum * batch_var",
                "momentum * running_var + (1 - momentum) * batch_var",
                "1 - (1 - momentum) ** len(batch_vars)",
                "1 - momentum ** len(batch_vars)",
            ),
            mistake(
                "momentum-flipped",
                "(1 - momentum) * running_var + momentum * batch_var",
                "momentum * running_var + (1 - momentum) * batch_var",
            ),
        ),
        hints=(
            "After one batch of variance 4 the result should be 4. What is it?",
            "The division removes the share that the start still has, provided that the start was 0.",
        ),
        after="PyTorch does neither: it starts at 1 and forgets that slowly, which chapter 05 calls the cold start.",
        bug=mistake("debiased-from-one", "np.zeros_like", "np.ones_like"),
    ),
)
