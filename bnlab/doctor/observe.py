"""One look at a network and its loader, on a copy: the record from which every rule draws."""

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from bnlab.deploy.batches import batch_size, device_of, feed, some_of, to_device
from bnlab.deploy.per_image import PerImage, Watch, keeps_batch_statistics
from bnlab.layers.frozen import FrozenBatchNorm
from bnlab.layers.recurrent.step_norm import StepNorm

Purpose: TypeAlias = Literal["training", "inference"]
MOST_BATCHES = 64  # a loader may be a whole data set; what chance allows is plain from these
IMAGES = 160  # that run through the model: a mean is known to 1/12 of a standard deviation, at 10 s a ResNet-18


@dataclass(frozen=True)
class Norm:
    """A batch norm layer of the model that was given.

    Attributes:
        name: the first of `names`.
        names: every place where the model holds it.
        layer: the layer itself, to be read only.
    """

    name: str
    names: tuple[str, ...]
    layer: Any

    @property
    def trains_by_batch(self) -> bool:
        """Whether it normalises by the batch and moves running statistics, as it stands now."""
        return bool(self.layer.training) and not isinstance(self.layer, FrozenBatchNorm)

    @property
    def tracked(self) -> bool:
        """Whether it has running statistics."""
        return isinstance(self.layer.running_mean, Tensor)

    @property
    def affine(self) -> list[nn.Parameter]:
        """Its scale and shift, if they are parameters."""
        held = (getattr(self.layer, name, None) for name in ("weight", "bias"))
        return [parameter for parameter in held if isinstance(parameter, nn.Parameter)]


@dataclass
class Observation:
    """What the rules are told.

    Attributes:
        model: the model that was given, without a wrapper; to be read only.
        purpose: what it is meant for.
        optimizer: as it was given.
        norms: its batch norm layers, in the order of `named_modules`.
        seen: what each layer met in evaluation mode, in the order in which they ran; empty without a loader.
        sizes: examples in each batch that was read.
        not_examined: what could not be looked at, and why.
    """

    model: nn.Module
    purpose: Purpose
    optimizer: torch.optim.Optimizer | None
    norms: list[Norm]
    seen: dict[str, PerImage] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    not_examined: list[str] = field(default_factory=list)

    @property
    def is_in_evaluation(self) -> bool:
        """Whether a model with something to train is in evaluation mode, all batch norm layers included."""
        modes = [self.model.training, *(norm.layer.training for norm in self.norms)]
        return not any(modes) and any(parameter.requires_grad for parameter in self.model.parameters())


def norms_of(model: nn.Module) -> list[Norm]:
    """The batch norm layers with all their names."""
    found: dict[nn.Module, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if keeps_batch_statistics(module) or isinstance(module, StepNorm):
            found.setdefault(module, []).append(name)
    return [Norm(names[0], tuple(names), layer) for layer, names in found.items()]


def run_loader(observation: Observation, model: nn.Module, loader: Iterable[Any]) -> Any:
    """Run a few images of every batch through a copy in evaluation mode, and return the first batch.

    They are drawn from each batch by a fixed seed, so that an order within the batch does not matter.
    """
    watch, device, first = Watch(), device_of(model), None
    wanted = _images_of_a_batch(loader)
    generator = torch.Generator().manual_seed(0)
    names = {norm.name for norm in observation.norms}
    hooks = [
        module.register_forward_pre_hook(watch.hook(name), with_kwargs=True)
        for name, module in model.named_modules()
        if name in names
    ]
    model.eval()
    with torch.no_grad():
        for watch.batch, batch in enumerate(_first(loader)):
            first = batch if first is None else first
            size = batch_size(batch)
            observation.sizes.append(size)
            feed(model, to_device(some_of(batch, torch.randperm(size, generator=generator)[:wanted]), device))
    for hook in hooks:
        hook.remove()
    observation.seen = watch.result()
    return first


def _images_of_a_batch(loader: Iterable[Any]) -> int:
    batches = min(len(loader), MOST_BATCHES) if isinstance(loader, Sized) else MOST_BATCHES
    return -(-IMAGES // max(batches, 1))


def _first(loader: Iterable[Any]) -> Iterator[Any]:
    for index, batch in enumerate(loader):
        yield batch
        if index + 1 == MOST_BATCHES:
            return
