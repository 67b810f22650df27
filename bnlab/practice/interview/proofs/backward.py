"""Proofs of answers on the backward pass."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bnlab.reference import batch_norm_backward, batch_norm_forward


def closed_form(*, mean_term: bool = True, x_hat_term: bool = True, gammas: int = 1, sum_of_dx: int = 0) -> bool:
    """The gradient of the input by autograd, beside the formula, and its sum."""
    dx, formula = _gradient_and_formula(mean_term=mean_term, x_hat_term=x_hat_term, gammas=gammas, training=True)
    return torch.allclose(dx, formula) and math.isclose(dx.sum(), sum_of_dx, abs_tol=1e-9)


def gradient_in_evaluation(*, mean_term: bool = False, x_hat_term: bool = False, gammas: int = 1) -> bool:
    """The same in evaluation mode."""
    dx, formula = _gradient_and_formula(mean_term=mean_term, x_hat_term=x_hat_term, gammas=gammas, training=False)
    return torch.allclose(dx, formula)


def affine_gradients(*, sums: bool = True, gamma_uses_x_hat: bool = True) -> bool:
    """The gradients of gamma and beta by autograd, beside sums or means over the channel."""
    layer = nn.BatchNorm1d(1, dtype=torch.float64)
    x, grad_y = 3 + torch.randn(2, 8, 1, dtype=torch.float64)
    x_hat = layer(x)  # since gamma is 1 and beta 0
    x_hat.backward(grad_y)
    products = torch.stack([grad_y * (x_hat.detach() if gamma_uses_x_hat else x), grad_y])
    expected = products.sum((1, 2)) if sums else products.mean((1, 2))
    found = [parameter.grad for parameter in layer.parameters()]
    return torch.allclose(torch.cat([gradient for gradient in found if gradient is not None]), expected)


def statistics_detached(*, true_gradient: int = 0, detached_over_gain: int = 1) -> bool:
    """The gradient of a sum of outputs, with the statistics' share and without it."""
    x = torch.randn(8, 1, dtype=torch.float64, requires_grad=True)
    layer = nn.BatchNorm1d(1, dtype=torch.float64)
    (true,) = torch.autograd.grad(layer(x).sum(), x)
    gain = 1 / torch.sqrt(x.detach().var(correction=0) + layer.eps)
    (detached,) = torch.autograd.grad(((x - x.detach().mean()) * gain).sum(), x)
    zeros = torch.zeros_like(true)
    return torch.allclose(true, zeros + true_gradient) and torch.allclose(detached, zeros + gain * detached_over_gain)


class _Normalise(torch.autograd.Function):
    """x_hat of a batch, whose backward takes the statistics for constants if `through_statistics` is False."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, through_statistics: bool) -> Tensor:  # noqa: FBT001 - `apply` takes no keywords
        inv_std = 1 / torch.sqrt(x.var(0, correction=0) + 1e-5)
        x_hat = (x - x.mean(0)) * inv_std
        ctx.save_for_backward(x_hat, inv_std)
        ctx.through_statistics = through_statistics
        return x_hat

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad_y,), (x_hat, inv_std) = grads, ctx.saved_tensors
        if ctx.through_statistics:
            grad_y = grad_y - grad_y.mean(0) - x_hat * (x_hat * grad_y).mean(0)
        return inv_std * grad_y, None


def own_function(
    *, nodes: int = 1, right_passes: bool = True, constants_pass: bool = False, outputs_differ: bool = False
) -> bool:
    """A function of one's own in the graph, and what gradcheck says of a right backward and of a wrong one."""
    x = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    apply: Any = _Normalise.apply
    right, wrong = (apply(x, through) for through in (True, False))
    arithmetic = [one for one, _ in right.grad_fn.next_functions if one is not None and "Accumulate" not in one.name()]
    passed = [
        torch.autograd.gradcheck(lambda x, through=through: apply(x, through), x, raise_exception=False)
        for through in (True, False)
    ]
    return (
        1 + len(arithmetic) == nodes
        and passed == [right_passes, constants_pass]
        and torch.equal(right, wrong) is not outputs_differ
    )


