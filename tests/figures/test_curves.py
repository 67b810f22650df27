import numpy as np
import pytest

from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies.training_curves import Config, Result
from bnlab.figures.curves import accuracy_by_step
from bnlab.figures.style import COLOURS

ARMS = ("no_norm", "batch_norm")


@pytest.fixture
def result(rng):
    validation = {"no_norm": np.array([[[0.3]], [[0.1]]]), "batch_norm": np.array([[[0.3]], [[0.9]]])}
    return Result(
        config=Config(seeds=(0, 1, 2), learning_rates=(0.1, 1.0), steps=40, every=10),
        provenance=Provenance("2026-01-31", {}, "0123456789ab"),
        validation=validation,
        test={arm: rng.random((4, 3)) for arm in ARMS},
    )


@pytest.fixture
def ax(result):
    return accuracy_by_step(result, title="t").axes[0]


def lines(ax, arm, *, thick):
    own = [line for line in ax.lines if line.get_color() == COLOURS[arm]]
    return [line for line in own if (line.get_linewidth() > 1) == thick]


@pytest.mark.parametrize("arm", ARMS)
def test_every_seed_has_its_thin_line_and_the_median_a_thick_one(result, ax, arm):
    percent = 100 * result.test[arm]
    thin, (thick,) = lines(ax, arm, thick=False), lines(ax, arm, thick=True)
    assert [line.get_ydata() for line in thin] == [pytest.approx(seed) for seed in percent.T]
    assert thick.get_ydata() == pytest.approx(np.median(percent, axis=1))
    assert thick.get_xdata().tolist() == [10, 20, 30, 40]


def test_a_band_reaches_from_the_lowest_seed_to_the_highest(result, ax):
    for band, arm in zip(ax.collections, ARMS, strict=True):
        ys = band.get_paths()[0].vertices[:, 1]
        assert (ys.min(), ys.max()) == pytest.approx((100 * result.test[arm].min(), 100 * result.test[arm].max()))


def test_the_legend_names_each_arm_with_its_best_rate(ax):
    named = [text.get_text() for text in ax.get_legend().get_texts()]
    assert named == ["without batch norm, rate 0.1", "with batch norm, rate 1"]
