"""Rules about running statistics: whether they were ever updated, fit the data, and are numbers at all."""

from collections.abc import Iterator

import torch
from torch import Tensor

from bnlab.deploy.per_image import PerImage, beyond_chance, distance
from bnlab.doctor.observe import Norm, Observation
from bnlab.doctor.report import Finding

RATE = 0.003  # false alarms of one layer, where nothing but chance is at work
FAR = 0.5  # standard deviations by which a channel's mean, or the logarithm of its standard deviation, is off


def stale_statistics(observation: Observation) -> Iterator[Finding]:
    """BN004: running statistics that no batch ever moved, or that are far from what the data gives now.

    Never moved: mean 0, variance 1 and no batch counted. An error in a model meant for inference; in training a warning
    where other layers have met batches, since a whole network that has not is new.

    Far: in a pass over the loader in evaluation mode, a channel's mean is off by more than half a standard deviation,
    or its standard deviation by a factor of more than exp(.5) = 1.65, and that is beyond what chance gives at a rate of
    .3% a layer, by the spread of the images' means (see `bnlab.deploy.per_image`, where the false-alarm rate is
    measured). Half a standard deviation is far from what a trained network shows whose learning rate was lowered at the
    end, and near what costs accuracy. A warning at the first such layer in the order of the pass: those behind it meet
    what it makes of its own error. Silent where the layer is frozen.
    """
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
    stale = []
    by_name = {norm.name: norm for norm in observation.norms if norm not in never and not norm.is_frozen}
    for name, seen in observation.seen.items():
        text = _staleness(by_name[name], seen, observation.usual_batch) if _has_statistics(by_name.get(name)) else None
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


def _never_updated(norm: Norm) -> bool:
    tracked = getattr(norm.layer, "num_batches_tracked", None)
    if not norm.tracked or not isinstance(tracked, Tensor):
        return False
    start = bool((norm.layer.running_mean == 0).all()) and bool((norm.layer.running_var == 1).all())
    return start and not tracked.any()


def _staleness(norm: Norm, seen: PerImage, training_batch: int) -> str | None:
    """What is wrong, in words; None if nothing is."""
    off = distance(norm.layer, seen, training_batch)
    far = off.beyond(beyond_chance(seen.images, 2 * len(off.shift), RATE), FAR)
    if not far.any():
        return None
    worst = int(torch.where(far, off.shift.abs().maximum(off.widening.abs()), 0).argmax())
    return (
        f"{int(far.sum())} of {len(far)} channels are far from what {seen.images} images give: channel {worst} is off "
        f"by {off.shift[worst]:.1f} standard deviations in its mean, and spreads {off.widening[worst].exp():.2g} "
        "times as wide."
    )
