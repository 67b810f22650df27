"""Rules about what the numbers of a layer can hold: sixteen bits, and what is no number at all."""

from collections.abc import Iterator

import torch
from torch import Tensor

from bnlab.doctor.naming import for_each
from bnlab.doctor.observe import Norm, Observation
from bnlab.doctor.report import Finding, Severity

HALF = {torch.float16, torch.bfloat16}


def half_precision(observation: Observation) -> Iterator[Finding]:
    """BN011: running statistics, scale or shift in 16 bits.

    A running average in bfloat16 stands still once a step is below 1/512 of it (1/256 just above a power of two), and
    float16 ends at 65,504; torch's own mixed precision therefore keeps batch norm in float32. Training: an error for
    statistics, a warning for parameters. Inference: a note, or a warning where a float16 variance is 0 or infinite.
    """
    cases: dict[Severity, list[tuple[Norm, str]]] = {}
    for norm in observation.norms:
        tensors = {name: getattr(norm.layer, name, None) for name in ("running_mean", "running_var", "weight", "bias")}
        half = {name: t.dtype for name, t in tensors.items() if isinstance(t, Tensor) and t.dtype in HALF}
        if half:
            statistics = "running_var" in half
            lost = statistics and not bool(((norm.layer.running_var > 0) & norm.layer.running_var.isfinite()).all())
            severity: Severity = "note"
            if observation.purpose == "training":
                severity = "error" if statistics else "warning"
            elif lost:
                severity = "warning"
            kinds = ", ".join(sorted({str(dtype).removeprefix("torch.") for dtype in half.values()}))
            cases.setdefault(severity, []).append((norm, f"{', '.join(half)} in {kinds}"))
    for severity, found in cases.items():
        norm, what = found[0]
        names = [one.name for one, _ in found]
        yield Finding(
            "BN011",
            severity,
            norm.name,
            f"{len(found)} of {len(observation.norms)} batch-norm layers hold {what}.",
            "bfloat16 keeps 2 to 3 digits, so a running average stops short; float16 overflows at 65,504.",
            for_each(observation.model, names, "{}.float()  # and torch.autocast for the rest"),
            tuple(names[1:]),
        )


def not_finite(observation: Observation) -> Iterator[Finding]:
    """BN017: NaN, infinite or negative running statistics. An error: whatever passes in evaluation is NaN or 0."""
    cases = []
    for norm in observation.norms:
        if not norm.tracked:
            continue
        mean, var = norm.layer.running_mean, norm.layer.running_var
        bad = ~mean.isfinite() | ~var.isfinite() | (var < 0)
        if bad.any():
            channel = int(bad.flatten().nonzero()[0])
            value = f"mean {mean.flatten()[channel].item():.3g}, variance {var.flatten()[channel].item():.3g}"
            cases.append((norm, f"{int(bad.sum())} of {bad.numel()} channels, first {channel}: {value}."))
    if cases:
        names, mended = [norm.name for norm, _ in cases], "{}.reset_running_stats()"
        yield Finding(
            "BN017",
            "error",
            names[0],
            f"Running statistics are not finite or negative in {cases[0][1]}",
            "Evaluation gives NaN or nothing; one batch with a NaN or an overflow is enough, and averaging keeps it.",
            for_each(observation.model, names, f"{mended}  # then bnlab.deploy.recalibrate(model, loader)"),
            tuple(names[1:]),
        )
