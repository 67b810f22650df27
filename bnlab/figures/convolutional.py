"""Small convolutional networks: where the norm stands, and what is left when channels are removed by their gammas."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnlab.experiments.intervals import t_interval
from bnlab.experiments.studies.channel_importance import REMOVED
from bnlab.experiments.studies.channel_importance import Result as ImportanceResult
from bnlab.experiments.studies.small_cnns import Result as SmallResult
from bnlab.figures.style import COLOURS, new_figure

PLACES = {
    "no_norm": ("no norm", COLOURS["no_norm"]),
    "before": ("norm before ReLU", COLOURS["batch_norm"]),
    "after": ("norm after ReLU", COLOURS["input"]),
    "residual": ("no norm", COLOURS["no_norm"]),
    "residual_norm": ("gammas start at 1", COLOURS["batch_norm"]),
    "zero_gamma": ("last gammas start at 0", COLOURS["output"]),
}
RULES = {
    "none": "none",
    "measured": "least\nharm",
    "lowest": "small\ngamma",
    "random": "any",
    "highest": "large\ngamma",
}


def accuracy_by_rate_and_place(result: SmallResult, *, title: str) -> Figure:
    """Validation accuracy by learning rate, and test accuracy at the best rate, of every arm of the study.

    Args:
        result: the study.
        title: the finding.

    Returns:
        Two panels. Left, a dot a seed and a line through the medians of each arm; right, a row for each arm, a dot a
        seed and a bar over the 95% interval of the mean.
    """
    figure, axes = new_figure(1, 2, title=title, height=3.7)
    left, right = axes[0]
    rates, arms = np.array(result.config.learning_rates), result.config.compared
    left.set_xscale("log")
    for side, arm in enumerate(arms):
        label, colour = PLACES[arm]
        x = rates * 1.07 ** (side - (len(arms) - 1) / 2)  # side by side, so that no arm hides another
        accuracy = 100 * result.validation[arm]
        for at, seeds in zip(x, accuracy, strict=True):
            left.plot([at] * seeds.size, seeds, "o", color=colour, alpha=0.5, markersize=4, markeredgewidth=0)
        left.plot(x, np.median(accuracy, axis=1), color=colour, label=label)
        _row(right, side, 100 * result.test[arm], colour)
    left.set_xticks(rates, [f"{rate:g}" for rate in rates])
    left.minorticks_off()
    left.set(xlabel="learning rate (log scale)", ylabel="validation accuracy, %")
    right.set_yticks(range(len(arms)), [PLACES[arm][0] for arm in arms], fontsize=9)
    right.set(xlabel="test accuracy at the best rate, %", ylim=(len(arms) - 0.5, -0.5))
    return figure


def accuracy_without_channels(result: ImportanceResult, *, title: str) -> Figure:
    """Test accuracy after channels were removed by each rule, by how the network was trained.

    Args:
        result: the study.
        title: the finding.

    Returns:
        A panel for each arm, in it a column for each rule: a dot a seed, a bar at the mean.
    """
    figure, axes = new_figure(1, 3, title=title, width=9.0, height=3.7, sharey=True)
    names = {"sgd": "SGD", "adam": "Adam", "adam_penalised": "Adam, L1 penalty on gamma"}
    for ax, arm in zip(axes[0], names, strict=True):
        for column, rule in enumerate(REMOVED):
            colour = COLOURS["batch_norm" if rule in {"lowest", "highest"} else "theory"]
            seeds = 100 * result.accuracy(arm, rule)
            ax.plot(_spread(column, seeds.size), seeds, "o", color=colour, alpha=0.5, markersize=4, markeredgewidth=0)
            ax.plot([column - 0.3, column + 0.3], [seeds.mean()] * 2, color=colour)
        ax.set_xticks(range(len(REMOVED)), [RULES[rule] for rule in REMOVED], fontsize=8)
        ax.grid(visible=False, axis="x")
        ax.set(title=names[arm], ylim=(0, 102))
    axes[0, 0].set_ylabel("test accuracy, %")
    figure.supxlabel(f"{result.config.removed} of {result.config.width} channels removed from each norm", fontsize=11)
    return figure


def _row(ax: Axes, row: int, seeds: Float[np.ndarray, " seeds"], colour: str) -> None:
    interval = t_interval(seeds)
    ax.plot(seeds, _spread(row, seeds.size), "o", color=colour, alpha=0.4, markersize=4, markeredgewidth=0)
    ax.plot([interval.low, interval.high], [row, row], color=colour, linewidth=3)
    ax.plot([interval.estimate], [row], "|", color="white", markersize=8, markeredgewidth=2)


def _spread(middle: int, count: int) -> Float[np.ndarray, " count"]:
    """Places around the middle, so that dots do not hide each other."""
    return middle + np.linspace(-0.2, 0.2, count)
