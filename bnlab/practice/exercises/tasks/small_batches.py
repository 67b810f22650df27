"""Exercises on what was invented for small batches: standardised weights, and batch norm corrected by its past."""

import numpy as np

from bnlab.practice.exercises.task import Case, Task, mistake
from bnlab.practice.exercises.tasks.data import eighths, far_from_zero, scales


def weight_standardise(weight, eps):
    """Weight standardisation: each filter of a convolution gets weights of mean 0 and (biased) variance 1.

    weight has shape (out, in, height, width), one filter for each output channel, and so has the result. eps is added
    to the variance.
    """
    mean = weight.mean(axis=(1, 2, 3), keepdims=True)
    var = weight.var(axis=(1, 2, 3), keepdims=True)
    return (weight - mean) / np.sqrt(var + eps)


def batch_renorm(x, running_mean, running_std, r_max, d_max, eps):
    """Batch renormalisation in training mode, before gamma and beta: x_hat, then the corrections r and d.

    x has shape (n, c), running_mean and running_std have shape (c,). x_hat is what batch norm gives, times r, plus d.
    With wide limits, that is what inference gives: (x - running_mean) / running_std. r is held between 1 / r_max and
    r_max, d between -d_max and d_max. r and d have shape (c,). The batch's variance is the biased one, plus eps.
    """
    mean = x.mean(axis=0)
    std = np.sqrt(x.var(axis=0) + eps)
    r = np.clip(std / running_std, 1 / r_max, r_max)
    d = np.clip((mean - running_mean) / running_std, -d_max, d_max)
    return (x - mean) / std * r + d, r, d


VAR_OF_FILTERS = "weight.var(axis=(1, 2, 3), keepdims=True)"
ROOT_OF_VAR = "np.sqrt(var + eps)"
SQUARES = "(weight**2).sum(axis=(1, 2, 3), keepdims=True)"
R = "np.clip(std / running_std, 1 / r_max, r_max)"
D = "np.clip((mean - running_mean) / running_std, -d_max, d_max)"
X_HAT = "(x - mean) / std * r + d"


def renorm_case(name: str, seed: int, n: int, c: int, r_max: float, d_max: float, eps: float = 1e-5) -> Case:
    """A batch that lies off the running statistics by more in some channels than in others."""
    x = eighths(seed, n, c) * (1 + np.arange(c)) + np.linspace(-1, 2, c)
    return Case(name, (x, eighths(seed + 1, c) / 2, scales(seed + 2, c) * 1.5, r_max, d_max, eps))


