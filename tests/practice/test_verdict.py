"""How answers look in a terminal and in a notebook."""

import pytest

from bnlab.practice.exercises.verdict import COLOURS, Note, Verdict, code


def made(**changes):
    settings = {
        "passed": False,
        "attempted": True,
        "misconception": "wrong-axes",
        "message": "Why.",
        "task": "layer_norm",
    }
    return Verdict(**{**settings, **changes})


@pytest.mark.parametrize(
    ("changes", "headline"),
    [
        ({"attempted": False}, "layer_norm: not attempted yet."),
        ({"passed": True, "misconception": None}, "layer_norm: passed."),
        ({"misconception": None}, "layer_norm: not yet."),
        ({}, "layer_norm: not yet: `wrong-axes`."),
        ({"also": "raises"}, "layer_norm: not yet: `wrong-axes` and `raises`."),
    ],
)
def test_the_headline_says_how_it_went(changes, headline):
    assert made(**changes).headline == headline


@pytest.mark.parametrize(
    ("changes", "colour"),
    [({"attempted": False}, COLOURS[None]), ({"passed": True}, COLOURS[True]), ({}, COLOURS[False])],
)
def test_the_colour_says_how_it_went(changes, colour):
    assert f"solid {colour}" in made(**changes)._repr_html_()


def test_text_is_wrapped_at_80_columns_and_code_is_left_as_it_is():
    long = "word " * 40
    line = "    " + "x" * 90
    shown = repr(made(message=f"{long}\n\n{line}"))
    assert line in shown.splitlines()
    assert all(len(text) <= 80 for text in shown.splitlines() if text != line)


def test_html_escapes_what_it_shows_and_marks_code():
    shown = made(message="a `x < y` <b>\n\n    if x < y:")._repr_html_()
    assert "<p>a <code>x &lt; y</code> &lt;b&gt;</p>" in shown
    assert "<code>if x &lt; y:</code></pre>" in shown


def test_empty_lines_of_code_do_not_end_it():
    assert Note("Solution.", code("a = 1\n\n\nb = 2\n"))._repr_html_().count("<pre") == 1
