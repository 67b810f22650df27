"""What a branch adds to its skip connection, block by block, in a residual network before any training.

Without a norm each branch has, on these small padded maps, about half the variance of what it is added to, so that
variance grows by about half from block to block. A norm in the branch gives its output one size, whatever it reads,
so the l-th branch is about one part in l of the sum that it joins (De & Smith 2020, arXiv:2002.10444).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bnlab.experiments.data import for_tuning, load
from bnlab.experiments.models import PreactivationBlock, ResidualBlock, preactivation_resnet, resnet
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.layers import BatchNorm2d

ARMS: dict[str, Callable[..., nn.Sequential]] = {
    "no_norm": preactivation_resnet,
    "batch_norm": partial(preactivation_resnet, norm=BatchNorm2d),
    "original": partial(resnet, norm=BatchNorm2d),  # with a ReLU behind each sum, as in He et al. 2015
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    Attributes:
        stride: of the first convolution; with 2, digits become 4x4 maps.
    """

    dataset: str = "digits"
    blocks: int = 64
    width: int = 16
    stride: int = 2
    batch_size: int = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """Variances of a channel over examples and positions, biased, averaged over the channels; in training mode.

    Attributes:
        branch: by arm, of what each block's branch gives.
        skip: by arm, of what it is added to.
    """

    kind: ClassVar = Config

    config: Config
    branch: dict[str, Float[np.ndarray, "blocks seeds"]]
    skip: dict[str, Float[np.ndarray, "blocks seeds"]]

    def ratio(self, arm: str) -> Float[np.ndarray, "blocks seeds"]:
        """The variance of the branch over that of the skip, by block."""
        return np.asarray(self.branch[arm] / self.skip[arm])

    def ratio_at(self, arm: str, block: int) -> Float[np.ndarray, " seeds"]:
        """The same at one block; the first is 1.

        Raises:
            ValueError: there is no such block.
        """
        if not 1 <= block <= self.config.blocks:
            raise ValueError(f"block: expected from 1 to {self.config.blocks}, got {block}")
        return np.asarray(self.ratio(arm)[block - 1])


def run(config: Config) -> Result:
    """Runs one batch, the same in all arms, through an untrained network for each arm and seed.

    Raises:
        ValueError: the training split has fewer examples than the batch.
    """
    x = for_tuning(load(config.dataset)).train.x
    if config.batch_size > len(x):
        raise ValueError(f"batch_size: expected at most the {len(x)} training examples, got {config.batch_size}")
    branch, skip = {}, {}
    for arm in ARMS:
        variances = [block_variances(network(config, arm, seed), x[: config.batch_size]) for seed in config.seeds]
        branch[arm], skip[arm] = np.array(variances).transpose(2, 1, 0)
    return Result(config=config, provenance=Provenance.of(__name__), branch=branch, skip=skip)


@torch.no_grad()
def block_variances(model: nn.Sequential, x: Float[Tensor, "n c height width"]) -> list[tuple[float, float]]:
    """For each residual block the variance of what its branch gives, and of the skip that it is added to.

    The model runs in training mode, which moves the running statistics of its norms.
    """
    found = []
    for layer in model.train():
        if isinstance(layer, ResidualBlock | PreactivationBlock):
            found.append((_variance(layer.branch(x)), _variance(x)))
        x = layer(x)
    return found


def network(config: Config, arm: str, seed: int) -> nn.Sequential:
    """The untrained network of an arm; the seed alone draws its weights."""
    channels = load(config.dataset).train.x.shape[1]
    generator = torch.Generator().manual_seed(seed)
    return ARMS[arm](channels, 10, blocks=config.blocks, width=config.width, stride=config.stride, generator=generator)


def _variance(x: Float[Tensor, "n c height width"]) -> float:
    return x.double().var((0, 2, 3), correction=0).mean().item()
