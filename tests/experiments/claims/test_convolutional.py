import numpy as np
import pytest

from bnlab.experiments.claims.convolutional import DECLARATIONS
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import affine_only, channel_importance, depth, residual_signal, small_cnns

PROVENANCE = Provenance("2026-01-31", {}, "0123456789ab")
SEEDS = (0, 1)


def twice(value):
    return np.array([value, value])


def signal():
    """A skip of 1; the branch of block l is 10 without a norm, and 1 / l with it."""
    blocks = np.arange(1, 65.0)[:, None] * np.ones((1, 2))
    ones = np.ones((64, 2))
    return residual_signal.Result(
        config=residual_signal.Config(seeds=SEEDS),
        provenance=PROVENANCE,
        branch={"no_norm": 10 * ones, "batch_norm": 1 / blocks, "original": 3 / blocks},
        skip={"no_norm": ones, "batch_norm": ones, "original": ones},
    )


def numbered(config, arms):
    """Test accuracies of 1, 2, 3 ... percent, in the order of the arms."""
    test = {arm: twice(place / 100) for place, arm in enumerate(arms, start=1)}
    return small_cnns.Result(config=config, provenance=PROVENANCE, validation={}, test=test, train={}, running={})


def placed():
    return numbered(small_cnns.Config(seeds=SEEDS), ("after", "no_norm", "before"))


def resnets():
    config = small_cnns.Config(seeds=SEEDS, compared=("residual", "residual_norm", "zero_gamma"))
    return numbered(config, ("zero_gamma", "residual", "residual_norm"))


def depths():
    train = {
        "plain": np.array([twice(0.9), twice(0.4), twice(0.3)]),
        "plain_norm": np.array([twice(0.95), twice(0.6), twice(0.2)]),
        "residual": np.array([twice(0.9), twice(0.1)]),
        "residual_norm": np.array([twice(0.9), twice(0.8)]),
        "skip_init": np.array([twice(0.9), twice(0.75)]),
    }
    return depth.Result(config=depth.Config(seeds=SEEDS), provenance=PROVENANCE, validation={}, train=train)


def affine():
    accuracies = {"all": 0.99, "affine": 0.7, "random": 0.5, "head": 0.6}
    gamma = np.array([[0.01, -0.01, 1.0, 2.0]] * 2)  # half of them nearly 0
    return affine_only.Result(
        config=affine_only.Config(seeds=SEEDS),
        provenance=PROVENANCE,
        validation={},
        test={arm: twice(value) for arm, value in accuracies.items()},
        trained={},
        gamma={"all": np.ones((2, 4)), "affine": gamma, "random": np.ones((2, 4)), "head": np.ones((2, 4))},
    )


def channels():
    """Accuracies after removal of none, measured, lowest, random and highest."""
    test = {
        "sgd": (0.9, 0.8, 0.7, 0.3, 0.2),
        "adam": (0.9, 0.6, 0.5, 0.4, 0.1),
        "adam_penalised": (0.9, 0.8, 0.65, 0.3, 0),
    }
    return channel_importance.Result(
        config=channel_importance.Config(seeds=SEEDS),
        provenance=PROVENANCE,
        test={arm: np.array([twice(value) for value in values]) for arm, values in test.items()},
        gamma={},
        harm={},
    )


MEASURED = {
    "branch-small-beside-skip": 10 * 64,
    "branch-fades-with-depth": 8,
    "norm-before-better": 3 - 1,
    "norm-in-a-cnn": 3 - 2,
    "norm-in-a-resnet": 3 - 2,
    "zero-gamma-sooner": 1 - 3,
    "depth-20-plain": 60 - 40,
    "depth-plain-limit": 60 - 20,
    "depth-40-residual": 80 - 10,
    "depth-40-skip-init": 75 - 10,
    "affine-over-random": 70 - 50,
    "affine-switches-off": 50 - 100 / 3,
    "gamma-after-sgd": 70 - 30,
    "gamma-after-penalty": 65 - 30,
    "gamma-better-than-measuring": 50 - 60,
}
RESULTS = {
    "residual_signal": signal,
    "norm_placement": placed,
    "small_resnet": resnets,
    "depth": depths,
    "affine_only": affine,
    "channel_importance": channels,
}


@pytest.mark.parametrize("declaration", DECLARATIONS, ids=lambda one: one.id)
def test_every_claim_measures_what_it_says(declaration):
    values = declaration.measure(RESULTS[declaration.study]()).values
    assert values == pytest.approx([MEASURED[declaration.id]] * 2)


def test_every_claim_is_measured_here():
    assert {one.id for one in DECLARATIONS} == set(MEASURED)
