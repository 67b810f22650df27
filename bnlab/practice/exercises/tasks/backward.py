"""Exercises on the backward pass: node by node, in closed form, and a published formula with a mistake in it."""

import numpy as np

from bnlab.practice.exercises.task import Case, Task, mistake
from bnlab.practice.exercises.tasks.data import eighths, scales
from bnlab.reference import Cache, batch_norm_forward


def batch_norm_backward_staged(grad_y, cache):
    """Gradients of a table's batch norm, one node of the graph at a time.

    The graph: mean -> centred = x - mean -> var = mean of centred^2 -> inv_std = 1 / sqrt(var + eps)
    -> x_hat = centred * inv_std -> y = gamma * x_hat + beta.

    grad_y has shape (n, c); cache holds x_hat, inv_std, gamma and count (which is n).
    centred is x_hat / inv_std. Returns grad_x_hat, grad_inv_std, grad_var, grad_mean and grad_x; the middle three have
    shape (c,).
    """
    centred = cache.x_hat / cache.inv_std
    grad_x_hat = grad_y * cache.gamma
    grad_inv_std = (grad_x_hat * centred).sum(axis=0)
    grad_var = grad_inv_std * -0.5 * cache.inv_std**3
    grad_centred = grad_x_hat * cache.inv_std + grad_var * 2 * centred / cache.count
    grad_mean = -grad_centred.sum(axis=0)
    grad_x = grad_centred + grad_mean / cache.count
    return grad_x_hat, grad_inv_std, grad_var, grad_mean, grad_x


def batch_norm_backward(grad_y, cache):
    """Gradients of a table's batch norm in closed form: grad_x, grad_gamma and grad_beta.

    grad_y has shape (n, c); cache holds x_hat, inv_std, gamma and count (which is n).
    """
    grad_beta = grad_y.sum(axis=0)
    grad_gamma = (grad_y * cache.x_hat).sum(axis=0)
    along_one = grad_beta / cache.count
    along_x_hat = cache.x_hat * grad_gamma / cache.count
    grad_x = cache.gamma * cache.inv_std * (grad_y - along_one - along_x_hat)
    return grad_x, grad_gamma, grad_beta


def find_the_bug_backward(grad_y, cache):
    """Gradients of a table's batch norm, by way of grad_x_hat: grad_x, grad_gamma and grad_beta.

    grad_y has shape (n, c); cache holds x_hat, inv_std, gamma and count (which is n).
    """
    grad_beta = grad_y.sum(axis=0)
    grad_gamma = (grad_y * cache.x_hat).sum(axis=0)
    grad_x_hat = cache.gamma * grad_y
    along_one = grad_x_hat.mean(axis=0)
    along_x_hat = cache.x_hat * (grad_x_hat * cache.x_hat).mean(axis=0)
    grad_x = cache.inv_std * (grad_x_hat - along_one - along_x_hat)
    return grad_x, grad_gamma, grad_beta


def upstream(seed: int, x: np.ndarray) -> tuple[np.ndarray, Cache]:
    """An uneven gradient of the output, and the cache of the forward pass; gammas of both signs, none near 1."""
    gamma = scales(seed, x.shape[1]) * np.where(np.arange(x.shape[1]) % 2, -1, 1)
    _, cache = batch_norm_forward(x, gamma, np.zeros(x.shape[1]))
    return eighths(seed + 1, *x.shape), cache


CASES = (
    Case("four rows, one column", upstream(3, np.array([[1.0], [1.0], [5.0], [7.0]]))),
    Case("five rows, three columns", upstream(10, eighths(0, 5, 3))),
    Case("a variance near eps", upstream(20, eighths(1, 6, 2) / 512)),
    Case("a mean of 1000", upstream(30, eighths(2, 7, 4, around=1000))),
    Case("the gradient of a sum", (np.ones((6, 2)), upstream(40, eighths(3, 6, 2))[1])),
)
THREE = ("grad_x", "grad_gamma", "grad_beta")
RETURN = "return grad_x, grad_gamma, grad_beta"

