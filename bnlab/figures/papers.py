"""Ten figures of the papers, redrawn on a laptop: a panel for each, on one sheet or alone."""

import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnlab.experiments import papers
from bnlab.experiments.papers.findings import SLOW_RATE, plain_and_next
from bnlab.experiments.studies.signal_propagation import GROWTH_IN_THEORY
from bnlab.figures.scale_and_depth import OVERFLOW
from bnlab.figures.style import COLOURS, new_figure

Results = Mapping[str, Any]
ARMS = {"no_norm": "no norm", "batch_norm": "batch norm"}
NOISY = {"no_norm": "no_norm", "batch_norm": "batch_norm", "batch_norm 0.5": "averaged"}  # arm: role
TRAINED = {"all": ("all", "other"), "affine": ("gamma,\nbeta", "batch_norm"), "head": ("head", "input")} | {
    "random": ("as many\nweights", "no_norm")
}
SIZES = {  # study: each arm's label, role and line
    "small_batches": {
        "batch_norm": ("batch norm, MLP", "batch_norm", "-"),
        "layer_norm": ("layer norm, MLP", "output", "-"),
    },
    "small_batches_cnn": {
        "batch_norm": ("batch norm, CNN", "batch_norm", ":"),
        "group_norm": ("group norm, CNN", "output", ":"),
    },
}
AFTER = ("input", "batch_norm", "averaged")  # roles of the numbers of steps
LETTERS, LETTERS_ALONE = 56, 92  # of a panel's title in a line, on the sheet and alone


