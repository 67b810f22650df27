"""No study chooses a setting on the test split.

Its labels are all wrong here, so that a network that has learned gets nearly nothing right on it and one that has not
gets a tenth: whoever chose by it would choose the rate at which nothing is learned.
"""

import numpy as np
import pytest

from bnlab.experiments.data import DATASETS, Dataset, Split, digits
from bnlab.experiments.studies import convergence, learning_rate_tolerance, training_curves

NOTHING_LEARNED, LEARNED = 1e-6, 0.3
RATES = (NOTHING_LEARNED, LEARNED)


@pytest.fixture(autouse=True)
def wrong_test_labels(monkeypatch):
    data = digits()
    wrong = Dataset(data.train, data.validation, Split(data.test.x, (data.test.y + 1) % 10))
    monkeypatch.setitem(DATASETS, "digits", lambda: wrong)


def test_the_tolerance_of_learning_rates():
    config = learning_rate_tolerance.Config(learning_rates=RATES, seeds=(0, 1), depth=2, width=24, steps=60)
    result = learning_rate_tolerance.run(config)
    assert (np.array([*result.test.values()]) < 0.05).all()


def test_training_curves():
    config = training_curves.Config(learning_rates=RATES, seeds=(0, 1), depth=2, width=24, steps=60, every=60)
    result = training_curves.run(config)
    assert (np.array([*result.test.values()]) < 0.05).all()


def test_steps_to_an_accuracy():
    config = convergence.Config(
        learning_rates=RATES, seeds=(0, 1), activation="relu", width=24, steps=150, looks=4, accuracy=0.7, rounds=1
    )
    result = convergence.run(config)
    for arm, curve in result.curves.items():
        assert np.isfinite(result.validation[arm][1]).all()
        assert np.nanmax(curve) >= 0.7  # the curve is that of the rate which was chosen
        assert np.isinf(result.test[arm]).all()
