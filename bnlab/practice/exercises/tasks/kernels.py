"""Exercises on fast code: what it moves, the digits that it must not lose, and what is done on the way out."""

import numpy as np

from bnlab.practice.exercises.task import Case, Task, mistake
from bnlab.practice.exercises.tasks.data import eighths, scales


def accesses(backward, relu, residual, resident):
    """How often fused batch norm in training reads and writes main memory for each element of the input: a pair.

    All four are True or False. residual: another tensor is added behind the norm. relu: a ReLU comes last. backward:
    the gradient is computed, not the output. resident: what the first sweep has read is still in the cache at the
    second. The mask of the ReLU is computed again from the input, unless a residual was added: then it is read off the
    output, in the first sweep, and the gradient of the residual is written. Without a ReLU that gradient is the one
    that came in, and nothing is done for it. The masked gradient is what the second sweep reads.
    """
    reads, writes = (2, 1) if backward else (1, 1)
    if not resident:
        reads = 2 * reads
    if residual and not backward:
        reads = reads + 1
    if residual and relu and backward:
        reads, writes = reads + 1, writes + 1
    return reads, writes


def find_the_bug_one_pass(x, block):
    """Mean and biased variance of the values of x, shape (m,), in one pass over blocks, as a kernel takes them.

    A large mean must cost no digits, in float32 or in float64: a wider dtype only moves the end. That each block is
    read once is for you to see to: the check compares numbers, and cannot tell one pass from two.
    """
    pilot = x[0]
    total, squares = x.dtype.type(0), x.dtype.type(0)
    for start in range(0, len(x), block):
        above = x[start : start + block] - pilot
        total = total + above.sum()
        squares = squares + (above * above).sum()
    mean = total / len(x)
    return pilot + mean, squares / len(x) - mean * mean


def add_relu(x, residual, mean, var, gamma, beta, eps):
    """Batch norm by given statistics, plus the residual, behind a ReLU: the second sweep of a fused kernel.

    x and residual have shape (n, c, length), the others (c,). Negative values become 0, a NaN stays a NaN. x may be
    float32 with a large mean.
    """
    scale = gamma / np.sqrt(var + eps)
    value = (x - mean[:, None]) * scale[:, None] + beta[:, None] + residual
    return np.where(value < 0, 0, value)


SECOND_SWEEP = "    if not resident:\n        reads = 2 * reads\n"
OF_THE_RESIDUAL = "if residual and not backward"
OF_THE_MASK = "    if residual and relu and backward:\n        reads, writes = reads + 1, writes + 1\n"
WITHOUT_PILOT = ("    pilot = x[0]\n", "", " - pilot", "", "pilot + mean", "mean")
WITH_ITS_OWN_MEAN = "x[start : start + block] - x[start : start + block].mean()"
WITHIN_BLOCKS = (
    "        above = x[start : start + block] - pilot\n        total = total + above.sum()\n",
    "        part = x[start : start + block]\n        total = total + (part - pilot).sum()\n",
    "squares + (above * above).sum()",
    "squares + ((part - part.mean()) ** 2).sum()",
    "squares / len(x) - mean * mean",
    "squares / len(x)",
)
VALUE = "(x - mean[:, None]) * scale[:, None] + beta[:, None] + residual"
BATCH_MEAN = ("x - mean[:, None]", "x - x.mean((0, 2))[:, None]")
BATCH_VAR = ("var + eps", "x.var((0, 2)) + eps")
OF_ITS_RUN = ("x - mean[:, None]", "x - x.mean(2, keepdims=True)")
RELU = "np.where(value < 0, 0, value)"


def accesses_case(name: str, *, backward: bool, relu: bool, residual: bool, resident: bool) -> Case:
    """One of the sixteen."""
    return Case(name, (backward, relu, residual, resident))


def one_pass_case(name: str, seed: int, count: int, block: int, around: float = 0.0) -> Case:
    """Values whose first one lies off their mean."""
    values = eighths(seed, count) + around
    values[0] += 1
    return Case(name, (values, block))


def large_mean_case(name: str, *, mean: int, dtype: type[np.floating] = np.float32) -> Case:
    """Whole numbers about a mean at which their squares need more digits than the dtype has."""
    whole = np.random.default_rng(mean).integers(-6, 7, 300) + mean
    return Case(name, (whole.astype(dtype), 64), cancels=True)


def epilogue_case(name: str, seed: int, n: int, c: int, length: int, *, around: float = 0.0, eps: float = 1e-5) -> Case:
    """Values around the means, and a residual of their size, so that about half of the sums are negative."""
    mean = eighths(seed + 1, c) + around
    x = mean[:, None] + eighths(seed, n, c, length)
    of_channels = (mean, scales(seed + 2, c), scales(seed + 3, c), eighths(seed + 4, c))
    arrays = (x, eighths(seed + 5, n, c, length), *of_channels)
    return Case(name, (*(array.astype(np.float32 if around else np.float64) for array in arrays), eps))


