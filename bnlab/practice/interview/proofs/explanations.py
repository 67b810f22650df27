"""Proofs of answers on the explanations of batch norm: free scales, decay, rivals, and the traces of noise."""

import math
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor, nn

from bnlab.layers.functional import batch_norm

TINY = 1e-14  # an epsilon that breaks no invariance to the digits that are compared


def which_forget_their_scale(
    *, filters: bool = True, gamma_and_beta_inside: bool = True, gamma_alone: bool = False, last_norm: bool = False,
    head: bool = False, in_front_of_relu: bool = True, in_front_of_sigmoid: bool = False, beside_a_skip: bool = False,
    factor: int = 10,
) -> bool:  # fmt: skip
    """What of conv, norm, ReLU, conv, norm, ReLU, linear can be multiplied by 10 without moving the output."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 3, 4, 4, dtype=torch.float64, generator=generator)

    def drawn(*shape: int) -> Tensor:
        return torch.rand(*shape, dtype=torch.float64, generator=generator) + 0.5

    start = {"one": drawn(4, 3, 3, 3) - 1, "gamma": drawn(4), "beta": drawn(4) - 1, "two": drawn(5, 4, 3, 3) - 1}
    start |= {"last_gamma": drawn(5), "last_beta": drawn(5) - 1, "head": drawn(2, 5)}

    def normed(x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None) -> Tensor:
        return batch_norm(x, None, None, gamma, beta, training=True, eps=TINY)

    def network(parts: dict[str, Tensor]) -> Tensor:
        x1 = torch.relu(normed(nn.functional.conv2d(x, parts["one"]), parts["gamma"], parts["beta"]))
        x1 = nn.functional.pad(x1, (1, 1, 1, 1))
        x2 = torch.relu(normed(nn.functional.conv2d(x1, parts["two"]), parts["last_gamma"], parts["last_beta"]))
        return x2.mean((2, 3)) @ parts["head"].T

    def free(*names: str) -> bool:
        scaled = {name: part * (10 if name in names else 1) for name, part in start.items()}
        return torch.allclose(network(scaled), network(start), atol=1e-6)

    z = nn.functional.conv2d(x, start["one"])
    between = [
        torch.allclose(normed(function(10 * z)), normed(function(z)), atol=1e-6)
        for function in (torch.relu, torch.sigmoid, lambda z: z + x[:, [0, 1, 2, 0], 1:3, 1:3])
    ]
    found = [free("one") and free("two"), free("gamma", "beta"), free("gamma"), free("last_gamma", "last_beta")]
    return factor == 10 and [*found, free("head"), *between] == [
        filters,
        gamma_and_beta_inside,
        gamma_alone,
        last_norm,
        head,
        in_front_of_relu,
        in_front_of_sigmoid,
        beside_a_skip,
    ]


def statistics_of_noisy_passes(
    *, noise: float = 0.5, mean: float = 0.399, mean_with_noise: float = 0.417, variance: float = 0.341,
    variance_with_noise: float = 0.376,
) -> bool:  # fmt: skip
    """The mean and variance behind norm and ReLU, without noise between the two and averaged over noisy passes."""
    z = torch.from_numpy(ndtri((np.arange(2_000) + 0.5) / 2_000))
    draws = torch.linspace(-noise, noise, 41, dtype=torch.float64)
    draws = (draws[1:] + draws[:-1]) / 2
    noisy = torch.relu((1 + draws[:, None, None]) * z + draws[None, :, None])
    clean = torch.relu(z)
    found = [clean.mean(), noisy.mean(), clean.var(correction=0), noisy.var(-1, correction=0).mean()]
    return [round(one.item(), 3) for one in found] == [mean, mean_with_noise, variance, variance_with_noise]


def training_at_another_scale(
    *, longer: int = 2, rate: int = 4, decay: float = 0.25, buffer: float = 0.5, rate_of_adam: int = 2,
    decay_of_adamw: float = 0.5, second_moment: float = 0.25,
) -> bool:  # fmt: skip
    """By what to multiply an optimiser's settings and buffers if weights before a norm become twice as long."""

    def goes_on(kind: Callable[..., torch.optim.Optimizer], change: Mapping[str, float], **settings: float) -> bool:
        weights = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        plain, scaled = (nn.Parameter(weights.clone()) for _ in range(2))
        here, there = (kind([one], **settings) for one in (plain, scaled))
        _descend(plain, here)
        _descend(scaled, there)
        with torch.no_grad():
            scaled.mul_(longer)
        for name, factor in change.items():
            if name in settings:
                there.param_groups[0][name] *= factor
            else:
                there.state[scaled][name] *= factor
        _descend(plain, here)
        _descend(scaled, there)
        return torch.allclose(scaled, longer * plain, rtol=1e-6)

    sgd = {"lr": rate, "weight_decay": decay, "momentum_buffer": buffer}
    adamw = {"lr": rate_of_adam, "weight_decay": decay_of_adamw, "exp_avg": buffer, "exp_avg_sq": second_moment}
    return (
        longer == 2
        and goes_on(torch.optim.SGD, sgd, lr=0.1, weight_decay=0.2, momentum=0.9)
        and goes_on(torch.optim.AdamW, adamw, lr=0.1, weight_decay=0.2, eps=1e-100)
    )


