"""Exercises on mistakes: examples behind a mean, norms that stay as they are, and one norm for two domains."""

import numpy as np
from torch import nn

from bnlab.practice.exercises.task import Case, Task, mistake
from bnlab.practice.exercises.tasks.data import eighths
from bnlab.practice.exercises.tasks.network_trials import FREEZING_CASES, try_freezing


def examples_behind(batch_size, accumulated, processes, synchronised):
    """How many examples are behind a mean of batch norm, and how many behind the gradient of one optimiser step.

    Each process passes batch_size examples through its copy of the network at once, and adds up the gradients of
    accumulated such batches before a step; the processes average their gradients. synchronised says whether the norms
    are SyncBatchNorm.
    """
    behind_a_mean = batch_size * processes if synchronised else batch_size
    behind_a_step = batch_size * accumulated * processes
    return behind_a_mean, behind_a_step


def freeze_norms(pretrained):
    """Let every batch norm of a network normalise by its running statistics and leave them as they are. In place.

    It is called right after pretrained.train(), before each epoch of fine-tuning. The norms are nn.BatchNorm1d and
    nn.BatchNorm2d, anywhere in the network. Everything else goes on as before: dropout drops, and all parameters are
    trained, gammas and betas too.
    """
    for module in pretrained.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.eval()


def domain_norm(x, domain, eps):
    """Batch norm in training mode, before gamma and beta, with statistics of their own for each of two domains.

    x has shape (n, c) and domain has shape (n,): 0 or 1, the domain of each row, such as generated or real. The rows
    come in any order, the result has them in the same. A batch may be all of one domain. The variance is the biased
    one, plus eps.
    """
    y = np.zeros(x.shape)
    for one in (0, 1):
        rows = domain == one
        values = x[rows]
        y[rows] = (values - values.mean(axis=0)) / np.sqrt(values.var(axis=0) + eps)
    return y


BEHIND_A_MEAN = "batch_size * processes if synchronised else batch_size"
BEHIND_A_STEP = "batch_size * accumulated * processes"
FROZEN = "module.eval()"
NEXT_LINE = "\n            "
OF_THE_NORM = "for one in module.parameters()"
IS_A_NORM = "isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)"
LOOP = f"for module in pretrained.modules():\n        if {IS_A_NORM}:{NEXT_LINE}{FROZEN}"
HAT = "(values - values.mean(axis=0)) / np.sqrt(values.var(axis=0) + eps)"
ROOT_OF_VAR = "np.sqrt(values.var(axis=0) + eps)"
SQUARES_OF = "((x[domain == {0}] - x[domain == {0}].mean(axis=0)) ** 2).sum(axis=0)"
SUBTRACTED = "(values - values.mean(axis=0))"


def of_one_domain(name: str, seed: int, domain: list[int], eps: float = 1e-5, around: float = 0.0) -> Case:
    """Rows of three channels; those of domain 1 lie elsewhere and spread further."""
    is_1 = np.array(domain)
    x = eighths(seed, len(domain), 3) * (1 + is_1)[:, None] + 3 * is_1[:, None] * [1, -1, 0.5] + around
    return Case(name, (x, is_1, eps))


