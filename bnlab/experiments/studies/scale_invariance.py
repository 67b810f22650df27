"""What the scale of weights that feed a norm does to the output and to their gradient, in float64, before training.

For a > 0, BN(a w x) = BN(w x), so the loss is constant along each ray of w: the gradient is orthogonal to w, and at a w
it is divided by a. Epsilon breaks both where the variance is near it. From the two follows that weight decay is a
learning rate schedule: w loses a share `rate * decay` a step, and the same networks come out without decay at a rate
that grows by `(1 - rate * decay) ** -2` a step (Li & Arora 2019, arXiv:1910.07454).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bnlab.experiments.data import Split, for_tuning, load
from bnlab.experiments.models import Norm, mlp
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import batches
from bnlab.layers import BatchNorm1d

ARMS: dict[str, Norm | None] = {
    "no_norm": None,
    "batch_norm": BatchNorm1d,
    "no_eps": partial(BatchNorm1d, eps=1e-100),  # the layer asks for one above 0
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    Attributes:
        scales: factors of all hidden weights at once.
        rate: of the hidden weights, where the schedule is compared with weight decay.
        decay: of the hidden weights there.
        other_rate: of gamma, beta and the head there; they do not decay.
        steps: compared.
    """

    dataset: str = "digits"
    scales: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0)
    depth: int = 4
    width: int = 32
    batch_size: int = 64
    rate: float = 0.5
    decay: float = 0.02
    other_rate: float = 0.1
    steps: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate * self.decay >= 1:
            raise ValueError(f"decay: expected below 1 / rate, {1 / self.rate:g}, got {self.decay}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """Everything is relative to the same network at its initial scale, in training mode.

    Attributes:
        output: by arm, distance of the logits from those at scale 1, relative to their norm.
        gradient: by arm, norm of the hidden weights' gradient over that at scale 1; 1 / scale if they are invariant.
        cosine: by arm, of the angle between a hidden layer's weights and their gradient, the largest of all layers,
            without its sign.
        apart: distance of the logits from those of the network trained with decay, relative to their norm, after the
            last step: "growing_rate" without decay at the growing rate, "no_decay" at the constant one, both without
            epsilon; "growing_rate_eps" with the usual epsilon.
    """

    kind: ClassVar = Config

    config: Config
    output: dict[str, Float[np.ndarray, "scales seeds"]]
    gradient: dict[str, Float[np.ndarray, "scales seeds"]]
    cosine: dict[str, Float[np.ndarray, "scales seeds"]]
    apart: dict[str, Float[np.ndarray, " seeds"]]

    def at(self, scale: float) -> int:
        """The position of a scale.

        Raises:
            ValueError: it was not run.
        """
        if scale not in self.config.scales:
            raise ValueError(f"scale: expected one of {', '.join(map(str, self.config.scales))}, got {scale}")
        return self.config.scales.index(scale)


class Probe(NamedTuple):
    """Logits, and the gradient of each hidden layer's weights with the weights themselves."""

    logits: Float[Tensor, "n classes"]
    weights: list[Tensor]
    gradients: list[Tensor]


def run(config: Config) -> Result:
    """Probes an untrained MLP for each arm, scale and seed with one batch, and trains some for the schedule.

    All arms start from the same weights; batch norm's own parameters are not random.

    Raises:
        ValueError: the training split has fewer examples than the batch.
    """
    train = for_tuning(load(config.dataset)).train
    if config.batch_size > len(train.y):
        raise ValueError(f"batch_size: expected at most the {len(train.y)} training examples, got {config.batch_size}")
    train = Split(train.x.double(), train.y)
    batch = Split(train.x[: config.batch_size], train.y[: config.batch_size])
    output, gradient, cosine = {}, {}, {}
    for arm in ARMS:
        measured = [_by_scale(config, arm, seed, batch) for seed in config.seeds]
        output[arm], gradient[arm], cosine[arm] = np.array(measured).transpose(2, 1, 0)
    apart = np.array([_schedules_apart(config, seed, train) for seed in config.seeds])
    return Result(
        config=config,
        provenance=Provenance.of(__name__),
        output=output,
        gradient=gradient,
        cosine=cosine,
        apart=dict(zip(("growing_rate", "no_decay", "growing_rate_eps"), apart.T, strict=True)),
    )


def network(config: Config, arm: str, *, inputs: int, seed: int) -> nn.Sequential:
    """The untrained network of an arm, in float64; the seed alone draws its weights."""
    generator = torch.Generator().manual_seed(seed)
    return mlp(inputs, 10, depth=config.depth, width=config.width, norm=ARMS[arm], generator=generator).double()


def probe(model: nn.Sequential, scale: float, batch: Split) -> Probe:
    """The network with its hidden weights multiplied, on one batch in training mode; the model stays as it was."""
    parameters = {name: value.detach().clone() for name, value in model.named_parameters()}
    weights = [parameters[name].mul_(scale).requires_grad_() for name in hidden(model)]
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    logits = torch.func.functional_call(model.train(), (parameters, buffers), (batch.x,))
    loss = nn.functional.cross_entropy(logits, batch.y)
    return Probe(logits.detach(), [w.detach() for w in weights], list(torch.autograd.grad(loss, weights)))


def hidden(model: nn.Sequential) -> list[str]:
    """The names of the weights of all linear layers but the head."""
    return [f"{name}.weight" for name, layer in model.named_children() if isinstance(layer, nn.Linear)][:-1]


def train(
    model: nn.Sequential, split: Split, config: Config, *, seed: int, decay: float, rate: Callable[[int], float]
) -> nn.Sequential:
    """Plain gradient descent in place: hidden weights at `rate(step)` with decay, all others at `other_rate` without.

    Args:
        model: it is changed.
        split: what to train on.
        config: the settings.
        seed: of the order of the data.
        decay: of the hidden weights, added to their gradient.
        rate: from the number of steps done to the rate of the hidden weights.
    """
    names, parameters = set(hidden(model)), dict(model.named_parameters())
    model.train()
    for step, index in enumerate(batches(len(split.y), config.steps, config.batch_size, seed)):
        loss = nn.functional.cross_entropy(model(split.x[index]), split.y[index])
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        with torch.no_grad():
            for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
                if name in names:
                    parameter.sub_(rate(step) * (gradient + decay * parameter))
                else:
                    parameter.sub_(config.other_rate * gradient)
    return model


def _by_scale(config: Config, arm: str, seed: int, batch: Split) -> list[tuple[float, float, float]]:
    model = network(config, arm, inputs=batch.x[0].numel(), seed=seed)
    start = probe(model, 1.0, batch)
    norm = _norm(start.gradients)
    found = []
    for scale in config.scales:
        here = probe(model, scale, batch)
        cosines = [
            nn.functional.cosine_similarity(g.flatten(), w.flatten(), dim=0, eps=0.0).abs()
            for g, w in zip(here.gradients, here.weights, strict=True)
        ]
        found.append((_apart(here.logits, start.logits), _norm(here.gradients) / norm, max(cosines).item()))
    return found


def _schedules_apart(config: Config, seed: int, split: Split) -> list[float]:
    kept = 1 - config.rate * config.decay

    def logits(arm: str, decay: float, rate: Callable[[int], float]) -> Tensor:
        model = network(config, arm, inputs=split.x[0].numel(), seed=seed)
        train(model, split, config, seed=seed, decay=decay, rate=rate)
        outputs: Tensor = model(split.x)
        return outputs.detach()

    def constant(_step: int) -> float:
        return config.rate

    def growing(step: int) -> float:
        return config.rate * kept ** -(2 * step + 1)

    with_decay = {arm: logits(arm, config.decay, constant) for arm in ("no_eps", "batch_norm")}
    return [
        _apart(logits("no_eps", 0.0, growing), with_decay["no_eps"]),
        _apart(logits("no_eps", 0.0, constant), with_decay["no_eps"]),
        _apart(logits("batch_norm", 0.0, growing), with_decay["batch_norm"]),
    ]


def _norm(gradients: list[Tensor]) -> float:
    return float(torch.stack([gradient.norm() for gradient in gradients]).norm())


def _apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())
