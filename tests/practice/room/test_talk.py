"""Plain lines in and out."""

import io
import sys

import pytest

from bnlab.practice.interview.room.talk import Left, numbered, read_line, wrapped
from tests.practice.room.scripted import Script


def number(line):
    if not line.isdecimal():
        raise ValueError(f"expected a number, got {line!r}")
    return int(line)


def test_a_wrong_entry_gets_one_line_and_another_try():
    script = Script("x", "7")
    assert script.talk.ask("How many?", number) == 7
    assert script.shown == "How many?\n> x\nExpected a number, got 'x'.\n> 7\n"


@pytest.mark.parametrize("line", ["q", " Q ", None])
def test_q_and_the_end_of_the_input_leave(line):
    with pytest.raises(Left):
        Script(line).talk.line()


def test_a_text_ends_with_an_empty_line():
    assert Script("One.", "  Two.", "", "three").talk.text() == "One.\nTwo."


def test_q_leaves_in_the_middle_of_a_text():
    with pytest.raises(Left):
        Script("One.", "q", "").talk.text()


def test_a_long_line_is_wrapped_at_80_columns_and_hangs():
    text = numbered(["word " * 40, "next"])
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[1].startswith("   word")
    assert text.splitlines()[-1] == "2. next"


def test_indented_lines_are_kept_and_broken_only_where_they_are_too_long():
    lines = ["    a  b", "      c", f"    {'x' * 90}"]
    shown = wrapped("\n".join(lines)).splitlines()
    assert shown[:2] == lines[:2]
    assert "".join(shown[2:]) == lines[2]
    assert max(map(len, shown)) <= 80


def test_over_a_pipe_what_was_typed_is_shown(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("1 3\n"))
    assert read_line("> ") == "1 3"
    assert capsys.readouterr().out == "> 1 3\n"


def test_the_end_of_a_pipe_is_an_eof(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(EOFError):
        read_line("> ")
