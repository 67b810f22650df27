import numpy as np
import pytest

from bnlab.experiments.data import DATASETS, mnist1d
from bnlab.experiments.studies import batch_noise as study
from bnlab.layers import BatchNorm1d

SMALL = study.Config(
    ghost_sizes=(2, 16, 64), examples=192, batch_size=64, learning_rates=(0.3,), seeds=(0, 1), width=32, steps=60
)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def test_there_is_an_arm_without_norm_and_one_for_each_ghost_size(result):
    assert list(result.test) == ["no_norm", "2", "16", "64"]
    assert all(numbers.shape == (2,) for arms in (result.test, result.train_loss) for numbers in arms.values())


def test_the_noisiest_statistics_cost_the_fit(result):
    assert (result.train["2"] < result.train["64"] - 0.3).all()
    assert (result.train_loss["2"] > result.train_loss["64"]).all()


def test_a_ghost_of_the_whole_batch_is_plain_batch_norm(monkeypatch, result):
    # Statistics alone tell the arms apart: weights, batches and steps are shared.
    monkeypatch.setattr(study.Config, "arms", lambda _: {"plain": BatchNorm1d})
    plain = study.run(SMALL)
    assert plain.train_loss["plain"] == pytest.approx(result.train_loss["64"], rel=1e-2)
    assert not np.allclose(plain.train_loss["plain"], result.train_loss["16"], rtol=1e-1)


def test_only_the_first_examples_are_trained_on():
    split = study.first(mnist1d().train, 3)
    assert split.x.equal(mnist1d().train.x[:3])
    assert len(split.y) == 3
    with pytest.raises(ValueError, match=r"examples: expected at most the 3 of the training split, got 4"):
        study.first(split, 4)


def test_validation_chooses_and_test_is_reported(monkeypatch):
    data = mnist1d()
    monkeypatch.setitem(DATASETS, "mnist1d", lambda: data._replace(test=data.validation))
    result = study.run(study.Config(**vars(SMALL) | {"learning_rates": (1e-4, 0.3), "ghost_sizes": (16,)}))
    assert result.best_rate("16") == 0.3
    assert np.array_equal(result.test["16"], result.validation["16"][1])


@pytest.mark.parametrize("size", [1, 3])
def test_a_ghost_that_does_not_fit_the_batch_is_refused(size):
    with pytest.raises(ValueError, match=f"ghost_sizes: expected at least 2 and divisors of 512, got {size}"):
        study.Config(ghost_sizes=(16, size))
