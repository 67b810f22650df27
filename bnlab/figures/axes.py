"""What is averaged: a batch drawn as a block of cells, those that share one mean coloured."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bnlab.figures.style import COLOURS, new_figure

LAYOUTS = {2: "NC", 3: "NCL", 4: "NCHW", 5: "NCDHW"}
GAP = 0.7  # between cells that do not share a mean, in cells
DEPTH = np.array([0.5, 0.36])  # one step from an example to the next, on paper
HEIGHT = 0.55  # of a cell; wide flat cells leave room for many positions
# The three faces of a cell that show: their corners (channel, example, position) and how far each is lightened.
FACES = {
    "front": ([(0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)], 0.0),
    "right": ([(1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1)], 0.25),
    "top": ([(0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)], 0.5),
}


def averaged_cells(shape: Sequence[int], averaged: str) -> Bool[np.ndarray, "n c *spatial"]:
    """Which cells share their mean with those of the first example's last channel.

    Two cells share a mean if they differ along averaged axes only. Batch norm averages over N and every position
    (Ioffe & Szegedy 2015, section 3.2, arXiv:1502.03167).

    Args:
        shape: (N, C), (N, C, L), (N, C, H, W) or (N, C, D, H, W), each at least 1.
        averaged: the letters of the axes averaged over, in any order; all the positions (L, or H and W, or D, H and
            W) or none of them.

    Returns:
        True where the cell belongs to that mean.

    Raises:
        ValueError: the shape has another rank, `averaged` names an axis that it lacks, or some positions only.

    Example:
        >>> averaged_cells((2, 3), "N").astype(int)
        array([[0, 0, 1],
               [0, 0, 1]])
    """
    if len(shape) not in LAYOUTS or min(shape) < 1:
        raise ValueError(f"expected a shape (N, C), (N, C, L), (N, C, H, W) or (N, C, D, H, W), got {tuple(shape)}")
    layout = LAYOUTS[len(shape)]
    positions = set(layout[2:])
    if not set(averaged) <= set(layout) or positions & set(averaged) not in (positions, set()):
        raise ValueError(f"expected axes of {layout}, the positions together or not at all, got {averaged!r}")
    corner = (0, shape[1] - 1, *(0,) * len(positions))
    shared = np.zeros(shape, dtype=bool)
    shared[tuple(slice(None) if axis in averaged else at for axis, at in zip(layout, corner, strict=True))] = True
    return shared


def averaged_blocks(panels: Sequence[tuple[Sequence[int], str]], *, title: str) -> Figure:
    """One block of cells for each layout or norm, under it the axes averaged and the number of cells in a mean.

    Args:
        panels: pairs of a shape and the averaged axes, as `averaged_cells` takes them.
        title: what the blocks show.

    Returns:
        As many panels as pairs, each drawn by `draw_block`.

    Example:
        >>> averaged_blocks([((4, 3), "N"), ((4, 3, 2, 3), "NHW")], title="One mean for each channel").get_suptitle()
        'One mean for each channel'
    """
    figure, axes = new_figure(1, len(panels), height=2.9, title=title)
    for ax, (shape, averaged) in zip(axes.flat, panels, strict=True):
        draw_block(ax, shape, averaged)
        layout, cells = LAYOUTS[len(shape)], averaged_cells(shape, averaged).sum()
        over = ", ".join(axis for axis in layout if axis in averaged)
        ax.set_title(f"({', '.join(layout)}) = {tuple(shape)}\nmean over {over}: {cells} cells")
    limits = np.array([(ax.get_xlim(), ax.get_ylim()) for ax in axes.flat])
    for ax in axes.flat:  # one scale, so that a cell is as large in every panel
        ax.set(xlim=(limits[:, 0].min(), limits[:, 0].max()), ylim=(limits[:, 1].min(), limits[:, 1].max()))
    return figure


def draw_block(ax: Axes, shape: Sequence[int], averaged: str) -> None:
    """Draws a batch: channels to the right, examples into the page, all positions (H x W) in one column upwards.

    The block is cut between cells that do not share a mean, so each piece has a mean of its own; the piece at the front
    right is coloured.

    Args:
        ax: where to draw; its scales and frame go.
        shape: as in `averaged_cells`.
        averaged: as in `averaged_cells`.
    """
    shared = averaged_cells(shape, averaged).reshape(shape[0], shape[1], -1)
    layout = LAYOUTS[len(shape)]
    stride = np.array([1 if axis in averaged else 1 + GAP for axis in ("C", "N", layout[-1])])
    faces, colours = [], []
    for behind, channel, position in np.ndindex(shared.shape):
        example = shape[0] - 1 - behind  # the painter's order: what stands behind is painted first
        colour = COLOURS["averaged" if shared[example, channel, position] else "other"]
        for corners, lighter in FACES.values():
            faces.append(_on_paper(np.array([channel, example, position]) * stride + np.array(corners)))
            colours.append(_lighten(colour, lighter))
    ax.add_collection(PolyCollection(faces, facecolors=colours, edgecolors="white", linewidths=0.6))
    _label(ax, (np.array([shape[1], shape[0], shared.shape[2]]) - 1) * stride + 1, layout)
    ax.set_aspect("equal", anchor="S")
    ax.set_axis_off()


def _on_paper(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of (channel, example, position) as rows of (x, y)."""
    channel, example, position = points.T
    return np.stack([channel + example * DEPTH[0], example * DEPTH[1] + position * HEIGHT], axis=1)


def _lighten(colour: str, share: float) -> tuple[float, float, float]:
    red, green, blue = (value + share * (1 - value) for value in to_rgb(colour))
    return red, green, blue


def _label(ax: Axes, extent: NDArray[np.float64], layout: str) -> None:
    """Names the axes along the block's edges, and leaves room for the names."""
    width, depth, height = extent
    middles_and_end = [(width / 2, 0, 0), (width, depth / 2, 0), (0, 0, height / 2), (width, depth, height)]
    channel, example, position, (right, top) = _on_paper(np.array(middles_and_end))
    ax.text(channel[0], channel[1] - 0.2, "C", ha="center", va="top")
    ax.text(example[0] + 0.3, example[1], "N", ha="center", va="top")
    if layout[2:]:
        ax.text(position[0] - 0.2, position[1], ", ".join(layout[2:]), ha="right", va="center", rotation=90)
    ax.set(xlim=(-0.9, right + 0.4), ylim=(-0.9, top + 0.2))
