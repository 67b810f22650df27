"""Batch norm whose outputs are shifted and scaled at random in every step: is it good because it keeps inputs still?

The experiment of Santurkar, Tsipras, Ilyas & Madry (2018, arXiv:1805.11604, section 2) on a small MLP. Noise behind the
norm makes the input of a nonlinearity drift from step to step, whatever the norm did; beside that network one without
norm and one with the norm alone are trained. The noise is simpler than theirs: one shift and one factor for each unit
and step, the same for all examples.

Two things are called internal covariate shift: how far the distribution of a layer's input moves (Ioffe & Szegedy), and
how far the gradient of a layer's weights moves because the layers below it were updated (their definition 2.1).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

from bnlab.experiments.data import Split, for_tuning, load
from bnlab.experiments.ensemble import Ensemble
from bnlab.experiments.models import Norm, mlp
from bnlab.experiments.probes import ensemble_outputs, mean_shift
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.recalibration import recalibrated
from bnlab.experiments.selection import best, members_at
from bnlab.experiments.stepping import Draws
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import training_steps
from bnlab.layers import BatchNorm1d

Shift = Literal["drift", "distance", "distance_held"]


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    Attributes:
        strengths: of the noise; see `Noise`.
        every: steps from one look to the next; a look compares a step with the one before it.
        probe_size: training examples, the first ones, on which the network is looked at.
    """

    dataset: str = "mnist1d"
    strengths: tuple[float, ...] = (0.25, 0.5)
    learning_rates: tuple[float, ...] = (0.1, 0.2, 0.5)
    depth: int = 6
    width: int = 48
    batch_size: int = 64
    steps: int = 300
    every: int = 30
    probe_size: int = 100

    def arms(self) -> dict[str, tuple[Norm | None, float]]:
        """The arms by name, each with its norm and its noise: the strongest of all is tried without norm too."""
        most = max(self.strengths)
        return {
            "no_norm": (None, 0.0),
            f"no_norm {most:g}": (None, most),
            "batch_norm": (BatchNorm1d, 0.0),
            **{f"batch_norm {strength:g}": (BatchNorm1d, strength) for strength in self.strengths},
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """By arm; what is known by look is of the probe in training mode, with noise.

    What was seen of a network that diverged is not a number; it gets no example right, and its loss is infinite.

    Attributes:
        validation: accuracy on the validation split, by recalibrated statistics and without noise.
        drift: distance of the mean of a unit's input to the last ReLU from that one step before, in standard deviations
            then, averaged over units.
        distance: norm of the change of the gradient of the last hidden layer's weights by one update of all layers
            below it; noise is drawn anew, as for the drift.
        distance_held: the same with the same noise before and after the update.
        cosine: of the gradients before and after that update, with noise drawn anew.
        loss: mean cross-entropy, in nats.
        train_loss: the same of the training split at the end, by recalibrated statistics and without noise.
        test: accuracy on the test split at the arm's best rate, by recalibrated statistics and without noise.
        test_running: the same by the running statistics that training left.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "rates seeds"]]
    drift: dict[str, Float[np.ndarray, "looks rates seeds"]]
    distance: dict[str, Float[np.ndarray, "looks rates seeds"]]
    distance_held: dict[str, Float[np.ndarray, "looks rates seeds"]]
    cosine: dict[str, Float[np.ndarray, "looks rates seeds"]]
    loss: dict[str, Float[np.ndarray, "looks rates seeds"]]
    train_loss: dict[str, Float[np.ndarray, "rates seeds"]]
    test: dict[str, Float[np.ndarray, " seeds"]]
    test_running: dict[str, Float[np.ndarray, " seeds"]]

    def best_rate(self, arm: str) -> int:
        """The position of the learning rate with the highest median accuracy in validation."""
        return best(self.validation[arm])

    def looks(self) -> Float[np.ndarray, " looks"]:
        """The steps before which the network was looked at."""
        return np.arange(0.0, self.config.steps, self.config.every)

    def over_training(self, name: Shift, arm: str, rate: int) -> Float[np.ndarray, " seeds"]:
        """Median over the looks, at the rate at this position."""
        numbers: Float[np.ndarray, "looks rates seeds"] = getattr(self, name)[arm]
        return np.asarray(np.median(numbers[:, rate], axis=0))


class Noise(nn.Module):
    """Multiplies each unit by a factor and adds a shift, drawn anew in each pass of training; nothing in evaluation.

    Args:
        strength: the factors are uniform within this distance of 1, the shifts within this distance of 0.
    """

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape (n, c) in and out; all examples share the draw."""
        if not self.training or self.strength == 0:
            return x
        factor, shift = self.strength * (2 * torch.rand(2, x.shape[1], dtype=x.dtype) - 1)
        return torch.addcmul(shift, x, 1 + factor)


class Look(NamedTuple):
    """What is seen from one step to the next, of every member."""

    drift: Float[Tensor, " members"]
    distance: Float[Tensor, " members"]
    distance_held: Float[Tensor, " members"]
    cosine: Float[Tensor, " members"]
    loss: Float[Tensor, " members"]


class Probe(NamedTuple):
    """Where and on what an ensemble is looked at.

    Attributes:
        split: the examples.
        place: name of the layer in front of the last hidden ReLU.
        weight: name of the last hidden layer's weight.
        below: names of all parameters of the layers below it.
    """

    split: Split
    place: str
    weight: str
    below: tuple[str, ...]


def run(config: Config) -> Result:
    """Trains an MLP for each arm, rate and seed, and looks at its last hidden layer every few steps.

    All arms start from the same weights and see the same batches. The test split is read at each arm's best rate only.

    Raises:
        ValueError: training ends between two looks, or there are too few training examples for the probe.
    """
    data = load(config.dataset)
    tuning = for_tuning(data)
    if config.steps % config.every:
        raise ValueError(f"steps: expected a multiple of every, {config.every}, got {config.steps}")
    if config.probe_size > len(data.train.y):
        raise ValueError(f"probe_size: expected at most {len(data.train.y)}, got {config.probe_size}")
    found: dict[str, dict[str, np.ndarray]] = {}
    for arm, (norm, strength) in config.arms().items():
        ensemble, numbers = _train(config, tuning.train, norm, strength)
        judged = ensemble if norm is None else recalibrated(ensemble, tuning.train)
        numbers |= {"validation": judged.accuracy(tuning.validation), "train_loss": judged.loss(tuning.train)}
        for name, number in numbers.items():
            shape = (*number.shape[:-1], len(config.learning_rates), len(config.seeds))
            found.setdefault(name, {})[arm] = number.reshape(shape).numpy()
        at = best(found["validation"][arm])
        for name, members in (("test", judged), ("test_running", ensemble)):
            chosen = members_at(at, members, seeds=len(config.seeds))
            found.setdefault(name, {})[arm] = chosen.accuracy(data.test).numpy()
    return Result(config=config, provenance=Provenance.of(__name__), **found)


def _train(
    config: Config, train: Split, norm: Norm | None, strength: float
) -> tuple[Ensemble, dict[str, Float[Tensor, "looks members"]]]:
    """The trained members, and what was seen of them on the way."""
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    ensemble = Ensemble.of([_network(config, train, norm, strength, seed) for _, seed in members])
    probe, draws = _probe(config, train, ensemble.architecture), Draws(config.seeds)
    steps = training_steps(
        ensemble,
        train,
        learning_rates=[rate for rate, _ in members],
        seeds=[seed for _, seed in members],
        steps=config.steps,
        batch_size=config.batch_size,
    )
    looks = []
    for _ in range(0, config.steps, config.every):
        looks.append(_look(ensemble, steps, probe, draws))
        for _ in range(config.every - 1):
            next(steps)
    seen = Look(*(torch.stack(numbers) for numbers in zip(*looks, strict=True)))
    diverged = ensemble.diverged()
    return ensemble, {name: number.masked_fill(diverged, torch.nan) for name, number in seen._asdict().items()}


def _look(ensemble: Ensemble, steps: Iterator[int], probe: Probe, draws: Draws) -> Look:
    """What the next step changes."""

    def outputs() -> dict[str, Tensor]:
        with draws.own():
            return ensemble_outputs(ensemble, probe.split.x, training=True)

    parameters, before = _copy(ensemble.parameters), outputs()
    next(steps)
    updated = parameters | {name: ensemble.parameters[name].detach() for name in probe.below}
    old, new = (_gradient(ensemble, tensors, probe, draws) for tensors in (parameters, updated))
    held_old, held_new = (_gradient(ensemble, tensors, probe, Draws([0])) for tensors in (parameters, updated))
    logits = list(before.values())[-1]
    return Look(
        drift=mean_shift(before[probe.place], outputs()[probe.place]),
        distance=(new - old).norm(dim=1),
        distance_held=(held_new - held_old).norm(dim=1),
        cosine=nn.functional.cosine_similarity(old, new),
        loss=torch.stack([nn.functional.cross_entropy(of_one, probe.split.y) for of_one in logits]),
    )


def _gradient(
    ensemble: Ensemble, parameters: dict[str, Tensor], probe: Probe, draws: Draws
) -> Float[Tensor, "members values"]:
    """Of the probe's mean cross-entropy with respect to the weight, in training mode, with the next noise drawn."""
    weight = parameters[probe.weight].clone().requires_grad_()
    ensemble.architecture.train()

    def loss(own: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
        logits = functional_call(ensemble.architecture, (own, buffers), (probe.split.x,))
        return nn.functional.cross_entropy(logits, probe.split.y)

    with draws.own():
        losses = vmap(loss, randomness="different")(parameters | {probe.weight: weight}, _copy(ensemble.buffers))
    return torch.autograd.grad(losses.sum(), weight)[0].flatten(1).double()


def _probe(config: Config, train: Split, architecture: nn.Module) -> Probe:
    linear = [name for name, module in architecture.named_modules() if isinstance(module, nn.Linear)]
    places = [name for name, module in architecture.named_modules() if isinstance(module, Noise)]
    names = [name for name, _ in architecture.named_parameters()]
    weight = f"{linear[-2]}.weight"
    split = Split(train.x[: config.probe_size], train.y[: config.probe_size])
    return Probe(split, places[-1], weight, tuple(names[: names.index(weight)]))


def _network(config: Config, train: Split, norm: Norm | None, strength: float, seed: int) -> nn.Module:
    return mlp(
        train.x[0].numel(),
        10,
        depth=config.depth,
        width=config.width,
        norm=norm,
        activation=lambda: nn.Sequential(Noise(strength), nn.ReLU()),
        generator=torch.Generator().manual_seed(seed),
    )


def _copy(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
