"""Proofs of answers on the mathematics of the forward pass and on its numerics."""

import math

import numpy as np
import torch
from torch import nn

from bnlab.layers.functional import batch_norm
from bnlab.reference import batch_norm_forward, variance


def moments_of_x_hat(*, mean: int = 0, mean_square_at_eps: float = 0.5, std_at_eps: float = 0.707) -> bool:
    """The moments of a channel whose variance equals epsilon, and those of channels above and below."""
    eps = 1e-5
    x = np.array([-1.0, 1.0])[:, None] * np.sqrt([eps, 1.0, 1e-10])
    x_hat = batch_norm_forward(x, np.ones(3), np.zeros(3), eps=eps)[0]
    squares = np.square(x_hat).mean(0)
    return (
        np.allclose(x_hat.mean(0), mean)
        and np.allclose(squares, x.var(0) / (x.var(0) + eps))
        and math.isclose(squares[0], mean_square_at_eps)
        and round(float(np.sqrt(squares[0])), 3) == std_at_eps
    )


def shift_and_scale(
    *,
    shift: int = 7,
    shift_moves: bool = False,
    scale_moves: bool = False,
    negative_flips: bool = True,
    shift_in_evaluation_times_gain: int = 7,
) -> bool:
    """What torch's layer does to a channel that is shifted or scaled as a whole."""
    layer = nn.BatchNorm1d(1, dtype=torch.float64)
    x = torch.randn(64, 1, dtype=torch.float64)
    y = layer(x)
    found = (
        not torch.allclose(layer(x + shift), y),
        not torch.allclose(layer(3 * x), y, atol=1e-4),
        torch.allclose(layer(-x), -y),
    )
    layer.reset_running_stats()
    layer.eval()
    moved = (layer(x + shift) - layer(x)).mean().item() * math.sqrt(1 + layer.eps)
    return found == (shift_moves, scale_moves, negative_flips) and math.isclose(moved, shift_in_evaluation_times_gain)


def undone_on_one_batch(*, this_batch: bool = True, next_batch: bool = False) -> bool:
    """Whether gamma and beta, set from one batch, restore that batch and another one."""
    rng = np.random.default_rng(0)
    batches = rng.normal(size=(2, 16, 3))
    _, cache = batch_norm_forward(batches[0], np.ones(3), np.zeros(3))
    gamma, beta = 1 / cache.inv_std, cache.batch_mean
    restored = [bool(np.allclose(batch_norm_forward(batch, gamma, beta)[0], batch)) for batch in batches]
    return restored == [this_batch, next_batch]


def bias_before_batch_norm(
    *, saved: int = 256, weights: int = 65_536, gradient_in_training: int = 0, counts_when_frozen: bool = True
) -> bool:
    """A linear layer's bias directly before torch's batch norm: its size, and its gradient in both modes."""
    linear, layer = nn.Linear(256, 256, dtype=torch.float64), nn.BatchNorm1d(256, dtype=torch.float64)
    x, grad_y = torch.randn(2, 8, 256, dtype=torch.float64)

    def gradient() -> torch.Tensor:
        return torch.autograd.grad(layer(linear(x)), linear.bias, grad_y)[0]

    in_training = gradient()
    layer.eval()
    return (
        linear.bias.numel() == saved
        and linear.weight.numel() == weights
        and torch.allclose(in_training, torch.full_like(in_training, gradient_in_training))
        and bool((gradient() != 0).any()) == counts_when_frozen
    )


def divisors(*, normalises_less: int = 0, stores_less: int = 1, at_two: float = 1.414, at_four: float = 1.155) -> bool:
    """What torch subtracts from the count before it divides, and the factor between training and inference."""

    def factor(count: int) -> float:
        x = torch.linspace(-1, 1, count, dtype=torch.float64)[:, None]
        layer = nn.BatchNorm1d(1, momentum=1.0, eps=1e-12, affine=False, dtype=torch.float64)
        return float(layer(x).std() / layer.eval()(x).std())

    x = torch.randn(6, 1, dtype=torch.float64)
    layer = nn.BatchNorm1d(1, momentum=1.0, dtype=torch.float64)
    y = layer(x)
    assert layer.running_var is not None
    return (
        torch.allclose(y, (x - x.mean()) / torch.sqrt(x.var(correction=normalises_less) + layer.eps))
        and torch.allclose(layer.running_var, x.var(correction=stores_less))
        and (round(factor(2), 3), round(factor(4), 3)) == (at_two, at_four)
    )


