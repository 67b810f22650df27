"""The noise of batch statistics, and batch norm beside dropout and weight decay."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from bnlab.experiments.intervals import t_interval
from bnlab.experiments.studies.batch_noise import NO_NORM
from bnlab.experiments.studies.batch_noise import Result as NoiseResult
from bnlab.experiments.studies.regularisers import Result as RegularisersResult
from bnlab.figures.style import COLOURS, new_figure

NAMES = {
    "no_norm": "none",
    "no_norm_dropout": "dropout",
    "batch_norm": "batch norm",
    "last_dropout": "batch norm + dropout",
    "decay": "batch norm + decay",
    "decay_of_fed": "... of weights before a norm",
    "decay_of_rest": "... of all the others",
}


def noise_by_ghost_size(result: NoiseResult, *, title: str) -> Figure:
    """Loss on training and test examples, and test accuracy, by the number of examples that share their statistics.

    Args:
        result: the study.
        title: the finding.

    Returns:
        Two panels with a column for each ghost size, from the largest to the smallest, so that noise grows to the
        right, behind one for the network without norm. A dot a seed, a line through the means of the ghost sizes.
    """
    figure, axes = new_figure(1, 2, title=title, height=3.9)
    left, right = axes[0]
    arms = [NO_NORM, *(str(size) for size in sorted(result.config.ghost_sizes, reverse=True))]
    for arms_values, colour, label in (
        (result.test_loss, COLOURS["batch_norm"], "test"),
        (result.train_loss, COLOURS["input"], "training"),
    ):
        _columns(left, [arms_values[arm] for arm in arms], colour, label)
    _columns(right, [100 * result.test[arm] for arm in arms], COLOURS["batch_norm"], "test")
    left.set(ylabel="mean cross-entropy, nats", ylim=(-0.15, None))
    left.legend(loc="upper right")
    right.set(ylabel="test accuracy, %")
    for ax in (left, right):
        ax.set_xticks(range(len(arms)), ["no\nnorm", *arms[1:]])
        ax.grid(visible=False, axis="x")
    figure.supxlabel(f"examples that share statistics, in batches of {result.config.batch_size}", fontsize=11)
    return figure


def regularisers_compared(result: RegularisersResult, *, title: str) -> Figure:
    """Test accuracy, and loss on training and test examples, of every arm of the study.

    Args:
        result: the study.
        title: the finding.

    Returns:
        Two panels with a row for each arm. Left, a dot a seed, a bar over the 95% interval of the mean. Right, open
        dots for the training loss and filled ones for the test loss.
    """
    figure, axes = new_figure(1, 2, title=title, height=3.4, sharey=True)
    left, right = axes[0]
    arms = list(result.test)
    for row, arm in enumerate(arms):
        colour = COLOURS["no_norm" if arm.startswith("no_norm") else "batch_norm"]
        _row(left, row, 100 * result.test[arm], colour)
        for losses, face in ((result.train_loss[arm], "white"), (result.test_loss[arm], colour)):
            right.plot(
                losses, _spread(row, losses.size), "o", color=colour, markerfacecolor=face, markersize=4, alpha=0.7
            )
    left.set_yticks(range(len(arms)), [NAMES[arm] for arm in arms], fontsize=9)
    left.set(xlabel="test accuracy, %", ylim=(len(arms) - 0.5, -0.5))
    right.set(xlabel="cross-entropy, nats (open: training)", xlim=(0, None))
    return figure


def effective_rates(result: RegularisersResult, *, title: str) -> Figure:
    """Squared norm of the weights before a norm, and their effective learning rate, over training, by weight decay.

    Args:
        result: the study.
        title: the finding.

    Returns:
        Two panels with a line at the mean of each arm in a band from the smallest to the largest seed.
    """
    figure, axes = new_figure(1, 2, title=title)
    config, steps = result.config, np.array(result.config.looks())
    drawn = {
        "batch_norm": ("no decay", COLOURS["theory"]),
        "decay": (f"decay {config.decay:g}", COLOURS["batch_norm"]),
    }
    for ax, numbers in zip(axes[0], (result.squared_norm.__getitem__, result.effective_rate), strict=True):
        for arm, (label, colour) in drawn.items():
            seeds = numbers(arm)
            ax.fill_between(steps, seeds.min(1), seeds.max(1), color=colour, alpha=0.25, linewidth=0)
            ax.plot(steps, seeds.mean(1), color=colour, label=label)
        ax.set(xlabel="step", yscale="log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.minorticks_off()
    axes[0, 0].set_ylabel("squared norm of a unit's weights")
    start = result.effective_rate("batch_norm")[0].mean()
    axes[0, 1].set(ylabel="rate / squared norm", ylim=(start / 50, None))  # the schedule ends at 0
    axes[0, 0].legend(loc="center right")
    return figure


def _columns(ax: Axes, values: list[Float[np.ndarray, " seeds"]], colour: str, label: str) -> None:
    """Seeds and mean of each column; the first, without norm, beside the line that joins the others."""
    for column, seeds in enumerate(values):
        ax.plot(_spread(column, seeds.size), seeds, "o", color=colour, alpha=0.55, markersize=4, markeredgewidth=0)
        ax.plot([column - 0.25, column + 0.25], [seeds.mean()] * 2, color=colour)
    means = [seeds.mean() for seeds in values]
    ax.plot(range(1, len(means)), means[1:], color=colour, linewidth=1, label=label)


def _row(ax: Axes, row: int, seeds: Float[np.ndarray, " seeds"], colour: str) -> None:
    interval = t_interval(seeds)
    ax.plot(seeds, _spread(row, seeds.size), "o", color=colour, alpha=0.4, markersize=4, markeredgewidth=0)
    ax.plot([interval.low, interval.high], [row, row], color=colour, linewidth=3)
    ax.plot([interval.estimate], [row], "|", color="white", markersize=8, markeredgewidth=2)


def _spread(middle: int, count: int) -> Float[np.ndarray, " count"]:
    """Places around the middle, so that dots do not hide each other."""
    return middle + np.linspace(-0.2, 0.2, count)
