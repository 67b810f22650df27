import itertools

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba

from bnlab import figures
from bnlab.figures.axes import LAYOUTS, averaged_cells
from bnlab.figures.style import COLOURS

SHAPES = [
    (4, 3),
    (4, 3, 5),
    (4, 3, 2, 3),
    (2, 3, 2, 1, 2),
]  # every layout, no two axes of one length in the first three


def batch_norm_axes(shape):
    return LAYOUTS[len(shape)].replace("C", "")


def front_faces(ax):
    """Lower left corners and colours of the cells' front faces, in the order of painting."""
    (cells,) = [each for each in ax.collections if isinstance(each, PolyCollection)]
    corners = np.array([path.vertices[0] for path in cells.get_paths()])
    return corners[::3], cells.get_facecolors()[::3]


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_averages_exactly_the_cells_of_one_channel(shape):
    expected = np.zeros(shape, dtype=bool)
    expected[:, -1] = True
    np.testing.assert_array_equal(averaged_cells(shape, batch_norm_axes(shape)), expected)


@pytest.mark.parametrize("averaged", ["CHW", "HW", "WH", "N", "NC", "", "NCHW"])
def test_averaged_cells_are_those_that_differ_from_the_corner_along_averaged_axes_only(averaged):
    shape, corner = (4, 3, 2, 5), (0, 2, 0, 0)
    shared = averaged_cells(shape, averaged)
    for cell in itertools.product(*map(range, shape)):
        differs = {axis for axis, at, corner_at in zip("NCHW", cell, corner, strict=True) if at != corner_at}
        assert shared[cell] == (differs <= set(averaged))


@pytest.mark.parametrize(
    ("shape", "averaged", "message"),
    [
        ((4,), "N", r"expected a shape .* got \(4,\)"),
        ((4, 0), "N", r"expected a shape .* got \(4, 0\)"),
        ((4, 3), "NL", "expected axes of NC, .* got 'NL'"),
        ((4, 3, 2, 3), "NH", "expected axes of NCHW, .* got 'NH'"),  # H and W share one drawn edge
    ],
)
def test_averaged_cells_refuses_axes_that_the_shape_lacks_and_positions_in_part(shape, averaged, message):
    with pytest.raises(ValueError, match=message):
        averaged_cells(shape, averaged)


@pytest.mark.parametrize(("averaged", "cells"), [("NHW", 24), ("CHW", 18), ("HW", 6)])
def test_a_block_colours_all_three_faces_of_the_cells_that_share_a_mean(averaged, cells):
    ax = figures.averaged_blocks([((4, 3, 2, 3), averaged)], title="t").axes[0]
    (drawn,) = ax.collections
    colours = drawn.get_facecolors().reshape(4 * 3 * 6, 3, 4)  # cell, face, RGBA
    for face, lighter in enumerate((0, 0.25, 0.5)):
        pink = np.array(to_rgba(COLOURS["averaged"]))
        assert np.isclose(colours[:, face], pink + lighter * (1 - pink)).all(axis=1).sum() == cells


def test_the_coloured_cells_of_batch_norm_stand_furthest_right_and_apart():
    corners, colours = front_faces(figures.averaged_blocks([((1, 3, 2), "NL")], title="t").axes[0])
    coloured = (colours == to_rgba(COLOURS["averaged"])).all(axis=1)
    assert coloured.tolist() == [False] * 4 + [True] * 2
    np.testing.assert_allclose(corners[:, 0], [0, 0, 1.7, 1.7, 3.4, 3.4])  # channels are cut apart by 0.7
    np.testing.assert_allclose(np.diff(corners[:2, 1]), 0.55)  # positions of a channel touch


def test_cells_behind_are_painted_before_those_that_hide_them():
    corners, _ = front_faces(figures.averaged_blocks([((4, 1), "N")], title="t").axes[0])
    assert (np.diff(corners[:, 0]) < 0).all()
    assert (np.diff(corners[:, 1]) < 0).all()


def test_a_panel_says_its_layout_its_shape_and_how_many_cells_share_a_mean():
    figure = figures.averaged_blocks([(shape, batch_norm_axes(shape)) for shape in SHAPES], title="One mean a channel")
    assert figure.get_suptitle() == "One mean a channel"
    assert figure.axes[1].get_title(loc="left") + figure.axes[1].get_title() == (
        "(N, C, L) = (4, 3, 5)\nmean over N, L: 20 cells"
    )
    assert [text.get_text() for text in figure.axes[0].texts] == ["C", "N"]
    assert [text.get_text() for text in figure.axes[2].texts] == ["C", "N", "H, W"]


def test_all_panels_have_one_scale():
    axes = figures.averaged_blocks([((4, 3), "N"), ((4, 3, 2, 3), "NHW")], title="t").axes
    assert axes[0].get_xlim() == axes[1].get_xlim()
    assert axes[0].get_ylim() == axes[1].get_ylim()
