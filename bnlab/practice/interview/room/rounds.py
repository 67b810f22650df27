"""A quiz, and a review of what is due."""

from datetime import UTC, datetime

from bnlab.practice.interview.bank import Question
from bnlab.practice.interview.room.answering import answer, more, when
from bnlab.practice.interview.room.choosing import chosen, weakest_first
from bnlab.practice.interview.room.talk import Left
from bnlab.practice.interview.room.visit import Room
from bnlab.practice.interview.schedule import due, end_of_day, next_due

QUIZ_INSTEAD = 5  # questions of the quiz that is offered where nothing is due


def quiz(
    room: Room,
    most: int,
    seed: int | None = None,
    *,
    topic: str | None = None,
    level: str | None = None,
    role: str | None = None,
    weak: bool = False,
) -> None:
    """Ask up to `most` questions of a topic, a level and a role, those that the learner knows least first.

    Args:
        room: where they are asked.
        most: how many.
        seed: of the draw among equals.
        topic: only questions of this one.
        level: only questions of this one.
        role: only questions for this one.
        weak: only questions that were answered before.

    Raises:
        ValueError: as `chosen`, or with `weak` if none of these was answered before.
    """
    found, answers = chosen(room.bank, topic, level, role), room.progress.answers()
    room.tell_notice()
    if weak:
        answered = {one.question for one in answers}
        found = [question for question in found if question.id in answered]
        if not found:
            raise ValueError("--weak: expected questions that you answered before, got none")
    wanted = weakest_first(found, answers, seed)[:most]
    try:
        for number, question in enumerate(wanted, start=1):
            answer(room, question, f"Question {number} of {len(wanted)} · {_about(question)}", kind="quiz")
            more(room.talk, question)
    except Left:
        pass
    room.talk.say(_summary(room, len(wanted)))


def review(room: Room, most: int | None = None) -> None:
    """Ask what is due, the most forgotten first; where nothing is, say when the next is, and offer a quiz."""
    waiting = due(room.progress.answers(), room.progress.failures(), room.bank, end_of_day(datetime.now(UTC)))[:most]
    room.tell_notice()
    if not waiting:
        _nothing_due(room)
        return
    try:
        for number, one in enumerate(waiting, start=1):
            question = room.bank[one.question]
            if one.why != "schedule":
                room.talk.write(f"\nBecause {one.why}:")
            answer(room, question, f"Review {number} of {len(waiting)} · {_about(question)}", kind="review")
            more(room.talk, question)
    except Left:
        pass
    room.talk.say(_summary(room, len(waiting)))


def _nothing_due(room: Room) -> None:
    now = datetime.now(UTC)
    later = next_due([one for one in room.progress.answers() if one.question in room.bank], now)
    wait = "no question has been answered yet" if later is None else f"the next comes back {when(later, now)}"
    room.talk.say(f"Nothing is due: {wait}. `bnlab interview quiz --weak` asks the weakest again today.")
    try:
        wanted = room.talk.ask(f"A quiz of {QUIZ_INSTEAD} questions instead? (y for yes, Enter for no)", _yes)
    except Left:
        return
    if wanted:
        quiz(room, QUIZ_INSTEAD)


def _about(question: Question) -> str:
    return f"{question.topic} · {question.level}"


def _yes(line: str) -> bool:
    if line.lower() not in {"", "y", "yes", "n", "no"}:
        raise ValueError(f"expected y or Enter, got {line!r:.60}")
    return line.lower().startswith("y")


def _summary(room: Room, asked: int) -> str:
    given = room.given
    if not given:
        return "Nothing was answered."
    mean = sum(one.score for one in given) / len(given)
    lost = len(given) - room.kept
    kept = "all kept" if lost == 0 else f"{room.kept} kept"
    return f"{len(given)} of {asked} answered, {kept}: on average {100 * mean:.0f}% of a full answer."
