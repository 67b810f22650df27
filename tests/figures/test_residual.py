import numpy as np
import pytest

from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import depth, residual_signal
from bnlab.figures.residual import PLAIN, RESIDUAL, SIGNALS, accuracy_by_depth, branch_by_block
from bnlab.figures.style import COLOURS

PROVENANCE = Provenance("2026-01-31", {}, "0123456789ab")
SEEDS = (0, 1, 2)


@pytest.fixture
def signal(rng):
    branch, skip = ({arm: 0.1 + rng.random((8, 3)) for arm in residual_signal.ARMS} for _ in range(2))
    config = residual_signal.Config(blocks=8, seeds=SEEDS)
    return residual_signal.Result(config=config, provenance=PROVENANCE, branch=branch, skip=skip)


@pytest.fixture
def deep(rng):
    config = depth.Config(seeds=SEEDS)
    train = {arm: rng.random((len(config.depths_of(arm)), 3)) for arm in depth.PLAIN | depth.RESIDUAL}
    return depth.Result(config=config, provenance=PROVENANCE, validation={}, train=train)


def test_each_arm_has_a_line_through_its_medians_beside_one_over_l(signal):
    ax = branch_by_block(signal, title="t").axes[0]
    lines = {line.get_label(): line for line in ax.lines}
    for arm, (label, colour) in SIGNALS.items():
        assert list(lines[label].get_xdata()) == list(range(1, 9))
        assert lines[label].get_ydata() == pytest.approx(np.median(signal.branch[arm] / signal.skip[arm], axis=1))
        assert lines[label].get_color() == colour
    assert lines["1 / l"].get_ydata() == pytest.approx(1 / np.arange(1, 9))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_bands_reach_from_the_smallest_to_the_largest_seed(signal):
    ax = branch_by_block(signal, title="t").axes[0]
    for band, arm in zip(ax.collections, SIGNALS, strict=True):
        heights = band.get_paths()[0].vertices[:, 1]
        assert (heights.min(), heights.max()) == pytest.approx((signal.ratio(arm).min(), signal.ratio(arm).max()))


@pytest.mark.parametrize(("panel", "arms"), [(0, PLAIN), (1, RESIDUAL)])
def test_depth_grows_to_the_right_and_every_seed_is_drawn(deep, panel, arms):
    ax = accuracy_by_depth(deep, title="t").axes[panel]
    depths = deep.config.depths_of(next(iter(arms)))
    assert [label.get_text() for label in ax.get_xticklabels()] == [str(one) for one in depths]
    lines = {line.get_label(): line for line in ax.lines}
    for arm, (label, colour) in arms.items():
        assert lines[label].get_ydata() == pytest.approx(np.median(100 * deep.train[arm], axis=1))
        assert np.asarray(lines[label].get_xdata()) == pytest.approx(np.arange(len(depths)), abs=0.2)
        dots = [line for line in ax.lines if line.get_marker() == "o" and line.get_color() == colour]
        assert [list(line.get_ydata()) for line in dots] == [list(100 * seeds) for seeds in deep.train[arm]]


def test_the_level_of_guessing_is_marked(deep):
    for ax in accuracy_by_depth(deep, title="t").axes:
        assert [10, 10] in [list(line.get_ydata()) for line in ax.lines if line.get_color() == COLOURS["theory"]]
