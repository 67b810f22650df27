"""Signals and gradients layer by layer, by the scale of the initial weights."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from bnlab.experiments.studies.signal_propagation import GROWTH_IN_THEORY, Result
from bnlab.figures.learning_rates import LABELS
from bnlab.figures.style import COLOURS, new_figure

ROWS = {"std": "std of the activations", "gradient": "norm of the gradient"}


def signals_by_layer(result: Result, *, title: str) -> Figure:
    """Standard deviation of the activations, and norm of the gradient, by layer and by scale of the initial weights.

    Args:
        result: the study.
        title: the finding.

    Returns:
        A column for each arm; above the activations, below the gradients. A line a scale at the median over the seeds,
        the darker the larger the weights, in a band from the smallest to the largest seed; where lines part, each has
        its scale at the end where they are widest apart. The panels of a row have one axis. A grey band
        through the gradient with batch norm at the last layer has the slope of the theory.
    """
    figure, axes = new_figure(2, len(result.std), title=title, height=5.4, sharex=True, sharey="row")
    for row, (name, label) in zip(axes, ROWS.items(), strict=True):
        for ax, (arm, numbers) in zip(row, getattr(result, name).items(), strict=True):
            _lines(ax, result, arm, numbers)
            _name_scales(ax, result, np.median(numbers, axis=-1))
        row[0].set(yscale="log", ylabel=label)
    for ax, arm in zip(axes[0], result.std, strict=True):
        ax.set_title(LABELS[arm])
    if "batch_norm" in result.gradient:
        _theory(axes[1, list(result.gradient).index("batch_norm")], result.gradient["batch_norm"])
    for ax in axes[1]:
        ax.set(xlabel="hidden layer (1 is next to the input)", xticks=[1, *range(5, result.config.depth + 1, 5)])
        ax.set_xlim(1 - 0.25 * result.config.depth, 1.22 * result.config.depth)  # room for the names
    return figure


def _lines(ax: Axes, result: Result, arm: str, numbers: np.ndarray) -> None:
    layers = np.arange(1, result.config.depth + 1)
    for position, seeds in enumerate(numbers):
        share = 0.35 + 0.65 * position / max(1, len(result.config.scales) - 1)
        colour = _shade(COLOURS[arm], share)
        ax.fill_between(layers, seeds.min(1), seeds.max(1), color=colour, alpha=0.25, linewidth=0)
        ax.plot(layers, np.median(seeds, axis=1), color=colour)


def _theory(ax: Axes, gradient: np.ndarray) -> None:
    layers = np.arange(1, gradient.shape[1] + 1)
    line = np.median(gradient[:, -1]) * GROWTH_IN_THEORY ** (layers[-1] - layers)
    label = f"{GROWTH_IN_THEORY:.3f} times a layer, in theory"
    ax.plot(layers, line, color=COLOURS["other"], linewidth=9, zorder=1, label=label)
    ax.legend(loc="lower left", fontsize=9)


def _name_scales(ax: Axes, result: Result, medians: np.ndarray) -> None:
    logs = np.log10(medians)  # (scales, layers)
    apart = np.ptp(logs, axis=0)
    if apart.max() < 1:  # less than tenfold: one name for all
        middle = medians.shape[1] // 2
        text, at = f"all {len(medians)} scales", (middle + 1, 10 ** logs[:, middle].max())
        ax.annotate(text, at, xytext=(0, 6), textcoords="offset points", ha="center", fontsize=9)
        return
    last = bool(apart[-1] >= apart[0])
    x, side = (medians.shape[1], 6) if last else (1, -6)
    for scale, median in zip(result.config.scales, medians, strict=True):
        ax.annotate(
            f"{scale:g} x He",
            (x, median[-1 if last else 0]),
            xytext=(side, 0),
            textcoords="offset points",
            ha="left" if last else "right",
            va="center",
            fontsize=9,
        )


def _shade(colour: str, share: float) -> tuple[float, float, float]:
    """From near white at a share of 0, by the colour itself at two thirds, to a darker one at 1."""
    rgb = np.array(to_rgb(colour))
    mixed = 1 - (1 - rgb) * share * 1.5 if share < 2 / 3 else rgb * (1 - 1.5 * (share - 2 / 3))
    red, green, blue = (float(value) for value in mixed)
    return red, green, blue