def ten_figures(results: Results, *, title: str) -> Figure:
    """All figures of `papers.TEN` on one sheet.

    Args:
        results: of their studies by name, as `papers.stored_results` gives them.
        title: the finding.

    Returns:
        Panels in two columns, each with its paper, the verdict and what was measured as its title.
    """
    rows = -(-len(papers.TEN) // 2)
    figure, axes = new_figure(rows, 2, title=title, width=10.0, height=3.7 * rows)
    for number, (ax, row) in enumerate(zip(axes.flat, papers.judge(results), strict=True), start=1):
        PANELS[row.id](ax, results)
        ax.set_title(_fill(f"{number}. {_cited(row)}: {row.verdict}", row.headline, LETTERS), fontsize=10)
    return figure


def redrawn_figure(id: str, results: Results, *, title: str) -> Figure:  # noqa: A002 - as `papers.redrawn` calls it
    """One of the figures alone, large.

    Args:
        id: of the figure.
        results: of the studies that it needs, at least.
        title: the finding.

    Raises:
        ValueError: there is no figure of this id.
    """
    row = papers.redrawn(id).judge(results)
    figure, axes = new_figure(title=title, height=4.4)
    PANELS[id](axes.item(), results)
    axes.item().set_title(_fill(f"{_cited(row)}: {row.verdict}", row.headline, LETTERS_ALONE), fontsize=10)
    return figure


def _cited(row: papers.Judged) -> str:
    return row.redrawn.paper.partition(", arXiv")[0]


def _fill(first: str, second: str, letters: int) -> str:
    return "\n".join([first, *textwrap.wrap(second, letters)])


def _sigmoid_inputs(ax: Axes, results: Results) -> None:
    """Left accuracy by step, each arm at its best rate; right a unit's input by step, median and 15% to 85%."""
    ax.set_axis_off()
    left, right = ax.inset_axes((0.0, 0.0, 0.42, 1.0)), ax.inset_axes((0.58, 0.0, 0.42, 1.0))
    steps, drift = results["convergence"], results["input_drift"]
    looks, rate = np.array(steps.config.steps_to_look_at()), drift.config.learning_rates.index(SLOW_RATE)
    for arm, place in (("no_norm", "no_norm"), ("batch_norm", "after_norm")):
        curves = 100 * steps.curves[arm]
        seen = ~np.isnan(curves).any(axis=1)
        _band(left, looks[seen], curves[seen], role=arm, label=ARMS[arm])
        low, middle, high = drift.quantiles[place][rate, -1, :, :, 0].T
        right.fill_between(drift.looks(), low, high, color=COLOURS[arm], alpha=0.25, linewidth=0)
        right.plot(drift.looks(), middle, color=COLOURS[arm])
    left.set(xlabel="steps (log scale)", ylabel="accuracy, %", xscale="log", ylim=(0, 135))
    left.set_yticks(range(0, 101, 20))
    right.set(xlabel="steps", ylabel="input of a sigmoid")
    left.legend(fontsize=9, loc="upper left")


def _steps_by_rate(ax: Axes, results: Results) -> None:
    result = results["convergence_relu"]
    rates, never = np.array(result.config.learning_rates), 2 * result.config.steps
    multiples = rates / rates[plain_and_next(result)[0]]
    for arm, label in ARMS.items():
        steps = np.where(np.isfinite(result.validation[arm]), result.validation[arm], never)
        _dots(ax, multiples, steps, role=arm)
        ax.plot(multiples, np.median(steps, axis=1), color=COLOURS[arm], label=label)
    ax.axhline(1.4 * result.config.steps, color=COLOURS["theory"], linestyle=":", linewidth=1)
    ax.set(xscale="log", yscale="log", xlabel="multiples of the plain network's best rate", ylabel="steps to 90%")
    ax.set_xticks(multiples, [f"{multiple:.2g}" for multiple in multiples])
    ticks = [step for step in (10, 30, 100, 300, 1000) if step <= result.config.steps]
    ax.set_yticks([*ticks, never], [*map(str, ticks), "never"])
    ax.minorticks_off()
    ax.legend(fontsize=9)


def _noisy_norm(ax: Axes, results: Results) -> None:
    result = results["noisy_norm"]
    for arm, role in NOISY.items():
        drift, accuracy = result.over_training("drift", arm, result.best_rate(arm)), 100 * result.test[arm]
        label = f"{ARMS[arm.partition(' ')[0]]}{', noise 0.5' if ' ' in arm else ''}"
        ax.plot(drift, accuracy, "o", color=COLOURS[role], alpha=0.7, markersize=5, markeredgewidth=0, label=label)
        ax.plot(np.median(drift), np.median(accuracy), "+", color=COLOURS["theory"], markersize=12, zorder=4)
    ax.set(xscale="log", xlabel="drift in a step, stds (log scale)", ylabel="test accuracy, %")
    ax.legend(fontsize=9, loc="lower left")


def _landscape(ax: Axes, results: Results) -> None:
    """Medians over the seeds of the loss and of its smallest and largest value on a line along the gradient."""
    result = results["landscape"]
    for arm, label in ARMS.items():
        on_line = np.concatenate([result.loss[arm][:, None], result.loss_along[arm]], axis=1)
        low, high = (np.median(edge, axis=1) for edge in (on_line.min(axis=1), on_line.max(axis=1)))
        ax.fill_between(result.looks(), low, high, color=COLOURS[arm], alpha=0.3, linewidth=0)
        ax.plot(result.looks(), np.median(result.loss[arm], axis=1), color=COLOURS[arm], label=label)
    ax.set(xlabel="steps", ylabel="loss along the gradient, nats")
    ax.legend(fontsize=9)


def _activations(ax: Axes, results: Results) -> None:
    result = results["activation_growth"]
    layers, rate = np.arange(1, result.config.depth + 1), result.config.learning_rates.index(1.0)
    for arm, label in ARMS.items():
        start, end = (np.minimum(result.mean_square[arm][time, rate], OVERFLOW) for time in (0, -1))
        ax.plot(layers, np.median(start, axis=1), color=COLOURS[arm], linestyle="--", linewidth=1.2)
        _band(ax, layers, end, role=arm, label=label)
    ax.axhline(OVERFLOW, color=COLOURS["theory"], linestyle=":", linewidth=1)
    ax.annotate("beyond float32", (layers[-1], OVERFLOW), (0, -13), textcoords="offset points", ha="right")
    ax.set(yscale="log", xlabel="hidden layer; dashed: at the start", ylabel="mean-square activation")
    ax.legend(fontsize=9, loc="center right")


def _gradient_growth(ax: Axes, results: Results) -> None:
    """The gradient in units of that at the last hidden layer, from He's start."""
    result = results["signal_propagation"]
    layers, start = np.arange(1, result.config.depth + 1), result.config.scales.index(1.0)
    ax.plot(
        layers,
        GROWTH_IN_THEORY ** (layers[-1] - layers),
        color=COLOURS["other"],
        linewidth=8,
        label=f"{GROWTH_IN_THEORY:.3f} a layer",
    )
    for arm, label in ARMS.items():
        gradient = result.gradient[arm][start]
        _band(ax, layers, gradient / gradient[-1], role=arm, label=label)
    ax.set(yscale="log", xlabel="hidden layer (1 is next to the input)", ylabel="gradient, 1 at the last")
    ax.set_xticks([1, *range(5, layers[-1] + 1, 5)])
    ax.set_yticks([1, 3, 10, 30], ["1", "3", "10", "30"])
    ax.minorticks_off()
    ax.legend(fontsize=9)


def _residual_branch(ax: Axes, results: Results) -> None:
    result = results["residual_signal"]
    blocks = np.arange(1, result.config.blocks + 1)
    for arm, label in ARMS.items():
        _band(ax, blocks, result.ratio(arm), role=arm, label=label)
    ax.plot(blocks, 1 / blocks, color=COLOURS["theory"], linestyle="--", linewidth=1.2, label="1 / l")
    ax.set(xscale="log", yscale="log", xlabel="block l (log scale)", ylabel="variance of branch / skip")
    ticks = [2**power for power in range(int(np.log2(blocks[-1])) + 1)]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.legend(fontsize=9, loc="lower left")


def _batch_size(ax: Axes, results: Results) -> None:
    for study, arms in SIZES.items():
        sizes = np.array(results[study].config.batch_sizes)
        for arm, (label, role, line) in arms.items():
            errors = 100 - 100 * results[study].test[arm]
            _dots(ax, sizes, errors, role=role)
            ax.plot(sizes, errors.mean(axis=1), line, color=COLOURS[role], label=label)
    ax.set(xscale="log", yscale="log", xlabel="examples in a batch (log scale)", ylabel="test error, % (log scale)")
    ax.set_yticks([5, 10, 20, 50, 100], ["5", "10", "20", "50", "100"])
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    ax.legend(fontsize=9)


def _gamma_only(ax: Axes, results: Results) -> None:
    result = results["affine_only"]
    for place, (arm, (_, role)) in enumerate(TRAINED.items()):
        accuracy = 100 * result.test[arm]
        _dots(ax, np.array([place]), accuracy[None], role=role)
        ax.plot([place - 0.25, place + 0.25], [accuracy.mean()] * 2, color=COLOURS[role])
    trained = [f"{label}\n({int(result.trained[arm]):,})" for arm, (label, _) in TRAINED.items()]
    ax.set_xticks(range(len(TRAINED)), trained)
    ax.grid(visible=False, axis="x")
    ax.axhline(10, color=COLOURS["theory"], linestyle=":", linewidth=1)
    ax.set(xlabel="what is trained (how many numbers)", ylabel="test accuracy, %", ylim=(0, 103))


def _running_average(ax: Axes, results: Results) -> None:
    result = results["running_statistics"]
    gaps, momenta = 100 * result.gap(result.best_rate()), np.array(result.config.momenta)
    for steps, gap, role in zip(result.config.steps, gaps, AFTER, strict=True):
        _dots(ax, momenta, gap, role=role)
        ax.plot(momenta, gap.mean(axis=1), color=COLOURS[role], label=f"after {steps:,} steps")
    ax.axhline(0, color=COLOURS["theory"], linestyle=":", linewidth=1)
    ax.set(xscale="log", xlabel="momentum, weight of the new batch (log scale)", ylabel="cost in accuracy, points")
    ax.set_xticks(momenta, [f"{momentum:g}" for momentum in momenta])
    ax.minorticks_off()
    ax.legend(fontsize=9)


def _band(
    ax: Axes, x: Float[np.ndarray, " points"], numbers: Float[np.ndarray, "points seeds"], *, role: str, label: str
) -> None:
    ax.fill_between(x, numbers.min(1), numbers.max(1), color=COLOURS[role], alpha=0.25, linewidth=0)
    ax.plot(x, np.median(numbers, axis=1), color=COLOURS[role], label=label)


def _dots(ax: Axes, x: Float[np.ndarray, " points"], numbers: Float[np.ndarray, "points seeds"], *, role: str) -> None:
    for at, seeds in zip(x, numbers, strict=True):
        ax.plot([at] * seeds.size, seeds, "o", color=COLOURS[role], alpha=0.5, markersize=4, markeredgewidth=0)


PANELS: dict[str, Callable[[Axes, Results], None]] = {
    "sigmoid-inputs": _sigmoid_inputs,
    "steps-by-rate": _steps_by_rate,
    "noisy-norm": _noisy_norm,
    "landscape": _landscape,
    "activations": _activations,
    "gradient-growth": _gradient_growth,
    "residual-branch": _residual_branch,
    "batch-size": _batch_size,
    "gamma-only": _gamma_only,
    "running-average": _running_average,
}
