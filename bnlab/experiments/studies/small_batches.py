"""What a small batch costs, norm by norm, and on which networks it costs anything.

With few values to a channel the statistics of batch norm are noise, and a norm that looks at one example does not care
(Wu & He 2018, arXiv:1803.08494). How many values there are depends on the network too: an MLP brings one an example, a
convolution one for each position of its map. So the study trains an MLP, or a CNN whose maps keep sixteen positions.
Batch renorm (Ioffe 2017, arXiv:1702.03275) and statistics taken anew after training (Wu &
Johnson 2021, arXiv:2105.07576) are two cures that leave batch norm's idea alone.
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
from bnlab.experiments.recalibration import accuracy_by_batch, recalibrated, shuffled_batches
from bnlab.experiments.selection import best, members_at
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import Ensemble, train_ensemble
from bnlab.layers import BatchNorm1d, BatchNorm2d, BatchRenorm1d, BatchRenorm2d, GroupNorm, LayerNorm

COMMON_BATCH = 32  # of which the learning rates are said
STRIDES = (2, 1, 1)  # of the convolutions: images of 8 x 8 become maps of 4 x 4
NETWORKS = ("mlp", "cnn")


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    Attributes:
        network: "mlp", or "cnn": three convolutions, whose maps have sixteen positions, and a head that sees them all.
        compared: names of the arms that are trained; see `arms`.
        batch_sizes: of SGD, and so of the statistics.
        learning_rates: at a batch of 32; at another one they are in proportion to it, so that one grid serves all.
        epochs: passes over the training split, the same for each batch size: a batch of 32 gets a sixteenth of the
            steps that a batch of 2 gets.
        depth: hidden layers of the MLP.
        width: units of each.
        channels: of each convolution.
        groups: of group norm.
    """

    dataset: str = "digits"
    network: str = "mlp"
    compared: tuple[str, ...] = ("no_norm", "batch_norm", "batch_renorm", "layer_norm")
    batch_sizes: tuple[int, ...] = (2, 8, 32)
    learning_rates: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.8)
    epochs: int = 1
    depth: int = 3
    width: int = 32
    channels: int = 8
    groups: int = 4
    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network not in NETWORKS:
            raise ValueError(f"network: expected one of {', '.join(NETWORKS)}, got {self.network!r}")
        for name in self.compared:
            if name not in self.arms():
                raise ValueError(f"compared: expected names of arms ({', '.join(self.arms())}), got {name!r}")
        if min(self.batch_sizes) < 2:
            raise ValueError(f"batch_sizes: expected at least 2, got {min(self.batch_sizes)}")

    def arms(self) -> dict[str, Norm | None]:
        """Every arm that can be compared on this network, by name."""
        if self.network == "mlp":
            return {
                "no_norm": None,
                "batch_norm": BatchNorm1d,
                "batch_renorm": BatchRenorm1d,
                "layer_norm": LayerNorm,
            }
        return {
            "no_norm": None,
            "batch_norm": BatchNorm2d,
            "batch_renorm": BatchRenorm2d,
            "group_norm": partial(GroupNorm, self.groups),
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """Accuracies between 0 and 1, by arm; all but `validation` at the best rate of the arm and the batch size.

    Attributes:
        validation: on the validation split, at every rate.
        test: on the test split.
        recalibrated: of batch norm only, the same with the statistics of the whole training split, instead of those
            that ran along.
        by_batch: of batch norm only, the same in training mode, by the statistics of batches of the trained size.
        train: on the training split, as trained.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "sizes rates seeds"]]
    test: dict[str, Float[np.ndarray, "sizes seeds"]]
    recalibrated: dict[str, Float[np.ndarray, "sizes seeds"]]
    by_batch: dict[str, Float[np.ndarray, "sizes seeds"]]
    train: dict[str, Float[np.ndarray, "sizes seeds"]]

    def best_rates(self, arm: str) -> tuple[float, ...]:
        """For each batch size, the rate (at a batch of 32) with the highest median accuracy in validation."""
        return tuple(self.config.learning_rates[best(validation)] for validation in self.validation[arm])

    def at(self, batch_size: int) -> int:
        """The position of a batch size.

        Raises:
            ValueError: it was not run.
        """
        if batch_size not in self.config.batch_sizes:
            raise ValueError(f"expected one of the batch sizes {self.config.batch_sizes}, got {batch_size}")
        return self.config.batch_sizes.index(batch_size)


def run(config: Config) -> Result:
    """Trains a network for each arm, batch size, rate and seed; reads the test split at the best rates only.

    At a batch size all arms start from the same weights, see the same batches and make the same number of steps.
    """
    data = load(config.dataset)
    tuning = for_tuning(data)
    names = ("validation", "test", "recalibrated", "by_batch", "train")
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    for arm in config.compared:
        rows: dict[str, list[Any]] = {name: [] for name in names}
        for batch_size in config.batch_sizes:
            ensemble = _trained(config, arm, batch_size, tuning.train)
            validation = ensemble.accuracy(tuning.validation).reshape(-1, len(config.seeds))
            chosen = members_at(best(validation.numpy()), ensemble, seeds=len(config.seeds))
            rows["validation"].append(validation)
            rows["train"].append(chosen.accuracy(tuning.train))
            rows["test"].append(chosen.accuracy(data.test))
            if arm == "batch_norm":
                rows["recalibrated"].append(recalibrated(chosen, tuning.train).accuracy(data.test))
                batches = shuffled_batches(len(data.test.y), batch_size)
                rows["by_batch"].append(accuracy_by_batch(chosen, data.test, batches))
        for name, accuracies in rows.items():
            if accuracies:
                found[name][arm] = torch.stack(accuracies).numpy()
    return Result(config=config, provenance=Provenance.of(__name__), **found)


def network(config: Config, arm: str, seed: int) -> nn.Sequential:
    """The untrained network of an arm; the seed alone draws its weights, as He et al. 2015 (arXiv:1502.01852) do."""
    norm, generator = config.arms()[arm], torch.Generator().manual_seed(seed)
    example = load(config.dataset).train.x[0]
    if config.network == "mlp":
        return mlp(example.numel(), 10, depth=config.depth, width=config.width, norm=norm, generator=generator)
    layers: list[nn.Module] = []
    inputs, positions = len(example), example[0].numel()
    for stride in STRIDES:
        layers.append(nn.Conv2d(inputs, config.channels, 3, stride=stride, padding=1, bias=norm is None))
        layers += [nn.ReLU()] if norm is None else [norm(config.channels), nn.ReLU()]
        inputs, positions = config.channels, positions // stride**2
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * positions, 10))
    for layer in model:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return model


def _trained(config: Config, arm: str, batch_size: int, train: Split) -> Ensemble:
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    return train_ensemble(
        [network(config, arm, seed) for _, seed in members],
        train,
        learning_rates=[rate * batch_size / COMMON_BATCH for rate, _ in members],
        seeds=[seed for _, seed in members],
        steps=config.epochs * len(train.y) // batch_size,
        batch_size=batch_size,
        optimiser=SGD(momentum=config.momentum),
        schedule=cosine,
    )
