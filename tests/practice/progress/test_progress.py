from datetime import UTC, datetime, timedelta, timezone

import pytest

from bnlab.practice.progress import Progress, Sitting, TaskSummary
from tests.practice.progress.children import ask, start

SOURCE = "def f(x):\n    return x  # é"
WEDNESDAY = datetime(2026, 3, 4, 20, 15, 30, 250, tzinfo=UTC)
QUESTION = "largest-x-hat"
MARKS = {"kind": "quiz", "points": (1, 3), "red_flags": (2,), "score": 5 / 7}
ANSWER_FORTY = """
for number in range(40):
    kept = progress.record_answer(
        "asked-by-all", kind="review", points=[1], red_flags=[], score=0.5, text=f"{sys.argv[2]} {number}"
    )
    assert kept is not None, progress.notice
"""


@pytest.fixture
def progress(tmp_path):
    return Progress(tmp_path)


# --- exercises and predictions


def test_attempts_are_kept_in_order_with_their_source(progress):
    progress.record_attempt("a", SOURCE, passed=False, misconception="wrong-axes")
    progress.record_attempt("b", "other", passed=False)
    progress.record_attempt("a", "second", passed=True)
    kept = progress.attempts("a")
    assert [attempt[:4] for attempt in kept] == [("a", SOURCE, False, "wrong-axes"), ("a", "second", True, None)]
    assert all(isinstance(attempt.passed, bool) for attempt in kept)


def test_the_time_is_kept_in_utc(progress):
    progress.record_attempt("a", "", passed=True)
    kept = datetime.fromisoformat(progress.attempts("a")[0].at)
    assert kept.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - kept) < timedelta(minutes=1)


def test_the_first_commitment_to_a_prediction_counts(progress):
    progress.record_prediction("p", "b", 60)
    progress.record_prediction("p", "a", 100)
    progress.record_prediction("q", "a", 50)
    assert [commitment[:3] for commitment in progress.predictions().values()] == [("p", "b", 60), ("q", "a", 50)]


def test_requests_are_counted_by_task_and_kind(progress):
    progress.record_request("a", "hint", 1)
    progress.record_request("a", "hint", 2)
    progress.record_request("a", "solution")
    assert [progress.count_requests("a", "hint"), progress.count_requests("a", "solution")] == [2, 1]
    assert progress.count_requests("b", "hint") == 0


def test_the_summary_has_each_task_with_its_latest_misconception(progress):
    for task, passed, misconception in (
        ("late", False, "eps-missing"),
        ("lost", False, "wrong-axes"),
        ("late", True, None),
        ("lost", True, None),
        ("lost", False, "raises"),
    ):
        progress.record_attempt(task, "", passed=passed, misconception=misconception)
    assert progress.summary() == {"late": TaskSummary(2, True, None), "lost": TaskSummary(3, True, "raises")}


def test_text_that_sqlite_cannot_hold_is_kept_escaped(progress):
    progress.record_attempt("a", "'\ud800'", passed=True)
    assert progress.attempts("a")[0].source == r"'\ud800'"
    assert progress.notice is None


def test_a_task_whose_latest_attempt_failed_is_a_failure(progress):
    for task, passed in (("late", False), ("lost", True), ("lost", False), ("late", True), ("never", False)):
        progress.record_attempt(task, "", passed=passed)
    failures = progress.failures()
    assert list(failures) == ["lost", "never"]
    assert failures["lost"] == progress.attempts("lost")[-1].at


# --- answers


def test_an_answer_comes_back_as_it_was_marked(progress):
    sitting = progress.begin_sitting("mock", {})
    kept = progress.record_answer(
        QUESTION, **MARKS, confidence=60, text="é\n∑", seconds=12.5, sitting=sitting, at=WEDNESDAY
    )
    assert progress.answers() == [kept]
    at = "2026-03-04T20:15:30.000250+00:00"
    assert kept == (QUESTION, "quiz", sitting, (1, 3), (2,), 5 / 7, 60, "é\n∑", 12.5, at)


def test_an_answer_that_was_spoken_without_an_expectation_has_neither(progress):
    progress.record_answer(QUESTION, **MARKS)
    (kept,) = progress.answers()
    assert (kept.sitting, kept.confidence, kept.text, kept.seconds) == (None, None, None, 0.0)


