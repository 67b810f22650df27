"""Activations before and after batch normalisation: where they lie, and what shape they have."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnlab.figures.axes import draw_block
from bnlab.figures.style import COLOURS, new_figure

EXAMPLES, POSITIONS = 4, (2, 3)  # of the sketched block: few enough to count


def before_and_after(before: Float[np.ndarray, "n c h w"], after: Float[np.ndarray, "n c h w"]) -> Figure:
    """The cells of one mean, beside the histogram of every channel before and after batch norm (arXiv:1502.03167, 3.2).

    The coloured slab of the block is the last channel, and so is the coloured histogram. Each channel stands on a line
    of its own, all on one scale; the mark on its line is its mean.

    Args:
        before: the input of a batch norm.
        after: its output, with gamma 1 and beta 0.

    Returns:
        Three panels: the block, its examples and positions only sketched, and the histograms before and after.

    Raises:
        ValueError: the two differ in shape.
    """
    _check_shapes(before, after)
    channels = before.shape[1]
    figure, axes = new_figure(
        1, 3, height=3.8, title="Batch norm centres and scales every channel by itself", width_ratios=[1.3, 1, 1]
    )
    block, left, right = axes.flat
    draw_block(block, (EXAMPLES, channels, *POSITIONS), "NHW")
    block.set_title("cells that share one mean")
    edges = np.linspace(min(before.min(), after.min()), max(before.max(), after.max()), 81)
    for ax, x, name in ((left, before, "before"), (right, after, "after")):
        _draw_channels(ax, x.swapaxes(0, 1).reshape(channels, -1), edges)
        ax.set(title=name, xlabel="activation")
    left.set_ylabel("channel")
    return figure


def shape_kept(before: Float[np.ndarray, " n"], after: Float[np.ndarray, " n"]) -> Figure:
    """One channel's histogram before and after batch norm, each beside the normal density of its mean and variance.

    Args:
        before: one channel of the input of a batch norm.
        after: the same channel of its output.

    Returns:
        Two panels.

    Raises:
        ValueError: the two differ in shape.
    """
    _check_shapes(before, after)
    figure, axes = new_figure(
        1, 2, height=3.2, title="Two peaks in, two peaks out: batch norm moves and scales a shape"
    )
    for ax, x, role in zip(axes.flat, (before, after), ("input", "output"), strict=True):
        ax.hist(x, bins=30, density=True, color=COLOURS[role], label=f"{role} of batch norm")
        grid = np.linspace(x.mean() - 3 * x.std(), x.mean() + 3 * x.std(), 201)
        normal = np.exp(-0.5 * ((grid - x.mean()) / x.std()) ** 2) / (x.std() * np.sqrt(2 * np.pi))
        ax.plot(grid, normal, color=COLOURS["theory"], label="normal, same mean and variance")
        ax.set(xlabel="activation", ylabel="density")
        ax.set_ylim(top=1.35 * ax.get_ylim()[1])  # room for the legend
        ax.legend(loc="upper left")
    return figure


def _check_shapes(before: Float[np.ndarray, "..."], after: Float[np.ndarray, "..."]) -> None:
    if before.shape != after.shape:
        raise ValueError(f"before and after must have one shape, got {before.shape} and {after.shape}")


def _draw_channels(ax: Axes, rows: Float[np.ndarray, "c values"], edges: Float[np.ndarray, " edges"]) -> None:
    densities = np.stack([np.histogram(row, edges, density=True)[0] for row in rows])
    for channel, density in enumerate(densities):
        colour = COLOURS["averaged" if channel == len(rows) - 1 else "other"]
        heights = channel + 0.9 * density / densities.max()
        ax.stairs(heights, edges, baseline=channel, fill=True, color=colour)
        ax.plot([rows[channel].mean()] * 2, [channel, channel + 0.3], color=COLOURS["theory"])
    ax.set(yticks=range(len(rows)), ylim=(-0.05, len(rows)))
    ax.grid(visible=False, axis="y")
