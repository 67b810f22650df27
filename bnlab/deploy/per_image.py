"""What batch norm layers meet, image by image, and how far it may be from what they stored by chance alone.

Positions of one image are no independent draws: neighbouring pixels look alike. So chance is reckoned from the spread
of the *images'* means, of which there are n, and never from n * height * width values. On maps with correlated
positions an alarm at 3 standard errors that counts positions fires on 10.9% of healthy checks, and one that counts
images on .3%, as it should. "Image" stands for one example: a row, a sequence, a volume.
"""

import math
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from scipy import stats
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from bnlab.deploy.eager import eagerly
from bnlab.deploy.survey import is_batch_norm
from bnlab.layers import SequenceBatchNorm1d
from bnlab.layers.instance_norm import InstanceNorm


@dataclass(frozen=True)
class PerImage:
    """What one layer met: mean and variance over the positions of each image.

    Attributes:
        means: (images, c).
        variances: (images, c), biased; 0 where an image has one position.
        batch: (images,), the number of the batch from which each image came.
        positions: values per channel in an image, on average.
    """

    means: Float[Tensor, "images c"]
    variances: Float[Tensor, "images c"]
    batch: Int[Tensor, " images"]
    positions: int

    @property
    def images(self) -> int:
        """How many images there were."""
        return len(self.means)

    @property
    def batches(self) -> int:
        """From how many batches they came."""
        return len(set(self.batch.tolist()))

    @property
    def mean(self) -> Float[Tensor, " c"]:
        """Of all values."""
        return self.means.mean(0)

    @property
    def var(self) -> Float[Tensor, " c"]:
        """Of all values, biased: the mean of the images' variances, and the variance of their means."""
        return self.variances.mean(0) + self.means.var(0, correction=0)

    @property
    def mean_error(self) -> Float[Tensor, " c"]:
        """The standard error of `mean`: the spread of the images' means over the root of their number."""
        return self.means.std(0) / math.sqrt(self.images)

    @property
    def var_error(self) -> Float[Tensor, " c"]:
        """The standard error of `var`, from the spread of the images' mean squares."""
        return (self.variances + (self.means - self.mean).square()).std(0) / math.sqrt(self.images)

    @property
    def log_var_error(self) -> Float[Tensor, " c"]:
        """The standard error of the logarithm of `var` (delta method)."""
        return self.var_error / self.var.clamp(min=torch.finfo(self.means.dtype).tiny)

    @property
    def independent_values(self) -> Float[Tensor, " c"]:
        """As how many independent values an image counts: the variance of a value over that of an image's mean."""
        spread = self.means.var(0).clamp(min=torch.finfo(self.means.dtype).tiny)
        return (self.var / spread).clamp(1, self.positions)


class Distance(NamedTuple):
    """How far a layer's stored statistics are from what it met, channel by channel.

    Attributes:
        shift: of the mean, in stored standard deviations `sqrt(var + eps)`.
        shift_error: its standard error.
        widening: the logarithm of the standard deviation that was met over the stored one.
        widening_error: its standard error.
    """

    shift: Float[Tensor, " c"]
    shift_error: Float[Tensor, " c"]
    widening: Float[Tensor, " c"]
    widening_error: Float[Tensor, " c"]

    @property
    def errors(self) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
        """By how many standard errors the shift and the widening are off.

        A narrowing is judged by half the share of the variance that is missing. Near 0 that is the same, but it has a
        bound, where the logarithm has none: a sample may miss a channel's few large values, and then has no variance.
        """
        bounded = torch.where(self.widening < 0, torch.expm1(2 * self.widening) / 2, self.widening)
        return self.shift.abs() / self.shift_error, bounded.abs() / self.widening_error

    def beyond(self, critical: float, least: float) -> Bool[Tensor, " c"]:
        """Which channels are off by more than `critical` standard errors and by more than `least`, in either."""
        shifted, widened = self.errors
        far, wide = self.shift.abs() > least, self.widening.abs() > least
        return far & (shifted > critical) | wide & (widened > critical)


