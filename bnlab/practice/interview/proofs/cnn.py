"""Proofs of answers on convolutional and residual networks."""

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn


def positions_pooled(
    *,
    means: int = 32,
    values: int = 784,
    means_by_position: int = 1568,
    values_by_position: int = 16,
    moves_with_the_image: bool = True,
    moves_by_position: bool = False,
) -> bool:
    """The statistics of an input of shape (16, 32, 7, 7), pooled and by position, and what becomes of a shift."""
    x = torch.randn(16, 32, 7, 7)
    pooled = nn.BatchNorm2d(32, momentum=1.0)
    each = nn.BatchNorm1d(32 * 49, momentum=1.0)
    by_position = nn.Sequential(nn.Flatten(), each, nn.Unflatten(1, (32, 7, 7)))
    found = []
    for layer in (pooled, by_position):
        layer(x)
        layer.eval()
        found.append(torch.allclose(layer(x.roll(1, 3)), layer(x).roll(1, 3), atol=1e-5))
    counts = [(one.num_features, x.numel() // one.num_features) for one in (pooled, each)]
    return counts == [(means, values), (means_by_position, values_by_position)] and found == [
        moves_with_the_image,
        moves_by_position,
    ]


def convolution_biases(
    *,
    weights: int = 36_864,
    biases: int = 64,
    before_batch_norm: bool = False,
    before_instance_norm: bool = False,
    before_group_norm: bool = True,
    before_relu: bool = True,
    deleted_after_training: bool = True,
) -> bool:
    """Whether another bias of a convolution changes what comes out behind it, and how many numbers a bias has."""
    convolution = nn.Conv2d(64, 64, 3)
    x = torch.randn(8, 64, 5, 5)
    plain = nn.functional.conv2d(x, convolution.weight)

    def matters(layer: Callable[[Tensor], Tensor]) -> bool:
        return not torch.allclose(layer(plain), layer(plain + torch.randn(64, 1, 1)), atol=1e-3)

    batch_norm, served = nn.BatchNorm2d(64), nn.BatchNorm2d(64, momentum=1.0)
    served(plain + 1)
    behind = (batch_norm, nn.InstanceNorm2d(64), nn.GroupNorm(32, 64), nn.Sequential(nn.ReLU(), batch_norm))
    found = [matters(layer) for layer in behind]
    found.append(not torch.allclose(served.eval()(plain), served(plain + 1), atol=1e-3))
    stated = [before_batch_norm, before_instance_norm, before_group_norm, before_relu, deleted_after_training]
    return found == stated and (convolution.weight.numel(), convolution.get_parameter("bias").numel()) == (
        weights,
        biases,
    )


def behind_or_before_relu(*, zeros: float = 0.5, mean: float = 0.399, lowest: float = 0.683) -> bool:
    """What leaves batch norm and ReLU in either order, for a normally distributed channel and a new layer."""
    z = torch.special.ndtri((torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000)[:, None]
    layer = nn.BatchNorm1d(1, dtype=torch.float64)
    norm_first, relu_first = torch.relu(layer(z)).detach(), layer(torch.relu(z)).detach()
    share = float((norm_first == 0).double().mean())
    found = (round(share, 3), round(norm_first.mean().item(), 3), round(-relu_first.min().item(), 3))
    return found == (zeros, mean, lowest) and math.isclose(relu_first.mean(), 0, abs_tol=1e-9)


def branch_beside_skip(*, block: int = 64, skip_times: int = 64, growth_without: int = 2) -> bool:
    """The skip's variance beside that of a normalised branch, and the growth of a sum of branches without a norm."""
    sums, branches = _sums(blocks=64, norm=True)
    ratio = sums[block - 1] / branches[block - 1] if block <= 64 else math.nan
    plain, _ = _sums(blocks=20, norm=False)
    return (
        block == skip_times
        and math.isclose(ratio, skip_times, rel_tol=0.1)
        and round((plain[-1] / plain[0]) ** (1 / 20)) == growth_without
    )


def depth_by_norm_or_skips(
    *,
    growth: float = 1.211,
    layers: int = 40,
    gradient: int = 2129,
    blocks: int = 20,
    without_norm: int = 1_048_576,
    with_norm: int = 21,
) -> bool:
    """How the gradient of a plain network with batch norm grows, and the sum of a residual one with and without."""
    limit = math.pi / (math.pi - 1)
    if blocks != 20:
        return False
    plain, _ = _sums(blocks=blocks, norm=False)
    normed, _ = _sums(blocks=blocks, norm=True)
    doubling = (plain[-1] / plain[0]) ** (1 / blocks)
    return (
        round(math.sqrt(limit), 3) == growth
        and int(limit ** (layers / 2)) == gradient
        and without_norm == round(doubling) ** blocks
        and with_norm == blocks + 1
        and math.isclose(normed[-1], with_norm, rel_tol=0.1)
    )


@cache
def _sums(*, blocks: int, norm: bool, width: int = 256) -> tuple[list[float], list[float]]:
    """Mean squares in a residual network at its start: of the sum in front of each block and at the end; of branches.

    A branch is ReLU, a linear layer with He's weights, and batch norm if there is one.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(width, width, generator=generator)
    normalise = nn.BatchNorm1d(width, affine=False) if norm else nn.Identity()
    sums, branches = [float(x.square().mean())], []
    for _ in range(blocks):
        weight = torch.randn(width, width, generator=generator) * math.sqrt(2 / width)
        branch = normalise(torch.relu(x) @ weight)
        x = x + branch
        branches.append(float(branch.square().mean()))
        sums.append(float(x.square().mean()))
    return sums, branches


def zero_gamma(
    *,
    starts_as_identity: bool = True,
    weights_learn_at_once: bool = False,
    gamma_learns: bool = True,
    gamma_learns_with_all_at_zero: bool = False,
) -> bool:
    """What a residual block computes and learns in its first step if the last gamma of its branch is 0, or all are."""

    def first_step(*, all_at_zero: bool) -> tuple[bool, bool, bool]:
        first, last = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        into, out = (nn.Conv2d(4, 4, 3, padding=1) for _ in ("into", "out"))
        branch = nn.Sequential(into, first, nn.ReLU(), out, last)
        for norm in (first, last) if all_at_zero else (last,):
            nn.init.zeros_(norm.weight)
        x = torch.randn(8, 4, 5, 5)
        y = x + branch(x)
        gradients = torch.autograd.grad(y, (into.weight, last.weight), torch.randn(8, 4, 5, 5))
        weights_move, gamma_moves = (bool((one.abs() > 1e-4).any()) for one in gradients)
        return torch.equal(x, y), weights_move, gamma_moves

    return (*first_step(all_at_zero=False), first_step(all_at_zero=True)[2]) == (
        starts_as_identity,
        weights_learn_at_once,
        gamma_learns,
        gamma_learns_with_all_at_zero,
    )


def gamma_is_no_score(*, gamma_times: int = 10, weights_divided: int = 10, becomes_the_largest: bool = True) -> bool:
    """A channel with another gamma, read by weights that make up for it: the same outputs, another ranking."""
    norm, reader = nn.BatchNorm2d(4), nn.Conv2d(4, 3, 3)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    network = nn.Sequential(norm, nn.ReLU(), reader)
    x = torch.randn(8, 4, 5, 5)
    before, least = network(x).detach(), int(norm.weight.argmin())
    with torch.no_grad():
        norm.weight[least] *= gamma_times
        norm.bias[least] *= gamma_times
        reader.weight[:, least] /= weights_divided
    return torch.allclose(network(x), before, atol=1e-5) and (int(norm.weight.argmax()) == least) == becomes_the_largest


def gammas_beside_weights(*, weights: int = 36_864, affine: int = 128, percent: float = 0.35) -> bool:
    """How many of the numbers of a convolution and its batch norm are gammas and betas."""
    convolution, norm = nn.Conv2d(64, 64, 3, bias=False), nn.BatchNorm2d(64)
    found = [sum(one.numel() for one in layer.parameters()) for layer in (convolution, norm)]
    return found == [weights, affine] and round(100 * affine / (weights + affine), 2) == percent


def explanation_by_mode(
    *,
    mates_get_a_share_in_training: bool = True,
    mates_get_a_share_in_evaluation: bool = False,
    own_share_moves_in_training: bool = True,
    own_share_moves_in_evaluation: bool = False,
) -> bool:
    """Whether the gradient of one image's score reaches its batch-mates, and depends on them, in the two modes."""
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1)
    )
    image, one, other = torch.randn(1, 1, 6, 6), torch.randn(7, 1, 6, 6), torch.randn(7, 1, 6, 6)

    def gradient(mates: Tensor) -> Tensor:
        x = torch.cat([image, mates]).requires_grad_()
        return torch.autograd.grad(network(x)[0, 0], x)[0]

    found = []
    for training in (True, False):
        network.train(training)
        shares = [gradient(mates) for mates in (one, other)]
        found += [bool(shares[0][1:].any()), not torch.allclose(shares[0][0], shares[1][0])]
    return found == [
        mates_get_a_share_in_training,
        own_share_moves_in_training,
        mates_get_a_share_in_evaluation,
        own_share_moves_in_evaluation,
    ]
