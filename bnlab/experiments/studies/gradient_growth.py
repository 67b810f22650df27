"""What batch norm makes of the gradient on its way back through a deep plain network, before any training.

In wide networks and large batches each layer multiplies the squared norm of the gradient by E[f'(z)^2] / Var[f(z)],
with f the activation and z standard normal: the norm that reads f's output divides by its deviation. That is
pi / (pi - 1) = 1.467 for ReLU, 1.211 on the norm itself, and 1 for a linear layer (Yang et al. 2019, arXiv:1902.08129).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from bnlab.experiments.data import Split, for_tuning, load
from bnlab.experiments.models import Norm, mlp
from bnlab.experiments.probes import gradient_norms, layer_outputs
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.layers import BatchNorm1d

ARMS: dict[str, Norm | None] = {"no_norm": None, "batch_norm": BatchNorm1d}
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "linear": nn.Identity}
SCALES = {
    "relu": 1.0,
    "tanh": math.sqrt(0.5),
    "linear": math.sqrt(0.5),
}  # of He's start: each keeps small signals' size
LARGEST = {"float16": 65504.0, "float32": float(torch.finfo(torch.float32).max)}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    Attributes:
        width: of the networks whose batch size and activation are varied.
        widths: with ReLU, batch norm and the largest batch.
        middle: layers over which growth is measured, half-way between input and head.
        deep: hidden layers of the network whose gradient overflows.
        deep_width: their width.
        deep_batch: examples of its batch.
    """

    dataset: str = "digits"
    batch_sizes: tuple[int, ...] = (8, 32, 128, 512)
    depth: int = 20
    width: int = 256
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    middle: int = 10
    deep: int = 600
    deep_width: int = 64
    deep_batch: int = field(default=64, metadata={"least": 2})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.middle >= self.depth:
            raise ValueError(f"middle: expected fewer than the {self.depth} hidden layers, got {self.middle}")
        if min(self.batch_sizes) < 2:
            raise ValueError(f"batch_sizes: expected at least 2, got {min(self.batch_sizes)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """Of the norm of the gradient with respect to a layer's output, behind its activation, for the whole batch.

    Attributes:
        growth: under "arm activation", such as "batch_norm relu", the factor a layer on the way to the input: geometric
            mean over the middle of the network, by batch size.
        by_width: the same with batch norm, ReLU and the largest batch.
        reach: in a very deep network with batch norm and ReLU, hidden layers counted from the head up to the last that
            no entry of the gradient is too large for, by format; all of them if none overflows.
    """

    kind: ClassVar = Config

    config: Config
    growth: dict[str, Float[np.ndarray, "batches seeds"]]
    by_width: Float[np.ndarray, "widths seeds"]
    reach: dict[str, Float[np.ndarray, " seeds"]]

    def over(self, layers: int, arm: str, activation: str, batch_size: int) -> Float[np.ndarray, " seeds"]:
        """By what the gradient grows over this many layers.

        Raises:
            ValueError: there was no such batch size.
        """
        sizes = self.config.batch_sizes
        if batch_size not in sizes:
            raise ValueError(f"batch_size: expected one of {', '.join(map(str, sizes))}, got {batch_size}")
        return np.asarray(self.growth[f"{arm} {activation}"][sizes.index(batch_size)] ** layers)


def growth_in_theory(activation: str) -> float:
    """Of the gradient's norm, a layer, with batch norm in wide networks and large batches.

    Example:
        >>> round(growth_in_theory("relu"), 4), round(growth_in_theory("linear"), 4)
        (1.2112, 1.0)
    """
    z = torch.linspace(-12, 12, 240_000, dtype=torch.float64).requires_grad_()  # 0, where ReLU has no slope, is none
    f = ACTIVATIONS[activation]()(z)
    (slope,) = torch.autograd.grad(f.sum(), z)
    weight = torch.exp(-z.detach().square() / 2)
    weight /= weight.sum()
    mean = (weight * f.detach()).sum()
    variance = (weight * (f.detach() - mean).square()).sum()
    return math.sqrt(((weight * slope.square()).sum() / variance).item())


def run(config: Config) -> Result:
    """Probes untrained MLPs; all see the first examples of the training split, and a seed's weights are shared.

    Raises:
        ValueError: the training split has fewer examples than a batch.
    """
    train = for_tuning(load(config.dataset)).train
    most = max(*config.batch_sizes, config.deep_batch)
    if most > len(train.y):
        raise ValueError(f"batch_sizes: expected at most the {len(train.y)} training examples, got {most}")
    kinds = [f"{arm} {activation}" for activation in ACTIVATIONS for arm in ARMS]
    growth = {
        kind: np.array([_growth(config, kind, train, width=config.width, size=size) for size in config.batch_sizes])
        for kind in kinds
    }
    largest = max(config.batch_sizes)
    by_width = [_growth(config, "batch_norm relu", train, width=width, size=largest) for width in config.widths]
    reached = np.array([_reach(config, seed, train) for seed in config.seeds])
    return Result(
        config=config,
        provenance=Provenance.of(__name__),
        growth=growth,
        by_width=np.array(by_width),
        reach=dict(zip(LARGEST, reached.T, strict=True)),
    )


def network(arm: str, activation: str, *, inputs: int, depth: int, width: int, seed: int) -> nn.Sequential:
    """An untrained network; the seed alone draws its weights."""
    return mlp(
        inputs,
        10,
        depth=depth,
        width=width,
        norm=ARMS[arm],
        activation=ACTIVATIONS[activation],
        scale=SCALES[activation],
        generator=torch.Generator().manual_seed(seed),
    )


def growth_a_layer(gradient: Float[np.ndarray, " layers"], middle: int) -> float:
    """The factor a layer, toward the first, over this many steps half-way between first and last.

    >>> growth_a_layer(np.array([9.0, 8.0, 4.0, 2.0, 2.0]), 2)
    2.0
    """
    first = (len(gradient) - middle) // 2
    return float((gradient[first] / gradient[first + middle]) ** (1 / middle))


def reach(model: nn.Sequential, batch: Split, largest: float) -> int:
    """Activations of the model, counted from the head, up to the last whose gradient has no entry beyond `largest`."""
    outputs = layer_outputs(model, batch.x, training=True)
    hidden = [outputs[name] for name in _activations(model, nn.ReLU)]
    loss = nn.functional.cross_entropy(list(outputs.values())[-1], batch.y)
    fits = [bool((gradient.abs() <= largest).all()) for gradient in torch.autograd.grad(loss, hidden)]
    return len(fits) if all(fits) else fits[::-1].index(False)


def _growth(config: Config, kind: str, train: Split, *, width: int, size: int) -> list[float]:
    """For each seed; the kind is an arm and an activation, as in `Result.growth`."""
    arm, activation = kind.split()
    inputs, found = train.x[0].numel(), []
    for seed in config.seeds:
        model = network(arm, activation, inputs=inputs, depth=config.depth, width=width, seed=seed)
        norms = gradient_norms(model, train.x[:size], train.y[:size], training=True)
        names = _activations(model, type(ACTIVATIONS[activation]()))
        found.append(growth_a_layer(np.array([norms[name].item() for name in names]), config.middle))
    return found


def _reach(config: Config, seed: int, train: Split) -> list[int]:
    inputs, size = train.x[0].numel(), config.deep_batch
    model = network("batch_norm", "relu", inputs=inputs, depth=config.deep, width=config.deep_width, seed=seed)
    batch = Split(train.x[:size], train.y[:size])
    return [reach(model, batch, largest) for largest in LARGEST.values()]


def _activations(model: nn.Sequential, kind: type[nn.Module]) -> list[str]:
    return [name for name, layer in model.named_children() if isinstance(layer, kind)]
