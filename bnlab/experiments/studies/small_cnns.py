"""Small convolutional networks with their norm in different places, and small residual ones, each at its best rate.

Ioffe & Szegedy 2015 (section 3.2, arXiv:1502.03167) put the norm between a convolution and its nonlinearity; it can
stand behind the nonlinearity as well. In a residual block the last gamma may start at 0, so that the block starts as
the identity (Goyal et al. 2017, arXiv:1706.02677).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from bnlab.experiments.data import for_tuning, load
from bnlab.experiments.models import cnn, resnet
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.recalibration import recalibrated
from bnlab.experiments.selection import best, members_at
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import train_ensemble
from bnlab.layers import BatchNorm2d

NORMALISED = ("before", "after", "residual_norm", "zero_gamma")


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    Attributes:
        compared: names of the arms that are trained; see `arms`.
        depth: convolutions of the plain networks.
        blocks: of the residual networks, two convolutions each.
        stride: of the first convolution; with 2, digits become 4x4 maps.
    """

    dataset: str = "digits"
    compared: tuple[str, ...] = ("no_norm", "before", "after")
    learning_rates: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0)
    depth: int = 4
    blocks: int = 4
    width: int = 8
    stride: int = 2
    batch_size: int = 32
    steps: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.compared:
            if name not in self.arms():
                raise ValueError(f"compared: expected names of arms ({', '.join(self.arms())}), got {name!r}")

    def arms(self) -> dict[str, Callable[..., nn.Module]]:
        """Every network that can be compared, by name."""
        plain, residual = partial(cnn, depth=self.depth), partial(resnet, blocks=self.blocks)
        return {
            "no_norm": plain,
            "before": partial(plain, norm=BatchNorm2d),
            "after": partial(plain, norm=BatchNorm2d, norm_after=True),
            "residual": residual,
            "residual_norm": partial(residual, norm=BatchNorm2d),
            "zero_gamma": partial(residual, norm=BatchNorm2d, zero_gamma=True),
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """By arm, in evaluation mode, with the statistics of the whole training split; accuracies between 0 and 1.

    Attributes:
        validation: accuracy on the validation split, at every rate.
        test: accuracy on the test split, at the arm's best rate.
        train: accuracy on the training split, at the arm's best rate.
        running: of batch norm only, accuracy on the test split by the statistics that ran along in training.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "rates seeds"]]
    test: dict[str, Float[np.ndarray, " seeds"]]
    train: dict[str, Float[np.ndarray, " seeds"]]
    running: dict[str, Float[np.ndarray, " seeds"]]

    def best_rate(self, arm: str) -> float:
        """The rate with the highest median accuracy in validation."""
        return self.config.learning_rates[best(self.validation[arm])]


def run(config: Config) -> Result:
    """Trains a network for each arm, learning rate and seed; reads the test split at each arm's best rate only.

    Plain networks start from the same weights, and so do the residual ones; all see the same batches.
    """
    data = load(config.dataset)
    tuning = for_tuning(data)
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    shape = (len(config.learning_rates), len(config.seeds))
    found: dict[str, dict[str, Any]] = {name: {} for name in ("validation", "test", "train", "running")}
    for arm in config.compared:
        trained = train_ensemble(
            [network(config, arm, seed) for _, seed in members],
            tuning.train,
            learning_rates=[rate for rate, _ in members],
            seeds=[seed for _, seed in members],
            steps=config.steps,
            batch_size=config.batch_size,
        )
        exact = recalibrated(trained, tuning.train) if arm in NORMALISED else trained
        found["validation"][arm] = exact.accuracy(tuning.validation).reshape(shape).numpy()
        setting = best(found["validation"][arm])
        chosen, as_trained = (members_at(setting, kind, seeds=len(config.seeds)) for kind in (exact, trained))
        for name, split in (("test", data.test), ("train", tuning.train)):
            found[name][arm] = chosen.accuracy(split).numpy()
        if arm in NORMALISED:
            found["running"][arm] = as_trained.accuracy(data.test).numpy()
    return Result(config=config, provenance=Provenance.of(__name__), **found)


def network(config: Config, arm: str, seed: int) -> nn.Module:
    """The untrained network of an arm; the seed alone draws its weights."""
    channels, generator = load(config.dataset).train.x.shape[1], torch.Generator().manual_seed(seed)
    return config.arms()[arm](channels, 10, width=config.width, stride=config.stride, generator=generator)
