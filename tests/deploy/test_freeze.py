"""What stays when batch norm is frozen and the rest trains on, and what returns when it is let go."""

import copy
import pickle

import pytest
import torch
from torch import nn

from bnlab.deploy import convert, fold, freeze, recalibrate, unfreeze
from bnlab.layers import BatchNorm1d
from tests.deploy.networks import ResNet, images, warmed


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 4), BatchNorm1d(4))


def norms(model):
    return [model[1], model[4]]


def train(model, optimizer, steps=3):
    model.train()  # as a training loop does before each epoch
    for _ in range(steps):
        x = torch.randn(8, 3) * 3 + 1
        optimizer.zero_grad(set_to_none=False)  # zeros stand, and momentum and weight decay act on them
        (model(x) * torch.randn(8, 4)).sum().backward()
        optimizer.step()


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)


def state(model):
    return copy.deepcopy(model.state_dict())


def moved(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


AFFINE = {f"{layer}.{name}" for layer in (1, 4) for name in ("weight", "bias")}
STATISTICS = {f"{layer}.{name}" for layer in (1, 4) for name in ("running_mean", "running_var", "num_batches_tracked")}
LINEAR = {f"{layer}.{name}" for layer in (0, 3) for name in ("weight", "bias")}
PARTS = pytest.mark.parametrize(
    ("parts", "still"),
    [
        ({}, AFFINE | STATISTICS),
        ({"statistics": False}, AFFINE),
        ({"affine": False}, STATISTICS),
    ],
    ids=["all", "affine", "statistics"],
)


@PARTS
def test_what_is_frozen_stays_bit_for_bit_through_training_and_all_else_moves(parts, still):
    model = network()
    optimizer = sgd(model)  # made before, and with a momentum and gradients of its own
    train(model, optimizer)
    freeze(model, **parts)
    before = state(model)
    train(model, optimizer)
    # A bias before batch norm has no gradient where the batch normalises; weight decay moves it all the same.
    assert moved(before, state(model)) == (AFFINE | STATISTICS | LINEAR) - still


def test_frozen_statistics_normalise_in_training_as_in_evaluation():
    model = warmed(network(), torch.randn(9, 3).double())
    x = torch.randn(5, 3).double()
    expected = copy.deepcopy(model).eval()(x)
    freeze(model)
    assert torch.equal(model.train()(x), expected)


def test_affine_alone_leaves_the_batch_to_normalise():
    model = network()
    freeze(model, statistics=False)
    y = model.train()(torch.randn(50, 3))
    torch.testing.assert_close(y.mean(0), torch.zeros(4), rtol=0, atol=1e-5)


@pytest.mark.parametrize("parts", [{}, {"statistics": False}, {"affine": False}], ids=["all", "affine", "statistics"])
@pytest.mark.parametrize("asked", [True, False])
def test_unfreezing_restores_the_mode_last_asked_for_and_what_required_gradients(parts, asked):
    model = network().train(not asked)
    model[1].bias.requires_grad_(False)
    required = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    attributes = [set(vars(norm)) for norm in norms(model)]
    freeze(model, **parts)
    freeze(model)  # a second time, and more
    model.train(asked)
    unfreeze(model)
    assert [module.training for module in model.modules()] == [asked] * 6
    assert {name: parameter.requires_grad for name, parameter in model.named_parameters()} == required
    assert [set(vars(norm)) for norm in norms(model)] == attributes


def test_a_model_that_was_never_asked_for_another_mode_returns_to_its_own():
    model = network().train()
    model[4].eval()
    freeze(model)
    freeze(model)  # which must not take the mode of the frozen layer for the one to return to
    assert [norm.training for norm in norms(model)] == [False, False]
    unfreeze(model)
    assert [norm.training for norm in norms(model)] == [True, False]


@pytest.mark.parametrize("parts", [{"statistics": True, "affine": False}, {"statistics": False, "affine": True}])
def test_one_part_can_be_let_go_alone(parts):
    model = network().train()
    freeze(model)
    unfreeze(model, **parts)
    assert [norm.training for norm in norms(model)] == [parts["statistics"]] * 2
    assert [norm.weight.requires_grad for norm in norms(model)] == [parts["affine"]] * 2


def test_unfreezing_what_was_not_frozen_changes_nothing():
    model = network().train()
    model[1].eval().weight.requires_grad_(False)
    unfreeze(model)
    assert not model[1].training
    assert not model[1].weight.requires_grad
    assert model[4].training


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_is_frozen_by_itself(duplicate):
    model = network()
    freeze(model)
    twin = duplicate(model)
    unfreeze(model)
    model.train()
    twin.train()
    assert [norm.training for norm in norms(twin)] == [False, False]
    unfreeze(twin)
    assert [norm.training for norm in norms(twin)] == [True, True]


def test_train_and_eval_of_a_frozen_layer_return_it():
    model = network()
    freeze(model)
    assert model[1].train() is model[1]
    assert model[1].eval() is model[1]


def test_checkpoints_and_parameters_are_those_of_the_unfrozen_model():
    model = network()
    keys, parameters = list(model.state_dict()), list(model.parameters())
    freeze(model)
    assert list(model.state_dict()) == keys
    assert all(one is other for one, other in zip(model.parameters(), parameters, strict=True))


def test_recalibration_which_is_asked_to_change_the_statistics_does():
    model = network()
    freeze(model)
    recalibrate(model, [torch.randn(50, 3) + 5])
    assert model[1].num_batches_tracked == 1
    assert not model[1].training


def test_a_frozen_model_folds_in_training():
    model = warmed(ResNet(), images())
    freeze(model)
    report = fold(model.train(), images())
    assert (len(report.folded), report.left) == (8, ())


def test_layers_that_are_constants_are_left():
    model = network()
    convert(model, "frozen", skip=["1"])
    freeze(model)
    assert "frozen_affine" not in vars(model[4])
    assert not model.train()[1].training


@pytest.mark.parametrize("change", [freeze, unfreeze])
def test_nothing_to_freeze_is_refused(change):
    with pytest.raises(ValueError, match="expected a model with batch norm layers that are not constants already"):
        change(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))
    with pytest.raises(ValueError, match="expected statistics or affine to be True"):
        change(network(), statistics=False, affine=False)


def test_a_layer_that_cannot_be_frozen_is_named_and_nothing_has_changed():
    model = network().train()
    model[4] = nn.BatchNorm1d(4, track_running_stats=False)
    with pytest.raises(ValueError, match="running statistics to freeze, got none in layer '4'"):
        freeze(model)
    model[4] = BatchNorm1d(4)
    model[4].train = model[4].eval
    with pytest.raises(ValueError, match="train method of their own, got one in layer '4'"):
        freeze(model)
    assert model[1].training
    assert model[1].weight.requires_grad


@pytest.mark.parametrize("call", [freeze, unfreeze])
def test_what_is_no_model_is_refused(call):
    with pytest.raises(ValueError, match=r"expected model to be an nn\.Module, got int"):
        call(3)
