import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fsrs import Rating
from hypothesis import given
from hypothesis import strategies as st

from bnlab.practice.interview.bank import questions
from bnlab.practice.interview.schedule import Due, due, end_of_day, next_due, rating_of
from bnlab.practice.progress import Answer, Progress

FIRST = datetime(2026, 3, 2, 20, 15, tzinfo=UTC)
QUESTION, OTHER = "largest-x-hat", "derive-dx"
BANK = {one: replace(questions()[one], exercise=None) for one in (QUESTION, OTHER)}
SCORES = st.sampled_from([0.0, 0.3, 0.5, 0.6, 0.75, 0.9, 1.0])
HISTORIES = st.lists(st.tuples(SCORES, st.booleans(), st.integers(0, 24 * 90)), max_size=12)


def answered(score, at, *, red_flags=(), question=QUESTION):
    return Answer(question, "quiz", None, (), red_flags, score, None, None, 0.0, at.isoformat(timespec="microseconds"))


def answers_of(history):
    """Answers to one question, of a score, with or without a red flag, some hours after one another."""
    at, answers = FIRST, []
    for score, flagged, hours in history:
        at += timedelta(hours=hours)
        answers.append(answered(score, at, red_flags=(1,) if flagged else ()))
    return answers, at


def bank_with(exercise):
    return {QUESTION: replace(BANK[QUESTION], exercise=exercise)}


@pytest.mark.parametrize(
    ("score", "red_flags", "rating"),
    [
        (0.0, (), Rating.Again),
        (0.49, (), Rating.Again),
        (0.5, (), Rating.Hard),
        (0.74, (), Rating.Hard),
        (0.75, (), Rating.Good),
        (0.99, (), Rating.Good),
        (1.0, (), Rating.Easy),
        (1.0, (1,), Rating.Again),
    ],
)
def test_the_rating_is_that_of_the_score_unless_a_red_flag_was_said(score, red_flags, rating):
    assert rating_of(score, red_flags) is rating


@pytest.mark.parametrize(("score", "days"), [(0.2, 1), (0.6, 1), (0.8, 2), (1.0, 8)])
def test_a_first_answer_comes_back_after_days_that_fsrs_gives_its_rating(score, days):
    assert next_due([answered(score, FIRST)], FIRST) == FIRST + timedelta(days)


def test_answers_that_stay_good_come_back_ever_later():
    answers, dates = [], [FIRST]
    for _ in range(5):
        answers.append(answered(0.8, dates[-1]))
        dates.append(next_due(answers, dates[-1]))
    assert [f"{date:%Y-%m-%d}" for date in dates[1:]] == [
        "2026-03-04",
        "2026-03-15",
        "2026-04-30",
        "2026-10-10",
        "2028-02-19",
    ]


def test_a_question_is_due_from_its_date_on():
    answers = [answered(0.8, FIRST)]
    on = FIRST + timedelta(days=2)
    assert due(answers, {}, BANK, on - timedelta(seconds=1)) == []
    (found,) = due(answers, {}, BANK, on)
    assert (found.question, found.due, found.why) == (QUESTION, on, "schedule")
    assert found.retrievability == pytest.approx(0.9, abs=0.02)  # at which FSRS asks again


def test_the_most_forgotten_comes_first():
    answers = [answered(1.0, FIRST, question=OTHER), answered(0.2, FIRST + timedelta(days=10))]
    found = due(answers, {}, BANK, FIRST + timedelta(days=30))
    assert [one.question for one in found] == [QUESTION, OTHER]
    assert found[0].due > found[1].due
    assert found[0].retrievability < found[1].retrievability


