import numpy as np
import pytest

from bnlab.experiments.running_statistics import Config, Result
from bnlab.figures.running_statistics import evaluation_by_momentum
from bnlab.figures.style import COLOURS


@pytest.fixture
def result(rng):
    config = Config(momenta=(0.01, 0.1), steps=(10, 2000), learning_rates=(0.1, 1.0), seeds=(0, 1, 2))
    return Result(config, rng.random((2, 3)), rng.random((2, 2, 2, 3)), rng.random((2, 2, 3)))


@pytest.fixture
def panels(result):
    return evaluation_by_momentum(result, 1, title="t").axes


def test_every_seed_has_its_dot_in_the_column_of_its_momentum(result, panels):
    for step, ax in enumerate(panels):
        dots = [line for line in ax.lines if line.get_marker() == "o"]
        expected = [*result.running[1, step], result.recalibrated[1, step]]
        for column, (line, seeds) in enumerate(zip(dots, expected, strict=True)):
            assert line.get_ydata() == pytest.approx(100 * seeds)
            assert np.asarray(line.get_xdata()) == pytest.approx(column, abs=0.3)
            assert len(set(line.get_xdata())) == 3  # side by side


def test_a_bar_marks_the_mean_of_each_column_and_a_line_that_of_the_recalibrated(result, panels):
    for step, ax in enumerate(panels):
        line, *bars = [line for line in ax.lines if line.get_marker() == "None"]
        ceiling = 100 * result.recalibrated[1, step].mean()
        means = [*100 * result.running[1, step].mean(-1), ceiling]
        assert line.get_ydata() == pytest.approx([ceiling] * 2)
        assert [bar.get_ydata()[0] for bar in bars] == pytest.approx(means)
        assert [np.mean(bar.get_xdata()) for bar in bars] == pytest.approx([0, 1, 2])


def test_recalibrated_has_its_own_colour(panels):
    colours = [line.get_color() for line in panels[0].lines if line.get_marker() == "o"]
    assert colours == [COLOURS["batch_norm"]] * 2 + [COLOURS["output"]]


def test_panels_and_columns_are_named_after_the_settings(panels):
    assert [ax.get_title() for ax in panels] == ["after 10 steps", "after 2,000 steps"]
    assert [label.get_text() for label in panels[0].get_xticklabels()] == ["0.01", "0.1", "recalibrated"]
