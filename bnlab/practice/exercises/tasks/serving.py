"""Exercises on the way into production: folding, merging several machines' statistics, an alarm, and eight bits."""

import numpy as np

from bnlab.practice.exercises.task import Case, Task, mistake
from bnlab.practice.exercises.tasks.data import eighths
from bnlab.practice.exercises.tasks.inference import OF_THE_ROOT, trained


def fold_convolution(weight, bias, gamma, beta, running_mean, running_var, eps):
    """The weight and bias with which a convolution gives what batch norm would make of its output at inference.

    weight has shape (out, in / groups, height, width), all else (out,). The results have the shapes of weight and bias.
    """
    scale = gamma / np.sqrt(running_var + eps)
    folded_weight = weight * scale[:, None, None, None]
    folded_bias = (bias - running_mean) * scale + beta
    return folded_weight, folded_bias


def merge_ranks(counts, means, m2s):
    """Count, mean and biased variance of the values of all ranks together, as SyncBatchNorm needs them.

    counts has shape (ranks,): how many values per channel each rank has. A rank may have none; then its mean and m2 are
    0. means and m2s have shape (ranks, c): each rank's mean, and the sum of its squared distances from that mean.
    """
    count = counts.sum()
    mean = (counts[:, None] * means).sum(axis=0) / count
    m2 = (m2s + counts[:, None] * (means - mean) ** 2).sum(axis=0)
    return count, mean, m2 / count


def drift_scores(x, running_mean):
    """How many standard errors the mean of what reaches a norm lies above the stored mean, for each channel.

    x has shape (n, c, height, width), running_mean and the result have shape (c,). The images are independent, the
    positions of one image are not. So the standard error comes from the means of the images: their spread, divided by
    n - 1, over the root of n.
    """
    of_images = x.mean(axis=(2, 3))
    error = of_images.std(axis=0, ddof=1) / np.sqrt(len(x))
    return (of_images.mean(axis=0) - running_mean) / error


def quantise_filters(weight, bits):
    """Whole numbers q and a scale for each filter, so that weight is nearly q * scale: symmetric quantisation.

    weight has shape (out, in, height, width), q has the same, scale has shape (out,). With 8 bits q lies between -127
    and 127, in general between -limit and limit with limit = 2 ** (bits - 1) - 1, and each filter's largest weight,
    without its sign, becomes limit. Weights are rounded to the nearest. The scale of a filter of zeros is 1.
    """
    limit = 2 ** (bits - 1) - 1
    largest = np.abs(weight).max(axis=(1, 2, 3))
    scale = np.where(largest > 0, largest / limit, 1)
    q = np.round(weight / scale[:, None, None, None])
    return q, scale


FOLDED_WEIGHT = "weight * scale[:, None, None, None]"
FOLDED_BIAS = "(bias - running_mean) * scale + beta"
MEAN = "(counts[:, None] * means).sum(axis=0) / count"
M2 = "(m2s + counts[:, None] * (means - mean) ** 2).sum(axis=0)"
BETWEEN = "counts[:, None] * (means - mean) ** 2"
MEAN_OF_VARIANCES = "(m2s / counts[:, None]).mean(axis=0) + means.var(axis=0)"
VARIANCE = "return count, mean, m2 / count"
ERROR = "of_images.std(axis=0, ddof=1) / np.sqrt(len(x))"
SCORE = "(of_images.mean(axis=0) - running_mean) / error"
LARGEST = "np.abs(weight).max(axis=(1, 2, 3))"
SCALE = "np.where(largest > 0, largest / limit, 1)"
QUANTISED = "np.round(weight / scale[:, None, None, None])"
LIMIT = "limit = 2 ** (bits - 1) - 1\n"


def fold_case(name: str, seed: int, *shape: int, eps: float = 1e-5) -> Case:
    """A convolution of this shape, and a norm whose last channel varies as little as eps."""
    return Case(name, (eighths(seed, *shape), eighths(seed + 1, shape[0]), *trained(seed + 2, shape[0]), eps))


