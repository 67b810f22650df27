"""Rules about what a batch brings to a layer: how many values, and how alike the batches are."""

from collections.abc import Iterator

import torch
from scipy import stats
from torch import Tensor

from bnlab.deploy.per_image import PerImage
from bnlab.deploy.survey import is_batch_norm
from bnlab.doctor.naming import FEW, expression, listed
from bnlab.doctor.observe import Observation
from bnlab.doctor.report import Finding, Severity

# In the study small_batches 2 values a channel leave most digits wrong, and with 8 the perceptron is level with others.
# What lies between, and the note below 16, are rules of thumb.
WRECKS, HURTS, SHOWS = 4, 8, 16
RATE = 0.003  # false alarms of one examination, where nothing but chance is at work
TWICE = 2.0  # the variance of the batches' means, in that which chance gives
FEWEST_BATCHES = 3  # whose means have a spread
MUCH_PADDING = 0.1  # of the steps: it moves a mean by that share of its distance from 0
FEW_IMAGES = 4  # ResNet-50 loses 11 points at 2 images a worker (Wu & He 2018, arXiv:1803.08494, table 2)


def too_few_values(observation: Observation) -> Iterator[Finding]:
    """BN001: so few values per channel in training that the batch's statistics are mostly chance.

    A batch brings `images * positions` values to a channel, but positions of one image are alike: they count as
    the variance of a value over the variance of an image's mean, measured over the loader (`independent_values`), and
    never more than there are. With `m` independent values the batch mean errs by `1 / sqrt(m)` standard deviations.
    Below 4 it is an error, below 8 or with fewer than 4 images a warning, below 16 a note; the limits are explained
    beside the constants. A short last batch with one value per channel stops training: an error. Layers that do not
    normalise by the batch are left alone; a ghost batch counts as the batch.
    """
    if observation.purpose != "training" or not observation.sizes:
        return
    yield from _single_values(observation)
    usual = observation.usual_batch
    found: dict[Severity, list[tuple[float, str, str]]] = {}
    for norm in observation.norms:
        seen = observation.seen.get(norm.name)
        if seen is None or not norm.trains_by_batch:
            continue
        images = min(getattr(norm.layer, "ghost_size", usual), usual)
        counts = seen.independent_values.median().item() if seen.images > FEW_IMAGES else seen.positions
        worth = images * counts
        severity = _severity(images, worth)
        if severity:
            text = (
                f"A batch of {images} image{'s' * (images > 1)} brings {images * seen.positions} values per channel, "
                f"worth {worth:.0f} independent ones, so its mean errs by {worth**-0.5:.2f} standard deviations."
            )
            found.setdefault(severity, []).append((worth, norm.name, text))
    for severity, cases in found.items():
        _, worst, text = min(cases)
        names = [name for _, name, _ in cases]
        yield Finding(
            "BN001",
            severity,
            worst,
            text,
            "Training normalises by that noise, and evaluation by other numbers than training saw.",
            _to_group_norm(observation, names) + "  # or a larger batch; if pretrained, deploy.freeze(model)",
            tuple(name for name in names if name != worst),
        )


def _to_group_norm(observation: Observation, names: list[str]) -> str:
    """Code that turns these layers into group norms, and no others."""
    others = [norm.name for norm in observation.norms if norm.name not in names and is_batch_norm(norm.layer)]
    if not others:
        return 'bnlab.deploy.convert(model, to="group_norm")'
    places = [expression(observation.model, name) for name in names]
    once = all(len(norm.names) == 1 for norm in observation.norms if norm.name in names)
    if len(names) <= min(FEW, len(others)) and once and not any(place.endswith(")") for place in places):
        return "\n".join(f'{place} = bnlab.deploy.convert({place}, to="group_norm").model' for place in places)
    return f'bnlab.deploy.convert(model, to="group_norm", skip={others})'


def _single_values(observation: Observation) -> Iterator[Finding]:
    """A batch that is shorter than the others, and brings some layers one value."""
    shortest, seen = min(observation.sizes), observation.seen
    alone = [
        norm.name
        for norm in observation.norms
        if norm.trains_by_batch and norm.name in seen and shortest * seen[norm.name].positions == 1
    ]
    if alone and shortest < observation.usual_batch:
        yield Finding(
            "BN001",
            "error",
            alone[0],
            f"The shortest of {len(observation.sizes)} batches brings 1 value per channel.",
            "It has no variance, and torch raises an error in the middle of the training.",
            "loader = DataLoader(dataset, batch_size, drop_last=True)",
            tuple(alone[1:]),
        )


def _severity(images: int, worth: float) -> Severity | None:
    if worth < WRECKS:
        return "error"
    if worth < HURTS or images < FEW_IMAGES:
        return "warning"
    return "note" if worth < SHOWS else None


