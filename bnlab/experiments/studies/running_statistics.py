"""What a network loses when it is evaluated with running statistics rather than with those of all its training data.

The statistics that a layer keeps are an average over its last batches (Ioffe & Szegedy 2015, arXiv:1502.03167); how
many, momentum says. It can be off in two ways: it still holds its start (mean 0, variance 1), and its older batches
were seen by weights that have moved since. The start's share is known, so it can be taken out, and what remains is the
second. The alternative to any average is one more pass over the data (Wu & Johnson 2021, arXiv:2105.07576).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bnlab.deploy import recalibrate
from bnlab.experiments.data import Split, mnist1d
from bnlab.experiments.models import mlp
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import Ensemble, training_steps
from bnlab.layers import BatchNorm1d


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; momentum is PyTorch's, the weight of the new batch."""

    momenta: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0)
    steps: tuple[int, ...] = (100, 300, 1000)  # after which to evaluate
    learning_rates: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0)
    depth: int = 4
    width: int = 100
    batch_size: int = 100


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """Accuracies, between 0 and 1, of networks that differ in nothing but their statistics.

    Attributes:
        validation: at the last step, recalibrated, on the validation split.
        running: with running statistics, on the test split.
        corrected: with running statistics whose start was taken out, on the test split.
        recalibrated: with the statistics of all training data under the final weights, on the test split.
    """

    kind: ClassVar = Config

    config: Config
    validation: Float[np.ndarray, "rates seeds"]
    running: Float[np.ndarray, "rates steps momenta seeds"]
    corrected: Float[np.ndarray, "rates steps momenta seeds"]
    recalibrated: Float[np.ndarray, "rates steps seeds"]

    def best_rate(self) -> int:
        """The position of the learning rate with the highest mean accuracy in validation."""
        return int(self.validation.mean(-1).argmax())

    def gap(self, rate: int) -> Float[np.ndarray, "steps momenta seeds"]:
        """What running statistics cost at the learning rate of this position: recalibrated minus running, paired."""
        return np.asarray(self.recalibrated[rate][:, None] - self.running[rate])

    def gap_without_start(self, rate: int) -> Float[np.ndarray, "steps momenta seeds"]:
        """What is left of the gap once the start is taken out: recalibrated minus corrected, paired."""
        return np.asarray(self.recalibrated[rate][:, None] - self.corrected[rate])


def run(config: Config) -> Result:
    """Trains an MLP on MNIST-1D for each learning rate and seed, and evaluates it with many kinds of statistics.

    Training normalises by the batch and never reads the running statistics, so a single training serves every
    momentum: the layers keep the statistics of the last batch alone, and the averages are formed beside them.
    """
    data = mnist1d()
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    ensemble = Ensemble.of([_network(config, seed) for _, seed in members])
    start = {name: buffer.clone() for name, buffer in ensemble.buffers.items()}
    averages = {momentum: {name: buffer.clone() for name, buffer in start.items()} for momentum in config.momenta}
    running, corrected, recalibrated, validation = [], [], [], torch.empty(0)
    for step in training_steps(
        ensemble,
        data.train,
        learning_rates=[rate for rate, _ in members],
        seeds=[seed for _, seed in members],
        steps=max(config.steps),
        batch_size=config.batch_size,
    ):
        for momentum, average in averages.items():
            _move(average, ensemble.buffers, momentum)
        if step in config.steps:
            corrections = [_without(start, average, (1 - m) ** step) for m, average in averages.items()]
            running.append(_accuracies(ensemble, averages.values(), data.test))
            corrected.append(_accuracies(ensemble, corrections, data.test))
            exact = _recalibrated(ensemble, data.train, config.batch_size)
            recalibrated.append(exact.accuracy(data.test))
            validation = exact.accuracy(data.validation)

    def by_rate_and_seed(accuracy: Tensor) -> Float[np.ndarray, "..."]:
        by_rate = accuracy.view(*accuracy.shape[:-1], len(config.learning_rates), len(config.seeds))
        return np.asarray(by_rate.movedim(-2, 0))

    return Result(
        config=config,
        provenance=Provenance.of(__name__),
        validation=by_rate_and_seed(validation),
        running=by_rate_and_seed(torch.stack(running)),
        corrected=by_rate_and_seed(torch.stack(corrected)),
        recalibrated=by_rate_and_seed(torch.stack(recalibrated)),
    )


def _network(config: Config, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    norm = partial(BatchNorm1d, momentum=1.0)  # so that the buffers are the last batch's statistics
    return mlp(40, 10, depth=config.depth, width=config.width, norm=norm, generator=generator)


def _move(average: dict[str, Tensor], batch: dict[str, Tensor], momentum: float) -> None:
    """The update of a layer with this momentum, in all layers of all members."""
    for name, value in average.items():
        if value.is_floating_point():
            value.copy_((1 - momentum) * value + momentum * batch[name])


def _without(start: dict[str, Tensor], average: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """An average in which its start has this share, as it would be without."""
    return {
        name: (value - share * start[name]) / (1 - share) if value.is_floating_point() else value
        for name, value in average.items()
    }


def _accuracies(ensemble: Ensemble, statistics: Iterable[dict[str, Tensor]], split: Split) -> Tensor:
    return torch.stack([replace(ensemble, buffers=buffers).accuracy(split) for buffers in statistics])


def _recalibrated(ensemble: Ensemble, split: Split, batch_size: int) -> Ensemble:
    models = [ensemble.member(index) for index in range(len(next(iter(ensemble.parameters.values()))))]
    for model in models:
        recalibrate(model, torch.split(split.x, batch_size))
    return Ensemble.of(models)
