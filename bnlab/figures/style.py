"""The one style of every figure: a colour for each role, sizes that read well in a notebook, no pyplot."""

import textwrap
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

# Okabe and Ito's palette, which people with any common colour blindness can tell apart; the two arms of a comparison,
# "no_norm" and "batch_norm", also differ in lightness, so a greyscale print keeps them apart.
COLOURS = {
    "no_norm": "#E69F00",
    "batch_norm": "#0072B2",
    "input": "#56B4E9",
    "output": "#009E73",
    "averaged": "#CC79A7",
    "wrong": "#D55E00",
    "other": "#D9D9D9",
    "theory": "#333333",
    "grid": "#E5E5E5",
}

TITLE_SIZE = 13.0


def apply() -> None:
    """Make the house style matplotlib's default for every figure created from now on."""
    mpl.rcParams.update(
        {
            "axes.axisbelow": True,
            "axes.edgecolor": "#808080",
            "axes.grid": True,
            "axes.labelsize": 11.0,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlelocation": "left",
            "axes.titlesize": 11.0,
            "figure.titlesize": TITLE_SIZE,
            "figure.titleweight": "bold",
            "font.size": 11.0,
            "grid.color": COLOURS["grid"],
            "grid.linewidth": 0.8,
            "legend.edgecolor": "none",
            "legend.framealpha": 0.6,
            "legend.fontsize": 10.0,
            "lines.linewidth": 2.0,
            "xtick.labelsize": 10.0,
            "ytick.labelsize": 10.0,
        }
    )


def new_figure(
    rows: int = 1, columns: int = 1, *, width: float = 8.0, height: float = 3.6, title: str, **subplots: Any
) -> tuple[Figure, np.ndarray]:
    """Create a figure, without pyplot, with its axes and a title that states what the figure shows.

    Args:
        rows: rows of axes.
        columns: columns of axes.
        width: of the whole figure, in inches.
        height: of the whole figure, in inches.
        title: the finding, in a sentence; broken into lines that fit the width.
        **subplots: passed on to `Figure.subplots`, such as `sharey=True`.

    Returns:
        The figure and its axes as an array of shape (rows, columns), also where there is only one.

    Example:
        >>> figure, axes = new_figure(1, 2, title="The mean moves, the spread stays", sharey=True)
        >>> axes.shape, figure.get_suptitle()
        ((1, 2), 'The mean moves, the spread stays')
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **subplots)
    figure.suptitle(textwrap.fill(title, _letters_in(width)), x=0.01, horizontalalignment="left")
    return figure, axes


def _letters_in(width: float) -> int:
    """How many letters of the title fit in `width` inches, at 0.62 of their size each: bold ones are narrower."""
    return int(0.98 * width * 72 / (0.62 * TITLE_SIZE))
