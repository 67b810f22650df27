import numpy as np
import pytest

from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies.convergence import Config, Result
from bnlab.figures.convergence import steps_and_seconds, steps_by_rate
from bnlab.figures.style import COLOURS

CONFIG = Config(learning_rates=(0.1, 1.0, 10.0), seeds=(0, 1, 2), steps=100, looks=3)
NEVER = 200  # where "never" is drawn


@pytest.fixture
def result():
    assert CONFIG.steps_to_look_at() == [1, 10, 100]
    return Result(
        config=CONFIG,
        provenance=Provenance("2026-01-31", {}, "0123456789ab"),
        validation={
            "no_norm": np.array([[np.inf] * 3, [60.0, 80, np.inf], [90, np.inf, np.inf]]),
            "batch_norm": np.array([[50.0, 50, 50], [20, 30, 40], [25, 35, 45]]),
        },
        test={"no_norm": np.array([60.0, 90, 160]), "batch_norm": np.array([20.0, 30, 40])},
        curves={
            "no_norm": np.array([[0.1, 0.2, 0.3], [0.3, 0.5, 0.6], [0.7, 0.9, 0.95]]),
            "batch_norm": np.array([[0.2, 0.3, 0.5], [0.91, 0.92, 0.95], [np.nan] * 3]),
        },
        seconds={"no_norm": np.array([1e-3, 2e-3, 9e-3]), "batch_norm": np.array([3e-3, 4e-3, 5e-3])},
    )


def marks(ax, arm, marker, *, hollow=False):
    lines = [line for line in ax.lines if line.get_color() == COLOURS[arm] and line.get_marker() == marker]
    chosen = [line for line in lines if (line.get_fillstyle() == "none") == hollow]
    return sorted(float(y) for line in chosen for y in line.get_ydata())


def test_every_run_has_its_mark_and_a_cross_where_it_never_arrived(result):
    (ax,) = steps_by_rate([result], title="t").axes
    assert marks(ax, "batch_norm", "o") == [20, 25, 30, 35, 40, 45, 50, 50, 50]
    assert marks(ax, "no_norm", "o") == [60, 80, 90]
    assert marks(ax, "no_norm", "x") == [NEVER] * 6
    assert marks(ax, "batch_norm", "x") == []
    assert dict(zip(ax.get_yticks(), (text.get_text() for text in ax.get_yticklabels()), strict=True))[NEVER] == "never"


def test_lines_join_the_medians_that_arrived(result):
    (ax,) = steps_by_rate([result], title="t").axes
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    assert lines["with batch norm"] == pytest.approx([50, 30, 35])
    assert lines["without batch norm"] == pytest.approx([80])


def test_a_ring_marks_the_best_rate(result):
    (ax,) = steps_by_rate([result], title="t").axes
    assert marks(ax, "batch_norm", "o", hollow=True) == [30]
    assert marks(ax, "no_norm", "o", hollow=True) == [80]


def test_each_result_has_a_panel_with_its_activation(result):
    figure = steps_by_rate([result, result], title="t")
    titles = ["".join(ax.get_title(place) for place in ("left", "center")) for ax in figure.axes]
    assert titles == ["sigmoid, given up after 100 steps"] * 2


def test_curves_are_medians_with_their_range_until_all_have_arrived(result):
    figure = steps_and_seconds(result, title="t")
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    plain, normalised = lines["without batch norm, rate 1"], lines["with batch norm, rate 1"]
    assert plain.get_xdata() == pytest.approx([1, 10, 100])
    assert plain.get_ydata() == pytest.approx([20, 50, 90])
    assert normalised.get_xdata() == pytest.approx([1, 10])
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((10, 95))


def test_seconds_are_steps_times_the_median_cost_of_a_step(result):
    figure = steps_and_seconds(result, title="t")
    lines = {line.get_label(): line for line in figure.axes[1].lines}
    assert lines["without batch norm, rate 1"].get_xdata() == pytest.approx([0.002, 0.02, 0.2])
    assert lines["with batch norm, rate 1"].get_xdata() == pytest.approx([0.004, 0.04])


def test_an_arrow_leads_from_arrival_to_arrival_and_bears_the_median_ratio(result):
    steps, seconds = steps_and_seconds(result, title="t").axes
    for ax, ends, times in ((steps, (30, 90), "3.0 times"), (seconds, (0.12, 0.18), "1.5 times")):
        arrow, label = ax.texts
        assert (*arrow.xy, *arrow.xyann) == pytest.approx((ends[0], 90, ends[1], 90))
        assert label.get_text() == times
