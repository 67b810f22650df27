"""Batch norm held still while the rest of a network trains on, and let go again."""

from typing import Any

from torch import nn

from bnlab.deploy.survey import batch_norm_layers
from bnlab.deploy.untouched import check_module
from bnlab.layers.frozen import FrozenBatchNorm


class KeptInEvaluation:
    """Stands in front of a layer's `train`: the layer stays in evaluation, and the mode it was asked for is noted.

    An object, not a closure, so that a copy of the layer gets one of its own, and pickle can store it.
    """

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer
        self.asked = layer.training

    def __call__(self, mode: bool = True) -> nn.Module:  # noqa: FBT001, FBT002 - nn.Module.train's signature
        """Do nothing but remember `mode`."""
        self.asked = mode
        return self.layer


def freeze(model: nn.Module, *, statistics: bool = True, affine: bool = True) -> None:
    """Hold batch norm layers still while a network is fine-tuned, in place; `unfreeze` takes it back.

    Two things move a batch norm layer: batches move its running statistics, and the optimizer its affine part.
    `requires_grad = False` stops the second alone, `eval()` the first, and only until the next `model.train()`.

    - `statistics`: the layer normalises by its running statistics, as in evaluation, and does not move them, also
      after `model.train()`.
    - `affine`: `weight` and `bias` require no gradient. The one that they have is dropped, since an optimizer with
      momentum or weight decay moves all that has a gradient, even one of 0.

    Parameters, buffers and checkpoints stay the same, so optimizers made before and after go on working. Freezing what
    is frozen changes nothing. Layers from `convert(model, to="frozen")` are left: there all four are constants for
    good, which suits a network that nobody will train again.

    Args:
        model: any module with batch norm layers, torch's or ours.
        statistics: whether the running statistics are to stay.
        affine: whether `weight` and `bias` are to stay.

    Raises:
        ValueError: there is nothing to freeze, or statistics are asked for where a layer keeps none. Nothing is
            changed then.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        >>> freeze(model, affine=False)
        >>> model.train()[1].training, model[1].weight.requires_grad
        (False, True)
        >>> unfreeze(model)
        >>> model[1].training
        True
    """
    layers = _layers(model, statistics=statistics, affine=affine)
    for name, layer in layers.items():
        if statistics and layer.running_mean is None:
            raise ValueError(f"expected layers with running statistics to freeze, got none in layer {name!r}")
        if statistics and not isinstance(vars(layer).get("train", KeptInEvaluation(layer)), KeptInEvaluation):
            raise ValueError(f"expected layers without a train method of their own, got one in layer {name!r}")
    for layer in layers.values():
        if statistics and not isinstance(vars(layer).get("train"), KeptInEvaluation):
            keeper = KeptInEvaluation(layer)
            layer.eval()
            layer.train = keeper
        if affine and "frozen_affine" not in vars(layer):
            layer.frozen_affine = {name: parameter.requires_grad for name, parameter in layer.named_parameters()}
            for parameter in layer.parameters():
                parameter.requires_grad_(requires_grad=False)
                parameter.grad = None


def unfreeze(model: nn.Module, *, statistics: bool = True, affine: bool = True) -> None:
    """Take back what `freeze` did, in place: each layer as it would be had it never been frozen.

    Its mode is the one that `model.train()` or `model.eval()` asked for last, and parameters that required no gradient
    before they were frozen require none now. What was not frozen stays as it is.

    Args:
        model: the module, or a part of it.
        statistics: whether the running statistics are to move again.
        affine: whether `weight` and `bias` are to move again.

    Raises:
        ValueError: there is no batch norm layer, or neither is asked for.
    """
    for layer in _layers(model, statistics=statistics, affine=affine).values():
        if statistics and isinstance(vars(layer).get("train"), KeptInEvaluation):
            keeper = vars(layer).pop("train")
            layer.train(keeper.asked)
        if affine:
            for name, required in vars(layer).pop("frozen_affine", {}).items():
                layer.get_parameter(name).requires_grad_(required)


def _layers(model: nn.Module, *, statistics: bool, affine: bool) -> dict[str, Any]:
    check_module(model)
    if not statistics and not affine:
        raise ValueError("expected statistics or affine to be True, got False for both")
    found = batch_norm_layers(model).items()
    layers = {places[0].name: layer for layer, places in found if not isinstance(layer, FrozenBatchNorm)}
    if not layers:
        raise ValueError("expected a model with batch norm layers that are not constants already, got none")
    return layers
