from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from bnlab.experiments import probes
from bnlab.experiments.ensemble import Ensemble
from bnlab.experiments.models import cnn, mlp
from bnlab.layers import BatchNorm1d, BatchNorm2d


@pytest.fixture
def by_hand():
    """Two units: x and 2x; ReLU; their sum and their difference as logits."""
    first, last = nn.Linear(1, 2, bias=False), nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0], [2.0]]))
        last.weight.copy_(torch.tensor([[1.0, 1.0], [1.0, -1.0]]))
    return nn.Sequential(first, nn.ReLU(), last)


def network(**changes):
    settings = {"depth": 2, "width": 6, "norm": BatchNorm1d, "generator": torch.Generator().manual_seed(1)}
    return mlp(5, 3, **settings | changes)


def test_the_moments_are_those_computed_by_hand(by_hand):
    stats = probes.activation_stats(by_hand, torch.tensor([[-1.0], [3.0]]), training=True)
    assert list(stats) == ["0", "1", "2"]
    # The first layer puts out (-1, -2) and (3, 6): the units' standard deviations over the batch are 2 and 4.
    assert [number.item() for number in stats["0"]] == pytest.approx([1.5, np.sqrt(10), np.sqrt(12.5)])
    # Behind the ReLU (0, 0) and (3, 6): standard deviations 1.5 and 3.
    assert [number.item() for number in stats["1"]] == pytest.approx([2.25, np.sqrt(5.625), np.sqrt(11.25)])


def test_the_gradient_norms_are_those_computed_by_hand(by_hand):
    norms = probes.gradient_norms(by_hand, torch.tensor([[1.0]]), torch.tensor([0]), training=True)
    # The logits are 3 and -1, so the first class has probability 1 / (1 + exp(-4)), and p is what it lacks.
    p = 1 / (1 + np.exp(4))
    # Backwards: (-p, p) at the logits; (0, -2p) at the ReLU's output, and the same in front of it.
    expected = {"0": 2 * p, "1": 2 * p, "2": p * np.sqrt(2)}
    assert {name: norm.item() for name, norm in norms.items()} == pytest.approx(expected)


def test_channels_of_an_image_are_units_and_positions_count_like_examples():
    x = torch.arange(24.0).view(2, 3, 2, 2)
    std = probes.activation_stats(nn.Sequential(nn.Identity()), x, training=True)["0"].std
    assert std.item() == pytest.approx(
        x[:, 0].std(correction=0).item()
    )  # every channel has the same values but for a shift


@pytest.mark.parametrize("probe", ["stats", "gradients"])
def test_a_probe_leaves_buffers_modes_gradients_and_hooks_as_they_were(probe):
    model = network()
    model[2].eval()  # one layer frozen, as in fine-tuning
    model[1].weight.grad = torch.ones(6, 5)
    before, modes = deepcopy(model.state_dict()), [module.training for module in model.modules()]
    x, y = 3 + torch.randn(8, 5), torch.zeros(8, dtype=torch.int64)
    if probe == "stats":
        probes.activation_stats(model, x, training=True)
    else:
        probes.gradient_norms(model, x, y, training=True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(model[1].weight.grad, torch.ones(6, 5))
    assert model[4].weight.grad is None
    assert x.grad is None
    assert not any(module._forward_hooks for module in model.modules())


def test_a_probe_that_fails_takes_its_hooks_off_and_puts_the_modes_back():
    model = network().eval()
    with pytest.raises(RuntimeError):
        probes.activation_stats(model, torch.randn(8, 4), training=True)
    assert not any(module._forward_hooks or module.training for module in model.modules())


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_says_whose_statistics_normalise(training):
    x = 5 + torch.randn(8, 5)
    std = probes.activation_stats(network(), x, training=training)["2"].std.item()
    assert (std == pytest.approx(1, abs=1e-4)) == training


def test_a_layer_that_works_in_place_does_not_change_what_the_one_before_it_put_out():
    model = nn.Sequential(nn.Identity(), nn.Linear(5, 6), nn.ReLU(inplace=True), nn.Linear(6, 3))
    x, y = torch.randn(8, 5), torch.zeros(8, dtype=torch.int64)
    outputs = probes.layer_outputs(model, x, training=True)
    assert (outputs["1"] < 0).any()
    assert (outputs["2"] >= 0).all()
    assert set(probes.gradient_norms(model, x, y, training=True)) == {"0", "1", "2", "3"}


@pytest.mark.parametrize("training", [True, False])
def test_the_probe_of_an_ensemble_gives_each_member_what_it_gives_alone(training):
    models = [network(generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    x = torch.randn(8, 5)
    ensemble = Ensemble.of(models)
    buffers = {name: buffer.clone() for name, buffer in ensemble.buffers.items()}
    together = probes.activation_stats(ensemble, x, training=training)
    alone = [probes.activation_stats(model, x, training=training) for model in models]
    for name, moments in together.items():
        for number, *numbers in zip(moments, *(stats[name] for stats in alone), strict=True):
            torch.testing.assert_close(number, torch.stack(numbers))
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in ensemble.buffers.items())


def test_images_go_through_an_ensemble_too():
    models = [cnn(1, 3, depth=2, width=4, norm=BatchNorm2d), cnn(1, 3, depth=2, width=4, norm=BatchNorm2d)]
    stats = probes.activation_stats(Ensemble.of(models), torch.randn(8, 1, 5, 5), training=True)
    torch.testing.assert_close(stats["1"].std, torch.ones(2), atol=1e-3, rtol=0)


def test_the_gradient_at_a_layer_is_how_the_loss_changes_with_its_output():
    model, (x, y) = network().double(), (torch.randn(8, 5).double(), torch.arange(8) % 3)
    norms = probes.gradient_norms(model, x, y, training=True)
    head = deepcopy(model)[4:].train()
    entering = probes.layer_outputs(model, x, training=True)["3"].detach()  # what the second hidden layer is given
    direction, step = torch.randn_like(entering), 1e-5
    losses = [nn.functional.cross_entropy(head(entering + sign * step * direction), y) for sign in (1, -1)]
    leaf = entering.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(head(leaf), y), leaf)
    assert ((losses[0] - losses[1]) / (2 * step)).item() == pytest.approx((gradient * direction).sum().item(), rel=1e-6)
    assert norms["3"].item() == pytest.approx(gradient.norm().item())


def test_the_mean_shift_is_in_standard_deviations_of_each_unit_before():
    before = torch.tensor([[1.0, 0.0], [3.0, 20.0]])  # means 2 and 10, standard deviations 1 and 10
    after = torch.tensor([[5.0, 5.0], [5.0, 5.0]])
    assert probes.mean_shift(before, after).item() == pytest.approx((3 / 1 + 5 / 10) / 2)
    both = probes.mean_shift(torch.stack([before, before]), torch.stack([after, before]))
    assert both.tolist() == pytest.approx([1.75, 0])
