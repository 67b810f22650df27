"""On the way out of training: shifted images served by several statistics, and the path between two networks."""

from types import MappingProxyType

import numpy as np
from matplotlib.figure import Figure

from bnlab.experiments.studies.served_shift import Result as ServedResult
from bnlab.experiments.studies.weight_averaging import Result as AverageResult
from bnlab.figures.style import COLOURS, new_figure

STATISTICS = MappingProxyType(  # field of the result -> label, role of the colour, mark
    {
        "stored": ("stored in training", "theory", "s"),
        "by_batch": ("each mixed batch's own", "batch_norm", "o"),
        "adapted": ("all the shifted images'", "output", "^"),
        "by_class": ("each batch's own, sorted by class", "wrong", "v"),
    }
)
PATHS = MappingProxyType(  # field of the result -> label, role of the colour, line
    {
        "exact": ("statistics taken anew", "batch_norm", "-"),
        "averaged": ("statistics averaged too", "wrong", "--"),
    }
)
KINDS = MappingProxyType({"independent": "two starts", "forked": "one start, then a fork"})


def accuracy_by_shift(result: ServedResult, *, title: str) -> Figure:
    """Test accuracy on images changed in several ways, by whose statistics serve.

    Args:
        result: the study.
        title: the finding.

    Returns:
        A group of rows for each change, a row for each kind of statistics: a faint mark for each seed, a full one at
        the mean.
    """
    figure, axes = new_figure(title=title, height=4.6)
    ax = axes[0, 0]
    for row, (kind, (label, role, mark)) in enumerate(STATISTICS.items()):
        aside = 0.18 * (row - (len(STATISTICS) - 1) / 2)
        for place, accuracies in enumerate(getattr(result, kind).values()):
            ys = np.full(accuracies.size, place + aside)
            ax.plot(100 * accuracies, ys, mark, color=COLOURS[role], alpha=0.25, markersize=4, markeredgewidth=0)
        means = [100 * accuracies.mean() for accuracies in getattr(result, kind).values()]
        ax.plot(means, np.arange(len(means)) + aside, mark, color=COLOURS[role], markersize=7, label=label)
    shifts = list(result.stored)
    ax.set_yticks(range(len(shifts)), shifts)
    ax.set(xlabel="test accuracy, %", xlim=(0, 100), ylim=(len(shifts) - 0.5, -0.5))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    return figure


def accuracy_along_path(result: AverageResult, *, title: str) -> Figure:
    """Test accuracy on the straight line between the weights of two networks, before and after new statistics.

    Args:
        result: the study.
        title: the finding.

    Returns:
        A panel for two networks from two starts and one for a fork, on one scale: a dot a seed, lines through the
        means.
    """
    figure, axes = new_figure(1, len(KINDS), title=title, height=3.8, sharey=True)
    places = np.array(result.config.places())
    for ax, (kind, name) in zip(axes[0], KINDS.items(), strict=True):
        for field, (label, role, line) in PATHS.items():
            accuracies = 100 * getattr(result, field)[kind]
            ax.plot(places, accuracies, "o", color=COLOURS[role], alpha=0.35, markersize=4, markeredgewidth=0)
            ax.plot(places, accuracies.mean(1), line, color=COLOURS[role], label=label)
        ax.set(title=name, xlabel="share of the way from one to the other", xticks=places, ylim=(0, 100))
    axes[0, 0].set_ylabel("test accuracy, %")
    axes[0, 1].legend(loc="lower center")
    return figure
