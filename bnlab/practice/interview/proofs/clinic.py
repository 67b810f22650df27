"""Proofs of answers on what goes wrong with batch norm at work."""

import copy
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bnlab.deploy import recalibrate
from bnlab.experiments.studies import STUDIES


def accumulated(
    *, batch: int = 2, accumulated: int = 16, behind_a_step: int = 32, behind_a_mean: int = 2,
    only_signs_are_left: bool = True, same_gradient_without_norm: bool = True, same_gradient_with_norm: bool = False,
) -> bool:  # fmt: skip
    """What batch norm sees while gradients are accumulated, and whether they are those of the joined batch."""
    x = torch.randn(32, 3, dtype=torch.float64) * 100
    if batch * accumulated != behind_a_step or len(x) != behind_a_step:
        return False
    seen: list[int] = []

    same = []
    for norm in (nn.Identity(), nn.BatchNorm1d(4)):
        network = nn.Sequential(nn.Linear(3, 4), norm, nn.Linear(4, 1)).double()
        weight = network.get_parameter("0.weight")
        joined = torch.autograd.grad(network(x).square().mean(), weight)[0]
        hook = norm.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
        for part in x.chunk(accumulated):
            (network(part).square().mean() / accumulated).backward()
        hook.remove()
        same.append(weight.grad is not None and torch.allclose(weight.grad, joined, rtol=1e-6, atol=1e-9))
    left = nn.BatchNorm1d(3, affine=False, dtype=torch.float64)(x[:batch]).abs()
    return (
        set(seen) == {behind_a_mean}
        and torch.allclose(left, torch.ones_like(left), atol=1e-2) == only_signs_are_left
        and same == [same_gradient_without_norm, same_gradient_with_norm]
    )


def batches_of_one_class(
    *, stored: int = 1, of_all: int = 26, spread_in_evaluation: float = 5.1, class_shows_in_training: bool = False,
    class_shows_in_evaluation: bool = True, by_layer_norm: int = 87, by_batch_norm: int = 10, of_two_classes: int = 84,
    without_norm: int = 94, by_layer_norm_of_two: int = 95,
) -> bool:  # fmt: skip
    """Two classes, around 0 and 10 with variance 1, a class in each batch; medians of the study `sorted_batches`."""
    study: Any = STUDIES["sorted_batches"].stored()
    at = {count: study.config.classes.index(count) for count in (1, 2)}
    accuracies = [
        round(100 * float(np.median(study.test[arm][at[count]])))
        for arm, count in (
            ("no_norm", 1),
            ("layer_norm", 1),
            ("batch_norm", 1),
            ("batch_norm", 2),
            ("no_norm", 2),
            ("layer_norm", 2),
        )
    ]
    values = torch.tensor([-1.0, 1.0]).repeat(500)[:, None]
    classes = (values, 10 + values)
    layer = nn.BatchNorm1d(1)
    for _ in range(50):
        trained = [layer(one).mean().item() for one in classes]
    layer.eval()
    evaluated = [layer(one).detach() for one in classes]
    return (
        accuracies == [by_layer_norm, by_layer_norm, by_batch_norm, of_two_classes, without_norm, by_layer_norm_of_two]
        and round(layer.get_buffer("running_var").item()) == stored
        and round(torch.cat(classes).var(correction=0).item()) == of_all
        and round(torch.cat(evaluated).std(correction=0).item(), 1) == spread_in_evaluation
        and (abs(trained[0] - trained[1]) > 0.01) == class_shows_in_training
        and (abs(evaluated[0].mean() - evaluated[1].mean()).item() > 0.01) == class_shows_in_evaluation
    )


def pairs_leak(
    *,
    key_moves_query_in_training: bool = True,
    key_moves_query_in_evaluation: bool = False,
    key_moves_query_with_layer_norm: bool = False,
) -> bool:
    """Whether what a network makes of a query depends on the key that lies in the same batch."""
    batch = torch.randn(4, 4)  # a query, its key, and another pair
    other = batch.clone()
    other[1] = torch.randn(4)

    def moves(norm: nn.Module) -> bool:
        network = nn.Sequential(nn.Linear(4, 8), norm)
        return not torch.allclose(network(batch)[0], network(other)[0], atol=1e-5)

    found = [moves(norm) for norm in (nn.BatchNorm1d(8), nn.BatchNorm1d(8).eval(), nn.LayerNorm(8))]
    return found == [key_moves_query_in_training, key_moves_query_in_evaluation, key_moves_query_with_layer_norm]


