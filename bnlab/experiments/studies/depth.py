"""How deep a network can be that still trains: plain and residual, with batch norm and without, each at its best rate.

Batch norm keeps the signal of a plain network at one size, but lets its gradients grow on their way back (Yang et al.
2019, arXiv:1902.08129), so it helps up to some depth. With skip connections its branches fade in, and so they do with
SkipInit, which has no norm (De & Smith 2020, arXiv:2002.10444). Linear layers, since deep convolutions take long.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from bnlab.experiments.data import for_tuning, load
from bnlab.experiments.models import mlp, residual_mlp
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.recalibration import recalibrated
from bnlab.experiments.selection import best, members_at
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import train_ensemble
from bnlab.layers import BatchNorm1d

Rates: TypeAlias = tuple[float, ...]
PLAIN: dict[str, Callable[..., nn.Module]] = {"plain": mlp, "plain_norm": partial(mlp, norm=BatchNorm1d)}
RESIDUAL: dict[str, Callable[..., nn.Module]] = {
    "residual": residual_mlp,
    "residual_norm": partial(residual_mlp, norm=BatchNorm1d),
    "skip_init": partial(residual_mlp, skip_init=True),
}
NORMALISED = ("plain_norm", "residual_norm")


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    Attributes:
        depths: hidden layers of the plain networks.
        residual_depths: of the residual ones; even numbers, since a block has two.
        plain_rates: learning rates among which this arm chooses, for each depth; so with the other arms.
        plain_norm_rates: see `plain_rates`.
        residual_rates: those of deep networks are tiny, since their signals start huge.
        residual_norm_rates: see `plain_rates`.
        skip_init_rates: see `plain_rates`.
    """

    dataset: str = "digits"
    depths: tuple[int, ...] = (4, 20, 40)
    residual_depths: tuple[int, ...] = (4, 40)
    plain_rates: tuple[Rates, ...] = ((0.03, 0.1, 0.3), (0.01, 0.03, 0.1), (0.003, 0.01, 0.03))
    plain_norm_rates: tuple[Rates, ...] = ((0.1, 0.3, 1.0), (0.1, 0.3, 1.0), (0.03, 0.1, 0.3))
    residual_rates: tuple[Rates, ...] = ((0.03, 0.1, 0.3), (1e-6, 1e-5, 1e-4))
    residual_norm_rates: tuple[Rates, ...] = ((0.3, 1.0, 3.0), (0.1, 0.3, 1.0))
    skip_init_rates: tuple[Rates, ...] = ((0.1, 0.3, 1.0), (0.1, 0.3, 1.0))
    width: int = 32
    batch_size: int = 32
    steps: int = 120

    def __post_init__(self) -> None:
        super().__post_init__()
        for depth in self.residual_depths:
            if depth % 2:
                raise ValueError(f"residual_depths: expected even numbers, got {depth}")
        for arm in PLAIN | RESIDUAL:
            if len(self.rates_of(arm)) != len(self.depths_of(arm)):
                raise ValueError(
                    f"{arm}_rates: expected learning rates for each of {len(self.depths_of(arm))} depths, "
                    f"got {len(self.rates_of(arm))} lists"
                )
            if len({len(rates) for rates in self.rates_of(arm)}) > 1:
                raise ValueError(
                    f"{arm}_rates: expected as many learning rates at each depth, got {self.rates_of(arm)}"
                )

    def rates_of(self, arm: str) -> tuple[Rates, ...]:
        """The learning rates that an arm chooses among, for each depth."""
        rates: tuple[Rates, ...] = getattr(self, f"{arm}_rates")
        return rates

    def depths_of(self, arm: str) -> tuple[int, ...]:
        """The depths of an arm."""
        return self.depths if arm in PLAIN else self.residual_depths


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """Accuracies in evaluation mode, between 0 and 1, by arm and depth; 0 where training diverged.

    Batch norm uses the statistics of the whole training split: 120 steps are few for running ones to settle in.

    Attributes:
        validation: on the validation split, at every rate of `config.rates_of(arm)`, as many at each depth.
        train: on the training split, at the best rate of each depth.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "depths rates seeds"]]
    train: dict[str, Float[np.ndarray, "depths seeds"]]

    def best_rates(self, arm: str) -> tuple[float, ...]:
        """For each depth, the rate with the highest median accuracy in validation."""
        each = zip(self.config.rates_of(arm), self.validation[arm], strict=True)
        return tuple(rates[best(accuracy)] for rates, accuracy in each)

    def trained(self, arm: str, depth: int) -> Float[np.ndarray, " seeds"]:
        """Accuracy on the training split at this depth, at the best rate.

        Raises:
            ValueError: the arm was not run at this depth.
        """
        depths = self.config.depths_of(arm)
        if depth not in depths:
            raise ValueError(f"depth: expected one of {', '.join(map(str, depths))}, got {depth}")
        return np.asarray(self.train[arm][depths.index(depth)])


def run(config: Config) -> Result:
    """Trains a network for each arm, depth, learning rate and seed; chooses rates on the validation split.

    Plain networks of one depth start from the same weights, and so do residual ones; all see the same batches. The
    question is what can be fitted at all, so the accuracy is that on the training split; the test split is not read.
    """
    tuning = for_tuning(load(config.dataset))
    validation: dict[str, Any] = {}
    train: dict[str, Any] = {}
    for arm in PLAIN | RESIDUAL:
        validation[arm], train[arm] = [], []
        for depth, rates in zip(config.depths_of(arm), config.rates_of(arm), strict=True):
            members = [(rate, seed) for rate in rates for seed in config.seeds]
            shape = (len(rates), len(config.seeds))
            ensemble = train_ensemble(
                [network(config, arm, depth, seed) for _, seed in members],
                tuning.train,
                learning_rates=[rate for rate, _ in members],
                seeds=[seed for _, seed in members],
                steps=config.steps,
                batch_size=config.batch_size,
            )
            if arm in NORMALISED:
                ensemble = recalibrated(ensemble, tuning.train)
            validation[arm].append(ensemble.accuracy(tuning.validation).reshape(shape).numpy())
            chosen = members_at(best(validation[arm][-1]), ensemble, seeds=len(config.seeds))
            train[arm].append(chosen.accuracy(tuning.train).numpy())
        validation[arm], train[arm] = np.array(validation[arm]), np.array(train[arm])
    return Result(config=config, provenance=Provenance.of(__name__), validation=validation, train=train)


def network(config: Config, arm: str, depth: int, seed: int) -> nn.Module:
    """The untrained network of an arm; the seed alone draws its weights."""
    inputs, generator = load(config.dataset).train.x[0].numel(), torch.Generator().manual_seed(seed)
    if arm in PLAIN:
        return PLAIN[arm](inputs, 10, depth=depth, width=config.width, generator=generator)
    return RESIDUAL[arm](inputs, 10, blocks=depth // 2, width=config.width, generator=generator)
