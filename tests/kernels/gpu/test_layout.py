"""How tensors are cut into tiles: within the limits, without waste, and in the view that memory has."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bnlab.kernels.gpu.layout import RESIDENT, TILE, layout_of, planes, rows

sizes = st.integers(1, 5000)


def is_power_of_two(number):
    return number & (number - 1) == 0


@given(sizes, sizes, st.integers(2, 20_000))
def test_tiles_of_planes_are_full_but_for_the_last(n, channels, length):
    layout = planes(n, channels, length)
    size = layout.rows * layout.columns
    assert is_power_of_two(layout.rows)
    assert is_power_of_two(layout.columns)
    assert size == TILE or (layout.resident and size <= RESIDENT)
    assert n * length <= layout.splits * size < 4 * n * length
    assert layout.programs == layout.splits * channels


@given(st.integers(1, 3_000_000), sizes)
def test_tiles_of_rows_are_within_the_limits(n, channels):
    layout = rows(n, channels)
    size = layout.rows * layout.columns
    assert is_power_of_two(layout.rows)
    assert is_power_of_two(layout.columns)
    assert size <= (RESIDENT if layout.resident else TILE)
    assert layout.splits * layout.rows >= n
    assert layout.programs // layout.splits * layout.columns >= channels


@given(st.integers(1, 5000), st.sampled_from([2, 4]), st.sampled_from([32, 64]))
def test_every_program_has_from_one_warp_to_sixteen(n, itemsize, lanes):
    for layout in (planes(n, 3, 49), rows(n, 100)):
        assert 1 <= layout.warps(itemsize, lanes) <= 16


def test_memory_decides_on_the_view():
    x = torch.empty(2, 3, 4, 5)
    assert layout_of(x).planes
    assert not layout_of(x.to(memory_format=torch.channels_last)).planes
    assert not layout_of(torch.empty(2, 3)).planes
    assert not layout_of(torch.empty(2, 3, 1, 1)).planes  # of one position rows are wider
    assert layout_of(x.transpose(2, 3)) is None


@pytest.mark.parametrize(("length", "align"), [(3136, 16), (196, 4), (49, 1), (1 << 20, 16)])
def test_the_distance_between_rows_is_a_multiple_of_the_alignment(length, align):
    assert planes(2, 3, length).align == rows(2, length).align == align
