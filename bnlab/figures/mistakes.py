"""What the wrong mode does to one answer, and what unmixed batches do to a network."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from bnlab.experiments.intervals import t_interval
from bnlab.experiments.studies.sorted_batches import Result as SortedResult
from bnlab.figures.style import COLOURS, new_figure

ARMS = {  # name, role of the colour
    "no_norm": ("no norm", "no_norm"),
    "batch_norm": ("batch norm", "batch_norm"),
    "layer_norm": ("layer norm", "output"),
}


def answers_by_company(answers: Mapping[str, Float[np.ndarray, " batches"]], *, truth: float, title: str) -> Figure:
    """The probability that a network in training mode gives one image's true class, in batch after batch.

    Args:
        answers: for each kind of company, the probability in every batch.
        truth: the probability in evaluation mode, whatever the company.
        title: the finding.

    Returns:
        A row for each kind of company, a dot a batch, and a vertical line at `truth`.
    """
    figure, axes = new_figure(title=title, height=1.5 + 0.6 * len(answers))
    ax = axes[0, 0]
    for row, probabilities in enumerate(answers.values()):
        rows = row + np.linspace(-0.3, 0.3, len(probabilities))
        ax.plot(probabilities, rows, "o", color=COLOURS["batch_norm"], alpha=0.5, markersize=4)
    ax.axvline(truth, color=COLOURS["theory"], linestyle="--", label="evaluation mode, any company")
    ax.set_yticks(range(len(answers)), list(answers))
    ax.set(xlim=(-0.03, 1.03), ylim=(len(answers) - 0.5, -0.5))
    ax.set_xlabel("probability of the true class (dots: training mode, one for each batch)")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    return figure


def accuracy_by_classes(result: SortedResult, *, title: str) -> Figure:
    """Test accuracy by how many classes a training batch held.

    Args:
        result: the study.
        title: the finding.

    Returns:
        A group of columns for each number of classes: a dot a seed, and a bar over the 95% interval of the mean.
    """
    figure, axes = new_figure(title=title, height=3.4)
    ax = axes[0, 0]
    for place, (arm, (name, role)) in enumerate(ARMS.items()):
        for group, accuracies in enumerate(100 * result.test[arm]):
            x = group + (place - 1) / 4
            interval = t_interval(accuracies)
            spread = x + np.linspace(-0.07, 0.07, accuracies.size)
            ax.plot(spread, accuracies, "o", color=COLOURS[role], alpha=0.4, markersize=4)
            ax.plot([x, x], [interval.low, interval.high], color=COLOURS[role], linewidth=3)
        ax.plot([], [], "o", color=COLOURS[role], label=name)
    ax.set_xticks(range(len(result.config.classes)), [str(count) for count in result.config.classes])
    ax.axhline(10, color=COLOURS["theory"], linestyle="--", linewidth=1, label="guessing")
    ax.set(xlabel="classes in each training batch", ylabel="test accuracy, %", ylim=(0, 100))
    ax.legend(loc="lower right")
    return figure
