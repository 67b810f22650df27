"""The lines that a question of the bank shows with its prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from bnlab.figures.style import COLOURS, new_figure

LINES = (  # so that a greyscale print, too, tells the lines of one figure apart
    (COLOURS["batch_norm"], "o"),
    (COLOURS["no_norm"], "s"),
    (COLOURS["output"], "^"),
    (COLOURS["averaged"], "D"),
)


@dataclass(frozen=True)
class Curves:
    """Lines in one panel, without a word on what they mean.

    Attributes:
        title: what is drawn.
        x_label: with its unit.
        y_label: with its unit.
        lines: the xs and the ys of each line, by its name; at most four.
        log_x: whether x is drawn on a logarithmic scale.
    """

    title: str
    x_label: str
    y_label: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    log_x: bool = False


def curves(drawn: Curves) -> Figure:
    """One panel with a line and markers for each of the curves, and their names."""
    figure, axes = new_figure(title=drawn.title)
    ax = axes.item()
    for (name, (xs, ys)), (colour, marker) in zip(drawn.lines.items(), LINES, strict=False):
        ax.plot(xs, ys, color=colour, marker=marker, markersize=4, label=name)
    if drawn.log_x:
        ax.set_xscale("log")
    ax.set(xlabel=drawn.x_label, ylabel=drawn.y_label)
    ax.legend()
    return figure
