"""Where a network holds its batch norm layers, and which of them another layer can stand in for."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType, MethodType
from typing import Any, NamedTuple

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils.parametrize import is_parametrized

from bnlab.layers.batch_norm import BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d
from bnlab.layers.frozen import FrozenBatchNorm
from bnlab.layers.ghost import GhostBatchNorm1d, GhostBatchNorm2d
from bnlab.layers.sync import SyncBatchNorm

DIMENSIONS: Mapping[type[nn.Module], int | None] = MappingProxyType(  # all that is known to be batch norm and no more
    {
        nn.BatchNorm1d: 1,
        nn.BatchNorm2d: 2,
        nn.BatchNorm3d: 3,
        nn.SyncBatchNorm: None,  # takes them all
        BatchNorm1d: 1,
        BatchNorm2d: 2,
        BatchNorm3d: 3,
        GhostBatchNorm1d: 1,
        GhostBatchNorm2d: 2,
        SyncBatchNorm: None,
    }
)
PARAMETERS = ("weight", "bias")
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
OPTIONAL_SETTINGS = MappingProxyType({"process_group": None, "ghost_size": None, "backend": "torch"})  # with defaults
SETTINGS = ("num_features", "eps", "momentum", "affine", "track_running_stats", *OPTIONAL_SETTINGS)


class Place(NamedTuple):
    """Where a module is held: by which parent, under which key. The model itself has no parent."""

    name: str
    parent: nn.Module | None
    key: str


def batch_norm_layers(model: nn.Module) -> dict[nn.Module, list[Place]]:
    """Every batch norm layer, frozen ones too, with all the places where `model` holds it.

    `named_modules` gives a shared layer once, and `named_children` also hides a second name within one parent.

    Example:
        >>> norm = nn.BatchNorm1d(2)
        >>> model = nn.Sequential(norm, nn.ReLU(), norm)
        >>> [place.name for place in batch_norm_layers(model)[norm]]
        ['0', '2']
    """
    found: dict[nn.Module, list[Place]] = {}
    if is_batch_norm(model):
        found[model] = [Place("", None, "")]
    for prefix, parent in model.named_modules():
        for key, child in parent._modules.items():  # noqa: SLF001 - see above
            if child is not None and is_batch_norm(child):
                found.setdefault(child, []).append(Place(f"{prefix}.{key}" if prefix else key, parent, key))
    return {module: found[module] for _, module in model.named_modules() if module in found}


def is_batch_norm(module: nn.Module) -> bool:
    """Whether it is a kind of batch norm: torch's, ours, or a subclass of either."""
    return isinstance(module, _BatchNorm | BatchNorm | FrozenBatchNorm)


def class_name(module: nn.Module) -> str:
    """The class with as much of its module as tells ours from torch's.

    >>> class_name(nn.BatchNorm1d(1)), class_name(BatchNorm1d(1))
    ('torch.nn.BatchNorm1d', 'bnlab.layers.BatchNorm1d')
    """
    kind = type(module)
    for public in ("torch.nn", "bnlab.layers"):
        if kind.__module__.startswith(f"{public}."):
            return f"{public}.{kind.__name__}"
    return kind.__name__


def check_replaceable(layer: nn.Module, holder: str | None) -> None:
    """Refuse a layer that no other can stand in for without losing something.

    Args:
        layer: a batch norm layer.
        holder: an attribute that holds it without torch's knowledge, by name; None if there is none.

    Raises:
        ValueError: what is in the way, said so that the layer's name may stand before it.

    Example:
        >>> check_replaceable(nn.LazyBatchNorm1d(), None)
        Traceback (most recent call last):
        ValueError: has not met its first batch and does not know its channels; run one through the model first
    """
    if isinstance(layer, LazyModuleMixin):
        raise ValueError("has not met its first batch and does not know its channels; run one through the model first")  # noqa: TRY004 - as for every bad layer
    if is_parametrized(layer):
        raise ValueError("is parametrised; remove that first (torch.nn.utils.parametrize.remove_parametrizations)")
    if type(layer) not in DIMENSIONS:
        raise ValueError("is of a subclass that may do more than batch norm; replace it by hand")
    if any(value for name, value in vars(layer).items() if name.endswith("_hooks")):
        raise ValueError("has hooks, which know the old layer; remove them first")
    held = (*layer._parameters, *layer._buffers, *layer._modules)  # noqa: SLF001 - those that are None count, too
    if set(held) != {*PARAMETERS, *BUFFERS}:
        raise ValueError(f"should hold {', '.join((*PARAMETERS, *BUFFERS))} and no more, and holds {', '.join(held)}")
    own = [name for name, value in extras(layer).items() if callable(value)]
    if own:
        raise ValueError(f"has a method of its own ({', '.join(own)}); remove it first")
    if any(tensor.shape != (layer.num_features,) for tensor in layer.state_dict().values() if tensor.ndim):
        raise ValueError(f"has tensors that do not fit its num_features {layer.num_features}; set that right first")
    if holder is not None:
        raise ValueError(
            f"is also held by {holder!r}, which is not registered and would keep it; make that a ModuleList, say"
        )


def extras(layer: nn.Module) -> dict[str, Any]:
    """What was set on this one instance and no class knows, such as a tag or a `qconfig`.

    >>> layer = nn.BatchNorm1d(2)
    >>> layer.tag = "stem"
    >>> extras(layer)
    {'tag': 'stem'}
    """
    usual = {*SETTINGS, *vars(nn.Module())}
    return {name: value for name, value in vars(layer).items() if name not in usual}


def held_outside(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Modules that an attribute holds without torch's knowledge, such as a plain list, each with that attribute's name.

    >>> model = nn.Sequential(nn.BatchNorm1d(2))
    >>> model.norms = [model[0]]
    >>> [name for _, name in held_outside(model)]
    ['norms']
    """
    for prefix, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute not in {"_modules", "_parameters", "_buffers"}:
                name = f"{prefix}.{attribute}" if prefix else attribute
                yield from ((inner, name) for inner in _modules_in(value, set()))


def _modules_in(value: object, seen: set[int]) -> Iterator[nn.Module]:
    if id(value) in seen:
        return
    seen.add(id(value))
    match value:
        case nn.Module():
            yield value
        case MethodType():
            yield from _modules_in(value.__self__, seen)
        case dict():
            for inner in value.values():
                yield from _modules_in(inner, seen)
        case list() | tuple() | set() | frozenset():
            for inner in value:
                yield from _modules_in(inner, seen)
