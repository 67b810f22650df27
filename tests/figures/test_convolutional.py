import numpy as np
import pytest

from bnlab.experiments.intervals import t_interval
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import channel_importance, small_cnns
from bnlab.figures.convolutional import PLACES, RULES, accuracy_by_rate_and_place, accuracy_without_channels

PROVENANCE = Provenance("2026-01-31", {}, "0123456789ab")
SEEDS = (0, 1, 2)


@pytest.fixture(params=[("no_norm", "before", "after"), ("residual", "residual_norm", "zero_gamma")])
def placed(request, rng):
    config = small_cnns.Config(seeds=SEEDS, compared=request.param)
    validation = {arm: rng.random((4, 3)) for arm in request.param}
    test = {arm: rng.random(3) for arm in request.param}
    return small_cnns.Result(
        config=config, provenance=PROVENANCE, validation=validation, test=test, train={}, running={}
    )


@pytest.fixture
def pruned(rng):
    config = channel_importance.Config(seeds=SEEDS)
    test = {arm: rng.random((len(channel_importance.REMOVED), 3)) for arm in channel_importance.ARMS}
    return channel_importance.Result(config=config, provenance=PROVENANCE, test=test, gamma={}, harm={})


def test_validation_by_rate_stands_left_with_every_seed(placed):
    left = accuracy_by_rate_and_place(placed, title="t").axes[0]
    assert [label.get_text() for label in left.get_xticklabels()] == ["0.1", "0.3", "1", "3"]
    lines = {line.get_label(): line for line in left.lines}
    for arm in placed.config.compared:
        label, colour = PLACES[arm]
        assert lines[label].get_ydata() == pytest.approx(np.median(100 * placed.validation[arm], axis=1))
        assert np.asarray(lines[label].get_xdata()) == pytest.approx(placed.config.learning_rates, rel=0.1)
        dots = [line for line in left.lines if line.get_marker() == "o" and line.get_color() == colour]
        assert [list(line.get_ydata()) for line in dots] == [list(100 * seeds) for seeds in placed.validation[arm]]


def test_test_accuracy_stands_right_with_the_interval_of_its_mean(placed):
    right = accuracy_by_rate_and_place(placed, title="t").axes[1]
    assert [text.get_text() for text in right.get_yticklabels()] == [PLACES[arm][0] for arm in placed.config.compared]
    bars = [line for line in right.lines if line.get_linewidth() == 3]
    for row, arm in enumerate(placed.config.compared):
        interval = t_interval(100 * placed.test[arm])
        assert bars[row].get_xdata() == pytest.approx([interval.low, interval.high])
        assert list(bars[row].get_ydata()) == [row, row]
        assert bars[row].get_color() == PLACES[arm][1]


def test_every_way_of_training_has_a_panel_and_every_rule_a_column(pruned):
    axes = accuracy_without_channels(pruned, title="t").axes
    assert len(axes) == len(pruned.test)
    for ax, arm in zip(axes, pruned.test, strict=True):
        assert [label.get_text() for label in ax.get_xticklabels()] == list(RULES.values())
        dots = [line for line in ax.lines if line.get_marker() == "o"]
        bars = [line for line in ax.lines if line.get_marker() != "o"]
        for column, rule in enumerate(RULES):
            assert dots[column].get_ydata() == pytest.approx(100 * pruned.accuracy(arm, rule))
            assert np.asarray(dots[column].get_xdata()) == pytest.approx(column, abs=0.3)
            assert list(bars[column].get_ydata()) == pytest.approx([100 * pruned.accuracy(arm, rule).mean()] * 2)
