"""Training on batches that hold few classes, as a loader without shuffling or a stream of sorted data gives them.

Batch norm subtracts what a batch has in common. If that is the class, the network is never told of it; in evaluation,
by statistics of all classes, it meets inputs that it has not been trained on. A norm of one example does not care.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from bnlab.experiments.data import Split, for_tuning, load
from bnlab.experiments.models import Norm, mlp
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.recalibration import recalibrated
from bnlab.experiments.selection import best, members_at
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import Ensemble, train_ensemble
from bnlab.layers import BatchNorm1d, LayerNorm

ARMS: dict[str, Norm | None] = {"no_norm": None, "batch_norm": BatchNorm1d, "layer_norm": LayerNorm}
CLASSES = 10


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    Attributes:
        classes: in a batch, as many examples of each; divisors of the batch size.
        prepared: batches that are drawn beforehand, and then come in a random order.
    """

    dataset: str = "digits"
    classes: tuple[int, ...] = (1, 2, 10)
    learning_rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)
    prepared: int = 400
    depth: int = 3
    width: int = 64
    batch_size: int = 20
    steps: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        for count in self.classes:
            if self.batch_size % count or count > CLASSES:
                raise ValueError(f"classes: expected divisors of {self.batch_size} up to {CLASSES}, got {count}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """Accuracies in evaluation mode, between 0 and 1, by arm and by how many classes a batch held.

    Attributes:
        validation: on the validation split, at every rate.
        test: on the test split, at the best rate.
        recalibrated: of batch norm only, the same with the statistics of the whole training split.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "classes rates seeds"]]
    test: dict[str, Float[np.ndarray, "classes seeds"]]
    recalibrated: dict[str, Float[np.ndarray, "classes seeds"]]

    def at(self, classes: int) -> int:
        """The position of a number of classes.

        Raises:
            ValueError: it was not run.
        """
        if classes not in self.config.classes:
            raise ValueError(f"expected one of the numbers of classes {self.config.classes}, got {classes}")
        return self.config.classes.index(classes)


class WholeBatch(nn.Module):
    """Takes one prepared batch as an example, so that the training of `bnlab.experiments` leaves it whole."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Float[Tensor, "1 batch *example"]) -> Float[Tensor, "1 classes batch"]:
        """Logits in the order that cross-entropy takes for a batch of one with an axis of its own."""
        logits: Tensor = self.network(x.squeeze(0))
        return logits.mT.unsqueeze(0)


def run(config: Config) -> Result:
    """Trains an MLP for each arm, number of classes, rate and seed; reads the test split at the best rates only.

    Arms start from the same weights and see the same batches.
    """
    data = load(config.dataset)
    tuning = for_tuning(data)
    seeds = len(config.seeds)
    found: dict[str, dict[str, list[Tensor]]] = {
        "validation": {arm: [] for arm in ARMS},
        "test": {arm: [] for arm in ARMS},
        "recalibrated": {"batch_norm": []},
    }
    for arm in ARMS:
        for classes in config.classes:
            ensemble = _trained(config, arm, prepared_batches(tuning.train, classes, config))
            validation = ensemble.accuracy(tuning.validation).reshape(-1, seeds)
            chosen = members_at(best(validation.numpy()), ensemble, seeds=seeds)
            found["validation"][arm].append(validation)
            found["test"][arm].append(chosen.accuracy(data.test))
            if arm == "batch_norm":
                found["recalibrated"][arm].append(recalibrated(chosen, tuning.train).accuracy(data.test))
    stacked = {name: {arm: torch.stack(rows).numpy() for arm, rows in arms.items()} for name, arms in found.items()}
    return Result(config=config, provenance=Provenance.of(__name__), **stacked)


def prepared_batches(split: Split, classes: int, config: Config) -> Split:
    """Batches that each hold examples of so many classes, drawn at random: x (prepared, batch, ...), y likewise."""
    generator = torch.Generator().manual_seed(classes)
    rows = torch.stack([_batch(split.y, classes, config.batch_size, generator) for _ in range(config.prepared)])
    return Split(split.x[rows], split.y[rows])


def _batch(y: Int[Tensor, " n"], classes: int, size: int, generator: torch.Generator) -> Int[Tensor, " size"]:
    chosen = torch.randperm(CLASSES, generator=generator)[:classes]
    of_class = [(y == one).nonzero().ravel() for one in chosen]
    each = size // classes
    return torch.cat([rows[torch.randperm(len(rows), generator=generator)[:each]] for rows in of_class])


def _trained(config: Config, arm: str, batches: Split) -> Ensemble:
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    whole = train_ensemble(
        [WholeBatch(_network(config, arm, batches, seed)) for _, seed in members],
        batches,
        learning_rates=[rate for rate, _ in members],
        seeds=[seed for _, seed in members],
        steps=config.steps,
        batch_size=1,
    )
    parameters, buffers = (
        {name.removeprefix("network."): value for name, value in tensors.items()}
        for tensors in (whole.parameters, whole.buffers)
    )
    network = whole.architecture.get_submodule("network")
    return Ensemble(network, parameters, buffers, whole.diverged_at)


def _network(config: Config, arm: str, batches: Split, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    inputs = batches.x[0, 0].numel()
    return mlp(inputs, CLASSES, depth=config.depth, width=config.width, norm=ARMS[arm], generator=generator)
