"""Rules about how the network is trained: momentum, weight decay, checkpointing, accumulation."""

from collections.abc import Iterator

from torch import Tensor, nn

from bnlab.doctor.naming import for_each
from bnlab.doctor.observe import Norm, Observation
from bnlab.doctor.probe import Probe
from bnlab.doctor.report import Finding
from bnlab.doctor.rules.batches import SHOWS

OTHER_CONVENTION = 0.9  # the smallest usual weight of the *old* average in other frameworks: .9, .99, .999
LARGE = 0.5  # above it more than half of a running statistic comes from the last batch
TINY = 1e-4  # below that of any recipe: a decay of .9997, as slow as they come, is .0003 here
SWAPPED_EPS = 0.01  # no recipe has a larger eps; torch takes it straight before momentum


def momentum(observation: Observation) -> Iterator[Finding]:
    """BN005: a momentum of .9 or more, which in torch is the weight of the *new* batch.

    Other frameworks give the weight of the old average: Keras's .99 is torch's .01. The running statistics then come
    from `1 / momentum` batches or so. An error from .9 on, short of 1, which somebody may have chosen for a
    recalibration: that, and all above .5, is a warning. So is one below .0001, 0 included, where a layer in training
    mode has not moved far from its start: it never will. A trained layer held still by 0, and None (the plain average),
    are left alone.
    """
    yield from _too_small(observation)
    for value in sorted({norm.layer.momentum for norm in observation.norms if _is_large(norm.layer)}, reverse=True):
        first, *also = [norm for norm in observation.norms if _is_large(norm.layer) and norm.layer.momentum == value]
        mistaken = OTHER_CONVENTION <= value < 1
        after = "  # then bnlab.deploy.recalibrate(model, loader)"
        mended = f"{{}}.momentum = {1 - value if mistaken else 0.1:.3g}{after}"
        other = f" The other convention's {value:g} is {1 - value:.3g} here." if mistaken else ""
        yield Finding(
            "BN005",
            "error" if mistaken else "warning",
            first.name,
            f"momentum is {value:g} in {1 + len(also)} of {len(observation.norms)} batch-norm layers: the weight of "
            f"the new batch, so running statistics are those of the last {1 / value:.2f} batches.{other}",
            "Evaluation normalises by the noise of one batch.",
            for_each(observation.model, [first.name, *(norm.name for norm in also)], mended),
            tuple(norm.name for norm in also),
        )


def _too_small(observation: Observation) -> Iterator[Finding]:
    still = [norm for norm in observation.norms if observation.purpose == "training" and _stands_still(norm)]
    # What is written into them depends on both numbers if these changed places, else on none of the two.
    alike: dict[tuple[float, float], list[Norm]] = {}
    for norm in still:
        alike.setdefault((norm.layer.momentum, norm.layer.eps), []).append(norm)
    for (value, eps), (first, *also) in alike.items():
        place, swapped = first.place, eps >= SWAPPED_EPS and value > 0
        mended = f"{{0}}.eps, {{0}}.momentum = {value:g}, {eps:g}" if swapped else "{}.momentum = 0.1"
        suspicion = f" And eps is {eps:g}: they may have changed places." if swapped else ""
        yield Finding(
            "BN005",
            "warning",
            first.name,
            f"momentum is {value:g} in {place}: after 1,000 more batches {(1 - value) ** 1000:.0%} of a running "
            f"statistic is still what it is now.{suspicion}",
            "The running statistics never get to those of the data, by which evaluation should normalise.",
            for_each(observation.model, [first.name, *(norm.name for norm in also)], mended),
            tuple(norm.name for norm in also),
        )


def _stands_still(norm: Norm) -> bool:
    """Whether its statistics are to move and hardly do: half of them, or all, is what they started as."""
    value, batches = getattr(norm.layer, "momentum", None), getattr(norm.layer, "num_batches_tracked", None)
    if not (norm.trains_by_batch and norm.tracked and isinstance(value, float | int) and 0 <= value < TINY):
        return False
    if norm.is_new:
        return True
    return value > 0 and isinstance(batches, Tensor) and bool(batches.any()) and (1 - value) ** int(batches) > LARGE


def weight_decay(observation: Observation) -> Iterator[Finding]:
    """BN006: weight decay on scale and shift. A note, since recipes differ.

    Of the weights before batch norm decay changes the effective learning rate only; a scale it really makes smaller.
    Goyal et al. 2017 (arXiv:1706.02677) decay them not, many a ResNet recipe does.
    """
    if observation.optimizer is None:
        return
    owners = {id(parameter): norm.name for norm in observation.norms for parameter in norm.affine}
    decayed: dict[str, float] = {}
    count = 0
    for group in observation.optimizer.param_groups:
        for parameter in group["params"] if group.get("weight_decay", 0) else ():
            if id(parameter) in owners:
                decayed[owners[id(parameter)]] = group["weight_decay"]
                count += parameter.numel()
    if decayed:
        first, *rest = decayed
        values = ", ".join(f"{value:g}" for value in sorted(set(decayed.values())))
        yield Finding(
            "BN006",
            "note",
            first,
            f"weight_decay={values} acts on {count} scales and shifts of {len(decayed)} batch-norm layers.",
            "It draws the scales towards 0, where the weights before batch norm only change their effective rate.",
            "give the batch-norm layers' parameters a group of their own with weight_decay=0",
            tuple(rest),
        )


