"""Proofs of answers on the family of norms, on small batches, and on networks without a norm."""

import copy
import math

import torch
from torch import Tensor, nn

from bnlab.deploy import convert
from bnlab.layers import BatchRenorm1d, Derf, DyT


def family_on_images(
    *, batch_means: int = 32, batch_values: int = 1568, layer_means: int = 8, layer_values: int = 6272,
    instance_means: int = 256, instance_values: int = 196, group_means: int = 64, group_values: int = 784,
    channels_in_a_group: int = 4, one_group_is_layer: bool = True, one_channel_each_is_instance: bool = True,
) -> bool:  # fmt: skip
    """Means and values for each, for images of shape (8, 32, 14, 14), and the two extremes of group norm."""
    x = torch.randn(8, 32, 14, 14) * 3 + 1
    x = x * torch.rand(8, 32, 1, 1)

    def same(groups: int, other: nn.Module) -> bool:
        return torch.allclose(nn.GroupNorm(groups, 32)(x), other(x), atol=1e-4)

    def counted(sharing: Tensor) -> tuple[int, int]:
        """How many means are 0 behind the norm, where values of one row shared a mean, and how many shared each."""
        zeros = sharing.mean(1).abs() < 1e-4
        return int(zeros.sum()), sharing.shape[1]

    batch, layer, instance = nn.BatchNorm2d(32)(x), nn.LayerNorm([32, 14, 14])(x), nn.InstanceNorm2d(32)(x)
    group = nn.GroupNorm(8, 32)(x).unflatten(1, (8, -1))
    found = [
        counted(batch.transpose(0, 1).flatten(1)),
        counted(layer.flatten(1)),
        counted(instance.flatten(2).flatten(0, 1)),
        counted(group.flatten(2).flatten(0, 1)),
    ]
    return (
        found
        == [
            (batch_means, batch_values),
            (layer_means, layer_values),
            (instance_means, instance_values),
            (group_means, group_values),
        ]
        and group.shape[2] == channels_in_a_group
        and same(1, nn.LayerNorm([32, 14, 14])) == one_group_is_layer
        and same(32, nn.InstanceNorm2d(32)) == one_channel_each_is_instance
    )


def group_norm_at_batch_2(
    *, batch_norm_at_32: float = 23.6, at_2: float = 34.7, group_norm: float = 24.1, behind: float = 0.5,
    ahead: float = 10.6, lost: float = 11.1, mates_count: bool = False, modes_differ: bool = False,
) -> bool:  # fmt: skip
    """The differences of the published errors, and what torch's group norm depends on."""
    layer, x = nn.GroupNorm(2, 4), torch.randn(2, 4, 3, 3)
    with_mate, alone = layer(x)[0], layer(x[:1])[0]
    evaluated = layer.eval()(x)[0]
    differences = (group_norm - batch_norm_at_32, at_2 - group_norm, at_2 - batch_norm_at_32)
    return (
        tuple(round(one, 1) for one in differences) == (behind, ahead, lost)
        and (not torch.allclose(with_mate, alone, atol=1e-6)) == mates_count
        and (not torch.equal(with_mate, evaluated)) == modes_differ
    )


def style_of_an_image(
    *,
    brightness_and_contrast_cancel: bool = True,
    batch_norm_too: bool = False,
    pooled_tells_images_apart: bool = False,
) -> bool:
    """What instance norm removes of one image among others, and what pooling leaves right behind it."""
    x = torch.rand(4, 3, 8, 8)
    restyled = x.clone()
    restyled[0] = 2 * x[0] + torch.tensor([1.0, -1.0, 3.0])[:, None, None]
    instance, batch = nn.InstanceNorm2d(3, eps=1e-9), nn.BatchNorm2d(3)
    found = [torch.allclose(layer(x)[0], layer(restyled)[0], atol=1e-3) for layer in (instance, batch)]
    pooled = instance(x).mean((2, 3))
    apart = not torch.allclose(pooled, pooled[:1].expand(4, 3), atol=1e-4)
    return [*found, apart] == [brightness_and_contrast_cancel, batch_norm_too, pooled_tells_images_apart]


