"""Training curves with the spread over the seeds."""

import numpy as np
from matplotlib.figure import Figure

from bnlab.experiments.studies.training_curves import Result
from bnlab.figures.learning_rates import LABELS
from bnlab.figures.style import COLOURS, new_figure


def accuracy_by_step(result: Result, *, title: str) -> Figure:
    """Test accuracy in the course of training, each arm at its best rate.

    Args:
        result: the study.
        title: the finding.

    Returns:
        One panel: of each arm every seed as a thin line, a band from the lowest to the highest, and the median.
    """
    figure, axes = new_figure(title=title, height=4.0)
    ax, steps = axes.item(), result.steps()
    for arm, accuracy in result.test.items():
        percent, colour = 100 * accuracy, COLOURS[arm]
        rate = result.config.learning_rates[result.best_rate(arm)]
        ax.fill_between(steps, percent.min(1), percent.max(1), color=colour, alpha=0.18, linewidth=0)
        ax.plot(steps, percent, color=colour, alpha=0.45, linewidth=0.7)
        ax.plot(steps, np.median(percent, axis=1), color=colour, linewidth=2.5, label=f"{LABELS[arm]}, rate {rate:g}")
    ax.axhline(10, color=COLOURS["theory"], linestyle=":", linewidth=1)
    ax.annotate("guessing", (steps[-1], 10), xytext=(0, -12), textcoords="offset points", ha="right")
    ax.set(xlabel="steps", ylabel="test accuracy, %", ylim=(0, 103))
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.1))
    return figure
