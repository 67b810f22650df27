"""Rules about where a batch norm layer stands: behind what, before what, and in how many places."""

from collections.abc import Iterator

import torch

from bnlab.deploy.per_image import PerImage, beyond_chance
from bnlab.doctor.naming import for_each
from bnlab.doctor.observe import Norm, Observation
from bnlab.doctor.report import Finding, Severity
from bnlab.doctor.rules.statistics import FAR, RATE

NIL = 1e-4  # of the magnitudes that the gradient sums: float32 leaves about 1e-6, a bias that matters 0.1
INFLATED, GREATLY_INFLATED = 1.1, 1.25  # training's variance over evaluation's
FEWEST_IMAGES = 8  # from which a spread over images is taken


def redundant_bias(observation: Observation) -> Iterator[Finding]:
    """BN003: a bias whose output goes straight into a batch norm layer in training mode, which subtracts it again.

    (Ioffe & Szegedy 2015, section 3.2, arXiv:1502.03167.) Shown by a pass back: the gradient of such a bias is a sum
    over the batch that batch norm makes 0, here less than 1e-4 of the magnitudes summed. Where the layer's output also
    goes elsewhere, or the batch norm layer is frozen, the gradient is not nil and the rule is silent. A note: the bias
    costs a little memory and does no harm, but with weight decay or in a fold one must know of it. Without a loader
    `torch.fx` tells what stands before what, and the gradient is not shown.
    """
    if observation.purpose != "training":
        return
    training = {norm.name for norm in observation.norms if norm.trains_by_batch or observation.is_in_evaluation}
    if observation.probe is None:
        found = [into for norm, into in observation.feeds.items() if norm in training and _has_bias(observation, into)]
        shown = ""
    else:
        cancelled = observation.probe.cancelled
        feeds = [into for norm, into in observation.probe.feeds.items() if norm in training]
        found = [into for into in dict.fromkeys(feeds) if cancelled.get(into, 1) < NIL]
        worst = max((cancelled[name] for name in found), default=0)
        shown = f" In a training pass their gradients are at most {worst:.0e} of the terms that they sum."
    if found:
        yield Finding(
            "BN003",
            "note",
            found[0],
            f"{len(found)} layer{'s have' if len(found) > 1 else ' has'} a bias straight before a batch norm.{shown}",
            "Batch norm subtracts the mean, and the bias with it; its own shift does the bias's work.",
            for_each(observation.model, found, "{}.bias = None  # or build it with bias=False"),
            tuple(found[1:]),
        )


def dropout_before(observation: Observation) -> Iterator[Finding]:
    """BN008: a layer whose input varies more in training than in evaluation, as behind dropout (Li et al. 2018).

    arXiv:1801.05134. The same images run twice with batch norm in training mode, with dropout and the like on and off;
    compared are the images' mean squares in units of the quiet variance, image by image, which takes the images' own
    differences out. The excess counts if it is beyond what chance gives at a rate of .3% for all layers together, by
    Student's t over images. A note from 10% on, a warning from 25%: evaluation then divides by a standard deviation
    that is 12% too large. Fewer than 8 images are not compared.
    """
    probe = observation.probe
    if probe is None:
        return
    cases = []
    for name, noisy in probe.noisy.items():
        excess = noisy - probe.quiet[name] if len(noisy) == len(probe.quiet[name]) else noisy[:0]
        if len(excess) < FEWEST_IMAGES or not excess.isfinite().all() or not excess.any():
            continue
        error = excess.std().item() / len(excess) ** 0.5
        if excess.mean().item() > beyond_chance(len(excess), len(probe.noisy), RATE) * error:
            cases.append((1 + excess.mean().item(), name))
    cases = [case for case in cases if case[0] > INFLATED]
    if cases:
        ratio, worst = max(cases)
        what = probe.random.get(worst)
        behind = f", behind {what} (dropout)" if what else ""
        yield Finding(
            "BN008",
            "warning" if ratio > GREATLY_INFLATED else "note",
            worst,
            f"The variance of its input{behind} is {ratio:.2f} times as large in training as in evaluation, "
            f"over {len(probe.noisy[worst])} images.",
            "The running variance is that of training, so in evaluation the layer's output is too small.",
            f"move {what or 'what is random in training'} behind the last batch norm",
            tuple(name for _, name in cases if name != worst),
        )


