import numpy as np
import pytest
import torch

from bnlab.experiments.data import digits
from bnlab.experiments.models import mlp
from bnlab.experiments.probes import activation_stats, gradient_norms
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import signal_propagation as study
from bnlab.layers import BatchNorm1d

SMALL = study.Config(seeds=(0, 1), scales=(0.5, 1.0, 2.0), depth=6, width=64, batch_size=128)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def made_up(gradient, **changes):
    numbers = {"no_norm": np.array(gradient)[None, :, None]}
    config = study.Config(seeds=(0,), scales=(1.0,), depth=len(gradient), **changes)
    return study.Result(
        config=config,
        provenance=Provenance("2026-01-31", {}, "0123456789ab"),
        std=numbers,
        size=numbers,
        gradient=numbers,
    )


def test_without_a_norm_the_scale_is_raised_to_the_power_of_the_layer(result):
    layers = np.arange(1, 7)[:, None]
    size, gradient = result.size["no_norm"], result.gradient["no_norm"]
    assert size[0] / size[1] == pytest.approx(np.broadcast_to(0.5**layers, (6, 2)), rel=1e-4)
    assert size[2] / size[1] == pytest.approx(np.broadcast_to(2.0**layers, (6, 2)), rel=1e-4)
    assert (gradient[0, 0] / gradient[0, -1] < 1.5 * 0.5**5).all()  # it comes back through the same five layers


def test_with_batch_norm_the_scale_changes_nothing(result):
    for numbers in (result.std, result.size, result.gradient):
        assert numbers["batch_norm"][0] == pytest.approx(numbers["batch_norm"][1], rel=1e-2)  # eps counts a little
        assert numbers["batch_norm"][2] == pytest.approx(numbers["batch_norm"][1], rel=1e-2)


def test_what_is_recorded_is_what_stands_behind_each_relu(result):
    x, y = (tensor[:128] for tensor in digits().train)
    generator = torch.Generator().manual_seed(1)
    model = mlp(64, 10, depth=6, width=64, norm=BatchNorm1d, scale=2.0, generator=generator)
    stats, gradients = activation_stats(model, x, training=True), gradient_norms(model, x, y, training=True)
    relus = [str(3 * layer) for layer in range(1, 7)]  # linear, norm, ReLU, behind a flattening layer
    assert result.std["batch_norm"][2, :, 1] == pytest.approx([stats[name].std.item() for name in relus])
    assert result.size["batch_norm"][2, :, 1] == pytest.approx([stats[name].size.item() for name in relus])
    assert result.gradient["batch_norm"][2, :, 1] == pytest.approx([gradients[name].item() for name in relus])


def test_arms_with_the_same_norm_give_the_same_numbers(monkeypatch):
    monkeypatch.setattr(study, "ARMS", {"one": None, "other": None})
    result = study.run(SMALL)
    assert np.array_equal(result.std["one"], result.std["other"])
    assert np.array_equal(result.gradient["one"], result.gradient["other"])
    assert len(np.unique(result.gradient["one"])) == 3 * 6 * 2  # scales, layers and seeds do differ


def test_the_growth_is_counted_toward_the_input_over_the_middle_of_the_network():
    result = made_up([64.0, 32.0, 8.0, 2.0, 1.0])
    assert result.gradient_growth("no_norm", 1.0, 2) == pytest.approx([16.0])  # from the second layer to the fourth
    assert result.gradient_growth("no_norm", 1.0, 4) == pytest.approx([64.0])
    assert result.signal_kept("no_norm", 1.0) == pytest.approx([1 / 64])


@pytest.mark.parametrize("layers", [0, 5])
def test_a_growth_over_more_layers_than_there_are_is_refused(layers):
    with pytest.raises(ValueError, match=f"layers: expected from 1 to 4, got {layers}"):
        made_up([5.0, 4.0, 3.0, 2.0, 1.0]).gradient_growth("no_norm", 1.0, layers)


def test_a_scale_that_was_not_run_is_refused(result):
    with pytest.raises(ValueError, match=r"scale: expected one of 0\.5, 1\.0, 2\.0, got 3"):
        result.signal_kept("no_norm", 3)


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(ValueError, match="batch_size: expected at most the 1077 training examples, got 1078"):
        study.run(study.Config(batch_size=1078))


def test_the_theory_is_that_of_the_norm_and_not_of_its_square():
    assert round(study.GROWTH_IN_THEORY, 4) == 1.2112
