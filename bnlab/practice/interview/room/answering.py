"""One question of the bank from its prompt to its marks, which are kept as soon as they are in."""

import re
import textwrap
from datetime import UTC, datetime
from functools import partial

from bnlab.practice.interview.asking import PARTS, exhibits, items_of
from bnlab.practice.interview.bank import Question
from bnlab.practice.interview.room.matching import suggest
from bnlab.practice.interview.room.talk import Left, Talk, numbered, wrapped
from bnlab.practice.interview.room.visit import Room
from bnlab.practice.interview.schedule import next_due
from bnlab.practice.progress import Answer
from bnlab.practice.progress.records import AnswerKind

MORE = {"t": "two_minutes", "w": "whiteboard"}
MOST_POINTS = 99  # of a rubric: ranges up to there are written out


def answer(room: Room, question: Question, header: str, *, kind: AnswerKind, sitting: int | None = None) -> Answer:
    """Ask a question, take the answer, show the short one, take the marks, keep them, and show the score.

    Args:
        room: where it is asked.
        question: what is asked.
        header: the line above it.
        kind: on which occasion.
        sitting: number of the mock that it belongs to.

    Returns:
        The answer, whether it could be kept or not; it is also added to what the room was given.

    Raises:
        Left: somebody stopped. Before the points were marked nothing is kept; after them, the answer without red flags.
    """
    talk = room.talk
    talk.headline(header)
    shown = (textwrap.indent(text, "    ") for text in exhibits(question))
    talk.say(*shown, question.prompt)  # in this order the question still stands on the screen when it is answered
    confidence = talk.ask("How much of a full answer will you give, in percent? (Enter: no guess)", percentage)
    talk.write(
        wrapped("Type your answer and end it with an empty line, or say it aloud and press Enter when you are done.")
    )
    start = talk.clock()
    text = talk.text()
    seconds = talk.clock() - start
    talk.say(f"That took {seconds:.0f} s.", *part(question, "short"))
    points, red_flags, left = _marks(talk, question, text)
    given = _kept(
        room,
        Answer(
            question.id,
            kind,
            sitting,
            points,
            red_flags,
            question.score(points),
            confidence,
            text or None,
            seconds,
            datetime.now(UTC).isoformat(timespec="microseconds"),
        ),
    )
    talk.write("")
    talk.say(_score(room, question, given))
    if left:
        raise Left
    return given


def more(talk: Talk, question: Question) -> None:
    """Offer the longer answers until somebody goes on.

    Raises:
        Left: somebody stopped.
    """
    while chosen := talk.ask("t two minutes, w whiteboard, Enter goes on, q ends", _one_of_more):
        talk.say(*part(question, chosen))


def part(question: Question, name: str) -> tuple[str, ...]:
    """A title and the paragraphs of one part of an answer: "short", "two_minutes" or "whiteboard"."""
    text = getattr(question.answers, name)
    if name == "whiteboard":
        return f"{PARTS[name]}:", textwrap.indent(text.rstrip(), "    ")
    return f"{PARTS[name]}:", *re.split(r"\n+", text.strip())


def percentage(line: str) -> int | None:
    """A whole percentage, with or without its sign; None for an empty line.

    Raises:
        ValueError: anything else.

    Example:
        >>> percentage("70%"), percentage("")
        (70, None)
    """
    if not line:
        return None
    digits = line.removesuffix("%").rstrip()
    if not _is_number(digits, 0, 100):
        raise ValueError(f"expected a whole number from 0 to 100, or Enter for no guess, got {line!r:.60}")
    return int(digits)