def decay_as_a_schedule(
    *, rate: float = 0.1, decay: float = 0.0005, growth: float = 1.0001, steps: int = 10_000, after_them: float = 2.718,
    same_network: bool = True, same_at_a_constant_rate: bool = False,
) -> bool:  # fmt: skip
    """The rate that grows in place of decay, and whether the network is then the same."""
    kept = 1 - rate * decay
    with_decay, growing, constant = (_descended(kind) for kind in ("decay", "growing", "constant"))
    directions = [weights / weights.norm(dim=1, keepdim=True) for weights in (with_decay, growing, constant)]
    return (
        steps == round(1 / (2 * rate * decay))
        and round(kept**-2, 6) == growth
        and round(kept ** (-2 * steps), 3) == after_them
        and torch.allclose(directions[0], directions[1], rtol=1e-9) == same_network
        and torch.allclose(directions[0], directions[2], rtol=1e-3) == same_at_a_constant_rate
    )


def decay_reaches_what_data_do_not(
    *, rate: float = 0.1, decay: float = 0.005, steps: int = 2000, left: float = 0.368, left_without: int = 1,
    seen_in_training: bool = False, seen_elsewhere: bool = True, same_share_by_schedule: bool = True,
) -> bool:  # fmt: skip
    """What becomes of the part of weights that no training input touches, with decay, without, and by a schedule."""
    kinds = ("constant", "decay", "growing")
    start, *ends = (_descended(kind, steps=count) for kind, count in (("constant", 0), *((kind, 60) for kind in kinds)))
    unseen = [end[:, 4:].norm().item() for end in (start, *ends)]
    shares = [end[:, 4:].norm().item() / end.norm().item() for end in ends]
    generator = torch.Generator().manual_seed(1)
    elsewhere = torch.randn(16, 6, dtype=torch.float64, generator=generator)
    without = ends[0].clone()
    without[:, 4:] = 0

    def moves(x: Tensor) -> bool:
        one, other = (batch_norm(x @ weights.T, None, None, training=True) for weights in (ends[0], without))
        return not torch.allclose(one, other)

    return (
        round((1 - rate * decay) ** steps, 3) == left
        and steps == round(1 / (rate * decay))
        and math.isclose(unseen[1] / unseen[0], left_without)
        and math.isclose(unseen[2] / unseen[0], (1 - 0.5 * 0.02) ** 60, rel_tol=1e-9)
        and math.isclose(shares[1], shares[2], rel_tol=1e-9) == same_share_by_schedule
        and [moves(_data()[0]), moves(elsewhere)] == [seen_in_training, seen_elsewhere]
    )


