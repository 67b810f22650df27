from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from bnlab.experiments.data import Split, digits
from bnlab.experiments.models import mlp
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import landscape as study
from bnlab.experiments.training import Ensemble, train
from bnlab.layers import BatchNorm1d

SMALL = study.Config(
    dataset="digits",
    seeds=(3, 4),
    step_sizes=(0.1, 0.5),
    shares=(0.01, 0.1),
    learning_rate=0.3,
    depth=3,
    width=12,
    batch_size=20,
    steps=6,
    every=3,
    probe_size=50,
)
NORMS = {"no_norm": None, "batch_norm": BatchNorm1d}
NO_EPS = partial(BatchNorm1d, eps=1e-100)  # the layer asks for one above 0
FACTORS = (0.25, 7.0, 1.6)  # of the three hidden layers' weights


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def loss_and_gradient(model):
    """Of a network alone, on the probe in training mode; the gradient by name."""
    probe = digits().train
    loss = nn.functional.cross_entropy(model.train()(probe.x[:50]), probe.y[:50])
    names, parameters = zip(*model.named_parameters(), strict=True)
    return loss.item(), dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


@pytest.fixture(scope="module", params=list(NORMS))
def at_second_look(request):
    """An arm, a function that gives its second network after three steps, trained alone, and what is there."""

    def trained():
        model = mlp(64, 10, depth=3, width=12, norm=NORMS[request.param], generator=torch.Generator().manual_seed(4))
        train(model, digits().train, learning_rate=0.3, seed=4, steps=3, batch_size=20)
        return model

    return request.param, trained, *loss_and_gradient(trained())


def moved(model, step):
    """The loss and the gradient once `step`, from names to tensors, is added to the parameters."""
    with torch.no_grad():
        for name, change in step.items():
            model.get_parameter(name).add_(change)
    return loss_and_gradient(model)


def test_the_line_along_the_gradient_is_that_of_a_network_trained_alone(result, at_second_look):
    arm, trained, loss, gradient = at_second_look
    assert result.loss[arm][1, 1] == pytest.approx(loss, rel=1e-4)
    flat = torch.cat([one.flatten() for one in gradient.values()])
    assert result.gradient[arm][1, 1] == pytest.approx(flat.norm().item(), rel=1e-3)
    for number, size in enumerate(SMALL.step_sizes):
        there, after = moved(trained(), {name: -size * one for name, one in gradient.items()})
        change = torch.cat([(after[name] - gradient[name]).flatten() for name in gradient]).norm().item()
        assert result.loss_along[arm][1, number, 1] == pytest.approx(there, rel=1e-3)
        assert result.change[arm][1, number, 1] == pytest.approx(change, rel=1e-3)


def test_a_scale_free_step_moves_each_weight_matrix_by_the_same_share_of_its_norm(result, at_second_look):
    arm, trained, _, gradient = at_second_look
    matrices = {name: p.detach() for name, p in trained().named_parameters() if p.dim() == 2}
    assert len(matrices) == 4  # three hidden layers and the head
    predicted = sum((w.norm() * gradient[name].norm()).item() for name, w in matrices.items())
    assert result.predicted[arm][1, 1] == pytest.approx(predicted, rel=1e-3)
    for number, share in enumerate(SMALL.shares):
        step = {name: -share * w.norm() * gradient[name] / gradient[name].norm() for name, w in matrices.items()}
        there, after = moved(trained(), step)
        change, own = (
            torch.cat([(w.norm() * one[name]).flatten() for name, w in matrices.items()]).norm()
            for one in ({name: after[name] - gradient[name] for name in gradient}, gradient)
        )
        assert result.loss_at_share[arm][1, number, 1] == pytest.approx(there, rel=1e-3)
        assert result.change_at_share[arm][1, number, 1] == pytest.approx((change / own).item(), rel=1e-3)


def test_the_prediction_is_the_slope_of_the_loss_at_the_start():
    model, probe = float64_network(NO_EPS)
    found = study.look(replace(SMALL, shares=(1e-7,)), Ensemble.of([model]), probe)
    slope = (found.loss - found.loss_at_share[0]) / 1e-7
    assert slope.item() == pytest.approx(found.predicted.item(), rel=1e-4)


def float64_network(norm):
    generator = torch.Generator().manual_seed(1)
    model = mlp(64, 10, depth=3, width=12, norm=norm, generator=generator).double()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:  # untrained, biases and beta are 0 and gamma is 1
                parameter.add_(0.3 * torch.randn(len(parameter), generator=generator))
    x, y = digits().train
    return model, Split(x[:50].double(), y[:50])


def in_front_of_norms(linear):
    for layer, factor in zip(linear, (*FACTORS, 1.0), strict=True):
        layer.weight.mul_(factor)


