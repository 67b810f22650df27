"""What running statistics cost in evaluation, by how long the network has trained and by momentum."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnlab.experiments.studies.running_statistics import Result
from bnlab.figures.style import COLOURS, new_figure


def evaluation_by_momentum(result: Result, rate: int, *, title: str) -> Figure:
    """Test accuracy by momentum, one panel a step: a dot a seed, a bar at the mean, the recalibrated mean as a line.

    Args:
        result: the study.
        rate: position of the learning rate to draw.
        title: the finding.

    Returns:
        One panel for each step; a column for each momentum, as stored beside without its start; last, recalibrated.
    """
    config = result.config
    figure, axes = new_figure(1, len(config.steps), title=title, height=4.0, sharey=True)
    columns = [*(f"{momentum:g}" for momentum in config.momenta), "recalibrated"]
    for panel, ax in enumerate(axes[0]):
        ceiling = result.recalibrated[rate, panel]
        ax.axhline(100 * ceiling.mean(), color=COLOURS["output"], linestyle="--", linewidth=1.2)
        for column, seeds in enumerate(result.running[rate, panel]):
            _seeds(ax, column - 0.22, seeds, "batch_norm", "running statistics")
        for column, seeds in enumerate(result.corrected[rate, panel]):
            _seeds(ax, column + 0.22, seeds, "averaged", "without their start")
        _seeds(ax, len(columns) - 1, ceiling, "output", "recalibrated")
        ax.set_xticks(range(len(columns)), columns, rotation=35, ha="right", rotation_mode="anchor")
        ax.grid(visible=False, axis="x")
        ax.set_title(f"after {config.steps[panel]:,} steps")
    axes[0, 0].set_ylabel("test accuracy, %")
    handles, labels = axes[0, -1].get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    axes[0, -1].legend(by_label.values(), by_label.keys(), loc="lower right", fontsize=9)
    figure.supxlabel("momentum of the running statistics (weight of the new batch)", fontsize=11)
    return figure


def _seeds(ax: Axes, x: float, accuracy: np.ndarray, role: str, label: str) -> None:
    spread = x + np.linspace(-0.15, 0.15, accuracy.size)  # so that dots do not hide each other
    ax.plot(spread, 100 * accuracy, "o", color=COLOURS[role], alpha=0.55, markersize=3.5, markeredgewidth=0)
    ax.plot([x - 0.19, x + 0.19], [100 * accuracy.mean()] * 2, color=COLOURS[role], label=label)
