"""A causal transformer that writes numbers in words, with layer norm, RMS norm, and batch norm over different steps.

Sequences have different lengths, and every arm sees the same batches: they differ in what shares a mean and variance.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from bnlab.experiments.data import Split, for_tuning
from bnlab.experiments.optimisers import AdamW, cosine, warmup
from bnlab.experiments.probes import ensemble_outputs
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.selection import best, members_at
from bnlab.experiments.sequence_models import UNSCORED, AllSteps, EachStep, RealSteps, SequenceNorm, Transformer
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.token_data import LENGTH, VOCABULARY, number_words
from bnlab.experiments.training import Ensemble, train_ensemble
from bnlab.layers import BatchNorm1d, GhostBatchNorm1d, LayerNorm, RMSNorm
from bnlab.layers.recurrent import SequenceBatchNorm1d

NORMS: dict[str, SequenceNorm] = {
    "layer_norm": lambda channels: EachStep(LayerNorm(channels)),
    "rms_norm": lambda channels: EachStep(RMSNorm(channels)),
    "batch_norm": lambda channels: AllSteps(BatchNorm1d(channels)),
    "batch_norm_real": lambda channels: RealSteps(SequenceBatchNorm1d(channels)),
    "batch_norm_one": lambda channels: AllSteps(GhostBatchNorm1d(channels, ghost_size=1)),
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    The arms are those of `NORMS`: layer norm, RMS norm, batch norm over all steps of a batch, over its real steps
    ("real"), and over one sequence at a time ("one"), as when a device holds one and gradients are accumulated.
    """

    learning_rates: tuple[float, ...] = (0.01, 0.03, 0.09)
    width: int = 16
    heads: int = 2
    blocks: int = 1
    batch_size: int = 8
    steps: int = 300


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """By arm; accuracies are shares of numbers whose words are all right, each given the right ones before it.

    Attributes:
        validation: accuracy on the validation split, in evaluation mode, at every rate.
        test: accuracy on the test split, at the arm's best rate.
        training_mode: mean cross-entropy a word on the validation split, in nats, at the arm's best rate and by batch
            statistics, in batches of the size of training.
        evaluation_mode: the same in evaluation mode.
    """

    kind: ClassVar = Config

    config: Config
    validation: dict[str, Float[np.ndarray, "rates seeds"]]
    test: dict[str, Float[np.ndarray, " seeds"]]
    training_mode: dict[str, Float[np.ndarray, " seeds"]]
    evaluation_mode: dict[str, Float[np.ndarray, " seeds"]]

    def best_rate(self, arm: str) -> float:
        """The rate with the highest median accuracy in validation."""
        return self.config.learning_rates[best(self.validation[arm])]


def run(config: Config) -> Result:
    """Trains a transformer for each arm, learning rate and seed; reads the test split at each arm's best rate only.

    All arms start from the same weights and see the same batches.
    """
    data = number_words()
    tuning = for_tuning(data)
    members = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
    found: dict[str, dict[str, Any]] = {name: {} for name in ("validation", "test", "training_mode", "evaluation_mode")}
    for arm in NORMS:
        ensemble = train_ensemble(
            [network(config, arm, seed) for _, seed in members],
            tuning.train,
            learning_rates=[rate for rate, _ in members],
            seeds=[seed for _, seed in members],
            steps=config.steps,
            batch_size=config.batch_size,
            optimiser=AdamW(weight_decay=0.0),
            schedule=warmup(0.2, cosine),
        )
        shape = (len(config.learning_rates), len(config.seeds))
        found["validation"][arm] = accuracy(ensemble, tuning.validation).reshape(shape).numpy()
        at_best = members_at(best(found["validation"][arm]), ensemble, seeds=len(config.seeds))
        found["test"][arm] = accuracy(at_best, data.test).numpy()
        for mode, training in (("training_mode", True), ("evaluation_mode", False)):
            losses = loss(at_best, tuning.validation, config.batch_size, training=training)
            found[mode][arm] = losses.numpy()
    return Result(config=config, provenance=Provenance.of(__name__), **found)


def network(config: Config, arm: str, seed: int) -> Transformer:
    """The untrained network of an arm; the seed alone draws its weights."""
    return Transformer(
        len(VOCABULARY),
        length=LENGTH,
        width=config.width,
        heads=config.heads,
        blocks=config.blocks,
        norm=NORMS[arm],
        generator=torch.Generator().manual_seed(seed),
    )


def accuracy(ensemble: Ensemble, split: Split) -> Float[Tensor, " members"]:
    """Share of the sequences of which a member gets every step right, in evaluation mode; 0 where it diverged."""
    right = _logits(ensemble, split.x, training=False).argmax(-1) == split.y
    return (right | (split.y == UNSCORED)).all(-1).double().mean(-1).masked_fill(ensemble.diverged(), 0.0)


def loss(ensemble: Ensemble, split: Split, size: int, *, training: bool) -> Float[Tensor, " members"]:
    """Mean cross-entropy of each member over the words of a split, in batches of this size."""
    total = torch.zeros(len(ensemble), dtype=torch.float64)
    for x, y in zip(torch.split(split.x, size), torch.split(split.y, size), strict=True):
        for member, found in enumerate(_logits(ensemble, x, training=training).double()):
            total[member] += cross_entropy(found.mT, y, reduction="sum")
    return total / (split.y != UNSCORED).sum()


def _logits(ensemble: Ensemble, x: Tensor, *, training: bool) -> Float[Tensor, "members n steps tokens"]:
    return ensemble_outputs(ensemble, x, training=training)["head"]
