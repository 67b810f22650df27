"""Covariate shift in its two meanings, beside what the networks that have it are worth; and smoothness in two."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from bnlab.experiments.studies.landscape import KEPT
from bnlab.experiments.studies.landscape import Result as LandscapeResult
from bnlab.experiments.studies.noisy_norm import Result
from bnlab.figures.style import COLOURS, new_figure

ROLES = ("batch_norm", "output", "averaged", "input")  # of the strengths of noise behind the norm, none first
OVER_TRAINING = {
    "drift": "drift in a step, stds",
    "distance": "change of the gradient\nby the layers below",
    "loss": "loss of the probe, nats",
}
LANDSCAPES = {  # label, colour and line of each; the last lies on the second wherever the scale does not matter
    "no_norm": ("no norm", COLOURS["no_norm"], "-"),
    "batch_norm": ("batch norm", COLOURS["batch_norm"], "-"),
    "rescaled": ("the same, weights before norms times {factor:g}", COLOURS["output"], "--"),
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
        median = (np.median(drift), np.median(accuracy))
        (cross,) = ax.plot(*median, "+", color=COLOURS["theory"], markersize=13, zorder=4)
    cross.set_label("median of an arm")  # one entry of the legend for all
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


def landscape_over_training(result: LandscapeResult, *, title: str) -> Figure:
    """What steps along the negative gradient find in the course of training, by the measures that have a unit.

    Args:
        result: the study.
        title: the finding.

    Returns:
        Panels with logarithmic axes for the range of the loss, the largest change of the gradient and the effective
        smoothness: a line an arm through the medians of the seeds in a band from the smallest to the largest.
    """
    figure, axes = new_figure(1, 3, title=title, width=10.0, height=4.2)
    panels = {
        "range of the loss, nats": result.loss_range,
        "largest change\nof the gradient": result.gradient_change,
        "effective smoothness:\nthat change / distance": result.smoothness,
    }
    for ax, (label, measure) in zip(axes[0], panels.items(), strict=True):
        for arm in LANDSCAPES:
            _landscape(ax, result, arm, result.looks(), measure(arm))
        ax.set(title=label, xlabel="steps of training", yscale="log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_minor_locator(NullLocator())
    _name_landscapes(figure, axes[0, 0])
    return figure


def scale_free_steps(result: LandscapeResult, *, title: str) -> Figure:
    """How far the gradient can be trusted, by steps that move each weight matrix by the same share of its norm.

    Args:
        result: the study.
        title: the finding.

    Returns:
        Panels for the share of the predicted decrease that comes and the relative change of the gradient, by the share
        of the step, in the median over training; and for the share at which half comes, in its course. A line an arm
        through the medians of the seeds in a band from the smallest to the largest. In the first panel a dotted line
        stands at one half; what lies below -1 is cut off.
    """
    figure, axes = new_figure(1, 3, title=title, width=10.0, height=4.2)
    shares = 100 * np.array(result.config.shares)
    kept, change, reach = axes[0]
    for arm in LANDSCAPES:
        _landscape(kept, result, arm, shares, np.median(result.kept(arm), axis=0))
        _landscape(change, result, arm, shares, np.median(result.change_at_share[arm], axis=0))
        _landscape(reach, result, arm, result.looks(), 100 * result.reach(arm))
    kept.axhline(KEPT, color=COLOURS["theory"], linestyle=":", linewidth=1.2)
    kept.set(title="decrease of the loss,\nactual / predicted", xscale="log", ylim=(-1, 1.05))
    change.set(title="change of the gradient,\nrelative to its size", xscale="log", yscale="log")
    reach.set(title="step at which half of the\nprediction comes, %", xlabel="steps of training", ylim=(0, None))
    for ax in (kept, change):
        ax.set_xlabel("step, % of each matrix's norm")
        ax.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
    _name_landscapes(figure, kept)
    return figure


def _landscape(ax: Axes, result: LandscapeResult, arm: str, x: np.ndarray, seeds: np.ndarray) -> None:
    label, colour, line = LANDSCAPES[arm]
    ax.fill_between(x, seeds.min(1), seeds.max(1), color=colour, alpha=0.2, linewidth=0)
    ax.plot(x, np.median(seeds, axis=1), line, color=colour, label=label.format(factor=result.config.factor))


def _name_landscapes(figure: Figure, ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))


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
