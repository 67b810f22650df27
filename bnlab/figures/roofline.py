"""The roofline: what an implementation computes in a second, against what it computes for each byte that it moves."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from bnlab.figures.style import COLOURS, new_figure
from bnlab.kernels.traffic import COPY, accesses

OPERATIONS = 7  # of a forward pass, an element: above the pilot, its square, two sums; centre, scale, shift


class Point(NamedTuple):
    """One implementation.

    Attributes:
        accesses: reads and writes of memory, for each element.
        nanoseconds: that it took, for each element.
        role: of its colour.
    """

    accesses: int
    nanoseconds: float
    role: str

    def intensity(self, itemsize: int = 4) -> float:
        """Operations for each byte that it moves."""
        return OPERATIONS / (self.accesses * itemsize)

    @property
    def speed(self) -> float:
        """Operations a nanosecond, which is 10^9 of them a second; work that was done twice counts once."""
        return OPERATIONS / self.nanoseconds

    def share(self, copy_nanoseconds: float) -> float:
        """Its bytes per second, of a copy's.

        >>> Point(accesses=3, nanoseconds=6.0, role="output").share(copy_nanoseconds=1.0)
        0.25
        """
        return self.accesses / COPY * copy_nanoseconds / self.nanoseconds


def roofline(points: Mapping[str, Point], *, copy_nanoseconds: float, title: str, itemsize: int = 4) -> Figure:
    """Implementations of a forward pass under the roof that memory sets (Williams et al. 2009).

    The roof is what an implementation would reach if all that it moves passed as fast as in a copy. One under the roof
    waits for something else than memory: for arithmetic, or for threads to start. Further to the right is one that
    moves less.

    Args:
        points: by name.
        copy_nanoseconds: of a copy of the same size, for each element.
        title: the finding.
        itemsize: bytes of an element.

    Returns:
        One panel, on log scales; the least traffic is marked.

    Raises:
        ValueError: there are no points.

    Example:
        >>> figure = roofline({"ours": Point(2, 1.2, "batch_norm")}, copy_nanoseconds=1.0, title="Near the roof")
        >>> figure.get_suptitle()
        'Near the roof'
    """
    if not points:
        raise ValueError("expected at least one point, got none")
    figure, axes = new_figure(1, 1, title=title, height=4.8)
    ax = axes[0, 0]
    bandwidth = COPY * itemsize / copy_nanoseconds  # bytes a nanosecond, which is gigabytes a second
    most = OPERATIONS / (accesses("forward", resident=True).total * itemsize)
    least = min(point.intensity(itemsize) for point in points.values())
    ends = np.array([least / 1.6, most * 1.6])
    ax.plot(ends, bandwidth * ends, color=COLOURS["theory"], label=f"roof: a copy's {bandwidth:.0f} GB/s")
    ax.axvline(most, color=COLOURS["theory"], linestyle=":", linewidth=1.2, label="least traffic: 2 accesses")
    for name, point in points.items():
        label = f"{name}: {point.accesses} accesses, {point.share(copy_nanoseconds):.0%}"
        x, y, colour = point.intensity(itemsize), point.speed, COLOURS[point.role]
        ax.plot([x, x], [y, bandwidth * x], color=colour, linewidth=1, alpha=0.6)
        ax.plot([x], [y], "o", color=colour, markersize=9, label=label)
    ax.set(xscale="log", yscale="log", xlim=ends)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    ax.set_xlabel("operations for each byte moved (log scale)")
    ax.set_ylabel("billion operations a second\n(log scale)")
    figure.legend(loc="outside lower center", ncols=2, title="accesses an element; share of the roof")
    return figure
