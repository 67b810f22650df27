import numpy as np
import pytest

from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies.running_statistics import Config, Result
from bnlab.figures.running_statistics import evaluation_by_momentum
from bnlab.figures.style import COLOURS

ROLES = {"running": "batch_norm", "corrected": "averaged", "recalibrated": "output"}


@pytest.fixture
def result(rng):
    config = Config(momenta=(0.01, 0.1), steps=(10, 2000), learning_rates=(0.1, 1.0), seeds=(0, 1, 2))
    return Result(
        config=config,
        provenance=Provenance("2026-01-31", {}, "0123456789ab"),
        validation=rng.random((2, 3)),
        running=rng.random((2, 2, 2, 3)),
        corrected=rng.random((2, 2, 2, 3)),
        recalibrated=rng.random((2, 2, 3)),
    )


@pytest.fixture
def figure(result):
    return evaluation_by_momentum(result, 1, title="t")


def lines(ax, arm, marker):
    return [line for line in ax.lines if line.get_color() == COLOURS[ROLES[arm]] and line.get_marker() == marker]


@pytest.mark.parametrize("arm", ["running", "corrected"])
def test_every_seed_has_its_dot_in_the_column_of_its_momentum(result, figure, arm):
    for step, ax in enumerate(figure.axes):
        for column, line in enumerate(lines(ax, arm, "o")):
            assert line.get_ydata() == pytest.approx(100 * getattr(result, arm)[1, step, column])
            assert np.asarray(line.get_xdata()) == pytest.approx(column, abs=0.45)
            assert len(set(line.get_xdata())) == 3  # side by side


def test_a_bar_marks_the_mean_of_each_arm_and_momentum(result, figure):
    for step, ax in enumerate(figure.axes):
        for arm in ("running", "corrected"):
            means = 100 * getattr(result, arm)[1, step].mean(-1)
            assert [bar.get_ydata()[0] for bar in lines(ax, arm, "None")] == pytest.approx(means)


def test_the_recalibrated_stand_in_the_last_column_with_their_mean_across_the_panel(result, figure):
    for step, ax in enumerate(figure.axes):
        seeds = 100 * result.recalibrated[1, step]
        (dots,), (across, bar) = lines(ax, "recalibrated", "o"), lines(ax, "recalibrated", "None")
        assert dots.get_ydata() == pytest.approx(seeds)
        assert np.asarray(dots.get_xdata()) == pytest.approx(2, abs=0.3)
        assert across.get_ydata() == pytest.approx([seeds.mean()] * 2)
        assert across.get_xdata() == [0, 1]  # of the panel's width
        assert bar.get_ydata() == pytest.approx([seeds.mean()] * 2)


def test_the_arms_of_a_momentum_stand_side_by_side(figure):
    ours, theirs = (np.array([line.get_xdata() for line in lines(figure.axes[0], arm, "o")]) for arm in list(ROLES)[:2])
    assert (ours.max(1) < theirs.min(1)).all()


def test_panels_columns_and_arms_are_named(figure):
    titles = ["".join(ax.get_title(place) for place in ("left", "center")) for ax in figure.axes]
    assert titles == ["after 10 steps", "after 2,000 steps"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["0.01", "0.1", "recalibrated"]
    named = [text.get_text() for text in figure.axes[-1].get_legend().get_texts()]
    assert named == ["running statistics", "without their start", "recalibrated"]
