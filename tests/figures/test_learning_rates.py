import numpy as np
import pytest

from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies.learning_rate_tolerance import Config, Result
from bnlab.figures.learning_rates import learning_rate_sweep
from bnlab.figures.style import COLOURS


@pytest.fixture
def result():
    config = Config(learning_rates=(0.1, 1.0), seeds=(0, 1, 2))
    return Result(
        config=config,
        provenance=Provenance("2026-01-31", {}, "0123456789ab"),
        validation={
            "no_norm": np.array([[0.9, 0.8, 0.7], [0.0, 0.2, 0.0]]),
            "batch_norm": np.array([[0.91, 0.92, 0.93], [0.94, 0.95, 0.96]]),
        },
        diverged={"no_norm": np.array([[False] * 3, [True, False, True]]), "batch_norm": np.zeros((2, 3), dtype=bool)},
        test={},
    )


def drawn(figure, arm, marker):
    """Accuracies drawn in an arm's colour with a marker."""
    lines = figure.axes[0].lines
    chosen = [line for line in lines if line.get_color() == COLOURS[arm] and line.get_marker() == marker]
    return sorted(round(float(y)) for line in chosen for y in line.get_ydata())


def test_every_seed_has_its_mark(result):
    figure = learning_rate_sweep(result, title="t")
    assert drawn(figure, "batch_norm", "o") == [91, 92, 93, 94, 95, 96]
    assert drawn(figure, "no_norm", "o") == [20, 70, 80, 90]


def test_a_diverged_network_is_a_cross_at_zero(result):
    assert drawn(learning_rate_sweep(result, title="t"), "no_norm", "x") == [0, 0]


def test_lines_join_the_medians(result):
    lines = {line.get_label(): line for line in learning_rate_sweep(result, title="t").axes[0].lines}
    assert lines["without batch norm"].get_ydata() == pytest.approx([80, 0])
    assert lines["with batch norm"].get_ydata() == pytest.approx([92, 95])


def test_the_arms_stand_side_by_side_at_each_rate(result):
    lines = {line.get_label(): line for line in learning_rate_sweep(result, title="t").axes[0].lines}
    without, with_norm = (lines[f"{word} batch norm"].get_xdata() for word in ("without", "with"))
    assert np.all(np.asarray(without) < np.asarray(with_norm))
    assert np.asarray(without) == pytest.approx([0.1, 1.0], rel=0.1)
