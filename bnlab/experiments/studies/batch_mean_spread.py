"""How far the mean of a batch spreads, beside what the number of values in it would give.

Batch norm's mean over N images of H x W positions has N * H * W values. Were they independent, its standard deviation
would be a value's over the root of their number (Ioffe & Szegedy 2015, section 3.2, arXiv:1502.03167, call that number
the effective mini-batch size). Images are drawn independently, positions of one image are not. The study measures what
they are worth, in each layer of a trained network.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bnlab.deploy import recalibrate
from bnlab.experiments.data import Split, load
from bnlab.experiments.models import cnn
from bnlab.experiments.optimisers import SGD, cosine
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import train_ensemble
from bnlab.layers import BatchNorm2d


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; nothing is chosen, so no data are held out for it.

    Attributes:
        batch_sizes: images to a mean.
        batches: how many are drawn, with replacement, to see how their means spread.
        depth: convolutions; each keeps the 8 x 8 positions of an image.
    """

    dataset: str = "digits"
    batch_sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    batches: int = 1000
    depth: int = 3
    width: int = 16
    learning_rate: float = 0.1
    batch_size: int = 32
    steps: int = 60
    momentum: float = 0.9


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """Standard deviations of a batch's mean in those of a single value, root mean squares over the channels.

    Values are those of the training images, as each convolution gives them, in evaluation mode, so that they do not
    depend on a batch.

    Attributes:
        spread: by layer, the first convolution's first.
        untrained: the same before training, with the statistics of the whole split in evaluation.
        shuffled: of the last layer, once each channel's values were dealt out anew among all images and positions, so
            that those of an image are independent.
        positions: of a map.
    """

    kind: ClassVar = Config

    config: Config
    spread: Float[np.ndarray, "layers sizes seeds"]
    untrained: Float[np.ndarray, "layers sizes seeds"]
    shuffled: Float[np.ndarray, "sizes seeds"]
    positions: Float[np.ndarray, ""]

    def independent(self) -> Float[np.ndarray, " sizes"]:
        """What the spread would be if all values of a batch were independent: one over the root of their number."""
        return np.asarray((np.array(self.config.batch_sizes) * self.positions) ** -0.5)

    def effective(
        self, spread: Float[np.ndarray, "layers sizes seeds"] | None = None
    ) -> Float[np.ndarray, "layers seeds"]:
        """How many independent values the positions of one image are worth: those that would spread as far.

        Args:
            spread: by default that of the trained networks.
        """
        sizes = np.array(self.config.batch_sizes)[:, None]
        return np.asarray(np.exp(-np.log((self.spread if spread is None else spread) ** 2 * sizes).mean(1)))


def run(config: Config) -> Result:
    """Trains a CNN with batch norm for each seed, draws batches of images, and sees how their means spread."""
    split = load(config.dataset).train
    spread, untrained, shuffled, positions = [], [], [], 0
    for seed, model in zip(config.seeds, _trained(config, split), strict=True):
        generator = torch.Generator().manual_seed(seed)
        maps = [values.flatten(2) for values in convolved(model, split.x)]
        positions = maps[-1].shape[2]
        spread.append([_spread(values.mean(2), values, config, generator) for values in maps])
        dealt = torch.stack([_dealt_anew(channel, generator) for channel in maps[-1].unbind(1)], dim=1)
        shuffled.append(_spread(dealt.mean(2), maps[-1], config, generator))
        start = network(config, seed)
        recalibrate(start, [split.x])
        fresh = [values.flatten(2) for values in convolved(start, split.x)]
        untrained.append([_spread(values.mean(2), values, config, generator) for values in fresh])
    return Result(
        config=config,
        provenance=Provenance.of(__name__),
        spread=np.array(spread).transpose(1, 2, 0),
        untrained=np.array(untrained).transpose(1, 2, 0),
        shuffled=np.array(shuffled).T,
        positions=np.array(positions),
    )


@torch.no_grad()
def convolved(model: nn.Sequential, x: Float[Tensor, "n c h w"]) -> list[Float[Tensor, "n channels h w"]]:
    """What each convolution gives in evaluation mode: the values whose mean the norm behind it takes."""
    model.eval()
    outputs = []
    for layer in model:
        x = layer(x)
        if isinstance(layer, nn.Conv2d):
            outputs.append(x)
    return outputs


def network(config: Config, seed: int) -> nn.Sequential:
    """The untrained network; the seed alone draws its weights."""
    generator = torch.Generator().manual_seed(seed)
    return cnn(1, 10, depth=config.depth, width=config.width, norm=BatchNorm2d, generator=generator)


def _trained(config: Config, split: Split) -> list[nn.Sequential]:
    ensemble = train_ensemble(
        [network(config, seed) for seed in config.seeds],
        split,
        learning_rates=[config.learning_rate] * len(config.seeds),
        seeds=config.seeds,
        steps=config.steps,
        batch_size=config.batch_size,
        optimiser=SGD(momentum=config.momentum),
        schedule=cosine,
    )
    return [ensemble.member(index) for index in range(len(config.seeds))]  # type: ignore[misc]


def _spread(
    means: Float[Tensor, "n c"], values: Float[Tensor, "n c positions"], config: Config, generator: torch.Generator
) -> list[float]:
    """For each batch size, how far the means of batches drawn from the images' means spread."""
    one = values.transpose(0, 1).flatten(1).std(1)
    found = []
    for size in config.batch_sizes:
        drawn = torch.randint(len(means), (config.batches, size), generator=generator)
        found.append((means[drawn].mean(1).std(0) / one).square().mean().sqrt().item())
    return found


def _dealt_anew(values: Float[Tensor, "n positions"], generator: torch.Generator) -> Float[Tensor, "n positions"]:
    order = torch.randperm(values.numel(), generator=generator)
    return values.flatten()[order].view_as(values)
