"""The rows of the progress file as its callers see them. Every time is UTC in ISO 8601."""

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

AnswerKind = Literal["quiz", "review", "mock", "notebook"]
RequestKind = Literal["hint", "solution"]
SittingKind = Literal["mock", "pretest", "posttest", "capstone"]


class Attempt(NamedTuple):
    """One checked attempt at an exercise."""

    task: str
    source: str
    passed: bool
    misconception: str | None
    at: str


class Commitment(NamedTuple):
    """The first answer to a prediction, with the confidence in percent."""

    id: str
    choice: str
    confidence: int
    at: str


class TaskSummary(NamedTuple):
    """How far the learner is with a task: passed at least once or not, and what was wrong with the latest attempt."""

    attempts: int
    passed: bool
    misconception: str | None


class Answer(NamedTuple):
    """One answer to a question of the interview's bank, as it was marked.

    `points` and `red_flags` are the numbers, from 1, of the rubric's points made and of the red flags said; `score` is
    the share of the rubric's weight, and `confidence` the share in percent that was expected before answering. What was
    spoken has no `text`.
    """

    question: str
    kind: AnswerKind
    sitting: int | None
    points: tuple[int, ...]
    red_flags: tuple[int, ...]
    score: float
    confidence: int | None
    text: str | None
    seconds: float
    at: str


class Sitting(NamedTuple):
    """One mock interview, pre-test, post-test or capstone; it has not `ended` while it is open."""

    number: int
    kind: SittingKind
    about: dict[str, Any]
    begun: str
    ended: str | None


def row_of(answer: Answer) -> tuple[Any, ...]:
    """An answer as the file has it."""
    return *answer[:3], json.dumps(answer.points), json.dumps(answer.red_flags), *answer[5:]


def answer_of(row: Sequence[Any]) -> Answer:
    """An answer from its row in the file."""
    question, kind, sitting, points, red_flags, *rest = row
    return Answer(question, kind, sitting, tuple(json.loads(points)), tuple(json.loads(red_flags)), *rest)


def sitting_of(row: Sequence[Any]) -> Sitting:
    """A sitting from its row in the file."""
    number, kind, about, begun, ended = row
    return Sitting(number, kind, json.loads(about), begun, ended)