def distance(layer: Any, seen: PerImage, training_batch: int | None) -> Distance:
    """Compare what a layer met with the running statistics that it holds.

    An average with momentum m over training batches of n images has the noise of `n (2 - m) / m` images, which is added
    to that of the images met. How far the weights moved while the average was taken is not.

    A sample may miss a channel's few large values, and then its mean and variance are too small, and so are their own
    standard errors. So no error is smaller than the layer's root mean square.

    Args:
        layer: a batch norm layer with running statistics, one value per channel.
        seen: what it met.
        training_batch: images in a batch of the training that made the running statistics; None if they have no noise.

    Returns:
        NaN or infinite where a statistic is, stored or met.

    Example:
        >>> layer = nn.BatchNorm1d(1, eps=0.0)
        >>> rows = torch.tensor([[1.0], [3.0], [1.0], [3.0]]).double()
        >>> seen = PerImage(rows, torch.zeros_like(rows), torch.zeros(4), 1)
        >>> distance(layer, seen, 10).shift
        tensor([2.], dtype=torch.float64)
    """
    mean, var = (stored.detach().cpu().double() for stored in (layer.running_mean, layer.running_var))
    tiny = torch.finfo(var.dtype).tiny  # a channel that is constant has no error, not one of 0 / 0
    stored, met = var + layer.eps, (seen.var + layer.eps).clamp(min=tiny)
    noise = math.sqrt(1 + seen.images / _images_behind(layer, training_batch))
    return Distance(
        (seen.mean - mean) / stored.sqrt(),
        noise * (seen.mean_error / stored.sqrt()).maximum(_usual(seen.mean_error / stored.maximum(met).sqrt())),
        (met / stored).log() / 2,
        noise * (seen.var_error / met).maximum(_usual(seen.var_error / stored.maximum(met))) / 2,
    )


def _images_behind(layer: Any, training_batch: int | None) -> float:
    """As many images as have the noise of its running statistics."""
    momentum, batches = getattr(layer, "momentum", 0.0), getattr(layer, "num_batches_tracked", None)
    if training_batch is None or momentum == 0:
        return math.inf
    if momentum is None:  # the plain average of all batches
        return math.inf if batches is None else training_batch * max(int(batches), 1)
    return float(training_batch * (2 - momentum) / momentum)


def _usual(errors: Float[Tensor, " c"]) -> Float[Tensor, ""]:
    """Root mean square over the channels that hold numbers."""
    return errors[errors.isfinite()].square().mean().sqrt()


