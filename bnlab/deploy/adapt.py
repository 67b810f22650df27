"""Other statistics for a while: a trained network on data that are not those it was trained on."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from bnlab.deploy.recalibrate import recalibrate
from bnlab.deploy.survey import BUFFERS, batch_norm_layers
from bnlab.deploy.untouched import check_module
from bnlab.layers.frozen import FrozenBatchNorm


@contextmanager
def adapt(model: nn.Module, loader: Iterable[Any]) -> Iterator[None]:
    """Within the context, batch norm has the statistics of other data: AdaBN (Li et al. 2016, arXiv:1603.04779).

    On entry `recalibrate(model, loader)` replaces the running statistics by those of the target domain, for which no
    labels are needed; on exit the old ones return bit for bit, also if something raised. To adapt for good, call
    `recalibrate` itself. The model is changed in place: in a service that answers meanwhile, adapt a copy and swap it
    in.

    Args:
        model: holds batch-norm layers with running statistics.
        loader: yields batches of the target domain, as `recalibrate` takes them.

    Raises:
        ValueError: what `recalibrate` refuses. Nothing is changed then.

    Example:
        >>> import torch
        >>> model = nn.BatchNorm1d(1).eval()
        >>> with adapt(model, [torch.tensor([[1.0], [3.0]])]):
        ...     model.running_mean
        tensor([2.])
        >>> model.running_mean
        tensor([0.])
    """
    before = [
        (layer, {name: buffer.clone() for name, buffer in layer.named_buffers()}) for layer in _with_statistics(model)
    ]
    recalibrate(model, loader)
    try:
        yield
    finally:
        for layer, buffers in before:
            for name, buffer in buffers.items():
                layer.get_buffer(name).copy_(buffer)


@contextmanager
def prediction_time_statistics(model: nn.Module) -> Iterator[None]:
    """Within the context, each batch is normalised by its own statistics (Nado et al. 2020, arXiv:2006.10963).

    Everything else is as the mode says: call `model.eval()` first, and dropout is off. No running statistic is read or
    moved; the buffers are away, and so a checkpoint made within the context lacks them. On exit the model is bit for
    bit what it was, also if something raised. A prediction then depends on the batch that it comes in, so a batch
    should be large, and mixed as the target domain is: one class per batch, and the mean takes away what tells classes
    apart. Ghost batch norm and batch renorm are plain batch norm here; frozen layers keep their constants.
    The model is changed in place: in a service that answers meanwhile, adapt a copy and swap it in.

    Args:
        model: holds batch-norm layers with running statistics.

    Raises:
        ValueError: no layer of the model keeps running statistics.

    Example:
        >>> import torch
        >>> model = nn.BatchNorm1d(1).eval()
        >>> with prediction_time_statistics(model):
        ...     model(torch.tensor([[10.0], [30.0]])).detach().ravel().round(decimals=4)
        tensor([-1.,  1.])
        >>> model(torch.tensor([[10.0], [30.0]])).detach().ravel().round(decimals=2)
        tensor([10., 30.])
    """
    layers = _with_statistics(model)
    if not layers:
        raise ValueError("expected a model with batch norm layers that keep running statistics, got none")
    before = [(layer, layer.training, {name: getattr(layer, name) for name in BUFFERS}) for layer in layers]
    try:
        for layer in layers:
            layer.training = False  # with no statistics to read, evaluation takes the batch's, and counts no batches
            for name in BUFFERS:
                setattr(layer, name, None)
        yield
    finally:
        for layer, mode, buffers in before:
            layer.training = mode
            for name, buffer in buffers.items():
                setattr(layer, name, buffer)


def _with_statistics(model: nn.Module) -> list[nn.Module]:
    check_module(model)
    layers = (layer for layer in batch_norm_layers(model) if not isinstance(layer, FrozenBatchNorm))
    return [layer for layer in layers if layer.running_mean is not None]
