import numpy as np
import pytest

from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies.signal_propagation import Config, Result
from bnlab.figures.signals import signals_by_layer
from bnlab.figures.style import COLOURS

LAYERS, PLAIN, NORMED = 6, 0, 1  # columns


@pytest.fixture
def result(rng):
    layers = np.arange(LAYERS)[None, :, None]
    scales = np.array([0.5, 1.0, 2.0])[:, None, None]
    jitter = rng.uniform(0.9, 1.1, size=(3, LAYERS, 3))
    level = 0.6 * jitter[:1].repeat(3, axis=0)
    std = {"no_norm": scales**layers * jitter, "batch_norm": level}
    gradient = {"no_norm": scales ** (LAYERS - layers) * jitter, "batch_norm": level * 1.2 ** (LAYERS - layers)}
    config = Config(seeds=(0, 1, 2), scales=(0.5, 1.0, 2.0), depth=LAYERS)
    provenance = Provenance("2026-01-31", {}, "0123456789ab")
    return Result(config=config, provenance=provenance, std=std, size=std, gradient=gradient)


@pytest.fixture
def panels(result):
    return np.array(signals_by_layer(result, title="t").axes).reshape(2, 2)


def measured(ax):
    return [line for line in ax.lines if line.get_color() != COLOURS["other"]]


@pytest.mark.parametrize(("row", "name"), [(0, "std"), (1, "gradient")])
@pytest.mark.parametrize(("column", "arm"), [(PLAIN, "no_norm"), (NORMED, "batch_norm")])
def test_a_line_a_scale_joins_the_medians_of_the_layers(result, panels, row, name, column, arm):
    lines = measured(panels[row, column])
    medians = np.median(getattr(result, name)[arm], axis=-1)
    assert [line.get_ydata() for line in lines] == [pytest.approx(median) for median in medians]
    assert all(line.get_xdata().tolist() == [1, 2, 3, 4, 5, 6] for line in lines)


def test_a_band_holds_every_seed(result, panels):
    for band, seeds in zip(panels[0, PLAIN].collections, result.std["no_norm"], strict=True):
        ys = band.get_paths()[0].vertices[:, 1]
        assert (ys.min(), ys.max()) == pytest.approx((seeds.min(), seeds.max()))


def test_larger_weights_are_drawn_darker(panels):
    brightness = [sum(line.get_color()) for line in measured(panels[0, PLAIN])]
    assert brightness == sorted(brightness, reverse=True)
    assert len(set(brightness)) == 3


def test_each_scale_is_named_where_the_lines_are_apart_and_all_together_where_they_are_not(result, panels):
    def names(ax):
        return {text.get_text(): text.xy for text in ax.texts}

    above, below = names(panels[0, PLAIN]), names(panels[1, PLAIN])
    assert list(above) == list(below) == ["0.5 x He", "1 x He", "2 x He"]
    for position, name in enumerate(above):
        assert above[name] == (6, pytest.approx(np.median(result.std["no_norm"][position, -1])))
        assert below[name] == (1, pytest.approx(np.median(result.gradient["no_norm"][position, 0])))
    assert list(names(panels[0, NORMED])) == ["all 3 scales"]


def test_the_theory_runs_through_the_gradient_of_the_last_layer(result, panels):
    (theory,) = (line for line in panels[1, NORMED].lines if line.get_color() == COLOURS["other"])
    ys = theory.get_ydata()
    assert ys[-1] == pytest.approx(np.median(result.gradient["batch_norm"][:, -1]))
    assert ys[:-1] / ys[1:] == pytest.approx(np.full(5, 1.2112), abs=1e-4)
    assert len(panels[1, PLAIN].lines) == 3


def test_the_panels_of_a_row_share_a_log_axis_and_columns_are_named(panels):
    assert all(ax.get_yscale() == "log" for ax in panels.flat)
    assert all(row[0].get_ylim() == row[1].get_ylim() for row in panels)
    assert ["".join(ax.get_title(place) for place in ("left", "center")) for ax in panels[0]] == [
        "without batch norm",
        "with batch norm",
    ]
    assert panels[1, 0].get_ylabel() == "norm of the gradient"
