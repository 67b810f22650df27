"""Scale and depth: what a norm does to the scale of weights, of gradients and of activations, layer by layer."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnlab.experiments.studies.activation_growth import Result as ActivationResult
from bnlab.experiments.studies.effective_rate import Result as RateResult
from bnlab.experiments.studies.effective_rate import balance, key
from bnlab.experiments.studies.gradient_growth import ACTIVATIONS, growth_in_theory
from bnlab.experiments.studies.gradient_growth import Result as GradientResult
from bnlab.experiments.studies.scale_invariance import Result as ScaleResult
from bnlab.figures.learning_rates import LABELS
from bnlab.figures.style import COLOURS, new_figure

SCALED = {  # arm: label, colour and marker
    "no_norm": ("no norm", COLOURS["no_norm"], "D"),
    "batch_norm": ("batch norm, eps 1e-5", COLOURS["batch_norm"], "o"),
    "no_eps": ("batch norm, eps 1e-100", COLOURS["output"], "s"),
}
SCALE_ROWS = {
    "output": "change of the logits,\nshare of their norm",
    "gradient": "norm of the gradient,\n1 at scale 1",
    "cosine": "|cosine| of gradient\nand weights",
}
RATE_COLOURS = (COLOURS["input"], COLOURS["batch_norm"], COLOURS["averaged"], COLOURS["wrong"])
ACTIVATION_LINES = {  # label, colour and marker
    "relu": ("ReLU", COLOURS["wrong"], "o"),
    "tanh": ("tanh", COLOURS["output"], "s"),
    "linear": ("none (linear)", COLOURS["input"], "^"),
}
OVERFLOW = 1e36  # where what no longer fits into float32 is drawn


def scale_of_weights(result: ScaleResult, *, title: str) -> Figure:
    """Logits, gradient and its angle to the weights, by the factor of all hidden weights, in float64.

    Args:
        result: the study.
        title: the finding.

    Returns:
        Three panels with logarithmic axes: a dot a seed, a line through the medians of each arm; what is exactly 0, as
        the logits' change at scale 1, is left out. In the second a grey line has the law 1 / scale.
    """
    figure, axes = new_figure(1, 3, title=title, width=10.0, height=3.9)
    scales = np.array(result.config.scales)
    for ax, (name, label) in zip(axes[0], SCALE_ROWS.items(), strict=True):
        if name == "gradient":
            ax.plot(scales, 1 / scales, color=COLOURS["other"], linewidth=8, zorder=1, label="1 / scale")
        for arm, (text, colour, marker) in SCALED.items():
            numbers = np.where(getattr(result, name)[arm] > 0, getattr(result, name)[arm], np.nan)
            _seeds_and_medians(ax, scales, numbers, colour=colour, marker=marker, label=text)
        ax.set(xscale="log", yscale="log", title=label, xlabel="factor of hidden weights (log scale)")
        ax.set_xticks(scales[::2])
        ax.minorticks_off()
    handles, labels = axes[0, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def effective_rates(result: RateResult, *, title: str) -> Figure:
    """Squared norm, effective rate and angle of a step in the course of training, by learning rate and decay.

    Args:
        result: the study.
        title: the finding.

    Returns:
        A column for each product of rate and decay; rows for the squared norm, the effective rate and the angle, a row
        on one logarithmic axis. A line a learning rate through the medians of the seeds, in a band from the smallest to
        the largest; a dashed line at the angle at which growth and decay balance.
    """
    products = result.config.products
    figure, axes = new_figure(3, len(products), title=title, width=9.0, height=7.0, sharex=True, sharey="row")
    looks = result.looks()
    for column, product in zip(axes.T, products, strict=True):
        for number, rate in enumerate(result.config.learning_rates):
            colour = RATE_COLOURS[number % len(RATE_COLOURS)]
            with_start = np.array([0.0, *looks])
            _band(column[0], with_start, result.squared_norm[key(product)][number], colour=colour, label=f"{rate:g}")
            _band(column[1], with_start, result.effective_rate(product, rate), colour=colour, label=f"{rate:g}")
            _band(column[2], looks, result.angle[key(product)][number], colour=colour, label=f"{rate:g}")
        if product:
            column[2].axhline(balance(product), color=COLOURS["theory"], linestyle="--", linewidth=1.2)
        column[0].set_title(f"rate x decay = {product:g}" if product else "no decay")
        column[2].set_xlabel("steps")
    for ax, label in zip(axes[:, 0], ("|w|²", "rate / |w|²", "angle of a step, rad"), strict=True):
        ax.set(yscale="log", ylabel=f"{label}\n(log scale)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), title="rate of the hidden weights")
    return figure


def gradient_growth(result: GradientResult, *, title: str) -> Figure:
    """By what a layer multiplies the gradient on its way to the input, before training.

    Args:
        result: the study.
        title: the finding.

    Returns:
        Two panels by batch size, without batch norm and with it: a dot a seed, a line through the medians of each
        activation, with a norm beside dashed lines at the theory of wide layers and large batches; a third panel with
        ReLU and batch norm by width. One axis.
    """
    figure, axes = new_figure(1, 3, title=title, width=10.0, height=4.4, sharey=True)
    for ax, arm in zip(axes[0], LABELS, strict=False):
        for activation in ACTIVATIONS:
            label, colour, marker = ACTIVATION_LINES[activation]
            growth = result.growth[f"{arm} {activation}"]
            _seeds_and_medians(ax, result.config.batch_sizes, growth, colour=colour, marker=marker, label=label)
            if arm == "batch_norm":
                ax.axhline(growth_in_theory(activation), color=colour, linestyle="--", linewidth=1.2)
        ax.set(title=LABELS[arm], xlabel="batch size (log scale)")
        _ticks(ax, result.config.batch_sizes)
    last = axes[0, 2]
    label, colour, marker = ACTIVATION_LINES["relu"]
    _seeds_and_medians(last, result.config.widths, result.by_width, colour=colour, marker=marker, label=label)
    last.axhline(growth_in_theory("relu"), color=colour, linestyle="--", linewidth=1.2)
    last.set(title=f"with batch norm, batch {max(result.config.batch_sizes)}", xlabel="width (log scale)")
    _ticks(last, result.config.widths)
    axes[0, 0].set_ylabel("growth of the gradient's norm a layer")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, title="activation; dashed: theory")
    return figure


def activations_after_steps(result: ActivationResult, *, title: str) -> Figure:
    """Mean-square activation by layer after a few steps, by learning rate, with batch norm and without.

    Args:
        result: the study.
        title: the finding.

    Returns:
        A panel for each arm on one logarithmic axis: a thin line a seed and a thick one through the medians for each
        learning rate, and a grey one at the start. What no longer fits into float32 stands at the upper edge.
    """
    figure, axes = new_figure(1, 2, title=title, height=4.4, sharey=True)
    layers = np.arange(1, result.config.depth + 1)
    for ax, (arm, numbers) in zip(axes[0], result.mean_square.items(), strict=True):
        shown = np.minimum(numbers, OVERFLOW)  # (times, rates, layers, seeds)
        ax.plot(layers, np.median(shown[0, 0], axis=-1), color=COLOURS["other"], linewidth=8, zorder=1, label="start")
        for number, rate in enumerate(result.config.learning_rates):
            colour = RATE_COLOURS[number % len(RATE_COLOURS)]
            for seed in shown[-1, number].T:
                ax.plot(layers, seed, color=colour, linewidth=0.6, alpha=0.5)
            ax.plot(layers, np.median(shown[-1, number], axis=-1), color=colour, label=f"{rate:g}")
        ax.axhline(OVERFLOW, color=COLOURS["theory"], linestyle=":", linewidth=1)
        ax.set(yscale="log", title=LABELS[arm], xlabel="hidden layer (1 is next to the input)")
        ax.set_xticks([1, *range(5, result.config.depth + 1, 5)])
    axes[0, 1].annotate("beyond float32", (layers[-1], OVERFLOW), (0, -13), textcoords="offset points", ha="right")
    axes[0, 0].set_yticks([1.0, 1e12, 1e24, OVERFLOW])
    axes[0, 0].set_ylabel("mean-square activation (log scale)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    title_of_legend = f"after {result.config.steps} steps at a learning rate of"
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), title=title_of_legend)
    return figure


def _seeds_and_medians(
    ax: Axes, x: np.ndarray | tuple[int, ...], numbers: np.ndarray, *, colour: str, marker: str, label: str
) -> None:
    for at, seeds in zip(x, numbers, strict=True):
        ax.plot([at] * len(seeds), seeds, marker, color=colour, alpha=0.5, markersize=4, markeredgewidth=0)
    ax.plot(x, np.median(numbers, axis=1), color=colour, marker=marker, markersize=5, label=label)


def _band(ax: Axes, x: np.ndarray, numbers: np.ndarray, *, colour: str, label: str) -> None:
    ax.fill_between(x, numbers.min(1), numbers.max(1), color=colour, alpha=0.2, linewidth=0)
    ax.plot(x, np.median(numbers, axis=1), color=colour, label=label)


def _ticks(ax: Axes, values: tuple[int, ...]) -> None:
    ax.set_xscale("log")
    ax.set_xticks(values, [str(value) for value in values])
    ax.minorticks_off()
