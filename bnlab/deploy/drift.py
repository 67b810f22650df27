"""How far what a network meets has moved from what it was trained on, seen by its batch norm layers."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bnlab.deploy.batches import device_of, feed, to_device
from bnlab.deploy.per_image import PerImage, beyond_chance, distance, keeps_batch_statistics, watching
from bnlab.deploy.untouched import check_module, random_state_kept, working_copy

RATE = 0.003  # false alarms of a window, all layers together, where nothing but chance is at work
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
        broken: the channels that met a NaN or an infinity, or stored one, or a variance that is not positive. What is
            said above is of the others; of none, it is NaN.
    """

    name: str
    distance: float
    widening: float
    channels: int
    total: int
    worst: int
    errors: float
    limit: float
    broken: tuple[int, ...]

    @property
    def alarm(self) -> bool:
        """Whether a channel moved by more than chance, or cannot be judged at all."""
        return self.channels > 0 or len(self.broken) > 0


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
    parts = ["ALARM" if one.alarm else "ok"]
    if one.broken:
        parts.append(
            f"NaN, infinite or no variance in {len(one.broken)} of {one.total} channels, {one.broken[0]} first"
        )
    if len(one.broken) < one.total:
        parts.append(f"mean off by {one.distance:.2f} standard deviations, spread {one.widening:.2f} times")
    return f"{', '.join(parts)}; {one.channels} of {one.total} channels beyond chance"


def drift(model: nn.Module, loader: Iterable[Any], *, training_batch: int | None = None) -> Drift:
    """Compare what each batch norm layer meets, in evaluation mode, with the running statistics that it stored.

    Nothing but inputs is needed, so it can watch a network that serves. A layer alarms if a channel's mean, or the
    logarithm of its standard deviation, is off by more than .1 and by more than `limit` standard errors. These come
    from the spread of the images' means (see `bnlab.deploy.per_image`), and the limit is Student's, with Bonferroni's
    bound over the channels of all layers, for a false alarm in at most .3% of windows.

    Measured on thousands of healthy windows at a layer of 16 or 64 channels, stored statistics exact: up to .2% with 32
    or 100 images and .3% with 300, for normal and exponential values, maps with correlated positions and values that
    are 1 in 3 images of 100 and else 0. The promise ends where a window may well miss all values of a channel, so that
    it looks dead: one channel of 3 images in 100 among 15 dense ones alarms in 33% of windows of 32 images, 5% of 100
    and .1% of 300. So take a few hundred images. Of 100, nearly every window finds a channel that spreads .5 or 1.6
    times as wide.

    A NaN or an infinity is an alarm too, and so is a stored one; the other channels are judged all the same.

    The noise of statistics averaged over small batches is allowed for if `training_batch` is told; that of weights
    which moved fast meanwhile is not, so `recalibrate` first. Drift at one layer moves those behind it: look at the
    first that alarms.

    Args:
        model: holds batch-norm layers with running statistics; works on a copy, and leaves it as it is.
        loader: a window of what the model meets, as for `recalibrate`; dicts will do, too. How it is cut into batches
            does not matter. Memory: 16 bytes an image and channel.
        training_batch: images in a batch of the training, if its running averages are what is stored; None if their
            noise does not count, as after `recalibrate` over many more images than the window has.

    Returns:
        One entry for each layer that ran.

    Raises:
        ValueError: `model` is no module, no layer keeps running statistics, the loader brings fewer than two images, or
            `training_batch` is below 1.

    Example:
        >>> layer = nn.BatchNorm1d(3)
        >>> drift(layer, [torch.randn(100, 3)]).alarm, drift(layer, [torch.randn(100, 3) + 1]).alarm
        (False, True)
    """
    if training_batch is not None and training_batch < 1:
        raise ValueError(f"expected training_batch of at least 1, or None, got {training_batch}")
    check_module(model)
    copied = working_copy(model).eval()
    layers = {name: layer for name, layer in copied.named_modules() if _stores(layer)}
    if not layers:
        raise ValueError("expected a model with batch-norm layers that keep running statistics, got none")
    with random_state_kept(loader), torch.no_grad(), watching(copied, layers) as watch:
        for watch.batch, batch in enumerate(loader):
            feed(copied, to_device(batch, device_of(copied)))
    seen = watch.result()
    images = max((one.images for one in seen.values()), default=0)
    if images < 2:
        raise ValueError(f"expected a loader with at least two images, got {images}")
    rate = RATE / len(seen)
    return Drift(
        tuple(_layer_drift(name, layers[name], one, training_batch, rate) for name, one in seen.items()), images
    )


def _stores(layer: nn.Module) -> bool:
    """Whether it holds running statistics, one value per channel."""
    return keeps_batch_statistics(layer) and getattr(layer.running_mean, "ndim", 0) == 1


def _layer_drift(name: str, layer: nn.Module, seen: PerImage, training_batch: int | None, rate: float) -> LayerDrift:
    off = distance(layer, seen, training_batch)
    sound = off.shift.isfinite() & off.widening.isfinite()
    limit = beyond_chance(seen.images, 2 * len(sound), rate)
    errors = torch.fmax(*off.errors).nan_to_num(posinf=math.inf).where(sound, 0)  # 0 / 0: nothing moved
    return LayerDrift(
        name,
        off.shift[sound].square().mean().sqrt().item(),
        off.widening[sound].mean().exp().item(),
        int((off.beyond(limit, LEAST) & sound).sum()),
        len(sound),
        int(errors.argmax()),
        errors.max().item(),
        limit,
        tuple((~sound).nonzero().flatten().tolist()),
    )
