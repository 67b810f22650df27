"""What fast ways to compute a variance lose when the mean is large."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bnlab.figures.style import COLOURS, new_figure

ROLES = {  # of the algorithms of `bnlab.reference.variance`
    "raw_moments": "wrong",
    "two_pass": "no_norm",
    "welford": "input",
    "chan": "output",
    "pairwise": "averaged",
    "shifted": "batch_norm",
}
LEAST = 1e-9  # errors below are drawn there: on a log scale 0 has no place


def error_by_offset(
    errors: Mapping[str, NDArray[np.float64]], offsets: NDArray[np.float64], *, broken: float, title: str
) -> Figure:
    """Relative error of each algorithm's variance against the mean of the values, both axes logarithmic.

    Args:
        errors: by the algorithm's name, of shape (seeds, offsets).
        offsets: means in standard deviations, above 0.
        broken: the error from which on a variance counts as lost.
        title: the finding.

    Returns:
        One panel: each algorithm's median over the seeds as a line, every seed as a dot.

    Raises:
        ValueError: an array has not as many columns as there are offsets, or an algorithm is unknown.

    >>> figure = error_by_offset(
    ...     {"shifted": np.full((2, 3), 1e-7)}, np.array([1.0, 10, 100]), broken=0.01, title="Holds"
    ... )
    >>> figure.axes[0].get_yscale()
    'log'
    """
    figure, axes = new_figure(title=title, height=4.4)
    ax = axes.item()
    for name, of_seeds in errors.items():
        if name not in ROLES or of_seeds.ndim != 2 or of_seeds.shape[1] != len(offsets):
            expected = f"errors of {', '.join(ROLES)}, of shape (seeds, {len(offsets)})"
            raise ValueError(f"expected {expected}, got {name} of shape {of_seeds.shape}")
        drawn, colour = np.maximum(of_seeds, LEAST), COLOURS[ROLES[name]]
        ax.loglog(offsets, np.median(drawn, axis=0), "-", color=colour, label=name.replace("_", " "))
        ax.loglog(np.tile(offsets, len(drawn)), drawn.ravel(), "o", color=colour, markersize=3, alpha=0.35)
    ax.axhline(broken, color=COLOURS["theory"], linestyle="--", linewidth=1.2)
    ax.text(offsets[0], broken, f"lost: an error over {broken:.0%}", verticalalignment="bottom")
    ax.set(xlabel="mean of the values, in their standard deviations", ylabel="relative error of the variance")
    ax.legend(loc="upper left", ncols=2)
    return figure
