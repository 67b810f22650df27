"""What batch norm tells a causal network of the future: outputs that move, and losses that no honest network has."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnlab.experiments.studies.future_leak import FLOOR, Result
from bnlab.figures.style import COLOURS, new_figure

ROLES = {"batch_norm": COLOURS["batch_norm"], "layer_norm": COLOURS["output"]}
LABELS = {"batch_norm": "batch norm", "layer_norm": "layer norm"}
SMALLEST = 1e-3  # share above which the axis is logarithmic; below it runs straight to 0


def edited_future(result: Result, *, title: str) -> Figure:
    """How far the output at each step moves when a token is changed, in its own sequence and in the others.

    Args:
        result: the study.
        title: the finding.

    Returns:
        Two panels, steps to the right. A dot a seed, a line through the medians, the darker the smaller the batch;
        layer norm, where the batch does not matter, once. The dashed line stands at the changed token. The axis is
        logarithmic and ends in a true 0.
    """
    figure, axes = new_figure(1, 2, title=title, height=3.9, sharey=True)
    panels = ((result.moved, "in the changed sequence"), (result.moved_elsewhere, "in the others of its batch"))
    for ax, (moved, name) in zip(axes[0], panels, strict=True):
        for size, numbers in zip(result.config.batch_sizes, moved["batch_norm"], strict=True):
            shade = 1 / (1 + result.config.batch_sizes.index(size))
            _steps(ax, numbers, ROLES["batch_norm"], f"batch norm, {_sequences(size)}", 0.35 + 0.65 * shade)
        _steps(ax, moved["layer_norm"][-1], ROLES["layer_norm"], "layer norm", 1.0)
        ax.axvline(result.config.edited, color=COLOURS["theory"], linestyle="--", linewidth=1)
        ax.set_title(name)
        ax.set_yscale("symlog", linthresh=SMALLEST, linscale=0.5)
        ax.set_yticks([0, 1e-3, 1e-2, 1e-1, 1], ["0", "0.1%", "1%", "10%", "100%"])
        ax.minorticks_off()
        ax.set(xticks=range(result.config.tosses), ylim=(-3e-4, 2))
    axes[0, 0].set_ylabel("change of the output,\nshare of that at the changed token")
    figure.supxlabel(f"step (the token at step {result.config.edited} was changed)", fontsize=11)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    axes[0, 1].legend(handles, labels, loc="center left", bbox_to_anchor=(0.0, 0.23), fontsize=9)
    return figure


def loss_by_mode(result: Result, *, title: str) -> Figure:
    """Loss after training on tosses of a fair coin, by the size of the batch, in training mode and in evaluation mode.

    Args:
        result: the study.
        title: the finding.

    Returns:
        A column for each batch size and arm; a dot a seed, open in training mode and filled in evaluation mode. The
        dashed line is log 2, which no network goes below that does not know the tosses to come.
    """
    figure, axes = new_figure(title=title, height=3.6)
    ax = axes.item()
    for place in range(len(result.config.batch_sizes)):
        for side, arm in enumerate(ROLES):
            for mode, face in (("training", "white"), ("evaluation", ROLES[arm])):
                losses = getattr(result, f"{mode}_mode")[arm][place]
                x = place + (-0.2, 0.2)[side] + np.linspace(-0.08, 0.08, losses.size)
                label = f"{LABELS[arm]}, {mode} mode" if place == 0 else None
                ax.plot(x, losses, "o", color=ROLES[arm], markerfacecolor=face, markersize=5, alpha=0.8, label=label)
    ax.axhline(FLOOR, color=COLOURS["theory"], linestyle="--", linewidth=1)
    end = len(result.config.batch_sizes) - 0.5
    ax.annotate("log 2", (end, FLOOR), xytext=(0, 3), ha="right", textcoords="offset points", color=COLOURS["theory"])
    ax.set_xticks(range(len(result.config.batch_sizes)), [_sequences(size) for size in result.config.batch_sizes])
    ax.grid(visible=False, axis="x")
    ax.set(xlabel="batch", ylabel="loss, nats a toss", xlim=(-0.5, end), ylim=(0.4, None))
    ax.legend(loc="lower right")
    return figure


def _steps(ax: Axes, numbers: np.ndarray, colour: str, label: str, alpha: float) -> None:
    """The seeds of every step and the line through their medians; nothing where there are no numbers."""
    if np.isnan(numbers).all():
        return
    for step, seeds in enumerate(numbers):
        x = step + np.linspace(-0.12, 0.12, seeds.size)
        ax.plot(x, seeds, "o", color=colour, alpha=0.5 * alpha, markersize=3, markeredgewidth=0)
    ax.plot(range(len(numbers)), np.median(numbers, axis=1), color=colour, alpha=alpha, label=label)


def _sequences(size: int) -> str:
    return f"{size} sequence{'s' if size > 1 else ''}"
