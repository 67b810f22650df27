"""Averages of networks: what is averaged, what belongs to the first, and the path between two."""

import copy

import pytest
import torch
from torch import nn

from bnlab.deploy import average, recalibrate
from tests.deploy.networks import ResNet, images, warmed


def three():
    return [warmed(ResNet(), images()) for _ in range(3)]


@pytest.mark.parametrize("weights", [None, [1, 2, 5], [0.25, 0.5, -0.1]])
def test_parameters_and_statistics_are_weighted_means(weights):
    models = three()
    result = average(models, weights=weights)
    shares = torch.tensor(weights or [1, 1, 1], dtype=torch.float64)
    shares /= shares.sum()
    states = [model.state_dict() for model in models]
    for name, tensor in result.state_dict().items():
        if tensor.is_floating_point():
            expected = torch.einsum("m,m...->...", shares, torch.stack([state[name] for state in states]))
            torch.testing.assert_close(tensor, expected, rtol=1e-12, atol=1e-12)
        else:
            assert torch.equal(tensor, states[0][name])


def test_with_a_loader_the_statistics_are_those_of_the_average_itself():
    models, data = three(), [images(), images()]
    expected = average(models)
    recalibrate(expected, data)
    result = average(models, iter(data))
    torch.testing.assert_close(result.state_dict(), expected.state_dict(), rtol=0, atol=0)
    assert not torch.equal(result.bn1.running_mean, average(models).bn1.running_mean)


def test_the_ends_of_the_path_are_the_networks_themselves():
    a, b, _ = three()
    for t, end in ((0.0, a), (1.0, b)):
        torch.testing.assert_close(average([a, b], weights=[1 - t, t]).state_dict(), end.state_dict(), rtol=0, atol=0)


def test_the_given_networks_stay_and_the_new_one_shares_nothing_with_them():
    models = three()
    models[0].eval().conv1.weight.requires_grad_(False)
    before = [copy.deepcopy(model.state_dict()) for model in models]
    result = average(models, [images()])
    with torch.no_grad():
        for tensor in (*result.parameters(), *result.buffers()):
            tensor.fill_(7)
    for model, state in zip(models, before, strict=True):
        torch.testing.assert_close(model.state_dict(), state, rtol=0, atol=0)
    assert not result.training
    assert not result.conv1.weight.requires_grad
    assert result.fc.weight.requires_grad


def test_half_precision_is_averaged_in_float64_and_rounded_once():
    models = [nn.Linear(30, 30, bias=False, dtype=torch.float16) for _ in range(7)]  # shares of 1/7 are not exact
    weight = average(models).weight
    wide = torch.stack([model.weight.double() for model in models])
    assert torch.equal(weight, wide.mean(0).half())


def test_a_tied_parameter_stays_tied():
    def tied():
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        model[1].weight = model[0].weight
        return model

    a, b = tied(), tied()
    result = average([a, b])
    assert result[0].weight is result[1].weight
    torch.testing.assert_close(result[0].weight, (a[0].weight + b[0].weight) / 2)


def test_a_buffer_that_no_checkpoint_holds_is_averaged_too():
    a, b = nn.Linear(1, 1), nn.Linear(1, 1)
    for model, value in ((a, 1.0), (b, 3.0)):
        model.register_buffer("scale", torch.tensor(value), persistent=False)
    assert average([a, b]).scale == 2


@pytest.mark.parametrize(
    ("other", "got"),
    [
        (nn.Linear(2, 3), r"'weight' of shape \(2, 2\) in the first and \(3, 2\) in model 1"),
        (nn.Linear(2, 2, bias=False), r"'bias' of shape \(2,\) in the first and None in model 1"),
        (nn.Sequential(nn.Linear(2, 2)), "'weight' of shape"),
    ],
)
def test_another_architecture_is_refused(other, got):
    with pytest.raises(ValueError, match=f"expected models of one architecture, got {got}"):
        average([nn.Linear(2, 2), other])


def test_what_only_a_later_network_has_is_refused_too():
    with pytest.raises(ValueError, match=r"got 'bias' of shape None in the first and \(2,\) in model 1"):
        average([nn.Linear(2, 2, bias=False), nn.Linear(2, 2)])


@pytest.mark.parametrize("weights", [[1, -1], [0, 0], [float("nan"), 1], [float("inf"), 1]])
def test_weights_without_a_sum_are_refused(weights):
    with pytest.raises(ValueError, match="expected finite weights with a sum above 0"):
        average([nn.Linear(1, 1)] * 2, weights=weights)


def test_too_few_models_or_weights_are_refused():
    with pytest.raises(ValueError, match="expected at least one model, got none"):
        average([])
    with pytest.raises(ValueError, match="expected a weight for each of 2 models, got 1"):
        average([nn.Linear(1, 1)] * 2, weights=[1])


def test_a_model_that_keeps_its_last_output_can_be_averaged():
    model = nn.Linear(1, 1)
    model.last = model(torch.ones(1, 1))
    assert torch.equal(average([model, model]).weight, model.weight)
    assert model.last.requires_grad


def test_a_network_with_no_share_does_not_count_even_if_it_is_ruined():
    good, ruined = nn.Linear(2, 2), nn.Linear(2, 2)
    nn.init.constant_(ruined.weight, float("nan"))
    for models, weights in (([good, ruined], [1, 0]), ([ruined, good], [0, 1])):
        assert torch.equal(average(models, weights=weights).weight, good.weight)
    assert average([good, ruined]).weight.isnan().all()


def test_layers_of_other_classes_are_refused_though_they_hold_the_same():
    models = [nn.Sequential(nn.Linear(2, 2), kind()) for kind in (nn.ReLU, nn.Sigmoid)]
    got = "'1' of class torch.nn.ReLU in the first and torch.nn.Sigmoid in model 1"
    with pytest.raises(ValueError, match=f"expected models of one architecture, got {got}"):
        average(models)
    with pytest.raises(ValueError, match=r"'1' of class None in the first and torch\.nn\.ReLU in model 1"):
        average([models[0][:1], models[0]])


def test_classes_that_were_made_for_each_network_anew_are_the_same_by_name():
    norms = [nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)) for _ in range(2)]
    assert type(norms[0]) is not type(norms[1])
    average(norms)


@pytest.mark.parametrize(
    ("models", "got"),
    [(nn.Sequential(nn.Linear(2, 2)), "Sequential"), (3, "int"), ([nn.Linear(2, 2), 4], "int for model 1")],
)
def test_what_is_no_list_of_models_is_refused(models, got):
    with pytest.raises(ValueError, match=f"expected a list of models, got {got}$"):
        average(models)
