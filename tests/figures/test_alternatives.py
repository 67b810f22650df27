import numpy as np
import pytest

from bnlab.experiments.intervals import t_interval
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import batch_mean_spread, norm_free, small_batches
from bnlab.figures.alternatives import ARMS, error_by_batch_size, norm_free_compared, spread_of_means
from bnlab.figures.style import COLOURS

PROVENANCE = Provenance("2026-01-31", {}, "0123456789ab")
SEEDS = (0, 1, 2)


def batches(rng, **changes):
    config = small_batches.Config(seeds=SEEDS, **changes)
    shape = (len(config.batch_sizes), 3)
    test = {arm: rng.uniform(0.1, 0.9, shape) for arm in config.compared}
    recalibrated = {"batch_norm": rng.uniform(0.1, 0.9, shape)}
    unread = {"validation": {}, "train": {}, "by_batch": {}}
    return small_batches.Result(config=config, provenance=PROVENANCE, test=test, recalibrated=recalibrated, **unread)


@pytest.fixture
def panels(rng):
    cnn = {"network": "cnn", "compared": ("batch_norm", "group_norm"), "batch_sizes": (2, 32)}
    return {"one": batches(rng), "other": batches(rng, **cnn)}


@pytest.fixture
def spread(rng):
    config = batch_mean_spread.Config(batch_sizes=(1, 4), seeds=SEEDS)
    numbers = {name: rng.uniform(0.01, 1, (3, 2, 3)) for name in ("spread", "untrained")}
    numbers["shuffled"] = rng.uniform(0.01, 1, (2, 3))
    return batch_mean_spread.Result(config=config, provenance=PROVENANCE, positions=np.array(64), **numbers)


@pytest.fixture
def free(rng):
    config = norm_free.Config(seeds=SEEDS, learning_rates=(0.1, 0.2))
    numbers = {name: {arm: rng.random(3) for arm in norm_free.ARMS} for name in ("test", "train")}
    validation = {arm: rng.random((2, 3)) for arm in norm_free.ARMS}
    return norm_free.Result(config=config, provenance=PROVENANCE, validation=validation, **numbers)


def lines(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def test_every_arm_has_its_mean_errors_at_its_sizes(panels):
    figure = error_by_batch_size(panels, title="t")
    for ax, result in zip(figure.axes, panels.values(), strict=True):
        drawn = lines(ax)
        for arm, accuracies in result.test.items():
            line = drawn[ARMS[arm][0]]
            assert line.get_ydata() == pytest.approx(100 - 100 * accuracies.mean(1))
            assert np.asarray(line.get_xdata()) == pytest.approx(result.config.batch_sizes, rel=0.12)
            assert line.get_color() == COLOURS[ARMS[arm][1]]
        recalibrated = 100 - 100 * result.recalibrated["batch_norm"].mean(1)
        assert drawn["batch norm, recalibrated"].get_ydata() == pytest.approx(recalibrated)
        assert result is panels[ax.get_title() or ax.get_title(loc="left")]


def test_every_seed_has_its_dot(panels):
    ax = error_by_batch_size(panels, title="t").axes[1]
    dots = [line for line in ax.lines if line.get_linestyle() == "None"]
    drawn = np.array([line.get_ydata() for line in dots[:3]]).T
    assert drawn == pytest.approx(100 - 100 * panels["other"].test["batch_norm"])
    assert len(dots) == 2 * 3


def test_the_spread_of_each_layer_stands_beside_independence(spread):
    ax = spread_of_means(spread, title="t").axes[0]
    drawn = lines(ax)
    for layer in range(3):
        line = next(line for label, line in drawn.items() if label.startswith(f"convolution {layer + 1}:"))
        assert line.get_ydata() == pytest.approx(spread.spread[layer].mean(1))
        assert f"worth {spread.effective()[layer].mean():.0f} values" in line.get_label()
    independent = drawn["if independent: 1/sqrt(64N)"]
    assert independent.get_ydata() == pytest.approx([1 / 8, 1 / 16])
    assert independent.get_linestyle() == "--"
    assert drawn["dealt anew"].get_ydata() == pytest.approx(spread.shuffled.mean(1))


def test_every_arm_without_statistics_has_a_row_and_a_curve(free):
    left, right = norm_free_compared(free, title="t").axes
    assert [label.get_text() for label in left.get_yticklabels()] == [ARMS[arm][0] for arm in free.test]
    bars = [line for line in left.lines if line.get_linewidth() == 3]
    for row, (arm, accuracies) in enumerate(free.test.items()):
        interval = t_interval(100 * accuracies)
        assert bars[row].get_xdata() == pytest.approx([interval.low, interval.high])
        curve = lines(right)[ARMS[arm][0]]
        assert curve.get_ydata() == pytest.approx(100 * np.median(free.validation[arm], axis=1))


def test_the_chosen_rate_is_marked(free):
    right = norm_free_compared(free, title="t").axes[1]
    marks = [line for line in right.lines if line.get_markersize() == 9]
    assert [line.get_xdata()[0] for line in marks] == [free.best_rate(arm) for arm in free.test]
