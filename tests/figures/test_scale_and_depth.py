import numpy as np
import pytest

from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import activation_growth as activations
from bnlab.experiments.studies import effective_rate as rates
from bnlab.experiments.studies import gradient_growth as gradients
from bnlab.experiments.studies import scale_invariance as scales
from bnlab.figures import scale_and_depth as figures
from bnlab.figures.style import COLOURS

PROVENANCE = Provenance("2026-01-31", {}, "0123456789ab")
SEEDS = (0, 1, 2)


@pytest.fixture
def scaled(rng):
    config = scales.Config(seeds=SEEDS, scales=(0.01, 1.0, 100.0))
    numbers = [{arm: 0.1 + rng.random((3, 3)) for arm in scales.ARMS} for _ in range(3)]
    numbers[0]["no_eps"][1] = 0.0  # at scale 1 nothing has changed
    output, gradient, cosine = numbers
    return scales.Result(
        config=config, provenance=PROVENANCE, output=output, gradient=gradient, cosine=cosine, apart={}
    )


@pytest.fixture
def trained(rng):
    config = rates.Config(seeds=SEEDS, learning_rates=(1.0, 10.0), products=(0.0, 0.02), steps=40, every=10)
    squared_norm, angle = ({name: 0.1 + rng.random((2, looks, 3)) for name in ("0", "0.02")} for looks in (5, 4))
    return rates.Result(config=config, provenance=PROVENANCE, validation={}, squared_norm=squared_norm, angle=angle)


@pytest.fixture
def grown(rng):
    config = gradients.Config(seeds=SEEDS, batch_sizes=(8, 32), widths=(16, 64, 256))
    kinds = [f"{arm} {activation}" for arm in gradients.ARMS for activation in gradients.ACTIVATIONS]
    growth = {kind: 1 + rng.random((2, 3)) for kind in kinds}
    return gradients.Result(
        config=config, provenance=PROVENANCE, growth=growth, by_width=1 + rng.random((3, 3)), reach={}
    )


@pytest.fixture
def blown_up(rng):
    config = activations.Config(seeds=SEEDS, learning_rates=(0.1, 1.0), depth=6, steps=2)
    numbers = {arm: 0.1 + rng.random((3, 2, 6, 3)) for arm in activations.ARMS}
    numbers["no_norm"][2, 1, 3:] = np.inf
    return activations.Result(config=config, provenance=PROVENANCE, mean_square=numbers)


