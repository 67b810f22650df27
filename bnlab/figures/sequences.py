"""Norms in networks that read sequences: gradients through time, accuracy by rate, a transformer with five norms."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnlab.experiments.intervals import t_interval
from bnlab.experiments.studies.recurrent_norm import Result as RecurrentResult
from bnlab.experiments.studies.transformer_norms import Result as TransformerResult
from bnlab.figures.style import COLOURS, new_figure

RECURRENT = {  # arm -> what it is called, and its colour
    "no_norm": ("no norm", COLOURS["no_norm"]),
    "forget_two": ("no norm, forget bias from 2", COLOURS["averaged"]),
    "batch_norm": ("batch norm, gamma from 0.1", COLOURS["batch_norm"]),
    "gamma_one": ("batch norm, gamma from 1", COLOURS["input"]),
}
TRANSFORMER = {
    "layer_norm": ("layer norm", COLOURS["output"]),
    "rms_norm": ("RMS norm", COLOURS["output"]),
    "batch_norm": ("batch norm, all steps", COLOURS["batch_norm"]),
    "batch_norm_real": ("... real steps", COLOURS["batch_norm"]),
    "batch_norm_one": ("... one sequence", COLOURS["batch_norm"]),
}


def gradients_through_time(results: dict[str, RecurrentResult], *, title: str) -> Figure:
    """Norm of the loss's gradient with respect to the hidden state behind each step, before training.

    Args:
        results: the studies by the names of their data, a panel each.
        title: the finding.

    Returns:
        Panels with steps to the right, so that the gradient travels from right to left. A line an arm at the median
        over the seeds, in a band from the smallest to the largest.
    """
    figure, axes = new_figure(1, len(results), title=title, sharey=True)
    for ax, (name, result) in zip(axes[0], results.items(), strict=True):
        for arm, (label, colour) in RECURRENT.items():
            seeds = result.gradient[arm]
            steps = np.arange(1, len(seeds) + 1)
            ax.fill_between(steps, seeds.min(1), seeds.max(1), color=colour, alpha=0.25, linewidth=0)
            ax.plot(steps, np.median(seeds, axis=1), color=colour, label=label)
        ax.set(xlabel="step", yscale="log")
        ax.set_title(name)
        ax.minorticks_off()
    axes[0, 0].set_ylabel("norm of the gradient (log scale)")
    axes[0, -1].legend(loc="lower right", fontsize=9)
    return figure


def recurrent_by_rate(results: dict[str, RecurrentResult], *, title: str) -> Figure:
    """Validation accuracy of an LSTM against the learning rate, without batch norm and with it.

    Args:
        results: the studies by the names of their data, a panel each.
        title: the finding.

    Returns:
        Panels with a dot a seed and a line through the medians; a ring round each arm's best rate.
    """
    figure, axes = new_figure(1, len(results), title=title, height=3.9, sharey=True)
    for ax, (name, result) in zip(axes[0], results.items(), strict=True):
        rates = np.array(result.config.learning_rates)
        ax.set_xscale("log")
        for side, (arm, (label, colour)) in enumerate(RECURRENT.items()):
            accuracy, x = 100 * result.validation[arm], rates * (0.86, 0.95, 1.05, 1.16)[side]
            for place, seeds in zip(x, accuracy, strict=True):
                ax.plot([place] * seeds.size, seeds, "o", color=colour, alpha=0.45, markersize=4, markeredgewidth=0)
            middle = np.median(accuracy, axis=1)
            ax.plot(x, middle, color=colour, label=label)
            ax.plot(x[middle.argmax()], middle.max(), "o", color=colour, markersize=10, markerfacecolor="none")
        ax.set_xticks(rates, [f"{rate:g}" for rate in rates])
        ax.minorticks_off()
        ax.set(xlabel="learning rate of Adam (log scale)", ylim=(0, 100))
        ax.set_title(name)
    axes[0, 0].set_ylabel("validation accuracy, %")
    axes[0, -1].legend(loc="upper left", fontsize=9)
    return figure


def sequence_norms_compared(result: TransformerResult, *, title: str) -> Figure:
    """Test accuracy of every arm, and its loss on the same sequences in training mode and in evaluation mode.

    Args:
        result: the study.
        title: the finding.

    Returns:
        Two panels with a row for each arm. Left, a dot a seed and a bar over the 95% interval of the mean. Right, open
        dots for the loss in training mode and filled ones for that in evaluation mode.
    """
    figure, axes = new_figure(1, 2, title=title, height=3.4, sharey=True)
    left, right = axes[0]
    for row, arm in enumerate(result.test):
        _, colour = TRANSFORMER[arm]
        _interval(left, row, 100 * result.test[arm], colour)
        for losses, face in ((result.training_mode[arm], "white"), (result.evaluation_mode[arm], colour)):
            y = row + np.linspace(-0.2, 0.2, losses.size)
            right.plot(losses, y, "o", color=colour, markerfacecolor=face, markersize=4, alpha=0.7)
    left.set_yticks(range(len(result.test)), [TRANSFORMER[arm][0] for arm in result.test], fontsize=9)
    left.set(xlabel="numbers right in testing, %", xlim=(0, 100), ylim=(len(result.test) - 0.5, -0.5))
    right.set(xlabel="loss, nats a word (open: training mode)", xscale="log")
    right.set_xticks([0.05, 0.1, 0.3, 1, 3], ["0.05", "0.1", "0.3", "1", "3"])
    right.minorticks_off()
    return figure


def _interval(ax: Axes, row: int, seeds: np.ndarray, colour: str) -> None:
    interval = t_interval(seeds)
    y = row + np.linspace(-0.2, 0.2, seeds.size)
    ax.plot(seeds, y, "o", color=colour, alpha=0.4, markersize=4, markeredgewidth=0)
    ax.plot([interval.low, interval.high], [row, row], color=colour, linewidth=3)
    ax.plot([interval.estimate], [row], "|", color="white", markersize=8, markeredgewidth=2)
