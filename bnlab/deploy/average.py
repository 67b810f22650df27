"""Several trained networks made into one, by averaging their weights."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from bnlab.deploy.recalibrate import recalibrate
from bnlab.deploy.survey import class_name
from bnlab.deploy.untouched import working_copy


def average(
    models: Iterable[nn.Module], loader: Iterable[Any] | None = None, *, weights: Iterable[float] | None = None
) -> nn.Module:
    """A new network with the average of several networks' weights, and the statistics that go with it.

    Weights that were averaged give activations that none of the networks had, so their running statistics do not fit,
    averaged or not: of the last step of stochastic weight averaging (Izmailov et al. 2018, arXiv:1803.05407), a pass
    over the data, `recalibrate` takes care. `average([a, b], loader, weights=[1 - t, t])` walks the path between two
    networks, and without the loader one sees it as it is before the pass.

    Averages are taken in float64. All else is the first network's: its class, mode, dtypes, device, and whole numbers.
    To average while training, over thousands of steps, take `torch.optim.swa_utils.AveragedModel` (SWA and EMA), and
    then `recalibrate(averaged.module, loader)`; torch's `update_bn` is not enough there: it knows torch's batch norm
    alone, weighs a short last batch like any other, leaves the spread between the batches' means out of the variance,
    and switches dropout on.

    Args:
        models: networks of one architecture; all held in memory at once.
        loader: yields batches, as `recalibrate` takes them; None to leave the statistics at their average.
        weights: one for each model, divided by their sum; None for equal ones. Below 0 a path leads on beyond its end.
            A model of weight 0 counts for nothing, even where it holds NaN.

    Returns:
        The new network. Those that were given stay as they are.

    Raises:
        ValueError: there is no model, or something else; they differ in architecture; the first cannot be copied; the
            weights do not fit; or what `recalibrate` refuses.

    Example:
        >>> a, b = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        >>> _ = nn.init.constant_(a.weight, 2.0), nn.init.constant_(b.weight, 6.0)
        >>> average([a, b], weights=[3, 1]).weight.item()
        3.0
    """
    members = _members(models)
    shares = _shares(weights, len(members))
    for index, other in enumerate(members[1:], start=1):
        _check_alike(members[0], other, index)
    result = working_copy(members[0])
    tensors = [_tensors(member) for member in members]
    with torch.no_grad():
        for name, tensor in _tensors(result).items():
            wide = torch.promote_types(tensor.dtype, torch.float64)
            if tensor.is_floating_point() or tensor.is_complex():
                pairs = zip(shares, tensors, strict=True)
                parts = [share * one[name].cpu().to(wide) for share, one in pairs if share]  # 0 times NaN is NaN
                tensor.copy_(torch.stack(parts).sum(0))
    if loader is not None:
        recalibrate(result, loader)
    return result


def _members(models: Any) -> list[nn.Module]:
    if isinstance(models, nn.Module) or not isinstance(models, Iterable):  # nn.Sequential would give its layers
        raise ValueError(f"expected a list of models, got {type(models).__name__}")  # noqa: TRY004 - ValueError is for every bad argument
    members = list(models)
    if not members:
        raise ValueError("expected at least one model, got none")
    for index, member in enumerate(members):
        if not isinstance(member, nn.Module):
            raise ValueError(f"expected a list of models, got {type(member).__name__} for model {index}")  # noqa: TRY004 - ValueError is for every bad argument
    return members


def _shares(weights: Iterable[float] | None, count: int) -> list[float]:
    given = [1.0] * count if weights is None else [float(weight) for weight in weights]
    if len(given) != count:
        raise ValueError(f"expected a weight for each of {count} models, got {len(given)}")
    total = sum(given)
    if not (math.isfinite(total) and total > 0):
        raise ValueError(f"expected finite weights with a sum above 0, got {given}")
    return [weight / total for weight in given]


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return dict(model.named_parameters()) | dict(model.named_buffers())


def _check_alike(first: nn.Module, other: nn.Module, index: int) -> None:
    for what, of in (("shape", _shapes), ("class", _classes)):
        one, another = of(first), of(other)
        for name in one | another:
            if one.get(name) != another.get(name):
                raise ValueError(
                    f"expected models of one architecture, got {name!r} of {what} {one.get(name)} in the first "
                    f"and {another.get(name)} in model {index}"
                )


def _shapes(model: nn.Module) -> dict[str, Any]:
    return {name: tuple(tensor.shape) for name, tensor in _tensors(model).items()}


def _classes(model: nn.Module) -> dict[str, Any]:
    """By their names, since torch makes a class anew for each parametrised layer."""
    return {name: class_name(module) for name, module in model.named_modules()}
