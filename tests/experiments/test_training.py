import pytest
import torch
from torch import nn

from bnlab.experiments.data import Split
from bnlab.experiments.models import mlp
from bnlab.experiments.training import Ensemble, batches, train_ensemble, training_steps
from bnlab.layers import BatchNorm1d


@pytest.fixture
def split():
    x = torch.randn(70, 6, dtype=torch.float64)
    return Split(x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long())


def networks(seeds, norm):
    return [
        mlp(6, 3, depth=2, width=8, norm=norm, generator=torch.Generator().manual_seed(seed)).double() for seed in seeds
    ]


def train_alone(model, split, *, rate, seed, steps, batch_size):
    for index in batches(len(split.y), steps, batch_size, seed):
        model.zero_grad()
        nn.functional.cross_entropy(model(split.x[index]), split.y[index]).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.sub_(rate * parameter.grad)


@pytest.mark.parametrize("norm", [None, BatchNorm1d])
def test_a_member_follows_the_path_of_the_same_model_trained_alone(split, norm):
    seeds, rates = (0, 1, 1), (0.05, 0.3, 0.5)  # a shared seed and three rates: neither may leak into another member
    models = networks(seeds, norm)
    ensemble = train_ensemble(models, split, learning_rates=rates, seeds=seeds, steps=50, batch_size=16)
    for member, (model, rate, seed) in enumerate(zip(models, rates, seeds, strict=True)):
        train_alone(model, split, rate=rate, seed=seed, steps=50, batch_size=16)
        for name, alone in [*model.named_parameters(), *model.named_buffers()]:
            together = (ensemble.parameters | ensemble.buffers)[name][member]
            torch.testing.assert_close(together, alone.detach(), rtol=1e-8, atol=1e-8)


def test_training_leaves_the_given_models_as_they_were(split):
    models = networks((0, 1), BatchNorm1d)
    before = [{k: v.clone() for k, v in model.state_dict().items()} for model in models]
    train_ensemble(models, split, learning_rates=(1.0, 1.0), seeds=(0, 1), steps=3, batch_size=16)
    for model, old in zip(models, before, strict=True):
        assert all(torch.equal(value, old[name]) for name, value in model.state_dict().items())


def test_accuracy_is_that_of_each_member_in_evaluation_mode(split):
    models = networks((0, 1, 2), BatchNorm1d)
    for model in models:
        model(3 * split.x + 1)  # running statistics away from their start, and unlike the split's own
    together = Ensemble.of(models).accuracy(split)
    alone = [(model.eval()(split.x).argmax(-1) == split.y).double().mean() for model in models]
    assert together.tolist() == pytest.approx([a.item() for a in alone])
    assert len(set(together.tolist())) > 1  # else a mixed-up member could not show


def test_a_member_is_a_module_of_its_own(split):
    models = networks((0, 1), BatchNorm1d)
    models[1](3 * split.x + 1)
    ensemble = Ensemble.of(models)
    member = ensemble.member(1)
    assert torch.equal(member.eval()(split.x), models[1].eval()(split.x))
    with torch.no_grad():
        member[1].weight.zero_()
        member[2].running_mean.zero_()
    assert torch.equal(ensemble.parameters["1.weight"][1], models[1][1].weight)
    assert torch.equal(ensemble.buffers["2.running_mean"][1], models[1][2].running_mean)


def test_evaluating_between_steps_changes_nothing_in_training(split):
    models = networks((0, 1), BatchNorm1d)
    settings = {"learning_rates": (0.1, 0.3), "seeds": (0, 1), "steps": 6, "batch_size": 16}
    alone = train_ensemble(models, split, **settings)
    watched = Ensemble.of(models)
    seen = [(step, watched.accuracy(split)) for step in training_steps(watched, split, **settings)]
    assert [step for step, _ in seen] == [1, 2, 3, 4, 5, 6]
    for name, tensor in (alone.parameters | alone.buffers).items():
        assert torch.equal((watched.parameters | watched.buffers)[name], tensor)


def test_a_member_that_blew_up_is_diverged_and_scores_nothing(split):
    models = networks((0, 1), None)
    with torch.no_grad():
        models[1][1].weight[2, 3] = torch.inf  # one number is enough
    ensemble = Ensemble.of(models)
    assert ensemble.diverged().tolist() == [False, True]
    healthy, lost = ensemble.accuracy(split).tolist()
    assert healthy > 0
    assert lost < healthy


def test_an_output_of_nan_counts_as_wrong(split):
    model = networks((0,), None)[0]
    with torch.no_grad():
        model[-1].bias[2] = torch.nan  # argmax takes a NaN for the largest, here class 2
    assert (split.y == 2).any()
    assert Ensemble.of([model]).accuracy(split).tolist() == [0]


def test_every_pass_over_the_data_sees_each_example_once_in_a_new_order():
    order = batches(12, steps=6, batch_size=4, seed=0).view(2, 12)
    assert torch.equal(order.sort(dim=1).values, torch.arange(12).repeat(2, 1))
    assert not torch.equal(order[0], order[1])


def test_batches_depend_on_the_seed_alone():
    first = batches(50, steps=4, batch_size=10, seed=1)
    torch.rand(7)  # the global generator must not matter
    assert torch.equal(first, batches(50, steps=4, batch_size=10, seed=1))
    assert not torch.equal(first, batches(50, steps=4, batch_size=10, seed=2))
