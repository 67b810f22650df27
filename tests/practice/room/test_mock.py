"""A mock interview held by a script, with a clock that jumps."""

from datetime import datetime, timedelta

import pytest

from bnlab.practice.interview.room.mock import Mock, scorecard_of
from bnlab.practice.interview.room.plan import MINUTES_OF_CODING
from bnlab.practice.interview.room.scorecard import decide
from bnlab.practice.progress import Progress
from tests.practice.progress.children import ask
from tests.practice.room.scripted import make_question

GOOD = ("", "", "a", "", "")  # no guess, said aloud, all points, no red flag, go on
POOR = ("", "", "", "", "")


def hold(room, *lines, role="any", minutes=10, seed=0, **options):
    held, script = room(*lines, **options)
    mock = Mock(held, role, minutes, seed)
    return mock, mock.hold(), script.shown


def headers(shown):
    return [line for line in shown.splitlines() if line.startswith(("Question", "Coding"))]


def test_time_left_is_shown_before_each_question(room):
    _, _, shown = hold(room, *GOOD, *GOOD, *GOOD, *GOOD, step=12.0)  # a minute for five lines
    assert [header.rpartition(" · ")[2] for header in headers(shown)] == [
        f"{left} of 10 minutes left" for left in (10, 9, 8, 7)
    ]
    assert "That was the last question. Thank you." in shown


def test_when_time_is_over_the_answer_in_hand_is_taken_and_no_other(room):
    _, card, shown = hold(room, *GOOD, *GOOD, *GOOD, step=61.0)  # two questions are ten minutes and ten seconds
    assert len(card.answers) == 2
    assert len(Progress().answers()) == 2
    assert "Time is up. Thank you." in shown


def test_questions_make_way_for_the_coding_task(room):
    _, card, shown = hold(room, *GOOD, *GOOD, "s", minutes=20, step=61.0)
    assert [header.split(" · ")[0] for header in headers(shown)] == [
        "Question 1 of 4",
        "Question 2 of 4",
        "Coding task",
    ]
    assert card.coding == ("fold_affine", 0, False)


def test_a_coding_task_that_there_is_no_time_for_is_not_begun(room):
    _, card, shown = hold(room, *GOOD, minutes=20, step=300.0)
    assert headers(shown) == ["Question 1 of 4 · numerics · screen · 20 of 20 minutes left"]
    assert card.coding == ("fold_affine", 0, False)


@pytest.mark.parametrize(("first", "level"), [(GOOD, "deep"), (POOR, "screen")])
def test_what_comes_next_depends_on_the_answer(room, first, level):
    held, script = room(*GOOD, *first, *GOOD, "q")
    del held.bank["bug"], held.bank["proof"]
    held.bank["simple"] = make_question("simple", level="screen")
    Mock(held, "any", 10, 0).hold()
    assert headers(script.shown)[2].split(" · ")[2] == level


def test_the_same_seed_asks_the_same(room):
    def asked(seed):
        return [one.question for one in hold(room, *GOOD, *GOOD, *GOOD, *GOOD, seed=seed)[1].answers]

    assert asked(5) == asked(5)


@pytest.mark.parametrize("leave", ["q", None])
def test_leaving_early_gives_a_scorecard_of_what_was_answered(room, leave):
    _, card, _ = hold(room, *GOOD, leave)
    assert len(card.answers) == 1
    assert decide(card).word == "no verdict"


def test_it_is_kept_as_a_sitting_with_its_settings(room):
    mock, _, _ = hold(room, *GOOD, "q", role="manager", minutes=10, seed=7)
    (sitting,) = Progress().sittings("mock")
    assert sitting.number == mock.number
    assert sitting.about == {"role": "manager", "minutes": 10, "seed": 7, "exercise": None}
    assert sitting.ended is not None
    assert [one.sitting for one in Progress().answers()] == [mock.number]


def test_the_scorecard_begins_when_the_sitting_does(room):
    _, card, _ = hold(room, *GOOD, "q")
    assert [card.begun] == [sitting.begun for sitting in Progress().sittings("mock")]


def test_the_scorecard_can_be_made_again_from_what_is_kept(room, data_dir):
    wrong = "def my_fold_affine(gamma, beta, running_mean, running_var, eps):\n    return gamma, beta\n"

    def write(script):
        (data_dir / "coding" / "fold_affine.py").write_text(wrong)
        return ""

    _, card, _ = hold(room, *GOOD, *POOR, *GOOD, *GOOD, write, "s", minutes=20)
    (sitting,) = Progress().sittings("mock")
    again = scorecard_of(sitting, Progress(), card.bank)
    assert again.coding == ("fold_affine", 1, False)
    assert (again.answers, again.coding, again.role, again.minutes) == (
        card.answers,
        card.coding,
        card.role,
        card.minutes,
    )


def test_attempts_from_outside_the_mock_are_not_its_own(room):
    Progress().record_attempt("fold_affine", "", passed=True)
    _, card, _ = hold(room, *GOOD, "q", minutes=20)
    Progress().record_attempt("fold_affine", "", passed=True)
    (sitting,) = Progress().sittings("mock")
    assert scorecard_of(sitting, Progress(), card.bank).coding == ("fold_affine", 0, False)


def test_a_mock_that_was_killed_has_the_attempts_up_to_when_it_would_have_ended(bank):
    about = {"role": "any", "minutes": 20, "exercise": "fold_affine"}
    Progress().begin_sitting("mock", about)
    Progress().record_attempt("fold_affine", "in time", passed=False)
    Progress().record_attempt("fold_affine", "too late", passed=True)
    (sitting,) = Progress().sittings("mock")
    late = datetime.fromisoformat(sitting.begun) + timedelta(minutes=20 + MINUTES_OF_CODING, seconds=1)
    ask(Progress().path, f"UPDATE attempts SET at = '{late.isoformat()}' WHERE passed")
    assert scorecard_of(sitting, Progress(), bank).coding == ("fold_affine", 1, False)


def test_a_mock_that_was_interrupted_ends_and_keeps_its_answers(room):
    with pytest.raises(KeyboardInterrupt):
        hold(room, *GOOD, "", KeyboardInterrupt())
    (sitting,) = Progress().sittings("mock")
    assert sitting.ended is not None
    assert len(Progress().answers(sitting=sitting.number)) == 1


def test_where_nothing_can_be_kept_the_mock_is_held_all_the_same(room, data_dir):
    data_dir.write_text("a file where the folder should be")
    _, card, shown = hold(room, *GOOD, *GOOD, *GOOD, *GOOD)
    assert len(card.answers) == 4
    assert "This was not added to your progress" in shown
