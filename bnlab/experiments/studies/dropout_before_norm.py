"""What dropout in front of batch norm does: the variance that is stored is not the one that evaluation meets.

A dropped value is 0 and a kept one is divided by the probability of being kept, so the mean stays and the variance
grows. Batch norm stores the larger variance of training; in evaluation nothing is dropped (Li et al. 2018,
arXiv:1801.05134). Behind the last norm there is nobody to be misled.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from bnlab.experiments.data import for_tuning, load
from bnlab.experiments.models import mlp
from bnlab.experiments.optimisers import SGD, cosine
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.recalibration import recalibrated
from bnlab.experiments.selection import best, members_at
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.training import Ensemble, train_ensemble
from bnlab.layers import BatchNorm1d

ARMS = {  # behind which of the activations values are dropped
    "none": "none",
    "before_norms": "all, so in front of every norm but the first",
    "behind_the_last": "the last, where no norm follows",
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    Attributes:
        dropout: the probability that a value is dropped, where an arm drops any.
    """

    dataset: str = "mnist1d"
    dropout: float = 0.5
    learning_rates: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)
    depth: int = 4
    width: int = 100
    batch_size: int = 100
    steps: int = 200
    momentum: float = 0.9


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """By arm; accuracies in evaluation mode, between 0 and 1.

    Attributes:
        validation: on the validation split at every rate, with the statistics of the whole training split.
        running: on the test split at the best rate, with the statistics that ran along in training.
        exact: the same with those of the whole training split, taken without dropout.
        variance: at the best rate, how many times the stored variance that of the evaluated network is, the median
            over the channels of each norm.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "rates seeds"]]
    running: dict[str, Float[np.ndarray, " seeds"]]
    exact: dict[str, Float[np.ndarray, " seeds"]]
    variance: dict[str, Float[np.ndarray, "norms seeds"]]


def run(config: Config) -> Result:
    """Trains an MLP with batch norm for each arm, rate and seed, and evaluates it with two kinds of statistics.

    Arms start from the same weights and see the same batches.
    """
    data = load(config.dataset)
    tuning = for_tuning(data)
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    seeds = len(config.seeds)
    validation, running, exact, variance = {}, {}, {}, {}
    for arm in ARMS:
        trained = train_ensemble(
            [network(config, arm, seed) for _, seed in members],
            tuning.train,
            learning_rates=[rate for rate, _ in members],
            seeds=[seed for _, seed in members],
            steps=config.steps,
            batch_size=config.batch_size,
            optimiser=SGD(momentum=config.momentum),
            schedule=cosine,
        )
        anew = recalibrated(trained, tuning.train)
        validation[arm] = anew.accuracy(tuning.validation).reshape(-1, seeds).numpy()
        chosen, chosen_anew = (members_at(best(validation[arm]), one, seeds=seeds) for one in (trained, anew))
        running[arm], exact[arm] = (one.accuracy(data.test).numpy() for one in (chosen, chosen_anew))
        variance[arm] = _variances(chosen_anew, chosen)
    return Result(
        config=config,
        provenance=Provenance.of(__name__),
        validation=validation,
        running=running,
        exact=exact,
        variance=variance,
    )


def network(config: Config, arm: str, seed: int) -> nn.Sequential:
    """The untrained network of an arm; the seed alone draws its weights."""
    generator = torch.Generator().manual_seed(seed)
    inputs = load(config.dataset).train.x[0].numel()
    build = partial(mlp, inputs, 10, depth=config.depth, width=config.width, norm=BatchNorm1d, generator=generator)
    if arm == "before_norms":
        return build(dropout=config.dropout)
    model = build()
    if arm == "behind_the_last":
        model.insert(len(model) - 1, nn.Dropout(config.dropout))
    return model


def _variances(evaluated: Ensemble, stored: Ensemble) -> Float[np.ndarray, "norms seeds"]:
    names = [name for name in stored.buffers if name.endswith("running_var")]
    ratios = [(evaluated.buffers[name] / stored.buffers[name]).median(-1).values for name in names]
    return np.asarray(torch.stack(ratios).numpy())
