"""The path between the weights of two trained networks, with the statistics averaged too or taken anew.

An average of weights is a network that never ran, so no average of statistics belongs to it. Izmailov et al. 2018
(arXiv:1803.05407) take them anew. Jordan et al. 2023 (arXiv:2211.08403) find that activations of averaged weights vary
less than those of either end, and that mending this wins back much of what is lost half-way between two networks whose
units have been matched; here they have not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float

from bnlab.experiments.data import Dataset, load
from bnlab.experiments.models import mlp
from bnlab.experiments.optimisers import SGD, cosine
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.recalibration import recalibrated
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import Ensemble, train_ensemble
from bnlab.layers import BatchNorm1d

KINDS = ("independent", "forked")


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; nothing is chosen by it.

    Attributes:
        parts: equal ones, into which the path is cut; an even number, so that its middle is looked at.
        shared_steps: that both forked networks have made together, before each goes on with an order of its own.
        steps: that every network makes by itself.
    """

    dataset: str = "digits"
    parts: int = 4
    depth: int = 3
    width: int = 64
    learning_rate: float = 0.1
    batch_size: int = 32
    shared_steps: int = 100
    steps: int = 150
    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parts % 2:
            raise ValueError(f"parts: expected an even number, got {self.parts}")

    def places(self) -> tuple[float, ...]:
        """On the path, as shares of the way from one network to the other."""
        return tuple(part / self.parts for part in range(self.parts + 1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """Accuracies on the test split, between 0 and 1, by where the two networks come from.

    Attributes:
        averaged: with running statistics averaged as the weights are.
        exact: with the statistics of the training split, taken anew.
    """

    kind: ClassVar = Config

    config: Config
    averaged: dict[str, Float[np.ndarray, "places seeds"]]
    exact: dict[str, Float[np.ndarray, "places seeds"]]


def run(config: Config) -> Result:
    """Trains two networks for each seed, from starts of their own and as a fork of one, and walks between the two."""
    data = load(config.dataset)
    averaged: dict[str, Float[np.ndarray, "places seeds"]] = {}
    exact: dict[str, Float[np.ndarray, "places seeds"]] = {}
    for kind in KINDS:
        one, other = _pairs(config, kind, data)
        path = [between(one, other, place) for place in config.places()]
        averaged[kind] = torch.stack([network.accuracy(data.test) for network in path]).numpy()
        anew = [recalibrated(network, data.train).accuracy(data.test) for network in path]
        exact[kind] = torch.stack(anew).numpy()
    return Result(config=config, provenance=Provenance.of(__name__), averaged=averaged, exact=exact)


def between(one: Ensemble, other: Ensemble, place: float) -> Ensemble:
    """The networks that lie this share of the way from each member of one ensemble to its partner in the other.

    Parameters and running statistics are averaged; counters stay those of the first.
    """
    parameters, buffers = (
        {name: torch.lerp(value, theirs[name], place) if value.is_floating_point() else value for name, value in ours}
        for ours, theirs in ((one.parameters.items(), other.parameters), (one.buffers.items(), other.buffers))
    )
    return replace(one, parameters=parameters, buffers=buffers)


def _pairs(config: Config, kind: str, data: Dataset) -> tuple[Ensemble, Ensemble]:
    """The two networks of every seed."""
    ours, theirs = ([1000 * place + seed for seed in config.seeds] for place in (1, 2))
    if kind == "independent":
        starts = [[_network(config, data, seed) for seed in seeds] for seeds in (ours, theirs)]
    else:
        first = [_network(config, data, seed) for seed in config.seeds]
        shared = _trained(config, first, data, config.seeds, config.shared_steps)
        starts = [[shared.member(index) for index in range(len(shared))]] * 2
    one, other = (
        _trained(config, models, data, seeds, config.steps)
        for models, seeds in zip(starts, (ours, theirs), strict=True)
    )
    return one, other


def _trained(
    config: Config, models: list[torch.nn.Module], data: Dataset, seeds: Sequence[int], steps: int
) -> Ensemble:
    return train_ensemble(
        models,
        data.train,
        learning_rates=[config.learning_rate] * len(models),
        seeds=seeds,
        steps=steps,
        batch_size=config.batch_size,
        optimiser=SGD(momentum=config.momentum),
        schedule=cosine,
    )


def _network(config: Config, data: Dataset, seed: int) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    inputs = data.train.x[0].numel()
    return mlp(inputs, 10, depth=config.depth, width=config.width, norm=BatchNorm1d, generator=generator)