def shared(observation: Observation) -> Iterator[Finding]:
    """BN010: one layer used several times, in several places or in one, whose running statistics serve all uses.

    Where the loader shows that the calls meet different inputs, by more than half a standard deviation in a channel's
    mean (or in the logarithm of its spread) and beyond chance, it is a warning: running statistics are then of a
    mixture that never occurs, and evaluation differs from training (two domains: arXiv:1911.09665). Else, as in twin
    branches that meet the same data, a note.
    """
    found: dict[Severity, list[tuple[float, Norm]]] = {}
    for norm in observation.norms:
        calls = observation.calls.get(norm.name, [])
        if len(norm.names) > 1 or len(calls) > 1:
            apart = _apart(calls, norm.layer.eps)
            found.setdefault("warning" if apart else "note", []).append((apart, norm))
    for severity, cases in found.items():
        apart, worst = max(cases, key=lambda case: case[0])
        others = [name for _, norm in cases if norm is not worst for name in norm.names]
        yield Finding(
            "BN010",
            severity,
            worst.name,
            _where(worst, len(observation.calls.get(worst.name, [])), apart),
            "Each call is normalised by its own batch in training, and by one pooled average in evaluation.",
            "give each place a layer of its own"
            if len(worst.names) > 1
            else "run the calls as one batch (torch.cat); or a norm for each kind, if the kind is known in evaluation",
            (*worst.names[1:], *others),
        )


def _where(norm: Norm, calls: int, apart: float) -> str:
    places = f"It stands in {len(norm.names)} places" if len(norm.names) > 1 else "It stands in one place"
    runs = f" and runs {calls} times in a pass" if calls else ""
    far = f": a channel's mean or spread differs by {apart:.1f} standard deviations between two calls" if apart else ""
    return f"{places}{runs}{far}."


def foldable(observation: Observation) -> Iterator[Finding]:
    """BN015: layers in a model meant for inference that the layer before them could take in (arXiv:1712.05877).

    A note, since nothing is wrong: it is time left on the table. `torch.fx` tells which they are.
    """
    found = list(observation.feeds) if observation.purpose == "inference" else []
    found = [name for name in found if not any(norm.trains_by_batch for norm in observation.norms if norm.name == name)]
    if found:
        yield Finding(
            "BN015",
            "note",
            found[0],
            f"{len(found)} of {len(observation.norms)} batch-norm layers can be folded into the layer before them.",
            "In evaluation each is a scale and a shift per channel, which that layer can do at no cost.",
            "model = bnlab.deploy.fold(model, example).model",
            tuple(found[1:]),
        )


def _has_bias(observation: Observation, name: str) -> bool:
    return getattr(observation.model.get_submodule(name), "bias", None) is not None


def _apart(calls: list[PerImage], eps: float) -> float:
    """The largest distance in a channel between two calls, if it is far and beyond chance; else 0."""
    worst = 0.0
    for index, a in enumerate(calls):
        for b in calls[index + 1 :]:
            critical = beyond_chance(min(a.images, b.images), 2 * len(a.mean) * len(calls), RATE)
            std = ((a.var + b.var) / 2 + eps).sqrt()
            shift = (a.mean - b.mean).abs() / std
            widening = ((a.var + eps) / (b.var + eps)).log().abs() / 2
            beyond = shift > critical * (a.mean_error.square() + b.mean_error.square()).sqrt() / std
            wider = widening > critical * (a.log_var_error.square() + b.log_var_error.square()).sqrt() / 2
            both = torch.cat([shift[beyond & (shift > FAR)], widening[wider & (widening > FAR)]])
            worst = max([worst, *both.tolist()])
    return worst
