"""The examination: look once, on a copy, then ask every rule."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from bnlab.deploy.untouched import random_state_kept, working_copy
from bnlab.doctor.observe import Observation, Purpose, norms_of, run_loader
from bnlab.doctor.report import SEVERITIES, Report
from bnlab.doctor.rules import CHECKS

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
    observation = Observation(model, purpose, optimizer, norms_of(model))
    if observation.norms and loader is not None:
        with random_state_kept(loader):
            run_loader(observation, working_copy(model), loader)
    findings = [finding for rule in CHECKS.values() for finding in rule.check(observation)]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Report(tuple(findings), f"{len(observation.norms)} batch-norm layers", tuple(observation.not_examined))