TASKS = (
    Task(
        id="batch_norm_backward_staged",
        chapter="04",
        level="medium",
        solution=batch_norm_backward_staged,
        returns=("grad_x_hat", "grad_inv_std", "grad_var", "grad_mean", "grad_x"),
        cases=CASES,
        mistakes=(
            mistake(
                "stats-detached",
                "grad_x = grad_centred + grad_mean / cache.count",
                "grad_x = grad_x_hat * cache.inv_std",
            ),
            mistake("missing-mean-gradient", "grad_centred + grad_mean / cache.count", "grad_centred"),
            mistake("missing-mean-gradient", "-grad_centred.sum(axis=0)", "0 * cache.gamma"),
            mistake("missing-var-gradient", " + grad_var * 2 * centred / cache.count", ""),
            mistake(
                "missing-var-gradient",
                "grad_x = grad_centred + grad_mean / cache.count",
                "grad_x = grad_x_hat * cache.inv_std - (grad_x_hat * cache.inv_std).mean(axis=0)",
            ),
            mistake(
                "gamma-counted-twice",
                "grad_mean / cache.count",
                "grad_mean / cache.count\n    grad_x = grad_x * cache.gamma",
            ),
            mistake("gamma-counted-twice", "(grad_x_hat * centred)", "(grad_x_hat * cache.gamma * centred)"),
            mistake("affine-ignored", "grad_y * cache.gamma", "grad_y"),
            mistake("wrong-power", "cache.inv_std**3", "cache.inv_std**2"),
            mistake("wrong-power", "-0.5 * cache.inv_std**3", "-(cache.inv_std**2)"),
            mistake("global-statistics", ".sum(axis=0)", ".sum()"),
            mistake(
                "division-by-count-missing", "centred / cache.count", "centred", "grad_mean / cache.count", "grad_mean"
            ),
            mistake("division-by-count-missing", "centred / cache.count", "centred"),
            mistake("division-by-count-missing", "grad_mean / cache.count", "grad_mean"),
        ),
        hints=(
            "Go through the graph from y back to x. A node that was broadcast gets the sum of what comes back.",
            "The derivative of (var + eps)^(-1/2) is -1/2 (var + eps)^(-3/2), and inv_std is (var + eps)^(-1/2).",
            "centred is used twice: in x_hat and in var. Add what comes back on both roads, then go through the mean.",
        ),
        after="Substituting one line into the next gives the closed form: the next exercise.",
    ),
    Task(
        id="batch_norm_backward",
        chapter="04",
        level="hard",
        solution=batch_norm_backward,
        returns=THREE,
        cases=CASES,
        mistakes=(
            mistake("stats-detached", "(grad_y - along_one - along_x_hat)", "grad_y"),
            mistake("missing-mean-gradient", " - along_one", ""),
            mistake("missing-var-gradient", " - along_x_hat", ""),
            mistake("gamma-counted-twice", "cache.gamma * cache.inv_std", "cache.gamma**2 * cache.inv_std"),
            mistake("gamma-counted-twice", RETURN, "return grad_x, grad_gamma * cache.gamma, grad_beta"),
            mistake("affine-ignored", "cache.gamma * cache.inv_std", "cache.inv_std"),
            mistake("gradients-swapped", RETURN, "return grad_x, grad_beta, grad_gamma"),
            mistake("wrong-power", "cache.gamma * cache.inv_std", "cache.gamma * cache.inv_std**2"),
            mistake("wrong-power", "cache.gamma * cache.inv_std", "cache.gamma * np.sqrt(cache.inv_std)"),
            mistake("unbiased-normalisation", "/ cache.count", "/ (cache.count - 1)"),
            mistake("global-statistics", "along_one = grad_beta / cache.count", "along_one = grad_y.mean()"),
            mistake("global-statistics", "grad_beta / cache.count", "(cache.gamma * grad_y).mean() / cache.gamma"),
            mistake("division-by-count-missing", " / cache.count", ""),
            mistake("division-by-count-missing", "along_one = grad_beta / cache.count", "along_one = grad_beta"),
            mistake("division-by-count-missing", "grad_gamma / cache.count", "grad_gamma"),
            mistake(
                "division-by-count-missing", RETURN, "return grad_x, grad_gamma / cache.count, grad_beta / cache.count"
            ),
        ),
        hints=(
            "grad_beta is the sum of grad_y, grad_gamma the sum of grad_y * x_hat; both appear again in grad_x.",
            "Take out of grad_y its mean, and x_hat times the mean of grad_y * x_hat.",
            "What is left is multiplied by gamma * inv_std.",
        ),
        after="Check by hand that grad_x adds up to 0 in each column: the mean has been taken out.",
    ),
    Task(
        id="find_the_bug_backward",
        chapter="04",
        level="medium",
        solution=find_the_bug_backward,
        returns=THREE,
        cases=CASES,
        mistakes=(
            mistake("gamma-counted-twice", "cache.inv_std * (", "cache.gamma * cache.inv_std * ("),
            mistake("gamma-counted-twice", RETURN, "return grad_x, grad_gamma * cache.gamma, grad_beta"),
            mistake("stats-detached", "(grad_x_hat - along_one - along_x_hat)", "grad_x_hat"),
            mistake("missing-mean-gradient", " - along_one", ""),
            mistake("missing-var-gradient", " - along_x_hat", ""),
            mistake("affine-ignored", "cache.gamma * grad_y", "grad_y"),
            mistake("gradients-swapped", RETURN, "return grad_x, grad_beta, grad_gamma"),
            mistake("wrong-power", "cache.inv_std * (", "cache.inv_std**2 * ("),
            mistake("wrong-power", "cache.inv_std * (", "np.sqrt(cache.inv_std) * ("),
            mistake(
                "unbiased-normalisation",
                "grad_x_hat.mean(axis=0)",
                "grad_x_hat.sum(axis=0) / (cache.count - 1)",
                "(grad_x_hat * cache.x_hat).mean(axis=0)",
                "(grad_x_hat * cache.x_hat).sum(axis=0) / (cache.count - 1)",
            ),
            mistake("global-statistics", "grad_x_hat.mean(axis=0)", "grad_x_hat.mean()"),
            mistake("global-statistics", "grad_x_hat.mean(axis=0)", "cache.gamma * grad_y.mean()"),
            mistake("division-by-count-missing", ".mean(axis=0)", ".sum(axis=0)"),
            mistake("division-by-count-missing", "grad_x_hat.mean(axis=0)", "grad_x_hat.sum(axis=0)"),
            mistake("division-by-count-missing", "cache.x_hat).mean(axis=0)", "cache.x_hat).sum(axis=0)"),
            mistake(
                "division-by-count-missing", RETURN, "return grad_x, grad_gamma / cache.count, grad_beta / cache.count"
            ),
        ),
        hints=(
            "With gamma = 1 nothing would be wrong.",
            "Follow gamma: which line multiplies it in first, and which does it again?",
        ),
        after="A test with gamma = 1, as it is at the start of training, would have passed it.",
        bug=mistake("gamma-counted-twice", "cache.inv_std * (", "cache.gamma * cache.inv_std * ("),
    ),
)
