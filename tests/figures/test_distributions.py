import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.patches import StepPatch
from numpy.testing import assert_allclose

from bnlab import figures
from bnlab.figures.style import COLOURS


@pytest.fixture
def before(rng):
    scale, offset = np.array([0.5, 2.0, 4.0]), np.array([-3.0, 0.0, 5.0])  # no two channels alike
    return rng.normal(size=(16, 3, 2, 5)) * scale.reshape(1, 3, 1, 1) + offset.reshape(1, 3, 1, 1)


@pytest.fixture
def after(before):
    return (before - before.mean((0, 2, 3), keepdims=True)) / before.std((0, 2, 3), keepdims=True)


def histograms(ax):
    return [each.get_data() for each in ax.patches if isinstance(each, StepPatch)]


def test_before_and_after_draws_a_histogram_of_each_channel_over_examples_and_positions(before, after):
    figure = figures.before_and_after(before, after)
    for ax, x in zip(figure.axes[1:], (before, after), strict=True):
        drawn = histograms(ax)
        counts = [np.histogram(x[:, channel].ravel(), drawn[0].edges)[0] for channel in range(3)]
        for channel in range(3):
            heights = drawn[channel].values - channel
            assert_allclose(heights, 0.9 * counts[channel] / np.max(counts))
            assert counts[channel].sum() == x[:, channel].size  # no value falls outside the bins


def test_before_and_after_marks_the_mean_of_each_channel(before, after):
    figure = figures.before_and_after(before, after)
    for ax, x in zip(figure.axes[1:], (before, after), strict=True):
        assert_allclose([line.get_xdata()[0] for line in ax.get_lines()], x.mean((0, 2, 3)), atol=1e-12)


def test_before_and_after_colours_the_same_channel_in_block_and_histograms(before, after):
    figure = figures.before_and_after(before, after)
    block, *panels = figure.axes
    (cells,) = [each for each in block.collections if isinstance(each, PolyCollection)]
    fronts = cells.get_facecolors()[::3].reshape(4, 3, 6, 4)  # examples, channels, positions, RGBA
    for channel, role in enumerate(("other", "other", "averaged")):
        colour = to_rgba(COLOURS[role])
        assert (fronts[:, channel] == colour).all()
        assert all(ax.patches[channel].get_facecolor() == colour for ax in panels)


def test_before_and_after_has_one_scale_for_both_histograms(before, after):
    _, left, right = figures.before_and_after(before, after).axes
    assert_allclose(histograms(left)[0].edges, histograms(right)[0].edges)
    assert left.get_ylim() == right.get_ylim()
    assert left.get_xlabel() == right.get_xlabel() == "activation"


def test_shape_kept_draws_all_values_and_the_normal_density_of_their_mean_and_variance(rng):
    x = np.concatenate([rng.normal(-10, 1, 100), rng.normal(6, 1, 50)])  # two peaks of unequal size
    figure = figures.shape_kept(x, (x - x.mean()) / x.std())
    for ax, values in zip(figure.axes, (x, (x - x.mean()) / x.std()), strict=True):
        assert_allclose(sum(bar.get_height() * bar.get_width() for bar in ax.patches), 1)
        (line,) = ax.get_lines()
        grid, density = line.get_data()
        step = grid[1] - grid[0]
        assert_allclose(grid[density.argmax()], values.mean(), atol=step)
        assert_allclose((density * step).sum(), 0.997, atol=0.002)  # within three standard deviations
        assert_allclose(density.max() * values.std(), 1 / np.sqrt(2 * np.pi))


def test_shape_kept_colours_input_and_output_by_their_roles(rng):
    x = rng.normal(size=50)
    figure = figures.shape_kept(x, 2 * x)
    colours = [ax.patches[0].get_facecolor() for ax in figure.axes]
    assert colours == [to_rgba(COLOURS["input"]), to_rgba(COLOURS["output"])]


@pytest.mark.parametrize("draw", [figures.before_and_after, figures.shape_kept])
def test_two_arrays_of_different_shapes_are_refused(draw, before):
    with pytest.raises(ValueError, match=r"must have one shape, got \(16, 3, 2, 5\) and \(16, 2, 2, 5\)"):
        draw(before, before[:, :2])
