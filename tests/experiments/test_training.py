import math
import os
import select
import signal
import sys
from functools import partial

import pytest
import torch
from torch import nn

from bnlab.experiments import stepping
from bnlab.experiments.data import Split
from bnlab.experiments.models import cnn, mlp, resnet
from bnlab.experiments.optimisers import SGD, AdamW, constant, cosine, warmup
from bnlab.experiments.training import Ensemble, Interrupted, batches, train, train_ensemble, training_steps
from bnlab.layers import BatchNorm1d, BatchNorm2d, GhostBatchNorm1d


@pytest.fixture
def split():
    x = torch.randn(70, 6, dtype=torch.float64)
    return Split(x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long())


def networks(seeds, norm):
    return [
        mlp(6, 3, depth=2, width=8, norm=norm, generator=torch.Generator().manual_seed(seed)).double() for seed in seeds
    ]


@pytest.fixture
def images():
    x = torch.randn(40, 1, 5, 5, dtype=torch.float64)
    return Split(x, (x.mean((1, 2, 3)) > 0).long())


def tensors(model):
    return {name: tensor.detach().clone() for name, tensor in [*model.named_parameters(), *model.named_buffers()]}


def assert_member_is(ensemble, member, model):
    """Parameters and buffers agree to float64's rounding, carried through the steps."""
    found = {name: tensor[member] for name, tensor in (ensemble.parameters | ensemble.buffers).items()}
    torch.testing.assert_close(found, tensors(model), rtol=1e-8, atol=1e-8)


# ---- one network, many networks ----

