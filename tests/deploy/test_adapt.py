"""Other statistics within a context, and the old ones bit for bit after it."""

import copy

import pytest
import torch
from torch import nn

from bnlab import layers
from bnlab.deploy import adapt, convert, prediction_time_statistics, recalibrate
from bnlab.deploy.survey import batch_norm_layers
from tests.deploy.networks import Odd, ResNet, images, vectors, warmed

NETWORKS = pytest.mark.parametrize(("network", "data"), [(ResNet, images), (Odd, vectors)], ids=["resnet", "odd"])
CONTEXTS = pytest.mark.parametrize("context", [lambda model, x: adapt(model, [x]), lambda model, _: by_batch(model)])
by_batch = prediction_time_statistics


def everything(model):
    """All that could have changed: tensors with their identities, modes, and what hangs on each module."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return (
        {name: (id(tensor), tensor.clone(), tensor.requires_grad) for name, tensor in tensors},
        [(module.training, sorted(vars(module)), list(module._buffers)) for module in model.modules()],
        list(model.state_dict()),
    )


def assert_untouched(model, before):
    tensors, modules, names = everything(model)
    expected, *others = before
    assert [modules, names] == others
    assert tensors.keys() == expected.keys()
    for name, (identity, tensor, required) in tensors.items():
        assert (identity, required) == (expected[name][0], expected[name][2])
        assert torch.equal(tensor, expected[name][1])


@NETWORKS
@CONTEXTS
@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_bit_for_bit_what_it_was(network, data, context, training):
    model = warmed(network(), data()).train(training)
    before = everything(model)
    with context(model, data()):
        model(data())  # in training, and within `adapt`, this moves the statistics, which return all the same
    assert_untouched(model, before)


@CONTEXTS
def test_the_model_is_what_it_was_after_an_exception(context):
    model = warmed(ResNet(), images()).eval()
    before = everything(model)
    with pytest.raises(KeyError), context(model, images()):
        raise KeyError
    assert_untouched(model, before)


def test_the_model_is_what_it_was_when_the_loader_raises():
    def loader():
        yield images()
        raise KeyError

    model = warmed(ResNet(), images()).eval()
    before = everything(model)
    with pytest.raises(KeyError), adapt(model, loader()):
        pytest.fail("the context was entered")
    assert_untouched(model, before)


@NETWORKS
def test_adapting_gives_what_recalibration_would(network, data):
    model = warmed(network(), data()).eval()
    target, x = [data() + 5, data()], data()
    recalibrated = copy.deepcopy(model)
    recalibrate(recalibrated, target)
    with adapt(model, target):
        assert torch.equal(model(x), recalibrated(x))
    assert not torch.equal(model(x), recalibrated(x))


@NETWORKS
def test_prediction_time_statistics_are_the_batch_s_as_in_training(network, data):
    model, x = warmed(network(), data()).eval(), data() + 7
    expected = copy.deepcopy(model).train()(x)
    with prediction_time_statistics(model):
        torch.testing.assert_close(model(x), expected, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(model(x[:3]), copy.deepcopy(model).train()(x[:3]), rtol=1e-10, atol=1e-10)


def test_dropout_stays_as_the_mode_says():
    model = nn.Sequential(nn.Linear(3, 50), nn.BatchNorm1d(50), nn.Dropout(0.5)).eval()
    with prediction_time_statistics(model):
        assert not (model(torch.randn(8, 3)) == 0).any()
        model.train()
        assert (model(torch.randn(8, 3)) == 0).any()


@pytest.mark.parametrize("norm", [layers.GhostBatchNorm1d(3, ghost_size=3), layers.BatchRenorm1d(3, r_max=1.5)])
def test_ghosts_and_corrections_are_plain_batch_norm_by_the_batch(norm):
    x = torch.randn(8, 3)
    with prediction_time_statistics(norm):
        torch.testing.assert_close(norm(x), nn.BatchNorm1d(3)(x), rtol=1e-5, atol=1e-6)


def test_frozen_layers_keep_their_constants():
    model = nn.Sequential(nn.BatchNorm1d(3), layers.FrozenBatchNorm1d(3, eps=0.0))
    x = torch.randn(8, 3)
    with prediction_time_statistics(model):
        assert torch.equal(model[1](x), x)


@pytest.mark.parametrize("model", [nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False)])
@CONTEXTS
def test_a_model_without_running_statistics_is_refused(model, context):
    with pytest.raises(ValueError, match="keep running statistics, got none"), context(model, torch.zeros(3, 2)):
        pytest.fail("the context was entered")


def test_a_model_of_constants_is_refused():
    model = convert(nn.Sequential(nn.BatchNorm1d(2)), "frozen").model
    assert batch_norm_layers(model)
    with pytest.raises(ValueError, match="got none"), prediction_time_statistics(model):
        pytest.fail("the context was entered")


@CONTEXTS
def test_what_is_no_model_is_refused(context):
    with pytest.raises(ValueError, match=r"expected model to be an nn\.Module, got int"), context(3, vectors()):
        pytest.fail("the context was entered")