def ranks_case(name: str, seed: int, *counts: int, around: float = 0.0) -> Case:
    """Ranks with so many values of two channels each; the ranks' means differ."""
    values = [eighths(seed + i, n, 2) * [1, 2] + around + i for i, n in enumerate(counts)]
    means = [v.mean(0) if len(v) else np.zeros(2) for v in values]
    m2s = [((v - mean) ** 2).sum(0) for v, mean in zip(values, means, strict=True)]
    return Case(name, (np.array(counts), np.array(means), np.array(m2s)))


def live_case(name: str, seed: int, *shape: int, around: float = 0.0) -> Case:
    """Images that differ in brightness by more than their positions do, beside a stored mean."""
    of_images = eighths(seed, *shape[:2], 1, 1)
    return Case(name, (around + of_images + eighths(seed + 1, *shape) / 4, around + eighths(seed + 2, shape[1]) / 2))


def filters_case(name: str, seed: int, *ranges: float, inputs: int, bits: int = 8) -> Case:
    """Filters of 3 x 2 with these ranges. Quotients of eighths would often lie half-way between two whole numbers."""
    weight = np.random.default_rng(seed).normal(size=(len(ranges), inputs, 3, 2)) * np.reshape(ranges, (-1, 1, 1, 1))
    return Case(name, (weight.astype(np.float32).astype(float), bits))


