"""Rules about running statistics: whether they were ever updated, fit the data, and are numbers at all."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from bnlab.deploy.per_image import Distance, PerImage, beyond_chance, distance
from bnlab.doctor.observe import Norm, Observation
from bnlab.doctor.report import Finding

RATE = 0.003  # false alarms of one layer, where nothing but chance is at work
WIDE = 0.2  # the same, averaged over a layer's channels: a variance off by half; below .07 in healthy networks
YOUNG = 0.05  # the share of its starting value in a running average
FAR = 0.5  # standard deviations by which a channel's mean, or the logarithm of its standard deviation, is off


def stale_statistics(observation: Observation) -> Iterator[Finding]:
    """BN004: running statistics that no batch ever moved, or that are far from what the data gives now.

    Never moved: mean 0, variance 1 and no batch counted. An error in a model meant for inference; in training a note
    where other layers have met batches: a new head, or part of a checkpoint that was not loaded.

    Far: in a pass over the loader in evaluation mode, a channel's mean is off by more than half a standard deviation,
    or its standard deviation by a factor of more than exp(.5) = 1.65; or the layer as a whole spreads more than
    exp(.2) = 1.22 times too wide or too narrow, as where two networks' statistics were averaged. In 60 layers of
    healthy networks whose learning rate fell at the end these were at most .33, 1.34 and 1.07. It also has to be beyond
    what chance gives at a rate of .3% a layer, by the spread of the images' means (see `bnlab.deploy.per_image`;
    `drift` states the measured rate). A warning at the first such layer in the order of the pass: those behind it meet
    what it makes of its own error. Silent where the layer is frozen. In training an average that is still young, and so
    in part its starting value, may also fit once that part is taken out: it will forget it by itself.
    """
    never = [norm for norm in observation.norms if norm.is_new]
    if never and (observation.purpose == "inference" or len(never) < len(observation.norms)):
        serves = observation.purpose == "inference"
        yield Finding(
            "BN004",
            "error" if serves else "note",
            never[0].name,
            f"{len(never)} of {len(observation.norms)} batch-norm layers have met 0 batches: mean 0, variance 1.",
            "Evaluation normalises by these starting values, not by the data."
            if serves
            else "Training will fill them, if they are new; if they should have come from a checkpoint, they did not.",
            "bnlab.deploy.recalibrate(model, loader)" if serves else "model.load_state_dict(checkpoint, strict=True)",
            tuple(norm.name for norm in never[1:]),
        )
    stale = []
    by_name = {norm.name: norm for norm in observation.norms if norm not in never and not observation.froze(norm)}
    for name, seen in observation.seen.items():
        text = _staleness(by_name[name], seen, observation) if _has_statistics(by_name.get(name)) else None
        if text:
            stale.append((name, text))
    if stale:
        yield Finding(
            "BN004",
            "warning",
            stale[0][0],
            stale[0][1],
            "Evaluation normalises by numbers that are not the data's; what comes behind is off, too.",
            "bnlab.deploy.recalibrate(model, loader)",
            tuple(name for name, _ in stale[1:]),
        )


def _has_statistics(norm: Norm | None) -> bool:
    """Whether it keeps one pair of finite running statistics per channel."""
    if norm is None or not norm.tracked or norm.layer.running_mean.ndim != 1:
        return False
    return bool((norm.layer.running_mean.isfinite() & norm.layer.running_var.isfinite()).all())


def _staleness(norm: Norm, seen: PerImage, observation: Observation) -> str | None:
    """What is wrong, in words; None if nothing is."""
    off = distance(norm.layer, seen, observation.usual_batch)
    grown = _without_start(norm.layer) if observation.purpose == "training" else None
    fits_grown = grown is not None and not _is_far(distance(grown, seen, observation.usual_batch), seen.images).any()
    far = _is_far(off, seen.images)
    if fits_grown or not far.any():
        return None
    worst = int(torch.where(far, off.shift.abs().maximum(off.widening.abs()), 0).argmax())
    return (
        f"{int(far.sum())} of {len(far)} channels are far from what {seen.images} images give: channel {worst} is off "
        f"by {off.shift[worst].item():z.1f} standard deviations in its mean, and spreads "
        f"{off.widening[worst].exp():.2g} times as wide."
    )


def _is_far(off: Distance, images: int) -> Tensor:
    """Which channels are: each by itself, or all, where the layer as a whole is too wide or too narrow."""
    far = off.beyond(beyond_chance(images, 2 * len(off.shift), RATE), FAR)
    wide = off.widening.mean().abs()  # its error is at most that of a channel: channels may err together
    return far | (wide > WIDE) & (wide > beyond_chance(images, 1, RATE) * off.widening_error.mean())


def _without_start(layer: Any) -> SimpleNamespace | None:
    """The statistics of a young average without the mean 0 and variance 1 from which it started; None if it is old."""
    batches, momentum = getattr(layer, "num_batches_tracked", None), getattr(layer, "momentum", None)
    if not isinstance(batches, Tensor) or not momentum:  # the plain average forgets its start at once
        return None
    start = (1 - momentum) ** int(batches)
    if not YOUNG < start < 1:
        return None
    mean, var = layer.running_mean / (1 - start), ((layer.running_var - start) / (1 - start)).clamp(min=0)
    return SimpleNamespace(
        running_mean=mean, running_var=var, eps=layer.eps, momentum=None, num_batches_tracked=batches
    )
