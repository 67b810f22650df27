"""What the noise of batch statistics does to training and test, with the batch of SGD held fixed.

A smaller batch makes both the gradient and the statistics of batch norm noisier. Ghost batch norm (Hoffer, Hubara &
Soudry 2017, arXiv:1705.08741) takes statistics over parts of the batch, so the second changes alone.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from bnlab.experiments.data import Split, for_tuning, load
from bnlab.experiments.models import Norm, mlp
from bnlab.experiments.optimisers import SGD, cosine
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.selection import best, members_at
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import train_ensemble
from bnlab.layers import GhostBatchNorm1d

NO_NORM = "no_norm"


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    Attributes:
        ghost_sizes: examples that share their statistics; each divides the batch.
        examples: of the training split, the first so many; few, so that there is something to overfit.
    """

    dataset: str = "mnist1d"
    ghost_sizes: tuple[int, ...] = (4, 16, 64, 512)
    examples: int = 1024
    learning_rates: tuple[float, ...] = (0.3, 1.0)
    depth: int = 3
    width: int = 64
    batch_size: int = 512
    steps: int = 150
    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        for size in self.ghost_sizes:
            if size < 2 or self.batch_size % size:
                raise ValueError(f"ghost_sizes: expected at least 2 and divisors of {self.batch_size}, got {size}")

    def arms(self) -> dict[str, Norm | None]:
        """The arms by name: without norm, and a ghost size each, named by it."""
        sizes = {str(size): partial(GhostBatchNorm1d, ghost_size=size) for size in self.ghost_sizes}
        return {NO_NORM: None, **sizes}


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """By arm, in evaluation mode; all but `validation` at the arm's best rate.

    Attributes:
        validation: accuracy on the validation split, between 0 and 1.
        test: accuracy on the test split.
        test_loss: mean cross-entropy there, in nats.
        train: accuracy on the examples that were trained on.
        train_loss: mean cross-entropy there.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "rates seeds"]]
    test: dict[str, Float[np.ndarray, " seeds"]]
    test_loss: dict[str, Float[np.ndarray, " seeds"]]
    train: dict[str, Float[np.ndarray, " seeds"]]
    train_loss: dict[str, Float[np.ndarray, " seeds"]]

    def best_rate(self, arm: str) -> float:
        """The rate with the highest median accuracy in validation."""
        return self.config.learning_rates[best(self.validation[arm])]


def run(config: Config) -> Result:
    """Trains an MLP for each arm, learning rate and seed; reads the test split at each arm's best rate only.

    All arms start from the same weights and see the same batches, in the same order, so ghosts are parts of them.
    """
    data = load(config.dataset)
    tuning = for_tuning(data)
    train = first(tuning.train, config.examples)
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    shape = (len(config.learning_rates), len(config.seeds))
    found: dict[str, dict[str, Any]] = {name: {} for name in ("validation", "test", "test_loss", "train", "train_loss")}
    for arm, norm in config.arms().items():
        ensemble = train_ensemble(
            [_network(config, norm, seed) for _, seed in members],
            train,
            learning_rates=[rate for rate, _ in members],
            seeds=[seed for _, seed in members],
            steps=config.steps,
            batch_size=config.batch_size,
            optimiser=SGD(momentum=config.momentum),
            schedule=cosine,
        )
        found["validation"][arm] = ensemble.accuracy(tuning.validation).reshape(shape).numpy()
        chosen = members_at(best(found["validation"][arm]), ensemble, seeds=len(config.seeds))
        for name, split in (("test", data.test), ("train", train)):
            found[name][arm] = chosen.accuracy(split).numpy()
            found[f"{name}_loss"][arm] = chosen.loss(split).numpy()
    return Result(config=config, provenance=Provenance.of(__name__), **found)


def first(split: Split, examples: int) -> Split:
    """The first examples of a split.

    Raises:
        ValueError: it has fewer.
    """
    if examples > len(split.y):
        raise ValueError(f"examples: expected at most the {len(split.y)} of the training split, got {examples}")
    return Split(split.x[:examples], split.y[:examples])


def _network(config: Config, norm: Norm | None, seed: int) -> nn.Module:
    inputs = load(config.dataset).train.x[0].numel()
    generator = torch.Generator().manual_seed(seed)
    return mlp(inputs, 10, depth=config.depth, width=config.width, norm=norm, generator=generator)
