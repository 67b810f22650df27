"""Accuracy against learning rate, with and without batch normalisation."""

import numpy as np
from matplotlib.figure import Figure

from bnlab.experiments.studies.learning_rate_tolerance import Result
from bnlab.figures.style import COLOURS, new_figure

LABELS = {"no_norm": "without batch norm", "batch_norm": "with batch norm"}


def learning_rate_sweep(result: Result, *, title: str) -> Figure:
    """Validation accuracy against learning rate: a dot a seed, a line through medians, a cross where one diverged."""
    figure, axes = new_figure(title=title)
    ax = axes.item()
    rates = result.config.learning_rates
    ax.set_xscale("log")
    for side, arm in enumerate(result.validation):
        accuracy, diverged = 100 * result.validation[arm], result.diverged[arm]
        for rate, seeds, lost in zip(rates, accuracy, diverged, strict=True):
            x = rate * (0.94, 1.06)[side]  # side by side, so that neither arm hides the other
            ax.plot([x] * (~lost).sum(), seeds[~lost], "o", color=COLOURS[arm], alpha=0.6, markersize=5)
            ax.plot([x] * lost.sum(), seeds[lost], "x", color=COLOURS[arm], markersize=6)
        middle = np.median(accuracy, axis=1)
        ax.plot([rate * (0.94, 1.06)[side] for rate in rates], middle, color=COLOURS[arm], label=LABELS[arm])
    ax.axhline(10, color=COLOURS["theory"], linestyle=":", linewidth=1)
    ax.annotate("guessing", (rates[0], 10), xytext=(0, 4), textcoords="offset points", color=COLOURS["theory"])
    ax.set_xticks(rates, [f"{rate:g}" for rate in rates])
    ax.minorticks_off()
    ax.set(xlabel="learning rate (log scale)", ylabel="validation accuracy, %", ylim=(-4, 103))
    ax.legend(loc="center left")
    return figure
