"""When a question comes back: FSRS (Free Spaced Repetition Scheduler, version 6), without chance.

A card's state is a function of the answers: they are replayed through the scheduler, so that no state is stored, and
none can contradict the answers.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

from fsrs import Card, Rating, Scheduler

from bnlab.practice.interview.bank import Question
from bnlab.practice.progress import Answer

SCHEDULER = Scheduler(enable_fuzzing=False, learning_steps=(), relearning_steps=())
GOOD, HARD = 0.75, 0.5  # the least share of the rubric for each


class Due(NamedTuple):
    """A question to be asked again.

    `due` is the moment from which on it is, and `retrievability` how probable a good answer still is; `why` is
    "schedule" or "exercise ... failed".
    """

    question: str
    due: datetime
    retrievability: float
    why: str


def rating_of(score: float, red_flags: Sequence[int]) -> Rating:
    """What the scheduler calls an answer of some score, in which some red flags were said.

    Example:
        >>> rating_of(0.8, ()).name, rating_of(1.0, (2,)).name
        ('Good', 'Again')
    """
    if red_flags or score < HARD:
        return Rating.Again
    if score < GOOD:
        return Rating.Hard
    return Rating.Good if score < 1 else Rating.Easy


def due(
    answers: Iterable[Answer], failures: Mapping[str, str], bank: Mapping[str, Question], now: datetime
) -> list[Due]:
    """What is due: by the schedule, and because an exercise failed since the question was last answered.

    Args:
        answers: all that were given.
        failures: the exercises whose latest attempt failed, and when, as `Progress.failures` returns them.
        bank: the questions; what was answered and is no longer among them does not come back.
        now: the moment for which to say it.

    Returns:
        One entry a question, the most forgotten first; what was never answered is wholly forgotten.
    """
    cards, found = _cards(answers), []
    for question in bank.values():
        card = cards.get(question.id)
        last = card.last_review if card else None
        failed = failures.get(question.exercise) if question.exercise else None
        moment = datetime.fromisoformat(failed) if failed else None
        left = SCHEDULER.get_card_retrievability(card, now) if card else 0.0
        if moment is not None and moment <= now and (last is None or moment > last):
            found.append(Due(question.id, moment, left, f"exercise {question.exercise} failed"))
        elif card is not None and card.due <= now:
            found.append(Due(question.id, card.due, left, "schedule"))
    return sorted(found, key=lambda one: (one.retrievability, one.due, one.question))


def end_of_day(now: datetime) -> datetime:
    """The next midnight where the learner is: what comes due by then is today's.

    Args:
        now: with its time zone.
    """
    return datetime.combine(now.astimezone().date() + timedelta(days=1), time()).astimezone(UTC)


def next_due(answers: Iterable[Answer], now: datetime) -> datetime | None:
    """When the next question comes due that is not due yet; None if there is none."""
    return min((card.due for card in _cards(answers).values() if card.due > now), default=None)


def _cards(answers: Iterable[Answer]) -> dict[str, Card]:
    """The state of each answered question."""
    cards: dict[str, Card] = {}
    for answer in sorted(answers, key=lambda answer: answer.at):
        at = datetime.fromisoformat(answer.at).astimezone(UTC)
        before = cards.get(answer.question) or Card(card_id=0, due=at)
        rating = rating_of(answer.score, answer.red_flags)
        card, _ = SCHEDULER.review_card(before, rating, at)
        if rating is Rating.Again:  # however well it was known before
            card.due = min(card.due, at + timedelta(days=1))
        cards[answer.question] = card
    return cards
