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
from bnlab.experiments.selection import best, members_at
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import train_ensemble


class Arm(NamedTuple):
    """The LSTM's norm, the start of its scales, and what is added to the start of the forget gate's bias."""

    norm: str | None
    gamma: float = 0.1
    forget_bias: float = 0.0


ARMS = {
    "no_norm": Arm(None),
    "forget_two": Arm(None, forget_bias=2.0),  # keeps the gradient without a norm: the control for that explanation
    "batch_norm": Arm("batch", 0.1),
    "gamma_one": Arm("batch", 1.0),
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    Attributes:
        common_rate: one of `learning_rates`, at which all arms are compared, too.
        probe: training examples on which gradients are measured before training.
    """

    dataset: str = "digits"
    learning_rates: tuple[float, ...] = (0.003, 0.03, 0.1, 0.3)
    common_rate: float = 0.003
    hidden: int = 24
    batch_size: int = 32
    steps: int = 120
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
        gradient: in training mode, before training, on whole examples, which are not shortened: norm of the gradient
            of the mean cross-entropy with respect to the hidden state behind each step but the last.
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

    All arms start from the same weights and see the same batches, of examples that are shortened.
    """
    data, whole = (sequences(load(config.dataset), shortened=shortened) for shortened in (True, False))
    tuning = for_tuning(data)
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    shape = (len(config.learning_rates), len(config.seeds))
    found: dict[str, dict[str, Any]] = {name: {} for name in ("validation", "test", "test_at_common_rate", "gradient")}
    for arm in ARMS:
        ensemble = train_ensemble(
            [network(config, arm, seed, length=data.train.x.shape[1]) for _, seed in members],
            tuning.train,
            learning_rates=[rate for rate, _ in members],
            seeds=[seed for _, seed in members],
            steps=config.steps,
            batch_size=config.batch_size,
            optimiser=AdamW(weight_decay=0.0),
            schedule=cosine,
        )
        found["validation"][arm] = ensemble.accuracy(tuning.validation).reshape(shape).numpy()
        common = config.learning_rates.index(config.common_rate)
        for name, rate in (("test", best(found["validation"][arm])), ("test_at_common_rate", common)):
            found[name][arm] = members_at(rate, ensemble, seeds=len(config.seeds)).accuracy(data.test).numpy()
        probe = Split(whole.train.x[: config.probe], whole.train.y[: config.probe])
        untrained = [network(config, arm, seed, length=probe.x.shape[1]) for seed in config.seeds]
        found["gradient"][arm] = torch.stack([gradient_by_step(model, probe) for model in untrained], 1).numpy()
    return Result(config=config, provenance=Provenance.of(__name__), **found)


def sequences(data: Dataset, *, shortened: bool) -> Dataset:
    """Each example as a sequence of single values, row by row.

    Args:
        data: images or series.
        shortened: whether the mean over squares of 2x2 pixels, or over 2 values, takes their place.

    Example:
        >>> [sequences(load(name), shortened=True).train.x.shape[1:] for name in ("digits", "mnist1d")]
        [torch.Size([16, 1]), torch.Size([20, 1])]
    """

    def split(one: Split) -> Split:
        pool = avg_pool2d if one.x.ndim == 4 else avg_pool1d
        return Split((pool(one.x, 2) if shortened else one.x).flatten(1)[..., None], one.y)

    return Dataset(*map(split, data))


def network(config: Config, arm: str, seed: int, *, length: int) -> RecurrentClassifier:
    """The untrained network of an arm, for sequences of this length; the seed alone draws its weights."""
    return RecurrentClassifier(1, 10, hidden=config.hidden, length=length, **ARMS[arm]._asdict(), seed=seed)


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