def named(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def drawn(ax, marker, colour):
    """The points that are no part of a line with a name, column by column."""
    lines = [line for line in ax.lines if line.get_marker() == marker and line.get_color() == colour]
    return [list(line.get_ydata()) for line in lines if line.get_label().startswith("_")]


def test_each_arms_seeds_and_medians_are_drawn_by_scale(scaled):
    panels = figures.scale_of_weights(scaled, title="t").axes
    for ax, name in zip(panels, ("output", "gradient", "cosine"), strict=True):
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
        for arm, (label, colour, marker) in figures.SCALED.items():
            numbers = getattr(scaled, name)[arm]
            line, kept = named(ax)[label], numbers.min(axis=1) > 0
            assert np.array(line.get_ydata())[kept] == pytest.approx(np.median(numbers, axis=1)[kept])
            assert list(line.get_xdata()) == [0.01, 1.0, 100.0]
            seeds = [ys for ys, whole in zip(drawn(ax, marker, colour), kept, strict=True) if whole]
            assert seeds == [list(row) for row in numbers[kept]]


def test_what_is_exactly_zero_is_left_out_and_the_law_stands_beside_the_gradient(scaled):
    output, gradient, cosine = figures.scale_of_weights(scaled, title="t").axes
    assert np.isnan(named(output)[figures.SCALED["no_eps"][0]].get_ydata()[1])
    assert list(named(gradient)["1 / scale"].get_ydata()) == pytest.approx([100.0, 1.0, 0.01])
    assert "1 / scale" not in named(output).keys() | named(cosine).keys()


def test_norm_rate_and_angle_have_a_row_and_each_product_a_column(trained):
    panels = np.array(figures.effective_rates(trained, title="t").axes).reshape(3, 2)
    titles = [ax.get_title(loc="left") + ax.get_title() for ax in panels[0]]  # as the style places it
    assert titles == ["no decay", "rate x decay = 0.02"]
    for column, name in zip(panels.T, ("0", "0.02"), strict=True):
        norm, effective, angle = (named(ax)["10"] for ax in column)
        squared = np.median(trained.squared_norm[name][1], axis=1)
        assert norm.get_ydata() == pytest.approx(squared)
        assert effective.get_ydata() == pytest.approx(np.median(10 / trained.squared_norm[name][1], axis=1))
        assert angle.get_ydata() == pytest.approx(np.median(trained.angle[name][1], axis=1))
        assert list(norm.get_xdata()) == [0, 10, 20, 30, 40]
        assert list(angle.get_xdata()) == [10, 20, 30, 40]
    assert all(ax.get_yscale() == "log" for ax in panels.flat)


def test_bands_reach_from_the_smallest_seed_to_the_largest(trained):
    ax = figures.effective_rates(trained, title="t").axes[0]
    for band, seeds in zip(ax.collections, trained.squared_norm["0"], strict=True):
        heights = band.get_paths()[0].vertices[:, 1]
        assert (heights.min(), heights.max()) == pytest.approx((seeds.min(), seeds.max()))


def test_only_where_weights_decay_is_there_a_balance(trained):
    panels = np.array(figures.effective_rates(trained, title="t").axes).reshape(3, 2)
    dashed = [[line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == "--"] for ax in panels[2]]
    assert dashed == [[], [pytest.approx(0.2)]]


def test_growth_is_drawn_by_batch_size_for_each_activation_and_by_width(grown):
    without, normed, widths = figures.gradient_growth(grown, title="t").axes
    for ax, arm in ((without, "no_norm"), (normed, "batch_norm")):
        for activation, (label, colour, marker) in figures.ACTIVATION_LINES.items():
            numbers = grown.growth[f"{arm} {activation}"]
            assert named(ax)[label].get_ydata() == pytest.approx(np.median(numbers, axis=1))
            assert list(named(ax)[label].get_xdata()) == [8, 32]
            assert drawn(ax, marker, colour) == [list(row) for row in numbers]
    assert named(widths)["ReLU"].get_ydata() == pytest.approx(np.median(grown.by_width, axis=1))
    assert [tick.get_text() for tick in widths.get_xticklabels()] == ["16", "64", "256"]


def test_theory_is_drawn_where_there_is_a_norm(grown):
    panels = figures.gradient_growth(grown, title="t").axes
    dashed = [[line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == "--"] for ax in panels]
    relu, tanh, linear = (gradients.growth_in_theory(one) for one in ("relu", "tanh", "linear"))
    assert dashed == [[], [relu, tanh, linear], [relu]]


def test_activations_have_a_line_a_rate_and_one_for_the_start(blown_up):
    for ax, arm in zip(figures.activations_after_steps(blown_up, title="t").axes, activations.ARMS, strict=True):
        numbers = np.minimum(blown_up.mean_square[arm], figures.OVERFLOW)
        assert named(ax)["start"].get_ydata() == pytest.approx(np.median(numbers[0, 0], axis=1))
        for position, rate in enumerate(("0.1", "1")):
            line = named(ax)[rate]
            assert line.get_ydata() == pytest.approx(np.median(numbers[-1, position], axis=1))
            thin = [one for one in ax.lines if one.get_color() == line.get_color() and one is not line]
            assert [list(one.get_ydata()) for one in thin] == [list(seed) for seed in numbers[-1, position].T]
        assert ax.get_yscale() == "log"


def test_what_overflowed_stands_at_the_edge(blown_up):
    ax = figures.activations_after_steps(blown_up, title="t").axes[0]
    assert list(named(ax)["1"].get_ydata()[3:]) == [figures.OVERFLOW] * 3
    edge = [line for line in ax.lines if line.get_color() == COLOURS["theory"]]
    assert [line.get_ydata()[0] for line in edge] == [figures.OVERFLOW]
