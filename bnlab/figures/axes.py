"""What is averaged: a batch drawn as a block of cells, those that share one mean coloured."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

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
WHOLE: Mapping[str, int] = MappingProxyType({})  # no averaged axis is cut into parts


class Member(NamedTuple):
    """A member of the family of normalisations, as a block of cells shows it.

    Attributes:
        name: as the panel says it.
        averaged: letters of the axes that are averaged over.
        statistic: what is averaged: the value ("mean"), its square ("mean square") or nothing ("").
        parts: averaged axis -> how many parts of equal length it is cut into, each with a mean of its own.
    """

    name: str
    averaged: str
    statistic: str = "mean"
    parts: Mapping[str, int] = WHOLE


FAMILY: Mapping[str, Member] = MappingProxyType(
    {
        "batch": Member("Batch norm", "NHW"),
        "ghost": Member("Ghost batch norm, 2 ghosts", "NHW", parts=MappingProxyType({"N": 2})),
        "instance": Member("Instance norm", "HW"),
        "layer": Member("Layer norm of images", "CHW"),
        "group": Member("Group norm, 2 groups", "CHW", parts=MappingProxyType({"C": 2})),
        "layer_per_position": Member("Layer norm of tokens", "C"),
        "rms": Member("RMS norm", "C", "mean square"),
        "filter_response": Member("Filter response norm", "HW", "mean square"),
        "dynamic_tanh": Member("Dynamic tanh", "", ""),
    }
)
# The three faces of a cell that show: their corners (channel, example, position) and how far each is lightened.
FACES = {
    "front": ([(0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)], 0.0),
    "right": ([(1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1)], 0.25),
    "top": ([(0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)], 0.5),
}


def averaged_cells(
    shape: Sequence[int], averaged: str, parts: Mapping[str, int] = WHOLE
) -> Bool[np.ndarray, "n c *spatial"]:
    """Which cells share their mean with those of the first example's last channel.

    Two cells share a mean if they differ along averaged axes only, and within one part where such an axis is cut into
    parts. Batch norm averages over N and every position (Ioffe & Szegedy 2015, section 3.2, arXiv:1502.03167).

    Args:
        shape: (N, C), (N, C, L), (N, C, H, W) or (N, C, D, H, W), each at least 1.
        averaged: the letters of the axes averaged over, in any order; all the positions (L, or H and W, or D, H and
            W) or none of them.
        parts: averaged axis, N or C -> how many parts of equal length it is cut into: group norm's groups, or ghosts.

    Returns:
        True where the cell belongs to that mean.

    Raises:
        ValueError: the shape has another rank, `averaged` names an axis that it lacks, or some positions only, or
            `parts` cuts an axis that is not N or C, is not averaged, or cannot be cut evenly.

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
    for axis, count in parts.items():
        if axis not in set("NC") & set(averaged) or count < 1 or shape[layout.index(axis)] % count:
            raise ValueError(
                f"expected parts that cut an averaged N or C of {tuple(shape)} evenly, got {axis}: {count}"
            )
    corner = (0, shape[1] - 1, *(0,) * len(positions))
    shared = np.ones(shape, dtype=bool)
    for number, (axis, length, at) in enumerate(zip(layout, shape, corner, strict=True)):
        piece = _piece_of_each(length, axis, averaged, parts)
        shared &= (piece == piece[at]).reshape(-1, *(1,) * (len(shape) - number - 1))
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
    _one_scale(list(axes.flat))
    return figure


