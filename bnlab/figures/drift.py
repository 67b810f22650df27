"""Where the inputs of a nonlinearity lie in the course of training, and how far they drift."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnlab.experiments.studies.input_drift import Result
from bnlab.figures.style import COLOURS, new_figure

PLACES = {  # label and role of each
    "no_norm": ("without batch norm", "no_norm"),
    "before_norm": ("in front of the norm", "input"),
    "after_norm": ("behind the norm", "batch_norm"),
}
MEASURES = {
    "wander": "range of the median,\nin the sigmoid's units",
    "from_start": "shift of the mean, in\nstds at the start",
    "from_end": "shift of the mean, in\nstds at the end",
}


def input_quantiles(result: Result, rate: int, *, title: str) -> Figure:
    """The distribution of some units' inputs while the network trains, in the manner of the paper's figure 1.

    Args:
        result: the study.
        rate: position of the learning rate to draw.
        title: the finding.

    Returns:
        A row for the arm without a norm, and for the other in front of the norm and behind it; a column for each hidden
        layer. Each unit has a line at its median over the probe batch and a band from its 15th to its 85th percentile.
    """
    layers = result.config.depth
    figure, axes = new_figure(len(PLACES), layers, title=title, height=6.0, sharex=True, sharey=True)
    steps = result.looks()
    for row, (place, (label, role)) in zip(axes, PLACES.items(), strict=True):
        for ax, layer in zip(row, result.quantiles[place][rate], strict=True):  # (looks, quantiles, units)
            for low, middle, high in layer.transpose(2, 1, 0):
                ax.fill_between(steps, low, high, color=COLOURS[role], alpha=0.15, linewidth=0)
                ax.plot(steps, middle, color=COLOURS[role], linewidth=1.5)
        row[0].set_ylabel(label)
    figure.supylabel("value of a unit", fontsize=11)
    for number, ax in enumerate(axes[0], start=1):
        ax.set_title(f"hidden layer {number}")
    for ax in axes[-1]:
        ax.set_xlabel("steps")
    return figure


def drift_by_rate(result: Result, *, title: str) -> Figure:
    """How far the input of the last sigmoids drifted, by learning rate: a dot a seed, a line through the medians.

    Args:
        result: the study.
        title: the finding.

    Returns:
        A panel for each way to measure it, on log scales.
    """
    figure, axes = new_figure(1, len(MEASURES), title=title, height=3.9)
    for ax, (name, label) in zip(axes[0], MEASURES.items(), strict=True):
        for side, place in enumerate(PLACES):
            _by_rate(ax, result, place, getattr(result, name)[place], shift=0.9 + 0.1 * side)
        ax.set(xscale="log", yscale="log", title=label)
        ax.set_xticks(result.config.learning_rates, [f"{rate:g}" for rate in result.config.learning_rates])
        ax.minorticks_off()
        ax.set_xlabel("learning rate (log scale)")
    axes[0, 0].set_ylabel("drift (log scale)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _by_rate(ax: Axes, result: Result, place: str, drift: np.ndarray, *, shift: float) -> None:
    label, role = PLACES[place]
    rates = shift * np.array(result.config.learning_rates)  # side by side, so that no place hides another
    for rate, seeds in zip(rates, drift, strict=True):
        ax.plot([rate] * len(seeds), seeds, "o", color=COLOURS[role], alpha=0.5, markersize=4, markeredgewidth=0)
    ax.plot(rates, np.median(drift, axis=1), color=COLOURS[role], label=label)
