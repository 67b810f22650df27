"""The examination: look once, on a copy, then ask every rule."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import is_lazy

from bnlab.deploy.eager import eagerly
from bnlab.deploy.untouched import check_module, kept, random_state_kept, working_copy
from bnlab.doctor.bystanders import bystanders_kept
from bnlab.doctor.observe import Observation, Purpose, find_feeds, norms_of, probe_training, run_loader
from bnlab.doctor.report import SEVERITIES, Report
from bnlab.doctor.rules import CHECKS
from bnlab.doctor.steps import MOST_STEPS, watch_steps

WRAPPERS = (DataParallel, DistributedDataParallel)
PURPOSES = ("training", "inference")


def examine(
    model: nn.Module,
    loader: Iterable[Any] | None = None,
    *,
    purpose: Purpose = "training",
    optimizer: torch.optim.Optimizer | None = None,
    train_step: Callable[..., Any] | None = None,
) -> Report:
    """Look for mistakes with batch norm in a network: rules BN001 to BN018, see `bnlab.doctor.RULES`.

    Everything runs on copies: the model's parameters, gradients, buffers, modes and hooks are afterwards as before, and
    so are the random states of Python, NumPy and torch, and the generators, optimizers and schedules that the loader or
    the training step holds (see `bystanders_kept` for how deep), also if the model or the loader raises, which is
    passed on. A loader that is a running iterator has moved on. (A training pass that raises, for want of targets, say,
    is reported as not examined.) Of the loader at most 64 batches are read, and about 160 images run in evaluation
    mode, 32 in a training pass: with 50 batches of 224 x 224 images 8 s for a ResNet-18 on two cores, 26 s for a
    ResNet-50. Layers are examined, and not calls of `torch.nn.functional.batch_norm`.

    Args:
        model: any module. One inside DistributedDataParallel, DataParallel or torch.compile is looked at without it.
        loader: yields batches as in training, or as served if the model is meant for inference: tensors, tuples or
            lists, or dicts (see `bnlab.deploy.batches.feed`). Frames of a video or nodes of a graph that the model
            has in its batch axis are counted as one example. Without a loader only what needs no data is examined.
        purpose: "training", with the modes as they are in the training loop, or "inference".
        optimizer: the one that trains the model, to be looked at only.
        train_step: what the training loop does with a batch, `train_step(model, batch)`, for rules BN002 and BN016. It
            runs on a copy of the model for up to 16 batches, until an optimizer has stepped twice. A `train_step` with
            a third parameter is handed a copy of `optimizer` whose groups hold the copy's parameters; one that uses its
            own optimizer moves nothing. What else it changes (a list, a file) is its own affair.

    Returns:
        The findings, errors first. `report.healthy` is whether there is nothing above a note.

    Raises:
        ValueError: an argument is of the wrong kind, or the model is lazy or cannot be copied.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8, momentum=0.99))
        >>> examine(model)
        Sequential for training: 1 batch-norm layer: 1 error
        <BLANKLINE>
        BN005 error  1
          momentum is 0.99 in 1 of 1 batch-norm layers: the weight of the new batch, so
          running statistics are those of the last 1.01 batches. The other convention's
          0.99 is 0.01 here. Evaluation normalises by the noise of one batch.
          fix: model[1].momentum = 0.01  # then bnlab.deploy.recalibrate(model, loader)
        not examined: whatever takes a loader: values per channel, stale statistics,
        dropout, ...
    """
    check_module(model)
    if purpose not in PURPOSES:
        raise ValueError(f"expected purpose {' or '.join(map(repr, PURPOSES))}, got {purpose!r}")
    inner, processes = _without_wrapper(model)
    if any(map(is_lazy, (*inner.parameters(), *inner.buffers()))):
        raise ValueError(
            "expected a model that knows its shapes, got one with lazy layers; run a batch through it first"
        )
    if any(tensor.is_meta for tensor in (*inner.parameters(), *inner.buffers())):
        raise ValueError("expected a model that holds numbers, got one on the meta device")
    observation = Observation(inner, purpose, optimizer, norms_of(inner), processes)
    if observation.norms:
        held = (loader, train_step) if train_step is None else (loader, train_step, optimizer)
        with random_state_kept(loader), kept(inner), bystanders_kept(*held), eagerly():
            _look(observation, loader, train_step)
    findings = [finding for rule in CHECKS.values() for finding in rule.check(observation)]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Report(tuple(findings), _summary(observation), tuple(observation.not_examined))


def _look(observation: Observation, loader: Iterable[Any] | None, train_step: Callable[..., Any] | None) -> None:
    model = observation.model
    if observation.purpose == "inference" or loader is None:
        find_feeds(observation, working_copy(model))
    if loader is None:
        observation.not_examined.append("whatever takes a loader: values per channel, stale statistics, dropout, ...")
        return
    batches = run_loader(observation, working_copy(model), loader, MOST_STEPS if train_step else 1)
    if not batches:
        observation.not_examined.append("the loader, which is empty")
        return
    if observation.processes > 1 and any(norm.is_synchronised for norm in observation.norms):
        observation.not_examined.append("a training pass: synchronised layers would wait for the other processes")
        return
    if train_step is not None:
        names = [norm.name for norm in observation.norms]
        observation.steps = watch_steps(model, train_step, batches, optimizer=observation.optimizer, norms=names)
    probe_training(observation, working_copy(model), batches[0])


def _without_wrapper(model: nn.Module) -> tuple[nn.Module, int]:
    """The model inside DistributedDataParallel or torch.compile, and how many processes train it."""
    together = dist.is_available() and dist.is_initialized()
    processes = dist.get_world_size() if together else 1
    inner: Any = model
    while isinstance(inner, WRAPPERS) or hasattr(inner, "_orig_mod"):
        inner = inner.module if isinstance(inner, WRAPPERS) else inner._orig_mod  # noqa: SLF001 - torch.compile's
    return inner, processes


def _summary(observation: Observation) -> str:
    count, batches = len(observation.norms), len(observation.sizes)
    layers = f"{count} batch-norm layer{'' if count == 1 else 's'}"
    images = max((seen.images for seen in observation.seen.values()), default=0)
    looked = f", {batches} batch{'' if batches == 1 else 'es'} read, {images} images run" if batches else ""
    return f"{type(observation.model).__name__} for {observation.purpose}: {layers}{looked}"
