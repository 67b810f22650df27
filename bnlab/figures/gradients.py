"""The backward pass in pictures: its graph, the directions that it takes out, and how finite differences err."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bnlab.figures.style import COLOURS, new_figure

# Where each node of the graph stands: values per element below, values per channel above.
NODES = {
    "x": (0.0, 0.0),
    "mean": (0.95, 1.0),
    "centred": (1.9, 0.0),
    "var": (2.5, 1.0),
    "inv_std": (3.5, 1.0),
    "x_hat": (4.1, 0.0),
    "y": (5.8, 0.0),
}
EDGES = [
    ("x", "mean"),
    ("x", "centred"),
    ("mean", "centred"),
    ("centred", "var"),
    ("var", "inv_std"),
    ("inv_std", "x_hat"),
    ("centred", "x_hat"),
    ("x_hat", "y"),
]
ARROW = {"arrowstyle": "-|>", "mutation_scale": 12, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
ELEVATION = np.radians(27)  # of the eye above the plane on which x_hat lives
SPHERE = np.sqrt(3)  # three elements of mean square 1
TURN = np.linspace(0, 2 * np.pi, 181)


Numbers = NDArray[np.float64] | np.float64


def backward_graph(values: Sequence[Numbers], gradients: Sequence[Numbers]) -> Figure:
    """The nodes of batch norm for one channel, each with its value above it and its gradient below.

    The forward pass runs along the arrows, the backward pass against them: three roads lead from `y` back to `x`
    (Ioffe & Szegedy 2015, section 3, arXiv:1502.03167).

    Args:
        values: of the nodes x, mean, centred, var, inv_std, x_hat and y, in this order; one number for mean, var and
            inv_std, else one for each element.
        gradients: of the loss with respect to each of these nodes.

    Returns:
        One panel without scales.

    Raises:
        ValueError: there are not seven values and seven gradients.

    >>> seven = [np.ones(3)] * 7
    >>> backward_graph(seven, seven).axes[0].texts[0].get_text()
    'x'
    """
    if not len(values) == len(gradients) == len(NODES):
        got = f"{len(values)} values and {len(gradients)} gradients"
        raise ValueError(f"expected a value and a gradient for each of {', '.join(NODES)}, got {got}")
    figure, axes = new_figure(title="Three roads lead from y back to x", height=3.4)
    ax = axes.item()
    for name, value, gradient in zip(NODES, values, gradients, strict=True):
        across, up = NODES[name]
        box = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": "#808080"}
        ax.text(across, up, name, ha="center", va="center", bbox=box, zorder=3, family="monospace")
        first = up + 0.38 if up else up - 0.24  # on the side without arrows
        ax.text(across, first, _row(value), ha="center", va="center", color=COLOURS["theory"])
        ax.text(across, first - 0.16, _row(gradient), ha="center", va="center", color=COLOURS["batch_norm"])
    for start, end in EDGES:
        level = NODES[start][1] == NODES[end][1]
        clear = {"shrinkA": 34, "shrinkB": 34} if level else {"shrinkA": 16, "shrinkB": 16}
        ax.annotate("", NODES[end], NODES[start], arrowprops=ARROW | {"color": "#808080"} | clear)
    ax.text(6.4, 1.38, "value, forward", ha="right", va="center", color=COLOURS["theory"])
    ax.text(6.4, 1.22, "gradient of the loss, backward", ha="right", va="center", color=COLOURS["batch_norm"])
    ax.set(xlim=(-0.7, 6.5), ylim=(-0.5, 1.5))
    ax.set_axis_off()
    return figure


def gradient_on_the_circle(
    x_hat: Float64[np.ndarray, " 3"],
    grad_y: Float64[np.ndarray, " 3"],
    passed: Float64[np.ndarray, " 3"],
    counts: Sequence[int],
    shares: Float64[np.ndarray, "counts draws"],
) -> Figure:
    """Where the gradient of batch norm may point, and how much of `grad_y` is left of it (arXiv:1502.03167, section 3).

    Three elements of one channel are a point in space. Normalised, they lie on a circle: where the sphere of radius
    sqrt(3) (mean square 1) meets the plane of sum 0. What passes of `grad_y` is tangent to that circle.

    Args:
        x_hat: the normalised elements.
        grad_y: the gradient that arrives.
        passed: what is left of it, `grad_x` divided by `gamma * inv_std`.
        counts: elements per channel, in rising order.
        shares: for each count, the share of the energy (the sum of squares) that passes, in many random draws.

    Returns:
        On the left the circle, the sphere and the arrows; on the right the mean share and its 10% to 90% range for each
        count, beside the line (count - 2) / count.

    Raises:
        ValueError: the three vectors do not have three elements, or `shares` has not one row for each count.

    >>> x_hat, grad_y, passed = np.array([[-1.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    >>> figure = gradient_on_the_circle(x_hat, grad_y, passed, [2, 4], np.array([[0.0, 0.0], [0.4, 0.6]]))
    >>> len(figure.axes)
    2
    """
    vectors = x_hat.shape, grad_y.shape, passed.shape
    if set(vectors) != {(3,)}:
        raise ValueError(f"expected x_hat, grad_y and passed of shape (3,), got {vectors}")
    if shares.ndim != 2 or len(shares) != len(counts):
        raise ValueError(f"expected shares of shape ({len(counts)}, draws), got {shares.shape}")
    title = "What passes runs along the circle: on average (m - 2)/m of the energy"
    figure, axes = new_figure(1, 2, title=title, height=4.2, width_ratios=(1.15, 1))
    _draw_circle(axes[0, 0])
    _draw_arrows(axes[0, 0], x_hat, grad_y, passed)
    _draw_shares(axes[0, 1], np.asarray(counts), shares)
    return figure


def finite_difference_errors(
    steps: NDArray[np.float64], errors: NDArray[np.float64], wrong: NDArray[np.float64]
) -> Figure:
    """Relative error of central differences against their step, both axes logarithmic, for two gradients.

    Cutting the Taylor series off errs as the square of the step, rounding as one over it: lines of those slopes pass
    through the errors at the largest and the smallest step.

    Args:
        steps: step sizes, in any order.
        errors: how far the differences are from the right gradient, as a share of it, at each step.
        wrong: the same for a wrong gradient.

    Returns:
        One panel, the step of least error marked.

    Raises:
        ValueError: the arrays are not of one length, or an error is not above 0.

    >>> steps = np.logspace(-8, -1, 8)
    >>> finite_difference_errors(steps, steps**2 + 1e-16 / steps, steps**2 + 0.3).axes[0].get_yscale()
    'log'
    """
    shapes = steps.shape, errors.shape, wrong.shape
    if len(set(shapes)) != 1 or steps.ndim != 1:
        raise ValueError(f"expected three 1-D arrays of one length, got shapes {shapes[0]}, {shapes[1]}, {shapes[2]}")
    least = min(errors.min(), wrong.min())
    if not least > 0:
        raise ValueError(f"errors must be above 0 for a logarithmic axis, got {least}")
    figure, axes = new_figure(title="A right gradient draws a V, a wrong one a floor", height=3.8)
    ax = axes.item()
    ax.loglog(steps, wrong, "s-", color=COLOURS["wrong"], markersize=4, label="a wrong gradient")
    ax.loglog(steps, errors, "o-", color=COLOURS["batch_norm"], markersize=4, label="the right gradient")
    best = errors.argmin()
    label = f"its best step, {steps[best]:.0e}"
    ax.plot(steps[best], errors[best], "o", color=COLOURS["output"], markersize=9, label=label)
    for anchor, slope, style, label in (
        (steps.argmin(), -1, ":", "rounding, as 1 / step"),
        (steps.argmax(), 2, "--", "truncation, as step²"),
    ):
        line = errors[anchor] * (steps / steps[anchor]) ** slope
        seen = line >= errors.min()
        ax.plot(steps[seen], line[seen], style, color=COLOURS["theory"], linewidth=1.2, label=label)
    ax.set(xlabel="step of the central difference", ylabel="relative error")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def on_paper(points: Float64[np.ndarray, "*more 3"]) -> Float64[np.ndarray, "*more 2"]:
    """Points in space as an eye sees them that looks, from afar, down upon the plane of sum 0; 1 points upwards.

    >>> on_paper(np.array([1.0, 0.0, 0.0])).round(2)
    array([0.58, 0.25])
    """
    across, away, up = _basis()
    seen: Float64[np.ndarray, "*more 2"] = points @ np.stack(
        [across, np.sin(ELEVATION) * away + np.cos(ELEVATION) * up], axis=1
    )
    return seen


def _basis() -> Float64[np.ndarray, "3 3"]:
    """Unit vectors: to the right and away from the eye in the plane of sum 0, and along 1."""
    first, second = np.array([1.0, -1.0, 0.0]) / np.sqrt(2), np.array([1.0, 1.0, -2.0]) / np.sqrt(6)
    turned = np.radians(75)  # so that no axis points at the eye
    across = np.cos(turned) * first + np.sin(turned) * second
    away = np.cos(turned) * second - np.sin(turned) * first
    return np.stack([across, away, np.ones(3) / np.sqrt(3)])


def _draw_circle(ax: Axes) -> None:
    across, away, _ = _basis()
    ring = np.cos(TURN)[:, None] * across + np.sin(TURN)[:, None] * away
    ax.fill(*(SPHERE * np.stack([np.cos(TURN), np.sin(TURN)])), color=COLOURS["other"], alpha=0.35, linewidth=0)
    ax.fill(*on_paper(2.35 * ring).T, color=COLOURS["input"], alpha=0.18, linewidth=0)
    circle = on_paper(SPHERE * ring)
    behind = np.sin(TURN) >= 0  # away from the eye
    ax.plot(*circle[behind].T, color=COLOURS["output"], linewidth=1.2, linestyle=(0, (4, 2)))
    ax.plot(*circle[~behind].T, color=COLOURS["output"], linewidth=2.5, label="the circle of x_hat")
    for name, axis in zip("123", np.eye(3), strict=True):
        tip = on_paper(2.2 * axis)
        ax.plot([0, tip[0]], [0, tip[1]], color="#A0A0A0", linewidth=0.8)
        ax.text(1.08 * tip[0], 1.08 * tip[1], f"element {name}", color="#606060", fontsize=9, ha="center", va="bottom")


def _draw_arrows(
    ax: Axes, x_hat: NDArray[np.float64], grad_y: NDArray[np.float64], passed: NDArray[np.float64]
) -> None:
    """From x_hat: what arrives, what passes, and the two parts between them that are taken out."""
    along_one = np.full(3, grad_y.mean())
    start, tangent, radial, end = on_paper(x_hat + np.array([np.zeros(3), passed, grad_y - along_one, grad_y]))
    ax.plot(*np.array([tangent, radial]).T, "--", color=COLOURS["averaged"], label="taken out, along x_hat")
    ax.plot(*np.array([radial, end]).T, ":", color=COLOURS["wrong"], label="taken out, along 1")
    for tip, role, label in ((end, "theory", "arrives: grad_y"), (tangent, "batch_norm", "passes: grad_x")):
        ax.annotate("", tip, start, arrowprops=ARROW | {"color": COLOURS[role], "linewidth": 2.2})
        ax.plot([], [], color=COLOURS[role], label=label)
    ax.plot(*start, "o", color=COLOURS["output"], markersize=7)
    ax.annotate("x_hat", start, xytext=(-6, -14), textcoords="offset points", ha="right")
    ax.set_aspect("equal")
    ax.set_axis_off()
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, fontsize=9)


def _draw_shares(ax: Axes, counts: NDArray[np.int_], shares: NDArray[np.float64]) -> None:
    mean, (low, high) = shares.mean(axis=1), np.quantile(shares, [0.1, 0.9], axis=1)
    fine = np.geomspace(counts[0], counts[-1], 100)
    ax.semilogx(fine, (fine - 2) / fine, "--", color=COLOURS["theory"], label="(m - 2) / m")
    ax.vlines(counts, low, high, color=COLOURS["batch_norm"], linewidth=1.5, label="10% to 90% of the draws")
    ax.plot(counts, mean, "o", color=COLOURS["batch_norm"], label="their mean")
    ax.set_xticks(counts, [f"{count}" for count in counts])
    ax.minorticks_off()
    ax.set(xlabel="elements per channel, m", ylabel="share of the energy that passes", ylim=(-0.03, 1.03))
    ax.legend(loc="lower right")


def _row(values: Numbers) -> str:
    """The numbers as one would write them on paper: `2.6, -3.2`."""
    return ", ".join(f"{value:.4g}" for value in np.atleast_1d(values).round(4) + 0.0)  # + 0.0 turns -0 into 0
