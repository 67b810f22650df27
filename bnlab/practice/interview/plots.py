"""The plots that questions show: numbers of the course's studies, or computed here, drawn as a figure or as text."""

import math
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import plotext
import torch
from torch import Tensor, nn

from bnlab.experiments.data import load
from bnlab.experiments.models import mlp
from bnlab.experiments.studies import study_of
from bnlab.figures.scenarios import Curves

__all__ = ["PLOTS", "Curves", "as_text"]

MARKERS = "ox+*"  # of the lines of one drawing: what tells them apart without a colour
HEIGHT = 11  # of the panel, in lines of text
MOST_TICKS = 8  # on the axis across


def as_text(curves: Curves, width: int = 76) -> str:
    """The curves in characters without a colour: a title, the panel, and what stands on its axes and for each line.

    Args:
        curves: what to draw.
        width: columns that no line exceeds, whatever the size of the terminal.

    Returns:
        Lines of text.
    """
    plotext.terminal.limit(width=False, height=False)
    panel = plotext.figure
    panel.clear()
    panel.theme("colorless")
    panel.plot_size(width, HEIGHT)
    for marker, (xs, ys) in zip(MARKERS, curves.lines.values(), strict=False):
        line = panel.signal(np.log10(xs).tolist() if curves.log_x else list(xs), list(ys), marker=marker)
        line.lines()
        panel.draw(line)
    xs = max((list(xs) for xs, _ in curves.lines.values()), key=len)
    ticks = xs[:: math.ceil(len(xs) / MOST_TICKS)]
    panel.ruler("x").ticks(np.log10(ticks).tolist() if curves.log_x else ticks, [f"{tick:g}" for tick in ticks])
    drawn = panel.build().string(colorless=True)
    names = [f"{marker}: {name}" for marker, name in zip(MARKERS, curves.lines, strict=False)]
    about = f"Up: {curves.y_label}. Across: {curves.x_label}. {'; '.join(names)}"
    text = "\n".join((textwrap.fill(curves.title, width), drawn, textwrap.fill(about, width)))
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


def _accuracy_before_and_after_a_pass() -> Curves:
    study: Any = study_of("running_statistics").stored()
    settings = study.config
    rate, momentum = settings.learning_rates.index(1.0), settings.momenta.index(0.001)
    lines = {"as it is": study.running[rate, :, momentum], "after the pass": study.recalibrated[rate]}
    return Curves(
        title="Accuracy in evaluation mode, as it is and after a pass over the training data",
        x_label="steps of training",
        y_label="accuracy, %",
        lines={name: (settings.steps, _percent(accuracy)) for name, accuracy in lines.items()},
    )


def _loss_around_a_validation() -> Curves:
    lines = {}
    for name, back_to_training in (("the loop as it is", False), ("one line moved", True)):
        losses = _losses(back_to_training=back_to_training)
        lines[name] = (list(range(1, len(losses) + 1)), losses)
    return Curves(
        title="Training loss of two loops that validate after step 32, drawn up to a loss of 5",
        x_label="steps",
        y_label="training loss",
        lines=lines,
    )


def _losses(*, back_to_training: bool) -> list[float]:
    """Two epochs of 32 steps, with a change to evaluation mode between them, up to the first loss above 5."""
    generator = torch.Generator().manual_seed(0)
    digits = load("digits").train
    x, labels = digits.x[:640].flatten(1).double(), digits.y[:640]
    model = mlp(x.shape[1], 10, depth=3, width=32, norm=nn.BatchNorm1d, generator=generator).double()
    losses: list[float] = []
    for _ in range(2):
        for batch in torch.randperm(len(x), generator=generator).chunk(32):
            loss = nn.functional.cross_entropy(model(x[batch]), labels[batch])
            losses.append(min(loss.item(), 5.0))
            if losses[-1] == 5:
                return losses
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                    parameter.sub_(gradient)
        model.train(back_to_training)
    return losses


def _nodes_by_step() -> Curves:
    layer, x = nn.Linear(2, 2), torch.ones(3, 2)
    running_mean, nodes = torch.zeros(2), []
    steps = list(range(1, 41))
    for _ in steps:
        running_mean = 0.9 * running_mean + 0.1 * layer(x).mean(0)
        nodes.append(nodes_behind(running_mean))
    return Curves(
        title="Nodes of the autograd graph behind one of the tensors that the layer keeps",
        x_label="steps",
        y_label="nodes",
        lines={"nodes": (steps, nodes)},
    )