def checkpointing(observation: Observation) -> Iterator[Finding]:
    """BN014: activation checkpointing that moves a layer's running statistics again on the way back.

    The second run moves them by the same batch: a momentum m acts as 1 - (1 - m)^2. Counted in one pass forward and
    back; a checkpoint that holds the statistics still in one of the two is none of it. A warning: results stay near,
    and the averages are shorter than they were meant to be. A note if somebody has made up for it: the momentum that
    acts is a round number, and the one that is set is not.
    """
    probe = observation.probe
    again = [name for name, count in probe.backward.items() if count and probe.forward[name]] if probe else []
    if probe is None or not again:
        return
    norms = [norm for norm in observation.norms if norm.name in again]
    norm = next((norm for norm in norms if not _made_up_for(norm, probe)), norms[0])
    forward, backward = probe.forward[norm.name], probe.backward[norm.name]
    m, made_up_for = _momentum_of(norm), _made_up_for(norm, probe)
    effect = f", so its momentum of {m:.3g} acts as {_momentum_at_work(norm, probe):.3g}" if m else ""
    mended = "its momentum makes up for it" if made_up_for else _momenta_meant(norms, observation.model, probe)
    yield Finding(
        "BN014",
        "note" if made_up_for else "warning",
        norm.name,
        f"Its statistics move {forward} time{'s' * (forward > 1)} forward and {backward} on the way back{effect}.",
        "Activation checkpointing computes the layer anew, and moves its running statistics by one batch twice.",
        mended if m else "leave the layer out of the checkpoint",
        tuple(other.name for other in norms if other is not norm),
    )


def _momenta_meant(norms: list[Norm], model: nn.Module, probe: Probe) -> str:
    """Code that gives each layer the momentum by which its runs forward and back move it as one was to."""
    moving = [norm for norm in norms if _momentum_of(norm) and not _made_up_for(norm, probe)]
    lines: dict[str, list[str]] = {}
    for norm in moving:
        forward, backward = probe.forward[norm.name], probe.backward[norm.name]
        meant = 1 - (1 - _momentum_of(norm)) ** (forward / (forward + backward))
        lines.setdefault(f"{{}}.momentum = {meant:.4g}", []).append(norm.name)
    return "\n".join(for_each(model, names, line) for line, names in lines.items())


def _momentum_of(norm: Norm) -> float:
    """As it is set; 0 where there is none."""
    return float(getattr(norm.layer, "momentum", None) or 0)


def _momentum_at_work(norm: Norm, probe: Probe) -> float:
    """What the runs forward and back make of it, for one run forward."""
    return float(1 - (1 - _momentum_of(norm)) ** (1 + probe.backward[norm.name] / probe.forward[norm.name]))


def _made_up_for(norm: Norm, probe: Probe) -> bool:
    return _is_round(_momentum_at_work(norm, probe)) and not _is_round(_momentum_of(norm))


def _is_round(value: float) -> bool:
    """Whether it is a number of one digit, to the three digits that a report prints."""
    return float(f"{value:.3g}") == float(f"{value:.1g}")


def accumulation(observation: Observation) -> Iterator[Finding]:
    """BN016: gradients accumulated over several passes, each of which batch norm normalises by itself.

    Seen in `train_step`: passes back whose gradients are added up for one step of the optimizer, and which meet the
    examples handed over in parts. Passes that each meet as many as were handed over (of SAM, of two losses, of a
    discriminator) are no parts of a larger batch. A warning if a part has fewer than 16 images, where batch norm's
    noise shows (see BN001); with more it is a note.
    """
    steps = observation.steps
    if steps is None or steps.parts < 2:
        return
    images, times = steps.images_at_once, steps.parts
    yield Finding(
        "BN016",
        "warning" if images < SHOWS else "note",
        next(iter(steps.calls)),
        f"{times} passes back for one step of the optimizer, of {images} images each.",
        f"They add up to one batch of {images * times} images, and batch norm sees {images} at a time.",
        'bnlab.deploy.convert(model, to="group_norm")  # or SyncBatchNorm; if it is pretrained, deploy.freeze(model)',
        tuple(list(steps.calls)[1:]),
    )


def _is_large(layer: nn.Module) -> bool:
    value = getattr(layer, "momentum", None)
    return isinstance(value, float | int) and value > LARGE and getattr(layer, "running_mean", None) is not None
