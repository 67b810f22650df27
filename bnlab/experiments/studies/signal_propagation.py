"""Signals and gradients in a deep plain network before any training, by the scale of its initial weights.

Without a norm each layer multiplies the signal by a factor that the initial weights set (He et al. 2015,
arXiv:1502.01852). With batch norm in front of every ReLU it keeps one size, and the gradient grows on its way back,
by the root of pi / (pi - 1), 1.211, a layer for wide layers and large batches (Yang et al. 2019, arXiv:1902.08129).
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from bnlab.experiments.data import Split, for_tuning, load
from bnlab.experiments.models import Norm, mlp
from bnlab.experiments.probes import activation_stats, gradient_norms
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.layers import BatchNorm1d

ARMS: dict[str, Norm | None] = {"no_norm": None, "batch_norm": BatchNorm1d}
GROWTH_IN_THEORY = math.sqrt(math.pi / (math.pi - 1))  # of the gradient's norm, a layer


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in both arms."""

    dataset: str = "digits"
    scales: tuple[float, ...] = (0.5, 0.7, 1.0, 1.5, 2.0)  # of the initial weights, in multiples of He's
    depth: int = 20
    width: int = 128
    batch_size: int = 512


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """Three numbers for each arm, scale, hidden layer and seed, all behind the layer's ReLU.

    Attributes:
        std: by arm, standard deviation over the batch, in the root mean square over the units.
        size: by arm, root mean square over batch and units.
        gradient: by arm, norm of the gradient of the loss with respect to the layer's output, for the whole batch.
    """

    kind: ClassVar = Config

    config: Config
    std: dict[str, Float[np.ndarray, "scales layers seeds"]]
    size: dict[str, Float[np.ndarray, "scales layers seeds"]]
    gradient: dict[str, Float[np.ndarray, "scales layers seeds"]]

    def signal_kept(self, arm: str, scale: float) -> Float[np.ndarray, " seeds"]:
        """The standard deviation behind the last hidden layer, relative to that behind the first."""
        std = self.std[arm][self._position(scale)]
        return np.asarray(std[-1] / std[0])

    def gradient_growth(self, arm: str, scale: float, layers: int) -> Float[np.ndarray, " seeds"]:
        """By what the gradient grows over this many layers on its way to the input, in the middle of the network.

        Raises:
            ValueError: the network has not that many steps from one hidden layer to the next.
        """
        gradient = self.gradient[arm][self._position(scale)]
        if not 1 <= layers < len(gradient):
            raise ValueError(f"layers: expected from 1 to {len(gradient) - 1}, got {layers}")
        first = (len(gradient) - layers) // 2
        return np.asarray(gradient[first] / gradient[first + layers])

    def _position(self, scale: float) -> int:
        if scale not in self.config.scales:
            raise ValueError(f"scale: expected one of {', '.join(map(str, self.config.scales))}, got {scale}")
        return self.config.scales.index(scale)


def run(config: Config) -> Result:
    """Probes an untrained MLP for each arm, scale and seed with one batch, which all of them share.

    Both arms start from the same weights; batch norm's own parameters are not random.

    Raises:
        ValueError: the training split has fewer examples than the batch.
    """
    x, y = for_tuning(load(config.dataset)).train
    if config.batch_size > len(y):
        raise ValueError(f"batch_size: expected at most the {len(y)} training examples, got {config.batch_size}")
    batch = Split(x[: config.batch_size], y[: config.batch_size])
    std, size, gradient = {}, {}, {}
    for arm, norm in ARMS.items():
        probed = [[_probe(config, norm, scale, seed, batch) for seed in config.seeds] for scale in config.scales]
        std[arm], size[arm], gradient[arm] = np.array(probed).transpose(2, 0, 3, 1)
    return Result(config=config, provenance=Provenance.of(__name__), std=std, size=size, gradient=gradient)


def _probe(config: Config, norm: Norm | None, scale: float, seed: int, batch: Split) -> list[list[float]]:
    model = mlp(
        batch.x[0].numel(),
        10,
        depth=config.depth,
        width=config.width,
        norm=norm,
        scale=scale,
        generator=torch.Generator().manual_seed(seed),
    )
    stats = activation_stats(model, batch.x, training=True)
    gradients = gradient_norms(model, *batch, training=True)
    hidden = [name for name, module in model.named_modules() if isinstance(module, nn.ReLU)]
    return [
        [stats[name].std.item() for name in hidden],
        [stats[name].size.item() for name in hidden],
        [gradients[name].item() for name in hidden],
    ]
