"""Rules about the mode, training or evaluation, in which the layers are."""

from collections.abc import Iterator

import torch

from bnlab.doctor.naming import for_each
from bnlab.doctor.observe import Norm, Observation
from bnlab.doctor.report import Finding, Severity


def wrong_mode(observation: Observation) -> Iterator[Finding]:
    """BN002: a layer in training mode in a model meant for inference, or a model in evaluation mode meant for training.

    In training mode a prediction depends on the other images of its batch, and every prediction moves the running
    statistics (Ioffe & Szegedy 2015, section 3.1, arXiv:1502.03167). An error, whatever the number of layers. A model
    that is in evaluation mode as a whole while it trains, as after a validation, learns on statistics that stand still:
    a warning, since the mode may yet change. Some layers in evaluation mode alone are BN007's. A layer that keeps no
    running statistics normalises by the batch in either mode: a warning where the model is meant for inference.
    """
    norms = observation.norms
    total = len(norms)
    if observation.purpose == "inference":
        wrong = [norm.name for norm in norms if norm.trains_by_batch]
        if wrong:
            yield Finding(
                "BN002",
                "error",
                wrong[0],
                f"{len(wrong)} of {total} batch-norm layers are in training mode in a model meant for inference.",
                "Each prediction depends on the images that happen to share its batch, and moves the running "
                "statistics; torch.no_grad() changes neither.",
                "model.eval()",
                tuple(wrong[1:]),
            )
        untracked = [norm.name for norm in norms if not norm.trains_by_batch and not norm.tracked]
        if untracked:
            yield Finding(
                "BN002",
                "warning",
                untracked[0],
                f"{len(untracked)} of {total} batch-norm layers keep no running statistics.",
                "They normalise by the batch in evaluation too, so a prediction depends on its batch-mates.",
                "build the layer with track_running_stats=True, then bnlab.deploy.recalibrate(model, loader)",
                tuple(untracked[1:]),
            )
    elif observation.is_in_evaluation:
        yield Finding(
            "BN002",
            "warning",
            "",
            f"The model and all its {total} batch-norm layers are in evaluation mode, and it is to be trained.",
            "Layers normalise by running statistics that no longer follow the weights; dropout is off, too. "
            "It happens when a validation calls eval() and nobody calls train() after it.",
            "model.train()",
        )


def half_frozen(observation: Observation) -> Iterator[Finding]:
    """BN007: frozen in one respect and not in the other.

    With `requires_grad=False` in training mode, only the affine part stands still: the running statistics go on moving,
    and the layer normalises by the batch. A warning; so is a scale and shift that asks for gradients and that the
    optimizer does not hold, as where a layer was replaced after the optimizer was made. A teacher whose weights follow
    by averaging, which the training step shows, is not frozen. In evaluation mode with a
    trainable scale and shift, while the rest trains, the statistics stand still: a common recipe, and a note, since it
    should be said.
    """
    if observation.purpose != "training" or observation.is_in_evaluation:
        return
    averaged = observation.steps.moved if observation.steps else ()
    frozen = [norm for norm in observation.norms if norm.tracked and norm.affine and not _asks(norm)]
    trainable = [norm for norm in observation.norms if norm.tracked and _asks(norm)]
    total = len(observation.norms)
    yield from _half(
        observation,
        [norm for norm in frozen if norm.trains_by_batch and norm.name not in averaged],
        f"of {total} batch-norm layers in training mode have a frozen scale and shift.",
        "Every batch still moves their running statistics, and they normalise by the batch.",
        "{}.eval()  # after every model.train()",
        severity="warning",
    )
    yield from _half(
        observation,
        [norm for norm in trainable if norm.trains_by_batch and not _is_held(norm, observation.optimizer)],
        f"of {total} batch-norm layers have a scale and shift that the optimizer does not hold.",
        "They ask for gradients and never train: the layers are younger than the optimizer, or were forgotten.",
        "optimizer.add_param_group({{'params': {}.parameters()}})",
        severity="warning",
    )
    yield from _half(
        observation,
        [norm for norm in trainable if not norm.layer.training],
        f"of {total} batch-norm layers are in evaluation mode, and their scale and shift train.",
        "Their statistics stand still: fine if it is meant so, and model.train() would undo it.",
        "bnlab.deploy.freeze({0})  # or {0}.train()",
        severity="note",
    )


def _half(
    observation: Observation, norms: list[Norm], evidence: str, why: str, fix: str, *, severity: Severity
) -> Iterator[Finding]:
    if norms:
        first, *also = names = tuple(norm.name for norm in norms)
        fix = for_each(observation.model, names, fix)
        yield Finding("BN007", severity, first, f"{len(norms)} {evidence}", why, fix, tuple(also))


def _asks(norm: Norm) -> bool:
    return any(parameter.requires_grad for parameter in norm.affine)


def _is_held(norm: Norm, optimizer: torch.optim.Optimizer | None) -> bool:
    held = {id(p) for group in (optimizer.param_groups if optimizer else ()) for p in group["params"]}
    return optimizer is None or any(id(parameter) in held for parameter in norm.affine)