TASKS = (
    Task(
        id="fold_convolution",
        chapter="14",
        level="medium",
        solution=fold_convolution,
        returns=("weight", "bias"),
        cases=(
            Case(
                "one weight",
                (np.full((1, 1, 1, 1), 2.0), *map(np.array, ([3.0], [6.0], [0.5], [1.0], [4.0])), 1e-5),
            ),
            fold_case("3 channels to 3", 0, 3, 3, 3, 3),
            fold_case("depthwise, 4 channels", 10, 4, 1, 3, 3),
            fold_case("1 x 1", 20, 4, 4, 1, 1),
            fold_case("a larger eps", 30, 2, 2, 3, 1, eps=0.125),
        ),
        mistakes=(
            *OF_THE_ROOT,
            mistake("bias-not-scaled", FOLDED_BIAS, "bias - running_mean * scale + beta"),
            mistake("bias-lost", FOLDED_BIAS, "beta - running_mean * scale"),
            mistake("shift-not-scaled", FOLDED_BIAS, "bias * scale + beta - running_mean"),
            mistake("shift-not-scaled", FOLDED_BIAS, "bias * scale + beta - gamma * running_mean"),
            mistake("not-centred", "(bias - running_mean)", "bias"),
            mistake("mean-added", "(bias - running_mean)", "(bias + running_mean)"),
            mistake("inputs-scaled", FOLDED_WEIGHT, "weight * scale[None, :, None, None]"),
            mistake("weight-not-scaled", FOLDED_WEIGHT, "weight"),
            mistake("shift-in-the-weight", FOLDED_WEIGHT, f"{FOLDED_WEIGHT} + beta[:, None, None, None]"),
            mistake("affine-ignored", "gamma /", "1 /"),
            mistake("affine-ignored", " * scale + beta", " * scale"),
            mistake("affine-swapped", FOLDED_BIAS, "(bias - running_mean) * scale + gamma * beta"),
            mistake("beta-scaled", FOLDED_BIAS, "(bias - running_mean + beta) * scale"),
            mistake("affine-swapped", "gamma /", "beta /", "* scale + beta", "* scale + gamma"),
        ),
        hints=(
            "Write out gamma * (weight · x + bias - running_mean) / sqrt(running_var + eps) + beta. What multiplies x?",
            "The weight times gamma / sqrt(running_var + eps), the scale. What is left without x is the new bias.",
            "`weight * scale[:, None, None, None]`, and `(bias - running_mean) * scale + beta`.",
        ),
        after="`bnlab.deploy.fold` does it for every pair in a network and compares the outputs on the way.",
    ),
    Task(
        id="merge_ranks",
        chapter="14",
        level="medium",
        solution=merge_ranks,
        returns=("count", "mean", "var"),
        cases=(
            Case("equal values, 0 and 10", (np.array([2, 2]), np.array([[0.0], [10]]), np.zeros((2, 1)))),
            ranks_case("3 and 7 values", 0, 3, 7),
            ranks_case("four ranks", 10, 4, 2, 8, 5),
            ranks_case("an empty rank", 20, 4, 0, 6),
            ranks_case("a rank with one value", 30, 1, 5),
            ranks_case("the first is empty", 40, 0, 3, 2),
            ranks_case("means around 1000", 50, 6, 4, around=1000),
            ranks_case("one rank", 60, 5),
        ),
        mistakes=(
            mistake("averaged-variances", f" + {BETWEEN}", ""),
            mistake("averaged-variances", VARIANCE, "return count, mean, (m2s / counts[:, None]).mean(axis=0)"),
            mistake("unweighted-average", MEAN, "means.mean(axis=0)"),
            mistake("unweighted-average", BETWEEN, "(means - mean) ** 2"),
            mistake(
                "unweighted-average",
                MEAN,
                "means.mean(axis=0)",
                VARIANCE,
                "return count, mean, (m2s / np.maximum(counts, 1)[:, None]).mean(axis=0) + means.var(axis=0)",
            ),
            *(
                mistake("unweighted-average", *of_mean, VARIANCE, f"return count, mean, {MEAN_OF_VARIANCES}")
                for of_mean in ((), (MEAN, "means.mean(axis=0)"))
            ),
            mistake("empty-rank-divides", "m2s +", "counts[:, None] * (m2s / counts[:, None]) +"),
            mistake("unbiased-of-each-rank", "m2s +", "counts[:, None] * (m2s / (counts - 1)[:, None]) +"),
            mistake("unbiased-of-each-rank", "m2s +", "counts[:, None] * m2s / np.maximum(counts - 1, 1)[:, None] +"),
            mistake("unbiased-normalisation", VARIANCE, "return count, mean, m2 / (count - 1)"),
            mistake("sum-of-squares-returned", VARIANCE, "return count, mean, m2"),
            mistake("ranks-counted", "counts.sum()", "len(counts)"),
            mistake("m2-taken-for-variance", "m2s +", "counts[:, None] * m2s +"),
        ),
        hints=(
            "The mean of all values is not the mean of the ranks' means: how much does each rank weigh?",
            "Add to m2s what the ranks' means are apart from the mean of all: counts * (means - mean)**2.",
        ),
        after="Three numbers a channel are sent, whatever the batch, and an empty rank needs no exception.",
    ),
    Task(
        id="drift_scores",
        chapter="14",
        level="medium",
        solution=drift_scores,
        returns=("scores",),
        cases=(
            Case("two images of two pixels", (np.array([[1.0, 3], [6, 10]]).reshape(2, 1, 1, 2), np.array([2.0]))),
            live_case("6 images of 4 x 4", 0, 6, 3, 4, 4),
            live_case("3 images of 2 x 5", 10, 3, 2, 2, 5),
            live_case("one position", 20, 8, 4, 1, 1),
            live_case("means around 1000", 30, 5, 3, 3, 3, around=1000),
        ),
        mistakes=(
            *(
                mistake("positions-as-samples", ERROR, f"x.std(axis=(0, 2, 3){ddof}) / np.sqrt(x[:, 0].size)")
                for ddof in (", ddof=1", "")
            ),
            *(
                mistake("spread-of-values", ERROR, f"x.std(axis=(0, 2, 3){ddof}) / np.sqrt(len(x))")
                for ddof in (", ddof=1", "")
            ),
            mistake("spread-of-values", ERROR, "x.std(axis=(2, 3)).mean(axis=0) / np.sqrt(len(x))"),
            mistake("spread-of-one-image", " / np.sqrt(len(x))", ""),
            mistake("root-forgotten", "np.sqrt(len(x))", "len(x)"),
            mistake("root-forgotten", ERROR, "of_images.var(axis=0, ddof=1) / len(x)"),
            mistake("root-forgotten", ERROR, "of_images.var(axis=0, ddof=1) / np.sqrt(len(x))"),
            mistake("divided-by-n-images", "std(axis=0, ddof=1)", "std(axis=0)"),
            mistake("direction-lost", SCORE, f"np.abs({SCORE})"),
            mistake("direction-lost", SCORE, "(running_mean - of_images.mean(axis=0)) / error"),
            mistake("distance-not-score", " / error", ""),
        ),
        hints=(
            "One mean for each image and channel: shape (n, c). How far does the mean of n such numbers scatter?",
            "`of_images.std(axis=0, ddof=1) / np.sqrt(n)` is the standard error; divide the difference by it.",
        ),
        after="Over many channels some score is large by chance: an alarm's threshold must grow with their number.",
    ),
    Task(
        id="quantise_filters",
        chapter="14",
        level="stretch",
        solution=quantise_filters,
        returns=("q", "scale"),
        cases=(
            Case("one filter of three weights", (np.array([0.3, -1.0, 0.62]).reshape(1, 3, 1, 1), 8)),
            filters_case("4 filters of 4 x 3 x 2", 0, 1, 2, 0.5, 1.5, inputs=4),
            filters_case("4 bits", 1, 1, 0.25, 3, inputs=3, bits=4),
            filters_case("a filter of zeros", 2, 1, 0, 2, inputs=3),
            filters_case("a filter 1000 times as large", 3, 1, 1000, inputs=2),
        ),
        mistakes=(
            mistake("one-scale-for-all", LARGEST, "np.abs(weight).max() * np.ones(len(weight))"),
            mistake("largest-with-sign", LARGEST, "weight.max(axis=(1, 2, 3))"),
            mistake(
                "scales-of-inputs",
                LARGEST,
                "np.abs(weight).max(axis=(0, 2, 3))",
                QUANTISED,
                "np.round(weight / scale[None, :, None, None])",
            ),
            mistake("one-step-too-many", LIMIT, "limit = 2 ** (bits - 1)\n"),
            mistake("bits-ignored", LIMIT, "limit = 127\n"),
            mistake("range-halved", LARGEST, "np.ptp(weight, axis=(1, 2, 3)) / 2"),
            mistake(
                "range-halved", SCALE, "np.where(largest > 0, np.ptp(weight, axis=(1, 2, 3)) / (2 * limit + 1), 1)"
            ),
            mistake("sign-needs-a-bit", LIMIT, "limit = 2**bits - 1\n"),
            mistake("cut-not-rounded", QUANTISED, QUANTISED.replace("round", "trunc")),
            mistake("cut-not-rounded", QUANTISED, QUANTISED.replace("round", "floor")),
            mistake(
                "cut-not-rounded",
                "np.round(weight / scale[:, None, None, None])",
                "weight / scale[:, None, None, None]",
            ),
            mistake("zeros-divide", SCALE, "largest / limit"),
            mistake("scale-inverted", "return q, scale", "return q, 1 / scale"),
            mistake("spread-for-range", LARGEST, "3 * weight.std(axis=(1, 2, 3))"),
            mistake("weights-returned", "return q, scale", "return q * scale[:, None, None, None], scale"),
        ),
        hints=(
            "What is the largest weight of each filter, without its sign? It is to become `limit`.",
            "`scale = largest / limit`, and q is weight over scale, rounded. What of a filter that is all zeros?",
        ),
        after="Folding gives the filters very different ranges, so each needs a scale of its own.",
    ),
)