def with_a_nan(case: Case) -> Case:
    """The same, with one value missing."""
    x, *others = case.arguments
    return Case(case.name, (np.where(np.arange(x.size).reshape(x.shape) == 1, np.nan, x), *others))


TASKS = (
    Task(
        id="accesses",
        chapter="13",
        level="easy",
        solution=accesses,
        returns=("reads", "writes"),
        cases=(
            accesses_case("forward, from memory", backward=False, relu=False, residual=False, resident=False),
            accesses_case("forward, resident", backward=False, relu=False, residual=False, resident=True),
            accesses_case("forward and ReLU", backward=False, relu=True, residual=False, resident=False),
            accesses_case("forward, add and ReLU", backward=False, relu=True, residual=True, resident=False),
            accesses_case("forward and add, resident", backward=False, relu=False, residual=True, resident=True),
            accesses_case("backward, from memory", backward=True, relu=False, residual=False, resident=False),
            accesses_case("backward through a ReLU", backward=True, relu=True, residual=False, resident=False),
            accesses_case("backward, resident", backward=True, relu=True, residual=False, resident=True),
            accesses_case("backward through an add alone", backward=True, relu=False, residual=True, resident=False),
            accesses_case("backward, add and ReLU", backward=True, relu=True, residual=True, resident=False),
            accesses_case("backward, add and ReLU, resident", backward=True, relu=True, residual=True, resident=True),
        ),
        mistakes=(
            mistake("second-sweep-forgotten", SECOND_SWEEP, ""),
            mistake("resident-read-twice", "if not resident", "if True"),
            mistake("input-forgotten-backward", "(2, 1) if backward", "(1, 1) if backward"),
            mistake(
                "relu-as-own-pass",
                "    return reads",
                "    reads, writes = reads + relu, writes + relu\n    return reads",
            ),
            mistake(
                "relu-as-own-pass",
                "    return reads",
                "    reads, writes = reads + relu + residual, writes + relu + residual\n    return reads",
                f"    {OF_THE_RESIDUAL}:\n        reads = reads + 1\n",
                "",
                OF_THE_MASK,
                "",
            ),
            mistake("mask-stored", "if residual and relu and backward", "if relu and backward"),
            mistake(
                "mask-stored", OF_THE_MASK, f"{OF_THE_MASK}    elif relu and backward:\n        reads = reads + 1\n"
            ),
            mistake("residual-not-read", f"    {OF_THE_RESIDUAL}:\n        reads = reads + 1\n", ""),
            mistake("residual-in-both-sweeps", "reads = reads + 1\n", "reads = reads + 1 + (not resident)\n"),
            mistake("residual-read-backward", OF_THE_RESIDUAL, "if residual"),
            mistake("residual-gradient-not-written", "reads + 1, writes + 1", "reads + 1, writes"),
            mistake("residual-gradient-not-written", OF_THE_MASK, ""),
            mistake("gradient-passed-on-copied", "if residual and relu and backward", "if residual and backward"),
            mistake("results-swapped", "return reads, writes", "return writes, reads"),
            mistake("bytes-not-accesses", "return reads, writes", "return 4 * reads, 4 * writes"),
        ),
        hints=(
            "What has to be known before the first output can be written? So how often is x read?",
            "Backward, each sweep reads x and its gradient; the sums must be known before the first result.",
            "Double the reads if not resident. Then add what is read or written once: residual, output, its gradient.",
        ),
        after="`bnlab.kernels` moves just that: a test counts every load and store of the GPU kernels.",
    ),
    Task(
        id="find_the_bug_one_pass",
        chapter="13",
        level="medium",
        solution=find_the_bug_one_pass,
        returns=("mean", "var"),
        cases=(
            Case("1, 3 and 8", (np.array([1.0, 3, 8]), 2)),
            one_pass_case("whole blocks", 0, 64, 16),
            one_pass_case("a last block of 3", 1, 67, 16),
            one_pass_case("one block", 2, 30, 64, around=-2.0),
            one_pass_case("blocks of 1", 3, 12, 1, around=3.0),
            large_mean_case("float32, mean 5000", mean=5000),
            large_mean_case("float32, mean 100,000", mean=100_000),
            large_mean_case("float64, mean a billion", mean=1_000_000_000, dtype=np.float64),
        ),
        mistakes=(
            mistake("one-pass-cancellation", *WITHOUT_PILOT),
            mistake("pilot-not-added-back", "return pilot + mean", "return mean"),
            mistake("pilot-changes", "start : start + block] - pilot", "start : start + block] - x[start]"),
            mistake("not-about-the-mean", "squares / len(x) - mean * mean", "squares / len(x)"),
            mistake(
                "not-about-the-mean",
                "squares / len(x) - mean * mean",
                "squares / len(x) - (pilot + mean) * (pilot + mean)",
            ),
            mistake("pilot-changes", "x[start : start + block] - pilot", WITH_ITS_OWN_MEAN),
            mistake("averaged-variances", *WITHIN_BLOCKS),
            mistake(
                "averaged-variances",
                *WITHIN_BLOCKS[:3],
                "squares + part.var()",
                "squares / len(x) - mean * mean",
                "squares / -(-len(x) // block)",
            ),
            mistake("last-block-lost", "range(0, len(x), block)", "range(0, len(x) - block + 1, block)"),
            mistake(
                "block-means-averaged",
                "total + above.sum()",
                "total + above.mean()",
                "total / len(x)",
                "total / -(-len(x) // block)",
            ),
            mistake(
                "unbiased-normalisation",
                "squares / len(x) - mean * mean",
                "(squares - len(x) * mean * mean) / max(len(x) - 1, 1)",
            ),
            mistake("std-not-variance", "squares / len(x) - mean * mean", "np.sqrt(squares / len(x) - mean * mean)"),
        ),
        hints=(
            "The mean of the squares and the square of the mean nearly cancel where the mean is large. Make it small.",
            "Subtract one number near the values from every block. Which one do you know before the first sum?",
            "`pilot = x[0]`, sums of `block - pilot`, and at the end the pilot is added to the mean alone.",
        ),
        after="It is what the kernels of chapter 13 do: above a pilot, in float32 over a run, then added in float64.",
        bug=mistake("one-pass-cancellation", *WITHOUT_PILOT),
    ),
    Task(
        id="add_relu",
        chapter="13",
        level="medium",
        solution=add_relu,
        returns=("y",),
        cases=(
            Case(
                "one channel",
                (
                    np.array([[[3.0, 7.0]]]),
                    np.array([[[-4.0, 1.0]]]),
                    *map(np.array, ([5.0], [4.0], [6.0], [0.5])),
                    1e-5,
                ),
            ),
            epilogue_case("3 channels", 0, 4, 3, 5),
            epilogue_case("as many channels as positions", 10, 2, 4, 4),
            epilogue_case("one image, a larger eps", 20, 1, 2, 9, eps=0.125),
            with_a_nan(epilogue_case("a NaN in x", 30, 2, 2, 3)),
            epilogue_case("float32, mean 1,000,000", 40, 3, 2, 8, around=1e6),
        ),
        mistakes=(
            mistake("relu-before-add", VALUE, VALUE.removesuffix(" + residual"), RELU, f"{RELU} + residual"),
            mistake("residual-normalised", VALUE, "(x + residual - mean[:, None]) * scale[:, None] + beta[:, None]"),
            mistake("residual-not-added", " + residual", ""),
            mistake("relu-missing", RELU, "value"),
            mistake("relu-of-the-residual", "+ residual", "+ np.where(residual < 0, 0, residual)"),
            mistake("nan-becomes-zero", RELU, "np.where(value > 0, value, 0)"),
            mistake("line-loses-digits", VALUE, "x * scale[:, None] + (beta - mean * scale)[:, None] + residual"),
            mistake("not-centred", "(x - mean[:, None])", "x"),
            mistake("statistics-taken-again", *BATCH_MEAN, *BATCH_VAR),
            mistake("statistics-taken-again", *BATCH_MEAN),
            mistake("statistics-taken-again", *BATCH_VAR),
            mistake("statistics-taken-again", *OF_ITS_RUN),
            mistake(
                "statistics-taken-again",
                *OF_ITS_RUN,
                "gamma / np.sqrt(var + eps)",
                "gamma[:, None] / np.sqrt(x.var(2, keepdims=True) + eps)",
                "scale[:, None]",
                "scale",
            ),
            mistake("affine-ignored", "gamma /", "1 /"),
            mistake("affine-ignored", " + beta[:, None]", ""),
            mistake("eps-missing", "var + eps", "var"),
            mistake("eps-outside-sqrt", "np.sqrt(var + eps)", "(np.sqrt(var) + eps)"),
            mistake("std-not-variance", "np.sqrt(var + eps)", "(var + eps)"),
        ),
        hints=(
            "Order: normalise, scale and shift, add, and only then cut off what is negative.",
            "Subtract the mean first, while it costs no digits. Which comparison is False for NaN?",
            "`(x - mean[:, None]) * scale[:, None] + beta[:, None] + residual`, then `np.where(value < 0, 0, value)`.",
        ),
        after="Fused, x and the residual are read and y is written: 3 accesses where separate operations take 7.",
    ),
)
