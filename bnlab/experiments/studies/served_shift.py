"""What a trained network makes of images that are not as they were in training, and what other statistics mend.

When a camera or a preprocessing step changes, the statistics that batch norm stored no longer fit. Those of the batch
at hand do (Nado et al. 2020, arXiv:2006.10963; Li et al. 2016, arXiv:1603.04779, take those of all new data), as long
as the change is one of means and scales, and the batch is a fair sample.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from bnlab.experiments.data import Split, load
from bnlab.experiments.models import cnn
from bnlab.experiments.optimisers import SGD, cosine
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.recalibration import accuracy_by_batch, recalibrated, shuffled_batches, sorted_batches
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import Ensemble, train_ensemble
from bnlab.layers import BatchNorm2d

Images = Float[Tensor, "n 1 height width"]


def _noise(x: Images) -> Images:
    return x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


SHIFTS: dict[str, Callable[[Images], Images]] = {  # of ink between 0 and 1; nothing is clipped
    "clean": lambda x: x,
    "contrast": lambda x: 0.3 * x,
    "brightness": lambda x: x + 0.5,
    "blur": lambda x: avg_pool2d(x, 3, stride=1, padding=1),
    "noise": _noise,
    "inverted": lambda x: 1 - x,
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; nothing is chosen by it.

    Attributes:
        served: images in a batch at serving time.
    """

    dataset: str = "digits"
    depth: int = 3
    width: int = 16
    learning_rate: float = 0.1
    batch_size: int = 32
    steps: int = 150
    momentum: float = 0.9
    served: int = 36


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """Accuracies on the test split, between 0 and 1, by what was done to the images.

    Attributes:
        stored: by the statistics of the training split, as stored with the network.
        by_batch: by those of each batch, in a random order.
        adapted: by those of all test images at once, so shifted.
        by_class: by those of each batch, the images sorted by class.
    """

    kind: ClassVar = Config

    config: Config
    stored: dict[str, Float[np.ndarray, " seeds"]]
    by_batch: dict[str, Float[np.ndarray, " seeds"]]
    adapted: dict[str, Float[np.ndarray, " seeds"]]
    by_class: dict[str, Float[np.ndarray, " seeds"]]


def run(config: Config) -> Result:
    """Trains a CNN with batch norm for each seed, and serves it shifted images with four kinds of statistics."""
    data = load(config.dataset)
    ensemble = recalibrated(_trained(config, data.train), data.train)
    mixed = shuffled_batches(len(data.test.y), config.served)
    by_class = sorted_batches(data.test.y, config.served)
    found: dict[str, dict[str, Float[np.ndarray, " seeds"]]] = {
        name: {} for name in ("stored", "by_batch", "adapted", "by_class")
    }
    for name in SHIFTS:
        split = shifted(data.test, name, like=data.train)
        found["stored"][name] = ensemble.accuracy(split).numpy()
        found["by_batch"][name] = accuracy_by_batch(ensemble, split, mixed).numpy()
        found["adapted"][name] = recalibrated(ensemble, split).accuracy(split).numpy()
        found["by_class"][name] = accuracy_by_batch(ensemble, split, by_class).numpy()
    return Result(config=config, provenance=Provenance.of(__name__), **found)


def shifted(split: Split, name: str, *, like: Split) -> Split:
    """The split with its images changed.

    Args:
        split: standardised images.
        name: one of `SHIFTS`.
        like: whose smallest and largest value are no ink and full ink.
    """
    low, high = like.x.min(), like.x.max()
    return Split(low + (high - low) * SHIFTS[name]((split.x - low) / (high - low)), split.y)


def _trained(config: Config, split: Split) -> Ensemble:
    def network(seed: int) -> torch.nn.Module:
        generator = torch.Generator().manual_seed(seed)
        return cnn(1, 10, depth=config.depth, width=config.width, norm=BatchNorm2d, generator=generator)

    return train_ensemble(
        [network(seed) for seed in config.seeds],
        split,
        learning_rates=[config.learning_rate] * len(config.seeds),
        seeds=config.seeds,
        steps=config.steps,
        batch_size=config.batch_size,
        optimiser=SGD(momentum=config.momentum),
        schedule=cosine,
    )
