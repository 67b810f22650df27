"""Proofs of answers on the definition and the purpose."""

import math

import torch
from torch import Tensor, nn


def four_lines(*, eps_inside_root: bool = True, biased: bool = True, gamma_scales: bool = True) -> bool:
    """The four lines give what torch computes, on a channel whose variance is near epsilon."""
    layer = nn.BatchNorm1d(1, dtype=torch.float64)
    nn.init.constant_(layer.weight, 2.0)
    x = torch.tensor([[0.0], [0.0], [0.01]], dtype=torch.float64)
    var = x.var(correction=0 if biased else 1)
    divisor = torch.sqrt(var + layer.eps) if eps_inside_root else torch.sqrt(var) + layer.eps
    x_hat = (x - x.mean()) / divisor
    return torch.allclose(layer(x), x_hat * (layer.weight if gamma_scales else 1) + layer.bias)


def start_of_the_affine(*, gamma: int = 1, beta: int = 0) -> bool:
    """A new layer of torch begins with this scale and this shift."""
    layer = nn.BatchNorm1d(3)
    return bool((layer.weight == gamma).all() and (layer.bias == beta).all())


def axes_of_a_convolution(
    *, axes: tuple[int, ...] = (0, 2, 3), values_per_mean: int = 6272, gammas: int = 64, images: int = 32
) -> bool:
    """Torch's statistics of an input of shape (32, 64, 14, 14)."""
    x = torch.randn(images, 64, 14, 14)
    layer = nn.BatchNorm2d(64, momentum=1.0)
    layer(x)
    count = x.numel() // 64
    return _equal(layer.running_mean, x.mean(axes)) and count == values_per_mean and layer.weight.shape == (gammas,)


def all_but_the_channel(
    *, table: tuple[int, ...] = (0,), series: tuple[int, ...] = (0, 2), images: tuple[int, ...] = (0, 2, 3)
) -> bool:
    """Torch averages over these axes in each of three layouts."""
    cases = (
        (nn.BatchNorm1d, (4, 3), table),
        (nn.BatchNorm1d, (4, 3, 5), series),
        (nn.BatchNorm2d, (4, 3, 5, 6), images),
    )
    agree = []
    for module, shape, axes in cases:
        x, layer = torch.randn(shape), module(3, momentum=1.0)
        layer(x)
        agree.append(_equal(layer.running_mean, x.mean(axes)))
    return all(agree)


def parameters_of_a_layer(*, channels: int = 64, learned: int = 128, statistics: int = 128, counters: int = 1) -> bool:
    """What torch's `BatchNorm2d(64)` holds."""
    layer = nn.BatchNorm2d(channels)
    numbers = {name: tensor.numel() for name, tensor in layer.named_buffers()}
    return (
        sum(parameter.numel() for parameter in layer.parameters()) == learned
        and numbers["running_mean"] + numbers["running_var"] == statistics
        and numbers["num_batches_tracked"] == counters
    )


def who_changes_what(
    *,
    forward_moves_buffers: bool = True,
    forward_moves_parameters: bool = False,
    optimiser_moves_parameters: bool = True,
    optimiser_moves_buffers: bool = False,
    checkpoint_carries_eps: bool = False,
) -> bool:
    """Which event of a training step changes which part of torch's layer, and what its checkpoint holds."""
    layer = nn.BatchNorm1d(2)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)

    def state() -> tuple[Tensor, Tensor]:
        parameters = torch.stack([layer.weight, layer.bias]).detach().clone()
        return parameters, torch.stack([layer.running_mean, layer.running_var]).clone()  # type: ignore[list-item]

    begin = state()
    (layer(torch.randn(8, 2)) * torch.randn(8, 2)).sum().backward()
    after_forward = state()
    optimiser.step()
    end = state()
    found = (
        not torch.equal(begin[1], after_forward[1]),
        not torch.equal(begin[0], after_forward[0]),
        not torch.equal(after_forward[0], end[0]),
        not torch.equal(after_forward[1], end[1]),
        "eps" in layer.state_dict(),
    )
    return found == (
        forward_moves_buffers,
        forward_moves_parameters,
        optimiser_moves_parameters,
        optimiser_moves_buffers,
        checkpoint_carries_eps,
    )


def gradient_through_statistics(*, others_count: bool = True, with_constants_others_count: bool = False) -> bool:
    """Whether one normalised value responds to the other inputs: with batch norm, and with constants."""
    x = torch.tensor([3.0, 9.0, 11.0, 17.0], dtype=torch.float64, requires_grad=True)
    layer = nn.BatchNorm1d(1, dtype=torch.float64)
    (by_batch_norm,) = torch.autograd.grad(layer(x[:, None])[0, 0], x)
    (by_constants,) = torch.autograd.grad(((x - 10) / 5)[0], x)
    responds = [bool((slopes[1:] != 0).all()) for slopes in (by_batch_norm, by_constants)]
    return responds == [others_count, with_constants_others_count]


def shape_is_kept(
    *, mean: int = 0, variance: int = 1, skewness_changes: bool = False, kurtosis_changes: bool = False
) -> bool:
    """Two moments of a skewed channel are set by torch's layer, and the shape stays."""
    x = torch.randn(1000, 1, dtype=torch.float64).exp()
    y = nn.BatchNorm1d(1, dtype=torch.float64)(x).detach()

    def standardised(values: Tensor, power: int) -> Tensor:
        return ((values - values.mean()) ** power).mean() / values.var(correction=0) ** (power / 2)

    changes = [not torch.isclose(standardised(x, power), standardised(y, power)) for power in (3, 4)]
    moments = math.isclose(y.mean(), mean, abs_tol=1e-3) and math.isclose(y.var(correction=0), variance, rel_tol=1e-3)
    return moments and changes == [skewness_changes, kurtosis_changes]


def fourteen_times(
    *,
    plain: float = 31.0,
    norm_alone: float = 13.3,
    recipe: float = 2.1,
    times_alone: float = 2.3,
    times_recipe: int = 14,
) -> bool:
    """The ratios of the paper's numbers of steps, in millions (arXiv:1502.03167, section 4.2)."""
    return round(plain / norm_alone, 1) == times_alone and math.floor(plain / recipe) == times_recipe


def _equal(one: Tensor | None, other: Tensor) -> bool:
    return one is not None and one.shape == other.shape and torch.allclose(one, other, atol=1e-6)