@dataclass
class Watch:
    """Collects what batch norm layers are given, by forward pre-hooks: see `watching`."""

    batch: int = 0
    given: dict[str, list[tuple[int, Tensor, Tensor, float]]] = field(default_factory=dict)

    def hook(self, name: str) -> Any:
        """The pre-hook for the layer of that name."""

        def see(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            moments = image_moments(layer, args, kwargs)
            if moments is not None:
                self.given.setdefault(name, []).append((self.batch, *moments))

        return see

    def result(self) -> dict[str, PerImage]:
        """By the layers' names, in the order in which they first ran."""
        return {name: _pooled(given) for name, given in self.given.items()}

    def calls(self) -> dict[str, list[PerImage]]:
        """Call by call, for the layers that ran equally often for every batch, and more than once."""
        found = {}
        for name, given in self.given.items():
            batches = [[one for one in given if one[0] == batch] for batch in dict.fromkeys(one[0] for one in given)]
            times = {len(batch) for batch in batches}
            if len(times) == 1 and times != {1}:
                found[name] = [_pooled(calls) for calls in zip(*batches, strict=True)]
        return found


@contextmanager
def watching(model: nn.Module, names: Collection[str]) -> Iterator[Watch]:
    """Watch the layers of these names; whoever runs the model counts `batch` on. The hooks go at the end."""
    watch = Watch()
    layers = [(name, module) for name, module in model.named_modules() if name in names]
    hooks = [module.register_forward_pre_hook(watch.hook(name), with_kwargs=True) for name, module in layers]
    try:
        with eagerly():
            yield watch
    finally:
        for hook in hooks:
            hook.remove()


def by_image(layer: nn.Module, x: Tensor) -> Float[Tensor, "n c positions"] | None:
    """The input of a batch norm layer with all positions on the last axis; None if it does not look like one.

    >>> by_image(nn.BatchNorm2d(3), torch.ones(5, 3, 4, 2)).shape
    torch.Size([5, 3, 8])
    """
    if isinstance(layer, SequenceBatchNorm1d):  # which has the steps on axis 1
        return x.transpose(1, 2) if x.ndim == 3 else None
    return x.flatten(2) if x.ndim > 2 else x[..., None] if x.ndim == 2 else None


def image_moments(
    layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c"], float] | None:
    """Mean and biased variance of each image at a layer, and the values per channel in one; None as for `by_image`.

    What a layer is told to be padding is left out. Computed in float64.
    """
    x, told = args[0] if args else next(iter(kwargs.values()), None), kwargs
    if isinstance(x, PackedSequence):
        x, lengths = pad_packed_sequence(x, batch_first=True)
        told = {"lengths": lengths}
    rows = by_image(layer, x.detach()) if isinstance(x, Tensor) else None
    if rows is None or rows.numel() == 0 or not rows.is_floating_point():
        return None
    wide = rows.cpu().double()
    real = _real_steps(told, wide.shape[2])
    if real is None:
        var, mean = torch.var_mean(wide, 2, correction=0)
        return mean, var, wide.shape[2]
    count = real.sum(1)
    wide, real, count = wide[count > 0], real[count > 0], count[count > 0, None]
    mean = torch.where(real[:, None], wide, 0).sum(2) / count
    var = torch.where(real[:, None], wide - mean[..., None], 0).square().sum(2) / count
    return mean, var, count.double().mean().item()


def keeps_batch_statistics(module: nn.Module) -> bool:
    """Whether it is a batch norm layer of any make: by its class, or since it holds a running mean and variance.

    >>> keeps_batch_statistics(nn.BatchNorm1d(2)), keeps_batch_statistics(nn.InstanceNorm1d(2))
    (True, False)
    """
    held = all(hasattr(module, name) for name in ("running_mean", "running_var", "eps"))
    return is_batch_norm(module) or (held and not isinstance(module, _InstanceNorm | InstanceNorm))


def beyond_chance(images: int, tests: int, rate: float) -> float:
    """How many standard errors a difference must exceed for all of `tests` together to alarm at `rate` by chance.

    Two-sided, by Student's t, since the standard error is estimated from the images; Bonferroni's bound over the tests.

    >>> round(beyond_chance(10_000, 1, 0.0027), 2), round(beyond_chance(10, 64, 0.0027), 2)
    (3.0, 7.37)
    """
    return float(stats.t.isf(rate / 2 / tests, max(images - 1, 1)))


def _real_steps(told: dict[str, Any], positions: int) -> Bool[Tensor, "n positions"] | None:
    """What `lengths` or `mask` of a `SequenceBatchNorm1d` calls real; None if there is neither."""
    if told.get("lengths") is not None:
        return torch.arange(positions) < torch.as_tensor(told["lengths"]).cpu()[:, None]
    mask = told.get("mask")
    return mask.cpu() if isinstance(mask, Tensor) else None


def _pooled(given: Iterable[tuple[int, Tensor, Tensor, float]]) -> PerImage:
    by_batch: dict[int, list[tuple[Tensor, Tensor, float]]] = {}
    for batch, mean, var, positions in given:
        by_batch.setdefault(batch, []).append((mean, var, positions))
    moments = [_over_calls(calls) for calls in by_batch.values()]
    means, variances = (torch.cat(values) for values in zip(*moments, strict=True))
    batches = [batch for batch, (mean, _) in zip(by_batch, moments, strict=True) for _ in mean]
    average = round(fmean(positions for calls in by_batch.values() for _, _, positions in calls))
    return PerImage(means, variances, torch.tensor(batches), average)


def _over_calls(calls: list[tuple[Tensor, Tensor, float]]) -> tuple[Tensor, Tensor]:
    """One mean and variance an image, also where a layer ran several times: the calls are no independent images."""
    if len({len(mean) for mean, _, _ in calls}) > 1:
        return torch.cat([mean for mean, _, _ in calls]), torch.cat([var for _, var, _ in calls])
    means, variances = torch.stack([mean for mean, _, _ in calls]), torch.stack([var for _, var, _ in calls])
    return means.mean(0), variances.mean(0) + means.var(0, correction=0)
