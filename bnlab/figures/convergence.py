"""Steps to a given accuracy: by learning rate, along training, and as seconds."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnlab.experiments.studies.convergence import Result
from bnlab.figures.style import COLOURS, new_figure

LABELS = {"no_norm": "without batch norm", "batch_norm": "with batch norm"}
SIDES = {"no_norm": 0.94, "batch_norm": 1.06}  # arms stand side by side, so that neither hides the other
SIGMOID_AND_RELU = {"sigmoid": "sigmoid", "relu": "ReLU"}


def steps_by_rate(results: list[Result], *, title: str) -> Figure:
    """Steps to the accuracy against the learning rate: a dot a seed, a line through medians, "never" above the rest.

    Args:
        results: the study with one activation each.
        title: the finding.

    Returns:
        A panel for each result, logarithmic on both axes; a ring marks an arm's best rate.
    """
    figure, axes = new_figure(1, len(results), title=title, height=4.0)
    for ax, result in zip(axes.flat, results, strict=True):
        rates, never = np.array(result.config.learning_rates), 2 * result.config.steps
        ax.set(xscale="log", yscale="log")
        for arm, steps in result.validation.items():
            _dots(ax, rates * SIDES[arm], steps, never, COLOURS[arm])
            middle = np.median(np.where(np.isfinite(steps), steps, never), axis=1)
            seen = middle < never
            ax.plot(rates[seen] * SIDES[arm], middle[seen], color=COLOURS[arm], label=LABELS[arm])
            best = result.best_rate(arm)
            ax.plot(rates[best] * SIDES[arm], middle[best], "o", color=COLOURS[arm], fillstyle="none", markersize=15)
        ax.axhline(result.config.steps * 1.3, color=COLOURS["theory"], linestyle=":", linewidth=1)
        ax.set_xticks(rates, [f"{rate:g}" for rate in rates])
        ticks = [step for step in (10, 30, 100, 300, 1000, 3000) if step <= result.config.steps]
        ax.set_yticks([*ticks, never], [*map(str, ticks), "never"])
        ax.minorticks_off()
        ax.set_title(f"{SIGMOID_AND_RELU[result.config.activation]}, given up after {result.config.steps:,} steps")
        ax.set_xlabel("learning rate (log scale)")
    axes[0, 0].set_ylabel(f"steps to {results[0].config.accuracy:.0%} in validation (log scale)")
    axes[0, -1].legend(loc="center right" if len(results) > 1 else "best")
    return figure


def _dots(
    ax: Axes, rates: Float[np.ndarray, " rates"], steps: Float[np.ndarray, "..."], never: int, colour: str
) -> None:
    for rate, seeds in zip(rates, steps, strict=True):
        spread = rate * np.geomspace(0.95, 1.05, seeds.size)  # so that dots do not hide each other
        arrived = np.isfinite(seeds)
        ax.plot(spread[arrived], seeds[arrived], "o", color=colour, alpha=0.6, markersize=4, markeredgewidth=0)
        ax.plot(spread[~arrived], np.full((~arrived).sum(), never), "x", color=colour, markersize=5)


def steps_and_seconds(result: Result, *, title: str) -> Figure:
    """Validation accuracy at each arm's best rate, against steps and against seconds: median and range over the seeds.

    Args:
        result: the study.
        title: the finding.

    Returns:
        Two panels with one accuracy axis; a curve ends where the last run of its arm has arrived or was given up. An
        arrow leads from one arm's median arrival on test images to the other's, and bears the median of the ratios.
    """
    figure, axes = new_figure(1, 2, title=title, height=4.2, sharey=True)
    looks = np.array(result.config.steps_to_look_at())
    for arm, curves in result.curves.items():
        seen = ~np.isnan(curves).any(axis=1)
        rate = result.config.learning_rates[result.best_rate(arm)]
        for ax, unit in zip(axes.flat, (1.0, np.median(result.seconds[arm])), strict=True):
            x, accuracy = looks[seen] * unit, 100 * curves[seen]
            ax.fill_between(x, accuracy.min(1), accuracy.max(1), color=COLOURS[arm], alpha=0.25, linewidth=0)
            ax.plot(x, np.median(accuracy, axis=1), color=COLOURS[arm], label=f"{LABELS[arm]}, rate {rate:g}")
    cost = {arm: float(np.median(seconds)) for arm, seconds in result.seconds.items()}
    arrivals = {arm: float(np.median(steps)) for arm, steps in result.test.items()}
    _gap(axes[0, 0], result, arrivals, float(np.median(result.times_fewer_steps())))
    by_the_clock = {arm: steps * cost[arm] for arm, steps in arrivals.items()}
    _gap(axes[0, 1], result, by_the_clock, float(np.median(result.times_less_time())))
    axes[0, 0].set(xlabel="steps (log scale)", ylabel="validation accuracy, %")
    axes[0, 1].set(xlabel="seconds (log scale)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _gap(ax: Axes, result: Result, arrivals: dict[str, float], times: float) -> None:
    """The line to reach, and on it an arrow from the one arm's arrival to the other's."""
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    height = 100 * result.config.accuracy
    ax.axhline(height, color=COLOURS["theory"], linestyle=":", linewidth=1)
    ends = arrivals["batch_norm"], arrivals["no_norm"]
    arrow = {"arrowstyle": "->", "color": COLOURS["theory"], "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", xy=(ends[0], height), xytext=(ends[1], height), arrowprops=arrow)
    ax.text(float(np.sqrt(ends[0] * ends[1])), height + 9, f"{times:.1f} times", ha="center", va="bottom")
    ax.set_ylim(5, 112)
    ax.set_yticks(range(20, 101, 20))
