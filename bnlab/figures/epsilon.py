"""What `eps` does to a channel that hardly varies, inside the root and outside it."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bnlab.figures.style import COLOURS, new_figure


def epsilon_placement(
    channel_var: NDArray[np.float64],
    std_inside: NDArray[np.float64],
    std_outside: NDArray[np.float64],
    *,
    eps: float,
) -> Figure:
    """Standard deviation after normalisation against the channel's variance before it, both axes logarithmic.

    Batch norm divides by `sqrt(var + eps)` (Ioffe & Szegedy 2015, algorithm 1, arXiv:1502.03167). The dashed line is
    what the largest gain that this allows, `1 / sqrt(eps)`, would make of a channel, up to where its variance is `eps`.

    Args:
        channel_var: the variance of each channel before normalisation, in rising order, each above 0.
        std_inside: standard deviation of each channel divided by `sqrt(var + eps)`, gamma 1.
        std_outside: standard deviation of each channel divided by `std + eps`.
        eps: the constant that both were computed with.

    Returns:
        One panel: the two curves, the dashed line, and a dotted one where the variance equals `eps`.

    Raises:
        ValueError: the three arrays are not of one length.

    >>> var = np.array([1e-8, 1e-4, 1.0])
    >>> figure = epsilon_placement(var, np.sqrt(var / (var + 1e-5)), np.sqrt(var) / (np.sqrt(var) + 1e-5), eps=1e-5)
    >>> figure.axes[0].get_xscale()
    'log'
    """
    shapes = channel_var.shape, std_inside.shape, std_outside.shape
    if len(set(shapes)) != 1 or channel_var.ndim != 1:
        raise ValueError(f"expected three 1-D arrays of one length, got shapes {shapes[0]}, {shapes[1]}, {shapes[2]}")
    figure, axes = new_figure(title="Inside the root, eps keeps a nearly constant channel quiet", height=4.0)
    ax = axes.item()
    for std, role, label in (
        (std_outside, "wrong", "outside: (x - mean) / (std + eps)"),
        (std_inside, "batch_norm", "inside: (x - mean) / √(var + eps)"),
    ):
        ax.loglog(channel_var, std, "o-", color=COLOURS[role], markersize=4, label=label)
    largest = 1 / np.sqrt(eps)
    below_eps = np.array([channel_var[0], eps])
    cap = f"a gain of 1/√eps = {largest:.0f}"
    ax.plot(below_eps, largest * np.sqrt(below_eps), "--", color=COLOURS["theory"], linewidth=1.2, label=cap)
    ax.axvline(eps, color=COLOURS["theory"], linestyle=":", linewidth=1.2)
    ax.text(eps, 0.55, "  var = eps", transform=ax.get_xaxis_transform())
    ax.set(xlabel="variance of the channel before normalisation", ylabel="standard deviation after")
    ax.legend(loc="lower right")
    return figure
