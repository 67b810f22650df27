"""Accuracy against a learning rate that is raised on one group of parameters only."""

import numpy as np
from matplotlib.figure import Figure

from bnlab.experiments.studies.rate_by_group import Result
from bnlab.figures.style import COLOURS, new_figure

LINES = {  # role, marker and label of each group
    "hidden": ("batch_norm", "o", "weights before a norm"),
    "head": ("output", "s", "the head"),
    "gamma_beta": ("averaged", "^", "gamma and beta"),
    "all_but_hidden": ("wrong", "v", "head, gamma and beta"),
    "hidden_no_norm": ("no_norm", "D", "the same weights, no norm"),
}


def rate_by_group(result: Result, *, title: str) -> Figure:
    """Validation accuracy against the raised rate: a mark a seed, a line through medians, 0 where training diverged.

    Args:
        result: the study.
        title: the finding.

    Returns:
        One panel, its learning rate logarithmic.
    """
    figure, axes = new_figure(title=title, height=4.4)
    ax = axes.item()
    rates = np.array(result.config.learning_rates)
    ax.set_xscale("log")
    for place, (group, (role, marker, label)) in enumerate(LINES.items()):
        x = rates * (0.78, 0.88, 1.0, 1.13, 1.28)[place]  # side by side, so that none hides another
        accuracy = 100 * result.validation[group]
        for seeds in accuracy.T:
            ax.plot(x, seeds, marker, color=COLOURS[role], alpha=0.5, markersize=4, markeredgewidth=0)
        ax.plot(x, np.median(accuracy, axis=1), color=COLOURS[role], marker=marker, markersize=6, label=label)
    ax.axhline(10, color=COLOURS["theory"], linestyle=":", linewidth=1)
    ax.annotate("guessing", (rates[0], 10), xytext=(0, 4), textcoords="offset points", color=COLOURS["theory"])
    ax.set_xticks(rates, [f"{rate:g}" for rate in rates])
    ax.minorticks_off()
    ax.set(
        xlabel=f"learning rate of one group; everything else keeps {result.config.base_rate:g} (log scale)",
        ylabel="validation accuracy, %",
        ylim=(-4, 103),
    )
    figure.legend(loc="outside lower center", ncols=3, title="raised on")
    return figure
