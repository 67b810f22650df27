"""How many steps, and how many seconds, it takes to a given accuracy, with and without batch norm.

A small relative of the first experiment in Ioffe & Szegedy 2015 (section 4.1, arXiv:1502.03167): a sigmoid network of
three hidden layers, here on 8x8 digits; and the same with ReLU. Each arm has its own best learning rate: how much
faster the one is than the other at one and the same rate says more about the rate than about the norm.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from bnlab.experiments.data import Dataset, load
from bnlab.experiments.models import Norm, mlp
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.timing import seconds_per_step
from bnlab.experiments.training import Ensemble, training_steps
from bnlab.layers import BatchNorm1d

ARMS: dict[str, Norm | None] = {"no_norm": None, "batch_norm": BatchNorm1d}
TIMED: dict[str, Norm | None] = {"no_norm": None, "batch_norm": nn.BatchNorm1d}  # what a learner would use
ACTIVATIONS = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}
STEPS_PER_ROUND = 4  # of the timing: long beside the clock's resolution, and so short that some rounds are undisturbed


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in both arms."""

    dataset: str = "digits"
    activation: str = "sigmoid"
    learning_rates: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0)
    accuracy: float = 0.9  # the one to reach
    depth: int = 3
    width: int = 50
    scale: float = 1.0  # of the initial weights of hidden layers, in multiples of He's
    batch_size: int = 60
    steps: int = 1000  # after which a run that has not arrived is given up
    looks: int = 60  # at the accuracy, at steps that grow by about the same factor
    rounds: int = 40  # of the timing

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {self.activation!r}")
        if self.accuracy > 1:
            raise ValueError(f"accuracy: expected at most 1, got {self.accuracy}")

    def steps_to_look_at(self) -> list[int]:
        """The steps after which the accuracy is measured: every one at first, then about every tenth part on."""
        return sorted({round(step) for step in np.geomspace(1, self.steps, self.looks)})


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """Steps to the accuracy, by arm; infinity where a run was given up.

    Attributes:
        validation: steps to the accuracy on validation images, from which an arm's best rate is chosen.
        test: at the best rate, steps to the accuracy on test images, the only ones that are kept.
        curves: at the best rate, accuracy on validation images at each step that was looked at, until every run of the
            arm has arrived or was given up; not a number from there on.
        seconds: that one step takes, on the machine that ran the study, of the same network in `torch.nn`.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "rates seeds"]]
    test: dict[str, Float[np.ndarray, " seeds"]]
    curves: dict[str, Float[np.ndarray, "looks seeds"]]
    seconds: dict[str, Float[np.ndarray, " seeds"]]

    def best_rate(self, arm: str) -> int:
        """The position of the learning rate with the lowest median of steps on validation images."""
        return fastest(self.validation[arm])

    def times_fewer_steps(self) -> Float[np.ndarray, " seeds"]:
        """Steps without batch norm over steps with it, each arm at its best rate, on test images.

        Infinite where only the run without was given up.

        Raises:
            ValueError: a run with batch norm was given up.
        """
        if not np.isfinite(self.test["batch_norm"]).all():
            raise ValueError("expected every run with batch norm to arrive, got one that was given up")
        return np.asarray(self.test["no_norm"] / self.test["batch_norm"])

    def cost_of_a_step(self) -> Float[np.ndarray, " seeds"]:
        """Seconds of a step with batch norm over seconds of one without."""
        return np.asarray(self.seconds["batch_norm"] / self.seconds["no_norm"])

    def times_less_time(self) -> Float[np.ndarray, " seeds"]:
        """Seconds to the accuracy without batch norm over those with it: fewer steps, each of which costs more."""
        return np.asarray(self.times_fewer_steps() / self.cost_of_a_step())


class Arrivals(NamedTuple):
    """Of one arm, at every rate: steps to the accuracy on two splits, and the accuracy on validation images by look."""

    validation: Float[np.ndarray, "rates seeds"]
    test: Float[np.ndarray, "rates seeds"]
    curves: Float[np.ndarray, "looks rates seeds"]


def run(config: Config) -> Result:
    """Trains an MLP for each arm, learning rate and seed until it reaches the accuracy, and times its steps.

    Both arms start from the same weights (batch norm's own parameters are not random) and see the same batches.
    """
    data = load(config.dataset)
    validation, test, curves = {}, {}, {}
    for arm, norm in ARMS.items():
        arrivals = _until_they_arrive(config, data, norm)
        chosen = fastest(arrivals.validation)
        validation[arm], test[arm] = arrivals.validation, arrivals.test[chosen]
        curves[arm] = arrivals.curves[:, chosen]
    taken = [_seconds(config, data, seed) for seed in config.seeds]
    return Result(
        config=config,
        provenance=Provenance.of(__name__),
        validation=validation,
        test=test,
        curves=curves,
        seconds={arm: np.array([seconds[arm] for seconds in taken]) for arm in TIMED},
    )


def fastest(steps: Float[np.ndarray, "rates seeds"]) -> int:
    """The position of the learning rate with the lowest median of steps over the seeds."""
    ordered = np.sort(steps, axis=1)
    count = steps.shape[1]
    middle = ordered[:, [(count - 1) // 2, count // 2]]  # of two infinities, no mean is taken
    return int(middle.sum(axis=1).argmin())


def _until_they_arrive(config: Config, data: Dataset, norm: Norm | None) -> Arrivals:
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    inputs, looks, shape = data.train.x[0].numel(), config.steps_to_look_at(), (-1, len(config.seeds))
    ensemble = Ensemble.of([_network(config, inputs, norm, seed) for _, seed in members])
    first = {split: np.full(len(members), np.inf) for split in ("validation", "test")}
    curves = np.full((len(looks), len(members)), np.nan)
    for step in training_steps(
        ensemble,
        data.train,
        learning_rates=[rate for rate, _ in members],
        seeds=[seed for _, seed in members],
        steps=config.steps,
        batch_size=config.batch_size,
    ):
        if step not in looks:
            continue
        accuracies = {split: ensemble.accuracy(getattr(data, split)).numpy() for split in first}
        curves[looks.index(step)] = accuracies["validation"]
        for split, accuracy in accuracies.items():
            first[split] = np.where(accuracy >= config.accuracy, np.minimum(first[split], step), first[split])
        if (np.isfinite([*first.values()]).all(0) | ensemble.diverged().numpy()).all():
            break
    by_rate = {split: steps.reshape(shape) for split, steps in first.items()}
    return Arrivals(**by_rate, curves=curves.reshape(len(looks), *by_rate["test"].shape))


def _network(config: Config, inputs: int, norm: Norm | None, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    return mlp(
        inputs,
        10,
        depth=config.depth,
        width=config.width,
        norm=norm,
        activation=ACTIVATIONS[config.activation],
        scale=config.scale,
        generator=generator,
    )


def _seconds(config: Config, data: Dataset, seed: int) -> dict[str, float]:
    models = {arm: _network(config, data.train.x[0].numel(), norm, seed) for arm, norm in TIMED.items()}
    return seconds_per_step(
        models, data.train, batch_size=config.batch_size, seed=seed, rounds=config.rounds, steps=STEPS_PER_ROUND
    )
