import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bnlab.experiments.data import digits
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import effective_rate as study
from bnlab.experiments.training import batches

SMALL = study.Config(
    dataset="digits",
    seeds=(0, 1),
    learning_rates=(1.0, 100.0),
    products=(0.0, 0.02),
    depth=2,
    width=16,
    batch_size=32,
    steps=200,
    every=5,
)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def test_without_decay_the_norm_only_grows_and_more_at_a_larger_rate(result):
    norms = result.squared_norm["0"]
    assert norms.shape == (2, 41, 2)
    assert (np.diff(norms, axis=1) > 0).all()
    assert np.array_equal(norms[0, 0], norms[1, 0])  # rates share the start
    assert (norms[1, -1] > 10 * norms[0, -1]).all()


def test_with_decay_the_angle_of_a_step_settles_where_growth_and_decay_balance(result):
    for rate in SMALL.learning_rates:
        assert result.late_angle(0.02, rate) == pytest.approx(np.full(2, 0.2), rel=0.25)
    assert (result.late_angle(0.0, 1.0) < 0.1).all()


def test_numbers_are_those_of_the_plain_loop_with_torchs_optimiser():
    config = replace(SMALL, learning_rates=(2.0,), products=(0.1,), seeds=(3,), steps=4, every=2)
    found, (x, y) = study.run(config), digits().train
    model = study._network(config, 64, 3)
    fed = [model.get_parameter(name) for name in study.hidden(model)]
    others = [p for p in model.parameters() if not any(p is one for one in fed)]
    optimiser = torch.optim.SGD([{"params": fed, "lr": 2.0, "weight_decay": 0.05}, {"params": others, "lr": 0.1}])
    norms, angles = [torch.cat([w.detach().square().sum(1) for w in fed]).mean().item()], []
    for index in batches(len(y), 4, 32, 3):
        before = [w.detach().clone() for w in fed]
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[index]), y[index]).backward()
        optimiser.step()
        pairs = zip(before, fed, strict=True)
        cosines = torch.cat([nn.functional.cosine_similarity(a.double(), b.double()) for a, b in pairs])
        norms.append(torch.cat([w.detach().square().sum(1) for w in fed]).mean().item())
        angles.append(cosines.clamp(-1, 1).acos().square().mean().sqrt().item())
    assert found.squared_norm["0.1"][0, :, 0] == pytest.approx([norms[0], norms[2], norms[4]], rel=1e-4)
    assert found.angle["0.1"][0, :, 0] == pytest.approx([angles[1], angles[3]], rel=1e-4)
    right = (model.eval()(digits().validation.x).argmax(1) == digits().validation.y).double().mean().item()
    assert found.validation["0.1"][0, 0] == pytest.approx(right, abs=1.5 / 360)


def test_a_step_of_the_balance_makes_the_squared_norm_grow_by_what_decay_takes():
    product = 1e-4
    assert study.balance(product) ** 2 == pytest.approx(1 - (1 - product) ** 2, rel=1e-3)


def test_the_rotation_of_small_angles_is_exact_and_ignores_length():
    turn = 1e-4
    before = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]], dtype=torch.float64)
    after = 5 * torch.tensor([[[math.cos(turn), math.sin(turn)], [0.0, 1.0]]], dtype=torch.float64)
    assert study.rotation([before], [after]).item() == pytest.approx(turn / math.sqrt(2), rel=1e-6)


def made_up(**numbers):
    config = replace(SMALL, seeds=(0,), steps=50, every=10)
    provenance = Provenance("2026-01-31", {}, "0123456789ab")
    return study.Result(config=config, provenance=provenance, validation={}, **numbers)


def test_the_effective_rate_is_the_rate_over_the_squared_norm():
    norms = np.stack([np.full((6, 1), 2.0), np.arange(1.0, 7)[:, None]])
    result = made_up(squared_norm={"0.02": norms}, angle={})
    assert result.effective_rate(0.02, 100.0)[:, 0] == pytest.approx(100 / np.arange(1.0, 7))


def test_the_late_angle_is_of_the_last_fifth():
    angle = np.zeros((2, 5, 1))
    angle[0, 4], angle[0, 3], angle[1, 4] = 3.0, 9.0, 7.0
    assert made_up(squared_norm={}, angle={"0": angle}).late_angle(0.0, 1.0).tolist() == [3.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: study.run(replace(SMALL, every=7)), "every: expected a divisor of steps, 200, of at least 2, got 7"),
        (lambda: study.run(replace(SMALL, every=1)), "every: expected a divisor of steps, 200, of at least 2, got 1"),
        (lambda: replace(SMALL, products=(1.0,)), r"products: expected below 1, got 1\.0"),
        (lambda: replace(SMALL, products=(-0.1,)), r"products: expected at least 0, got -0\.1"),
        (lambda: made_up(squared_norm={}, angle={}).late_angle(0.5, 1.0), r"product: expected one of 0\.0, 0\.02, got"),
        (lambda: made_up(squared_norm={}, angle={"0": 1}).late_angle(0.0, 5.0), r"rate: expected one of 1\.0, 100\.0"),
    ],
)
def test_what_was_not_run_or_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