def renormalised(
    *,
    r: int = 1,
    d: int = 2,
    first: int = 1,
    last: int = 3,
    equals_evaluation: bool = True,
    limited_is_batch_norm: bool = True,
) -> bool:
    """Batch renorm of the batch 1 and 3 at running mean 0 and variance 1, with wide limits and with none allowed."""
    x = torch.tensor([[1.0], [3.0]])
    layer = BatchRenorm1d(1, eps=1e-9)
    y = layer(x).detach()
    r_found, d_found = float(y[1] - y[0]) / 2, float(y.mean())  # batch norm alone would give -1 and 1
    layer.reset_running_stats()
    as_evaluated = torch.allclose(layer.eval()(x), y, atol=1e-5)
    layer.train()
    layer.r_max, layer.d_max = 1.0, 0.0
    as_batch_norm = torch.allclose(layer(x), nn.BatchNorm1d(1)(x), atol=1e-4)
    return (
        math.isclose(r_found, r, rel_tol=1e-5)
        and math.isclose(d_found, d, rel_tol=1e-5)
        and torch.allclose(y.ravel(), torch.tensor([first, last]).float(), atol=1e-5)
        and (as_evaluated, as_batch_norm) == (equals_evaluation, limited_is_batch_norm)
    )


def positions_are_alike(
    *, positions: int = 64, correlation: float = 0.1, images: int = 32, count: int = 2048, worth_an_image: float = 8.8,
    worth: int = 281, times: float = 2.7,
) -> bool:  # fmt: skip
    """How many independent values the positions of images are worth where each two of an image correlate."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(20_000, 1, generator=generator) * math.sqrt(correlation)
    own = torch.randn(20_000, positions, generator=generator) * math.sqrt(1 - correlation)
    var_of_mean = float((shared + own).mean(1).var())
    effective = positions / (1 + (positions - 1) * correlation)
    return (
        count == images * positions
        and round(effective, 1) == worth_an_image
        and math.floor(images * effective + 0.5) == worth
        and math.isclose(1 / var_of_mean, worth_an_image, rel_tol=0.05)
        and round(math.sqrt(positions / effective), 1) == times
    )


def swapped(
    *, channels: int = 64, groups: int = 32, gamma_and_beta_stay: bool = True, output_moves: bool = True,
    brightness_counted: bool = True, brightness_counts: bool = False,
) -> bool:  # fmt: skip
    """A batch norm replaced by group norm: what stays, and whether an image's overall scale still counts."""
    norm = nn.BatchNorm2d(64)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    network = nn.Sequential(norm, nn.Conv2d(64, 2, 3))
    network(torch.randn(16, 64, 5, 5))
    other = convert(copy.deepcopy(network), to="group_norm").model
    new, x = next(one for one in other.modules() if isinstance(one, nn.GroupNorm)), torch.randn(1, 64, 5, 5)
    found = [
        torch.equal(new.weight, norm.weight) and torch.equal(new.bias, norm.bias),
        not torch.allclose(network.eval()(x), other(x), atol=1e-3),
        *(not torch.allclose(one(x), one(2 * x), atol=1e-3) for one in (network, other)),
    ]
    stated = [gamma_and_beta_stay, output_moves, brightness_counted, brightness_counts]
    return found == stated and (new.num_channels, new.num_groups) == (channels, groups)


def without_statistics(
    *, alpha: float = 0.5, layer_norm: float = 82.3, dyt: float = 82.5, derf: float = 82.8, dyt_gains: float = 0.2,
    derf_gains: float = 0.5, other_values_count: bool = False, bounded: bool = True,
) -> bool:  # fmt: skip
    """Dynamic tanh and dynamic erf as they start, and the differences of published accuracies (arXiv:2512.10938)."""
    x = torch.tensor([[0.3, -1.0]])
    other = torch.tensor([[0.3, 50.0]])
    layers = (DyT(2), Derf(2))
    count = [not torch.equal(layer(x)[:, 0], layer(other)[:, 0]) for layer in layers]
    limits = [float(layer(1000 * other).detach().abs().max()) <= 1 for layer in layers]
    formulas = (torch.tanh(alpha * x), torch.erf(alpha * x))
    return (
        all(torch.allclose(layer(x), formula) for layer, formula in zip(layers, formulas, strict=True))
        and count == [other_values_count] * 2
        and limits == [bounded] * 2
        and (round(dyt - layer_norm, 1), round(derf - layer_norm, 1)) == (dyt_gains, derf_gains)
    )