def numbers(line: str, most: int, *, all_with: str | None = None) -> tuple[int, ...]:
    """Numbers from 1 to `most`, in order and each once; none for an empty line.

    Args:
        line: such as "1 3", "1,3" or "1-3".
        most: the largest one.
        all_with: a line that stands for all of them.

    Raises:
        ValueError: anything else.

    Example:
        >>> numbers("3, 1", 4), numbers("2-4", 4), numbers("a", 2, all_with="a")
        ((1, 3), (2, 3, 4), (1, 2))
    """
    if all_with is not None and line.lower() in {all_with, "all"}:
        return tuple(range(1, most + 1))
    words = re.sub(r"\d+-\d+", _range, line.replace(",", " ")).split()
    if not all(_is_number(word, 1, most) for word in words):
        known = "1" if most == 1 else f"numbers from 1 to {most}, such as 1 {most}"
        every = "" if all_with is None else f", {all_with} for all"
        raise ValueError(f"expected {known}{every}, or Enter for none, got {line!r:.60}")
    return tuple(sorted({int(word) for word in words}))


def _is_number(word: str, least: int, most: int) -> bool:
    return word.isdecimal() and len(word) <= len(str(most)) and least <= int(word) <= most


def _range(ends: re.Match[str]) -> str:
    first, last = map(int, ends.group().split("-"))
    return " ".join(map(str, range(first, last + 1))) if first <= last <= MOST_POINTS else ends.group()


def _marks(talk: Talk, question: Question, text: str) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
    """Points and red flags, and whether somebody left when asked for the flags."""
    talk.write("A full answer makes these points; behind each stands its weight.")
    talk.write(f"\n{numbered(items_of(question, 'rubric'))}\n")
    touched = suggest(question, text)
    if touched:
        talk.say(f"Your words seem to touch {_listed(touched)}.")
    elif text:
        talk.say("Your words touch none of the key phrases that we listed, which proves nothing.")
    wanted = "Which points did you make? (such as 1 3; a for all, Enter for none)"
    points = talk.ask(wanted, partial(numbers, most=len(question.rubric), all_with="a"))
    talk.write(f"\nThese are red flags, and why:\n\n{numbered(items_of(question, 'red_flags'))}\n")
    wanted = "Did you say one of these? (numbers, Enter for none)"
    try:
        return points, talk.ask(wanted, partial(numbers, most=len(question.red_flags))), False
    except Left:
        return points, (), True


def _kept(room: Room, given: Answer) -> Answer:
    values = {name: value for name, value in given._asdict().items() if name not in {"question", "at"}}
    try:
        kept = room.progress.record_answer(given.question, **values)
    except ValueError as error:  # the clock was set back
        room.talk.say(f"Not kept: {error}.")
        kept = None
    room.kept += kept is not None
    room.given.append(kept or given)
    room.tell_notice()
    return kept or given


def _score(room: Room, question: Question, given: Answer) -> str:
    weights = [point.weight for point in question.rubric]
    made = sum(weights[number - 1] for number in given.points)
    expected = "" if given.confidence is None else f" You had expected {given.confidence}%."
    now = datetime.now(UTC)
    due = next_due(room.progress.answers(question.id), now)
    back = "" if due is None else f" It comes back {when(due, now)}."
    flags = {0: "", 1: " One red flag said."}.get(len(given.red_flags), f" {len(given.red_flags)} red flags said.")
    return f"Score: {100 * given.score:.0f}% ({made} of {sum(weights)}).{flags}{expected}{back}"


def when(then: datetime, now: datetime) -> str:
    """A time to come, in words.

    Example:
        >>> when(datetime(2026, 3, 9, 12, tzinfo=UTC), datetime(2026, 3, 1, 12, tzinfo=UTC))
        'on 9 March 2026'
    """
    local, today = then.astimezone(), now.astimezone().date()
    days = (local.date() - today).days
    if days <= 0:
        return "today"
    return "tomorrow" if days == 1 else f"on {local.day} {local:%B %Y}"


def _one_of_more(line: str) -> str:
    if line and line.lower() not in MORE:
        raise ValueError(f"expected t, w, q or Enter, got {line!r:.60}")
    return MORE.get(line.lower(), "")


def _listed(numbers: tuple[int, ...]) -> str:
    *most, last = map(str, numbers)
    return f"points {', '.join(most)} and {last}" if most else f"point {last}"
