import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from bnlab.experiments.data import DATASETS, Dataset, Split, digits, load
from bnlab.experiments.studies import recurrent_norm as study

SMALL = study.Config(
    learning_rates=(1e-6, 0.03), common_rate=1e-6, hidden=12, batch_size=32, seeds=(0, 1), steps=60, probe=100
)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def test_every_arm_is_trained_at_every_rate_and_probed_on_whole_images(result):
    for arm in study.ARMS:
        assert result.validation[arm].shape == (2, 2)
        assert result.test[arm].shape == result.test_at_common_rate[arm].shape == (2,)
        assert result.gradient[arm].shape == (63, 2)


def test_batch_norm_learns_and_a_rate_of_nearly_nothing_does_not(result):
    assert result.best_rate("batch_norm") == 0.03
    assert (result.test["batch_norm"] > 0.25).all()
    assert (result.test_at_common_rate["batch_norm"] < 0.2).all()


def test_the_gradient_fades_without_a_norm_lasts_with_gamma_small_and_grows_with_gamma_one(result):
    left = {arm: seeds[31] / seeds[-1] for arm, seeds in result.gradient.items()}
    assert (left["no_norm"] < 1e-3).all()
    assert ((left["batch_norm"] > 0.005) & (left["batch_norm"] < 5)).all()
    assert (left["gamma_one"] > 1).all()
    assert (left["forget_two"] > 0.02).all()


def test_the_gradient_is_that_of_the_hidden_state():
    data = study.sequences(load("digits"), shortened=True)
    split = Split(data.train.x[:20], data.train.y[:20])
    model = study.network(SMALL, "no_norm", 1, length=16)
    found = study.gradient_by_step(model, split)
    _, (h, c) = model.lstm(split.x[:, :10])
    leaf = h.detach().requires_grad_()
    _, (last, _) = model.lstm(split.x[:, 10:], (leaf, c.detach()))
    (expected,) = torch.autograd.grad(cross_entropy(model.head(last[0]), split.y), leaf)
    assert found.shape == (15,)
    assert found[9].item() == pytest.approx(expected.norm().item(), rel=1e-4)


def test_images_and_series_are_read_value_by_value_whole_or_averaged():
    image, series = torch.arange(16.0).reshape(1, 1, 4, 4), torch.arange(4.0).reshape(1, 1, 4)
    for x, whole, short in (
        (image, list(range(16)), [2.5, 4.5, 10.5, 12.5]),
        (series, [0, 1, 2, 3], [0.5, 2.5]),
    ):
        split = Split(x, torch.tensor([7]))
        for shortened, expected in ((False, whole), (True, short)):
            made = study.sequences(Dataset(split, split, split), shortened=shortened)
            assert all(one.x.shape == (1, len(expected), 1) for one in made)
            assert made.test.x.ravel().tolist() == expected
            assert made.test.y.tolist() == [7]


def test_arms_start_from_the_same_weights():
    nets = [study.network(SMALL, arm, 5, length=16) for arm in study.ARMS]
    for other in nets[1:]:
        assert torch.equal(nets[0].lstm.weight_hh, other.lstm.weight_hh)
        assert torch.equal(nets[0].head.weight, other.head.weight)
    assert nets[2].lstm.norm_c.weight[0].item() == pytest.approx(0.1)
    assert nets[3].lstm.norm_c.weight[0].item() == 1
    assert (nets[1].lstm.bias - nets[0].lstm.bias).sum().item() == pytest.approx(2 * SMALL.hidden, rel=1e-5)


def test_validation_chooses_and_not_the_test_split(monkeypatch):
    data = digits()
    wrong = Dataset(data.train, data.validation, Split(data.test.x, (data.test.y + 1) % 10))
    monkeypatch.setitem(DATASETS, "digits", lambda: wrong)
    monkeypatch.setattr(study, "ARMS", {"batch_norm": study.ARMS["batch_norm"]})
    result = study.run(SMALL)
    assert result.best_rate("batch_norm") == 0.03
    assert np.median(result.test["batch_norm"]) < 0.15
    assert not np.array_equal(result.test["batch_norm"], result.test_at_common_rate["batch_norm"])


def test_a_common_rate_that_is_not_run_is_refused():
    with pytest.raises(ValueError, match=r"common_rate: expected one of the learning rates .*, got 0\.2"):
        study.Config(common_rate=0.2)
