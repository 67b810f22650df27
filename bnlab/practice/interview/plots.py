"""The plots that questions show: numbers of the course's studies, or computed here, drawn as a figure or as text."""

import textwrap
from collections.abc import Callable

import numpy as np
import plotext

from bnlab.figures.scenarios import Curves

__all__ = ["PLOTS", "Curves", "as_text"]

MARKERS = "ox+*"  # of the lines of one drawing: what tells them apart without a colour
HEIGHT = 18  # of the panel, in lines of text

PLOTS: dict[str, Callable[[], Curves]] = {}


def as_text(curves: Curves, width: int = 76) -> str:
    """The curves in characters without a colour: a title, the panel, and what stands on its axes and for each line.

    Args:
        curves: what to draw.
        width: columns that no line exceeds, whatever the size of the terminal.

    Returns:
        Lines of text.
    """
    plotext.terminal.limit(width=False, height=False)
    panel = plotext.figure
    panel.clear()
    panel.theme("colorless")
    panel.plot_size(width, HEIGHT)
    for marker, (xs, ys) in zip(MARKERS, curves.lines.values(), strict=False):
        line = panel.signal(np.log10(xs).tolist() if curves.log_x else list(xs), list(ys), marker=marker)
        line.lines()
        panel.draw(line)
    if curves.log_x:
        ticks = next(iter(curves.lines.values()))[0]
        panel.ruler("x").ticks(np.log10(ticks).tolist(), [f"{tick:g}" for tick in ticks])
    drawn = panel.build().string(colorless=True)
    names = [f"{marker}: {name}" for marker, name in zip(MARKERS, curves.lines, strict=False)]
    about = f"Up: {curves.y_label}. Across: {curves.x_label}. {'; '.join(names)}"
    text = "\n".join((textwrap.fill(curves.title, width), drawn, textwrap.fill(about, width)))
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())
