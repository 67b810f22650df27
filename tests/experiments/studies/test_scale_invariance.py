from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bnlab.experiments.data import Split, digits
from bnlab.experiments.studies import scale_invariance as study

SMALL = study.Config(seeds=(0, 1), scales=(1e-3, 1.0, 100.0), depth=2, width=12, batch_size=32, steps=10)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


@pytest.fixture(scope="module")
def batch():
    x, y = digits().train
    return Split(x[:32].double(), y[:32])


def test_without_eps_the_output_stays_and_the_gradient_is_divided_by_the_scale(result):
    assert result.output["no_eps"].max() < 1e-13
    law = np.array([[1e3], [1.0], [1e-2]])
    assert result.gradient["no_eps"] == pytest.approx(np.broadcast_to(law, (3, 2)), rel=1e-12)
    assert result.cosine["no_eps"].max() < 1e-14


def test_with_eps_the_law_holds_for_long_weights_and_breaks_for_short_ones(result):
    long, short = result.gradient["batch_norm"][[2, 0]]
    assert long == pytest.approx(np.full(2, 1e-2), rel=1e-4)
    assert (short < 100).all()  # 1,000 by the law
    assert (result.output["batch_norm"][0] > 0.9).all()


def test_without_a_norm_the_logits_grow_by_the_scale_of_every_layer(result):
    assert result.output["no_norm"][2] == pytest.approx(np.full(2, 100.0**2 - 1))  # no biases at the start
    assert (result.cosine["no_norm"][1] > 1e-3).all()
    assert (result.gradient["no_norm"][2] > 10).all()


def test_the_cosine_is_that_of_the_layer_where_it_is_largest(result, batch):
    for seed, cosine in zip(SMALL.seeds, result.cosine["no_norm"][1], strict=True):
        found = study.probe(study.network(SMALL, "no_norm", inputs=64, seed=seed), 1.0, batch)
        pairs = zip(found.gradients, found.weights, strict=True)
        layers = [((g * w).sum() / (g.norm() * w.norm())).abs().item() for g, w in pairs]
        assert cosine == pytest.approx(max(layers))
        assert cosine > 1.01 * min(layers)


def test_a_probe_is_what_a_network_with_scaled_weights_gives_and_leaves_the_model_alone(batch):
    model = study.network(SMALL, "batch_norm", inputs=64, seed=3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = study.probe(model, 0.01, batch)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        for name in study.hidden(model):
            model.get_parameter(name).mul_(0.01)
    logits = model(batch.x)
    nn.functional.cross_entropy(logits, batch.y).backward()
    assert torch.equal(found.logits, logits)
    for name, weight, gradient in zip(study.hidden(model), found.weights, found.gradients, strict=True):
        assert torch.equal(weight, model.get_parameter(name))
        torch.testing.assert_close(gradient, model.get_parameter(name).grad, rtol=1e-12, atol=0)


def test_all_but_the_head_is_hidden():
    assert study.hidden(study.network(SMALL, "batch_norm", inputs=64, seed=0)) == ["1.weight", "4.weight"]


def test_arms_start_from_the_same_weights():
    weights = [
        [m.weight for m in study.network(SMALL, arm, inputs=64, seed=4) if isinstance(m, nn.Linear)]
        for arm in study.ARMS
    ]
    for other in weights[1:]:
        assert all(torch.equal(a, b) for a, b in zip(weights[0], other, strict=True))


def test_training_is_what_torchs_optimiser_does(batch):
    config = replace(SMALL, decay=0.1, rate=0.3, other_rate=0.05)
    ours, theirs = (study.network(config, "batch_norm", inputs=64, seed=1) for _ in range(2))
    study.train(ours, batch, config, seed=5, decay=0.1, rate=lambda _: 0.3)
    fed = [theirs.get_parameter(name) for name in study.hidden(theirs)]
    others = [p for p in theirs.parameters() if not any(p is one for one in fed)]
    groups = [{"params": fed, "lr": 0.3, "weight_decay": 0.1}, {"params": others, "lr": 0.05}]
    optimiser = torch.optim.SGD(groups)
    for index in study.batches(32, config.steps, config.batch_size, 5):
        optimiser.zero_grad()
        nn.functional.cross_entropy(theirs(batch.x[index]), batch.y[index]).backward()
        optimiser.step()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-12, atol=1e-14)


def test_decay_is_a_growing_rate_and_not_a_constant_one(result):
    assert result.apart["growing_rate"].max() < 1e-12
    assert result.apart["no_decay"].min() > 1e-3
    assert 1e-12 < result.apart["growing_rate_eps"].min() < result.apart["growing_rate_eps"].max() < 1e-3


def test_a_scale_that_was_not_run_is_refused(result):
    assert result.at(100.0) == 2
    with pytest.raises(ValueError, match=r"scale: expected one of 0\.001, 1\.0, 100\.0, got 7"):
        result.at(7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: study.run(study.Config(batch_size=2000)), "expected at most the 1077 training examples, got 2000"),
        (lambda: study.Config(rate=0.5, decay=2.0), r"decay: expected below 1 / rate, 2, got 2\.0"),
    ],
)
def test_settings_that_cannot_be_run_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
