"""How long weights that feed a norm become, how far a step turns them, and what weight decay makes of the two.

The gradient of such weights is orthogonal to them, so a step can only make them longer, and the longer they are the
less the next one turns them: the effective rate is `rate / |w|^2` (van Laarhoven 2017, arXiv:1706.05350). With decay,
growth and decay balance where a step turns the weights by `sqrt(2 * rate * decay)`, whatever the rate alone (for plain
gradient descent; Kosson et al. 2024, arXiv:2305.17212). Against "decay is an effective rate and no more": Liu et al.
2021, arXiv:2102.03497, who report that the effective rate goes on rising after the initial stage of training.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bnlab.experiments.data import ForTuning, for_tuning, load
from bnlab.experiments.models import mlp
from bnlab.experiments.optimisers import SGD, State, Tensors
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import Ensemble, training_steps
from bnlab.layers import BatchNorm1d


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study.

    Attributes:
        learning_rates: of the weights that feed a norm; gamma, beta and the head keep `base_rate`.
        products: rate times decay, the share of itself that a weight loses a step; only weights that feed a norm decay.
        every: steps from one look to the next.
    """

    dataset: str = "mnist1d"
    learning_rates: tuple[float, ...] = (1.0, 10.0, 100.0, 1000.0)
    products: tuple[float, ...] = field(default=(0.0, 0.0025, 0.01), metadata={"least": 0.0})
    base_rate: float = 0.1
    depth: int = 3
    width: int = 32
    batch_size: int = 64
    steps: int = 300
    every: int = 15

    def __post_init__(self) -> None:
        super().__post_init__()
        if max(self.products) >= 1:
            raise ValueError(f"products: expected below 1, got {max(self.products)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """Each hidden unit's weights are one vector, that its norm makes invariant; means are over all hidden units.

    Attributes:
        validation: by product, accuracy on the validation split after the last step, between 0 and 1.
        squared_norm: by product, mean squared norm at the start and at each look.
        angle: by product, by how much the step before each look turned the weights, in radians; root mean square.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "rates seeds"]]
    squared_norm: dict[str, Float[np.ndarray, "rates times seeds"]]
    angle: dict[str, Float[np.ndarray, "rates looks seeds"]]

    def looks(self) -> Float[np.ndarray, " looks"]:
        """The steps after which the weights were looked at."""
        return np.arange(self.config.every, self.config.steps + 1.0, self.config.every)

    def effective_rate(self, product: float, rate: float) -> Float[np.ndarray, "times seeds"]:
        """The rate over the mean squared norm, at the start and at each look."""
        return np.asarray(rate / self.squared_norm[self._key(product)][self._position(rate)])

    def late_angle(self, product: float, rate: float) -> Float[np.ndarray, " seeds"]:
        """The root mean square of `angle` over the last fifth of training."""
        angle = self.angle[self._key(product)][self._position(rate)]
        late = self.looks() > 0.8 * self.config.steps
        return np.asarray(np.sqrt(np.square(angle[late]).mean(axis=0)))

    def late_validation(self, product: float, rate: float) -> Float[np.ndarray, " seeds"]:
        """The accuracy after the last step at one setting."""
        return np.asarray(self.validation[self._key(product)][self._position(rate)])

    def _key(self, product: float) -> str:
        if product not in self.config.products:
            raise ValueError(f"product: expected one of {', '.join(map(str, self.config.products))}, got {product}")
        return key(product)

    def _position(self, rate: float) -> int:
        if rate not in self.config.learning_rates:
            raise ValueError(f"rate: expected one of {', '.join(map(str, self.config.learning_rates))}, got {rate}")
        return self.config.learning_rates.index(rate)


@dataclass(frozen=True)
class Fed(SGD):
    """Plain gradient descent; some parameters follow the given rate and decay, all others the base rate without.

    Args:
        names: of the parameters that follow what training is given.
        base_rate: of all others.

    Example:
        >>> optimiser, p = Fed(weight_decay=1.0, names=("a",), base_rate=0.1), {"a": torch.ones(1), "b": torch.ones(1)}
        >>> gradients = {"a": torch.zeros(1), "b": torch.ones(1)}
        >>> optimiser.update(p, gradients, optimiser.start(p), torch.tensor(0.5), torch.tensor(1.0))
        >>> p
        {'a': tensor([0.5000]), 'b': tensor([0.9000])}
    """

    names: tuple[str, ...] = ()
    base_rate: float = 0.1

    def update(self, parameters: Tensors, gradients: Tensors, state: State, rate: Tensor, weight_decay: Tensor) -> None:
        """One step in place, for all parameters."""
        fed = {name: parameter for name, parameter in parameters.items() if name in self.names}
        others = {name: parameter for name, parameter in parameters.items() if name not in self.names}
        super().update(fed, gradients, state, rate, weight_decay)
        super().update(others, gradients, state, torch.full_like(rate, self.base_rate), torch.zeros_like(weight_decay))


