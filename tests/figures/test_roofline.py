import numpy as np
import pytest

from bnlab.figures.roofline import OPERATIONS, Point, roofline
from bnlab.figures.style import COLOURS

POINTS = {"textbook": Point(14, 14.0, "no_norm"), "ours": Point(2, 1.25, "batch_norm")}


@pytest.fixture
def ax():
    return roofline(POINTS, copy_nanoseconds=1.0, title="t").axes[0]


def test_each_implementation_stands_at_its_intensity_and_its_speed(ax):
    dots = {line.get_color(): line for line in ax.lines if line.get_marker() == "o"}
    for point in POINTS.values():
        x, y = (data[0] for data in dots[COLOURS[point.role]].get_data())
        assert x == pytest.approx(OPERATIONS / (4 * point.accesses))
        assert y == pytest.approx(OPERATIONS / point.nanoseconds)


def test_the_roof_is_what_a_copys_bandwidth_allows(ax):
    roof = next(line for line in ax.lines if line.get_color() == COLOURS["theory"] and line.get_linestyle() == "-")
    x, y = map(np.asarray, roof.get_data())
    assert y == pytest.approx(8 * x)  # 8 bytes a nanosecond
    assert "8 GB/s" in roof.get_label()
    assert x[0] < OPERATIONS / 56
    assert x[-1] > OPERATIONS / 8


def test_the_legend_says_what_is_moved_and_how_near_the_roof(ax):
    labels = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert "textbook: 14 accesses, 50%" in labels
    assert "ours: 2 accesses, 80%" in labels


def test_a_copy_is_on_the_roof():
    assert Point(2, 3.0, "other").share(3.0) == 1


def test_half_the_bytes_are_twice_the_operations_for_each():
    assert Point(2, 1.0, "other").intensity(2) == 2 * Point(2, 1.0, "other").intensity(4)


def test_least_traffic_is_marked(ax):
    marked = next(line for line in ax.lines if line.get_linestyle() == ":")
    assert marked.get_xdata()[0] == pytest.approx(OPERATIONS / 8)


def test_no_points_are_refused():
    with pytest.raises(ValueError, match="expected at least one point, got none"):
        roofline({}, copy_nanoseconds=1.0, title="t")