def sum_hides_errors(
    *,
    upstream: int = 1,
    grad_x: int = 0,
    grad_gamma: int = 0,
    wrong_sign_shows: bool = False,
    missing_variance_term_shows: bool = False,
    detached_statistics_show: bool = True,
) -> bool:
    """What a sum as the loss lets pass: right and wrong formulas for an upstream gradient of ones."""
    layer = nn.BatchNorm1d(1, dtype=torch.float64)
    x = torch.randn(8, 1, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    y.retain_grad()
    y.sum().backward()
    x_hat, dy = y.detach(), torch.ones_like(x)
    centred = dy - dy.mean()
    wrong = (-(centred - x_hat * (dy * x_hat).mean()), centred, dy)
    shows = [not torch.allclose(formula, torch.zeros_like(x)) for formula in wrong]
    found = (y.grad, x.grad, layer.weight.grad)
    stated = (upstream, grad_x, grad_gamma)
    return all(
        gradient is not None and torch.allclose(gradient, torch.full_like(gradient, number), atol=1e-9)
        for gradient, number in zip(found, stated, strict=True)
    ) and shows == [wrong_sign_shows, missing_variance_term_shows, detached_statistics_show]


def weights_forget_their_scale(*, output_power: int = 0, gradient_power: int = -1, along_the_weights: int = 0) -> bool:
    """How output and gradient go with the scale of the weights, as powers of it, and their product with the weights."""
    layer = nn.BatchNorm1d(3, eps=1e-12, dtype=torch.float64)
    x, grad_y = torch.randn(16, 5, dtype=torch.float64), torch.randn(16, 3, dtype=torch.float64)
    weights = torch.randn(3, 5, dtype=torch.float64)

    def output_and_gradient(scale: int) -> tuple[Tensor, Tensor]:
        scaled = (scale * weights).requires_grad_()
        y = layer(x @ scaled.T)
        return y.detach(), torch.autograd.grad(y, scaled, grad_y)[0]

    y, gradient = output_and_gradient(1)
    y_scaled, gradient_scaled = output_and_gradient(4)
    return (
        torch.allclose(y_scaled, y * 4.0**output_power)
        and torch.allclose(gradient_scaled, gradient * 4.0**gradient_power)
        and math.isclose((weights * gradient).sum(), along_the_weights, abs_tol=1e-8)
    )


def directions_lost(*, lost: int = 2, share_at_two: int = 0, share_at_four: float = 0.5) -> bool:
    """The rank of the Jacobian of the normalised values, and the share of a random gradient's energy that passes."""

    def projection(count: int) -> Tensor:
        x = torch.randn(count, 1, dtype=torch.float64)
        layer = nn.BatchNorm1d(1, eps=1e-12, track_running_stats=False, dtype=torch.float64)
        jacobian: Tensor = torch.func.jacrev(layer)(x)
        return x.std(correction=0) * jacobian.reshape(count, count)

    def share(count: int) -> float:
        return (projection(count).square().sum() / count).item()  # E |P g|^2 / E |g|^2 for a random g

    ranks = [int(torch.linalg.matrix_rank(projection(count), atol=1e-4)) for count in (3, 8, 32)]
    return (
        ranks == [count - lost for count in (3, 8, 32)]
        and math.isclose(share(2), share_at_two, abs_tol=1e-6)
        and math.isclose(share(4), share_at_four, rel_tol=1e-6)
    )


def gradient_check_step(*, power: int = 2, times_ten_less: int = 100, best: float = 1e-5) -> bool:
    """How the error of central differences falls with the step, and the power of ten at which it is least."""
    rng = np.random.default_rng(0)
    x, grad_y = rng.normal(scale=2, size=(2, 8, 2))
    ones, zeros = np.ones(2), np.zeros(2)
    gradient = batch_norm_backward(grad_y, batch_norm_forward(x, ones, zeros)[1])[0]

    def loss(x: np.ndarray) -> float:
        return float((grad_y * batch_norm_forward(x, ones, zeros)[0]).sum())

    def error(step: float) -> float:
        directions = np.random.default_rng(1).normal(size=(50, 8, 2))
        numeric = [(loss(x + step * v) - loss(x - step * v)) / (2 * step) for v in directions]
        return float(np.median([abs(one - (gradient * v).sum()) for one, v in zip(numeric, directions, strict=True)]))

    steps = [10.0**-exponent for exponent in range(1, 11)]
    falls = error(1e-2) / error(1e-3)
    return (
        round(math.log10(falls), 2) == power
        and round(falls) == times_ten_less
        and math.isclose(min(steps, key=error), best)
    )


def _gradient_and_formula(*, mean_term: bool, x_hat_term: bool, gammas: int, training: bool) -> tuple[Tensor, Tensor]:
    """What autograd says of torch's layer for an uneven upstream gradient, and what a formula with these terms says."""
    layer = nn.BatchNorm1d(1, dtype=torch.float64)
    nn.init.constant_(layer.weight, 3.0)
    x = (5 + 2 * torch.randn(8, 1, dtype=torch.float64)).requires_grad_()
    grad_y = torch.randn(8, 1, dtype=torch.float64)
    layer.train(training)
    y = layer(x)
    (dx,) = torch.autograd.grad(y, x, grad_y)

    x_hat = y.detach() / 3
    var = x.detach().var(correction=0) if training else torch.ones(())
    taken_out = mean_term * grad_y.mean() + x_hat_term * x_hat * (grad_y * x_hat).mean()
    return dx, 3.0**gammas / torch.sqrt(var + layer.eps) * (grad_y - taken_out)
