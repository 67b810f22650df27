from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bnlab.experiments.data import digits
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import activation_growth as study
from bnlab.experiments.training import Ensemble, batches
from bnlab.layers import BatchNorm1d

SMALL = study.Config(
    dataset="digits",
    seeds=(0, 1),
    learning_rates=(0.01, 3.0),
    depth=8,
    width=32,
    batch_size=32,
    steps=2,
    probe_size=50,
)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def test_a_large_rate_blows_up_the_activations_without_a_norm_only(result):
    assert (result.grown("no_norm", 3.0) > 100).all()
    assert (result.grown("batch_norm", 3.0) < 2).all()
    assert (result.grown("no_norm", 0.01) < 2).all()


def test_rates_and_arms_share_the_start(result):
    for numbers in result.mean_square.values():
        assert numbers.shape == (3, 2, 8, 2)
        assert np.array_equal(numbers[0, 0], numbers[0, 1])


@pytest.mark.parametrize(("arm", "norm"), [("no_norm", None), ("batch_norm", BatchNorm1d)])
def test_numbers_are_those_of_the_plain_loop(result, arm, norm):
    x, y = digits().train
    probe = digits().validation.x[:50]
    model = study.network(SMALL, 64, norm, seed=1)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    for index in batches(len(y), 2, 32, 1):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model.train()(x[index]), y[index]).backward()
        optimiser.step()
    value, squares = probe, []
    for layer in model:
        value = layer(value)
        if isinstance(layer, nn.ReLU):
            squares.append(value.square().mean().item())
    assert result.mean_square[arm][2, 0, :, 1] == pytest.approx(squares, rel=1e-4)


def test_what_overflows_is_infinite_and_so_is_what_comes_out_of_it():
    model = study.network(replace(SMALL, depth=3), 64, None, seed=0)
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(1e15)
    found = study.mean_squares(Ensemble.of([model]), digits().validation.x[:50])
    assert found[0].isfinite().all()
    assert found[1:].isinf().all()


def test_growth_is_that_of_the_last_layer_from_start_to_end():
    numbers = np.ones((3, 2, 8, 1))
    numbers[0, 1, -1], numbers[2, 1, -1], numbers[1, 1, -1] = 2.0, 10.0, 99.0
    result = study.Result(
        config=replace(SMALL, seeds=(0,)),
        provenance=Provenance("2026-01-31", {}, "0123456789ab"),
        mean_square={"no_norm": numbers},
    )
    assert result.grown("no_norm", 3.0).tolist() == [5.0]
    with pytest.raises(ValueError, match=r"rate: expected one of 0\.01, 3\.0, got 1"):
        result.grown("no_norm", 1.0)


def test_a_probe_larger_than_the_split_is_refused():
    with pytest.raises(ValueError, match="probe_size: expected at most 360, got 361"):
        study.run(replace(SMALL, probe_size=361))
