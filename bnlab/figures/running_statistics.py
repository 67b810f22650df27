"""What running statistics cost in evaluation, by how long the network has trained and by momentum."""

import numpy as np
from matplotlib.figure import Figure

from bnlab.experiments.running_statistics import Result
from bnlab.figures.style import COLOURS, new_figure


def evaluation_by_momentum(result: Result, rate: int, *, title: str) -> Figure:
    """Test accuracy by momentum, one panel a step: a dot a seed, a bar at the mean, the recalibrated mean as a line.

    Args:
        result: the study.
        rate: position of the learning rate to draw.
        title: the finding.

    Returns:
        One panel for each step; the last column of each is the recalibrated network.
    """
    config = result.config
    figure, axes = new_figure(1, len(config.steps), title=title, sharey=True)
    columns = [*(f"{momentum:g}" for momentum in config.momenta), "recalibrated"]
    jitter = np.linspace(-0.22, 0.22, len(config.seeds))  # seed by seed, so that a column's dots do not hide each other
    for ax, step, running, ceiling in zip(
        axes[0], config.steps, result.running[rate], result.recalibrated[rate], strict=True
    ):
        ax.axhline(100 * ceiling.mean(), color=COLOURS["output"], linestyle="--", linewidth=1.2)
        for column, seeds in enumerate((*running, ceiling)):
            colour = COLOURS["output" if column == len(running) else "batch_norm"]
            ax.plot(column + jitter, 100 * seeds, "o", color=colour, alpha=0.55, markersize=4, markeredgewidth=0)
            ax.plot([column - 0.32, column + 0.32], [100 * seeds.mean()] * 2, color=colour)
        ax.set_xticks(range(len(columns)), columns, rotation=35)
        ax.grid(visible=False, axis="x")
        ax.set_title(f"after {step:,} steps")
    axes[0, 0].set_ylabel("test accuracy, %")
    figure.supxlabel("momentum of the running statistics (weight of the new batch)", fontsize=11)
    return figure
