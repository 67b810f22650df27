"""A look into a network on a fixed probe batch: signals and gradients layer by layer; the network stays as it was.

Batch statistics are what a layer sees in training, so the mode is always said. Buffers are copied before a probe runs,
hooks are taken off after it, and the modes are put back: a network that is probed while it trains takes the same path.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, vmap

from bnlab.experiments.ensemble import Ensemble


class Moments(NamedTuple):
    """What a layer puts out for a batch, in three numbers (for an ensemble, in three tensors, one value a member).

    Attributes:
        mean: over all examples and units.
        std: over the examples (and positions), biased, in the root mean square over the units: how far the layer tells
            one example from another, and what batch norm divides by.
        size: root mean square over all examples and units.
    """

    mean: Tensor
    std: Tensor
    size: Tensor


def layer_outputs(model: nn.Module, x: Tensor, *, training: bool) -> dict[str, Tensor]:
    """What each layer without layers of its own puts out for a batch, in the order in which they run.

    The tensors belong to the graph of the pass, so gradients with respect to them can be asked for.

    Args:
        model: any module; it is left as it was.
        x: the probe batch.
        training: whether the layers run in training mode, batch norm with the statistics of the probe batch.

    Returns:
        By the layer's name in `model.named_modules()`; of a layer that runs twice, the last output.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> {name: tuple(y.shape) for name, y in layer_outputs(model, torch.ones(5, 2), training=True).items()}
        {'0': (5, 3), '1': (5, 3)}
    """
    return _run(model, {}, dict(model.named_buffers()), x, training=training)[1]


def activation_stats(model: nn.Module | Ensemble, x: Tensor, *, training: bool) -> dict[str, Moments]:
    """Mean, standard deviation and size of what each layer puts out for a probe batch.

    Args:
        model: a network, or an ensemble, whose members all see the same batch; it is left as it was.
        x: the probe batch.
        training: as in `layer_outputs`.

    Returns:
        By the layer's name, tensors without axes for a network and of shape (members,) for an ensemble.

    Example:
        >>> twice = nn.Linear(1, 1, bias=False)
        >>> _ = nn.init.constant_(twice.weight, 2.0)
        >>> stats = activation_stats(nn.Sequential(twice), torch.tensor([[1.0], [3.0]]), training=True)["0"]
        >>> stats.mean.item(), stats.std.item()  # of 2 and 6
        (4.0, 2.0)
    """
    with torch.no_grad():
        if isinstance(model, Ensemble):
            outputs = ensemble_outputs(model, x, training=training)
            return {name: vmap(_moments)(y) for name, y in outputs.items()}
        return {name: _moments(y) for name, y in layer_outputs(model, x, training=training).items()}


@torch.no_grad()
def ensemble_outputs(ensemble: Ensemble, x: Tensor, *, training: bool) -> dict[str, Float[Tensor, "members n *rest"]]:
    """What `layer_outputs` gives for each member, stacked; the ensemble is left as it was."""

    def outputs(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> dict[str, Tensor]:
        return _run(ensemble.architecture, parameters, buffers, x, training=training)[1]

    return vmap(outputs, randomness="different")(ensemble.parameters, ensemble.buffers)


def gradient_norms(
    model: nn.Module, x: Tensor, y: Int[Tensor, " n"], *, training: bool
) -> dict[str, Float[Tensor, ""]]:
    """Norm of the gradient of the mean cross-entropy with respect to what each layer puts out.

    It is the gradient as it arrives at the layer on its way back; what a weight receives is made of it and of the
    layer's input. The parameters' own `grad` is left as it was.

    Args:
        model: ends in one logit a class; it is left as it was.
        x: the probe batch.
        y: its classes.
        training: as in `layer_outputs`.

    Returns:
        By the layer's name; those whose output the loss does not depend on are left out.

    Example:
        >>> norms = gradient_norms(nn.Sequential(nn.Identity()), torch.zeros(1, 2), torch.tensor([0]), training=True)
        >>> norms["0"].item()  # of (1/2 - 1, 1/2)
        0.7071067690849304
    """
    with torch.enable_grad():  # by way of x, so that layers in front of the first parameter have a gradient too
        leaf = x.detach().clone().requires_grad_()
        logits, outputs = _run(model, {}, dict(model.named_buffers()), leaf, training=training)
        loss = nn.functional.cross_entropy(logits, y)
    gradients = torch.autograd.grad(loss, list(outputs.values()), allow_unused=True)
    return {name: gradient.norm() for name, gradient in zip(outputs, gradients, strict=True) if gradient is not None}


def mean_shift(
    before: Float[Tensor, "*members n c"], after: Float[Tensor, "*members n c"]
) -> Float[Tensor, "*members"]:
    """How far a layer's values moved between two moments of training, in standard deviations, averaged over units.

    Of each unit: the distance between its two means over the same examples, divided by its biased standard deviation at
    the first moment.

    Args:
        before: values for the examples of a probe batch.
        after: values for the same examples, later.

    Returns:
        One number, or one a member.

    Example:
        >>> mean_shift(torch.tensor([[1.0], [3.0]]), torch.tensor([[7.0], [3.0]])).item()  # from 2 to 5, std 1
        3.0
    """
    moved = (after.mean(-2) - before.mean(-2)).abs()
    return (moved / before.std(-2, correction=0)).mean(-1)


def _run(
    model: nn.Module, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, *, training: bool
) -> tuple[Tensor, dict[str, Tensor]]:
    """The model's output and its layers' outputs, with copies of these buffers in place of its own."""
    outputs: dict[str, Tensor] = {}
    copies = {name: buffer.clone() for name, buffer in buffers.items()}
    with _recording(model, outputs), _in_mode(model, training=training):
        return functional_call(model, (parameters, copies), (x,)), outputs


@contextmanager
def _recording(model: nn.Module, outputs: dict[str, Tensor]) -> Iterator[None]:
    def recorder(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def record(_module: nn.Module, _inputs: tuple[Tensor, ...], y: Tensor) -> Tensor:
            outputs.pop(name, None)  # so that the order is that of the last runs
            outputs[name] = y
            return y.clone()  # the next layer may work in place

        return record

    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    hooks = [module.register_forward_hook(recorder(name)) for name, module in leaves]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _in_mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.train(training)
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _moments(y: Float[Tensor, "n c *spatial"]) -> Moments:
    units = y.movedim(1, -1).flatten(0, -2)
    std = units.std(0, correction=0).square().mean().sqrt()
    return Moments(units.mean(), std, units.square().mean().sqrt())
