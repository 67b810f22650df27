"""Proofs of answers on networks that misbehave, with the code or the plot that shows it."""

import copy
import math
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from bnlab.experiments.studies import STUDIES
from bnlab.practice.interview.plots import nodes_behind


def slow_statistics(
    *, momentum: float = 0.001, of_the_old: float = 0.999, early: int = 100, middle: int = 300, late: int = 1000,
    left_in_the_middle: float = 0.741, left_late: float = 0.368, as_it_is: int = 20, after_a_pass: int = 51,
    as_it_is_late: int = 31, after_a_pass_late: int = 65, at_a_hundredth: int = 22,
) -> bool:  # fmt: skip
    """What is left of a running mean's start, and the medians of the study `running_statistics` at a rate of 1."""
    layer = nn.BatchNorm1d(1, momentum=momentum, dtype=torch.float64)
    running_mean = layer.get_buffer("running_mean").fill_(1)
    x = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    left = {}
    with torch.no_grad():
        for step in range(1, late + 1):
            layer(x)
            if step in {1, middle, late}:
                left[step] = round(running_mean.item(), 3)
    study: Any = STUDIES["running_statistics"].stored()
    if momentum not in study.config.momenta or study.config.steps != (early, middle, late):
        return False
    rate, column = study.config.learning_rates.index(1.0), study.config.momenta.index(momentum)
    medians = [100 * np.median(found, axis=-1) for found in (study.running[rate, :, column], study.recalibrated[rate])]
    found = [round(float(of[step])) for step in (0, -1) for of in medians]
    stated = [as_it_is, after_a_pass, as_it_is_late, after_a_pass_late]
    slow = 100 * float(np.median(study.running[rate, 0, study.config.momenta.index(0.01)]))
    return (
        list(left.values()) == [of_the_old, left_in_the_middle, left_late]
        and found == stated
        and round(slow) == at_a_hundredth
    )


def trained_in_evaluation_mode(
    *, layers: int = 3, grows: int = 8, grows_in_training: int = 1, statistics_move: bool = False
) -> bool:
    """By how much the output grows if all weights double, behind stored statistics and behind those of the batch."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, 8, dtype=torch.float64, generator=generator)

    def network(scale: int) -> nn.Sequential:
        modules: list[nn.Module] = []
        for seed in range(layers):
            linear = nn.Linear(8, 8, bias=False, dtype=torch.float64)
            weight = torch.randn(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
            linear.weight = nn.Parameter(scale * weight)
            modules += [linear, nn.BatchNorm1d(8, eps=1e-12, dtype=torch.float64), nn.ReLU()]
        return nn.Sequential(*modules)

    plain, doubled = network(1).eval(), network(2).eval()
    as_much = torch.allclose(doubled(x), grows * plain(x))
    moved = any(name.endswith("running_mean") and bool(value.any()) for name, value in plain.named_buffers())
    same = torch.allclose(doubled.train()(x), grows_in_training * plain.train()(x), atol=1e-9)
    return as_much and same and moved == statistics_move


def graph_kept(
    *, after_one: int = 7, a_step: int = 6, many: int = 200, after_many: int = 1201, under_no_grad: int = 0,
    copies: bool = False, batch_stays_after_backward: bool = False, batch_stays_without: bool = True,
    gradient_in_evaluation: bool = False,
) -> bool:  # fmt: skip
    """Nodes behind a running mean that is averaged with its gradient, and what else its graph keeps or hinders."""
    linear, x = nn.Linear(2, 2), torch.ones(3, 2)
    attached, detached, counted = torch.zeros(2), torch.zeros(2), {}
    for step in range(1, many + 1):
        mean = linear(x).mean(0)
        attached = 0.9 * attached + 0.1 * mean
        with torch.no_grad():
            detached = 0.9 * detached + 0.1 * mean
        if step in {1, 2, many}:
            counted[step] = nodes_behind(attached)
    layer = nn.Sequential(linear, _Attached(2))
    stays = []
    for backward in (True, False):
        batch = torch.randn(3, 2)
        batch_lives, y = weakref.ref(batch), layer(batch)
        if backward:
            y.square().sum().backward()
        del batch, y
        stays.append(batch_lives() is not None)
    evaluated = layer.eval()(x).sum()
    return (
        counted == {1: after_one, 2: after_one + a_step, many: after_many}
        and nodes_behind(detached) == under_no_grad
        and _runs(lambda: copy.deepcopy(attached)) == copies
        and stays == [batch_stays_after_backward, batch_stays_without]
        and _runs(evaluated.backward) == gradient_in_evaluation
    )


def _runs(action: Callable[[], Any]) -> bool:
    try:
        action()
    except RuntimeError:
        return False
    return True


class _Attached(nn.Module):
    """The layer of the question `memory-by-the-step`."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(c)), nn.Parameter(torch.zeros(c))
        self.running_mean, self.running_var = torch.zeros(c), torch.ones(c)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            mean, var = x.mean(0), x.var(0, correction=0)
            self.running_mean = 0.9 * self.running_mean + 0.1 * mean
            self.running_var = 0.9 * self.running_var + 0.1 * var
        else:
            mean, var = self.running_mean, self.running_var
        x_hat = (x - mean) / torch.sqrt(var + 1e-5)
        return self.weight * x_hat + self.bias


