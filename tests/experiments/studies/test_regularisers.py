import numpy as np
import pytest
import torch
from torch import nn

from bnlab.experiments.optimisers import SGD, cosine
from bnlab.experiments.studies import regularisers as study

EVERY_ARM = tuple(study.Config().arms())
SMALL = study.Config(
    compared=EVERY_ARM, examples=256, learning_rates=(0.1, 0.3), seeds=(0, 1), width=16, steps=40, decay=0.05
)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def kinds(arm):
    return [type(layer).__name__ for layer in study.network(SMALL, SMALL.arms()[arm], seed=0)]


def test_dropout_stands_where_the_arm_says():
    assert "Dropout" not in kinds("no_norm") + kinds("batch_norm") + kinds("decay")
    assert kinds("no_norm_dropout").count("Dropout") == SMALL.depth
    assert kinds("last_dropout")[-2:] == ["Dropout", "Linear"]
    assert kinds("last_dropout").count("Dropout") == 1


def test_arms_start_from_the_same_weights():
    states = [study.network(SMALL, arm, seed=5).parameters() for arm in SMALL.arms().values()]
    weights = [[p.detach() for p in parameters if p.ndim == 2] for parameters in states]
    for other in weights[1:]:
        assert all(torch.equal(one, two) for one, two in zip(weights[0], other, strict=True))


@pytest.mark.parametrize(
    ("arm", "decays"),
    [
        ("decay", {"1.weight": True, "2.bias": True, "10.weight": True}),
        ("decay_of_fed", {"1.weight": True, "7.weight": True, "2.weight": False, "10.weight": False}),
        ("decay_of_rest", {"1.weight": False, "7.weight": False, "2.weight": True, "10.weight": True}),
    ],
)
def test_decay_falls_on_the_parameters_that_the_arm_names(arm, decays):
    model = study.network(SMALL, SMALL.arms()[arm], seed=0)
    chosen = study.optimiser(SMALL, SMALL.arms()[arm], model).names
    assert {name: name in chosen for name in decays} == decays


def test_decay_of_everything_is_that_of_sgd():
    layer = nn.Linear(3, 2)
    gradients = {name: torch.randn_like(p) for name, p in layer.named_parameters()}
    moved = []
    for optimiser, decay in (
        (SGD(momentum=0.9, weight_decay=0.1), 0.1),
        (study.DecayOf(momentum=0.9, decay=0.1, names=frozenset(gradients)), 0.0),
    ):
        parameters = {name: p.detach().clone() for name, p in layer.named_parameters()}
        state = optimiser.start(parameters)
        for _ in range(3):
            optimiser.update(parameters, dict(gradients), state, torch.tensor(0.5), torch.tensor(decay))
        moved.append(parameters)
    for name in gradients:
        assert torch.allclose(moved[0][name], moved[1][name], atol=1e-6)


def test_decay_shortens_the_weights_it_falls_on(result):
    last = {arm: norms[-1] for arm, norms in result.squared_norm.items()}
    assert (last["decay"] < 0.7 * last["batch_norm"]).all()
    assert (last["decay_of_fed"] < 0.7 * last["batch_norm"]).all()
    assert (last["decay_of_rest"] > 0.9 * last["batch_norm"]).all()


def test_norms_are_those_of_a_units_weights_at_the_common_rate():
    config = study.Config(**vars(SMALL) | {"learning_rates": (1e-9, 0.3), "common_rate": 1e-9, "steps": 10})
    result = study.run(config)
    model = study.network(config, config.arms()["batch_norm"], seed=1)
    rows = torch.cat([layer.weight.square().sum(1) for layer in model if isinstance(layer, nn.Linear)][:-1])
    assert result.squared_norm["batch_norm"].shape == (1, 2)
    assert result.squared_norm["batch_norm"][0, 1] == pytest.approx(rows.mean().item(), rel=1e-5)


def test_the_effective_rate_is_the_schedules_rate_over_the_squared_norm(result):
    third = 0.1 * cosine(29 / 40) / result.squared_norm["decay"][2]
    assert result.effective_rate("decay")[2] == pytest.approx(third)
    assert SMALL.looks() == [10, 20, 30, 40]


def test_dropout_draws_masks_and_evaluation_has_none(result):
    assert not np.array_equal(result.train_loss["last_dropout"], result.train_loss["batch_norm"])
    assert (result.train_loss["no_norm_dropout"] > result.train_loss["no_norm"]).all()


def test_the_arms_that_are_compared_are_trained_and_no_others():
    result = study.run(study.Config(**vars(SMALL) | {"compared": ("decay", "no_norm"), "steps": 10}))
    assert set(result.test) == set(result.squared_norm) == {"decay", "no_norm"}


def test_an_unknown_arm_is_refused():
    with pytest.raises(ValueError, match=r"compared: expected names of arms \(no_norm, .*\), got 'magic'"):
        study.Config(compared=("no_norm", "magic"))


def test_a_common_rate_that_is_not_run_is_refused():
    with pytest.raises(ValueError, match=r"common_rate: expected one of the learning rates \(0\.1, 0\.3\), got 0\.2"):
        study.Config(learning_rates=(0.1, 0.3), common_rate=0.2)
