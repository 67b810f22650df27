import itertools

import numpy as np
import pytest
import torch
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba

from bnlab import figures, layers
from bnlab.figures.axes import FAMILY, LAYOUTS, averaged_cells
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


# ---- axes cut into parts, and the family ----


def test_a_part_is_the_cells_whose_index_falls_into_the_same_stretch_of_the_axis():
    shape = (4, 6, 2, 3)
    shared = averaged_cells(shape, "NCHW", {"N": 2, "C": 3})
    for n, c, h, w in itertools.product(*map(range, shape)):
        assert shared[n, c, h, w] == (n < 2 and c >= 4)  # the first ghost's, and the last group's


def test_a_part_of_each_channel_is_not_averaging_over_channels_and_one_part_is_the_whole():
    np.testing.assert_array_equal(averaged_cells((4, 6, 2, 3), "CHW", {"C": 6}), averaged_cells((4, 6, 2, 3), "HW"))
    np.testing.assert_array_equal(averaged_cells((4, 6, 2, 3), "CHW", {"C": 1}), averaged_cells((4, 6, 2, 3), "CHW"))


@pytest.mark.parametrize(
    ("averaged", "parts"), [("CHW", {"C": 4}), ("HW", {"C": 2}), ("NHW", {"H": 2}), ("CHW", {"C": 0})]
)
def test_parts_that_do_not_cut_an_averaged_axis_evenly_are_refused(averaged, parts):
    ((axis, count),) = parts.items()
    with pytest.raises(ValueError, match=rf"cut an averaged N or C of \(4, 6, 2, 3\) evenly, got {axis}: {count}"):
        averaged_cells((4, 6, 2, 3), averaged, parts)


def mean_shared_by_differences(module, shape):
    """Which outputs a nudge of the corner's value moves: the cells that share a statistic with it, by experiment."""
    x = torch.randn(shape, dtype=torch.float64)
    nudged = x.clone()
    nudged[0, -1, 0, 0] += 1
    return (module(x) != module(nudged)).numpy()


LAYERS = {  # of 6 channels, as the layers define them
    "batch": lambda: layers.BatchNorm2d(6),
    "ghost": lambda: layers.GhostBatchNorm2d(6, ghost_size=2),
    "instance": lambda: layers.InstanceNorm2d(6),
    "layer": lambda: layers.LayerNorm((6, 2, 2)),
    "group": lambda: layers.GroupNorm(2, 6),
    "layer_per_position": lambda: OverChannels(layers.LayerNorm(6)),
    "rms": lambda: OverChannels(layers.RMSNorm(6)),
    "filter_response": lambda: UncutFilterResponseNorm(6),
    "dynamic_tanh": lambda: OverChannels(layers.DyT(6)),
}


class OverChannels(torch.nn.Module):
    """A layer of tokens, on images."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x.movedim(1, -1)).movedim(-1, 1)


class UncutFilterResponseNorm(layers.FilterResponseNorm2d):
    """Its threshold so low that it hides nothing."""

    def __init__(self, channels):
        super().__init__(channels)
        torch.nn.init.constant_(self.tau, -10)


@pytest.mark.parametrize("member", FAMILY)
def test_the_coloured_cells_of_a_member_are_those_that_its_layer_lets_the_corner_move(member):
    shape = (4, 6, 2, 2)
    moved = mean_shared_by_differences(LAYERS[member]().double(), shape)
    np.testing.assert_array_equal(averaged_cells(shape, FAMILY[member].averaged, FAMILY[member].parts), moved)


def test_a_panel_of_the_family_says_what_is_averaged_over_what():
    figure = figures.family_blocks(title="Who shares a mean")
    assert figure.get_suptitle() == "Who shares a mean"
    assert [ax.get_title(loc="left") + ax.get_title() for ax in figure.axes] == [
        "Batch norm\nmean over N, H, W: 16 cells",
        "Ghost batch norm, 2 ghosts\nmean over N/2, H, W: 8 cells",
        "Instance norm\nmean over H, W: 4 cells",
        "Layer norm of images\nmean over C, H, W: 24 cells",
        "Group norm, 2 groups\nmean over C/2, H, W: 12 cells",
        "Layer norm of tokens\nmean over C: 6 cells",
        "RMS norm\nmean square over C: 6 cells",
        "Filter response norm\nmean square over H, W: 4 cells",
        "Dynamic tanh\nno statistic: each cell alone",
    ]


def test_a_block_is_cut_between_groups_and_nowhere_else():
    corners, colours = front_faces(figures.family_blocks(["group"], shape=(1, 4, 1, 1), title="t").axes[0])
    np.testing.assert_allclose(corners[:, 0], [0, 1, 2.7, 3.7])
    coloured = (colours == to_rgba(COLOURS["averaged"])).all(axis=1)
    assert coloured.tolist() == [False, False, True, True]


def test_the_family_is_drawn_in_the_order_asked_for_at_one_scale_without_empty_panels():
    axes = figures.family_blocks(["rms", "batch", "dynamic_tanh"], columns=2, title="t").axes
    assert [(ax.get_title(loc="left") + ax.get_title()).split("\n")[0] for ax in axes] == [
        "RMS norm",
        "Batch norm",
        "Dynamic tanh",
    ]
    assert len({ax.get_xlim() for ax in axes}) == len({ax.get_ylim() for ax in axes}) == 1


@pytest.mark.parametrize(("members", "shape"), [(["weight"], (4, 6, 2, 2)), ([], (4, 6, 2, 2)), (["batch"], (4, 6))])
def test_an_unknown_member_no_member_and_a_block_of_another_rank_are_refused(members, shape):
    with pytest.raises(ValueError, match=r"expected members of batch, .* and 4 axes, got"):
        figures.family_blocks(members, shape=shape, title="t")