class _SixMistakes(nn.Module):
    """The layer of the question `review-a-layer`."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.gamma, self.beta = torch.ones(c), torch.zeros(c)
        self.mean, self.var = torch.zeros(c), torch.ones(c)

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
            with torch.no_grad():
                self.mean = 0.9 * mean + 0.1 * self.mean
                self.var = 0.9 * var + 0.1 * self.var
        else:
            mean, var = self.mean, self.var
        shape = (1, -1, 1, 1)
        x = (x - mean.view(shape)) / (var.sqrt().view(shape) + 1e-5)
        return self.gamma.view(shape) * x + self.beta.view(shape)


def a_layer_with_six_mistakes(
    *, parameters: int = 0, saved: int = 0, company_counts_after_eval: bool = True, of_the_new: float = 0.9,
    in_torch: float = 0.1, of_two: float = 0.707, outside: float = 0.99, inside: float = 0.302, images: int = 32,
    side: int = 8, passes_on_random_images: bool = True, passes_on_two_values: bool = False,
) -> bool:  # fmt: skip
    """Each mistake of a layer beside `nn.BatchNorm2d`, and whether a comparison on random images shows any."""
    layer, right = _SixMistakes(3), nn.BatchNorm2d(3)
    x, two = torch.randn(images, 3, side, side), torch.tensor([-1.0, 1.0]).expand(3, 2).T[:, :, None, None]
    agree = [torch.allclose(layer(batch), right(batch), rtol=1e-3, atol=1e-3) for batch in (x, two)]
    company = not torch.allclose(layer.eval()(x)[:2], layer(x[:2]), atol=1e-4)
    fresh, fresh_right = _SixMistakes(3), nn.BatchNorm2d(3)
    for one in (fresh, fresh_right):
        one(two + 1)
    quiet = two.repeat(500, 1, 1, 1) * 1e-3
    spreads = [round(one(quiet)[:, 0].std(correction=0).item(), 3) for one in (layer, nn.BatchNorm2d(3))]
    values_a_channel = images * side**2
    return (
        (len(list(layer.parameters())), len(layer.state_dict())) == (parameters, saved)
        and company == company_counts_after_eval
        and math.isclose(fresh.mean[0].item(), of_the_new, rel_tol=1e-5)
        and math.isclose(fresh_right.get_buffer("running_mean")[0].item(), in_torch, rel_tol=1e-5)
        and round(layer(two).detach().max().item(), 3) == of_two
        and spreads == [outside, inside]
        and values_a_channel == 2048
        and agree == [passes_on_random_images, passes_on_two_values]
    )


def two_norms_of_weights(
    *, without_decay: float = 2.57, with_decay: float = 0.311, times: float = 8.3, same_output: bool = True,
    gradient_is_orthogonal: bool = True, gradient_of_halves: int = 2, rises_with_momentum: bool = True,
) -> bool:  # fmt: skip
    """The norms at the end of the study `weight_decay`, and what the scale of weights before a norm does."""
    study: Any = STUDIES["weight_decay"].stored()
    paths = [np.median(study.squared_norm[arm], axis=1) for arm in ("batch_norm", "decay")]
    ends = [float(path[-1]) for path in paths]
    x, upstream = torch.randn(16, 5, dtype=torch.float64), torch.randn(16, 1, dtype=torch.float64)
    layer = nn.BatchNorm1d(1, eps=1e-12, dtype=torch.float64)
    weight = torch.randn(5, 1, dtype=torch.float64, requires_grad=True)
    half = (weight.detach() / 2).requires_grad_()
    outputs = [layer(x @ one) for one in (weight, half)]
    gradients = [torch.autograd.grad(y, one, upstream)[0] for y, one in zip(outputs, (weight, half), strict=True)]
    return (
        [round(ends[0], 2), round(ends[1], 3)] == [without_decay, with_decay]
        and round(ends[0] / ends[1], 1) == times
        and bool((np.diff(paths[0]) >= 0).all() and study.config.momentum > 0) == rises_with_momentum
        and torch.allclose(*outputs) == same_output
        and (abs((gradients[0] * weight).sum().item()) < 1e-9) == gradient_is_orthogonal
        and torch.allclose(gradients[1], gradient_of_halves * gradients[0])
    )


def variance_behind_dropout(
    *, second: float = 0.67, spread: float = 0.82, stored: int = 38, exact: int = 41, behind_the_last: int = 50,
    mean_square: int = 2, mean_stays: bool = True,
) -> bool:  # fmt: skip
    """What dropout does to mean and mean square, and the medians of the study `dropout_before_norm`."""
    study: Any = STUDIES["dropout_before_norm"].stored()
    met = float(np.median(study.variance["before_norms"], axis=1)[1])
    accuracies = [study.running["before_norms"], study.exact["before_norms"], study.exact["behind_the_last"]]
    x = torch.full((200_000,), 3.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        dropped = nn.functional.dropout(x, 0.5, training=True)
    return (
        (round(met, 2), round(math.sqrt(met), 2)) == (second, spread)
        and [round(100 * float(np.median(one))) for one in accuracies] == [stored, exact, behind_the_last]
        and math.isclose(dropped.square().mean().item(), mean_square * 9, rel_tol=0.02)
        and math.isclose(dropped.mean().item(), 3, rel_tol=0.02) == mean_stays
    )


def growth_towards_the_input(
    *, measured: float = 1.21, layers: int = 19, times: int = 39, square: float = 1.467, a_layer: float = 1.211,
    further: int = 99, over_them: float = 1.7e8, grows_without: bool = False,
) -> bool:  # fmt: skip
    """How the gradient grows in the study `signal_propagation` from He's start, and the rate that theory gives."""
    study: Any = STUDIES["signal_propagation"].stored()
    scale = study.config.scales.index(1.0)
    plain, norm = (np.median(study.gradient[arm][scale], axis=1) for arm in ("no_norm", "batch_norm"))
    found = float(norm[0] / norm[-1])
    rate = math.pi / (math.pi - 1)
    return (
        layers == study.config.depth - 1
        and round(found) == times
        and round(found ** (1 / layers), 2) == measured
        and (round(rate, 3), round(math.sqrt(rate), 3)) == (square, a_layer)
        and float(f"{math.sqrt(rate) ** further:.1e}") == over_them
        and bool(plain[0] / plain[-1] > 1.5) == grows_without
    )


