from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bnlab.experiments.data import digits
from bnlab.experiments.models import mlp
from bnlab.experiments.probes import layer_outputs, mean_shift
from bnlab.experiments.studies import input_drift as study
from bnlab.experiments.training import train
from bnlab.layers import BatchNorm1d

SMALL = study.Config(
    seeds=(3, 4), learning_rates=(0.5, 5.0), width=16, batch_size=20, steps=20, every=10, probe_size=50
)
PLACES = ["no_norm", "before_norm", "after_norm"]


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def seen_alone(norm, steps):
    """What each layer puts out for the probe after so many steps of the first rate and the second seed."""
    data = digits()
    model = mlp(
        64,
        10,
        depth=3,
        width=16,
        norm=norm,
        activation=nn.Sigmoid,
        scale=0.7,
        generator=torch.Generator().manual_seed(4),
    )
    if steps:
        train(model, data.train, learning_rate=0.5, seed=4, steps=steps, batch_size=20)
    outputs = layer_outputs(model, data.validation.x[:50], training=True)
    return {name: y.detach() for name, y in outputs.items()}


@pytest.mark.parametrize(("place", "norm", "layer"), [("no_norm", None, "5"), ("before_norm", BatchNorm1d, "7")])
def test_the_drift_is_that_of_the_last_hidden_linear_layer_of_a_network_trained_alone(result, place, norm, layer):
    looks = [seen_alone(norm, steps)[layer] for steps in (0, 10, 20)]
    medians = torch.stack([values.median(0).values for values in looks])
    expected = {
        "wander": np.ptp(medians.numpy(), axis=0).mean(),
        "from_start": mean_shift(looks[0], looks[2]).item(),
        "from_end": mean_shift(looks[2], looks[0]).item(),
        "per_look": np.sqrt(mean_shift(looks[0], looks[1]).item() * mean_shift(looks[1], looks[2]).item()),
    }
    found = {name: getattr(result, name)[place][0, 1] for name in expected}
    assert found == pytest.approx(expected, rel=1e-3)
    spread = [values.std(0, correction=0).mean().item() for values in (looks[0], looks[2])]
    assert result.spread[place][:, 0, 1] == pytest.approx(spread, rel=1e-3)


def test_behind_the_norm_all_begins_at_standard_deviation_one(result):
    assert result.spread["after_norm"][0] == pytest.approx(1, abs=0.01)
    assert (result.spread["before_norm"][0] < 0.9).all()


def test_a_norm_without_a_shift_of_its_own_has_a_mean_that_stays(monkeypatch):
    # What moves the mean behind the norm is beta alone.
    monkeypatch.setattr(study, "ARMS", {"no_norm": None, "batch_norm": lambda width: BatchNorm1d(width, bias=False)})
    fixed = study.run(replace(SMALL, learning_rates=(5.0,), seeds=(3,), width=8))
    assert (fixed.from_start["after_norm"] < 1e-5).all()
    assert (fixed.from_start["before_norm"] > 0.1).all()


def test_the_quantiles_are_those_of_the_first_units_of_each_layer_for_the_first_seed(result):
    assert result.looks().tolist() == [0, 10, 20]
    x = digits().validation.x[:50]
    model = mlp(64, 10, depth=3, width=16, activation=nn.Sigmoid, scale=0.7, generator=torch.Generator().manual_seed(3))
    outputs = layer_outputs(model, x, training=True)
    for layer, name in enumerate(("1", "3", "5")):
        expected = np.quantile(outputs[name].detach().numpy()[:, :3], (0.15, 0.5, 0.85), axis=0)
        for rate in (0, 1):  # the start is one for all rates
            assert result.quantiles["no_norm"][rate, layer, 0] == pytest.approx(expected, abs=1e-3)
    moved = result.quantiles["no_norm"][:, :, 2]
    assert not np.allclose(moved[0], moved[1])


def test_every_place_has_every_number(result):
    for name in ("wander", "from_start", "from_end", "per_look"):
        assert {place: array.shape for place, array in getattr(result, name).items()} == dict.fromkeys(PLACES, (2, 2))
    assert {array.shape for array in result.quantiles.values()} == {(2, 3, 3, 3, 3)}


def test_both_arms_start_from_the_same_weights(result):
    # What the linear layer in front of the first norm puts out at the start is the same in both.
    assert np.array_equal(result.quantiles["no_norm"][:, 0, 0], result.quantiles["before_norm"][:, 0, 0])
    assert not np.array_equal(result.quantiles["no_norm"][:, 0, 2], result.quantiles["before_norm"][:, 0, 2])


def test_the_best_rate_is_the_one_with_the_highest_median_in_validation(result):
    made_up = replace(result, validation={"no_norm": np.array([[0.9, 0.9, 0.1], [0.8, 0.8, 0.99]])})
    assert made_up.best_rate("no_norm") == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 25}, "steps: expected a multiple of every, 10, got 25"),
        ({"probe_size": 361}, "probe_size: expected at most 360, got 361"),
    ],
)
def test_settings_that_do_not_fit_the_data_or_each_other_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        study.run(replace(SMALL, **changes))
