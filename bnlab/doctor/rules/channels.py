"""The rule about single channels: those that are dead, and those that explode."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from bnlab.doctor.naming import for_each, listed
from bnlab.doctor.observe import Norm, Observation
from bnlab.doctor.report import Finding, Severity

FAINT = 0.1  # of eps: a channel of less variance leaves with a standard deviation below .3
DEAD_SCALE = 1e-3  # a channel scaled by less says a thousandth of what its neighbours say
MANY_DEAD = 0.25  # constant border pixels and channels that weight decay gave up stay below this share
LARGEST_SCALE = 100.0  # the output's standard deviation; trained scales lie around 1
OUTLYING_SCALE = 30.0  # times the layer's median
LARGEST_VAR = 1e10  # a standard deviation of 100,000: beyond float16, and beyond any sensible input


class _Case(NamedTuple):
    severity: Severity
    share: float  # of the layer's channels
    norm: Norm
    text: str
    fix: str = ""  # a line for the layer; that of the finding where empty


def dead_or_exploding(observation: Observation) -> Iterator[Finding]:
    """BN009: channels that carry nothing, or so much that they drown the rest.

    Dead or faint: a scale below a thousandth, or a variance below a tenth of eps, measured over the loader if there is
    one, else as stored: the channel then leaves with a standard deviation below .3. In a network that has not trained
    it has to be so in training mode, too, since what comes before is not normalised in evaluation yet. A few such
    channels are usual: a note, and a warning if they are a quarter of a layer or more. A variance between that and eps
    is a note: eps is then the larger part of what batch norm divides by. A whole layer with a scale of exactly 0 is how
    residual branches start (Goyal et al. 2017, section 5.1, arXiv:1706.02677): a note. Exploding, a warning: a scale
    above 100, or 30 times the layer's median, or a variance above 1e10. The limits are rules of thumb, far from where
    trained layers lie.
    """
    norms = observation.norms
    yield from _finding(
        observation,
        [case for norm in norms for case in _dead(norm, observation)],
        "They carry next to nothing; and what once varies where nothing did is blown up.",
        "look at what feeds {}: prune the channels, or lower weight decay and learning rate",
    )
    yield from _finding(
        observation,
        [case for norm in norms for case in _shrunk(norm, observation)],
        "eps is then the larger part of what batch norm divides by, and the channels leave smaller than 1.",
        "scale the input of {} up, or lower its eps",
    )
    exploding = [case for norm in norms for case in _exploding(norm, observation)]
    for by_scale in (True, False):
        yield from _finding(
            observation,
            [case for case in exploding if bool(case.fix) == by_scale],
            "They drown the other channels, and their gradients those of the rest.",
            "scale the input of {} down: look at what feeds it",
        )


def _finding(observation: Observation, cases: list[_Case], why: str, fix: str) -> Iterator[Finding]:
    if cases:
        worst = max(cases, key=lambda case: (case.severity == "warning", case.share))
        names = [worst.norm.name, *(case.norm.name for case in cases if case is not worst)]
        model, line = observation.model, worst.fix
        mended = for_each(model, names, line) if line else fix.format(listed(model, names))
        yield Finding("BN009", worst.severity, names[0], worst.text, why, mended, tuple(names[1:]))


def _dead(norm: Norm, observation: Observation) -> Iterator[_Case]:
    scale, var = _scale(norm), _variance_of_new(norm, observation)
    by_scale, by_var = scale.abs() < DEAD_SCALE, var < FAINT * norm.layer.eps
    dead = by_scale | by_var
    if not scale.any() and not by_var.any():
        text = f"The scale is 0 in all {len(scale)} channels, as at the start of a residual branch."
        yield _Case("note", 1.0, norm, text)
    elif dead.any():
        share = dead.double().mean().item()
        parts = []
        if by_scale.any():
            parts.append(f"{int(by_scale.sum())} with a scale below {DEAD_SCALE:g} (smallest {scale.abs().min():.1g})")
        if by_var.any():
            parts.append(f"{int(by_var.sum())} with a variance far below eps (smallest {var.min():.1g})")
        text = f"{int(dead.sum())} of {len(dead)} channels are dead or faint: {', '.join(parts)}."
        yield _Case("warning" if share >= MANY_DEAD else "note", share, norm, text)


def _shrunk(norm: Norm, observation: Observation) -> Iterator[_Case]:
    var, eps = _variance(norm, observation), norm.layer.eps
    shrunk = (var >= FAINT * eps) & (var < eps)
    if shrunk.any():
        least = var[shrunk].min().item()
        text = (
            f"{int(shrunk.sum())} of {len(var)} channels vary by less than eps={eps:g}: the smallest variance is "
            f"{least:.1g}, so that channel leaves with a standard deviation of {(least / (least + eps)) ** 0.5:.2f}."
        )
        yield _Case("note", shrunk.double().mean().item(), norm, text)


def _exploding(norm: Norm, observation: Observation) -> Iterator[_Case]:
    scale, var = _scale(norm).abs(), _variance(norm, observation)
    median = scale.median().item()
    too_large = scale > min(LARGEST_SCALE, max(OUTLYING_SCALE * median, 1.0))
    wild = too_large | ((var > LARGEST_VAR) & var.isfinite())  # the rest is BN017's
    if wild.any():
        worst = int(scale.argmax()) if too_large.any() else int(var.argmax())
        text = (
            f"{int(wild.sum())} of {len(wild)} channels explode: channel {worst} has a scale of {scale[worst]:.3g} "
            f"(median {median:.3g}) and an input variance of {var[worst]:.2g}."
        )
        mended = "torch.nn.init.ones_({}.weight)  # and clip gradients, or lower the learning rate"
        yield _Case("warning", wild.double().mean().item(), norm, text, mended if too_large.any() else "")


def _scale(norm: Norm) -> Tensor:
    """One value a channel, 1 where there is no scale."""
    weight = getattr(norm.layer, "weight", None)
    return torch.ones(norm.channels, dtype=torch.float64) if weight is None else weight.detach().double().cpu()


def _variance(norm: Norm, observation: Observation) -> Tensor:
    """One value a channel: measured if the layer was seen, else as stored, else (a norm for each time step, say) 1."""
    seen = observation.seen.get(norm.name)
    if seen is not None and seen.images > 1 and not norm.is_new:  # whose evaluation mode means nothing yet
        return seen.var
    stored = norm.layer.running_var
    plain = norm.tracked and stored.ndim == 1
    return stored.detach().double().cpu() if plain else torch.ones(norm.channels, dtype=torch.float64)


def _variance_of_new(norm: Norm, observation: Observation) -> Tensor:
    """The same; of a new layer the larger one of what evaluation mode and a pass in training mode brought it."""
    seen, probe = observation.seen.get(norm.name), observation.probe
    if not norm.is_new or seen is None or seen.images < 2 or probe is None or norm.name not in probe.variances:
        return _variance(norm, observation)
    return seen.var.maximum(probe.variances[norm.name].double())
