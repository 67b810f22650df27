"""What a few large steps make of the activations of a deep network, with batch norm and without.

Without a norm each layer multiplies what its predecessors' updates did to the signal, so one step that is too large
makes the activations grow with depth, and the next gradients with them. A norm behind each layer takes the factor out,
whatever the weights became (Bjorck et al. 2018, arXiv:1806.02375).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bnlab.experiments.data import ForTuning, for_tuning, load
from bnlab.experiments.models import Norm, mlp
from bnlab.experiments.probes import activation_stats
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import Ensemble, training_steps
from bnlab.layers import BatchNorm1d

ARMS: dict[str, Norm | None] = {"no_norm": None, "batch_norm": BatchNorm1d}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in both arms."""

    dataset: str = "mnist1d"
    learning_rates: tuple[float, ...] = (0.01, 0.1, 0.3, 1.0)
    depth: int = 16
    width: int = 100
    batch_size: int = 100
    steps: int = 3
    probe_size: int = 200  # validation examples


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """What stands behind each hidden layer's ReLU, for a fixed probe batch in training mode.

    Attributes:
        mean_square: by arm, over units and examples, at the start and after each step; infinity where it is no longer a
            finite float32. A network whose loss or gradient is not finite stays as it was before that step.
    """

    kind: ClassVar = Config

    config: Config
    mean_square: dict[str, Float[np.ndarray, "times rates layers seeds"]]

    def grown(self, arm: str, rate: float) -> Float[np.ndarray, " seeds"]:
        """Behind the last hidden layer, the mean square after the last step over that at the start.

        Raises:
            ValueError: the rate was not run.
        """
        if rate not in self.config.learning_rates:
            raise ValueError(f"rate: expected one of {', '.join(map(str, self.config.learning_rates))}, got {rate}")
        last = self.mean_square[arm][:, self.config.learning_rates.index(rate), -1]
        return np.asarray(last[-1] / last[0])


def run(config: Config) -> Result:
    """Trains an MLP of each arm for a few steps, at each rate and for each seed, and looks at it after each.

    Both arms start from the same weights (batch norm's own parameters are not random) and see the same batches.

    Raises:
        ValueError: there are too few validation examples for the probe.
    """
    data = for_tuning(load(config.dataset))
    if config.probe_size > len(data.validation.y):
        raise ValueError(f"probe_size: expected at most {len(data.validation.y)}, got {config.probe_size}")
    mean_square = {arm: _watched(config, data, norm) for arm, norm in ARMS.items()}
    return Result(config=config, provenance=Provenance.of(__name__), mean_square=mean_square)


def _watched(config: Config, data: ForTuning, norm: Norm | None) -> Float[np.ndarray, "times rates layers seeds"]:
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    ensemble = Ensemble.of([network(config, data.train.x[0].numel(), norm, seed) for _, seed in members])
    probe = data.validation.x[: config.probe_size]
    each_step = training_steps(
        ensemble,
        data.train,
        learning_rates=[rate for rate, _ in members],
        seeds=[seed for _, seed in members],
        steps=config.steps,
        batch_size=config.batch_size,
    )
    looks = [mean_squares(ensemble, probe), *(mean_squares(ensemble, probe) for _ in each_step)]
    by_layer = torch.stack(looks).view(len(looks), config.depth, len(config.learning_rates), len(config.seeds))
    return by_layer.movedim(1, 2).numpy()


def mean_squares(ensemble: Ensemble, x: Float[Tensor, "n c *spatial"]) -> Float[Tensor, "layers members"]:
    """Mean square behind each ReLU, from the input on; what overflowed, or came out of an overflow, is infinite."""
    stats = activation_stats(ensemble, x, training=True)
    relus = [name for name, layer in ensemble.architecture.named_children() if isinstance(layer, nn.ReLU)]
    return (
        torch.stack([stats[name].size.square() for name in relus]).double().nan_to_num(nan=torch.inf, posinf=torch.inf)
    )


def network(config: Config, inputs: int, norm: Norm | None, seed: int) -> nn.Sequential:
    """The untrained network of an arm; the seed alone draws its weights."""
    generator = torch.Generator().manual_seed(seed)
    return mlp(inputs, 10, depth=config.depth, width=config.width, norm=norm, generator=generator)
