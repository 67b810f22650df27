"""What can be looked up: progress by topic and by role, the list of questions, one question with all its answers."""

import json
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bnlab.practice.interview.asking import PARTS, exhibits, items_of
from bnlab.practice.interview.bank import Question
from bnlab.practice.interview.room.answering import part
from bnlab.practice.interview.room.choosing import ROLES, last_scores, suits
from bnlab.practice.interview.room.talk import WIDTH, numbered, wrapped
from bnlab.practice.interview.schedule import due, end_of_day
from bnlab.practice.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def progress_tables(bank: Sequence[Question], progress: Progress) -> str:
    """By topic and by role: questions, how many are answered, the mean of their latest scores, how many are due."""
    answers = progress.answers()
    last = last_scores(answers)
    by_id = {question.id: question for question in bank}
    waiting = {one.question for one in due(answers, progress.failures(), by_id, end_of_day(datetime.now(UTC)))}
    tables = (("topic", _topics(bank)), ("role", _roles(bank)))
    return "\n\n".join(_table(title, groups, last, waiting) for title, groups in tables)


def progress_picture(bank: Sequence[Question], progress: Progress) -> "Figure":
    """The tables as a figure."""
    from bnlab.figures.interview import Known, progress_by_topic  # noqa: PLC0415 - loads matplotlib and torch

    last = last_scores(progress.answers())

    def known(questions: list[Question]) -> Known:
        scores = _scores(questions, last)
        return Known(len(questions), len(scores), sum(scores) / len(scores) if scores else None)

    topics, roles = ({name: known(own) for name, own in groups.items()} for groups in (_topics(bank), _roles(bank)))
    answered = sum(one.answered for one in topics.values())
    return progress_by_topic(topics, roles, title=f"{answered} of {len(bank)} questions answered at least once")


def listing(questions: Iterable[Question], progress: Progress) -> str:
    """For each question a line with its id, topic, level and latest score, and the beginning of its prompt."""
    last = last_scores(progress.answers())
    rows = [f"{'question':32}{'topic':24}{'level':10}{'score':>5}"]
    for question in questions:
        score = f"{100 * last[question.id]:.0f}%" if question.id in last else "-"
        rows.append(f"{question.id:32}{question.topic:24}{question.level:10}{score:>5}")
        rows.append(f"  {textwrap.shorten(question.prompt, WIDTH - 2, placeholder=' ...')}")
    return "\n".join(rows)


def listing_as_json(questions: Iterable[Question]) -> str:
    """The same for a program, in ASCII, with prompts, roles and chapters, and without anything of the learner's."""
    names = ("id", "topic", "level", "roles", "prompt", "chapter")
    return json.dumps([{name: getattr(one, name) for name in names} for one in questions], indent=1)


def everything(question: Question) -> str:
    """A question with its answers, rubric, red flags and links, in 80 columns."""
    paragraphs = [
        f"{question.id} · {question.topic} · {question.level} · {', '.join(question.roles)}",
        question.prompt,
        *(textwrap.indent(text, "    ") for text in exhibits(question)),
        *(text for name in ("short", "two_minutes", "whiteboard") for text in part(question, name)),
    ]
    lists = [(PARTS[name], numbered(items_of(question, name))) for name in ("rubric", "red_flags")]
    links = {
        "Chapter": question.chapter,
        "An interviewer may go on with": ", ".join(question.follow_ups),
        "Exercise": question.exercise,
        "Claim": question.claim,
        "Source": question.source,
    }
    about = "\n".join(wrapped(f"{name}: {value}", "  ") for name, value in links.items() if value)
    return "\n\n".join([*map(wrapped, paragraphs), *(f"{title}:\n\n{body}" for title, body in lists), about])


def _topics(bank: Iterable[Question]) -> dict[str, list[Question]]:
    topics: dict[str, list[Question]] = {}
    for question in bank:
        topics.setdefault(question.topic, []).append(question)
    return topics


def _roles(bank: Sequence[Question]) -> dict[str, list[Question]]:
    named = {name: role for name, role in ROLES.items() if role != "any"}
    return {name: [question for question in bank if suits(question, role)] for name, role in named.items()}


def _scores(questions: Iterable[Question], last: Mapping[str, float]) -> list[float]:
    return [last[question.id] for question in questions if question.id in last]


def _table(title: str, groups: dict[str, list[Question]], last: dict[str, float], waiting: Collection[str]) -> str:
    rows = [f"{title:24}{'questions':>10}{'answered':>10}{'score':>8}{'due':>6}"]
    for name, questions in groups.items():
        scores = _scores(questions, last)
        mean = f"{100 * sum(scores) / len(scores):.0f}%" if scores else "-"
        late = sum(question.id in waiting for question in questions)
        rows.append(f"{name:24}{len(questions):>10}{len(scores):>10}{mean:>8}{late:>6}")
    return "\n".join(rows)
