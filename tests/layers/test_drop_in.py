from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from bnlab import layers
from bnlab.experiments.data import digits
from bnlab.experiments.models import resnet
from tests.tolerances import RTOL

EXACT = {"rtol": RTOL[torch.float64], "atol": 1e-10}


def steps_of_sgd(model, split, steps, batch_size=16):
    """Trains in place; returns the losses."""
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for step in range(steps):
        batch = slice(step * batch_size, (step + 1) * batch_size)
        loss = nn.functional.cross_entropy(model(split.x[batch].double()), split.y[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def with_our_layers(model):
    """A copy in which every batch norm of torch.nn is replaced by ours."""
    replaced = deepcopy(model)
    for name, theirs in model.named_modules():
        if isinstance(theirs, nn.BatchNorm2d):
            replaced.set_submodule(name, layers.BatchNorm2d(theirs.num_features, dtype=torch.float64))
    replaced.load_state_dict(model.state_dict(), strict=True)
    return replaced


@pytest.fixture
def trained_resnet():
    model = resnet(1, 10, blocks=2, width=8, norm=nn.BatchNorm2d).double()
    losses = steps_of_sgd(model, digits().train, steps=66)
    assert losses[-5:].mean() < 0.5 * losses[:5].mean()  # it is a trained network
    return model


def test_in_a_trained_resnet_every_layer_can_be_ours(trained_resnet):
    ours, x = with_our_layers(trained_resnet), digits().validation.x[:64].double()
    assert [type(m) for m in ours.modules()].count(layers.BatchNorm2d) == 5  # the stem and two in each block
    assert not [m for m in ours.modules() if isinstance(m, nn.BatchNorm2d)]
    for training in (False, True, False):  # the second evaluation sees the statistics that training moved
        ours.train(training), trained_resnet.train(training)
        assert_close(ours(x), trained_resnet(x), **EXACT)


def test_training_goes_on_with_our_layers_as_it_would_have_with_those_of_torch(trained_resnet):
    ours, split = with_our_layers(trained_resnet), digits().train
    assert_close(steps_of_sgd(ours, split, steps=5), steps_of_sgd(trained_resnet, split, steps=5), rtol=1e-8, atol=0)
    assert_close(dict(ours.state_dict()), dict(trained_resnet.state_dict()), rtol=1e-8, atol=1e-8)
