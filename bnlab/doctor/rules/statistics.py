"""Rules about running statistics: whether they were ever updated, fit the data, and are numbers at all."""

from collections.abc import Iterator

import torch
from torch import Tensor

from bnlab.deploy.per_image import PerImage, beyond_chance
from bnlab.doctor.observe import Norm, Observation
from bnlab.doctor.report import Finding

RATE = 0.003  # false alarms of one layer, where nothing but chance is at work
FAR = 0.5  # standard deviations by which a channel's mean, or the logarithm of its standard deviation, is off


def stale_statistics(observation: Observation) -> Iterator[Finding]:
    """BN004: running statistics that no batch ever moved, or that are far from what the data gives now."""
    never = [norm for norm in observation.norms if _never_updated(norm)]
    if never and (observation.purpose == "inference" or len(never) < len(observation.norms)):
        yield Finding(
            "BN004",
            "error" if observation.purpose == "inference" else "warning",
            never[0].name,
            f"{len(never)} of {len(observation.norms)} batch-norm layers have met 0 batches: mean 0, variance 1.",
            "Evaluation normalises by these starting values, not by the data.",
            "bnlab.deploy.recalibrate(model, loader)",
            tuple(norm.name for norm in never[1:]),
        )
    stale: list[tuple[Norm, str]] = []
    for norm in observation.norms:
        seen = observation.seen.get(norm.name)
        if seen is not None and norm.tracked and norm not in never and norm.layer.running_mean.ndim == 1:
            text = _staleness(norm, seen)
            if text:
                stale.append((norm, text))
    if stale:
        order = list(observation.seen)
        stale.sort(key=lambda case: order.index(case[0].name))
        first, text = stale[0]
        yield Finding(
            "BN004",
            "warning",
            first.name,
            text,
            "Evaluation normalises by numbers that are not the data's.",
            "bnlab.deploy.recalibrate(model, loader)",
            tuple(norm.name for norm, _ in stale[1:]),
        )


def _never_updated(norm: Norm) -> bool:
    tracked = getattr(norm.layer, "num_batches_tracked", None)
    if not norm.tracked or not isinstance(tracked, Tensor):
        return False
    start = bool((norm.layer.running_mean == 0).all()) and bool((norm.layer.running_var == 1).all())
    return start and not tracked.any()


def _staleness(norm: Norm, seen: PerImage) -> str | None:
    mean, var = (buffer.detach().double().cpu() for buffer in (norm.layer.running_mean, norm.layer.running_var))
    std = (var + norm.layer.eps).sqrt()
    shift = (seen.mean - mean) / std
    widening = ((seen.var + norm.layer.eps) / (var + norm.layer.eps)).log() / 2
    critical = beyond_chance(seen.images, 2 * len(mean), RATE)
    far = (shift.abs() > FAR) & (shift.abs() > critical * seen.mean_error / std)
    far |= (widening.abs() > FAR) & (widening.abs() > critical * seen.log_var_error / 2)
    if not far.any():
        return None
    worst = int(torch.where(far, shift.abs().maximum(widening.abs()), 0).argmax())
    return (
        f"{int(far.sum())} of {len(mean)} channels are far from what {seen.images} images give: channel {worst} is off "
        f"by {shift[worst]:.1f} standard deviations in its mean, and spreads {widening[worst].exp():.2g} times as wide."
    )
