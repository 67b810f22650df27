import numpy as np
import pytest

from bnlab.experiments.intervals import t_interval
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import recurrent_norm, transformer_norms
from bnlab.figures.sequences import (
    RECURRENT,
    TRANSFORMER,
    gradients_through_time,
    recurrent_by_rate,
    sequence_norms_compared,
)

PROVENANCE = Provenance("2026-01-31", {}, "0123456789ab")
SEEDS = (0, 1, 2)


def recurrent(rng, steps):
    config = recurrent_norm.Config(seeds=SEEDS, learning_rates=(0.003, 0.1))
    return recurrent_norm.Result(
        config=config,
        provenance=PROVENANCE,
        validation={arm: rng.random((2, 3)) for arm in RECURRENT},
        test={},
        test_at_common_rate={},
        gradient={arm: 0.1 + rng.random((steps, 3)) for arm in RECURRENT},
    )


@pytest.fixture
def results(rng):
    return {"one": recurrent(rng, 4), "two": recurrent(rng, 6)}


@pytest.fixture
def transformer(rng):
    numbers = {
        name: {arm: 0.1 + rng.random(3) / 2 for arm in TRANSFORMER}
        for name in ("test", "training_mode", "evaluation_mode")
    }
    config = transformer_norms.Config(seeds=SEEDS)
    return transformer_norms.Result(config=config, provenance=PROVENANCE, validation={}, **numbers)


def curves(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def test_every_arm_of_the_studies_has_a_name_and_a_colour():
    assert set(RECURRENT) == set(recurrent_norm.ARMS)
    assert set(TRANSFORMER) == set(transformer_norms.NORMS)


def test_gradients_are_drawn_by_step_in_a_panel_for_each_study(results):
    figure = gradients_through_time(results, title="t")
    for ax, (name, result) in zip(figure.axes, results.items(), strict=True):
        assert ax.get_title(loc="left") + ax.get_title() == name
        assert ax.get_yscale() == "log"
        for arm, (label, colour) in RECURRENT.items():
            line = curves(ax)[label]
            assert list(line.get_xdata()) == list(range(1, len(result.gradient[arm]) + 1))
            assert line.get_ydata() == pytest.approx(np.median(result.gradient[arm], 1))
            assert line.get_color() == colour


def test_bands_of_gradients_reach_from_the_smallest_to_the_largest_seed(results):
    ax = gradients_through_time(results, title="t").axes[0]
    for band, arm in zip(ax.collections, RECURRENT, strict=True):
        heights, seeds = band.get_paths()[0].vertices[:, 1], results["one"].gradient[arm]
        assert (heights.min(), heights.max()) == pytest.approx((seeds.min(), seeds.max()))


def test_accuracy_is_drawn_by_rate_with_every_seed_and_the_best_rate_ringed(results):
    figure = recurrent_by_rate(results, title="t")
    for ax, result in zip(figure.axes, results.values(), strict=True):
        for arm, (label, colour) in RECURRENT.items():
            accuracy = 100 * result.validation[arm]
            middle = np.median(accuracy, 1)
            assert curves(ax)[label].get_ydata() == pytest.approx(middle)
            assert np.asarray(curves(ax)[label].get_xdata()) == pytest.approx([0.003, 0.1], rel=0.2)
            own = [line for line in ax.lines if line.get_color() == colour and line.get_marker() == "o"]
            seeds, rings = own[:-1], own[-1]
            assert [list(line.get_ydata()) for line in seeds] == [pytest.approx(list(values)) for values in accuracy]
            assert rings.get_markerfacecolor() == "none"
            assert list(rings.get_ydata()) == pytest.approx([middle.max()])
            assert rings.get_xdata()[0] == pytest.approx([0.003, 0.1][middle.argmax()], rel=0.2)


def test_every_arm_has_a_row_with_its_seeds_and_the_interval_of_their_mean(transformer):
    left = sequence_norms_compared(transformer, title="t").axes[0]
    assert [label.get_text() for label in left.get_yticklabels()] == [TRANSFORMER[arm][0] for arm in transformer.test]
    seeds = [line for line in left.lines if line.get_marker() == "o"]
    bars = [line for line in left.lines if line.get_linewidth() == 3]
    for row, arm in enumerate(transformer.test):
        interval = t_interval(100 * transformer.test[arm])
        assert seeds[row].get_xdata() == pytest.approx(100 * transformer.test[arm])
        assert bars[row].get_xdata() == pytest.approx([interval.low, interval.high])
        assert list(bars[row].get_ydata()) == [row, row]


def test_open_dots_are_losses_in_training_mode_and_filled_ones_in_evaluation_mode(transformer):
    right = sequence_norms_compared(transformer, title="t").axes[1]
    hollow = [line for line in right.lines if line.get_markerfacecolor() == "white"]
    filled = [line for line in right.lines if line.get_markerfacecolor() != "white"]
    for row, arm in enumerate(transformer.test):
        assert hollow[row].get_xdata() == pytest.approx(transformer.training_mode[arm])
        assert filled[row].get_xdata() == pytest.approx(transformer.evaluation_mode[arm])
        assert np.asarray(filled[row].get_ydata()) == pytest.approx(row, abs=0.3)
