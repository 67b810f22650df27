"""How large a learning rate still trains, with and without batch norm (after Bjorck et al. 2018, arXiv:1806.02375)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import nn

from bnlab.experiments.data import digits
from bnlab.experiments.models import Norm, mlp
from bnlab.experiments.training import train_ensemble
from bnlab.layers import BatchNorm1d

ARMS: dict[str, Norm | None] = {"no_norm": None, "batch_norm": BatchNorm1d}


@dataclass(frozen=True)
class Config:
    """Settings of the study; everything that is not listed is the same in both arms."""

    learning_rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    depth: int = 8
    width: int = 64
    batch_size: int = 64
    steps: int = 200


@dataclass(frozen=True)
class Result:
    """One number for each arm, learning rate and seed.

    Attributes:
        config: the settings that gave it.
        validation: by arm, accuracy on the validation split, between 0 and 1, shape (learning rates, seeds).
        accuracy: the same on the test split; an output that is not a number counts as wrong.
        diverged: by arm, whether the parameters ended as NaN or infinity, same shape.
    """

    config: Config
    validation: dict[str, Float[np.ndarray, "rates seeds"]]
    accuracy: dict[str, Float[np.ndarray, "rates seeds"]]
    diverged: dict[str, Bool[np.ndarray, "rates seeds"]]

    def largest_rates(self, arm: str, accuracy: float) -> Float[np.ndarray, " seeds"]:
        """For each seed, the largest learning rate of the grid at which the arm reaches the accuracy.

        Raises:
            ValueError: some seed reaches it at no rate.
        """
        reached = self.accuracy[arm] >= accuracy
        if not reached.any(axis=0).all():
            raise ValueError(f"expected each seed of {arm!r} to reach {accuracy} at some rate, got one that does not")
        rates = np.array(self.config.learning_rates)
        return np.array([rates[seed_reached].max() for seed_reached in reached.T])

    def at_best_rate(self, arm: str) -> Float[np.ndarray, " seeds"]:
        """Test accuracy of each seed at the arm's best learning rate, that of the highest median in validation."""
        best = int(np.median(self.validation[arm], axis=1).argmax())
        return np.asarray(self.accuracy[arm][best])


def run(config: Config) -> Result:
    """Trains an MLP on the digits for each arm, learning rate and seed, and reads the test set once.

    Both arms start from the same weights (batch norm's own parameters are not random) and see the same batches.
    """
    data = digits()
    shape = (len(config.learning_rates), len(config.seeds))
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    validation, accuracy, diverged = {}, {}, {}
    for arm, norm in ARMS.items():
        ensemble = train_ensemble(
            [_network(config, norm, seed) for _, seed in members],
            data.train,
            learning_rates=[rate for rate, _ in members],
            seeds=[seed for _, seed in members],
            steps=config.steps,
            batch_size=config.batch_size,
        )
        validation[arm] = ensemble.accuracy(data.validation).reshape(shape).numpy()
        accuracy[arm] = ensemble.accuracy(data.test).reshape(shape).numpy()
        diverged[arm] = ensemble.diverged().reshape(shape).numpy()
    return Result(config, validation, accuracy, diverged)


def _network(config: Config, norm: Norm | None, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    return mlp(64, 10, depth=config.depth, width=config.width, norm=norm, generator=generator)
