import numpy as np
import pytest

from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies.init_sensitivity import Config, Result
from bnlab.figures.starts import accuracy_by_scale
from bnlab.figures.style import COLOURS


@pytest.fixture
def result(rng):
    return Result(
        config=Config(scales=(0.1, 10.0), seeds=(0, 1, 2)),
        provenance=Provenance("2026-01-31", {}, "0123456789ab"),
        validation={},
        test={"no_norm": rng.random((2, 3)), "batch_norm": rng.random((2, 3))},
        test_at_common_rate={"no_norm": rng.random((2, 3)), "batch_norm": rng.random((2, 3))},
    )


@pytest.fixture
def ax(result):
    return accuracy_by_scale(result, title="t").axes[0]


def lines(ax, arm, marker):
    return [line for line in ax.lines if line.get_color() == COLOURS[arm] and line.get_marker() == marker]


@pytest.mark.parametrize(
    ("numbers", "arm", "marker"),
    [("test", "no_norm", "o"), ("test", "batch_norm", "o"), ("test_at_common_rate", "batch_norm", "^")],
)
def test_every_seed_has_its_mark_near_its_scale(result, ax, numbers, arm, marker):
    for scale, seeds, line in zip((0.1, 10.0), getattr(result, numbers)[arm], lines(ax, arm, marker), strict=True):
        assert line.get_ydata() == pytest.approx(100 * seeds)
        assert np.asarray(line.get_xdata()) == pytest.approx(scale, rel=0.2)


def test_lines_join_the_medians_and_the_common_rate_is_dashed(result, ax):
    drawn = {line.get_label(): line for line in ax.lines if line.get_label().startswith("with")}
    for label, seeds, style in (
        ("without batch norm, best rate for each scale", result.test["no_norm"], "-"),
        ("with batch norm, best rate for each scale", result.test["batch_norm"], "-"),
        ("with batch norm, rate 0.1", result.test_at_common_rate["batch_norm"], "--"),
    ):
        assert drawn[label].get_ydata() == pytest.approx(100 * np.median(seeds, axis=1))
        assert drawn[label].get_linestyle() == style
    assert len(drawn) == 3


def test_arms_stand_side_by_side(ax):
    without, with_norm = (np.asarray(lines(ax, arm, "o")[0].get_xdata()) for arm in ("no_norm", "batch_norm"))
    assert (without < with_norm).all()