def behind_relus(linear):
    scale = 1.0  # by which the signal in front of the layer is multiplied
    for layer, factor in zip(linear, (*FACTORS, 1.0), strict=True):
        layer.weight.mul_(factor / scale)
        layer.bias.mul_(factor)
        scale = factor


@pytest.mark.parametrize(("norm", "rescale"), [(NO_EPS, in_front_of_norms), (None, behind_relus)])
def test_a_rescaling_that_leaves_the_function_leaves_scale_free_measures_and_not_the_others(norm, rescale):
    model, probe = float64_network(norm)
    before = study.look(SMALL, Ensemble.of([model]), probe)
    with torch.no_grad():
        rescale([layer for layer in model if isinstance(layer, nn.Linear)])
    after = study.look(SMALL, Ensemble.of([model]), probe)
    for name in ("loss", "predicted", "loss_at_share", "change_at_share"):
        assert torch.allclose(getattr(after, name), getattr(before, name), rtol=1e-9, atol=0)
    for name in ("gradient", "loss_along", "change"):
        assert not torch.isclose(getattr(after, name), getattr(before, name), rtol=0.02).any()


def test_rescaling_multiplies_all_weights_but_the_heads_and_leaves_the_ensemble():
    models = [mlp(64, 10, depth=2, width=12, norm=BatchNorm1d) for _ in range(2)]
    ensemble = Ensemble.of(models)
    found = study.rescaled(ensemble, 0.25)
    for name, tensor in ensemble.parameters.items():
        factor = 0.25 if name in {"1.weight", "4.weight"} else 1.0
        assert torch.equal(found.parameters[name], factor * tensor)
        assert torch.equal(tensor[1], models[1].get_parameter(name))


def test_the_rescaled_networks_are_those_with_batch_norm_at_another_scale(result):
    assert list(result.loss) == ["no_norm", "batch_norm", "rescaled"]
    for name in ("loss", "predicted", "loss_at_share"):
        found = getattr(result, name)
        assert found["rescaled"] == pytest.approx(found["batch_norm"], rel=0.01)  # eps is not 0
    assert (result.gradient["rescaled"] > 1.5 * result.gradient["batch_norm"]).all()
    assert result.looks().tolist() == [0, 3]


def test_both_arms_start_from_the_same_weights():
    plain, normed = (study.network(SMALL, 64, arm, seed=5) for arm in NORMS)
    for one, other in zip(study.weights(plain), study.weights(normed), strict=True):
        assert torch.equal(plain.get_parameter(one), normed.get_parameter(other))


def made_up(**changes):
    """One look at one seed."""
    numbers = {
        "loss": [[2.0]],
        "gradient": [[4.0]],
        "loss_along": [[[1.5], [3.5]]],
        "change": [[[2.0], [3.0]]],
        "predicted": [[10.0]],
        "loss_at_share": [[[1.92], [1.8]]],
        "change_at_share": [[[0.3], [0.9]]],
    } | changes
    arms = {name: {"no_norm": np.array(values)} for name, values in numbers.items()}
    return study.Result(config=SMALL, provenance=Provenance("2026-01-31", {}, "0123456789ab"), **arms)


def test_the_raw_measures_take_the_largest_on_the_line():
    assert made_up().loss_range("no_norm").tolist() == [[2.0]]
    assert made_up(loss_along=[[[1.5], [1.8]]]).loss_range("no_norm").tolist() == [[0.5]]  # the start counts
    assert made_up().gradient_change("no_norm").tolist() == [[3.0]]
    assert made_up().smoothness("no_norm").tolist() == [[5.0]]  # 2 / (0.1 * 4), which is more than 3 / (0.5 * 4)


def test_what_is_kept_of_a_prediction_and_how_far_half_of_it_is():
    found = made_up()
    assert found.kept("no_norm").ravel() == pytest.approx([0.8, 0.2])  # of 0.1 and 1
    assert found.reach("no_norm").item() == pytest.approx(0.01 * 10**0.5)
    assert found.promised("no_norm").item() == pytest.approx(0.01 * 10**0.5 * 10 / 2)
    assert made_up(loss_at_share=[[[1.97], [1.8]]]).reach("no_norm").item() == 0.01
    assert made_up(loss_at_share=[[[1.92], [1.4]]]).reach("no_norm").item() == 0.1
    assert found.change_at("no_norm", 0.1).tolist() == [[0.9]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: study.run(replace(SMALL, steps=7)), "steps: expected a multiple of every, 3, got 7"),
        (lambda: study.run(replace(SMALL, probe_size=1078)), "probe_size: expected at most 1077, got 1078"),
        (lambda: made_up().change_at("no_norm", 0.2), "share: expected one of 0.01, 0.1, got 0.2"),
    ],
)
def test_what_cannot_be_run_or_was_not_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
