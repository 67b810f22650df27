"""Networks without statistics: dynamic tanh and dynamic erf in the place of a norm, beside norms and beside nothing.

Zhu et al. 2025 (arXiv:2503.10622) and Chen et al. 2025 (arXiv:2512.10938) replace the norms of transformers by one
bounded function of each value. Here the network is a small residual MLP, which like a transformer has its norms at the
head of each branch, and is not what they were tried on.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float

from bnlab.experiments.data import for_tuning, load
from bnlab.experiments.models import Norm, residual_mlp
from bnlab.experiments.optimisers import SGD, cosine
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.selection import best, members_at
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import train_ensemble
from bnlab.layers import BatchNorm1d, Derf, DyT, LayerNorm, RMSNorm

ARMS: dict[str, Norm | None] = {
    "no_norm": None,
    "batch_norm": BatchNorm1d,
    "layer_norm": LayerNorm,
    "rms_norm": RMSNorm,
    "dynamic_tanh": DyT,
    "dynamic_erf": Derf,
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    Attributes:
        blocks: of two linear layers each, every one with a norm in front.
    """

    dataset: str = "digits"
    learning_rates: tuple[float, ...] = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
    blocks: int = 3
    width: int = 32
    batch_size: int = 32
    steps: int = 100
    momentum: float = 0.9


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """By arm, accuracies between 0 and 1 in evaluation mode.

    Attributes:
        validation: on the validation split.
        test: on the test split, at the arm's best rate.
        train: on the training split, at the arm's best rate.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "rates seeds"]]
    test: dict[str, Float[np.ndarray, " seeds"]]
    train: dict[str, Float[np.ndarray, " seeds"]]

    def best_rate(self, arm: str) -> float:
        """The rate with the highest median accuracy in validation."""
        return self.config.learning_rates[best(self.validation[arm])]


def run(config: Config) -> Result:
    """Trains a residual MLP for each arm, learning rate and seed; reads the test split at each arm's best rate only.

    All arms start from the same weights and see the same batches.
    """
    data = load(config.dataset)
    tuning = for_tuning(data)
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    found: dict[str, dict[str, Any]] = {name: {} for name in ("validation", "test", "train")}
    for arm, norm in ARMS.items():
        ensemble = train_ensemble(
            [_network(config, norm, seed) for _, seed in members],
            tuning.train,
            learning_rates=[rate for rate, _ in members],
            seeds=[seed for _, seed in members],
            steps=config.steps,
            batch_size=config.batch_size,
            optimiser=SGD(momentum=config.momentum),
            schedule=cosine,
        )
        validation = ensemble.accuracy(tuning.validation).reshape(-1, len(config.seeds)).numpy()
        chosen = members_at(best(validation), ensemble, seeds=len(config.seeds))
        found["validation"][arm] = validation
        found["test"][arm] = chosen.accuracy(data.test).numpy()
        found["train"][arm] = chosen.accuracy(tuning.train).numpy()
    return Result(config=config, provenance=Provenance.of(__name__), **found)


def _network(config: Config, norm: Norm | None, seed: int) -> torch.nn.Module:
    inputs = load(config.dataset).train.x[0].numel()
    generator = torch.Generator().manual_seed(seed)
    return residual_mlp(inputs, 10, blocks=config.blocks, width=config.width, norm=norm, generator=generator)