def one_example_left(
    *, examples: int = 1025, batch: int = 32, batches: int = 33, left: int = 1, raises: bool = True,
    raises_in_evaluation: bool = False, two_raise: bool = False, two_become: int = 1, weight: float = 0.1,
) -> bool:  # fmt: skip
    """What a loader leaves for its last batch, and what a norm does with one and with two examples."""
    sizes = [len(one) for (one,) in DataLoader(TensorDataset(torch.zeros(examples, 1)), batch_size=batch)]
    layer = nn.BatchNorm1d(1, eps=1e-12, dtype=torch.float64)
    one, two = torch.tensor([[3.0]], dtype=torch.float64), torch.tensor([[0.0], [2.0]], dtype=torch.float64)

    def refuses(x: Tensor) -> bool:
        try:
            layer(x)
        except ValueError:
            return True
        return False

    refused = [refuses(one), refuses(two)]
    moved = layer.get_buffer("running_mean").item()
    normalised = layer(two).detach().ravel()
    refused.append((layer.eval(), refuses(one))[1])
    return (
        (len(sizes), sizes[-1]) == (batches, left)
        and refused == [raises, two_raise, raises_in_evaluation]
        and torch.allclose(normalised, torch.tensor([-two_become, two_become]).double())
        and math.isclose(moved, weight)
    )


def norm_of_the_rows(
    *, means: int = 28, values: int = 2688, channels: int = 6, right_values: int = 12_544, images: int = 16,
    scale_of_a_channel_counts: bool = True, and_over_the_right_axes: bool = False, later_rows_fit: bool = False,
) -> bool:  # fmt: skip
    """Statistics over the axes 0, 2 and 3 of images whose channels are last, beside those over 0, 1 and 2."""
    x = np.random.default_rng(0).normal(size=(images, 28, 28, channels))
    louder = x * np.where(np.arange(channels) == 0, 10.0, 1.0)

    def normalised(x: Any, axes: tuple[int, ...]) -> Any:
        return (x - x.mean(axes, keepdims=True)) / x.std(axes, keepdims=True)

    counts = [not np.allclose(normalised(x, axes), normalised(louder, axes)) for axes in ((0, 2, 3), (0, 1, 2))]
    mean = x.mean(axis=(0, 2, 3), keepdims=True)
    try:
        np.broadcast_shapes((images, 32, 28, channels), mean.shape)
    except ValueError:
        fits = False
    else:
        fits = True
    return (
        (mean.size, x.size // mean.size) == (means, values)
        and x.size // x.mean((0, 1, 2)).size == right_values
        and (images, channels) == (16, 6)
        and counts == [scale_of_a_channel_counts, and_over_the_right_axes]
        and fits == later_rows_fit
    )