def test_an_answer_is_dated_now_in_utc(progress):
    kept = datetime.fromisoformat(progress.record_answer(QUESTION, **MARKS).at)
    assert kept.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - kept) < timedelta(minutes=1)


def test_a_time_of_another_zone_is_kept_in_utc(progress):
    kept = progress.record_answer(QUESTION, **MARKS, at=WEDNESDAY.astimezone(timezone(timedelta(hours=-8))))
    assert kept.at == "2026-03-04T20:15:30.000250+00:00"


def test_answers_are_found_by_question_and_by_sitting(progress):
    first, second = progress.begin_sitting("mock", {}), progress.begin_sitting("mock", {})
    for question, sitting in (("a", first), ("b", first), ("a", second), ("a", None)):
        progress.record_answer(question, **MARKS, sitting=sitting)
    assert [(one.question, one.sitting) for one in progress.answers("a")] == [("a", 1), ("a", 2), ("a", None)]
    assert [one.question for one in progress.answers(sitting=first)] == ["a", "b"]
    assert len(progress.answers("b", sitting=second)) == 0


def test_answers_are_in_order_of_their_times(progress):
    for question, days in (("a", 2), ("b", 1), ("c", 3)):
        progress.record_answer(question, **MARKS, at=WEDNESDAY + timedelta(days))
    assert [one.question for one in progress.answers()] == ["b", "a", "c"]


def test_an_answer_before_the_last_one_is_refused(progress):
    progress.record_answer(QUESTION, **MARKS, at=WEDNESDAY)
    before = progress.path.read_bytes()
    with pytest.raises(ValueError, match="the clock says") as caught:
        progress.record_answer(QUESTION, **MARKS, at=WEDNESDAY - timedelta(microseconds=1))
    assert str(caught.value) == (
        "the clock says 2026-03-04 20:15:30 UTC, but the last answer to 'largest-x-hat' is dated "
        "2026-03-04 20:15:30 UTC; set the clock right and answer again"
    )
    assert progress.path.read_bytes() == before
    assert progress.notice is None


def test_an_answer_now_after_one_from_the_future_is_refused(progress):
    progress.record_answer(QUESTION, **MARKS, at=datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(ValueError, match="set the clock right"):
        progress.record_answer(QUESTION, **MARKS)


def test_two_answers_of_one_moment_are_kept_in_their_order(progress):
    for text in ("first", "second"):
        progress.record_answer(QUESTION, **MARKS, text=text, at=WEDNESDAY)
    assert [one.text for one in progress.answers()] == ["first", "second"]


def test_another_question_may_have_been_answered_later(progress):
    progress.record_answer("other", **MARKS, at=WEDNESDAY + timedelta(days=1))
    assert progress.record_answer(QUESTION, **MARKS, at=WEDNESDAY) is not None


def test_processes_that_answer_one_question_at_once_lose_nothing_and_are_not_refused(tmp_path):
    children = [start(ANSWER_FORTY, tmp_path, name) for name in ("first", "second", "third")]
    for child in children:
        child.communicate(timeout=60)
    assert [child.returncode for child in children] == [0, 0, 0]
    texts = [one.text for one in Progress(tmp_path).answers()]
    for name in ("first", "second", "third"):
        assert [text for text in texts if text.startswith(name)] == [f"{name} {number}" for number in range(40)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "exam"}, "kind: expected one of quiz, review, mock, notebook, got 'exam'"),
        ({"score": 1.01}, "score: expected a number from 0 to 1, got 1.01"),
        ({"score": float("nan")}, "score: expected a number from 0 to 1, got nan"),
        ({"points": [0]}, "points: expected a JSON list of whole numbers from 1, as text, got '[0]'"),
        ({"confidence": 101}, "confidence: expected a whole number from 0 to 100, or null, got 101"),
        ({"seconds": -1}, "seconds: expected a number from 0, got -1.0"),
        ({"at": datetime(2026, 3, 4, 20, 15)}, "at: expected a time with its zone, got 2026-03-04T20:15:00"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_answer_outside_its_ranges_is_refused(progress, wrong, message):
    with pytest.raises(ValueError, match=r".") as caught:
        progress.record_answer(QUESTION, **MARKS | wrong)
    assert str(caught.value) == message
    assert not progress.path.exists()


def test_an_answer_that_was_damaged_is_left_out_with_a_notice(progress):
    progress.record_answer("spoilt", **MARKS)
    progress.record_answer("sound", **MARKS)
    ask(progress.path, "UPDATE answers SET points = '[1, ' WHERE question = 'spoilt'")
    assert [one.question for one in progress.answers()] == ["sound"]
    assert progress.notice == f"Of your answers, 1 could not be read ({progress.path})."


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE attempts SET at = 'yesterday' WHERE source = 'spoilt'",
        "UPDATE attempts SET passed = 'yes' WHERE source = 'spoilt'",
    ],
)
def test_an_attempt_that_was_damaged_is_left_out_with_a_notice(progress, spoil):
    progress.record_attempt("task", "sound", passed=False)
    progress.record_attempt("task", "spoilt", passed=True)
    ask(progress.path, spoil)
    assert [one.source for one in progress.attempts("task")] == ["sound"]
    assert progress.summary() == {"task": TaskSummary(1, passed=False, misconception=None)}
    assert progress.notice == f"Of your attempts, 1 could not be read ({progress.path})."


