"""How far what a network meets has moved from what it was trained on, seen by its batch norm layers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bnlab.deploy.batches import batch_size, device_of, feed, to_device
from bnlab.deploy.per_image import PerImage, beyond_chance, distance, keeps_batch_statistics, watching
from bnlab.deploy.untouched import random_state_kept, working_copy

RATE = 0.003  # false alarms of one layer, where nothing but chance is at work
LEAST = 0.1  # standard deviations: less is no drift that matters, however many images show it


@dataclass(frozen=True)
class LayerDrift:
    """What one layer showed.

    Attributes:
        name: in `model.named_modules()`.
        distance: root mean square over channels of how far the mean moved, in stored standard deviations.
        widening: the geometric mean over channels of the standard deviation met over the stored one.
        channels: how many channels moved by more than chance and more than .1.
        total: how many there are.
        worst: the channel that moved furthest, in standard errors.
        errors: by how many.
        limit: standard errors from which on it is an alarm.
    """

    name: str
    distance: float
    widening: float
    channels: int
    total: int
    worst: int
    errors: float
    limit: float

    @property
    def alarm(self) -> bool:
        """Whether a channel moved by more than chance."""
        return self.channels > 0


@dataclass(frozen=True, repr=False)
class Drift:
    """What all layers showed, in the order in which they run; lines in a terminal, a table in a notebook."""

    layers: tuple[LayerDrift, ...]
    images: int

    @property
    def alarm(self) -> bool:
        """Whether any layer alarms."""
        return any(layer.alarm for layer in self.layers)

    def __repr__(self) -> str:
        return "\n".join((self._summary(), *(f"  {one.name}: {_said(one)}" for one in self.layers)))

    def _repr_markdown_(self) -> str:
        rows = [f"| `{one.name}` | {_said(one)} |" for one in self.layers]
        return "\n".join((self._summary(), "", "| layer | what it meets |", "|---|---|", *rows))

    def _summary(self) -> str:
        alarms = sum(layer.alarm for layer in self.layers)
        return f"{alarms} of {len(self.layers)} layers alarm over {self.images} images"


def _said(one: LayerDrift) -> str:
    off = f"mean off by {one.distance:.2f} standard deviations, spread {one.widening:.2f} times"
    return f"{'ALARM' if one.alarm else 'ok'}, {off}; {one.channels} of {one.total} channels beyond chance"


def drift(model: nn.Module, loader: Iterable[Any], *, training_batch: int | None = None) -> Drift:
    """Compare what each batch norm layer meets, in evaluation mode, with the running statistics that it stored.

    Nothing but inputs is needed, so it can watch a network that serves. A layer alarms if a channel's mean, or the
    logarithm of its standard deviation, is off by more than .1 and by more than `limit` standard errors. These come
    from the spread of the images' means (see `bnlab.deploy.per_image`), and the limit is Student's, with Bonferroni's
    bound over the layer's channels, for a false alarm in at most .3% of layers. Measured on 6,000 simulated layers of
    16 channels: maps with correlated positions .1%, .2% and .2% at 64, 160 and 256 images; but single values as skewed
    as an exponential's 3.3%, 1.2% and .7%, so let a window have a few hundred images.

    The stored statistics' own noise is allowed for; that of weights which moved fast while they were averaged is not,
    so `recalibrate` first. Drift at one layer moves those behind it: look at the first that alarms. All layers are read
    from the same images, so they alarm together.

    Args:
        model: holds batch-norm layers with running statistics; works on a copy, and leaves it as it is.
        loader: a window of what the model meets, as for `recalibrate`; dicts will do, too. Memory: 16 bytes an image
            and channel.
        training_batch: images in a training batch, for the stored statistics' noise; None for as many as the loader's.

    Returns:
        One entry for each layer that ran.

    Raises:
        ValueError: no layer keeps running statistics, or the loader brings fewer than two images.

    Example:
        >>> layer = nn.BatchNorm1d(3)
        >>> drift(layer, [torch.randn(100, 3)]).alarm, drift(layer, [torch.randn(100, 3) + 1]).alarm
        (False, True)
    """
    copied = working_copy(model).eval()
    layers = {name: layer for name, layer in copied.named_modules() if _stores(layer)}
    if not layers:
        raise ValueError("expected a model with batch-norm layers that keep running statistics, got none")
    sizes = []
    with random_state_kept(loader), torch.no_grad(), watching(copied, layers) as watch:
        for watch.batch, batch in enumerate(loader):
            sizes.append(batch_size(batch))
            feed(copied, to_device(batch, device_of(copied)))
    seen = watch.result()
    images = max((one.images for one in seen.values()), default=0)
    if images < 2:
        raise ValueError(f"expected a loader with at least two images, got {images}")
    usual = training_batch or sorted(sizes)[len(sizes) // 2]
    return Drift(tuple(_layer_drift(name, layers[name], one, usual) for name, one in seen.items()), images)


def _stores(layer: nn.Module) -> bool:
    """Whether it holds running statistics, one value per channel."""
    return keeps_batch_statistics(layer) and getattr(layer.running_mean, "ndim", 0) == 1


def _layer_drift(name: str, layer: nn.Module, seen: PerImage, training_batch: int) -> LayerDrift:
    off = distance(layer, seen, training_batch)
    limit = beyond_chance(seen.images, 2 * len(off.shift), RATE)
    errors = (off.shift / off.shift_error).abs().maximum((off.widening / off.widening_error).abs()).nan_to_num()
    beyond = off.beyond(limit, LEAST)
    return LayerDrift(
        name,
        off.shift.square().mean().sqrt().item(),
        off.widening.mean().exp().item(),
        int(beyond.sum()),
        len(errors),
        int(errors.argmax()),
        errors.max().item(),
        limit,
    )
