import numpy as np
import pytest
import torch

from bnlab.experiments.data import DATASETS, Dataset, Split, digits
from bnlab.experiments.studies import norm_free as study

SMALL = study.Config(learning_rates=(1e-6, 0.05), seeds=(0, 1), blocks=1, width=24, steps=80)


@pytest.fixture(scope="module")
def result():
    return study.run(SMALL)


def test_every_arm_learns_at_its_best_rate(result):
    assert list(result.test) == list(study.ARMS)
    for arm in study.ARMS:
        assert result.best_rate(arm) == 0.05
        assert result.validation[arm].shape == (2, 2)
        assert (result.test[arm] > 0.5).all()
        assert (result.train[arm] > 0.5).all()


def test_arms_start_from_the_same_weights():
    starts = [
        [p.detach() for p in study._network(SMALL, norm, 3).parameters() if p.ndim > 1] for norm in study.ARMS.values()
    ]
    for other in starts[1:]:
        assert all(torch.equal(one, two) for one, two in zip(starts[0], other, strict=True))


def test_no_rate_is_chosen_by_the_test_split(monkeypatch):
    data = digits()
    wrong = Dataset(data.train, data.validation, Split(data.test.x, (data.test.y + 1) % 10))
    monkeypatch.setitem(DATASETS, "digits", lambda: wrong)
    assert (np.array([*study.run(SMALL).test.values()]) < 0.07).all()
