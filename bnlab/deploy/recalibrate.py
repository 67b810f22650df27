"""Running statistics replaced by those of a whole data set."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnlab.deploy.batches import device_of, feed, to_device
from bnlab.deploy.eager import eagerly
from bnlab.deploy.untouched import buffers_kept, check_module
from bnlab.layers.batch_norm import BatchNorm
from bnlab.layers.functional import batch_statistics
from bnlab.layers.recurrent import SequenceBatchNorm1d
from bnlab.reference.variance import Moments, merge


def recalibrate(model: nn.Module, loader: Iterable[Any]) -> None:
    """Give every batch-norm layer the statistics of all data, by one pass ("precise BN", Wu & Johnson 2021).

    The idea is in arXiv:2105.07576: the running statistics that training leaves are an average that is biased towards
    its last batches, made by weights that have moved since; here one fixed set of weights meets all the data. During
    the pass each batch-norm layer normalises by the batch, as it did in training, and everything else (dropout, say)
    is as in evaluation. So the batches should be as large as in training: what a layer behind another one sees
    depends on them. The moments of each batch are taken in float64 and merged as those of one set (Chan, Golub &
    LeVeque 1983): a short last batch weighs by its size, and the spread between the batches' means is part of the
    variance, which is stored unbiased. NaN passes through.

    Nothing else changes: parameters, their gradients, the mode of each module and all other buffers are as before, also
    those that the forward pass replaces by new tensors. If anything raises, nothing has changed at all. A layer that no
    batch reaches keeps what it had; one that is used several times in a pass pools all that it was given.
    `num_batches_tracked` becomes the number of batches pooled, so that a layer with `momentum=None` goes on averaging.
    Frozen layers keep their constants. In a distributed run each process pools its own batches; synchronised layers
    talk to each other in the pass, so every process must bring as many. What `torch.compile` compiled, the model or a
    part of it, runs as it is written, since a compiled pass may not hear what comes to the layers.

    Args:
        model: holds batch-norm layers with running statistics, those of `torch.nn` or of `bnlab.layers`.
        loader: yields batches: the input itself, a tuple or list that begins with it, such as `(x, y)`, or a dict of
            arguments of `forward`. They are copied to the device of the model's first parameter or buffer. A generator
            will do.

    Raises:
        ValueError: `model` is no module or `loader` no iterable; no layer keeps running statistics; one is a
            `SequenceBatchNorm1d`, of whose input only its caller knows what is padding; a batch begins with something
            that holds no tensor; a batch brings a layer a single value per channel, which has no variance; or no layer
            was reached, as by an empty loader.

    Example:
        >>> layer = nn.BatchNorm1d(1)
        >>> recalibrate(layer, [torch.tensor([[1.0], [3.0]]), torch.tensor([[6.0], [7.0], [8.0]])])
        >>> layer.running_mean, layer.running_var
        (tensor([5.]), tensor([8.5000]))
    """
    check_module(model)
    if not isinstance(loader, Iterable):
        raise ValueError(f"expected loader to be an iterable of batches, got {type(loader).__name__}")  # noqa: TRY004 - ValueError is for every bad argument
    pools = _pools(model)
    modes = [(module, module.training) for module in model.modules()]
    hooks = [layer.register_forward_pre_hook(pool.add, with_kwargs=True) for layer, pool in pools.items()]
    try:
        with buffers_kept(model), eagerly():
            for module, _ in modes:
                module.training = module in pools  # not by train(), which some models override to keep layers frozen
            for batch in loader:
                with torch.no_grad():  # which the loader itself may not want
                    feed(model, to_device(batch, device_of(model)))
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode
    if not any(pool.batches for pool in pools.values()):
        raise ValueError("expected a loader whose batches reach a batch-norm layer, got none that does")
    for layer, pool in pools.items():
        if pool.batches:
            pool.store(layer)


@dataclass
class _Pool:
    """The moments of all that one layer was given."""

    name: str
    moments: Moments = field(default_factory=lambda: Moments(0, 0.0, 0.0))
    batches: int = 0

    def add(self, layer: _BatchNorm | BatchNorm, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        """The forward pre-hook of the layer."""
        (x,) = (*args, *kwargs.values())
        count = x.numel() // layer.num_features
        if count == 1:
            raise ValueError(
                f"expected batches with more than one value per channel, got {tuple(x.shape)} at layer {self.name!r}; "
                "leave out a last batch of one example (drop_last=True)"
            )
        if count > 0:
            mean, var = batch_statistics((x.cpu() if x.is_mps else x).double())  # MPS has no float64
            self.moments = merge(self.moments, Moments(count, mean, var * count))
            self.batches += 1

    def store(self, layer: _BatchNorm | BatchNorm) -> None:
        """Write the mean, the unbiased variance and the number of batches into the layer's buffers."""
        count, mean, m2 = self.moments
        batches = torch.tensor(self.batches)
        pooled = (
            (layer.running_mean, mean),
            (layer.running_var, m2 / (count - 1)),
            (layer.num_batches_tracked, batches),
        )
        for buffer, value in pooled:
            if buffer is not None:
                buffer.copy_(value)


def _pools(model: nn.Module) -> dict[_BatchNorm | BatchNorm, _Pool]:
    """An empty pool for each layer that keeps running statistics."""
    pools = {
        layer: _Pool(name)
        for name, layer in model.named_modules()
        if isinstance(layer, _BatchNorm | BatchNorm) and layer.running_mean is not None
    }
    if not pools:
        raise ValueError("expected a model with batch-norm layers that keep running statistics, got none")
    for layer, pool in pools.items():
        if isinstance(layer, SequenceBatchNorm1d):
            raise ValueError(f"expected layers whose values are all data, got a SequenceBatchNorm1d, {pool.name!r}")  # noqa: TRY004 - as below
    return pools