def family_blocks(
    members: Iterable[str] = FAMILY, *, shape: Sequence[int] = (4, 6, 2, 2), columns: int = 3, title: str
) -> Figure:
    """One block of (N, C, H, W) cells for each member of the family of normalisations, and what it averages over.

    Args:
        members: which, by their names in `FAMILY`, in the order of the panels.
        shape: (N, C, H, W), the same in all panels; N and C even, for two ghosts and two groups.
        columns: panels in a row.
        title: what the blocks show.

    Returns:
        A panel for each member, each drawn by `draw_block`.

    Raises:
        ValueError: there are no members or one is unknown, or the shape is of another rank or does not fit.

    Example:
        >>> figure = family_blocks(["batch", "group"], title="Who shares a mean")
        >>> len(figure.axes), figure.get_suptitle()
        (2, 'Who shares a mean')
    """
    members = list(members)
    unknown = sorted(set(members) - set(FAMILY))
    if unknown or not members or len(shape) != 4:
        raise ValueError(
            f"expected members of {', '.join(FAMILY)} and 4 axes, got {unknown or members}, {tuple(shape)}"
        )
    rows, columns = -(-len(members) // columns), min(columns, len(members))
    figure, axes = new_figure(rows, columns, height=0.4 + 1.9 * rows, title=title)
    for ax in axes.flat[len(members) :]:
        ax.remove()
    drawn = list(axes.flat[: len(members)])
    for ax, (name, averaged, statistic, parts) in zip(drawn, map(FAMILY.__getitem__, members), strict=True):
        draw_block(ax, shape, averaged, parts)
        cells = averaged_cells(shape, averaged, parts).sum()
        over = ", ".join(f"{axis}/{parts[axis]}" if axis in parts else axis for axis in "NCHW" if axis in averaged)
        what = f"{statistic} over {over}: {cells} cells" if statistic else "no statistic: each cell alone"
        ax.set_title(f"{name}\n{what}")
    _one_scale(drawn)
    return figure


def draw_block(ax: Axes, shape: Sequence[int], averaged: str, parts: Mapping[str, int] = WHOLE) -> None:
    """Draws a batch: channels to the right, examples into the page, all positions (H x W) in one column upwards.

    The block is cut between cells that do not share a mean, so each piece has a mean of its own; the piece at the front
    right is coloured.

    Args:
        ax: where to draw; its scales and frame go.
        shape: as in `averaged_cells`.
        averaged: as in `averaged_cells`.
        parts: as in `averaged_cells`.
    """
    shared = averaged_cells(shape, averaged, parts).reshape(shape[0], shape[1], -1)
    layout = LAYOUTS[len(shape)]
    position = layout[2:][-1:] or "L"  # a batch without positions is drawn with one
    drawn = zip((shared.shape[1], shared.shape[0], shared.shape[2]), ("C", "N", position), strict=True)
    places = [np.arange(count) + GAP * _piece_of_each(count, axis, averaged, parts) for count, axis in drawn]
    faces, colours = [], []
    for behind, channel, at_position in np.ndindex(shared.shape):
        example = shape[0] - 1 - behind  # the painter's order: what stands behind is painted first
        at = np.array([along[k] for along, k in zip(places, (channel, example, at_position), strict=True)])
        colour = COLOURS["averaged" if shared[example, channel, at_position] else "other"]
        for corners, lighter in FACES.values():
            faces.append(_on_paper(at + np.array(corners)))
            colours.append(_lighten(colour, lighter))
    ax.add_collection(PolyCollection(faces, facecolors=colours, edgecolors="white", linewidths=0.6))
    _label(ax, np.array([along[-1] + 1 for along in places]), layout)
    ax.set_aspect("equal", anchor="S")
    ax.set_axis_off()


def _piece_of_each(length: int, axis: str, averaged: str, parts: Mapping[str, int]) -> NDArray[np.int64]:
    """Along one axis, which piece of the block each cell belongs to: a piece shares a mean as far as this axis goes."""
    pieces = parts.get(axis, 1) if axis in averaged else length
    return np.arange(length) // (length // pieces)


def _one_scale(axes: Sequence[Axes]) -> None:
    """Gives all panels the same limits, so that a cell is as large in each."""
    limits = np.array([(ax.get_xlim(), ax.get_ylim()) for ax in axes])
    for ax in axes:
        ax.set(xlim=(limits[:, 0].min(), limits[:, 0].max()), ylim=(limits[:, 1].min(), limits[:, 1].max()))


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