def two_domains(
    *, pooled_spread: float = 0.196, pooled_mean: float = 0.981, stored_mean: int = 5, stored_variance: int = 1,
    variance_of_both: int = 26, domains_differ_apart: bool = False,
) -> bool:  # fmt: skip
    """Two domains around 0 and 10 with variance 1, in one batch and in batches of their own."""
    values = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(500)[:, None]
    both = torch.cat([values, 10 + values])
    first, second = nn.BatchNorm1d(1, dtype=torch.float64)(both).detach().chunk(2)
    apart = nn.BatchNorm1d(1, momentum=0.01, dtype=torch.float64)
    for _ in range(1000):
        means = [apart(one).mean().item() for one in (values, 10 + values)]
    assert apart.running_mean is not None
    assert apart.running_var is not None
    return (
        round(first.std(correction=0).item(), 3) == pooled_spread
        and math.isclose(-first.mean(), second.mean(), rel_tol=1e-9)
        and round(second.mean().item(), 3) == pooled_mean
        and round(both.var(correction=0).item()) == variance_of_both
        and (round(apart.running_mean.item()), round(apart.running_var.item())) == (stored_mean, stored_variance)
        and (abs(means[0] - means[1]) > 1e-6) == domains_differ_apart
    )


def pretrained_statistics_fade(
    *, momentum: float = 0.1, steps: int = 20, left: float = 0.122, frozen_layer_centres_the_gradient: bool = False
) -> bool:
    """How much of a pretrained running mean is left, and whether the gradient through a frozen layer sums to 0."""
    layer = nn.BatchNorm1d(1, momentum=momentum, dtype=torch.float64)
    assert layer.running_mean is not None
    layer.running_mean.fill_(1)
    x = torch.tensor([[-1.0], [1.0]], dtype=torch.float64, requires_grad=True)
    for _ in range(steps):
        layer(x)
    grad_x = torch.autograd.grad((layer.eval()(x) * torch.tensor([[1.0], [2.0]])).sum(), x)[0]
    centred = abs(grad_x.sum().item()) < 1e-9
    return round(layer.running_mean.item(), 3) == left and centred == frozen_layer_centres_the_gradient


def checkpointed(
    *, moved: float = 0.1, moved_with_checkpointing: float = 0.19, counted: int = 2, gradient_changes: bool = False
) -> bool:
    """A running mean from 0 on a batch of mean 1, without and with activation checkpointing, after one step."""
    x = torch.tensor([[0.0], [2.0], [1.0]], requires_grad=True)
    plain = nn.BatchNorm1d(1)
    recomputed = copy.deepcopy(plain)
    upstream = torch.tensor([[1.0], [2.0], [5.0]])
    gradients = [
        torch.autograd.grad(y, x, upstream)[0] for y in (plain(x), checkpoint(recomputed, x, use_reentrant=False))
    ]
    means = [round(one.get_buffer("running_mean").item(), 4) for one in (plain, recomputed)]
    return (
        means == [moved, moved_with_checkpointing]
        and recomputed.get_buffer("num_batches_tracked").item() == counted
        and (not torch.equal(*gradients)) == gradient_changes
    )


def one_infinite_batch(
    *,
    statistics_recover: bool = False,
    training_stays_finite: bool = True,
    evaluation_stays_finite: bool = False,
    recalibration_mends: bool = True,
) -> bool:
    """What a batch with an infinite value leaves behind, after 300 good ones and a recalibration."""
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    norm = model[1]
    with torch.no_grad():
        model(torch.tensor([[torch.inf, 1.0], [0.0, 1.0]]))
        for _ in range(300):
            y = model(torch.randn(8, 2))

    def finite(x: Tensor) -> bool:
        return bool(x.isfinite().all())

    found = [finite(norm.get_buffer("running_mean")), finite(y), finite(model.eval()(torch.randn(8, 2)))]
    recalibrate(model, [torch.randn(8, 2) for _ in range(4)])
    found.append(finite(model(torch.randn(8, 2))))
    return found == [statistics_recover, training_stays_finite, evaluation_stays_finite, recalibration_mends]


def one_module_two_places(
    *,
    first: int = 0,
    second: int = 10,
    stored: float = 5.26,
    fits_in_training: bool = True,
    fits_in_evaluation: bool = False,
) -> bool:
    """One batch norm called for values around 0, then for values around 10, in each step."""
    layer = nn.BatchNorm1d(1)
    values = torch.tensor([[-1.0], [1.0]])
    for _ in range(200):
        trained = [layer(values + mean).mean().item() for mean in (first, second)]
    layer.eval()
    evaluated = [layer(values + mean).mean().item() for mean in (first, second)]
    fits = [max(map(abs, means)) < 0.01 for means in (trained, evaluated)]
    return round(layer.get_buffer("running_mean").item(), 2) == stored and fits == [
        fits_in_training,
        fits_in_evaluation,
    ]