TASKS = (
    Task(
        id="examples_behind",
        chapter="10",
        level="easy",
        solution=examples_behind,
        returns=("behind_a_mean", "behind_a_step"),
        cases=(
            Case("batches of 2, 16 added up", (2, 16, 1, False)),
            Case("no accumulation, one process", (32, 1, 1, False)),
            Case("eight processes", (4, 1, 8, False)),
            Case("eight processes, synchronised", (4, 1, 8, True)),
            Case("both, not synchronised", (2, 4, 8, False)),
            Case("both, synchronised", (2, 4, 8, True)),
            Case("one process, synchronised with itself", (8, 3, 1, True)),
        ),
        mistakes=(
            mistake("accumulation-counted", BEHIND_A_MEAN, f"accumulated * ({BEHIND_A_MEAN})"),
            mistake("accumulation-counted", BEHIND_A_MEAN, BEHIND_A_STEP),
            mistake("never-synchronised", BEHIND_A_MEAN, "batch_size"),
            mistake("always-synchronised", BEHIND_A_MEAN, "batch_size * processes"),
            mistake("always-synchronised", "if synchronised", "if not synchronised"),
            mistake("step-of-one-process", BEHIND_A_STEP, "batch_size * accumulated"),
            mistake(
                "step-of-one-process", BEHIND_A_STEP, "batch_size * accumulated * (processes if synchronised else 1)"
            ),
            mistake("step-of-one-batch", BEHIND_A_STEP, "batch_size * processes"),
            mistake("step-of-one-batch", BEHIND_A_STEP, "batch_size"),
            mistake(
                "batch-split",
                BEHIND_A_MEAN,
                "batch_size if synchronised else batch_size / processes",
                BEHIND_A_STEP,
                "batch_size * accumulated",
            ),
            mistake("results-swapped", "return behind_a_mean, behind_a_step", "return behind_a_step, behind_a_mean"),
        ),
        hints=(
            "When is a mean computed, and what is in memory then? When does the optimiser step, and what has come by?",
            "A mean is over what passes at once, by one process or by all that synchronise. Gradients also add up.",
        ),
        after="Whatever is accumulated, batch norm sees its batch of 2; synchronised over 8 processes, 16.",
    ),
    Task(
        id="freeze_norms",
        chapter="10",
        level="medium",
        solution=freeze_norms,
        returns=("network",),
        cases=FREEZING_CASES,
        mistakes=(
            mistake("only-parameters-frozen", FROZEN, f"[one.requires_grad_(False) {OF_THE_NORM}]"),
            mistake("only-parameters-frozen", LOOP, "[one.requires_grad_(False) for one in pretrained.parameters()]"),
            mistake("gradients-off-too", FROZEN, f"module.eval(){NEXT_LINE}[one.requires_grad_(False) {OF_THE_NORM}]"),
            mistake(
                "gradients-off-too",
                LOOP,
                LOOP + "\n    [one.requires_grad_(False) for one in pretrained.parameters()]",
            ),
            mistake("batch-still-normalises", FROZEN, "module.momentum = 0.0"),
            mistake("batch-still-normalises", FROZEN, "module.track_running_stats = False"),
            mistake(
                "batch-still-normalises",
                FROZEN,
                f"module.momentum = 0.0{NEXT_LINE}[one.requires_grad_(False) {OF_THE_NORM}]",
            ),
            mistake("whole-network-in-eval", LOOP, "pretrained.eval()"),
            mistake("statistics-thrown-away", FROZEN, f"module.eval(){NEXT_LINE}module.reset_running_stats()"),
            mistake("statistics-thrown-away", FROZEN, "module.reset_running_stats()"),
            mistake(
                "statistics-thrown-away",
                FROZEN,
                f"module.eval(){NEXT_LINE}module.running_mean = module.running_var = None",
            ),
            mistake("nothing-frozen", FROZEN, "module.running_mean.requires_grad_(False)"),
            mistake("nothing-frozen", FROZEN, "module.momentum = None"),
            mistake("children-only", "pretrained.modules()", "pretrained.children()"),
            mistake("one-kind-of-norm", "nn.BatchNorm1d | nn.BatchNorm2d)", "nn.BatchNorm1d)"),
            mistake("one-kind-of-norm", "nn.BatchNorm1d | nn.BatchNorm2d)", "nn.BatchNorm2d)"),
            *(
                mistake(
                    "found-by-name",
                    "for module in pretrained.modules()",
                    "for name, module in pretrained.named_modules()",
                    IS_A_NORM,
                    test,
                )
                for test in ('"bn" in name', '"norm" in name', '"bn" in name or "norm" in name')
            ),
        ),
        hints=(
            "Who moves the running statistics, the optimiser or a forward pass? Which flag does that pass look at?",
            "Each module has a mode of its own. Go through `modules()` and change that of the norms, and no other.",
            "`module.eval()` for each module that is an `nn.BatchNorm1d` or an `nn.BatchNorm2d`.",
        ),
        after="The next `train()` undoes it, which is why it is called anew; `bnlab.deploy.freeze` outlasts that call.",
        trial=try_freezing,
    ),
    Task(
        id="domain_norm",
        chapter="10",
        level="medium",
        solution=domain_norm,
        returns=("y",),
        cases=(
            Case("two rows of each", (np.array([[1.0], [10], [3], [30]]), np.array([0, 1, 0, 1]), 1e-5)),
            of_one_domain("rows in any order", 0, [0, 1, 1, 0, 1, 0, 0]),
            of_one_domain("one domain after the other", 1, [0, 0, 0, 1, 1, 1]),
            of_one_domain("the other first", 2, [1, 1, 0, 0, 0]),
            of_one_domain("a single row of one domain", 3, [0, 1, 0, 0]),
            of_one_domain("all of one domain", 4, [1, 1, 1, 1]),
            of_one_domain("a larger eps", 5, [0, 1, 0, 1, 1], eps=0.125),
            of_one_domain("means around 1000", 6, [1, 0, 0, 1, 0, 1], around=1000),
        ),
        mistakes=(
            mistake("domains-pooled", "values = x[rows]", "values = x", "y[rows] = " + HAT, "y = " + HAT),
            mistake("half-pooled", "values.var(axis=0)", "x.var(axis=0)"),
            mistake("half-pooled", "values.mean(axis=0)", "x.mean(axis=0)"),
            mistake("half-pooled", "values.var(axis=0)", f"({SQUARES_OF.format(0)} + {SQUARES_OF.format(1)}) / len(x)"),
            mistake(
                "of-the-other-domain",
                "values.mean(axis=0)",
                "x[domain == 0].mean(axis=0)",
                "values.var(axis=0)",
                "x[domain == 0].var(axis=0)",
            ),
            mistake(
                "of-the-other-domain",
                "values.mean(axis=0)",
                "x[domain == 1].mean(axis=0)",
                "values.var(axis=0)",
                "x[domain == 1].var(axis=0)",
            ),
            mistake(
                "of-the-other-domain",
                "values.mean(axis=0)",
                "x[domain != one].mean(axis=0)",
                "values.var(axis=0)",
                "x[domain != one].var(axis=0)",
            ),
            mistake("global-statistics", "values.mean(axis=0)", "values.mean()", "values.var(axis=0)", "values.var()"),
            mistake("global-statistics", "values.mean(axis=0)", "values.mean()"),
            mistake("global-statistics", "values.var(axis=0)", "values.var()"),
            mistake("rows-sorted", "return y", "return np.concatenate([y[domain == 0], y[domain == 1]])"),
            mistake("halves-for-domains", "domain == one", "(np.arange(len(x)) >= len(x) // 2) == one"),
            mistake("one-domain-left-out", "in (0, 1)", "in (0,)"),
            mistake("one-domain-left-out", "in (0, 1)", "in (1,)"),
            mistake("unbiased-normalisation", "values.var(axis=0)", "values.var(axis=0, ddof=1)"),
            mistake("eps-outside-sqrt", ROOT_OF_VAR, "(values.std(axis=0) + eps)"),
            mistake("eps-missing", ROOT_OF_VAR, "values.std(axis=0)"),
            mistake("std-not-variance", ROOT_OF_VAR, "(values.var(axis=0) + eps)"),
            mistake("not-centred", SUBTRACTED, "values"),
        ),
        hints=(
            "Which rows share a mean? `domain == 0` marks those of one domain.",
            "Normalise `x[domain == 0]` by its own mean and variance, write it into these rows of y; then domain 1.",
        ),
        after="Two passes, a domain each, give the same outputs; in evaluation each domain needs a store of its own.",
    ),
)