def balance(product: float) -> float:
    """The angle of a step, in radians, at which growth and decay balance, by rate times decay.

    A step of length `s |w|` at a right angle makes `|w|^2` longer by the share `s^2`; decay takes `2 * product` of it.

    Example:
        >>> round(balance(0.02), 3)
        0.2
    """
    return math.sqrt(2 * product)


def key(product: float) -> str:
    """The name of a product in a result.

    >>> key(0.0025)
    '0.0025'
    """
    return f"{product:g}"


def run(config: Config) -> Result:
    """Trains an MLP with batch norm for each product, rate and seed; networks of a seed share weights and batches.

    Raises:
        ValueError: training ends between two looks, or they are so close that a step is looked at twice.
    """
    if config.every < 2 or config.steps % config.every:
        raise ValueError(f"every: expected a divisor of steps, {config.steps}, of at least 2, got {config.every}")
    data = for_tuning(load(config.dataset))
    validation, squared_norm, angle = {}, {}, {}
    for product in config.products:
        name = key(product)
        validation[name], squared_norm[name], angle[name] = _train(config, data, product)
    return Result(
        config=config,
        provenance=Provenance.of(__name__),
        validation=validation,
        squared_norm=squared_norm,
        angle=angle,
    )


def _train(config: Config, data: ForTuning, product: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    ensemble = Ensemble.of([_network(config, data.train.x[0].numel(), seed) for _, seed in members])
    names = tuple(hidden(ensemble.architecture))
    steps = training_steps(
        ensemble,
        data.train,
        learning_rates=[rate for rate, _ in members],
        seeds=[seed for _, seed in members],
        steps=config.steps,
        batch_size=config.batch_size,
        optimiser=Fed(
            weight_decay=tuple(product / rate for rate, _ in members), names=names, base_rate=config.base_rate
        ),
    )
    lengths, turns = [_squared_norm(ensemble, names)], []
    for before, after in _steps_looked_at(ensemble, names, steps, config.every):
        lengths.append(_squared_norm(ensemble, names))
        turns.append(rotation(before, after))
    shape = (len(config.learning_rates), len(config.seeds))

    def by_rate(looks: list[Tensor]) -> np.ndarray:
        return torch.stack(looks).view(len(looks), *shape).movedim(0, 1).numpy()

    return ensemble.accuracy(data.validation).view(shape).numpy(), by_rate(lengths), by_rate(turns)


def _steps_looked_at(
    ensemble: Ensemble, names: tuple[str, ...], steps: Iterator[int], every: int
) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """The hidden weights before and after each step that is looked at."""
    before: list[Tensor] = []
    for step in steps:
        if step % every == every - 1:
            before = _weights(ensemble, names)
        elif step % every == 0:
            yield before, _weights(ensemble, names)


def rotation(
    before: list[Float[Tensor, "members units inputs"]], after: list[Float[Tensor, "members units inputs"]]
) -> Float[Tensor, " members"]:
    """The angle between each unit's weights before and after, in radians; root mean square over units and layers.

    Example:
        >>> before, after = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[0.0, 3.0]]])
        >>> rotation([before], [after])
        tensor([1.5708])
    """
    angles = []
    for one, other in zip(before, after, strict=True):
        a, b = (nn.functional.normalize(w.double(), dim=-1) for w in (one, other))
        half_chord = ((a - b).norm(dim=-1) / 2).clamp(max=1)  # accurate where the angle is small, unlike the cosine
        angles.append(2 * half_chord.asin())
    return torch.cat(angles, dim=-1).square().mean(-1).sqrt().float()


def hidden(model: nn.Module) -> list[str]:
    """The names of the weights that feed a norm: of all linear layers but the head."""
    return [f"{name}.weight" for name, layer in model.named_children() if isinstance(layer, nn.Linear)][:-1]


def _weights(ensemble: Ensemble, names: tuple[str, ...]) -> list[Tensor]:
    return [ensemble.parameters[name].detach().clone() for name in names]


def _squared_norm(ensemble: Ensemble, names: tuple[str, ...]) -> Float[Tensor, " members"]:
    return torch.cat([w.square().sum(-1) for w in _weights(ensemble, names)], dim=-1).mean(-1)


def _network(config: Config, inputs: int, seed: int) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    return mlp(inputs, 10, depth=config.depth, width=config.width, norm=BatchNorm1d, generator=generator)
