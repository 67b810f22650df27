"""What `mark` keeps of an answer, and what it says."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from bnlab.practice.exercises.tasks.interview import POINTS
from bnlab.practice.interview.bank import questions
from bnlab.practice.interview.marking import expectations, mark
from bnlab.practice.progress import Progress

QUESTION = questions()["largest-x-hat"]  # weights 3, 2 and 2


def test_the_score_is_the_points_share_of_the_weight():
    assert [QUESTION.score(points) for points in ([], [1], [2, 3], [1, 2, 3])] == [0, 3 / 7, 4 / 7, 1]


def test_a_point_counts_once():
    assert QUESTION.score([1, 1]) == 3 / 7


def test_a_mark_is_kept():
    mark("largest-x-hat", [3, 1, 3], red_flags=[1], confidence=80)
    (answer,) = Progress().answers()
    assert (answer.question, answer.kind, answer.sitting) == ("largest-x-hat", "notebook", None)
    assert (answer.points, answer.red_flags, answer.score, answer.confidence) == ((1, 3), (1,), 5 / 7, 80)


def test_what_was_missing_is_said_with_the_share_and_the_expectation():
    note = mark("largest-x-hat", [1, 3], confidence=40)
    assert note.headline == "largest-x-hat: 71% of a full answer."
    assert note.message.startswith(f"Not made: {QUESTION.rubric[1].point}.\n\nYou had expected 40%.")


def test_without_a_guess_nothing_is_said_of_one():
    note = mark("largest-x-hat", [1, 2, 3])
    assert note.message.startswith("Every point of the rubric was made.\n\nIt comes back on")


def test_a_red_flag_is_answered_with_its_reason():
    assert (
        f"You said “{QUESTION.red_flags[0].says}” {QUESTION.red_flags[0].why}"
        in mark("largest-x-hat", [1], [1]).message
    )


def test_a_red_flag_brings_the_question_back_the_next_day_and_a_full_answer_later():
    def days_until(note):
        (day,) = re.findall(r"It comes back on (\d+ \w+ \d{4})\.", note.message)
        return (datetime.strptime(day, "%d %B %Y").date() - datetime.now().astimezone().date()) / timedelta(days=1)

    assert days_until(mark("largest-x-hat", [1, 2, 3], red_flags=[1])) == 1
    assert days_until(mark("derive-dx", range(1, len(questions()["derive-dx"].rubric) + 1))) > 1


def test_a_file_that_cannot_be_written_is_said_and_the_mark_is_shown(data_dir):
    data_dir.write_text("in the way")
    note = mark("largest-x-hat", [1])
    assert note.headline == "largest-x-hat: 43% of a full answer."
    assert "This was not added to your progress" in note.message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"id": "largest-x-hut", "points": [1]}, "expected the id of a question, got 'largest-x-hut'; did you mean"),
        ({"points": [4]}, "points: expected numbers from 1 to 3, such as [1, 3], got [4]"),
        ({"points": [0]}, "points: expected numbers from 1 to 3, such as [1, 3], got [0]"),
        ({"points": 2}, "points: expected numbers from 1 to 3, such as [1, 3], got 2"),
        ({"points": "12"}, "points: expected numbers from 1 to 3, such as [1, 3], got '12'"),
        ({"points": [True]}, "points: expected numbers from 1 to 3, such as [1, 3], got [True]"),
        ({"points": [1], "red_flags": [9]}, "red_flags: expected numbers from 1 to"),
        ({"points": [1], "confidence": 101}, "confidence: expected a whole percentage from 0 to 100, or None, got 101"),
        ({"points": [1], "confidence": 0.8}, "confidence: expected a whole percentage from 0 to 100, or None, got 0.8"),
    ],
)
def test_a_mark_that_does_not_fit_is_refused_and_nothing_is_kept(arguments, message, data_dir):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}[^\n]*$"):
        mark(**{"id": "largest-x-hat", **arguments})
    assert not data_dir.exists()


def test_a_clock_set_back_is_refused():
    at = datetime.now(UTC) + timedelta(days=3)
    Progress().record_answer("largest-x-hat", kind="quiz", points=[1], red_flags=[], score=3 / 7, at=at)
    with pytest.raises(ValueError, match="the clock says"):
        mark("largest-x-hat", [1])
    assert len(Progress().answers()) == 1


# --- expectations


def test_expectations_are_drawn_from_the_answers_that_have_one():
    mark("largest-x-hat", [1], confidence=80)
    mark("largest-x-hat", [1, 2])
    mark("largest-x-hat", [1, 2, 3], confidence=50)
    answers = expectations().axes[0].get_lines()[1]
    assert answers.get_xdata().tolist() == [80, 50]
    assert answers.get_ydata() == pytest.approx([300 / 7, 100])


def test_without_expectations_a_note_says_how_to_state_one():
    mark("largest-x-hat", [1])
    assert expectations().headline == "No expectations yet."
    assert "confidence=60" in expectations().message


# --- the exercise on a published answer


def test_the_points_that_the_exercise_counts_are_those_of_the_question():
    """Its solution and its misconceptions go by number."""
    rubric = [one.point for one in questions()["what-is-batch-norm"].rubric]
    topics = ("standardised", "scale and shift", "running averages", "learning rates", "cost", "debated")
    assert len(rubric) == POINTS
    assert [topic in point for topic, point in zip(topics, rubric, strict=True)] == [True] * POINTS
