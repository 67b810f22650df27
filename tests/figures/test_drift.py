import numpy as np
import pytest

from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies.input_drift import Config, Result
from bnlab.figures.drift import drift_by_rate, input_quantiles
from bnlab.figures.style import COLOURS

PLACES = {"no_norm": "no_norm", "before_norm": "input", "after_norm": "batch_norm"}  # with their roles


@pytest.fixture
def result(rng):
    def numbers(*shape):
        return {place: rng.uniform(0.1, 2, size=shape) for place in PLACES}

    config = Config(seeds=(0, 1, 2, 3), learning_rates=(0.5, 5.0), depth=2, steps=40, every=10)
    return Result(
        config=config,
        provenance=Provenance("2026-01-31", {}, "0123456789ab"),
        validation={"no_norm": rng.random((2, 4)), "batch_norm": rng.random((2, 4))},
        wander=numbers(2, 4),
        spread=numbers(2, 2, 4),
        from_start=numbers(2, 4),
        from_end=numbers(2, 4),
        per_look=numbers(2, 4),
        quantiles={place: np.sort(rng.normal(size=(2, 2, 5, 3, 3)), axis=3) for place in PLACES},
    )


@pytest.mark.parametrize("rate", [0, 1])
def test_each_unit_has_its_median_and_its_band_at_every_look(result, rate):
    panels = np.array(input_quantiles(result, rate, title="t").axes).reshape(3, 2)
    for row, (place, role) in zip(panels, PLACES.items(), strict=True):
        for layer, ax in enumerate(row):
            low, middle, high = np.moveaxis(result.quantiles[place][rate, layer], 1, 0)  # each (looks, units)
            assert [line.get_ydata() for line in ax.lines] == [pytest.approx(unit) for unit in middle.T]
            assert all(line.get_xdata().tolist() == [0, 10, 20, 30, 40] for line in ax.lines)
            assert {line.get_color() for line in ax.lines} == {COLOURS[role]}
            for band, lower, upper in zip(ax.collections, low.T, high.T, strict=True):
                corners = {(x, round(y, 6)) for x, y in band.get_paths()[0].vertices}
                assert corners >= {(x, round(y, 6)) for x, y in zip(range(0, 50, 10), lower, strict=True)}
                assert corners >= {(x, round(y, 6)) for x, y in zip(range(0, 50, 10), upper, strict=True)}


def test_rows_are_places_columns_layers_and_all_have_one_scale(result):
    panels = np.array(input_quantiles(result, 0, title="t").axes).reshape(3, 2)
    assert [row[0].get_ylabel() for row in panels] == ["without batch norm", "in front of the norm", "behind the norm"]
    assert ["".join(ax.get_title(place) for place in ("left", "center")) for ax in panels[0]] == [
        "hidden layer 1",
        "hidden layer 2",
    ]
    assert len({ax.get_ylim() for ax in panels.flat}) == 1


def test_every_seed_has_its_dot_at_its_rate_in_each_measure(result):
    axes = drift_by_rate(result, title="t").axes
    for ax, name in zip(axes, ("wander", "from_start", "from_end"), strict=True):
        for place, role in PLACES.items():
            dots = [line for line in ax.lines if line.get_marker() == "o" and line.get_color() == COLOURS[role]]
            assert [line.get_ydata() for line in dots] == [pytest.approx(s) for s in getattr(result, name)[place]]
            for line, rate in zip(dots, (0.5, 5.0), strict=True):
                assert np.asarray(line.get_xdata()) == pytest.approx(np.full(4, rate), rel=0.11)


def test_lines_join_the_medians_and_the_places_stand_side_by_side(result):
    ax = drift_by_rate(result, title="t").axes[0]
    lines = {line.get_label(): line for line in ax.lines if line.get_marker() == "None"}
    assert list(lines) == ["without batch norm", "in front of the norm", "behind the norm"]
    for line, place in zip(lines.values(), PLACES, strict=True):
        assert line.get_ydata() == pytest.approx(np.median(result.wander[place], axis=1))
    firsts = [line.get_xdata()[0] for line in lines.values()]
    assert firsts == sorted(firsts)
    assert len(set(firsts)) == 3
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
