import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bnlab.deploy import recalibrate
from bnlab.experiments.data import digits
from bnlab.experiments.models import mlp
from bnlab.experiments.probes import layer_outputs, mean_shift
from bnlab.experiments.studies import noisy_norm as study
from bnlab.experiments.training import train
from bnlab.layers import BatchNorm1d

SMALL = study.Config(
    dataset="digits",
    seeds=(3, 4),
    strengths=(0.5,),
    learning_rates=(0.1, 0.3),
    depth=3,
    width=12,
    batch_size=20,
    steps=6,
    every=3,
    probe_size=50,
)
ARMS = ["no_norm", "no_norm 0.5", "batch_norm", "batch_norm 0.5"]


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def trained(norm, steps):
    """The network of the second rate and the second seed, trained alone; and the places of its last hidden layer."""
    model = mlp(64, 10, depth=3, width=12, norm=norm, generator=torch.Generator().manual_seed(4))
    if steps:
        train(model, digits().train, learning_rate=0.3, seed=4, steps=steps, batch_size=20)
    linear = [int(name) for name, layer in model.named_children() if isinstance(layer, nn.Linear)][-2]
    return model, f"{linear}.weight", str(linear if norm is None else linear + 1)


def gradient_alone(model, weight):
    probe = digits().train
    model = deepcopy(model).train()
    loss = nn.functional.cross_entropy(model(probe.x[:50]), probe.y[:50])
    return torch.autograd.grad(loss, model.get_parameter(weight))[0].flatten().double(), loss.item()


@pytest.mark.parametrize(("arm", "norm"), [("no_norm", None), ("batch_norm", BatchNorm1d)])
def test_the_drift_is_that_of_one_step_of_a_network_trained_alone(result, arm, norm):
    x = digits().train.x[:50]
    models = [trained(norm, steps) for steps in (3, 4)]
    before, after = (layer_outputs(model, x, training=True)[place].detach() for model, _, place in models)
    assert result.drift[arm][1, 1, 1] == pytest.approx(mean_shift(before, after).item(), rel=1e-3)


@pytest.mark.parametrize(("arm", "norm"), [("no_norm", None), ("batch_norm", BatchNorm1d)])
def test_the_gradient_shift_is_what_the_layers_below_do_to_the_gradient_of_the_layer(result, arm, norm):
    (mixed, weight, _), (after, _, _) = trained(norm, 3), trained(norm, 4)
    old, loss = gradient_alone(mixed, weight)
    layer = int(weight.split(".")[0])
    for number in range(layer):  # all that lies in front of the layer, norms too, is updated; the layer is not
        mixed[number].load_state_dict(after[number].state_dict())
    new, _ = gradient_alone(mixed, weight)
    assert result.distance[arm][1, 1, 1] == pytest.approx((new - old).norm().item(), rel=1e-3)
    assert result.distance_held[arm] == pytest.approx(result.distance[arm])  # there is no noise
    assert result.cosine[arm][1, 1, 1] == pytest.approx((new @ old / new.norm() / old.norm()).item(), rel=1e-4)
    assert result.loss[arm][1, 1, 1] == pytest.approx(loss, rel=1e-4)


def test_networks_are_judged_by_recalibrated_statistics_and_by_running_ones(result):
    data = digits()
    model, _, _ = trained(BatchNorm1d, 6)

    def share(split):
        return (model.eval()(split.x).argmax(1) == split.y).double().mean().item()

    assert result.best_rate("batch_norm") == 1
    assert result.test_running["batch_norm"][1] == pytest.approx(share(data.test))
    recalibrate(model, [data.train.x])
    assert result.test["batch_norm"][1] == pytest.approx(share(data.test))
    assert result.validation["batch_norm"][1, 1] == pytest.approx(share(data.validation))
    loss = nn.functional.cross_entropy(model(data.train.x), data.train.y).item()
    assert result.train_loss["batch_norm"][1, 1] == pytest.approx(loss, rel=1e-4)
    assert not np.array_equal(result.test["batch_norm"], result.test_running["batch_norm"])
    assert np.array_equal(result.test["no_norm"], result.test_running["no_norm"])


def test_noise_is_one_factor_and_one_shift_a_unit_and_new_in_each_pass():
    noise, x = study.Noise(0.25), torch.randn(7, 2000, generator=torch.Generator().manual_seed(0))
    ys = [noise(x), noise(x)]
    for y in ys:
        factor = (y[1] - y[0]) / (x[1] - x[0])
        shift = y[0] - factor * x[0]
        assert torch.allclose(y, factor * x + shift, atol=1e-3)
        for drawn, middle in ((factor, 1.0), (shift, 0.0)):
            usual = drawn[(x[1] - x[0]).abs() > 0.1] - middle
            assert usual.abs().max() <= 0.2501
            assert usual.std() == pytest.approx(0.25 / math.sqrt(3), rel=0.05)  # uniform
    assert not torch.equal(*ys)
    assert torch.equal(noise.eval()(x), x)


def test_without_learning_noise_alone_makes_inputs_drift_and_the_gradient_move_unless_it_is_held():
    still = study.run(replace(SMALL, learning_rates=(1e-7,), width=100, depth=2, strengths=(0.5, 0.25)))
    for strength in (0.25, 0.5):
        # The distance of two uniform shifts is 2/3 of the strength on average; the std is the factor of the unit.
        expected = 2 / 3 * strength * math.log((1 + strength) / (1 - strength)) / (2 * strength)
        assert still.drift[f"batch_norm {strength:g}"].mean() == pytest.approx(expected, rel=0.15)
        assert (still.distance_held[f"batch_norm {strength:g}"] < 1e-5).all()
        assert (still.distance[f"batch_norm {strength:g}"] > 1e-3).all()
        assert (still.cosine[f"batch_norm {strength:g}"] < 0.999).all()
    assert (still.drift["batch_norm"] < 1e-4).all()


def test_all_arms_see_the_same_start_and_noise_is_added_to_the_strongest_without_norm_too(result):
    assert list(result.loss) == ARMS
    assert list(replace(SMALL, strengths=(0.5, 0.1)).arms()) == [*ARMS, "batch_norm 0.1"]
    for arm in ("no_norm", "batch_norm"):
        assert np.array_equal(result.loss[arm][0, 0], result.loss[arm][0, 1])  # rates share the start
        assert not np.array_equal(result.loss[arm][1, 0], result.loss[arm][1, 1])
        assert not np.array_equal(result.loss[arm][0], result.loss[f"{arm} 0.5"][0])


def test_looks_are_before_steps_and_their_middle_stands_for_them(result):
    assert result.looks().tolist() == [0, 3]
    made_up = np.stack([np.full((2, 2), value) for value in (1.0, 9.0, 2.0)])
    assert replace(result, drift={"no_norm": made_up}).over_training("drift", "no_norm", 1).tolist() == [2, 2]


def test_what_was_seen_of_a_network_that_diverged_is_not_a_number():
    found = study.run(replace(SMALL, learning_rates=(1e9,), seeds=(3,)))
    for name in ("drift", "distance", "distance_held", "cosine", "loss"):
        assert np.isnan(getattr(found, name)["no_norm"]).all()
    assert found.test["no_norm"].tolist() == [0]
    assert found.train_loss["no_norm"].tolist() == [[np.inf]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 7}, "steps: expected a multiple of every, 3, got 7"),
        ({"probe_size": 1078}, "probe_size: expected at most 1077, got 1078"),
    ],
)
def test_settings_that_do_not_fit_the_data_or_each_other_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        study.run(replace(SMALL, **changes))
