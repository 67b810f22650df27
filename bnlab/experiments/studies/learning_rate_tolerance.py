"""How large a learning rate still trains, with and without batch norm (after Bjorck et al. 2018, arXiv:1806.02375)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import nn

from bnlab.experiments.data import for_tuning, load
from bnlab.experiments.models import Norm, mlp
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.selection import best, members_at
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import train_ensemble
from bnlab.layers import BatchNorm1d

ARMS: dict[str, Norm | None] = {"no_norm": None, "batch_norm": BatchNorm1d}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in both arms."""

    dataset: str = "digits"
    learning_rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
    depth: int = 8
    width: int = 64
    batch_size: int = 64
    steps: int = 200


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """One number for each arm, learning rate and seed.

    Attributes:
        validation: by arm, accuracy on the validation split, between 0 and 1; 0 where training diverged.
        diverged: by arm, whether training met a loss or a gradient that was not finite.
        test: by arm, accuracy on the test split at the arm's best rate, the only ones whose test accuracy is read.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "rates seeds"]]
    diverged: dict[str, Bool[np.ndarray, "rates seeds"]]
    test: dict[str, Float[np.ndarray, " seeds"]]

    def best_rate(self, arm: str) -> int:
        """The position of the learning rate with the highest median accuracy in validation."""
        return best(self.validation[arm])

    def largest_rates(self, arm: str, accuracy: float) -> Float[np.ndarray, " seeds"]:
        """For each seed, the largest learning rate of the grid at which the arm reaches the accuracy in validation.

        0 where it does so at no rate.
        """
        reached = self.validation[arm] >= accuracy
        rates = np.array(self.config.learning_rates)
        return np.asarray(np.where(reached, rates[:, None], 0.0).max(axis=0))


def run(config: Config) -> Result:
    """Trains an MLP for each arm, learning rate and seed, and reads the test split at each arm's best rate.

    Both arms start from the same weights (batch norm's own parameters are not random) and see the same batches.
    """
    data = load(config.dataset)
    tuning = for_tuning(data)
    shape = (len(config.learning_rates), len(config.seeds))
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    inputs = tuning.train.x[0].numel()
    validation, diverged, test = {}, {}, {}
    for arm, norm in ARMS.items():
        ensemble = train_ensemble(
            [_network(config, inputs, norm, seed) for _, seed in members],
            tuning.train,
            learning_rates=[rate for rate, _ in members],
            seeds=[seed for _, seed in members],
            steps=config.steps,
            batch_size=config.batch_size,
        )
        validation[arm] = ensemble.accuracy(tuning.validation).reshape(shape).numpy()
        diverged[arm] = ensemble.diverged().reshape(shape).numpy()
        chosen = members_at(best(validation[arm]), ensemble, seeds=len(config.seeds))
        test[arm] = chosen.accuracy(data.test).numpy()
    provenance = Provenance.of(__name__)
    return Result(config=config, provenance=provenance, validation=validation, diverged=diverged, test=test)


def _network(config: Config, inputs: int, norm: Norm | None, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    return mlp(inputs, 10, depth=config.depth, width=config.width, norm=norm, generator=generator)
