"""How far the input of a nonlinearity drifts while the layers below it learn, measured before and after the norm.

That is internal covariate shift as Ioffe and Szegedy mean it (2015, arXiv:1502.03167, section 4.1 and figure 1): three
hidden layers of 100 sigmoids, batches of 60, and the distribution of the last sigmoids' input in the course of
training. Each is watched on one fixed probe batch, whose own statistics normalise it, as a batch's do in training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bnlab.experiments.data import ForTuning, for_tuning, load
from bnlab.experiments.models import Norm, mlp
from bnlab.experiments.probes import ensemble_outputs, mean_shift
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import Ensemble, training_steps
from bnlab.layers import BatchNorm1d

ARMS: dict[str, Norm | None] = {"no_norm": None, "batch_norm": BatchNorm1d}
QUANTILES = (0.15, 0.5, 0.85)  # those of the paper's figure
UNITS = 3  # of each layer, the first ones, whose quantiles are kept, of the first seed


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in both arms."""

    dataset: str = "digits"
    learning_rates: tuple[float, ...] = (0.5, 2.0, 5.0)
    depth: int = 3
    width: int = 100
    scale: float = 0.7  # of the initial weights, in multiples of He's: standard deviation 0.1 between hidden layers
    batch_size: int = 60
    steps: int = 400
    every: int = 20  # steps from one look to the next
    probe_size: int = 200  # validation examples


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """What was seen at three places: the sigmoids' input without a norm, and with one before and after the norm.

    Places are named "no_norm", "before_norm" and "after_norm"; all but `quantiles` is of the last hidden layer, and
    averaged over its units.

    Attributes:
        validation: by arm, accuracy on the validation split after the last step.
        wander: by place, the range over training of a unit's median, in the units of the sigmoid's input.
        spread: by place, standard deviation over the probe batch at the start and at the end.
        from_start: by place, distance of the mean at the end from that at the start, in standard deviations at the
            start.
        from_end: by place, the same in standard deviations at the end.
        per_look: by place, distance of the mean from that at the last look, in standard deviations then; geometric mean
            over training.
        quantiles: by place, of the first units of each hidden layer at each look, for the first seed.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "rates seeds"]]
    wander: dict[str, Float[np.ndarray, "rates seeds"]]
    spread: dict[str, Float[np.ndarray, "two rates seeds"]]
    from_start: dict[str, Float[np.ndarray, "rates seeds"]]
    from_end: dict[str, Float[np.ndarray, "rates seeds"]]
    per_look: dict[str, Float[np.ndarray, "rates seeds"]]
    quantiles: dict[str, Float[np.ndarray, "rates layers looks quantiles units"]]

    def best_rate(self, arm: str) -> int:
        """The position of the learning rate with the highest median accuracy in validation."""
        return int(np.median(self.validation[arm], axis=1).argmax())

    def looks(self) -> Float[np.ndarray, " looks"]:
        """The steps after which the network was looked at."""
        return np.arange(0.0, self.config.steps + 1, self.config.every)


class Trace(NamedTuple):
    """What was seen of one place.

    Attributes:
        last: values of the last hidden layer.
        quantiles: of some units of every layer, for the first seed of each rate.
    """

    last: list[Float[Tensor, "members n c"]]
    quantiles: list[Float[Tensor, "layers quantiles rates units"]]


def run(config: Config) -> Result:
    """Trains both arms at each rate and for each seed, and looks at the inputs of their sigmoids every few steps.

    Both arms start from the same weights (batch norm's own parameters are not random) and see the same batches.

    Raises:
        ValueError: training ends between two looks, or there are too few validation examples for the probe.
    """
    data = for_tuning(load(config.dataset))
    if config.steps % config.every:
        raise ValueError(f"steps: expected a multiple of every, {config.every}, got {config.steps}")
    if config.probe_size > len(data.validation.y):
        raise ValueError(f"probe_size: expected at most {len(data.validation.y)}, got {config.probe_size}")
    validation: dict[str, np.ndarray] = {}
    traces: dict[str, Trace] = {}
    for arm, norm in ARMS.items():
        validation[arm], seen = _train(config, data, norm)
        traces |= {"no_norm": seen[-1]} if norm is None else dict(zip(("before_norm", "after_norm"), seen, strict=True))
    rates = len(config.learning_rates)
    measured = {place: _measure(trace.last, rates) for place, trace in traces.items()}
    return Result(
        config=config,
        provenance=Provenance.of(__name__),
        validation=validation,
        quantiles={place: _over_time(trace.quantiles) for place, trace in traces.items()},
        **{name: {place: numbers[name] for place, numbers in measured.items()} for name in measured["no_norm"]},
    )


def _train(config: Config, data: ForTuning, norm: Norm | None) -> tuple[Float[np.ndarray, "rates seeds"], list[Trace]]:
    """Accuracy at the end, and the traces: of the linear layers' outputs, and, if there is a norm, of its outputs."""
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    ensemble = Ensemble.of([_network(config, data.train.x[0].numel(), norm, seed) for _, seed in members])
    kinds: list[type[nn.Module]] = [nn.Linear] if norm is None else [nn.Linear, BatchNorm1d]
    places = [_hidden(ensemble.architecture, kind, config.depth) for kind in kinds]
    traces = [Trace([], []) for _ in kinds]
    probe = data.validation.x[: config.probe_size]

    def look() -> None:
        outputs = ensemble_outputs(ensemble, probe, training=True)
        for trace, names in zip(traces, places, strict=True):
            trace.last.append(outputs[names[-1]])
            layers = torch.stack([outputs[name][:: len(config.seeds), :, :UNITS] for name in names])
            quantiles = layers.quantile(torch.tensor(QUANTILES), dim=2)  # (quantiles, layers, rates, units)
            trace.quantiles.append(quantiles.movedim(0, 1))

    look()
    for step in training_steps(
        ensemble,
        data.train,
        learning_rates=[rate for rate, _ in members],
        seeds=[seed for _, seed in members],
        steps=config.steps,
        batch_size=config.batch_size,
    ):
        if step % config.every == 0:
            look()
    return ensemble.accuracy(data.validation).view(len(config.learning_rates), -1).numpy(), traces


def _measure(last: Sequence[Float[Tensor, "members n c"]], rates: int) -> dict[str, np.ndarray]:
    medians = torch.stack([values.median(1).values for values in last])
    per_look = torch.stack([mean_shift(one, other) for one, other in pairwise(last)])
    numbers = {
        "wander": (medians.amax(0) - medians.amin(0)).mean(-1),
        "spread": torch.stack([values.std(1, correction=0).mean(-1) for values in (last[0], last[-1])]),
        "from_start": mean_shift(last[0], last[-1]),
        "from_end": mean_shift(last[-1], last[0]),
        "per_look": per_look.log().mean(0).exp(),
    }
    return {name: number.view(*number.shape[:-1], rates, -1).numpy() for name, number in numbers.items()}


def _over_time(quantiles: Sequence[Tensor]) -> Float[np.ndarray, "rates layers looks quantiles units"]:
    return np.round(torch.stack(list(quantiles)).permute(3, 1, 0, 2, 4).numpy(), 3)


def _hidden(architecture: nn.Module, kind: type[nn.Module], depth: int) -> list[str]:
    """The names of the hidden layers' modules of this kind, from the input on; the head is not among them."""
    return [name for name, module in architecture.named_modules() if isinstance(module, kind)][:depth]


def _network(config: Config, inputs: int, norm: Norm | None, seed: int) -> nn.Module:
    return mlp(
        inputs,
        10,
        depth=config.depth,
        width=config.width,
        norm=norm,
        activation=nn.Sigmoid,
        scale=config.scale,
        generator=torch.Generator().manual_seed(seed),
    )
