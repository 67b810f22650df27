"""Batch norm folded into the layer before it: a network that computes the same with fewer layers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bnlab.deploy.pairs import LINEAR_MAPS, TRANSPOSED, Pair, pairs
from bnlab.deploy.parity import Example, arguments, in_short, largest_difference, outputs_of, widened, widened_arguments
from bnlab.deploy.report import Left, as_code, layers_in_words
from bnlab.deploy.survey import batch_norm_layers, class_name
from bnlab.deploy.untouched import check_module, working_copy

TOLERANCE = 1e-9  # of the largest output, in float64: a wrong graph or formula is off by far more


@dataclass(frozen=True)
class Folded:
    """One batch norm layer that is gone: its names, its class, and the layer that took it in, with its class."""

    names: tuple[str, ...]
    layer: str
    into: str


@dataclass(frozen=True, repr=False)
class Folding:
    """What `fold` did; shows itself as lines in a terminal and as a table in a notebook.

    Attributes:
        model: the folded model, a new one.
        folded: the batch norm layers that are gone, in the order of `model.named_modules()`.
        left: those that stayed, each with the reason.
        difference: the largest one between the outputs of the two models in float64, in units of the largest output.
    """

    model: nn.Module
    folded: tuple[Folded, ...]
    left: tuple[Left, ...]
    difference: float

    def __repr__(self) -> str:
        lines = (f"  {', '.join(names)}: {what}" for names, what in self._rows())
        return "\n".join((self._summary(), *lines))

    def _repr_markdown_(self) -> str:
        rows = [f"| {', '.join(as_code(name) for name in names)} | {what} |" for names, what in self._rows()]
        table = ("", "| layer | what became of it |", "|---|---|", *rows) if rows else ()
        return "\n".join((self._summary(), *table))

    def _summary(self) -> str:
        if not self.folded and not self.left:
            return "no batch norm layer found, nothing folded"
        counts = f"{layers_in_words(len(self.folded))} folded, {len(self.left)} left"
        return f"{counts}; outputs agree to {TOLERANCE:g} in float64"

    def _rows(self) -> Iterator[tuple[tuple[str, ...], str]]:
        yield from ((one.names, f"{one.layer} folded into {one.into}") for one in self.folded)
        yield from ((one.names, f"{one.layer} left: {one.why}") for one in self.left)


def fold(model: nn.Module, example: Example) -> Folding:
    """Take batch norm layers into the convolutions and linear layers before them (Jacob et al. 2017, arXiv:1712.05877).

    In evaluation batch norm multiplies each channel by `scale = gamma / sqrt(running_var + eps)` and shifts it. The
    layer before it can do that itself: with its weights times `scale`, and the bias
    `(bias - running_mean) * scale + beta`, which is made where there was none. Both are computed in float64 and stored
    in the dtype, on the device and with the `requires_grad` of the layer's weight. That takes in torch's batch norm
    and ours, frozen ones too, behind `nn.Linear`, `nn.Conv*d` and `nn.ConvTranspose*d`, with groups or without.

    The given model stays as it is. In the copy an `nn.Identity` stands where a folded layer stood, so that the class,
    its methods and the names of all other layers are the old ones. What cannot be folded is left and named: a layer in
    training mode or without running statistics, one that follows something else (as in pre-activation blocks), one
    that is called several times or behind a layer that is, or behind one whose output has a second user or is kept.

    On the way both models meet the example, with noise, in copies on the CPU in float64, and must agree to 1e-9 of the
    largest output. That checks the formula and the graph, not the rounding: how far a folded model is off in its own
    dtype, half precision above all, `compare` says. `torch.fx` finds out what follows what, so the path through the
    model must not depend on the data.

    Args:
        model: any module, in evaluation.
        example: what the model is called with: a tensor, or a tuple of all arguments. A batch of one will do.

    Returns:
        The report; `report.model` is the folded model.

    Raises:
        ValueError: the model cannot be copied, or its forward pass not followed; it does not run on the example; the
            folded model gives something else; or its weights are too large for their dtype.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()).eval()
        >>> fold(model, torch.zeros(1, 3, 16, 16))
        1 layer folded, 0 left; outputs agree to 1e-09 in float64
          1: torch.nn.BatchNorm2d(8) folded into 0 (torch.nn.Conv2d)
    """
    check_module(model)
    args = arguments(example)
    found = pairs(model, args)
    wide, wide_args = widened(model), widened_arguments(args)
    expected, axes = _run(wide, wide_args)
    found = [_checked(pair, model, axes) for pair in found]
    _fold_in_place(wide, found)
    difference = largest_difference(expected, _run(wide, wide_args)[0])
    if not difference <= TOLERANCE:
        raise ValueError(
            f"expected outputs that agree to {TOLERANCE:g} of the largest once folded, got {difference:.1g}: "
            "they hold NaN or infinity, or the model uses a layer in a way that tracing does not see"
        )
    folded = working_copy(model)
    _fold_in_place(folded, found)
    _check_range(folded, found)
    return _report(model, folded, found, difference)


def folded_parameters(layer: Any, norm: Any) -> tuple[Tensor, Tensor]:
    """The weight and bias, in float64 on the CPU, with which a layer gives what batch norm makes of its output.

    Weights are (out, in / groups, *kernel), but (in, out / groups, *kernel) where the convolution is transposed: there
    each group's inputs share one set of output channels.

    Args:
        layer: a linear layer or a convolution.
        norm: batch norm with running statistics, over the channels that the layer gives.

    Example:
        >>> layer, norm = nn.Linear(1, 1), nn.BatchNorm1d(1, eps=0.0)
        >>> _ = nn.init.constant_(layer.weight, 6.0), nn.init.constant_(layer.bias, 5.0)
        >>> _ = norm.running_mean.fill_(1.0), norm.running_var.fill_(4.0)
        >>> [tensor.item() for tensor in folded_parameters(layer, norm)]
        [3.0, 2.0]
    """

    def wide(tensor: Tensor | None, otherwise: float) -> Tensor:
        per_channel = torch.full((norm.num_features,), otherwise, dtype=torch.float64)
        return per_channel if tensor is None else tensor.detach().cpu().double()

    scale = wide(norm.weight, 1.0) / torch.sqrt(wide(norm.running_var, 1.0) + norm.eps)
    bias = (wide(layer.bias, 0.0) - wide(norm.running_mean, 0.0)) * scale + wide(norm.bias, 0.0)
    weight = layer.weight.detach().cpu().double()
    if isinstance(layer, TRANSPOSED):
        grouped = weight.reshape(layer.groups, -1, *weight.shape[1:])
        scaled = grouped * scale.reshape(layer.groups, 1, -1, *(1,) * (weight.ndim - 2))
        return scaled.reshape(weight.shape), bias
    return weight * scale.reshape(-1, *(1,) * (weight.ndim - 1)), bias


def _run(model: nn.Module, args: tuple[Any, ...]) -> tuple[list[Tensor], dict[str, int]]:
    """The outputs, and the number of axes that each layer's output had."""
    axes: dict[str, int] = {}

    def record(name: str) -> Any:
        return lambda _, __, y: axes.update({name: y.ndim})

    layers = [(name, module) for name, module in model.named_modules() if type(module) in LINEAR_MAPS]
    hooks = [layer.register_forward_hook(record(name)) for name, layer in layers]
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the same dropout in both models, where one is in training mode
            return outputs_of(model, args), axes
    except Exception as error:  # the model's own code runs here, and may raise anything
        raise ValueError(
            f"expected a model that runs on the example, before and after, on the CPU in float64, got {in_short(error)}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()


def _checked(pair: Pair, model: nn.Module, axes: dict[str, int]) -> Pair:
    """The pair, but for a layer whose output has its channels elsewhere than batch norm looks for them.

    `nn.Linear` puts them on the last axis, and a convolution of a single image on the first; batch norm has them on
    axis 1, and does not notice where the numbers happen to fit.
    """
    if pair.into is None or axes[pair.into] == model.get_parameter(f"{pair.into}.weight").ndim:
        return pair
    return pair._replace(
        into=None, why=f"{pair.into} before it gives {axes[pair.into]} axes, its channels not on axis 1"
    )


@torch.no_grad()
def _fold_in_place(model: nn.Module, found: Iterable[Pair]) -> None:
    places = {where[0].name: where for where in batch_norm_layers(model).values()}
    for pair in found:
        if pair.into is None:
            continue
        layer: Any = model.get_submodule(pair.into)
        norm: Any = model.get_submodule(pair.norm)
        like = layer.weight
        for name, value in zip(("weight", "bias"), folded_parameters(layer, norm), strict=True):
            setattr(layer, name, nn.Parameter(value.to(like), requires_grad=like.requires_grad))
        gone = nn.Identity().train(norm.training)
        gone.num_features = norm.num_features  # which some models read
        for place in places[pair.norm]:
            if place.parent is not None:
                place.parent._modules[place.key] = gone  # noqa: SLF001 - a parent's own setattr might do more


def _check_range(folded: nn.Module, found: Iterable[Pair]) -> None:
    """Refuse what was finite in float64, or the outputs would not have agreed, and is not in the layer's own dtype."""
    for pair in found:
        layer: Any = folded.get_submodule(pair.into) if pair.into is not None else None
        if layer is not None and not all(tensor.isfinite().all() for tensor in (layer.weight, layer.bias)):
            raise ValueError(
                f"expected folded weights within the range of {layer.weight.dtype}, got larger ones in layer "
                f"{pair.into!r}; fold the model in float32"
            )


def _report(model: nn.Module, folded: nn.Module, found: Iterable[Pair], difference: float) -> Folding:
    gone, left = [], []
    for pair, (norm, places) in zip(found, batch_norm_layers(model).items(), strict=True):
        names = tuple(place.name or "(the model itself)" for place in places)
        kind = f"{class_name(norm)}({vars(norm)['num_features']})"
        if pair.into is None:
            left.append(Left(names, kind, pair.why))
        else:
            gone.append(Folded(names, kind, f"{pair.into} ({class_name(model.get_submodule(pair.into))})"))
    return Folding(folded, tuple(gone), tuple(left), difference)
