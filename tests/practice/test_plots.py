"""The plots of the bank: the same lines as a figure and as text, in 76 columns whatever the terminal."""

import re
import textwrap

import numpy as np
import pytest

from bnlab.practice.interview.bank import questions
from bnlab.practice.interview.plots import MARKERS, PLOTS, Curves, as_text

STEPS = list(range(1, 11))
TWO = Curves(
    title="Loss of two networks",
    x_label="steps",
    y_label="loss",
    lines={"rising": (STEPS, STEPS), "falling": (STEPS, STEPS[::-1])},
)


def panel(text):
    """The rows inside the frame, from the top."""
    return [row[1] for row in re.findall(r"([┤│])(.*)[│]$", text, flags=re.MULTILINE)]


def column(rows, marker, x):
    """In which rows a line runs at one column."""
    return [y for y, row in enumerate(rows) if row[x] == marker]


def test_a_line_runs_from_its_first_point_to_its_last():
    rows = panel(as_text(TWO))
    last = len(rows) - 1
    assert (column(rows, "o", 0), column(rows, "o", -1)) == ([last], [0])
    assert (column(rows, "x", 0), column(rows, "x", -1)) == ([0], [last])


def test_points_are_joined():
    rows = panel(as_text(Curves("t", "x", "y", {"a": ([0, 1], [0, 1])})))
    assert all("o" in column for column in zip(*rows, strict=True))


def test_a_text_says_what_is_drawn_and_which_marker_is_which():
    text = as_text(TWO)
    assert text.startswith("Loss of two networks\n")
    assert text.endswith("Up: loss. Across: steps. o: rising; x: falling")


@pytest.mark.parametrize("columns", ["30", "300"])
def test_a_text_has_no_colour_and_the_same_width_in_any_terminal(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", "8")
    text = as_text(TWO)
    assert max(map(len, text.splitlines())) == 76
    assert "\x1b" not in text


def test_drawing_twice_gives_the_same_text():
    first = as_text(TWO)
    as_text(Curves("Another", "x", "y", {"a": ([0.01, 1.0], [0.0, 5.0])}, log_x=True))
    assert as_text(TWO) == first


@pytest.mark.parametrize(("points", "ticks"), [([1, 2, 5], "1 2 5"), (range(1, 21), "1 4 7 10 13 16 19")])
def test_ticks_stand_at_points(points, ticks):
    text = as_text(Curves("t", "x", "y", {"shorter": ([1, 2], [0, 9]), "a": (points, list(points))}))
    assert text.splitlines()[-2].split() == ticks.split()


def test_a_logarithmic_axis_has_its_ticks_at_the_points_and_equal_steps_for_equal_factors():
    text = as_text(Curves("t", "rate", "y", {"a": ([0.01, 0.1, 1.0], [0.0, 1.0, 0.0])}, log_x=True))
    ticks = text.splitlines()[-2]
    assert ticks.split() == ["0.01", "0.1", "1"]
    width = len(panel(text)[0])
    (peak,) = {row.index("o") + row.count("o") / 2 for row in panel(text)[:1]}
    assert abs(peak - width / 2) <= 1


# --- what ships


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_the_same_each_time(name):
    assert as_text(PLOTS[name]()) == as_text(PLOTS[name]())


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_has_finite_points_and_a_marker_for_each_line(name):
    lines = PLOTS[name]().lines
    assert 1 <= len(lines) <= len(MARKERS)
    for xs, ys in lines.values():
        assert len(xs) == len(ys) >= 2
        assert np.isfinite([*xs, *ys]).all()


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_fits_76_columns(name):
    assert max(map(len, as_text(PLOTS[name]()).splitlines())) <= 76


def test_the_loop_that_forgets_train_diverges_right_behind_its_validation():
    lines = PLOTS["loss_around_a_validation"]().lines
    (forgetful, losses), (_, others) = lines["the loop as it is"], lines["one line moved"]
    assert 32 < forgetful[-1] < 48
    assert losses[:32] == others[:32]
    assert losses[-1] == 5
    assert max(others[32:]) < 2


def test_the_kept_graph_grows_by_the_same_number_of_nodes_each_step():
    (line,) = PLOTS["nodes_by_step"]().lines.values()
    assert set(np.diff(line[1])) == {6}


def test_every_plot_is_shown_by_a_question():
    assert set(PLOTS) == {question.plot for question in questions().values()} - {None}


@pytest.mark.parametrize("question", [one for one in questions().values() if one.plot], ids=lambda one: one.id)
def test_a_plot_its_question_and_the_line_for_the_answer_are_on_one_screen(question):
    drawn = as_text(PLOTS[question.plot]()).splitlines()
    asked = ["", *textwrap.wrap(question.prompt, 80, break_on_hyphens=False), ""]
    assert len([*drawn, *asked, "How much of a full answer will you give, in percent?", "> "]) <= 24
