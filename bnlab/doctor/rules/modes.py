"""Rules about the mode, training or evaluation, in which the layers are."""

from collections.abc import Iterator

from bnlab.doctor.observe import Observation
from bnlab.doctor.report import Finding


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

    With `requires_grad=False` (or scale and shift in no group of the optimizer) in training mode, only the affine part
    stands still: the running statistics go on moving, and the layer normalises by the batch. A warning. In evaluation
    mode with a trainable scale and shift, while the rest trains, the statistics stand still: a common recipe, and a
    note, since it should be said.
    """
    if observation.purpose != "training" or observation.is_in_evaluation:
        return
    held = {
        id(p)
        for group in (observation.optimizer.param_groups if observation.optimizer else ())
        for p in group["params"]
    }
    moving, unsaid = [], []
    for norm in observation.norms:
        trainable = [p for p in norm.affine if p.requires_grad and (observation.optimizer is None or id(p) in held)]
        if norm.trains_by_batch and norm.tracked and norm.affine and not trainable:
            moving.append(norm.name)
        elif not norm.layer.training and norm.tracked and trainable:
            unsaid.append(norm.name)
    total = len(observation.norms)
    if moving:
        yield Finding(
            "BN007",
            "warning",
            moving[0],
            f"{len(moving)} of {total} batch-norm layers have a frozen scale and shift, and are in training mode.",
            "Every batch still moves their running statistics, and they normalise by the batch.",
            f"model.{moving[0]}.eval()  # after every model.train()",
            tuple(moving[1:]),
        )
    if unsaid:
        yield Finding(
            "BN007",
            "note",
            unsaid[0],
            f"{len(unsaid)} of {total} batch-norm layers are in evaluation mode, and their scale and shift train.",
            "Their statistics stand still: fine if it is meant so; model.train() would undo it.",
            f"bnlab.deploy.freeze(model.{unsaid[0]})  # or model.{unsaid[0]}.train()",
            tuple(unsaid[1:]),
        )
