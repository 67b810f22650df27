"""What a mock interview asks: how it ramps up, what it mixes, and how it follows up an answer."""

import random
from collections.abc import Collection, Iterable, Mapping
from typing import Literal, NamedTuple

from bnlab.practice.exercises.tasks import task_of
from bnlab.practice.interview.bank import Level, Question, Role
from bnlab.practice.interview.room.choosing import LEVELS, suits
from bnlab.practice.progress import Answer

Kind = Literal["concept", "derivation", "debugging", "follow-up"]

MINUTES_A_QUESTION = 2.5  # with its marks
MINUTES_OF_CODING = 10
SHORTEST_WITH_CODING = 20  # minutes
SCREEN, CORE = 0.25, 0.65  # shares of the questions up to which they are of that level; deep ones follow
GOOD, POOR = 0.75, 0.5  # scores from which on, and below which, the next question is a harder or an easier one
KINDS: tuple[Kind, ...] = (
    "concept",
    "concept",
    "follow-up",
    "debugging",
    "derivation",
    "follow-up",
    "concept",
    "follow-up",
)
DERIVATIONS = ("backward", "mathematics")  # topics
STRANGER = 3  # how related two questions are that are not


class Slot(NamedTuple):
    """A place for one question."""

    kind: Kind
    level: Level


class Plan(NamedTuple):
    """The places for questions, and whether a coding task comes after them."""

    slots: tuple[Slot, ...]
    coding: bool


def plan(role: Role, minutes: int) -> Plan:
    """What fits in the minutes: from screen to deep, for a research scientist with a question of research at the end.

    Args:
        role: a manager is asked to derive and to code nothing.
        minutes: under 20 there is no coding.

    Example:
        >>> [f"{slot.level} {slot.kind}" for slot in plan("ML engineer", 10).slots]
        ['screen concept', 'core concept', 'core follow-up', 'deep debugging']
    """
    coding = role != "manager" and minutes >= SHORTEST_WITH_CODING
    count = max(1, int((minutes - MINUTES_OF_CODING * coding) / MINUTES_A_QUESTION))
    kinds = [kind for kind in KINDS if role != "manager" or kind != "derivation"]
    slots = [Slot(kinds[place % len(kinds)], _level(place / count)) for place in range(count)]
    if role == "research scientist":
        slots[-1] = Slot("concept", "research")
    return Plan(tuple(slots), coding)


def next_question(
    slot: Slot,
    bank: Mapping[str, Question],
    role: Role,
    *,
    asked: Collection[str],
    last: Answer | None,
    draw: random.Random,
) -> Question | None:
    """The question for a slot.

    Args:
        slot: what is wanted. A follow-up without a fitting question becomes a concept.
        bank: the questions by id.
        role: who is asked.
        asked: ids of the questions that were asked before, in order.
        last: the answer to the latest one; None at the start.
        draw: decides between equals.

    Returns:
        A question that was not asked yet; None if none is left for the role.
    """
    open_ones = [one for one in bank.values() if one.id not in asked and suits(one, role) and one.topic != "coding"]
    draw.shuffle(open_ones)
    if slot.kind == "follow-up" and last is not None:
        related = follow_up(bank[last.question], last, open_ones)
        if related is not None:
            return related
    kind = "concept" if slot.kind == "follow-up" else slot.kind
    topics = [bank[one].topic for one in asked]

    def unfit(question: Question) -> tuple[bool, int, int, bool]:
        plain = question.code is None and question.plot is None
        return _kind_of(question) != kind, _distance(question.level, slot.level), topics.count(question.topic), plain

    return min(open_ones, key=unfit, default=None)


def follow_up(question: Question, answer: Answer, candidates: Iterable[Question]) -> Question | None:
    """A related question: harder after a good answer, easier after a poor one, else as hard.

    Related are the follow-ups of the question, then those that it follows, then those of its topic. One that is as hard
    serves where there is no harder or easier one.

    Args:
        question: that was answered.
        answer: its marks.
        candidates: what may be asked, the preferred among equals first.
    """
    poor = answer.score < POOR or bool(answer.red_flags)
    step = -1 if poor else int(answer.score >= GOOD)
    here = LEVELS.index(question.level)

    def climb(other: Question) -> int:
        return LEVELS.index(other.level) - here

    def unfit(other: Question) -> tuple[bool, int, int]:
        as_hard = step != 0 and climb(other) == 0
        return as_hard, _relation(question, other), abs(climb(other) - step)

    related = [other for other in candidates if _relation(question, other) != STRANGER]
    return min((other for other in related if climb(other) * step >= 0), key=unfit, default=None)


def follows_up(question: Question, other: Question) -> bool:
    """Whether the other one is a follow-up of the question, or the other way round."""
    return _relation(question, other) <= 1


def coding_question(bank: Mapping[str, Question], role: Role, draw: random.Random) -> Question | None:
    """A question whose answer is an exercise that fits in its minutes; None if there is none for the role."""
    fitting = [
        one
        for one in bank.values()
        if one.topic == "coding" and one.exercise and task_of(one.exercise).level != "stretch" and suits(one, role)
    ]
    return draw.choice(fitting) if fitting else None


def _level(share: float) -> Level:
    if share < SCREEN:
        return "screen"
    return "core" if share < CORE else "deep"


def _kind_of(question: Question) -> Kind:
    if question.topic in DERIVATIONS:
        return "derivation"
    return "debugging" if question.topic == "debugging" else "concept"


def _distance(one: Level, other: Level) -> int:
    return abs(LEVELS.index(one) - LEVELS.index(other))


def _relation(question: Question, other: Question) -> int:
    """0 for a follow-up, 1 for what it follows, 2 for one of its topic, or a stranger."""
    if other.id in question.follow_ups:
        return 0
    if question.id in other.follow_ups:
        return 1
    return 2 if other.topic == question.topic else STRANGER
