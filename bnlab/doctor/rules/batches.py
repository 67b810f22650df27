"""Rules about what a batch brings to a layer: how many values, and how alike the batches are."""

from collections.abc import Iterator

from bnlab.doctor.observe import Observation
from bnlab.doctor.report import Finding, Severity

# Digits, error of a perceptron at 2, 4, 8 and 32 values per channel: 53%, 6.3%, 3.8%, 3.0%. So 2 or 3 wreck training,
# 4 to 7 double the error, and from 16 on nothing was lost.
WRECKS, HURTS, SHOWS = 4, 8, 16
FEW_IMAGES = 4  # ResNet-50 loses 4 points at 4 images a worker, and 11 at 2 (Wu & He 2018, arXiv:1803.08494, table 2)


def too_few_values(observation: Observation) -> Iterator[Finding]:
    """BN001: so few values per channel in training that the batch's statistics are mostly chance.

    A batch brings `images * positions` values to a channel, but positions of one image are alike: they count as
    the variance of a value over the variance of an image's mean, measured over the loader (`independent_values`), and
    never more than there are. With `m` independent values the batch mean errs by `1 / sqrt(m)` standard deviations.
    Below 4 it is an error, below 8 or with fewer than 4 images a warning, below 16 a note; the numbers are measured
    (see the constants). A short last batch with one value per channel stops training: an error. Layers that do not
    normalise by the batch are left alone; a ghost batch counts as the batch.
    """
    if observation.purpose != "training" or not observation.sizes:
        return
    usual = sorted(observation.sizes)[len(observation.sizes) // 2]
    found: dict[Severity, list[tuple[float, str, str]]] = {}
    for norm in observation.norms:
        seen = observation.seen.get(norm.name)
        if seen is None or not norm.trains_by_batch:
            continue
        images = min(getattr(norm.layer, "ghost_size", usual), usual)
        counts = seen.independent_values.median().item() if seen.images > FEW_IMAGES else seen.positions
        worth = images * counts
        severity = _severity(images, worth, images * seen.positions)
        if severity:
            text = (
                f"A batch of {images} image{'s' * (images > 1)} brings {images * seen.positions} values per channel, "
                f"worth {worth:.0f} independent ones, so its mean errs by {worth**-0.5:.2f} standard deviations."
            )
            found.setdefault(severity, []).append((worth, norm.name, text))
    for severity, cases in found.items():
        _, worst, text = min(cases)
        yield Finding(
            "BN001",
            severity,
            worst,
            text,
            "Training normalises by that noise, and evaluation by other numbers than training saw.",
            'bnlab.deploy.convert(model, to="group_norm")  # or a larger batch in the loader',
            tuple(name for _, name, _ in cases if name != worst),
        )


def _severity(images: int, worth: float, values: int) -> Severity | None:
    if worth < WRECKS or values == 1:
        return "error"
    if worth < HURTS or images < FEW_IMAGES:
        return "warning"
    return "note" if worth < SHOWS else None
