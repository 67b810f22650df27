"""Batch norm beside dropout and weight decay, and with them.

Weight decay of weights that feed a batch norm cannot make the function simpler, since their scale does not show in the
output: it acts through the effective learning rate, the rate over the weights' squared norm (van Laarhoven 2017,
arXiv:1706.05350). So decay is also given to these weights alone, and to all others alone.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bnlab.experiments.data import Dataset, for_tuning, load
from bnlab.experiments.models import Norm, mlp
from bnlab.experiments.optimisers import SGD, State, Tensors, cosine
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.selection import best, members_at
from bnlab.experiments.studies.batch_noise import first
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import Ensemble, training_steps
from bnlab.layers import BatchNorm1d

EVERY = 10  # steps between two looks at the weights' norms


class Arm(NamedTuple):
    """A network and its optimiser.

    Attributes:
        norm: of the hidden layers.
        dropout: behind every activation, the probability that a value is dropped.
        last_dropout: the same, behind the last activation only.
        decay: weight decay.
        decayed: which parameters: "all", those that feed a norm ("fed"), or the others ("rest").
    """

    norm: Norm | None
    dropout: float = 0.0
    last_dropout: float = 0.0
    decay: float = 0.0
    decayed: str = "all"


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    Attributes:
        examples: of the training split, the first so many; few, so that there is something to overfit.
        compared: names of the arms that are trained; see `arms`.
        dropout: the probability that a value behind an activation is dropped, where every layer has dropout.
        last_dropout: the probability where only the last hidden layer has it.
        decay: weight decay, where there is any.
        common_rate: one of `learning_rates`, at which the norms of the weights are recorded in all arms.
    """

    dataset: str = "mnist1d"
    examples: int = 1024
    compared: tuple[str, ...] = ("no_norm", "no_norm_dropout", "batch_norm", "last_dropout")
    dropout: float = 0.2
    last_dropout: float = 0.5
    decay: float = 0.01
    learning_rates: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
    common_rate: float = 0.1
    depth: int = 3
    width: int = 64
    batch_size: int = 64
    steps: int = 300
    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.common_rate not in self.learning_rates:
            raise ValueError(
                f"common_rate: expected one of the learning rates {self.learning_rates}, got {self.common_rate}"
            )
        for name in self.compared:
            if name not in self.arms():
                raise ValueError(f"compared: expected names of arms ({', '.join(self.arms())}), got {name!r}")

    def arms(self) -> dict[str, Arm]:
        """Every arm that can be compared, by name."""
        return {
            "no_norm": Arm(None),
            "no_norm_dropout": Arm(None, dropout=self.dropout),
            "batch_norm": Arm(BatchNorm1d),
            "last_dropout": Arm(BatchNorm1d, last_dropout=self.last_dropout),
            "decay": Arm(BatchNorm1d, decay=self.decay),
            "decay_of_fed": Arm(BatchNorm1d, decay=self.decay, decayed="fed"),
            "decay_of_rest": Arm(BatchNorm1d, decay=self.decay, decayed="rest"),
        }

    def looks(self) -> list[int]:
        """The steps after which the norms of the weights are recorded."""
        return list(range(EVERY, self.steps + 1, EVERY))


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """By arm, in evaluation mode, at the arm's best rate where nothing else is said.

    Attributes:
        validation: accuracy on the validation split, between 0 and 1, at every rate.
        test: accuracy on the test split.
        test_loss: mean cross-entropy there, in nats.
        train_loss: the same on the examples that were trained on, without dropout.
        squared_norm: at the common rate, of the weights that feed one hidden unit: the mean over all hidden units, at
            each step of `config.looks()`.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "rates seeds"]]
    test: dict[str, Float[np.ndarray, " seeds"]]
    test_loss: dict[str, Float[np.ndarray, " seeds"]]
    train_loss: dict[str, Float[np.ndarray, " seeds"]]
    squared_norm: dict[str, Float[np.ndarray, "looks seeds"]]

    def best_rate(self, arm: str) -> float:
        """The rate with the highest median accuracy in validation."""
        return self.config.learning_rates[best(self.validation[arm])]

    def effective_rate(self, arm: str) -> Float[np.ndarray, "looks seeds"]:
        """The common rate, as the schedule has it after a step, over the squared norm of a unit's weights then."""
        rates = [self.config.common_rate * cosine((step - 1) / self.config.steps) for step in self.config.looks()]
        return np.asarray(np.array(rates)[:, None] / self.squared_norm[arm])


