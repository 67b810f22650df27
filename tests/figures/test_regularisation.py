import numpy as np
import pytest

from bnlab.experiments.intervals import t_interval
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import batch_noise, regularisers
from bnlab.figures.regularisation import NAMES, effective_rates, noise_by_ghost_size, regularisers_compared
from bnlab.figures.style import COLOURS

PROVENANCE = Provenance("2026-01-31", {}, "0123456789ab")
SEEDS = (0, 1, 2)


@pytest.fixture
def noise(rng):
    config = batch_noise.Config(ghost_sizes=(4, 64), batch_size=64, seeds=SEEDS)
    numbers = {name: {arm: rng.random(3) for arm in config.arms()} for name in ("test", "train", "test_loss")}
    losses = {arm: rng.random(3) for arm in config.arms()}
    return batch_noise.Result(config=config, provenance=PROVENANCE, validation={}, train_loss=losses, **numbers)


@pytest.fixture
def compared(rng):
    config = regularisers.Config(seeds=SEEDS, steps=30, compared=tuple(regularisers.Config().arms()))
    numbers = {name: {arm: rng.random(3) for arm in config.arms()} for name in ("test", "test_loss", "train_loss")}
    norms = {arm: 1 + rng.random((3, 3)) for arm in config.arms()}
    return regularisers.Result(config=config, provenance=PROVENANCE, validation={}, squared_norm=norms, **numbers)


def dots(ax, colour, face=None):
    chosen = [line for line in ax.lines if line.get_marker() == "o" and line.get_color() == colour]
    return [line for line in chosen if face is None or line.get_markerfacecolor() == face]


@pytest.mark.parametrize(
    ("panel", "numbers", "colour", "unit"),
    [(0, "test_loss", "batch_norm", 1), (0, "train_loss", "input", 1), (1, "test", "batch_norm", 100)],
)
def test_noise_grows_to_the_right_behind_the_network_without_norm(noise, panel, numbers, colour, unit):
    ax = noise_by_ghost_size(noise, title="t").axes[panel]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["no\nnorm", "64", "4"]
    for column, arm in enumerate(("no_norm", "64", "4")):
        line = dots(ax, COLOURS[colour])[column]
        assert line.get_ydata() == pytest.approx(unit * getattr(noise, numbers)[arm])
        assert np.asarray(line.get_xdata()) == pytest.approx(column, abs=0.3)


def test_a_line_joins_the_means_of_the_ghosts_only(noise):
    lines = {line.get_label(): line for line in noise_by_ghost_size(noise, title="t").axes[0].lines}
    assert list(lines["training"].get_xdata()) == [1, 2]
    assert lines["training"].get_ydata() == pytest.approx([noise.train_loss[arm].mean() for arm in ("64", "4")])


def test_every_arm_has_a_row_with_its_seeds_and_the_interval_of_their_mean(compared):
    left = regularisers_compared(compared, title="t").axes[0]
    assert [label.get_text() for label in left.get_yticklabels()] == [NAMES[arm] for arm in compared.test]
    seeds = [line for line in left.lines if line.get_marker() == "o"]
    bars = [line for line in left.lines if line.get_linewidth() == 3]
    for row, arm in enumerate(compared.test):
        interval = t_interval(100 * compared.test[arm])
        assert seeds[row].get_xdata() == pytest.approx(100 * compared.test[arm])
        assert bars[row].get_xdata() == pytest.approx([interval.low, interval.high])
        assert list(bars[row].get_ydata()) == [row, row]
        assert seeds[row].get_color() == COLOURS["no_norm" if row < 2 else "batch_norm"]


def test_open_dots_are_training_losses_and_filled_ones_test_losses(compared):
    right = regularisers_compared(compared, title="t").axes[1]
    hollow = [line for line in right.lines if line.get_markerfacecolor() == "white"]
    filled = [line for line in right.lines if line.get_markerfacecolor() != "white"]
    for row, arm in enumerate(compared.test):
        assert hollow[row].get_xdata() == pytest.approx(compared.train_loss[arm])
        assert filled[row].get_xdata() == pytest.approx(compared.test_loss[arm])
        assert np.asarray(filled[row].get_ydata()) == pytest.approx(row, abs=0.3)


def test_norms_stand_left_and_effective_rates_right_at_their_steps(compared):
    left, right = effective_rates(compared, title="t").axes
    for ax, numbers in ((left, compared.squared_norm.__getitem__), (right, compared.effective_rate)):
        for line, arm in zip(ax.lines, ("batch_norm", "decay"), strict=True):
            assert list(line.get_xdata()) == [10, 20, 30]
            assert line.get_ydata() == pytest.approx(numbers(arm).mean(1))
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["no decay", "decay 0.01"]


def test_bands_reach_from_the_smallest_to_the_largest_seed(compared):
    left = effective_rates(compared, title="t").axes[0]
    heights = left.collections[1].get_paths()[0].vertices[:, 1]
    decay = compared.squared_norm["decay"]
    assert (heights.min(), heights.max()) == pytest.approx((decay.min(), decay.max()))
