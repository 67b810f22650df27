import numpy as np
import pytest

from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import landscape
from bnlab.experiments.studies.noisy_norm import Config, Result
from bnlab.figures.shift_and_smoothness import (
    drift_and_accuracy,
    landscape_over_training,
    scale_free_steps,
    shifts_over_training,
)
from bnlab.figures.style import COLOURS

DRAWN = {  # label, role and marker of each arm
    "no_norm": ("no norm", "no_norm", "D"),
    "no_norm 0.5": ("no norm + noise 0.5", "wrong", "D"),
    "batch_norm": ("batch norm", "batch_norm", "o"),
    "batch_norm 0.2": ("batch norm + noise 0.2", "output", "o"),
    "batch_norm 0.5": ("batch norm + noise 0.5", "averaged", "o"),
}
BEST = {"no_norm": 0, "no_norm 0.5": 1, "batch_norm": 1, "batch_norm 0.2": 0, "batch_norm 0.5": 1}


@pytest.fixture
def result(rng):
    def numbers(*shape):
        return {arm: rng.uniform(0.1, 2, size=shape) for arm in DRAWN}

    config = Config(seeds=(0, 1, 2, 3), strengths=(0.2, 0.5), learning_rates=(0.1, 0.5), steps=30, every=10)
    validation = {arm: np.full((2, 4), 0.5) + 0.2 * (np.arange(2) == at)[:, None] for arm, at in BEST.items()}
    by_look = {name: numbers(3, 2, 4) for name in ("drift", "distance", "distance_held", "cosine", "loss")}
    return Result(
        config=config,
        provenance=Provenance("2026-01-31", {}, "0123456789ab"),
        validation=validation,
        train_loss=numbers(2, 4),
        test=numbers(4),
        test_running=numbers(4),
        **by_look,
    )


LANDSCAPES = {  # label, role and line of each
    "no_norm": ("no norm", "no_norm", "-"),
    "batch_norm": ("batch norm", "batch_norm", "-"),
    "rescaled": ("the same, weights before norms times 0.5", "output", "--"),
}


@pytest.fixture
def walked(rng):
    def numbers(*shape):
        return {arm: rng.uniform(0.5, 2, size=shape) for arm in LANDSCAPES}

    config = landscape.Config(seeds=(0, 1, 2, 3), step_sizes=(0.1, 0.2), shares=(0.01, 0.1), factor=0.5, every=100)
    at_start = {name: numbers(3, 4) for name in ("loss", "gradient", "predicted")}
    on_lines = {name: numbers(3, 2, 4) for name in ("loss_along", "change", "loss_at_share", "change_at_share")}
    return landscape.Result(
        config=config, provenance=Provenance("2026-01-31", {}, "0123456789ab"), **at_start, **on_lines
    )


def assert_arms_are_drawn(ax, x, numbers):
    """A line of medians an arm, in a band of all seeds."""
    for line, band, (arm, (label, role, kind)) in zip(ax.lines, ax.collections, LANDSCAPES.items(), strict=False):
        seeds = numbers(arm)
        assert (line.get_label(), line.get_color(), line.get_linestyle()) == (label, COLOURS[role], kind)
        assert line.get_xdata() == pytest.approx(x)
        assert line.get_ydata() == pytest.approx(np.median(seeds, axis=1))
        corners = {(round(at, 6), round(y, 6)) for at, y in band.get_paths()[0].vertices}
        for edge in (seeds.min(1), seeds.max(1)):
            assert corners >= {(round(at, 6), round(y, 6)) for at, y in zip(x, edge, strict=True)}
    assert len(ax.collections) == len(LANDSCAPES)


def test_every_seed_has_its_dot_at_its_drift_and_its_test_accuracy_at_the_best_rate(result):
    ax = drift_and_accuracy(result, title="t").axes[0]
    dots = {line.get_label(): line for line in ax.lines if line.get_marker() != "+"}
    assert list(dots) == [label for label, _, _ in DRAWN.values()]
    for arm, (label, role, marker) in DRAWN.items():
        assert dots[label].get_xdata() == pytest.approx(np.median(result.drift[arm][:, BEST[arm]], axis=0))
        assert dots[label].get_ydata() == pytest.approx(100 * result.test[arm])
        assert (dots[label].get_color(), dots[label].get_marker()) == (COLOURS[role], marker)
        assert dots[label].get_linestyle() == "None"
    assert ax.get_xscale() == "log"


def test_a_cross_marks_the_medians_of_each_arm(result):
    ax = drift_and_accuracy(result, title="t").axes[0]
    crosses = [line for line in ax.lines if line.get_marker() == "+"]
    for cross, (arm, best) in zip(crosses, BEST.items(), strict=True):
        assert cross.get_xdata() == pytest.approx(np.median(np.median(result.drift[arm][:, best], axis=0)))
        assert cross.get_ydata() == pytest.approx(100 * np.median(result.test[arm]))
    assert [cross.get_label() for cross in crosses if not cross.get_label().startswith("_")] == ["median of an arm"]


@pytest.mark.parametrize("rate", [0, 1])
def test_each_panel_has_a_line_of_medians_an_arm_in_a_band_of_all_seeds(result, rate):
    axes = shifts_over_training(result, rate, title="t").axes
    for ax, name in zip(axes, ("drift", "distance", "loss"), strict=True):
        for line, band, (arm, (label, role, _)) in zip(ax.lines, ax.collections, DRAWN.items(), strict=True):
            seeds = getattr(result, name)[arm][:, rate]
            assert (line.get_label(), line.get_color()) == (label, COLOURS[role])
            assert line.get_xdata().tolist() == [0, 10, 20]
            assert line.get_ydata() == pytest.approx(np.median(seeds, axis=1))
            corners = {(x, round(y, 6)) for x, y in band.get_paths()[0].vertices}
            for edge in (seeds.min(1), seeds.max(1)):
                assert corners >= {(x, round(y, 6)) for x, y in zip((0, 10, 20), edge, strict=True)}


def test_shifts_have_log_scales_and_the_loss_has_not(result):
    axes = shifts_over_training(result, 0, title="t").axes
    assert [ax.get_yscale() for ax in axes] == ["log", "log", "linear"]


def test_a_line_stops_where_a_seed_diverged(result):
    result.loss["no_norm"][:, 0, 2] = np.nan
    lines = shifts_over_training(result, 0, title="t").axes[2].lines
    assert np.isnan(lines[0].get_ydata()).all()
    assert np.isfinite(lines[1].get_ydata()).all()


def test_the_measures_with_a_unit_are_drawn_over_training(walked):
    axes = landscape_over_training(walked, title="t").axes
    measures = (walked.loss_range, walked.gradient_change, walked.smoothness)
    for ax, measure in zip(axes, measures, strict=True):
        assert_arms_are_drawn(ax, [0, 100, 200], measure)
        assert ax.get_yscale() == "log"


def test_those_without_are_drawn_by_the_step_in_percent_and_over_training(walked):
    kept, change, reach = scale_free_steps(walked, title="t").axes
    assert_arms_are_drawn(kept, [1, 10], lambda arm: np.median(walked.kept(arm), axis=0))
    assert_arms_are_drawn(change, [1, 10], lambda arm: np.median(walked.change_at_share[arm], axis=0))
    assert_arms_are_drawn(reach, [0, 100, 200], lambda arm: 100 * walked.reach(arm))
    assert list(kept.lines[-1].get_ydata()) == [0.5, 0.5]
    assert kept.get_ylim() == (-1, 1.05)
    assert [(ax.get_xscale(), ax.get_yscale()) for ax in (kept, change)] == [("log", "linear"), ("log", "log")]
