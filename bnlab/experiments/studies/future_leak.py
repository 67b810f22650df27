"""What a causal transformer learns of the future through the statistics of batch norm.

Every token is the toss of a fair coin, and the data hold every sequence once. So a network that sees nothing but the
tosses so far has a mean loss of at least log 2, and one that is below it has been told.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from bnlab.experiments.data import Split
from bnlab.experiments.optimisers import AdamW, cosine
from bnlab.experiments.probes import ensemble_outputs
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.sequence_models import AllSteps, EachStep, SequenceNorm, Transformer
from bnlab.experiments.study import Result as BaseResult
from bnlab.experiments.study import Settings
from bnlab.experiments.token_data import COIN_TOKENS, HEADS, TAILS, coin_tosses
from bnlab.experiments.training import Ensemble, train_ensemble
from bnlab.layers import BatchNorm1d, LayerNorm

FLOOR = float(np.log(2))  # nats a toss: what a network that does not know the future cannot go below
NORMS: dict[str, SequenceNorm] = {
    "layer_norm": lambda channels: EachStep(LayerNorm(channels)),
    "batch_norm": lambda channels: AllSteps(BatchNorm1d(channels)),
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the study; everything that is not listed is the same in all arms.

    Attributes:
        tosses: of a sequence.
        batch_sizes: sequences in a batch, of training and of the statistics; each divides the number of sequences.
        edited: the step whose token is changed, counted from 0, which is the start of the sequence.
        probes: batches in which a token is changed.
        learning_rate: one for all arms, not tuned.
    """

    tosses: int = 8
    batch_sizes: tuple[int, ...] = (1, 2, 8)
    edited: int = 6
    probes: int = 16
    learning_rate: float = 0.01
    width: int = 16
    heads: int = 2
    blocks: int = 1
    steps: int = 300

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.edited >= self.tosses:
            raise ValueError(f"edited: expected a step below {self.tosses}, got {self.edited}")
        for size in self.batch_sizes:
            if 2**self.tosses % size:
                raise ValueError(f"batch_sizes: expected divisors of {2**self.tosses}, got {size}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(BaseResult):
    """By arm and batch size, in the order of `config.batch_sizes`.

    Attributes:
        moved: in training mode, before training: how far the edited sequence's logits move at each step, in the root
            mean square, as a share of how far they move at the edited step.
        moved_elsewhere: the same of the other sequences, as a share of the same; NaN where there are none.
        training_mode: mean cross-entropy after training, in nats a toss, over all sequences, by batch statistics.
        evaluation_mode: the same by running statistics.
    """

    kind: ClassVar = Config

    config: Config
    moved: dict[str, Float[np.ndarray, "sizes steps seeds"]]
    moved_elsewhere: dict[str, Float[np.ndarray, "sizes steps seeds"]]
    training_mode: dict[str, Float[np.ndarray, "sizes seeds"]]
    evaluation_mode: dict[str, Float[np.ndarray, "sizes seeds"]]


def run(config: Config) -> Result:
    """Changes a token in untrained networks; trains them on the tosses; measures their loss in both modes."""
    tosses = coin_tosses(config.tosses)
    found: dict[str, dict[str, Any]] = {
        name: {arm: [] for arm in NORMS} for name in ("moved", "moved_elsewhere", "training_mode", "evaluation_mode")
    }
    for arm in NORMS:
        models = [network(config, arm, seed) for seed in config.seeds]
        for size in config.batch_sizes:
            here, elsewhere = moves(Ensemble.of(models), tosses.x, size, config)
            trained = train_ensemble(
                models,
                tosses,
                learning_rates=[config.learning_rate] * len(models),
                seeds=config.seeds,
                steps=config.steps,
                batch_size=size,
                optimiser=AdamW(weight_decay=0.0),
                schedule=cosine,
            )
            found["moved"][arm].append(here.numpy())
            found["moved_elsewhere"][arm].append(elsewhere.numpy())
            for mode, training in (("training_mode", True), ("evaluation_mode", False)):
                found[mode][arm].append(loss(trained, tosses, size, training=training).numpy())
    stacked = {name: {arm: np.stack(values) for arm, values in arms.items()} for name, arms in found.items()}
    return Result(config=config, provenance=Provenance.of(__name__), **stacked)


def network(config: Config, arm: str, seed: int) -> Transformer:
    """The untrained network of an arm; the seed alone draws its weights."""
    return Transformer(
        COIN_TOKENS,
        length=config.tosses,
        width=config.width,
        heads=config.heads,
        blocks=config.blocks,
        norm=NORMS[arm],
        generator=torch.Generator().manual_seed(seed),
    )


def moves(
    ensemble: Ensemble, x: Int[Tensor, "n steps"], size: int, config: Config
) -> tuple[Float[Tensor, "steps members"], Float[Tensor, "steps members"]]:
    """How far logits move at each step when one token is turned over: in its sequence, and in the others of the batch.

    Both as a share of how far they move at that token itself, in training mode.
    """
    squares = torch.zeros(len(ensemble), size, x.shape[1])
    generator = torch.Generator().manual_seed(0)
    for _ in range(config.probes):
        before = x[torch.randperm(len(x), generator=generator)[:size]]
        after = before.clone()
        after[0, config.edited] = HEADS + TAILS - before[0, config.edited]
        moved = logits(ensemble, after, training=True) - logits(ensemble, before, training=True)
        squares += moved.square().mean(-1)
    at_the_token = squares[:, 0, config.edited]
    here, elsewhere = squares[:, 0].T, squares[:, 1:].mean(1).T  # of no other sequences the mean is NaN
    return (here / at_the_token).sqrt(), (elsewhere / at_the_token).sqrt()


def loss(ensemble: Ensemble, split: Split, size: int, *, training: bool) -> Float[Tensor, " members"]:
    """Mean cross-entropy over all sequences, each seen once, in batches of this size."""
    order = torch.randperm(len(split.y), generator=torch.Generator().manual_seed(0))
    total = torch.zeros(len(ensemble), dtype=torch.float64)
    for rows in torch.split(order, size):
        for member, found in enumerate(logits(ensemble, split.x[rows], training=training).double()):
            total[member] += cross_entropy(found.mT, split.y[rows]) * len(rows) / len(order)
    return total


def logits(ensemble: Ensemble, x: Int[Tensor, "n steps"], *, training: bool) -> Float[Tensor, "members n steps tokens"]:
    """What every member says of every step, with the statistics of this batch or the running ones."""
    return ensemble_outputs(ensemble, x, training=training)["head"]
