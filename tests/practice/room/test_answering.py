"""One question, from its prompt to its marks."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from bnlab.practice.interview.room.answering import answer, more, numbers, percentage, when
from bnlab.practice.interview.room.talk import Left
from bnlab.practice.progress import Progress

MIDDLE = ("", "", "", "")  # no guess, said aloud, no points, no red flags


def ask(room, *lines, question="middle", **options):
    held, script = room(*lines, **options)
    return answer(held, held.bank[question], "Header", kind="quiz"), script.shown


def test_an_answer_is_kept_with_its_marks(room):
    given, _ = ask(room, "70%", "the mean", "of the batch", "", "1 3", "2")
    (kept,) = Progress().answers()
    assert kept == given
    assert kept[:9] == ("middle", "quiz", None, (1, 3), (2,), 0.8, 70, "the mean\nof the batch", 30.0)


def test_what_is_said_aloud_has_a_time_and_no_text(room):
    given, shown = ask(room, *MIDDLE, step=25.0)
    assert (given.text, given.seconds) == (None, 25.0)
    assert "That took 25 s." in shown
    assert "seem to touch" not in shown


def test_key_phrases_are_suggested_and_marked_by_nobody_but_the_learner(room):
    given, shown = ask(room, "", "Mean of the batch; model.eval().", "", "", "")
    assert "Your words seem to touch points 1 and 2." in shown
    assert given.points == ()


def test_the_rubric_is_shown_only_after_the_answer(room):
    _, shown = ask(room, "", "my words", "", "", "")
    assert shown.index("> my words") < shown.index("1. first (3)") < shown.index("1. “Never.” It does.")


def test_the_score_comes_with_what_was_expected(room):
    _, shown = ask(room, "90", "", "a", "")
    assert "Score: 100% (10 of 10). You had expected 90%. It comes back on " in shown


def test_the_short_answer_is_read_before_anything_is_marked(room):
    _, shown = ask(room, "", "my words", "", "", "")
    assert shown.index("> my words") < shown.index("Short.") < shown.index("1. first (3)")


@pytest.mark.parametrize(("flags", "said"), [("1", " One red flag said."), ("1 2", " 2 red flags said."), ("", "")])
def test_the_score_names_the_red_flags_that_were_said(room, flags, said):
    _, shown = ask(room, "", "", "a", flags)
    assert f"Score: 100% (10 of 10).{said} It comes back " in shown


def test_words_that_touch_no_phrase_are_said_to_prove_nothing(room):
    _, shown = ask(room, "", "my words", "", "", "")
    assert "Your words touch none of the key phrases that we listed, which proves nothing." in shown
    _, shown = ask(room, "", "", "", "")
    assert "touch" not in shown


@pytest.mark.parametrize(("line", "points"), [("1-3", (1, 2, 3)), ("all", (1, 2, 3)), ("2-2, 1", (1, 2))])
def test_points_are_given_as_a_range_or_as_all(room, line, points):
    given, _ = ask(room, "", "", line, "")
    assert given.points == points


@pytest.mark.parametrize("line", ["3-1", "1-4", "1-99999999999"])
def test_a_range_that_the_rubric_has_not_is_asked_for_again(room, line):
    given, shown = ask(room, "", "", line, "2", "")
    assert given.points == (2,)
    assert "Expected numbers from 1 to 3" in shown


def test_who_leaves_after_the_points_has_said_no_red_flag_and_keeps_the_answer(room):
    with pytest.raises(Left):
        ask(room, "", "", "1")
    assert [(one.points, one.red_flags) for one in Progress().answers()] == [((1,), ())]


def test_wrong_entries_are_asked_for_again(room):
    given, shown = ask(room, "101", "50", "", "4", "two", "2", "3", "1")
    assert (given.confidence, given.points, given.red_flags) == (50, (2,), (1,))
    said = " ".join(shown.split())
    assert "Expected a whole number from 0 to 100, or Enter for no guess, got '101'." in said
    assert "Expected numbers from 1 to 3, such as 1 3, a for all, or Enter for none, got '4'." in said
    assert "Expected numbers from 1 to 2, such as 1 2, or Enter for none, got '3'." in said


@pytest.mark.parametrize("lines", [(), ("",), ("", "half an answer"), ("", "")])
def test_nothing_is_kept_of_an_answer_without_its_marks(room, lines):
    with pytest.raises(Left):
        ask(room, *lines)
    assert Progress().answers() == []


def test_code_is_shown_with_the_prompt(room):
    _, shown = ask(room, *MIDDLE, question="bug")
    assert "\n    x = 1\n    y = 2\n" in shown


def test_an_answer_dated_before_the_last_one_is_refused_and_still_marked(room):
    ahead = datetime.now(UTC) + timedelta(days=400)
    Progress().record_answer("middle", kind="quiz", points=[1], red_flags=[], score=0.3, at=ahead)
    given, shown = ask(room, "", "", "a", "")
    assert "Not kept: the clock says" in shown
    assert given.score == 1
    assert len(Progress().answers()) == 1


def test_what_the_progress_file_has_to_say_is_said_once(room, data_dir):
    data_dir.parent.mkdir(exist_ok=True)
    data_dir.write_text("a file where the folder should be")
    held, script = room(*MIDDLE, *MIDDLE)
    for _ in range(2):
        answer(held, held.bank["middle"], "Header", kind="quiz")
    assert script.shown.count("This was not added to your progress") == 1
    assert (held.kept, len(held.given)) == (0, 2)


def test_the_longer_answers_are_shown_as_often_as_asked_for(room):
    held, script = room("t", "x", "W", "", "unread")
    more(held.talk, held.bank["middle"])
    assert "First.\n\nSecond.\n" in script.shown
    assert "Expected t, w, q or Enter, got 'x'." in script.shown
    assert "    a  b\n      c\n" in script.shown


def test_superscripts_are_no_numbers():
    with pytest.raises(ValueError, match="expected numbers"):
        numbers("²", 4)
    with pytest.raises(ValueError, match="expected a whole number"):
        percentage("²")


@pytest.mark.parametrize("parse", [percentage, partial(numbers, most=4)])
def test_a_number_of_any_length_gets_one_short_line(parse):
    with pytest.raises(ValueError, match=r"^expected .* got '9+$") as caught:
        parse("9" * 5000)
    assert len(str(caught.value)) < 200


def test_a_single_red_flag_is_asked_for_by_its_number():
    with pytest.raises(ValueError, match="expected 1, or Enter for none, got 'y'"):
        numbers("y", 1)


@pytest.mark.parametrize(("days", "words"), [(-2, "today"), (0, "today"), (1, "tomorrow"), (9, "on 10 March 2026")])
def test_a_date_is_said_as_people_say_it(days, words):
    now = datetime(2026, 3, 1, 12).astimezone()
    assert when(now + timedelta(days=days), now) == words