DECAYS = (0.0, 0.01, 0.1)
PATHS = {  # network, its norm, its settings, optimiser, schedule
    "plain": (mlp, None, {"depth": 2, "width": 8}, SGD(), constant),
    "batch_norm_momentum_decay": (
        mlp,
        BatchNorm1d,
        {"depth": 2, "width": 8},
        SGD(momentum=0.9, weight_decay=DECAYS),
        cosine,
    ),
    "ghost_decay": (
        mlp,
        partial(GhostBatchNorm1d, ghost_size=4),
        {"depth": 1, "width": 8},
        SGD(weight_decay=0.1),
        cosine,
    ),
    "cnn_adamw": (cnn, BatchNorm2d, {"depth": 2, "width": 4}, AdamW(weight_decay=DECAYS), warmup(0.3)),
    "resnet": (resnet, BatchNorm2d, {"blocks": 1, "width": 4}, SGD(momentum=0.5), constant),
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_a_member_follows_the_path_of_the_same_model_trained_alone(split, images, path):
    make, norm, shape, optimiser, schedule = path
    data, inputs, classes = (split, 6, 3) if make is mlp else (images, 1, 2)
    seeds, rates = (0, 1, 1), (0.01, 0.03, 0.05)  # a shared seed and three rates: neither may leak to another member
    models = [
        make(inputs, classes, norm=norm, generator=torch.Generator().manual_seed(seed), **shape).double()
        for seed in seeds
    ]
    settings = {"steps": 50, "batch_size": 16, "schedule": schedule}
    ensemble = train_ensemble(models, data, learning_rates=rates, seeds=seeds, optimiser=optimiser, **settings)
    decays = optimiser.weight_decay if isinstance(optimiser.weight_decay, tuple) else [optimiser.weight_decay] * 3
    for member, (model, rate, seed, decay) in enumerate(zip(models, rates, seeds, decays, strict=True)):
        before = tensors(model)
        own = type(optimiser)(**{**vars(optimiser), "weight_decay": decay})
        assert train(model, data, learning_rate=rate, seed=seed, optimiser=own, **settings) is None
        assert not torch.equal(before["1.weight" if make is mlp else "0.weight"], next(model.parameters()))
        assert_member_is(ensemble, member, model)


OPTIMISERS = {  # ours, torch's
    "sgd": (SGD(), torch.optim.SGD),
    "sgd_momentum_decay": (
        SGD(momentum=0.9, weight_decay=0.1),
        partial(torch.optim.SGD, momentum=0.9, weight_decay=0.1),
    ),
    "adamw": (AdamW(), torch.optim.AdamW),
    "adamw_settings": (
        AdamW(betas=(0.5, 0.9), eps=1e-3, weight_decay=1.0),
        partial(torch.optim.AdamW, betas=(0.5, 0.9), eps=1e-3, weight_decay=1.0),
    ),
}


@pytest.mark.parametrize("optimisers", OPTIMISERS.values(), ids=OPTIMISERS)
def test_train_is_the_ordinary_loop_with_torchs_optimiser(split, optimisers):
    ours, theirs = optimisers
    model, other = (networks((0,), BatchNorm1d)[0] for _ in range(2))
    optimiser = theirs(other.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=50)
    for index in batches(len(split.y), 50, 16, seed=3):
        optimiser.zero_grad()
        nn.functional.cross_entropy(other(split.x[index]), split.y[index]).backward()
        optimiser.step()
        schedule.step()
    train(model, split, learning_rate=0.02, seed=3, steps=50, batch_size=16, optimiser=ours, schedule=cosine)
    torch.testing.assert_close(tensors(model), tensors(other), rtol=1e-8, atol=1e-8)


def test_a_parameter_that_requires_no_gradient_stays(split):
    models = networks((0, 1), BatchNorm1d)
    for model in models:
        model[1].weight.requires_grad_(False)
    settings = {"steps": 5, "batch_size": 16, "optimiser": SGD(weight_decay=0.1)}
    ensemble = train_ensemble(models, split, learning_rates=(0.1, 0.1), seeds=(0, 1), **settings)
    start = models[1][1].weight.clone()
    train(models[1], split, learning_rate=0.1, seed=1, **settings)
    assert torch.equal(models[1][1].weight, start)
    assert_member_is(ensemble, 1, models[1])


def test_how_members_are_grouped_changes_nothing(split, monkeypatch):
    settings = {"learning_rates": (0.1, 0.2, 0.3, 0.4, 0.5), "seeds": range(5), "steps": 10, "batch_size": 16}
    models = networks(range(5), BatchNorm1d)
    assert len(stepping.groups_of(Ensemble.of(models), split.x)) == 1
    together = train_ensemble(models, split, **settings)
    monkeypatch.setattr(stepping, "AT_ONCE", 2 * 16 * 8 * 8)  # two members' hidden layers
    assert stepping.groups_of(Ensemble.of(models), split.x[:16]) == [slice(0, 1), slice(1, 3), slice(3, 5)]
    apart = train_ensemble(models, split, **settings)
    torch.testing.assert_close(apart.parameters | apart.buffers, together.parameters | together.buffers)


# ---- members that diverge ----


def test_a_member_that_diverges_is_frozen_before_that_step_and_the_others_go_on(split):
    models = networks((0, 1, 2), BatchNorm1d)
    with torch.no_grad():
        models[1][1].weight.mul_(1e100)  # its square overflows after the step that 1e200 takes
    rates = (0.1, 1e200, 0.2)
    settings = {"steps": 12, "batch_size": 16, "optimiser": SGD(momentum=0.5)}
    ensemble = train_ensemble(models, split, learning_rates=rates, seeds=(0, 1, 2), **settings)
    steps = [
        train(model, split, learning_rate=rate, seed=seed, **settings)
        for seed, (model, rate) in enumerate(zip(models, rates, strict=True))
    ]
    assert [step or 0 for step in steps] == ensemble.diverged_at.tolist()
    assert steps[0] is None
    assert steps[1] > 1  # else the frozen state would be the start, which never moved
    for member, model in enumerate(models):
        assert_member_is(ensemble, member, model)
    assert models[1][2].num_batches_tracked == steps[1] - 1
    assert all(tensor.isfinite().all() for tensor in tensors(models[1]).values())


class Root(nn.Module):
    """Its loss is finite at 0, and its gradient is not."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, x):
        return x[:, :2] * self.weight.sqrt()


def test_a_gradient_that_is_not_finite_is_divergence_too(split):
    two = Split(split.x, split.y.clamp(max=1))
    settings = {"steps": 2, "batch_size": 16}
    assert train(Root(), two, learning_rate=0.1, seed=0, **settings) == 1
    ensemble = train_ensemble([Root()], two, learning_rates=[0.1], seeds=[0], **settings)
    assert ensemble.diverged_at.tolist() == [1]
    assert ensemble.parameters["weight"].tolist() == [[0, 0]]


def test_a_large_gradient_whose_sum_overflows_is_finite():
    largest = torch.full((2, 3), 1e308, dtype=torch.float64)
    largest[1, 2] = torch.inf
    assert stepping._finite(torch.zeros(2, dtype=torch.float64), [largest]).tolist() == [True, False]


def test_a_diverged_member_has_no_accuracy_and_an_infinite_loss(split):
    models = networks((0, 1), None)
    ensemble = Ensemble.of(models)
    ensemble.diverged_at[1] = 7
    alone = nn.functional.cross_entropy(models[0](split.x), split.y).item()
    assert ensemble.loss(split).tolist() == [pytest.approx(alone), math.inf]
    assert ensemble.accuracy(split)[1] == 0
    assert ensemble.diverged().tolist() == [False, True]


def test_loss_is_taken_in_evaluation_mode(split):
    model = networks((0,), BatchNorm1d)[0]
    model(3 * split.x + 1)
    ensemble = Ensemble.of([model])
    alone = nn.functional.cross_entropy(model.eval()(split.x), split.y).item()
    assert ensemble.loss(split).tolist() == [pytest.approx(alone)]


# ---- what layers draw ----


def with_dropout(seeds):
    return [
        mlp(6, 3, depth=1, width=8, dropout=0.5, generator=torch.Generator().manual_seed(seed)).double()
        for seed in seeds
    ]


def test_members_drop_different_values_and_the_seeds_say_which(split):
    settings = {"learning_rates": (0.1, 0.1), "steps": 3, "batch_size": 16}
    models = with_dropout((0, 0))
    first = train_ensemble(models, split, seeds=(5, 5), **settings).parameters["1.weight"]
    torch.rand(7)  # the global generator must not matter
    again = train_ensemble(models, split, seeds=(5, 5), **settings).parameters["1.weight"]
    other = train_ensemble(models, split, seeds=(6, 6), **settings).parameters["1.weight"]
    assert torch.equal(first, again)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, other)


def test_training_with_dropout_leaves_the_global_generator_as_it_was(split):
    models = with_dropout((0, 1))
    before = torch.get_rng_state()
    train(models[0], split, learning_rate=0.1, seed=0, steps=2, batch_size=16)
    train_ensemble(models[1:], split, learning_rates=[0.1], seeds=[0], steps=2, batch_size=16)
    assert torch.equal(torch.get_rng_state(), before)


# ---- bad input ----

BAD = {
    "negative_rate": ({"learning_rates": (0.1, -0.1)}, "learning rates above 0 and finite, got -0.1"),
    "zero_rate": ({"learning_rates": (0.0, 0.1)}, "learning rates above 0 and finite, got 0.0"),
    "nan_rate": ({"learning_rates": (math.nan, 0.1)}, "learning rates above 0 and finite, got nan"),
    "infinite_rate": ({"learning_rates": (math.inf, 0.1)}, "learning rates above 0 and finite, got inf"),
    "rates": ({"learning_rates": (0.1,)}, "one learning rate for each of 2 models, got 1"),
    "seeds": ({"seeds": (0, 1, 2)}, "one seed for each of 2 models, got 3"),
    "decays": ({"optimiser": SGD(weight_decay=(0.1,))}, "one weight_decay for each of 2 models, got 1"),
    "steps": ({"steps": 0}, "at least 1 step, got 0"),
    "large_batch": ({"batch_size": 71}, "a batch size from 1 to the 70 examples of the split, got 71"),
    "empty_batch": ({"batch_size": 0}, "a batch size from 1 to the 70 examples of the split, got 0"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("function", [train_ensemble, training_steps])
def test_a_bad_argument_is_refused_at_the_call(split, function, change, message):
    models = networks((0, 1), None)
    settings = {"learning_rates": (0.1, 0.1), "seeds": (0, 1), "steps": 2, "batch_size": 16} | change
    with pytest.raises(ValueError, match=f"^expected {message}$"):
        function(Ensemble.of(models) if function is training_steps else models, split, **settings)


def test_train_refuses_what_the_ensemble_does(split):
    model = networks((0,), None)[0]
    with pytest.raises(ValueError, match="expected learning rates above 0 and finite, got -1"):
        train(model, split, learning_rate=-1, seed=0, steps=1, batch_size=16)


def test_no_models_are_refused(split):
    with pytest.raises(ValueError, match="expected at least 1 model, got none"):
        train_ensemble([], split, learning_rates=[], seeds=[], steps=1, batch_size=16)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SGD(momentum=1.0),
        lambda: SGD(weight_decay=-0.1),
        lambda: SGD(weight_decay=(0.1, math.nan)),
        lambda: AdamW(betas=(0.9, -0.1)),
        lambda: AdamW(eps=0.0),
        lambda: warmup(1.0),
    ],
)
def test_an_optimiser_or_schedule_out_of_its_range_is_refused(make):
    with pytest.raises(ValueError, match=r"^expected .*, got "):
        make()


# ---- at a terminal ----


def pressing(signals):
    """A schedule during whose third step Ctrl-C is pressed."""

    def schedule(share):
        if share == 2 / 8:
            for _ in range(signals):
                os.kill(os.getpid(), signal.SIGINT)
        return 1.0

    return schedule


SETTINGS = {"learning_rates": (0.1, 0.3), "seeds": (0, 1), "steps": 8, "batch_size": 16}


def test_ctrl_c_ends_after_the_step_and_hands_over_the_ensemble(split):
    models = networks((0, 1), BatchNorm1d)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as interrupted:
        train_ensemble(models, split, schedule=pressing(1), **SETTINGS)
    assert signal.getsignal(signal.SIGINT) is before
    assert interrupted.value.steps == 3
    whole = Ensemble.of(models)
    for step in training_steps(whole, split, **SETTINGS):
        if step == 3:
            break
    found = interrupted.value.ensemble
    for name, tensor in (whole.parameters | whole.buffers).items():
        assert torch.equal((found.parameters | found.buffers)[name], tensor)


def test_a_second_ctrl_c_does_not_wait(split):
    with pytest.raises(KeyboardInterrupt) as interrupt:
        train_ensemble(networks((0, 1), None), split, schedule=pressing(2), **SETTINGS)
    assert not isinstance(interrupt.value, Interrupted)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_bar_is_drawn_on_a_terminal(split, monkeypatch):
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        train_ensemble(networks((0, 1), None), split, **SETTINGS)
        terminal.flush()
        drawn = ""
        while select.select([ours], [], [], 1)[0]:  # a terminal hands over what was written piece by piece
            drawn += os.read(ours, 10_000).decode()
    os.close(ours)
    assert "training" in drawn
    assert "100%" in drawn


def test_nothing_is_drawn_elsewhere(split, capfd):
    train_ensemble(networks((0, 1), None), split, **SETTINGS)
    assert capfd.readouterr() == ("", "")


# ---- the ensemble ----


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
