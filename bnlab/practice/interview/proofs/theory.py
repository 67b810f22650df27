"""Proofs of answers on why batch norm helps: shifts, gradients, rates, and networks at their start."""

import math
from functools import cache
from itertools import combinations

import torch
from torch import Tensor, nn


def two_shifts(
    *, shift_of_moments: int = 0, change_of_gradient: int = 1, shift_in_stds: int = 3, change_behind_a_norm: int = 0
) -> bool:
    """Weights that turn in front of a norm, and a shift that a norm behind takes out, by both measures of a shift."""
    x = torch.tensor([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    norm = nn.BatchNorm1d(1, eps=1e-12, affine=False, dtype=torch.float64)
    before, after = (norm(x[:, [feature]]) for feature in (0, 1))

    def gradient(h: Tensor) -> float:
        weight = torch.ones((), dtype=torch.float64, requires_grad=True)
        loss = (weight * h - x[:, [0]]).square().mean() / 2
        return torch.autograd.grad(loss, weight)[0].item()

    moved = abs(before.mean() - after.mean()) + abs(before.std(correction=0) - after.std(correction=0))
    shift = shift_in_stds * x.std(0, correction=0)
    distance = ((x + shift).mean(0) - x.mean(0)) / x.std(0, correction=0)
    weights, grad_y = torch.randn(2, 1).double().requires_grad_(), torch.randn(4, 1).double()
    here, there = (torch.autograd.grad(norm(h @ weights), weights, grad_y)[0] for h in (x, x + 3))
    return (
        math.isclose(moved.item(), shift_of_moments, abs_tol=1e-9)
        and math.isclose(abs(gradient(before) - gradient(after)), change_of_gradient, rel_tol=1e-6)
        and torch.allclose(distance, torch.full_like(distance, 3))
        and math.isclose((here - there).norm().item(), change_behind_a_norm, abs_tol=1e-6)
    )


def gradient_behind_the_norm(
    *, squared: int = 12, along_one: int = 4, along_x_hat: int = 4, left: int = 4, at_a_tenth: int = 400
) -> bool:
    """What batch norm takes out of the gradient (3, 1, 1, -1), and what its gain makes of the rest."""
    grad_y = torch.tensor([[3], [1], [1], [-1]], dtype=torch.float64)
    x_hat = torch.tensor([[-1], [-1], [1], [1]], dtype=torch.float64)
    norm = nn.BatchNorm1d(1, eps=1e-12, dtype=torch.float64)

    def size(spread: float) -> float:
        x = (spread * x_hat).requires_grad_()
        return torch.autograd.grad(norm(x), x, grad_y)[0].square().sum().item()

    found = [
        grad_y.square().sum().item(),
        grad_y.sum().square().item() / 4,
        (grad_y * x_hat).sum().square().item() / 4,
        size(1.0),
        size(0.1),
    ]
    stated = [squared, along_one, along_x_hat, left, at_a_tenth]
    return all(math.isclose(one, other, rel_tol=1e-6) for one, other in zip(found, stated, strict=True))


def rate_tunes_itself(*, steps: int = 5000, turn: float = 0.01, smallest: float = 0.1, largest: int = 10) -> bool:
    """The turn of a step on weights before a norm, without decay, after many steps at rates 100 times apart."""

    def turn_after(rate: float, steps: int) -> float:
        squared = 1.0  # the gradient has norm 1 at length 1, and is orthogonal to the weights
        for _ in range(steps):
            squared += rate**2 / squared
        return rate / squared

    turns = [turn_after(rate, steps) for rate in (smallest, 1.0, largest)]
    return (
        math.isclose(largest / smallest, 100)
        and math.isclose(turn, 1 / math.sqrt(2 * steps))
        and all(math.isclose(one, turn, rel_tol=0.01) for one in turns)
    )


def growth_without_relu(
    *, at_8: float = 1.2, at_4: int = 2, at_32: float = 1.034, large: int = 512, at_large: float = 1.002
) -> bool:
    """By how much the squared gradient of a linear network with batch norm grows a layer, by the values per channel."""
    limits = {count: (count - 2) / (count - 3) for count in (4, 8, 32, large)}
    stated = {4: at_4, 8: at_8, 32: at_32, large: at_large}
    found = {count: _growth_of_rows(count) for count in (8, 32)}
    return (
        large == 512
        and all(round(limits[count], 3) == one for count, one in stated.items())
        and all(math.isclose(one, stated[count], rel_tol=0.01) for count, one in found.items())
        and math.isclose(_growth_of_layers(8), at_8, rel_tol=0.03)
    )


@cache
def _growth_of_rows(count: int, rows: int = 100_000) -> float:
    """The mean factor by which one norm over `count` random values changes the square of a gradient that sums to 0."""
    generator = torch.Generator().manual_seed(0)
    x, grad_y = torch.randn(2, count, rows, generator=generator)
    grad_y = grad_y - grad_y.mean(0)
    x.requires_grad_()
    y = nn.functional.batch_norm(x, None, None, training=True, eps=1e-12)
    grad_x = torch.autograd.grad(y, x, grad_y)[0]
    # what comes from normalised inputs has the variance count / (count - 1) of centred values
    return float(grad_x.square().sum() / grad_y.square().sum()) * (count - 1) / count


@cache
def _growth_of_layers(count: int, layers: int = 12, width: int = 512) -> float:
    """The mean growth a layer of the squared gradient in one linear network with batch norm, at its start."""
    generator = torch.Generator().manual_seed(0)
    states = [torch.randn(count, width, generator=generator).requires_grad_()]
    for _ in range(layers):
        weight = torch.randn(width, width, generator=generator) / math.sqrt(width)
        states.append(nn.functional.batch_norm(states[-1] @ weight, None, None, training=True, eps=1e-12))
    upstream = torch.randn(count, width, generator=generator)
    gradients = torch.autograd.grad(states[-1], states[1:-1], upstream)
    return float((gradients[0].norm() / gradients[-1].norm()) ** (2 / (layers - 2)))


def loss_is_no_sum(
    *, of_the_whole: int = 0, of_pairs: float = 0.509, without_norm: int = 0, mates_have_a_gradient: bool = True,
    in_evaluation: bool = False,
) -> bool:  # fmt: skip
    """Targets that the norm of all four values -3, -1, 1 and 3 meets: the loss over the whole and over all pairs."""
    x = torch.tensor([[-3], [-1], [1], [3]], dtype=torch.float64)
    norm = nn.BatchNorm1d(1, eps=1e-12, affine=False, dtype=torch.float64)
    target = norm(x)

    def of_all_pairs(function: nn.Module, target: Tensor) -> float:
        losses = [(function(x[list(pair)]) - target[list(pair)]).square().mean() for pair in combinations(range(4), 2)]
        return torch.stack(losses).mean().item()

    def reaches_mates() -> bool:
        data = x.clone().requires_grad_()
        return bool(torch.autograd.grad(norm(data)[0].square().sum(), data)[0][1:].abs().max() > 1e-6)

    found = [(norm(x) - target).square().mean().item(), of_all_pairs(norm, target), of_all_pairs(nn.Identity(), x)]
    reaches = [reaches_mates()]
    norm.eval()
    reaches.append(reaches_mates())
    return [round(one, 3) for one in found] == [of_the_whole, of_pairs, without_norm] and reaches == [
        mates_have_a_gradient,
        in_evaluation,
    ]


def inputs_kept_apart(
    *, start: float = 0.5, layers: int = 50, without: float = 0.989, below_0_behind_the_norm: float = 0.143,
    with_norm: float = 0.25, large_batch: float = 0.318,
) -> bool:  # fmt: skip
    """The cosine of two inputs in a wide, untrained ReLU network, without a norm and with one over 8 or many inputs."""

    def behind_relu(cosine: float) -> float:
        angle = math.acos(cosine)
        return (math.sin(angle) + (math.pi - angle) * cosine) / math.pi

    cosine = start
    for _ in range(layers):
        cosine = behind_relu(cosine)
    limits = (round(cosine, 3), round(1 / 7, 3), round(behind_relu(-1 / 7), 3), round(behind_relu(0.0), 3))
    normed, plain = (_mean_cosine(norm=norm) for norm in (True, False))
    return (
        (start, layers) == (0.5, 50)
        and limits == (without, below_0_behind_the_norm, with_norm, large_batch)
        and math.isclose(normed, with_norm, rel_tol=0.1)
        and math.isclose(plain, without, rel_tol=0.01)
    )


@cache
def _mean_cosine(*, norm: bool, layers: int = 50, width: int = 512, inputs: int = 8) -> float:
    """The mean cosine of 8 inputs that begin at 0.5, behind the layers of one network."""
    generator = torch.Generator().manual_seed(0)
    h = (torch.randn(1, width, generator=generator) + torch.randn(inputs, width, generator=generator)) / math.sqrt(2)
    for _ in range(layers):
        h = h @ torch.randn(width, width, generator=generator) * math.sqrt(2 / width)
        h = torch.relu(nn.functional.batch_norm(h, None, None, training=True) if norm else h)
    directions = nn.functional.normalize(h)
    return float(((directions @ directions.T).sum() - inputs) / (inputs * (inputs - 1)))
