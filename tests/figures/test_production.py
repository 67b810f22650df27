import numpy as np
import pytest

from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import served_shift, weight_averaging
from bnlab.figures.production import KINDS, PATHS, STATISTICS, accuracy_along_path, accuracy_by_shift
from bnlab.figures.style import COLOURS

PROVENANCE = Provenance("2026-01-31", {}, "0123456789ab")
SEEDS = (0, 1, 2)


@pytest.fixture
def served(rng):
    numbers = {kind: {name: rng.random(3) for name in served_shift.SHIFTS} for kind in STATISTICS}
    return served_shift.Result(config=served_shift.Config(seeds=SEEDS), provenance=PROVENANCE, **numbers)


@pytest.fixture
def path(rng):
    numbers = {field: {kind: rng.random((5, 3)) for kind in weight_averaging.KINDS} for field in PATHS}
    return weight_averaging.Result(config=weight_averaging.Config(seeds=SEEDS), provenance=PROVENANCE, **numbers)


def named(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def test_every_kind_of_statistics_has_its_means_beside_its_shift(served):
    ax = accuracy_by_shift(served, title="t").axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(served_shift.SHIFTS)
    for kind, (label, role, _) in STATISTICS.items():
        line = named(ax)[label]
        assert line.get_xdata() == pytest.approx([100 * seeds.mean() for seeds in getattr(served, kind).values()])
        assert np.round(line.get_ydata()) == pytest.approx(range(6))  # its row lies nearest to its shift's name
        assert line.get_color() == COLOURS[role]
    assert len({tuple(line.get_ydata()) for line in named(ax).values()}) == len(STATISTICS)  # none hides another


def test_every_seed_of_a_shift_has_its_mark_in_the_row_of_its_mean(served):
    ax = accuracy_by_shift(served, title="t").axes[0]
    faint = [line for line in ax.lines if line.get_alpha() is not None]
    drawn = {round(float(line.get_ydata()[0]), 6): line.get_xdata() for line in faint}
    for kind, (label, _, _) in STATISTICS.items():
        for height, seeds in zip(named(ax)[label].get_ydata(), getattr(served, kind).values(), strict=True):
            assert drawn[round(float(height), 6)] == pytest.approx(100 * seeds)


def test_each_panel_has_both_paths_and_every_seed(path):
    figure = accuracy_along_path(path, title="t")
    for ax, (kind, name) in zip(figure.axes, KINDS.items(), strict=True):
        assert name in {ax.get_title(), ax.get_title(loc="left")}  # as the style places it
        lines = [line for line in ax.lines if line.get_linestyle() != "None"]
        dots = [line for line in ax.lines if line.get_linestyle() == "None"]
        for place, (field, (label, role, style)) in enumerate(PATHS.items()):
            accuracies = 100 * getattr(path, field)[kind]
            assert (lines[place].get_label(), lines[place].get_linestyle()) == (label, style)
            assert lines[place].get_ydata() == pytest.approx(accuracies.mean(1))
            assert lines[place].get_xdata() == pytest.approx([0, 0.25, 0.5, 0.75, 1])
            assert lines[place].get_color() == COLOURS[role]
            drawn = np.array([line.get_ydata() for line in dots[3 * place : 3 * place + 3]]).T
            assert drawn == pytest.approx(accuracies)
