"""Batch norm layers replaced, in any network, by another norm or by another implementation."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from torch import nn

from bnlab.deploy.report import Report, report_on
from bnlab.deploy.survey import Place, batch_norm_layers, class_name, held_outside
from bnlab.deploy.targets import TARGETS, Options, Target, replacement
from bnlab.deploy.untouched import check_module
from bnlab.layers.frozen import FrozenBatchNorm


def convert(
    model: nn.Module,
    to: str,
    *,
    skip: Collection[str] = (),
    groups: int | None = None,
    dimension: int | None = None,
    process_group: Any = None,
) -> Report:
    """Replace the batch norm layers of a network, in place, and say what became of each.

    `to` is one of

    - "group_norm": `torch.nn.GroupNorm` (Wu & He 2018, arXiv:1803.08494). Running statistics go. Without `groups`, a
      layer gets the largest number of groups up to 32 that divides its channels and leaves two or more to each; a
      BatchNorm1d gets one, since of an input (n, c) a pair would keep nothing but which of the two is larger.
      `groups=1` is layer norm over all but the batch axis, with a weight and bias per channel.
    - "sync_batch_norm": `torch.nn.SyncBatchNorm`, whose batch is that of all processes; and "bnlab_sync_batch_norm":
      `bnlab.layers.SyncBatchNorm`, which trains on a CPU, too. Before the model is wrapped in
      DistributedDataParallel; needs no process group in evaluation.
    - "frozen": `bnlab.layers.FrozenBatchNorm*d`: what the layer does in evaluation, for good. Parameters and running
      statistics become constants, in copies, which an optimizer that holds the old parameters cannot move.
    - "bnlab": `bnlab.layers.BatchNorm*d`, and "torch": `torch.nn.BatchNorm*d`. Everything is kept.

    But for "frozen", the new layers hold the same `nn.Parameter` objects, so an optimizer made before goes on working,
    ties hold, and `requires_grad` stays. So do dtype, device, mode, eps, buffers where they fit, `num_features`, and
    attributes that somebody set on a layer. A layer held in several places is replaced by one layer in all of them.

    Layers that are of the kind asked for already, and frozen ones, are left and reported, as are those in `skip`. A
    model without batch norm gives an empty report, so converting twice does no harm. A layer whose replacement would
    lose something is refused: one with hooks, parametrisations or further tensors, a lazy one that has met no batch,
    or a subclass that this package does not know. A ghost batch norm layer is known: it loses its `ghost_size`.
    Whatever is refused, nothing has changed. Layers that inherit from neither torch's batch norm nor ours go unseen.

    Args:
        model: any module. If it is itself a batch norm layer it cannot be changed in place: use `report.model`.
        to: the kind of the new layers.
        skip: names of batch norm layers, as in `model.named_modules()`, that stay as they are.
        groups: for "group_norm"; must divide the channels of every layer.
        dimension: for "frozen", "bnlab" and "torch": the 1, 2 or 3 of the class that replaces a SyncBatchNorm, which
            takes any input; other layers have their own.
        process_group: for the synchronised ones; None for all processes.

    Returns:
        The report; `report.model` is the converted model.

    Raises:
        ValueError: an argument does not fit, or a layer is refused. The model is untouched then.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.ReLU())
        >>> convert(model, to="group_norm")
        to group_norm: 1 layer replaced, 0 left; 128 values in parameters kept; 128 values in running statistics dropped
          1: torch.nn.BatchNorm2d(64) -> torch.nn.GroupNorm(32, 64); kept weight, bias; dropped running_mean, ...
    """
    check_module(model)
    options = Options(groups, dimension, process_group)
    target = _target(to, options)
    places = batch_norm_layers(model)
    left = _left(places, skip, target, options)
    new = _build(model, {layer: places[layer] for layer in places if layer not in left}, target, options)
    # Nothing below this line fails.
    names = {layer: tuple(place.name for place in where) for layer, where in places.items()}
    report = report_on(model, to, names, new, left)
    for layer, fresh in new.items():
        for place in places[layer]:
            if place.parent is not None:
                place.parent._modules[place.key] = fresh  # noqa: SLF001 - a parent's own setattr might do more
    return report


def _target(to: str, options: Options) -> Target:
    if not isinstance(to, str) or to not in TARGETS:
        raise ValueError(f"expected to to be {', '.join(map(repr, TARGETS))}, got {to!r}")
    target = TARGETS[to]
    for name, value in options._asdict().items():
        if value is not None and name not in target.options:
            raise ValueError(f"expected to={to!r} with no option but skip and {target.options[0]}, got {name}")
    groups, dimension = options.groups, options.dimension
    if groups is not None and (type(groups) is not int or groups < 1):
        raise ValueError(f"expected groups to be a whole number of at least 1, got {groups!r}")
    if dimension is not None and (type(dimension) is not int or dimension not in {1, 2, 3}):
        raise ValueError(f"expected dimension to be 1, 2 or 3, got {dimension!r}")
    return target


def _left(
    places: Mapping[nn.Module, list[Place]], skip: Collection[str], target: Target, options: Options
) -> dict[nn.Module, str]:
    """The layers that stay, each with the reason."""
    if not isinstance(skip, Iterable):
        raise ValueError(f"expected skip to hold names of batch norm layers of the model, got {skip!r}")  # noqa: TRY004 - as for the model
    skipped = (skip,) if isinstance(skip, str) else tuple(skip)
    known = [place.name for where in places.values() for place in where]
    for name in skipped:
        if name not in known:
            raise ValueError(f"expected skip to hold names of batch norm layers of the model, got {name!r}")
    left = {}
    for layer, where in places.items():
        if any(place.name in skipped for place in where):
            left[layer] = "skipped"
        elif isinstance(layer, FrozenBatchNorm):
            left[layer] = "frozen already"
        elif target.is_already(layer, options):
            left[layer] = "of that kind already"
    return left


def _build(
    model: nn.Module, places: Mapping[nn.Module, list[Place]], target: Target, options: Options
) -> dict[nn.Module, nn.Module]:
    """A new layer for each old one, not yet in the model."""
    elsewhere = dict(held_outside(model))
    new: dict[nn.Module, nn.Module] = {}
    refused: list[str] = []
    for layer, where in places.items():
        try:
            new[layer] = replacement(layer, target, options, elsewhere.get(layer))
        except ValueError as error:
            name = f"layer {where[0].name!r}" if where[0].name else "the model itself"
            refused.append(f"{name} ({class_name(layer)}) {error}")
    if refused:
        more = f" ({len(refused) - 1} more cannot be replaced either)" if len(refused) > 1 else ""
        raise ValueError(f"{refused[0]}, or name the layer in skip{more}")
    return new