def largest_x_hat(*, less: int = 1, at_two: int = 1, at_32: float = 5.57) -> bool:
    """The normalised value of one outlier among equal values, which no other channel exceeds."""

    def outlier(count: int) -> float:
        x = np.zeros((count, 1))
        x[0] = 1e6
        return float(batch_norm_forward(x, np.ones(1), np.zeros(1))[0][0, 0])

    heavy_tailed = np.random.default_rng(0).standard_cauchy((32, 1000))
    others = batch_norm_forward(heavy_tailed, np.ones(1000), np.zeros(1000))[0]
    return (
        all(math.isclose(outlier(count), math.sqrt(count - less), rel_tol=1e-6) for count in (2, 5, 32))
        and np.abs(others).max() <= outlier(32)
        and math.isclose(outlier(2), at_two, rel_tol=1e-6)
        and round(outlier(32), 2) == at_32
    )


def eps_caps_the_gain(
    *,
    torch_eps: float = 1e-5,
    largest_gain: int = 316,
    other_eps: float = 1e-3,
    its_gain: int = 32,
    outside_the_root: int = 100_000,
    std_at_eps: float = 0.707,
) -> bool:
    """The gain of a channel that hardly varies, inside the root and outside; the defaults are torch's and Keras's."""
    tiny = 1e-9 * np.array([[-1.0], [1.0]])

    def gain(eps: float) -> float:
        return float(batch_norm_forward(tiny, np.ones(1), np.zeros(1), eps=eps)[1].inv_std[0])

    at_eps = math.sqrt(torch_eps) * np.array([[-1.0], [1.0]])
    return (
        nn.BatchNorm1d(1).eps == torch_eps
        and (round(gain(torch_eps)), round(gain(other_eps))) == (largest_gain, its_gain)
        and round(1 / torch_eps) == outside_the_root
        and round(float(batch_norm_forward(at_eps, np.ones(1), np.zeros(1), eps=torch_eps)[0].std()), 3) == std_at_eps
    )


def raw_moments_cancel(
    *,
    mean: int = 5000,
    mean_of_squares: int = 25_000_001,
    square_of_mean: int = 25_000_000,
    spacing: int = 2,
    can_be_negative: bool = True,
) -> bool:
    """What float32 does to the mean of the squares less the square of the mean, near a mean of 5000 with variance 1."""
    near = np.array([5001, 5001, 5002], np.float32)
    return (
        (mean_of_squares, square_of_mean) == (mean**2 + 1, mean**2)
        and float(np.spacing(np.float32(square_of_mean))) == spacing
        and bool(variance.raw_moments(near)[1] < 0) == can_be_negative
        and math.isclose(variance.two_pass(near)[1], 2 / 9, rel_tol=1e-3)
    )


def invariance_ends_at_eps(
    *, shorter: float = 0.001, output: float = 0.302, gradient: int = 302, by_the_law: int = 1_000,
    never_above: int = 316, along_the_ray: bool = True,
) -> bool:  # fmt: skip
    """What a norm gives, and passes back, for weights 1,000 times shorter, at an epsilon of 1e-5."""
    generator = torch.Generator().manual_seed(0)
    x, grad_y = torch.randn(2, 16, 4, dtype=torch.float64, generator=generator)
    start = torch.randn(4, 1, dtype=torch.float64, generator=generator)
    start = start / (x @ start).std(correction=0)
    along = x @ start - (x @ start).mean()
    across = grad_y[:, :1] - (grad_y[:, :1] * along).mean() * along  # its part along the normalised values is for later

    def passed(scale: float, grad_y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        weights = (scale * start).requires_grad_()
        y = batch_norm(x @ weights, None, None, training=True, eps=1e-5)
        return y.detach(), torch.autograd.grad(y, weights, grad_y)[0]

    (y, here), (y_short, there) = passed(1.0, across), passed(shorter, across)
    leaning = nn.functional.cosine_similarity(passed(shorter, along)[1], start, dim=0).item()
    return (
        round((y_short.norm() / y.norm()).item(), 3) == output
        and round((there.norm() / here.norm()).item()) == gradient
        and math.isclose(1 / shorter, by_the_law)
        and round(1 / math.sqrt(1e-5)) == never_above
        and (leaning > 0.1) == along_the_ray
    )