def test_a_prediction_or_choice_that_was_damaged_is_left_out_with_a_notice(progress):
    progress.record_prediction("id", "choice", 70)
    sitting = progress.begin_sitting("pretest", {})
    progress.record_choice(sitting, "item", "a")
    ask(progress.path, "UPDATE predictions SET confidence = 700")
    ask(progress.path, "UPDATE choices SET choice = x'ff'")
    assert (progress.predictions(), progress.choices(sitting)) == ({}, {})
    assert "Of your predictions, 1 could not be read" in progress.notice
    assert "Of your choices, 1 could not be read" in progress.notice


# --- sittings and choices


def test_a_sitting_is_open_until_it_ends(progress):
    about = {"role": "ML engineer", "minutes": 30, "seed": 7}
    number = progress.begin_sitting("mock", about)
    (opened,) = progress.sittings()
    assert opened == Sitting(number, "mock", about, opened.begun, None)
    progress.end_sitting(number)
    (ended,) = progress.sittings()
    assert ended.ended > ended.begun == opened.begun


def test_the_first_end_of_a_sitting_counts(progress):
    number = progress.begin_sitting("mock", {})
    progress.end_sitting(number)
    before = progress.sittings()
    progress.end_sitting(number)
    assert progress.sittings() == before


def test_sittings_are_found_by_kind(progress):
    for kind in ("mock", "pretest", "mock"):
        progress.begin_sitting(kind, {})
    assert [one.number for one in progress.sittings("mock")] == [1, 3]


def test_a_sitting_of_another_kind_is_refused(progress):
    with pytest.raises(ValueError, match="kind: expected one of mock, pretest, posttest, capstone, got 'exam'"):
        progress.begin_sitting("exam", {})


def test_a_sitting_about_what_json_cannot_hold_is_refused(progress):
    with pytest.raises(ValueError, match=r"about: expected what JSON can hold, got \{'roles': \{1\}\}"):
        progress.begin_sitting("mock", {"roles": {1}})


def test_the_first_choice_counts_in_each_sitting(progress):
    first, second = progress.begin_sitting("pretest", {}), progress.begin_sitting("posttest", {})
    for sitting, item, choice in ((first, "b", "x"), (first, "a", "y"), (first, "b", "z"), (second, "b", "z")):
        progress.record_choice(sitting, item, choice)
    assert list(progress.choices(first).items()) == [("b", "x"), ("a", "y")]
    assert progress.choices(second) == {"b": "z"}


def test_a_sitting_that_is_not_in_the_file_keeps_no_choice_and_says_so(progress):
    progress.record_choice(7, "item", "a")
    assert progress.choices(7) == {}
    assert progress.notice == f"This was not added to your progress: there is no sitting 7 ({progress.path})."


def test_an_answer_of_a_sitting_that_is_not_in_the_file_is_kept_without(progress):
    kept = progress.record_answer(QUESTION, **MARKS, sitting=7)  # as after the file was set aside during the sitting
    assert kept.sitting is None
    assert progress.answers() == [kept]


def test_what_cannot_be_kept_returns_none(tmp_path):
    (tmp_path / "file").write_text("in the way")
    progress = Progress(tmp_path / "file")
    assert progress.record_answer(QUESTION, **MARKS) is None
    assert progress.begin_sitting("mock", {}) is None
    assert progress.notice.startswith("This was not added to your progress: ")
