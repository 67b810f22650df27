"""Exercises on residual and convolutional networks: what a branch adds, how it starts, and what gamma switches off."""

import numpy as np
import torch
from torch import nn

from bnlab.practice.exercises.task import Case, Task, mistake
from bnlab.practice.exercises.tasks.data import scales
from bnlab.practice.exercises.tasks.network_trials import NETWORK_CASES, PARAMETER_CASES, try_list, try_start


def branch_share(input_variance, branch_variances):
    """Of the variance behind each block of a residual network: the share that the block's own branch has brought.

    input_variance is that of the first block's input, one number; branch_variances has shape (blocks,), the variance of
    what each branch adds to its skip, in order. The result has that shape too. Skip and branch are uncorrelated.
    """
    behind = input_variance + np.cumsum(branch_variances)
    return branch_variances / behind


def prune_channels(gamma, beta, k):
    """Switch off the k channels of a batch norm whose scale is smallest: they give 0, whatever comes in.

    gamma and beta have shape (c,). Smallest is meant without the sign; no two channels are alike. Returns the new gamma
    and beta, of the same shape.
    """
    off = np.argsort(np.abs(gamma))[:k]
    new_gamma, new_beta = gamma.copy(), beta.copy()
    new_gamma[off] = 0
    new_beta[off] = 0
    return new_gamma, new_beta


