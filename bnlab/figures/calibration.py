"""How well confidence matches success."""

import math

import numpy as np
from jaxtyping import Bool, Num
from matplotlib.figure import Figure

from bnlab.figures.style import COLOURS, new_figure

GROUPS = (40, 60, 75, 90)  # stated confidences that begin a new group, in percent
Z = 1.96  # standard deviations of a normal distribution on each side that hold 95% of it


def calibration_curve(confidence: Num[np.ndarray, " n"], right: Bool[np.ndarray, " n"]) -> Figure:
    """Share of right answers against stated confidence, in up to five groups, with the diagonal of perfect calibration.

    Each group stands at its mean confidence, with its count and its 95% interval, which is wide where there are few
    answers. The title claims a difference only if the interval of all answers leaves out their mean confidence.

    Args:
        confidence: stated with each answer, in percent.
        right: whether each answer was right.

    Returns:
        One panel.

    Raises:
        ValueError: the two differ in shape, are empty, or a confidence is not from 0 to 100.

    >>> calibration_curve(np.full(20, 90), np.arange(20) < 10).get_suptitle().split(":")[0]
    'More sure than right'
    """
    if confidence.ndim != 1 or confidence.shape != right.shape or confidence.size == 0:
        raise ValueError(f"expected one confidence for each answer, got shapes {confidence.shape} and {right.shape}")
    if not ((confidence >= 0) & (confidence <= 100)).all():
        raise ValueError(f"expected confidences from 0 to 100, got {confidence.min()} to {confidence.max()}")
    figure, axes = new_figure(title=_finding(confidence, right), width=5.6, height=4.8)
    ax = axes.item()
    ax.plot([0, 100], [0, 100], ":", color=COLOURS["theory"], linewidth=1.2, label="as sure as right")
    group_of = np.digitize(confidence, GROUPS)
    groups = [group_of == group for group in np.unique(group_of)]
    sure = np.array([confidence[group].mean() for group in groups])
    share = np.array([100 * right[group].mean() for group in groups])
    low, high = np.transpose([wilson_interval(int(right[group].sum()), int(group.sum())) for group in groups])
    errors = [share - 100 * low, 100 * high - share]
    ax.errorbar(
        sure, share, errors, fmt="o", color=COLOURS["batch_norm"], linewidth=1.2, label="you, with 95% interval"
    )
    for x, y, group in zip(sure, share, groups, strict=True):
        count = f"{right[group].sum()} of {group.sum()}"
        ax.annotate(count, (x, y), xytext=(-6, 0), textcoords="offset points", ha="right", va="center")
    ax.set(xlabel="how sure, % (mean of each group)", ylabel="right, %", xlim=(0, 104), ylim=(-4, 104))
    figure.legend(loc="outside lower center", ncols=2)  # the data may lie anywhere
    return figure


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """The 95% interval of a share, also of a handful of answers (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Args:
        successes: how many of them.
        count: of how many, at least 1.

    >>> low, high = wilson_interval(1, 1)
    >>> round(low, 2), high
    (0.21, 1.0)
    """
    share, scale = successes / count, 1 + Z**2 / count
    middle = share + Z**2 / (2 * count)
    half = Z * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def _finding(confidence: Num[np.ndarray, " n"], right: Bool[np.ndarray, " n"]) -> str:
    sure, hits, count = confidence.mean(), int(right.sum()), right.size
    low, high = wilson_interval(hits, count)
    if 100 * high < sure:
        word = "More sure than right"
    elif 100 * low > sure:
        word = "Less sure than right"
    else:
        word = "No gap to be seen yet"
    return f"{word}: {sure:.0f}% sure on average, and right in {hits} of {count} answer{'s' if count > 1 else ''}"