def smoothness_without_a_scale(
    *, longer: int = 3, gradient: int = 3, curvature: int = 9, change_of_the_gradient: int = 9, by_length: int = 1,
    relative_change_moves: bool = False,
) -> bool:  # fmt: skip
    """Measures of smoothness at weights and at weights 3 times as long, that compute the same: which ones move."""
    x, target = _data()
    start = torch.randn(1, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def slope(weights: Tensor) -> Tensor:
        return torch.autograd.grad(_loss(weights, x, target[:, :1]), weights, create_graph=True)[0]

    def measured(weights: Tensor) -> list[float]:
        slope_here, length = slope(weights.requires_grad_()), weights.norm().item()
        curvature = torch.stack([torch.autograd.grad(one, weights, retain_graph=True)[0] for one in slope_here[0]])
        size = slope_here.norm().item()
        there = (weights - 0.1 * length / size * slope_here).detach().requires_grad_()
        change = (slope(there) - slope_here).norm().item()
        return [size, curvature.norm().item(), change / (0.1 * length), size * length, change / size]

    ratios = [one / other for one, other in zip(measured(start), measured(3 * start), strict=True)]
    stated = [gradient, curvature, change_of_the_gradient, by_length]
    return (
        longer == 3
        and all(math.isclose(one, other, rel_tol=1e-6) for one, other in zip(ratios, stated, strict=False))
        and (not math.isclose(ratios[-1], 1, rel_tol=1e-6)) == relative_change_moves
    )


def what_rivals_share(
    *, batch_norm_forgets: bool = True, layer_norm_forgets: bool = True, weight_norm_forgets: bool = True,
    skip_init_forgets: bool = False, batch_norm_per_unit: bool = True, layer_norm_per_unit: bool = False,
    batch_norm_sees_mates: bool = True, others_see_mates: bool = False, batch_norm_centres: bool = True,
    others_centre: bool = False,
) -> bool:  # fmt: skip
    """Batch norm, layer norm, weight normalisation and a scaled branch: scale, batch-mates, and means over a batch."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 5, dtype=torch.float64, generator=generator) + 1
    weights = torch.randn(6, 5, dtype=torch.float64, generator=generator)
    kinds: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "batch": lambda x, w: batch_norm(x @ w.T, None, None, training=True, eps=TINY),
        "layer": lambda x, w: nn.functional.layer_norm(x @ w.T, (6,), eps=TINY),
        "weight": lambda x, w: x @ nn.functional.normalize(w, dim=1).T,
        "skip_init": lambda x, w: 0.5 * x @ w.T,
    }
    one_row = torch.ones(6, 1, dtype=torch.float64)
    one_row[0] = 10

    def free(kind: str, scale: Tensor | float) -> bool:
        return torch.allclose(kinds[kind](x, scale * weights), kinds[kind](x, weights), atol=1e-8)

    def sees_mates(kind: str) -> bool:
        return not torch.allclose(kinds[kind](x[:4], weights), kinds[kind](x, weights)[:4])

    def centres(kind: str) -> bool:
        return bool(kinds[kind](x, weights).mean(0).abs().max() < 1e-8)

    others = ("layer", "weight", "skip_init")
    return (
        [free(kind, 10.0) for kind in kinds]
        == [batch_norm_forgets, layer_norm_forgets, weight_norm_forgets, skip_init_forgets]
        and [free("batch", one_row), free("layer", one_row)] == [batch_norm_per_unit, layer_norm_per_unit]
        and [sees_mates("batch"), any(map(sees_mates, others))] == [batch_norm_sees_mates, others_see_mates]
        and [centres("batch"), any(map(centres, others))] == [batch_norm_centres, others_centre]
    )


def _data() -> tuple[Tensor, Tensor]:
    """Inputs of six features, the last two of which are always 0, and targets for three units."""
    generator = torch.Generator().manual_seed(0)
    x, target = torch.randn(16, 6, generator=generator).double(), torch.randn(16, 3, generator=generator).double()
    x[:, 4:] = 0
    return x, target


def _loss(weights: Tensor, x: Tensor, target: Tensor) -> Tensor:
    return (batch_norm(x @ weights.T, None, None, training=True, eps=TINY) - target).square().mean()


def _descend(weights: Tensor, optimiser: torch.optim.Optimizer, steps: int = 5) -> None:
    """Some steps of an optimiser on weights before a norm, in place."""
    x, target = _data()
    for _ in range(steps):
        weights.grad = torch.autograd.grad(_loss(weights, x[:, :5], target), weights)[0]
        optimiser.step()


@cache
def _descended(kind: str, steps: int = 60, rate: float = 0.5, decay: float = 0.02) -> Tensor:
    """Weights before a norm after gradient descent: with "decay", or without at a "constant" or a "growing" rate."""
    x, target = _data()
    weights = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    kept = 1 - rate * decay
    for step in range(steps):
        gradient = torch.autograd.grad(_loss(weights.requires_grad_(), x, target), weights)[0]
        weights = weights.detach()
        if kind == "decay":
            weights = kept * weights - rate * gradient
        else:
            weights = weights - (rate * kept ** -(2 * step + 1) if kind == "growing" else rate) * gradient
    return weights.detach()