def norm_parameters(model):
    """All gammas and betas of a model: a list for an optimiser that is to train nothing else.

    The norms are nn.BatchNorm1d and nn.BatchNorm2d, anywhere in the model, and some may have no gamma and beta. Each
    parameter comes once, in any order.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    return [parameter for norm in norms for parameter in norm.parameters()]


def zero_last_gamma(network):
    """Let every block of a new residual network start as relu(skip(x)), and be able to learn the rest. In place.

    network.blocks holds the blocks. Each computes relu(block.skip(x) + block.branch(x)). block.branch is an
    nn.Sequential: convolution, norm, relu, convolution, norm, and so on, ending with a norm. block.skip is nn.Identity
    or, where the shape changes, a convolution and its norm. Change one number for each channel that a branch gives.
    """
    with torch.no_grad():
        for block in network.blocks:
            block.branch[-1].weight.zero_()


BEHIND = "input_variance + np.cumsum(branch_variances)"
SHARE = "branch_variances / behind"
OFF = "np.argsort(np.abs(gamma))[:k]"
PRUNED = "return new_gamma, new_beta"
NORMS = "[module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]"
LISTED = "[parameter for norm in norms for parameter in norm.parameters()]"
LAST_GAMMA = "block.branch[-1].weight.zero_()"
IN_THE_BLOCK = "[norm for norm in block.modules() if isinstance(norm, nn.BatchNorm2d)]"
NEXT_LINE = "\n            "


def of_norms(of: str) -> str:
    """Zeroes the gammas of the norms among some modules."""
    return f"[norm.weight.zero_() for norm in {of} if isinstance(norm, nn.BatchNorm2d)]"


TASKS = (
    Task(
        id="branch_share",
        chapter="08",
        level="easy",
        solution=branch_share,
        returns=("share",),
        cases=(
            Case("three blocks", (2.0, np.array([1.0, 3, 4]))),
            Case("every branch adds 1", (1.0, np.ones(6))),
            Case("one block", (0.5, np.array([1.5]))),
            Case("branches that start at zero", (4.0, np.array([0.0, 2, 0, 8]))),
            Case("branches as large as what they join", (1.0, 2.0 ** np.arange(5))),
        ),
        mistakes=(
            mistake("skip-not-sum", SHARE, "branch_variances / (behind - branch_variances)"),
            mistake("skip-not-branch", SHARE, "(behind - branch_variances) / behind"),
            *(
                mistake("variances-ignored", SHARE, f"1 / np.arange({first}, len(branch_variances) + {first})")
                for first in (1, 2)
            ),
            mistake("input-left-out", BEHIND, "np.cumsum(branch_variances)"),
            mistake("end-for-every-block", BEHIND, "input_variance + branch_variances.sum()"),
            mistake("branches-so-far", SHARE, "np.cumsum(branch_variances) / behind"),
            mistake("branches-alone", BEHIND, "input_variance + branch_variances"),
            mistake("deviations-added", SHARE, f"np.sqrt({SHARE})"),
            mistake("deviations-added", BEHIND, "(input_variance**0.5 + np.cumsum(np.sqrt(branch_variances))) ** 2"),
            mistake(
                "deviations-added",
                BEHIND,
                "input_variance**2 + np.cumsum(branch_variances**2)",
                SHARE,
                "branch_variances**2 / behind",
            ),
            mistake("ratio-inverted", SHARE, "behind / branch_variances"),
        ),
        hints=(
            "Uncorrelated signals add their variances. What is the variance behind block 1, and behind block 2?",
            "`np.cumsum(branch_variances)` is what the branches have brought so far; the input came before them.",
        ),
        after="With input and branches of variance 1 it is 1 / (l + 1) behind block l: ever nearer to the identity.",
    ),
    Task(
        id="prune_channels",
        chapter="08",
        level="medium",
        solution=prune_channels,
        returns=("gamma", "beta"),
        cases=(
            Case("one of three", (np.array([0.5, -2.0, 1.0]), np.array([0.25, -0.5, 0.125]), 1)),
            Case("two of five", (np.array([-0.125, 1.5, 0.25, -1, 0.75]), np.array([2.0, 0.125, -1, 0.5, 1.5]), 2)),
            Case("five of eight", (scales(0, 8) * np.array([1, -1, 1, 1, -1, -1, 1, -1]), scales(1, 8) - 0.25, 5)),
            Case("none of four", (scales(2, 4), scales(3, 4), 0)),
            Case("all but one of four", (scales(4, 4) * [-1, 1, 1, -1], scales(5, 4), 3)),
            Case("all of three", (scales(6, 3), scales(7, 3), 3)),
        ),
        mistakes=(
            mistake("signed-gamma", OFF, "np.argsort(gamma)[:k]"),
            mistake("largest-pruned", "[:k]", "[len(gamma) - k :]"),
            mistake("largest-pruned", "[:k]", "[-k:]"),
            mistake("kept-not-pruned", "[:k]", "[k:]"),
            mistake("kept-not-pruned", "[:k]", "[: len(gamma) - k]"),
            mistake("beta-ranked", OFF, "np.argsort(np.abs(beta))[:k]"),
            mistake("beta-ranked", OFF, "np.argsort(beta)[:k]"),
            mistake("beta-ranked", OFF, "np.argsort(np.abs(gamma) + np.abs(beta))[:k]"),
            mistake("beta-ranked", OFF, "np.argsort(np.abs(gamma * beta))[:k]"),
            mistake("ranks-not-places", OFF, "np.argsort(np.argsort(np.abs(gamma)))[:k]"),
            mistake("beta-left", "new_beta[off] = 0", "pass"),
            mistake("gamma-left", "new_gamma[off] = 0", "pass"),
            mistake("channels-removed", PRUNED, "return np.delete(gamma, off), np.delete(beta, off)"),
            mistake("one-threshold-too-far", OFF, "np.abs(gamma) <= np.sort(np.abs(gamma))[min(k, len(gamma) - 1)]"),
        ),
        hints=(
            "Which places hold the k smallest of `np.abs(gamma)`? `np.argsort` gives places, the smallest first.",
            "With gamma 0 a channel still gives its beta. What does it take for a 0?",
            "`off = np.argsort(np.abs(gamma))[:k]`; then set a copy of gamma and a copy of beta to 0 there.",
        ),
        after="A beta that is left is a constant; where nothing is padded, the next layer's bias can take it in.",
    ),
    Task(
        id="norm_parameters",
        chapter="08",
        level="medium",
        solution=norm_parameters,
        returns=("parameters",),
        cases=PARAMETER_CASES,
        mistakes=(
            mistake("every-parameter", LISTED, "list(model.parameters())"),
            mistake(
                "every-parameter",
                LISTED,
                '[one for name, one in model.named_parameters() if name.endswith(("weight", "bias"))]',
            ),
            mistake("one-dimensional-taken", LISTED, "[one for one in model.parameters() if one.ndim == 1]"),
            mistake("found-by-name", LISTED, '[one for name, one in model.named_parameters() if "norm" in name]'),
            mistake("found-by-name", LISTED, '[one for name, one in model.named_parameters() if "bn" in name]'),
            mistake("children-only", "model.modules()", "model.children()"),
            mistake("one-kind-of-norm", "nn.BatchNorm1d | nn.BatchNorm2d", "nn.BatchNorm2d"),
            mistake("one-kind-of-norm", "nn.BatchNorm1d | nn.BatchNorm2d", "nn.BatchNorm1d"),
            mistake("half-of-the-affine", LISTED, "[norm.weight for norm in norms if norm.affine]"),
            mistake("half-of-the-affine", LISTED, "[norm.bias for norm in norms if norm.affine]"),
            mistake(
                "buffers-counted", LISTED, LISTED.replace("norm.parameters()", "[*norm.parameters(), *norm.buffers()]")
            ),
            mistake("not-the-parameters", LISTED, LISTED.replace("norm.parameters()", "norm.state_dict().values()")),
            mistake("not-the-parameters", LISTED, LISTED.replace("[parameter", "[parameter.detach()")),
            mistake("none-in-the-list", LISTED, LISTED.replace("norm.parameters()", "(norm.weight, norm.bias)")),
            mistake(
                "twice-in-the-list",
                "module for module in model.modules()",
                "module for _, module in model.named_modules(remove_duplicate=False)",
            ),
            mistake(
                "norms-left-out",
                LISTED,
                "[one for part in model.modules() if part not in norms for one in part.parameters(recurse=False)]",
            ),
        ),
        hints=(
            "Ask what kind of module a thing is, not what it is called. `model.modules()` goes through all of them.",
            "`isinstance(module, nn.BatchNorm2d)` finds one kind; the parameters of a norm are its `parameters()`.",
        ),
        after="An optimiser with this list leaves all other weights as they are, and they still pass gradients on.",
        trial=try_list,
    ),
    Task(
        id="zero_last_gamma",
        chapter="08",
        level="hard",
        solution=zero_last_gamma,
        returns=("parameters",),
        cases=NETWORK_CASES,
        mistakes=(
            mistake("first-gamma", LAST_GAMMA, "block.branch[1].weight.zero_()"),
            mistake("first-gamma", LAST_GAMMA, f"{IN_THE_BLOCK}[0].weight.zero_()"),
            mistake("second-not-last", "block.branch[-1]", "block.branch[4]"),
            mistake("every-gamma", LAST_GAMMA, of_norms("block.branch")),
            mistake("every-gamma", LAST_GAMMA, of_norms("block.modules()")),
            mistake("every-gamma", LAST_GAMMA, of_norms("network.modules()")),
            mistake("norm-of-the-skip", LAST_GAMMA, f"{IN_THE_BLOCK}[-1].weight.zero_()"),
            mistake("norm-of-the-skip", LAST_GAMMA, LAST_GAMMA + NEXT_LINE + of_norms("block.skip.modules()")),
            mistake("gamma-unchanged", LAST_GAMMA, "block.branch[-1].bias.zero_()"),
            mistake("gamma-unchanged", "zero_()", "mul(0)"),
            mistake("weights-not-gamma", LAST_GAMMA, "block.branch[-2].weight.zero_()"),
            mistake("weights-not-gamma", LAST_GAMMA, LAST_GAMMA + NEXT_LINE + "block.branch[-2].weight.zero_()"),
            mistake(
                "weights-not-gamma",
                LAST_GAMMA,
                "[one.weight.zero_() for one in block.branch if isinstance(one, nn.Conv2d)]",
            ),
            mistake(
                "gamma-frozen", LAST_GAMMA, LAST_GAMMA + NEXT_LINE + "block.branch[-1].weight.requires_grad_(False)"
            ),
            mistake("one-block-alone", "network.blocks:", "network.blocks[-1:]:"),
            mistake("one-block-alone", "network.blocks:", "network.blocks[:1]:"),
            mistake("gamma-nearly-zero", "zero_()", "fill_(0.1)"),
            mistake("mode-not-restored", "with torch.no_grad():", "network.eval()\n    with torch.no_grad():"),
        ),
        hints=(
            "What has the branch to give, so that the block gives relu(skip(x))? Which of its layers has the last say?",
            "A gamma of 0 in front of another layer leaves that layer a constant: nothing before it gets a gradient.",
            "Under `torch.no_grad()`, `block.branch[-1].weight.zero_()` for each block.",
        ),
        after="The last gamma gets a gradient at the first step; the layers before it get theirs from the second on.",
        trial=try_start,
    ),
)
