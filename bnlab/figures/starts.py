"""Accuracy against the scale of the initial weights, with and without batch normalisation."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnlab.experiments.studies.init_sensitivity import Result
from bnlab.figures.learning_rates import LABELS
from bnlab.figures.style import COLOURS, new_figure

SIDES = {"no_norm": 0.95, "batch_norm": 1.05}  # the arms stand side by side, so that neither hides the other


def accuracy_by_scale(result: Result, *, title: str) -> Figure:
    """Test accuracy against the scale of the start: a dot a seed, a line through medians, each arm at its best rates.

    Args:
        result: the study.
        title: the finding.

    Returns:
        One panel: a solid line for each arm at its best rate for each scale, and a dashed one for batch norm at the
        common rate.
    """
    figure, axes = new_figure(title=title)
    ax, config = axes.item(), result.config
    scales = np.array(config.scales)
    ax.set_xscale("log")
    for arm, tested in result.test.items():
        x = scales * SIDES[arm]
        _seeds(ax, x, tested, arm, label=f"{LABELS[arm]}, best rate for each scale", linestyle="-", marker="o")
    label = f"{LABELS['batch_norm']}, rate {config.common_rate:g}"
    common = result.test_at_common_rate["batch_norm"]
    _seeds(ax, scales * SIDES["batch_norm"] ** 3, common, "batch_norm", label=label, linestyle="--", marker="^")
    ax.axhline(10, color=COLOURS["theory"], linestyle=":", linewidth=1)
    ax.annotate("guessing", (scales[-1], 10), xytext=(0, 4), textcoords="offset points", ha="right")
    ax.set_xticks(scales, [f"{scale:g}" for scale in scales])
    ax.minorticks_off()
    ax.set(xlabel="initial weights, in multiples of He et al.'s (log scale)", ylabel="test accuracy, %", ylim=(-4, 103))
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.16), fontsize=9)
    return figure


def _seeds(
    ax: Axes,
    x: Float[np.ndarray, " scales"],
    accuracy: Float[np.ndarray, "scales seeds"],
    arm: str,
    *,
    label: str,
    linestyle: str,
    marker: str,
) -> None:
    for at, seeds in zip(x, 100 * accuracy, strict=True):
        ax.plot([at] * seeds.size, seeds, marker, color=COLOURS[arm], alpha=0.5, markersize=4, markeredgewidth=0)
    ax.plot(x, np.median(100 * accuracy, axis=1), color=COLOURS[arm], linestyle=linestyle, label=label)
