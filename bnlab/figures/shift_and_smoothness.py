"""Covariate shift in its two meanings, beside what the networks that have it are worth."""

import numpy as np
from matplotlib.figure import Figure

from bnlab.experiments.studies.noisy_norm import Result
from bnlab.figures.style import COLOURS, new_figure

ROLES = ("batch_norm", "output", "averaged", "input")  # of the strengths of noise behind the norm, none first
OVER_TRAINING = {
    "drift": "drift in a step, stds",
    "distance": "change of the gradient\nby the layers below",
    "loss": "loss of the probe, nats",
}


def drift_and_accuracy(result: Result, *, title: str) -> Figure:
    """Test accuracy against the drift of the last ReLU's inputs from step to step, each arm at its best rate.

    Args:
        result: the study.
        title: the finding.

    Returns:
        A dot a seed, and a cross at each arm's medians; the drift on a log scale.
    """
    figure, axes = new_figure(title=title, height=4.4)
    ax = axes[0, 0]
    for arm, (label, colour, marker) in _arms(result).items():
        drift, accuracy = result.over_training("drift", arm, result.best_rate(arm)), 100 * result.test[arm]
        ax.plot(drift, accuracy, marker, color=colour, alpha=0.6, markersize=6, markeredgewidth=0, label=label)
        ax.plot(np.median(drift), np.median(accuracy), "+", color=COLOURS["theory"], markersize=13, zorder=4)
    ax.set(
        xscale="log",
        xlabel="drift of a unit's mean in a step, in its standard deviations (log scale)",
        ylabel="test accuracy, %",
    )
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def shifts_over_training(result: Result, rate: int, *, title: str) -> Figure:
    """Both shifts and the loss in the course of training, at one rate for all arms.

    Args:
        result: the study.
        rate: position of the learning rate to draw.
        title: the finding.

    Returns:
        A panel for each: a line an arm through the medians of the seeds in a band from the smallest to the largest; no
        line where a seed diverged. The shifts are on log scales.
    """
    figure, axes = new_figure(1, len(OVER_TRAINING), title=title, width=10.0, height=4.4)
    for ax, (name, label) in zip(axes[0], OVER_TRAINING.items(), strict=True):
        for arm, (text, colour, marker) in _arms(result).items():
            seeds = getattr(result, name)[arm][:, rate]
            ax.fill_between(result.looks(), seeds.min(1), seeds.max(1), color=colour, alpha=0.2, linewidth=0)
            ax.plot(result.looks(), np.median(seeds, axis=1), marker, linestyle="-", color=colour, label=text)
        ax.set(title=label, xlabel="steps", yscale="linear" if name == "loss" else "log")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _arms(result: Result) -> dict[str, tuple[str, str, str]]:
    """Label, colour and marker of each arm."""
    roles, drawn = iter(ROLES), {}
    for arm, (norm, strength) in result.config.arms().items():
        noise = f" + noise {strength:g}" if strength else ""
        if norm is None:
            drawn[arm] = (f"no norm{noise}", COLOURS["wrong" if strength else "no_norm"], "D")
        else:
            drawn[arm] = (f"batch norm{noise}", COLOURS[next(roles)], "o")
    return drawn
