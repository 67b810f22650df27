"""How steadily and how fast a deep plain network trains, with and without batch norm, seed by seed."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bnlab.experiments.data import load
from bnlab.experiments.models import Norm, mlp
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.selection import best
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import Ensemble, training_steps
from bnlab.layers import BatchNorm1d

ARMS: dict[str, Norm | None] = {"no_norm": None, "batch_norm": BatchNorm1d}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in both arms."""

    dataset: str = "digits"
    learning_rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)
    depth: int = 12
    width: int = 50
    batch_size: int = 50
    steps: int = 150
    every: int = 10  # steps from one evaluation to the next


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """Accuracies in the course of training, between 0 and 1; 0 from where training diverged.

    Attributes:
        validation: by arm, on the validation split.
        test: by arm, on the test split, at the arm's best rate: the only one whose test accuracy is kept.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "rates looks seeds"]]
    test: dict[str, Float[np.ndarray, "looks seeds"]]

    def best_rate(self, arm: str) -> int:
        """The position of the learning rate with the highest median accuracy in validation after the last step."""
        return best(self.validation[arm][:, -1])

    def steps(self) -> Float[np.ndarray, " looks"]:
        """The steps after which accuracy was measured."""
        return np.arange(self.config.every, self.config.steps + 1.0, self.config.every)

    def at_step(self, arm: str, step: int) -> Float[np.ndarray, " seeds"]:
        """Test accuracy at the arm's best rate after this step.

        Raises:
            ValueError: accuracy was not measured after this step.
        """
        (look,) = np.nonzero(self.steps() == step)
        if not look.size:
            raise ValueError(f"step: expected a multiple of {self.config.every} up to {self.config.steps}, got {step}")
        return np.asarray(self.test[arm][look[0]])

    def lost_again(self, arm: str) -> Float[np.ndarray, " seeds"]:
        """Test accuracy that a run gives back, at the arm's best rate: the sum of its falls from look to look."""
        return np.asarray(np.clip(-np.diff(self.test[arm], axis=0), 0, None).sum(axis=0))


def run(config: Config) -> Result:
    """Trains an MLP for each arm, learning rate and seed, and follows its accuracy.

    Both arms start from the same weights (batch norm's own parameters are not random) and see the same batches.

    Raises:
        ValueError: training ends between two evaluations.
    """
    if config.steps % config.every:
        raise ValueError(f"steps: expected a multiple of every, {config.every}, got {config.steps}")
    data = load(config.dataset)
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    validation, test = {}, {}
    for arm, norm in ARMS.items():
        ensemble = Ensemble.of([_network(config, data.train.x[0].numel(), norm, seed) for _, seed in members])
        seen: tuple[list[Tensor], list[Tensor]] = ([], [])
        for step in training_steps(
            ensemble,
            data.train,
            learning_rates=[rate for rate, _ in members],
            seeds=[seed for _, seed in members],
            steps=config.steps,
            batch_size=config.batch_size,
        ):
            if step % config.every == 0:
                for accuracies, split in zip(seen, (data.validation, data.test), strict=True):
                    accuracies.append(ensemble.accuracy(split))
        by_rate = [torch.stack(a).view(len(a), len(config.learning_rates), -1).movedim(0, 1).numpy() for a in seen]
        validation[arm], test[arm] = by_rate[0], by_rate[1][best(by_rate[0][:, -1])]
    return Result(config=config, provenance=Provenance.of(__name__), validation=validation, test=test)


def _network(config: Config, inputs: int, norm: Norm | None, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    return mlp(inputs, 10, depth=config.depth, width=config.width, norm=norm, generator=generator)