def nodes_behind(value: Tensor) -> int:
    """How many nodes of the autograd graph are kept alive by a value: 0 if it has no gradient function.

    Example:
        >>> nodes_behind(torch.ones(2)), nodes_behind(2 * torch.ones(2, requires_grad=True))
        (0, 2)
    """
    known, new = set(), [value.grad_fn]
    while new:
        node = new.pop()
        if node is not None and node not in known:
            known.add(node)
            new.extend(one for one, _ in node.next_functions)
    return len(known)


def _squared_norm_by_step() -> Curves:
    study: Any = study_of("weight_decay").stored()
    lines = {"run A": study.squared_norm["batch_norm"], "run B": study.squared_norm["decay"]}
    return Curves(
        title="Squared norm of the weights that feed one hidden unit, in two runs",
        x_label="steps",
        y_label="squared norm",
        lines={name: (study.config.looks(), np.median(norm, axis=1).tolist()) for name, norm in lines.items()},
    )


def _variance_in_evaluation() -> Curves:
    study: Any = study_of("dropout_before_norm").stored()
    arms = {"network A": "none", "network B": "before_norms", "network C": "behind_the_last"}
    norms = list(range(1, study.config.depth + 1))
    return Curves(
        title="Variance that each norm meets in evaluation, as a multiple of the variance that it has stored",
        x_label="norm, counted from the input",
        y_label="multiple of the stored variance",
        lines={name: (norms, np.median(study.variance[arm], axis=1).tolist()) for name, arm in arms.items()},
    )


def _gradient_by_layer() -> Curves:
    study: Any = study_of("signal_propagation").stored()
    scale = study.config.scales.index(1.0)
    layers = list(range(1, study.config.depth + 1))
    lines = {}
    for name, arm in (("network A", "no_norm"), ("network B", "batch_norm")):
        lines[name] = (layers, np.log10(np.median(study.gradient[arm][scale], axis=1)).tolist())
    return Curves(
        title="Size of the gradient behind each layer of two untrained networks, as a power of ten",
        x_label="layer, counted from the input",
        y_label="log10 of the gradient's norm",
        lines=lines,
    )


def _accuracy_by_batch_size() -> Curves:
    study: Any = study_of("small_batches").stored()
    lines = {
        "batch norm": study.test["batch_norm"],
        "batch norm, statistics of all training images": study.recalibrated["batch_norm"],
        "layer norm": study.test["layer_norm"],
    }
    return Curves(
        title="Test accuracy of networks trained with different batch sizes",
        x_label="examples in a batch, on a logarithmic scale",
        y_label="accuracy, %",
        lines={name: (study.config.batch_sizes, _percent(accuracy)) for name, accuracy in lines.items()},
        log_x=True,
    )


def _drift_by_step() -> Curves:
    study: Any = study_of("noisy_norm").stored()
    rate, looks = study.config.learning_rates.index(0.2), study.looks()[1:]
    arms = {"network A": "no_norm", "network B": "batch_norm", "network C": "batch_norm 0.5"}
    return Curves(
        title="Movement of the last ReLU's inputs in one step, in standard deviations",
        x_label="steps",
        y_label="movement",
        lines={name: (looks, np.median(study.drift[arm][1:, rate], axis=1).tolist()) for name, arm in arms.items()},
    )


def _percent(accuracy: Any) -> list[float]:
    """The median over the seeds, which are on the last axis."""
    return [float(100 * median) for median in np.median(accuracy, axis=-1)]


PLOTS: dict[str, Callable[[], Curves]] = {
    "accuracy_before_and_after_a_pass": _accuracy_before_and_after_a_pass,
    "accuracy_by_batch_size": _accuracy_by_batch_size,
    "drift_by_step": _drift_by_step,
    "gradient_by_layer": _gradient_by_layer,
    "loss_around_a_validation": _loss_around_a_validation,
    "nodes_by_step": _nodes_by_step,
    "squared_norm_by_step": _squared_norm_by_step,
    "variance_in_evaluation": _variance_in_evaluation,
}
