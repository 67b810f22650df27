"""Depth: what a branch adds to its skip, block by block, and how deep a network still trains."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bnlab.experiments.studies.depth import Result as DepthResult
from bnlab.experiments.studies.residual_signal import Result as SignalResult
from bnlab.figures.style import COLOURS, new_figure

SIGNALS = {
    "no_norm": ("no norm", COLOURS["no_norm"]),
    "original": ("batch norm, ReLU behind each sum", COLOURS["input"]),
    "batch_norm": ("batch norm, nothing in the skip's way", COLOURS["batch_norm"]),
}
PLAIN = {
    "plain": ("no norm", COLOURS["no_norm"]),
    "plain_norm": ("batch norm", COLOURS["batch_norm"]),
}
RESIDUAL = {
    "residual": ("no norm", COLOURS["no_norm"]),
    "residual_norm": ("batch norm", COLOURS["batch_norm"]),
    "skip_init": ("no norm, SkipInit", COLOURS["output"]),
}


def branch_by_block(result: SignalResult, *, title: str) -> Figure:
    """The variance of each branch over that of the sum it joins, by block, in untrained residual networks.

    Args:
        result: the study.
        title: the finding.

    Returns:
        One panel with two logarithmic axes: for each arm a line through the medians of the seeds, in a band from the
        smallest to the largest, and the line 1/l.
    """
    figure, axes = new_figure(title=title, height=4.0)
    ax, blocks = axes.item(), np.arange(1, result.config.blocks + 1)
    ax.set(xscale="log", yscale="log")
    for arm, (label, colour) in SIGNALS.items():
        ratio = result.ratio(arm)
        ax.fill_between(blocks, ratio.min(1), ratio.max(1), color=colour, alpha=0.25, linewidth=0)
        ax.plot(blocks, np.median(ratio, axis=1), color=colour, label=label)
    ax.plot(blocks, 1 / blocks, color=COLOURS["theory"], linestyle="--", linewidth=1.2, label="1 / l")
    ticks = [2**power for power in range(int(np.log2(blocks[-1])) + 1)]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.minorticks_off()
    ax.set(xlabel="block l (log scale)", ylabel="variance of branch / skip (log scale)")
    ax.legend(loc="lower left", fontsize=9)
    return figure


def accuracy_by_depth(result: DepthResult, *, title: str) -> Figure:
    """Training accuracy by depth, of plain networks and of residual ones, each at its best rate at each depth.

    Args:
        result: the study.
        title: the finding.

    Returns:
        Two panels, plain left and residual right: a dot a seed, a line through the medians of each arm.
    """
    figure, axes = new_figure(1, 2, title=title, height=3.9, sharey=True)
    for ax, arms, name in zip(axes[0], (PLAIN, RESIDUAL), ("plain", "residual"), strict=True):
        for side, (arm, (label, colour)) in enumerate(arms.items()):
            depths, accuracy = result.config.depths_of(arm), 100 * result.train[arm]
            apart = 0.04 * len(depths)  # so that no arm hides another
            x = np.arange(len(depths)) + apart * (side - (len(arms) - 1) / 2)
            for at, seeds in zip(x, accuracy, strict=True):
                ax.plot([at] * seeds.size, seeds, "o", color=colour, alpha=0.5, markersize=4, markeredgewidth=0)
            ax.plot(x, np.median(accuracy, axis=1), color=colour, label=label)
            ax.set_xticks(range(len(depths)), [str(depth) for depth in depths])
            ax.set_xlim(-0.15 * len(depths), len(depths) - 1 + 0.15 * len(depths))
        ax.axhline(10, color=COLOURS["theory"], linestyle=":", linewidth=1)
        ax.grid(visible=False, axis="x")
        ax.set(title=name, xlabel="hidden layers", ylim=(-4, 103))
        ax.legend(loc="lower left", fontsize=9, bbox_to_anchor=(0.0, 0.16))
    axes[0, 0].set_ylabel("training accuracy, %")
    axes[0, 1].annotate("guessing", (0, 10), xytext=(0, -13), textcoords="offset points", ha="center")
    return figure
