"""A quiz, a review, the test before and after."""

from datetime import UTC, datetime, timedelta

import pytest

from bnlab.practice.interview.pretest import given, items
from bnlab.practice.interview.room.rounds import quiz, review
from bnlab.practice.interview.room.ten_items import take
from bnlab.practice.interview.schedule import end_of_day
from bnlab.practice.progress import Progress

ONE = ("", "", "a", "", "")  # no guess, said aloud, all points, no red flag, go on


def keep(question, *, days, score=1.0, red_flags=()):
    at = datetime.now(UTC) - timedelta(days=days)
    Progress().record_answer(question, kind="quiz", points=[], red_flags=red_flags, score=score, at=at)


def test_a_quiz_of_the_weak_asks_what_was_answered_before_the_weakest_first(room):
    keep("easy", days=0, score=0.9)
    keep("hard", days=0, score=0.2)
    held, script = room(*ONE, *ONE)
    quiz(held, 5, seed=1, weak=True)
    assert [one.question for one in Progress().answers()][2:] == ["hard", "easy"]
    assert "2 of 2 answered" in script.shown


def test_a_quiz_asks_as_many_as_it_was_told_to(room):
    held, script = room(*ONE, *ONE, "unread")
    quiz(held, 2, seed=1)
    assert "Question 1 of 2 · " in script.shown
    assert "Question 2 of 2 · " in script.shown
    assert "2 of 2 answered, all kept: on average 100% of a full answer." in script.shown
    assert len(Progress().answers()) == 2
    assert {one.kind for one in Progress().answers()} == {"quiz"}


@pytest.mark.parametrize("leave", ["q", None])
def test_leaving_a_quiz_keeps_what_was_answered(room, leave):
    held, script = room(*ONE, "", leave)
    quiz(held, 4)
    assert script.shown.endswith("1 of 4 answered, all kept: on average 100% of a full answer.\n\n")
    assert len(Progress().answers()) == 1


def test_leaving_at_the_first_prompt_says_that_nothing_was_answered(room):
    held, script = room("q")
    quiz(held, 4)
    assert script.shown.endswith("Nothing was answered.\n\n")


def test_a_review_asks_what_is_due_the_most_forgotten_first(room):
    keep("easy", days=40, score=0.6)
    keep("hard", days=400, score=0.6)
    keep("bug", days=0)
    held, script = room(*ONE, *ONE)
    review(held)
    assert [one.question for one in Progress().answers() if one.kind == "review"] == ["hard", "easy"]
    assert "Review 1 of 2 · numerics · deep\n" in script.shown


def test_what_comes_due_late_in_the_evening_is_asked_in_the_morning(room):
    last_second = end_of_day(datetime.now(UTC)) - timedelta(days=1, seconds=1)  # of yesterday
    Progress().record_answer("easy", kind="quiz", points=[], red_flags=[], score=0.2, at=last_second)
    held, script = room(*ONE)
    review(held)
    assert "Review 1 of 1" in script.shown


def test_a_review_can_be_cut_short(room):
    keep("easy", days=400)
    keep("hard", days=400)
    held, script = room(*ONE)
    review(held, most=1)
    assert "Review 1 of 1" in script.shown


def test_a_failed_exercise_brings_its_question_back(room):
    Progress().record_attempt("fold_affine", "", passed=False)
    held, script = room(*ONE)
    review(held)
    assert "\nBecause exercise fold_affine failed:\n\nReview 1 of 1 · coding · core\n" in script.shown


def test_where_nothing_is_due_the_next_date_is_said_and_a_quiz_offered(room):
    keep("easy", days=0, score=0.2)
    held, script = room("perhaps", "y", "q")
    review(held)
    assert "Nothing is due: the next comes back tomorrow." in script.shown
    assert "Expected y or Enter, got 'perhaps'." in script.shown
    assert "Question 1 of 5 · " in script.shown


def test_the_next_date_is_not_that_of_a_question_that_was_withdrawn(room):
    keep("withdrawn", days=0, score=0.2)
    held, script = room("")
    review(held)
    assert "Nothing is due: no question has been answered yet." in script.shown


@pytest.mark.parametrize("line", ["", "q", None])
def test_the_quiz_is_only_an_offer(room, line):
    held, script = room(line)
    review(held)
    assert "Nothing is due: no question has been answered yet." in script.shown
    assert "Question 1" not in script.shown


def test_a_test_goes_on_where_it_was_left(room):
    held, script = room("a", "e", "B", "q")
    take(held, "pretest")
    assert list(given("pretest", Progress()).values()) == ["a", "b"]
    assert "Expected a, b, c or d, or Enter for no idea, got 'e'." in script.shown
    assert "2 of 10 answered and kept." in script.shown
    held, script = room(*[""] * 8)
    take(held, "pretest")
    assert script.shown.startswith("3. ")
    assert list(given("pretest", Progress()).values()) == ["a", "b", *["-"] * 8]


def test_the_pretest_shows_no_answers_and_the_posttest_all(room):
    right = [item.answer for item in items()]
    held, script = room(*right)
    take(held, "pretest")
    assert items()[0].why[:40] not in script.shown
    held, script = room("", *right[1:])
    take(held, "posttest")
    said = " ".join(script.shown.split())
    assert "9 of 10 right; before the course 10." in said
    assert " ".join(items()[0].why.split())[:60] in said
    assert " ".join(items()[1].why.split())[:60] not in said  # it was right both times
