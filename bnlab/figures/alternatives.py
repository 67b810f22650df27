"""Norms to choose among: what a small batch costs, what a batch's mean is worth, and networks without statistics."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bnlab.experiments.intervals import t_interval
from bnlab.experiments.studies.batch_mean_spread import Result as SpreadResult
from bnlab.experiments.studies.norm_free import Result as NormFreeResult
from bnlab.experiments.studies.small_batches import Result as BatchResult
from bnlab.figures.style import COLOURS, new_figure

ARMS = {  # name, role of the colour, mark; a second arm of a colour is dashed
    "no_norm": ("none", "no_norm", "s"),
    "batch_norm": ("batch norm", "batch_norm", "o"),
    "batch_renorm": ("batch renorm", "input", "D"),
    "layer_norm": ("layer norm", "output", "^"),
    "group_norm": ("group norm", "output", "^"),
    "rms_norm": ("RMS norm", "output", "v"),
    "dynamic_tanh": ("DyT", "averaged", "o"),
    "dynamic_erf": ("Derf", "averaged", "D"),
}
DASHED = {"rms_norm", "dynamic_erf"}
LAYER_COLOURS = ("input", "batch_norm", "averaged")


def error_by_batch_size(panels: Mapping[str, BatchResult], *, title: str) -> Figure:
    """Test error by batch size, for each arm of each study.

    Args:
        panels: the studies, by what a panel is to be called.
        title: the finding.

    Returns:
        A panel for each study with an axis of its own sizes and one scale of errors; a dot a seed, a line through the
        means, dashed the same of batch norm once recalibrated.
    """
    figure, axes = new_figure(1, len(panels), title=title, height=3.9, sharey=True)
    for ax, (name, result) in zip(axes[0], panels.items(), strict=True):
        sizes = np.array(result.config.batch_sizes)
        for place, (arm, accuracies) in enumerate(result.test.items()):
            label, role, mark = ARMS[arm]
            aside = 1.06 ** (place - (len(result.test) - 1) / 2)  # so that the arms' dots do not hide each other
            _errors(ax, sizes * aside, accuracies, COLOURS[role], mark=mark, label=label)
        for accuracies in result.recalibrated.values():
            errors = 100 - 100 * accuracies.mean(1)
            ax.plot(sizes, errors, "--", color=COLOURS["batch_norm"], linewidth=1.5, label="batch norm, recalibrated")
        ax.set(title=name, xlabel="examples in a batch", xscale="log")
        ax.xaxis.set_major_locator(FixedLocator(sizes.tolist()))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:g}"))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.legend(loc="upper right")
    axes[0, 0].set_ylabel("test error, %")
    axes[0, 0].set_ylim(0, 100)
    return figure


def spread_of_means(result: SpreadResult, *, title: str) -> Figure:
    """How far the mean of a batch spreads, by its number of images, beside what as many independent values would give.

    Args:
        result: the study.
        title: the finding.

    Returns:
        One panel, both axes logarithmic: dots for every seed and a line through their means for each layer, squares for
        values dealt out anew, and the dashed line of independence, one over the root of the number of values.
    """
    figure, axes = new_figure(title=title, height=4.4)
    ax = axes[0, 0]
    sizes = np.array(result.config.batch_sizes)
    positions, effective = int(result.positions), result.effective().mean(1)
    for layer in reversed(range(len(result.spread))):
        colour = COLOURS[LAYER_COLOURS[layer % len(LAYER_COLOURS)]]
        label = f"convolution {layer + 1}: an image is worth {effective[layer]:.0f} values"
        ax.plot(sizes, result.spread[layer], "o", color=colour, alpha=0.35, markersize=4, markeredgewidth=0)
        ax.plot(sizes, result.spread[layer].mean(1), color=colour, label=label)
    ax.plot(sizes, result.independent(), "--", color=COLOURS["theory"], label=f"if independent: 1/sqrt({positions}N)")
    ax.plot(sizes, result.shuffled.mean(1), "s", color=COLOURS["theory"], markerfacecolor="white", label="dealt anew")
    ax.set(xscale="log", yscale="log", xlabel="images in a batch, N")
    ax.set_ylabel("standard deviation of the batch's mean,\nin those of a value")
    ax.xaxis.set_major_locator(FixedLocator(sizes.tolist()))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_locator(FixedLocator([0.01, 0.03, 0.1, 0.3]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda spread, _: f"{spread:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylim(bottom=result.spread.min() / 4)  # room for the legend under the lines
    ax.legend(loc="lower left", ncols=2)
    return figure


def norm_free_compared(result: NormFreeResult, *, title: str) -> Figure:
    """Test accuracy of every arm at its best rate, and accuracy in validation at each rate.

    Args:
        result: the study.
        title: the finding.

    Returns:
        Two panels. Left, a row for each arm: a dot a seed, a bar over the 95% interval of the mean. Right, a line
        through the medians over the seeds at each rate, and a mark on the best.
    """
    figure, axes = new_figure(1, 2, title=title, height=3.7)
    left, right = axes[0]
    arms = list(result.test)
    for row, arm in enumerate(arms):
        name, role, mark = ARMS[arm]
        seeds, interval = 100 * result.test[arm], t_interval(100 * result.test[arm])
        left.plot(seeds, _spread_out(row, seeds.size), "o", color=COLOURS[role], alpha=0.4, markersize=4)
        left.plot([interval.low, interval.high], [row, row], color=COLOURS[role], linewidth=3)
        medians = 100 * np.median(result.validation[arm], axis=1)
        right.plot(
            result.config.learning_rates,
            medians,
            marker=mark,
            markersize=4,
            color=COLOURS[role],
            label=name,
            linewidth=1.5,
            linestyle="--" if arm in DASHED else "-",
        )
        best = medians.argmax()
        right.plot(result.config.learning_rates[best], medians[best], mark, color=COLOURS[role], markersize=9)
    left.set_yticks(range(len(arms)), [ARMS[arm][0] for arm in arms])
    left.set(xlabel="test accuracy, %", ylim=(len(arms) - 0.5, -0.5))
    right.set(xlabel="learning rate", ylabel="validation accuracy, %", xscale="log", ylim=(45, 100))
    right.xaxis.set_major_locator(FixedLocator(result.config.learning_rates))
    right.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
    right.xaxis.set_minor_locator(NullLocator())
    right.tick_params(axis="x", labelrotation=45)
    right.legend(loc="lower left", fontsize=9)
    return figure


def _errors(
    ax: Axes,
    sizes: Float[np.ndarray, " sizes"],
    accuracies: Float[np.ndarray, "sizes seeds"],
    colour: str,
    *,
    mark: str,
    label: str,
) -> None:
    errors = 100 - 100 * accuracies
    ax.plot(sizes, errors, mark, color=colour, alpha=0.35, markersize=4, markeredgewidth=0)
    ax.plot(sizes, errors.mean(1), color=colour, marker=mark, markersize=5, label=label)


def _spread_out(middle: int, count: int) -> Float[np.ndarray, " count"]:
    return middle + np.linspace(-0.2, 0.2, count)
