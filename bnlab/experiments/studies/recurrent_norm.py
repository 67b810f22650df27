"""An LSTM that reads an image value by value, without batch norm and with it at each step, by the start of gamma.

Batch norm at each step is that of Cooijmans et al. 2016 (arXiv:1603.09025), who start its scales, gamma, at 0.1.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool1d, avg_pool2d, cross_entropy

from bnlab.experiments.data import Dataset, Split, for_tuning, load
from bnlab.experiments.optimisers import AdamW, cosine
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.recurrent_models import RecurrentClassifier
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import train_ensemble


class Arm(NamedTuple):
    """The LSTM's norm and the start of its scales."""

    norm: str | None
    gamma: float = 0.1


ARMS = {"no_norm": Arm(None), "batch_norm": Arm("batch", 0.1), "gamma_one": Arm("batch", 1.0)}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    Attributes:
        common_rate: one of `learning_rates`, at which all arms are compared, too.
        probe: training examples on which gradients are measured before training.
    """

    dataset: str = "digits"
    learning_rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1)
    common_rate: float = 0.003
    hidden: int = 32
    batch_size: int = 50
    steps: int = 150
    probe: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.common_rate not in self.learning_rates:
            raise ValueError(
                f"common_rate: expected one of the learning rates {self.learning_rates}, got {self.common_rate}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """By arm; in evaluation mode where nothing else is said.

    Attributes:
        validation: accuracy on the validation split, between 0 and 1, at every rate.
        test: accuracy on the test split, at the arm's best rate.
        test_at_common_rate: the same at the common rate.
        gradient: in training mode, before training: norm of the gradient of the mean cross-entropy with respect to the
            hidden state behind each step but the last.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "rates seeds"]]
    test: dict[str, Float[np.ndarray, " seeds"]]
    test_at_common_rate: dict[str, Float[np.ndarray, " seeds"]]
    gradient: dict[str, Float[np.ndarray, "steps seeds"]]

    def best_rate(self, arm: str) -> float:
        """The rate with the highest median accuracy in validation."""
        return self.config.learning_rates[best(self.validation[arm])]


def run(config: Config) -> Result:
    """Trains an LSTM for each arm, learning rate and seed; reads the test split at the best and the common rate only.

    All arms start from the same weights and see the same batches.
    """
    data = sequences(load(config.dataset))
    tuning = for_tuning(data)
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    shape = (len(config.learning_rates), len(config.seeds))
    found: dict[str, dict[str, Any]] = {name: {} for name in ("validation", "test", "test_at_common_rate", "gradient")}
    for arm in ARMS:
        ensemble = train_ensemble(
            [network(config, arm, seed) for _, seed in members],
            tuning.train,
            learning_rates=[rate for rate, _ in members],
            seeds=[seed for _, seed in members],
            steps=config.steps,
            batch_size=config.batch_size,
            optimiser=AdamW(weight_decay=0.0),
            schedule=cosine,
        )
        found["validation"][arm] = ensemble.accuracy(tuning.validation).reshape(shape).numpy()
        tested = ensemble.accuracy(data.test).reshape(shape).numpy()
        found["test"][arm] = tested[best(found["validation"][arm])]
        found["test_at_common_rate"][arm] = tested[config.learning_rates.index(config.common_rate)]
        probe = Split(tuning.train.x[: config.probe], tuning.train.y[: config.probe])
        norms = [gradient_by_step(network(config, arm, seed), probe) for seed in config.seeds]
        found["gradient"][arm] = torch.stack(norms, 1).numpy()
    return Result(config=config, provenance=Provenance.of(__name__), **found)


def sequences(data: Dataset) -> Dataset:
    """Each example as a sequence of single values, after the mean over squares of 2x2 pixels, or over 2 values.

    >>> sequences(load("digits")).train.x.shape, sequences(load("mnist1d")).train.x.shape
    (torch.Size([1077, 16, 1]), torch.Size([3000, 20, 1]))
    """

    def split(one: Split) -> Split:
        pooled = avg_pool2d(one.x, 2) if one.x.ndim == 4 else avg_pool1d(one.x, 2)
        return Split(pooled.flatten(1)[..., None], one.y)

    return Dataset(*map(split, data))


def network(config: Config, arm: str, seed: int) -> RecurrentClassifier:
    """The untrained network of an arm; the seed alone draws its weights."""
    length = sequences(load(config.dataset)).train.x.shape[1]
    norm, gamma = ARMS[arm]
    return RecurrentClassifier(1, 10, hidden=config.hidden, length=length, norm=norm, gamma=gamma, seed=seed)


def best(validation: Float[np.ndarray, "rates seeds"]) -> int:
    """The position of the rate with the highest median over the seeds."""
    return int(np.median(validation, axis=1).argmax())


def gradient_by_step(model: RecurrentClassifier, split: Split) -> Float[Tensor, " steps"]:
    """Norm of the gradient of the mean cross-entropy with respect to the hidden state behind each step but the last.

    In training mode, by batch statistics; the running ones are moved.
    """
    model.train()
    hidden, state = [], None
    for step in torch.split(split.x, 1, dim=1):
        _, state = model.lstm(step, state)
        hidden.append(state[0])
    loss = cross_entropy(model.head(hidden[-1][0]), split.y)
    return torch.stack([gradient.norm() for gradient in torch.autograd.grad(loss, hidden[:-1])])