@dataclass(frozen=True)
class DecayOf(SGD):
    """SGD whose decay falls on some parameters only: `decay` times each of those in `names` joins its gradient."""

    decay: float = 0.0
    names: frozenset[str] = field(default=frozenset())

    def update(self, parameters: Tensors, gradients: Tensors, state: State, rate: Tensor, weight_decay: Tensor) -> None:
        """One step in place."""
        decayed = {
            name: gradient + self.decay * parameters[name] if name in self.names else gradient
            for name, gradient in gradients.items()
        }
        super().update(parameters, decayed, state, rate, weight_decay)


def run(config: Config) -> Result:
    """Trains an MLP for each arm, learning rate and seed; reads the test split at each arm's best rate only.

    All arms start from the same weights and see the same batches; those with dropout draw masks of their own.
    """
    data = load(config.dataset)
    tuning = for_tuning(data)
    train = first(tuning.train, config.examples)
    shape = (len(config.learning_rates), len(config.seeds))
    found: dict[str, dict[str, Any]] = {
        name: {} for name in ("validation", "test", "test_loss", "train_loss", "squared_norm")
    }
    for name in config.compared:
        arm = config.arms()[name]
        ensemble, norms = _trained(config, arm, data)
        found["validation"][name] = ensemble.accuracy(tuning.validation).reshape(shape).numpy()
        chosen = members_at(best(found["validation"][name]), ensemble, seeds=len(config.seeds))
        found["test"][name] = chosen.accuracy(data.test).numpy()
        found["test_loss"][name] = chosen.loss(data.test).numpy()
        found["train_loss"][name] = chosen.loss(train).numpy()
        common = config.learning_rates.index(config.common_rate)
        found["squared_norm"][name] = norms.reshape(-1, *shape)[:, common].numpy()
    return Result(config=config, provenance=Provenance.of(__name__), **found)


def fed(model: nn.Sequential) -> frozenset[str]:
    """The names of the weights whose outputs the next layer normalises, if there is a norm: all but the head's."""
    linear = [name for name, layer in model.named_children() if isinstance(layer, nn.Linear)]
    return frozenset(f"{name}.weight" for name in linear[:-1])


def network(config: Config, arm: Arm, seed: int) -> nn.Sequential:
    """The untrained network of an arm; the seed alone draws its weights."""
    model = mlp(
        load(config.dataset).train.x[0].numel(),
        10,
        depth=config.depth,
        width=config.width,
        norm=arm.norm,
        dropout=arm.dropout,
        generator=torch.Generator().manual_seed(seed),
    )
    if arm.last_dropout:
        *body, head = model
        return nn.Sequential(*body, nn.Dropout(arm.last_dropout), head)
    return model


def optimiser(config: Config, arm: Arm, model: nn.Sequential) -> DecayOf:
    """SGD with momentum, its decay on those parameters that the arm names."""
    everything = frozenset(name for name, _ in model.named_parameters())
    names = {"all": everything, "fed": fed(model), "rest": everything - fed(model)}[arm.decayed]
    return DecayOf(momentum=config.momentum, decay=arm.decay, names=names)


def _trained(config: Config, arm: Arm, data: Dataset) -> tuple[Ensemble, Float[Tensor, "looks members"]]:
    """The arm's networks after training, and the squared norms of their weights on the way."""
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    models = [network(config, arm, seed) for _, seed in members]
    ensemble, norms = Ensemble.of(models), []
    for step in training_steps(
        ensemble,
        first(data.train, config.examples),
        learning_rates=[rate for rate, _ in members],
        seeds=[seed for _, seed in members],
        steps=config.steps,
        batch_size=config.batch_size,
        optimiser=optimiser(config, arm, models[0]),
        schedule=cosine,
    ):
        if step in config.looks():
            by_layer = [ensemble.parameters[name].square().sum(-1).mean(-1) for name in sorted(fed(models[0]))]
            norms.append(torch.stack(by_layer).mean(0))
    return ensemble, torch.stack(norms)
