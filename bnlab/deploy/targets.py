"""What can take a batch norm layer's place, and how it is made of the layer."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnlab.deploy.survey import BUFFERS, DIMENSIONS, PARAMETERS, check_replaceable, extras
from bnlab.layers.batch_norm import BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d
from bnlab.layers.frozen import FrozenBatchNorm1d, FrozenBatchNorm2d, FrozenBatchNorm3d
from bnlab.layers.sync import SyncBatchNorm

MOST_GROUPS = 32  # Wu & He's default
TORCH = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
BNLAB = (BatchNorm1d, BatchNorm2d, BatchNorm3d)
FROZEN = (FrozenBatchNorm1d, FrozenBatchNorm2d, FrozenBatchNorm3d)


class Options(NamedTuple):
    """The options of `convert`; None for what was not given."""

    groups: int | None
    dimension: int | None
    process_group: Any


class Target(NamedTuple):
    """One kind of new layer: how it is made of an old one, what counts as one already, and which options it takes."""

    make: Callable[[Any, Options], nn.Module]
    is_already: Callable[[Any, Options], bool]
    options: tuple[str, ...]


def replacement(layer: nn.Module, target: Target, options: Options, holder: str | None = None) -> nn.Module:
    """The new layer, in the mode of the old one and with what somebody set on it; the old one is left as it is.

    Raises:
        ValueError: the layer does not fit (see `check_replaceable`, which `holder` is for), said so that its name may
            stand before it.

    Example:
        >>> replacement(nn.BatchNorm2d(48), TARGETS["group_norm"], Options(32, None, None))
        Traceback (most recent call last):
        ValueError: has 48 channels, which 32 groups do not divide; choose other groups
    """
    check_replaceable(layer, holder)
    new = target.make(layer, options)
    new.training = layer.training
    carried = {"num_features": layer.num_features, **extras(layer)}
    vars(new).update({name: value for name, value in carried.items() if name not in vars(new)})
    return new


def default_groups(channels: int, dimension: int | None) -> int:
    """Up to 32 groups, as many as divide the channels and leave each two or more; one for a BatchNorm1d.

    Of an input (n, c) a pair of channels would keep nothing but which of the two is larger.

    >>> [default_groups(channels, 2) for channels in (1, 7, 16, 48, 64, 256)]
    [1, 1, 8, 24, 32, 32]
    >>> default_groups(64, 1)
    1
    """
    if dimension == 1:
        return 1
    most = max(min(MOST_GROUPS, channels // 2), 1)
    return max(groups for groups in range(1, most + 1) if channels % groups == 0)


def _group_norm(layer: Any, options: Options) -> nn.Module:
    channels = layer.num_features
    groups = options.groups or default_groups(channels, DIMENSIONS[type(layer)])
    if channels % groups:
        raise ValueError(f"has {channels} channels, which {groups} groups do not divide; choose other groups")
    new = nn.GroupNorm(groups, channels, layer.eps, layer.affine, device="meta")
    return _hand_over(layer, new, PARAMETERS)


def _synchronised(kind: Callable[..., nn.Module], layer: Any, options: Options) -> nn.Module:
    return _batch_norm(kind, layer, process_group=options.process_group)


def _is_synchronised(kind: type[nn.Module], layer: Any, options: Options) -> bool:
    group = options.process_group
    return isinstance(layer, kind) and (group is None or group is layer.process_group)


def _torch(layer: Any, options: Options) -> nn.Module:
    return _batch_norm(_of_dimension(layer, options, TORCH), layer)


def _bnlab(layer: Any, options: Options) -> nn.Module:
    return _batch_norm(_of_dimension(layer, options, BNLAB), layer)


def _batch_norm(kind: Callable[..., nn.Module], layer: Any, **more: Any) -> nn.Module:
    tracked = layer.track_running_stats
    new = kind(layer.num_features, layer.eps, layer.momentum, layer.affine, tracked, device="meta", **more)
    return _hand_over(layer, new, (*PARAMETERS, *BUFFERS))


def _hand_over(layer: nn.Module, new: nn.Module, names: Collection[str]) -> nn.Module:
    """The same parameters and buffers, not copies: whoever holds them goes on holding them."""
    saved = layer.state_dict()
    for name in names:
        tensor = getattr(layer, name)
        if name in PARAMETERS:
            new.register_parameter(name, tensor)
        else:
            new.register_buffer(name, tensor, persistent=tensor is None or name in saved)
    return new


def _frozen(layer: Any, options: Options) -> nn.Module:
    mean, var = layer.running_mean, layer.running_var
    if mean is None or var is None:
        raise ValueError("keeps no running statistics that could be frozen")
    kind = _of_dimension(layer, options, FROZEN)
    new = kind(layer.num_features, layer.eps, device=mean.device, dtype=mean.dtype)
    for name in new.state_dict():
        tensor = getattr(layer, name)
        if tensor is not None:
            new.register_buffer(name, tensor.detach().clone())  # an optimizer may still move the old parameter
    return new


def _of_dimension(layer: nn.Module, options: Options, kinds: Collection[type[nn.Module]]) -> Callable[..., nn.Module]:
    dimension = DIMENSIONS[type(layer)] or options.dimension
    if dimension is None:
        raise ValueError("takes input of any shape; say which class shall replace it with dimension=1, 2 or 3")
    return tuple(kinds)[dimension - 1]


TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "group_norm": Target(_group_norm, lambda *_: False, ("groups",)),
        "sync_batch_norm": Target(
            partial(_synchronised, nn.SyncBatchNorm), partial(_is_synchronised, nn.SyncBatchNorm), ("process_group",)
        ),
        "bnlab_sync_batch_norm": Target(
            partial(_synchronised, SyncBatchNorm), partial(_is_synchronised, SyncBatchNorm), ("process_group",)
        ),
        "frozen": Target(_frozen, lambda *_: False, ("dimension",)),  # frozen layers are left whatever is asked for
        "bnlab": Target(
            _bnlab,
            lambda layer, _: isinstance(layer, BatchNorm) and not isinstance(layer, SyncBatchNorm),
            ("dimension",),
        ),
        "torch": Target(
            _torch,
            lambda layer, _: isinstance(layer, _BatchNorm) and not isinstance(layer, nn.SyncBatchNorm),
            ("dimension",),
        ),
    }
)
