"""Which questions are asked, and in which order."""

import random
from collections.abc import Iterable, Mapping
from typing import get_args

from bnlab.practice.interview.bank import Level, Question, Role
from bnlab.practice.progress import Answer

LEVELS: tuple[Level, ...] = get_args(Level)  # from the easiest on
ROLES: dict[str, Role] = {role.lower().replace(" ", "-"): role for role in get_args(Role)}  # by their names in commands


def role_named(name: str) -> Role:
    """The role of this name on the command line; capitals do not matter, nor blanks in place of hyphens.

    Raises:
        ValueError: there is none.
    """
    role = ROLES.get("-".join(name.lower().split()))
    if role is None:
        raise ValueError(f"expected a role, one of {', '.join(ROLES)}, got {name!r:.60}")
    return role


def suits(question: Question, role: Role) -> bool:
    """Whether somebody of the role is asked the question; with "any", whoever they are."""
    return role == "any" or role in question.roles or "any" in question.roles


def chosen(
    bank: Mapping[str, Question], topic: str | None = None, level: str | None = None, role: str | None = None
) -> list[Question]:
    """The questions of a topic, a level and a role, where these are given.

    Raises:
        ValueError: one of them is unknown, or no question has all of them.
    """
    topics = list(dict.fromkeys(question.topic for question in bank.values()))
    if topic is not None and topic not in topics:
        raise ValueError(f"--topic: expected one of {', '.join(topics)}, got {topic!r}")
    if level is not None and level not in LEVELS:
        raise ValueError(f"--level: expected one of {', '.join(LEVELS)}, got {level!r}")
    named = "any" if role is None else role_named(role)
    found = [
        question
        for question in bank.values()
        if topic in {None, question.topic} and level in {None, question.level} and suits(question, named)
    ]
    if not found:
        asked = ", ".join(filter(None, (topic, level, role)))
        raise ValueError(f"expected a topic, level and role that share a question, got {asked}")
    return found


def weakest_first(questions: Iterable[Question], answers: Iterable[Answer], seed: int | None) -> list[Question]:
    """The unanswered ones first, then those with the lowest last score; equals in the order of a draw.

    Args:
        questions: what to order.
        answers: the oldest first.
        seed: of the draw; None for another one each time.
    """
    last = last_scores(answers)
    drawn = list(questions)
    random.Random(seed).shuffle(drawn)
    return sorted(drawn, key=lambda question: last.get(question.id, -1.0))


def last_scores(answers: Iterable[Answer]) -> dict[str, float]:
    """The latest score of each question; the answers come with the oldest first."""
    return {answer.question: answer.score for answer in answers}
