import numpy as np
import pytest
import torch

from bnlab.experiments.models import mlp
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import rate_by_group as study
from bnlab.layers import BatchNorm1d

SMALL = study.Config(learning_rates=(0.1, 100.0), seeds=(0, 1), depth=2, width=20, steps=40)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def test_weights_before_a_norm_train_at_a_rate_that_breaks_them_without(result):
    assert (result.validation["hidden"][1] > 0.7).all()
    assert (result.validation["hidden_no_norm"][0] > 0.7).all()
    assert (result.validation["hidden_no_norm"][1] < 0.2).all()


def test_a_group_at_the_base_rate_is_no_group(result):
    at_base = [result.validation[group][0] for group in ("hidden", "gamma_beta", "head")]
    assert np.array_equal(at_base[0], at_base[1])
    assert np.array_equal(at_base[0], at_base[2])
    raised = [result.validation[group][1] for group in ("hidden", "gamma_beta", "head")]
    assert not np.array_equal(raised[0], raised[1])
    assert not np.array_equal(raised[1], raised[2])


@pytest.mark.parametrize("group", ["hidden", "gamma_beta", "head"])
def test_only_the_group_follows_the_raised_rate(group):
    model = mlp(6, 3, depth=2, width=4, norm=BatchNorm1d, generator=torch.Generator().manual_seed(0))
    parameters = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    before = {name: parameter.clone() for name, parameter in parameters.items()}
    raised = study.names_of(model)[group]
    optimiser = study.Raised(names=tuple(raised), base_rate=0.5)
    gradients = {name: torch.ones_like(parameter) for name, parameter in parameters.items()}
    optimiser.update(parameters, gradients, optimiser.start(parameters), torch.tensor(4.0), torch.tensor(0.0))
    moved = {name: (before[name] - parameters[name]).mean().item() for name in parameters}
    assert moved == pytest.approx({name: 4.0 if name in raised else 0.5 for name in parameters})


def test_every_parameter_of_a_normalised_network_is_in_one_group():
    model = mlp(6, 3, depth=3, width=4, norm=BatchNorm1d)
    groups = study.names_of(model)
    names = [*groups["hidden"], *groups["gamma_beta"], *groups["head"]]
    assert sorted(groups["hidden"] + groups["all_but_hidden"]) == sorted(names)
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())


def test_the_largest_rate_is_that_of_each_seed():
    result = study.Result(
        config=SMALL,
        provenance=Provenance("2026-01-31", {}, "0123456789ab"),
        validation={"head": np.array([[0.9, 0.9], [0.9, 0.2]])},
    )
    assert result.largest_rates("head", 0.8).tolist() == [np.inf, 0.1]  # beyond 100 nobody looked
    assert result.largest_rates("head", 0.95).tolist() == [0.0, 0.0]
