"""The examination: look once, on a copy, then ask every rule."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from bnlab.deploy.untouched import random_state_kept, working_copy
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
    """Look for mistakes with batch norm in a network."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"expected model to be an nn.Module, got {type(model).__name__}")  # noqa: TRY004 - ValueError is for every bad argument
    if purpose not in PURPOSES:
        raise ValueError(f"expected purpose {' or '.join(map(repr, PURPOSES))}, got {purpose!r}")
    inner, processes = _without_wrapper(model)
    observation = Observation(inner, purpose, optimizer, norms_of(inner), processes)
    if observation.norms:
        with random_state_kept(loader):
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