@pytest.mark.parametrize(
    ("zone", "midnight"), [("UTC0", (3, 0)), ("EST5", (3, 5)), ("LINT-14", (3, 10))], ids=["Greenwich", "west", "east"]
)
def test_a_day_ends_at_the_midnight_of_the_learner(zone, midnight, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert end_of_day(FIRST) == datetime(2026, 3, *midnight, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_nothing_is_due_and_nothing_will_be_before_the_first_answer():
    assert due([], {}, BANK, FIRST) == []
    assert next_due([], FIRST) is None


def test_the_next_date_is_the_first_that_has_not_come():
    answers = [answered(0.2, FIRST), answered(1.0, FIRST, question=OTHER)]
    assert next_due(answers, FIRST + timedelta(days=1)) == FIRST + timedelta(days=8)
    assert next_due(answers, FIRST + timedelta(days=8)) is None


def test_a_question_that_was_withdrawn_does_not_come_back():
    assert due([answered(0.2, FIRST, question="withdrawn")], {}, BANK, FIRST + timedelta(days=9)) == []


@pytest.mark.parametrize(("first", "second", "days"), [(0.8, 1.0, 4), (1.0, 1.0, 13), (0.2, 1.0, 1)])
def test_two_answers_of_one_day_both_count(first, second, days):
    later = FIRST + timedelta(hours=1)
    assert next_due([answered(first, FIRST), answered(second, later)], later) == later + timedelta(days)


# --- an exercise that failed


def test_a_failed_exercise_makes_its_question_due_at_once_even_if_never_answered():
    failed = FIRST + timedelta(hours=1)
    failures = {"norm_backward": failed.isoformat(timespec="seconds")}
    expected = [Due(QUESTION, failed, 0.0, "exercise norm_backward failed")]
    assert due([], failures, bank_with("norm_backward"), failed) == expected


def test_a_failed_exercise_makes_a_question_due_that_was_answered_before():
    failed = FIRST + timedelta(hours=1)
    failures = {"norm_backward": failed.isoformat(timespec="microseconds")}
    (found,) = due([answered(1.0, FIRST)], failures, bank_with("norm_backward"), failed)
    assert (found.due, found.retrievability, found.why) == (failed, 1.0, "exercise norm_backward failed")


def test_a_failed_exercise_is_settled_by_an_answer_after_it():
    failures = {"norm_backward": FIRST.isoformat(timespec="microseconds")}
    answers = [answered(1.0, FIRST + timedelta(minutes=1))]
    assert due(answers, failures, bank_with("norm_backward"), FIRST + timedelta(hours=1)) == []


def test_an_exercise_that_fails_later_makes_nothing_due_now():
    failures = {"norm_backward": (FIRST + timedelta(seconds=1)).isoformat(timespec="microseconds")}
    assert due([], failures, bank_with("norm_backward"), FIRST) == []


def test_a_failure_of_another_exercise_changes_nothing():
    failures = {"norm_forward": FIRST.isoformat(timespec="microseconds")}
    assert due([], failures, bank_with("norm_backward") | {OTHER: BANK[OTHER]}, FIRST + timedelta(hours=1)) == []


def test_an_exercise_that_was_passed_in_the_end_makes_nothing_due(tmp_path):
    progress = Progress(tmp_path)
    progress.record_attempt("norm_backward", "", passed=False)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert [one.question for one in due([], progress.failures(), bank_with("norm_backward"), soon)] == [QUESTION]
    progress.record_attempt("norm_backward", "", passed=True)
    assert due([], progress.failures(), bank_with("norm_backward"), soon) == []


# --- whatever was answered before


@given(HISTORIES, SCORES, SCORES, st.integers(0, 24 * 90))
def test_a_fuller_answer_never_comes_back_sooner(history, one, other, hours):
    before, at = answers_of(history)
    at += timedelta(hours=hours)
    poorer, fuller = (next_due([*before, answered(score, at)], at) for score in sorted((one, other)))
    assert poorer <= fuller


@given(HISTORIES, SCORES)
def test_an_answer_with_a_red_flag_comes_back_the_next_day(history, score):
    answers, at = answers_of([*history, (score, True, 5)])
    assert next_due(answers, at) == at + timedelta(days=1)


@given(HISTORIES, st.randoms(use_true_random=False))
def test_the_same_answers_give_the_same_dates_in_any_order(history, chance):
    answers, at = answers_of([(score, flagged, hours + 1) for score, flagged, hours in history])
    shuffled = chance.sample(answers, len(answers))
    random.seed(len(history))  # what is left to chance would differ
    assert next_due(shuffled, at) == next_due(answers, at)
    assert due(shuffled, {}, BANK, at + timedelta(days=5)) == due(answers, {}, BANK, at + timedelta(days=5))
