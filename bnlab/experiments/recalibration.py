"""Batch norm judged by other statistics than the running ones: exact ones, or those of the batch at hand."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bnlab.deploy import recalibrate
from bnlab.experiments.data import Split
from bnlab.experiments.ensemble import Ensemble
from bnlab.experiments.probes import ensemble_outputs


def recalibrated(ensemble: Ensemble, split: Split) -> Ensemble:
    """The members with the statistics of the whole split, which they see as one batch.

    What a network learned shows so, apart from how well its running statistics follow.

    Raises:
        ValueError: they have no batch norm that keeps running statistics.
    """
    models = [ensemble.member(index) for index in range(len(ensemble))]
    for model in models:
        recalibrate(model, [split.x])
    return replace(ensemble, buffers=Ensemble.of(models).buffers)


def accuracy_by_batch(
    ensemble: Ensemble, split: Split, batches: Sequence[Int[Tensor, " batch"]]
) -> Float[Tensor, " members"]:
    """Share of the examples in these batches that each member gets right in training mode, by each batch's statistics.

    Args:
        ensemble: its members end in the layer that gives the logits; they are left as they were.
        split: the examples.
        batches: which of them stand together, as `shuffled_batches` or `sorted_batches` say.
    """
    logits = [list(ensemble_outputs(ensemble, split.x[rows], training=True).values())[-1] for rows in batches]
    guesses = torch.cat([of_batch.argmax(-1) for of_batch in logits], dim=1)
    return (guesses == split.y[torch.cat(list(batches))]).double().mean(1)


def shuffled_batches(examples: int, batch_size: int) -> list[Int[Tensor, " batch"]]:
    """The examples in one fixed random order, in batches; a last one that is not full is left out."""
    return _full(torch.randperm(examples, generator=torch.Generator().manual_seed(0)), batch_size)


def sorted_batches(y: Int[Tensor, " n"], batch_size: int) -> list[Int[Tensor, " batch"]]:
    """The examples sorted by class, in batches, most of which hold a single class."""
    return _full(y.argsort(stable=True), batch_size)


def _full(order: Int[Tensor, " n"], batch_size: int) -> list[Int[Tensor, " batch"]]:
    return [rows for rows in torch.split(order, batch_size) if len(rows) == batch_size]