def small_batches_apart(observation: Observation) -> Iterator[Finding]:
    """BN012: training in several processes, each with fewer than 16 images, and no synchronised batch norm.

    DistributedDataParallel averages gradients and leaves each process its own batch statistics. From 16 images down the
    error of ResNet-50 grows (Wu & He 2018, arXiv:1803.08494, figure 1: 23.7% at 16 images a worker, 24.8% at 8, 27.3%
    at 4).
    """
    if observation.purpose != "training" or observation.processes < 2 or not observation.sizes:
        return
    images = observation.usual_batch
    alone = [norm.name for norm in observation.norms if norm.trains_by_batch and not norm.is_synchronised]
    if alone and images < SHOWS:
        yield Finding(
            "BN012",
            "warning",
            alone[0],
            f"{observation.processes} processes with {images} images each; {len(alone)} of {len(observation.norms)} "
            "batch-norm layers normalise by those of one process.",
            "The gradient is that of all images, and the statistics are those of a few.",
            'model = bnlab.deploy.convert(model, to="sync_batch_norm").model  # before DistributedDataParallel',
            tuple(alone[1:]),
        )


def batches_unlike_each_other(observation: Observation) -> Iterator[Finding]:
    """BN013: batches whose means spread far more than chance allows, as those of one class each, or of sorted data.

    An analysis of variance over the images' means at each layer that normalises by the batch: the spread between
    batches over the spread within them, F-distributed if the images of a batch are drawn like those of any other. The
    variance of the means of whole batches may be twice chance's: so it is where a batch holds two views of each image
    (SimCLR, arXiv:2002.05709), which may be as alike as copies. It alarms if a channel exceeds that at a rate of .3%
    for all channels of all layers together, and if moreover the layer's channels do on average. A warning: training
    normalises what tells the batches apart away, and evaluation does not. Measured on 3,000 simulated layers of 16
    channels that met 40 batches of 32: .1% with normal values, .1% with exponential ones; and on 500 with each value
    twice in a batch, 0 to 1.8% for 5 to 40 batches of 8 to 64, where F alone alarms in up to 97%.
    """
    if observation.purpose != "training":
        return
    cases = []
    watched = [norm.name for norm in observation.norms if norm.trains_by_batch and norm.name in observation.seen]
    for name in watched:
        seen = observation.seen[name]
        images = seen.images / seen.batches
        ratio, p = _between_over_within(seen, 1 + (TWICE - 1) * images / max(observation.usual_batch - 2, 1))
        chance = RATE / len(watched) / max(len(p), 1)
        spread = 1 + (ratio.mean().item() - 1) / images * observation.usual_batch if len(ratio) else 0.0
        if len(p) and p.min().item() < chance and spread > TWICE:
            cases.append((spread, name, int((p < chance).sum()), len(p)))
    if cases:
        spread, worst, channels, total = max(cases)
        yield Finding(
            "BN013",
            "warning",
            worst,
            f"The means of {len(observation.sizes)} batches spread {spread:.1f} times as much as chance allows "
            f"(variance), beyond doubt in {channels} of {total} channels.",
            "Each batch is normalised by its own kind of images: training hides what evaluation will see.",
            "loader = DataLoader(dataset, batch_size, shuffle=True)",
            tuple(name for _, name, *_ in cases if name != worst),
        )


def padding(observation: Observation) -> Iterator[Finding]:
    """BN018: sequences whose padding enters the statistics (Laurent et al. 2015, section 3, arXiv:1510.01378).

    Seen where the batch holds lengths or a mask, and the layer's input stands still behind them. The statistics then
    depend on how long the other sequences of the batch are. A warning from a tenth of all steps on, else a note.
    """
    found = observation.probe.padded if observation.probe else {}
    found = {norm.name: found[norm.name] for norm in observation.norms if norm.name in found and norm.trains_by_batch}
    if found:
        worst = max(found, key=lambda name: found[name])
        names = [worst, *(name for name in found if name != worst)]
        places = listed(observation.model, names)
        yield Finding(
            "BN018",
            "warning" if found[worst] > MUCH_PADDING else "note",
            worst,
            f"{found[worst]:.0%} of the steps that it averages over are padding.",
            "Mean and variance depend on how long the other sequences of the batch are, in training alone.",
            f"bnlab.layers.SequenceBatchNorm1d in place of {places}, called with lengths or mask",
            tuple(names[1:]),
        )


def _between_over_within(seen: PerImage, allowed: float) -> tuple[Tensor, Tensor]:
    """F of each channel and how likely chance gives as much; both empty if there are too few batches or images.

    Args:
        seen: what the layer met.
        allowed: the F that may be behind it: 1 + n / (N - 2) for n images from each batch of N / 2 pairs of copies.
    """
    batches = [seen.means[seen.batch == batch] for batch in set(seen.batch.tolist())]
    groups, images = len(batches), seen.images
    if groups < FEWEST_BATCHES or images <= groups:
        return torch.empty(0), torch.empty(0)
    between = torch.stack([len(part) * (part.mean(0) - seen.mean).square() for part in batches]).sum(0) / (groups - 1)
    within = torch.stack([(part - part.mean(0)).square().sum(0) for part in batches]).sum(0) / (images - groups)
    varies = within > 0
    ratio = between[varies] / within[varies]
    return ratio, torch.from_numpy(stats.f.sf(ratio.numpy() / allowed, groups - 1, images - groups))
