"""One look at a network and its loader, on a copy: the record from which every rule draws."""

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from bnlab.deploy.batches import batch_size, device_of, feed, required_arguments, some_of, to_device
from bnlab.deploy.pairs import pairs
from bnlab.deploy.per_image import PerImage, keeps_batch_statistics, watching
from bnlab.doctor.examples import by_example, by_graph, graphs_in
from bnlab.doctor.naming import expression
from bnlab.doctor.probe import PROBE_IMAGES, Probe, probe
from bnlab.doctor.steps import Steps
from bnlab.layers.frozen import FrozenBatchNorm
from bnlab.layers.recurrent.step_norm import StepNorm
from bnlab.layers.sync import SyncBatchNorm

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
        place: how a line of code reaches it.
    """

    name: str
    names: tuple[str, ...]
    layer: Any
    place: str

    @property
    def trains_by_batch(self) -> bool:
        """Whether it normalises by the batch and moves running statistics, as it stands now."""
        return bool(self.layer.training) and not self.is_constant

    @property
    def is_constant(self) -> bool:
        """Whether its class knows no training: it has no momentum, by which statistics could move."""
        return isinstance(self.layer, FrozenBatchNorm) or not hasattr(self.layer, "momentum")

    @property
    def is_new(self) -> bool:
        """Whether its running statistics are as they start, and no batch was counted."""
        batches = getattr(self.layer, "num_batches_tracked", None)
        if not self.tracked or not isinstance(batches, Tensor) or batches.any():
            return False
        return bool((self.layer.running_mean == 0).all() and (self.layer.running_var == 1).all())

    @property
    def is_frozen(self) -> bool:
        """Whether it is a frozen layer, or in evaluation mode with a scale and shift that ask for no gradient."""
        asks = any(parameter.requires_grad for parameter in self.affine)
        return self.is_constant or not (self.layer.training or asks or not self.affine)

    @property
    def is_synchronised(self) -> bool:
        """Whether its batch is that of all processes."""
        return isinstance(self.layer, nn.SyncBatchNorm | SyncBatchNorm)

    @property
    def tracked(self) -> bool:
        """Whether it has running statistics."""
        return isinstance(self.layer.running_mean, Tensor)

    @property
    def channels(self) -> int:
        """Channels of its input."""
        held = (getattr(self.layer, name, None) for name in ("weight", "bias", "running_mean"))
        return next((x.shape[-1] for x in held if isinstance(x, Tensor)), getattr(self.layer, "num_features", 1))

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
        processes: how many train together.
        seen: what each layer met in evaluation mode, in the order in which they ran; empty without a loader.
        calls: the same call by call, for a layer that runs several times in a pass.
        sizes: examples in each batch that was read.
        probe: what a training pass showed, if there was one.
        feeds: for a batch norm layer that can be folded, the layer before it, as `torch.fx` finds it without data.
        steps: what the training step did, if there was one.
        not_examined: what could not be looked at, and why.
    """

    model: nn.Module
    purpose: Purpose
    optimizer: torch.optim.Optimizer | None
    norms: list[Norm]
    processes: int = 1
    seen: dict[str, PerImage] = field(default_factory=dict)
    calls: dict[str, list[PerImage]] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    probe: Probe | None = None
    feeds: dict[str, str] = field(default_factory=dict)
    steps: Steps | None = None
    not_examined: list[str] = field(default_factory=list)

    def froze(self, norm: Norm) -> bool:
        """Whether somebody froze it: in a model that serves, which is all in evaluation mode, only its class tells."""
        return norm.is_constant or (self.purpose == "training" and norm.is_frozen)

    @property
    def usual_batch(self) -> int:
        """Examples in a batch: the median of those that were read, 1 if none was."""
        return sorted(self.sizes)[len(self.sizes) // 2] if self.sizes else 1

    @property
    def is_in_evaluation(self) -> bool:
        """Whether a model with something to train is in evaluation mode, all batch norm layers included.

        Where the training step was watched, its own modes count.
        """
        if self.steps is not None and self.steps.calls:
            return self.steps.in_evaluation == self.steps.calls and not all(norm.is_frozen for norm in self.norms)
        modes = [self.model.training, *(norm.layer.training for norm in self.norms)]
        return not any(modes) and any(parameter.requires_grad for parameter in self.model.parameters())


def norms_of(model: nn.Module) -> list[Norm]:
    """The batch norm layers with all their names."""
    found: dict[nn.Module, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if keeps_batch_statistics(module) or isinstance(module, StepNorm):
            found.setdefault(module, []).append(name)
    return [Norm(names[0], tuple(names), layer, expression(model, names[0])) for layer, names in found.items()]


def run_loader(observation: Observation, model: nn.Module, loader: Iterable[Any], keep: int) -> list[Any]:
    """Run a few images of every batch through a copy in evaluation mode, and return the first `keep` batches.

    They are drawn from each batch by a fixed seed, so that an order within the batch does not matter.
    """
    device = device_of(model)
    kept: list[Any] = []
    fed: list[int] = []
    graphs: list[Tensor] = []
    wanted = _images_of_a_batch(loader)
    generator = torch.Generator().manual_seed(0)
    names = {norm.name for norm in observation.norms}
    model.eval()
    with torch.no_grad(), watching(model, names) as watch:
        for watch.batch, batch in enumerate(_first(loader)):
            if len(kept) < keep:
                kept.append(batch)
            size, owners = batch_size(batch), graphs_in(batch)
            some = batch if owners is not None else some_of(batch, torch.randperm(size, generator=generator)[:wanted])
            graphs += [] if owners is None else [owners]
            fed.append(batch_size(some))
            observation.sizes.append(size if owners is None else int(owners[-1]) + 1)
            feed(model, to_device(some, device))
    count = partial(by_graph, owners=graphs) if len(graphs) == len(fed) else partial(by_example, fed=fed)
    observation.seen = {name: count(seen) for name, seen in watch.result().items()}
    observation.calls = {name: [count(seen) for seen in calls] for name, calls in watch.calls().items()}
    return kept


def probe_training(observation: Observation, model: nn.Module, batch: Any) -> None:
    """Run a training pass of a copy on the first images of a batch; a model that cannot train alone is passed over."""
    if observation.purpose == "inference" or observation.is_in_evaluation:
        model.train()
    images = torch.arange(min(batch_size(batch), PROBE_IMAGES))
    batch = to_device(some_of(batch, images), device_of(model))
    try:
        observation.probe = probe(model, [norm.name for norm in observation.norms], batch)
    except Exception as error:  # the model's own code, which may want targets, say
        first = str(error).strip().partition("\n")[0]
        observation.not_examined.append(f"a training pass, which raised {type(error).__name__}: {first}")


def find_feeds(observation: Observation, model: nn.Module) -> None:
    """What stands before each layer, by following a copy in evaluation mode without data."""
    try:
        found = pairs(model.eval(), (torch.empty(0),) * len(required_arguments(model)))
    except ValueError:
        observation.not_examined.append("which layers can be folded: torch.fx cannot follow the model")
    else:
        observation.feeds = {pair.norm: pair.into for pair in found if pair.into is not None}


def _images_of_a_batch(loader: Iterable[Any]) -> int:
    batches = min(len(loader), MOST_BATCHES) if isinstance(loader, Sized) else MOST_BATCHES
    return max(round(IMAGES / max(batches, 1)), 2)  # two, since one has no spread within its batch


def _first(loader: Iterable[Any]) -> Iterator[Any]:
    for index, batch in enumerate(loader):
        yield batch
        if index + 1 == MOST_BATCHES:
            return