TASKS = (
    Task(
        id="weight_standardise",
        chapter="11",
        level="medium",
        solution=weight_standardise,
        returns=("standardised",),
        cases=(
            Case("two filters of two weights", (np.array([1.0, 5, 2, 10]).reshape(2, 1, 1, 2), 1e-5)),
            Case("3 filters of 2 x 3 x 3", (eighths(0, 3, 2, 3, 3) * np.arange(1, 4)[:, None, None, None], 1e-5)),
            Case("as many filters as inputs", (eighths(1, 4, 4, 2, 2) + np.arange(4)[:, None, None], 1e-5)),
            Case("a variance near eps", (eighths(2, 2, 3, 2, 2) / 512, 1e-5)),
            Case("a filter of equal weights", (np.concatenate([np.ones((1, 2, 3, 3)), eighths(3, 1, 2, 3, 3)]), 1e-5)),
            Case("1 x 1, a larger eps", (eighths(4, 3, 5, 1, 1), 0.125)),
            Case("float32, mean 5000", (far_from_zero(5, 3, 2, 3, 3), 1e-5), cancels=True),
        ),
        mistakes=(
            mistake("filters-pooled", "axis=(1, 2, 3)", "axis=None"),
            mistake("filters-pooled", "axis=(1, 2, 3)", "axis=(0, 2, 3)"),
            mistake("across-the-filters", "axis=(1, 2, 3)", "axis=0"),
            mistake("kernels-apart", "axis=(1, 2, 3)", "axis=(2, 3)"),
            mistake("kernels-apart", "axis=(1, 2, 3)", "axis=1"),
            mistake("kernels-apart", "weight.mean(axis=(1, 2, 3)", "weight.mean(axis=(2, 3)"),
            mistake("unbiased-normalisation", "weight.var(axis=(1, 2, 3)", "weight.var(axis=(1, 2, 3), ddof=1"),
            mistake(
                "one-pass-cancellation",
                VAR_OF_FILTERS,
                "(weight * weight).mean(axis=(1, 2, 3), keepdims=True) - mean * mean",
            ),
            mistake("eps-outside-sqrt", ROOT_OF_VAR, "(np.sqrt(var) + eps)"),
            mistake("eps-missing", ROOT_OF_VAR, "np.sqrt(var)"),
            mistake("std-not-variance", ROOT_OF_VAR, "(var + eps)"),
            mistake("not-centred", "(weight - mean)", "weight"),
            mistake("only-centred", " / np.sqrt(var + eps)", ""),
            *(
                mistake(
                    "length-without-centring", f"(weight - mean) / {ROOT_OF_VAR}", f"weight / np.sqrt({SQUARES}{eps})"
                )
                for eps in ("", " + eps")
            ),
            mistake("length-not-spread", VAR_OF_FILTERS, "((weight - mean) ** 2).sum(axis=(1, 2, 3), keepdims=True)"),
        ),
        hints=(
            "One filter makes one output channel. Which axes of the weight belong to one filter?",
            "All but the first: mean and var over `axis=(1, 2, 3)` with `keepdims=True`.",
        ),
        after="No activation is looked at, so the batch does not matter, and for inference the result is stored once.",
    ),
    Task(
        id="batch_renorm",
        chapter="11",
        level="hard",
        solution=batch_renorm,
        returns=("x_hat", "r", "d"),
        cases=(
            Case(
                "one channel, wide limits", (np.array([[1.0], [5]]), np.array([0.5]), np.array([4.0]), 8.0, 8.0, 1e-5)
            ),
            renorm_case("narrow limits", 0, 6, 4, 1.25, 0.375),
            renorm_case("limits between", 10, 5, 5, 1.5, 1.0),
            renorm_case("wide limits, a larger eps", 20, 4, 3, 16.0, 16.0, eps=0.125),
            renorm_case("no correction", 30, 5, 3, 1.0, 0.0),
            Case(
                "limits reached on either side",
                (
                    eighths(40, 4, 4) * [0.25, 4, 1, 1] + [0, 0, 3, -3],
                    np.zeros(4),
                    np.ones(4),
                    2.0,
                    0.5,
                    1e-5,
                ),
            ),
        ),
        mistakes=(
            mistake("limits-ignored", R, "std / running_std"),
            mistake("limits-ignored", D, "(mean - running_mean) / running_std"),
            mistake("limits-ignored", R, "std / running_std", D, "(mean - running_mean) / running_std"),
            mistake("limits-one-sided", R, "np.minimum(std / running_std, r_max)"),
            mistake("limits-one-sided", "1 / r_max, r_max", "-r_max, r_max"),
            mistake("limits-one-sided", "1 / r_max, r_max", "0, r_max"),
            mistake("limits-one-sided", D, "np.minimum((mean - running_mean) / running_std, d_max)"),
            mistake("limits-one-sided", "-d_max, d_max", "0, d_max"),
            mistake("r-inverted", "std / running_std, 1 / r_max", "running_std / std, 1 / r_max"),
            mistake("r-inverted", X_HAT, "(x - mean) / std / r + d"),
            mistake(
                "r-inverted", R, R.replace("std / running_std", "running_std / std"), X_HAT, "(x - mean) / std / r + d"
            ),
            mistake("d-not-in-deviations", "(mean - running_mean) / running_std", "mean - running_mean"),
            mistake("d-not-in-deviations", "(mean - running_mean) / running_std", "(mean - running_mean) / std"),
            mistake("d-in-the-other-direction", "mean - running_mean", "running_mean - mean"),
            mistake("d-in-the-other-direction", "* r + d", "* r - d"),
            mistake("order-of-r-and-d", X_HAT, "((x - mean) / std + d) * r"),
            mistake("correction-unused", X_HAT, "(x - mean) / std"),
            mistake("correction-unused", " * r + d", " * r"),
            mistake("batch-not-normalised", X_HAT, "x * r + d"),
            mistake(
                "results-swapped", "return (x - mean) / std * r + d, r, d", "return (x - mean) / std * r + d, d, r"
            ),
            mistake("std-not-variance", "/ running_std", "/ np.sqrt(running_std)"),
            mistake("eps-counted-twice", "/ running_std", "/ np.sqrt(running_std**2 + eps)"),
            mistake("eps-counted-twice", "/ running_std", "/ (running_std + eps)"),
            mistake("eps-missing", "std / running_std,", "x.std(axis=0) / running_std,"),
            mistake("variances-compared", "std / running_std, 1 / r_max", "(std / running_std) ** 2, 1 / r_max"),
            mistake("eps-outside-sqrt", "np.sqrt(x.var(axis=0) + eps)", "x.std(axis=0) + eps"),
            mistake("eps-missing", "np.sqrt(x.var(axis=0) + eps)", "x.std(axis=0)"),
            mistake("unbiased-normalisation", "x.var(axis=0)", "x.var(axis=0, ddof=1)"),
            mistake("inference-returned", X_HAT, "(x - running_mean) / running_std"),
        ),
        hints=(
            "Solve for r and d without limits: (x - mean) / std * r + d has to be (x - running_mean) / running_std.",
            "Compare what multiplies x: r is std / running_std. Put x = mean: d is what is left.",
            "`np.clip(std / running_std, 1 / r_max, r_max)`; d is (mean - running_mean) / running_std, clipped too.",
        ),
        after="Ioffe 2017 holds r and d constant in the backward pass, and opens the limits as training goes on.",
    ),
)
