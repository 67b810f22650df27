import pytest

from bnlab.figures.scenarios import LINES, Curves, curves

LINE = ([1, 10, 100], [3.0, 1.0, 2.0])


def drawn(**changes):
    settings = {"title": "t", "x_label": "steps", "y_label": "loss", "lines": {"a": LINE, "b": ([1, 2], [0, 9])}}
    return curves(Curves(**settings | changes)).axes[0]


def test_every_line_is_drawn_through_its_points():
    first, second = drawn().lines
    assert (first.get_xdata().tolist(), first.get_ydata().tolist()) == LINE
    assert (second.get_xdata().tolist(), second.get_ydata().tolist()) == ([1, 2], [0, 9])


def test_four_lines_differ_in_colour_and_in_marker():
    lines = drawn(lines=dict.fromkeys("abcd", LINE)).lines
    assert [(line.get_color(), line.get_marker()) for line in lines] == list(LINES)
    assert len({colour for colour, _ in LINES}) == len({marker for _, marker in LINES}) == 4


def test_the_title_the_axes_and_the_legend_say_what_they_are_told():
    figure = curves(Curves("What is drawn", "steps", "loss", {"a": LINE}))
    ax = figure.axes[0]
    assert (figure.get_suptitle(), ax.get_xlabel(), ax.get_ylabel()) == ("What is drawn", "steps", "loss")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a"]


@pytest.mark.parametrize(("log_x", "scale"), [(False, "linear"), (True, "log")])
def test_x_is_logarithmic_if_asked_for(log_x, scale):
    assert drawn(log_x=log_x).get_xscale() == scale
