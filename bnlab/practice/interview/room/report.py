"""The report of a mock interview: the scorecard, every answer with what was missing, and the mocks before it."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from bnlab import figures
from bnlab.figures import style
from bnlab.figures.interview import Mock as Past
from bnlab.practice.interview.asking import exhibits
from bnlab.practice.interview.bank import Question
from bnlab.practice.interview.room.mock import kept_mocks, scorecard_of
from bnlab.practice.interview.room.pages import (
    WRITERS,
    Block,
    Heading,
    Lines,
    Picture,
    Points,
    Table,
    Text,
    save,
)
from bnlab.practice.interview.room.scorecard import Mean, Scorecard, coding_in_words, decide
from bnlab.practice.progress import Answer, Progress

BAR = 40  # characters of a full score


def checked_place(file: Path | None) -> None:
    """Refuse a file for a report before anything is asked.

    Raises:
        ValueError: its ending says neither HTML nor Markdown, or its folder does not exist.
    """
    if file is not None and (file.suffix not in WRITERS or file.is_dir() or not file.parent.is_dir()):
        raise ValueError(f"--report: expected an .html or .md file in a folder that exists, got {file}")


def save_report(card: Scorecard, progress: Progress, file: Path | None = None) -> Path:
    """Write the report of a mock; a file that is there is replaced when the new one is complete.

    Args:
        card: its scorecard.
        progress: holds the mocks before it.
        file: an .html or .md file; by default one with the moment of its beginning, in UTC, in its name, in the folder
            `reports` beside the progress file.

    Returns:
        Where it is.

    Raises:
        OSError: it cannot be written.
    """
    if file is None:
        moment = datetime.fromisoformat(card.begun)
        file = progress.path.parent / "reports" / f"mock-{moment:%Y-%m-%d-%H%M%S}.html"
        file.parent.mkdir(parents=True, exist_ok=True)
    style.apply()
    return save([*_page(card, past_mocks(progress, card.bank, before=card.begun))], file)


def past_mocks(progress: Progress, bank: Mapping[str, Question], before: str) -> list[Past]:
    """The mocks with answers that were begun before a moment, in UTC as ISO 8601, the oldest first."""
    cards = [scorecard_of(sitting, progress, bank) for sitting in kept_mocks(progress) if sitting.begun < before]
    return [_past(card) for card in cards if card.answers]


def _page(card: Scorecard, past: list[Past]) -> Iterator[Block]:
    decision = decide(card)
    yield Heading(f"Mock interview, {card.begun[:10]}: {decision.word}", 1)
    yield Text(f"{card.role}, {card.minutes} minutes, {len(card.answers)} answers, {100 * card.score:.0f}% on average.")
    yield Points(decision.reasons)
    for title, means in (("topic", card.by_topic()), ("depth", card.by_level())):
        yield Heading(f"By {title}", 2)
        yield Table(_rows(title, means))
    yield Heading("Coding", 2)
    yield Text(coding_in_words(card.coding))
    yield Heading("Red flags said", 2)
    flags = tuple(f"`{id_}`: “{says}” {why}" for id_, says, why in card.red_flags())
    yield Points(flags) if flags else Text("None.")
    yield Heading("Read again", 2)
    again = tuple(
        f"Chapter `{stem}`: {', '.join(f'`{one}`' for one in ids)}" for stem, ids in card.read_again().items()
    )
    yield Points(again) if again else Text("Nothing: every answer was good.")
    if card.answers:
        yield Heading("This mock and those before it", 2)
        yield _history([*past, _past(card)])
        yield Heading("The answers", 2)
    for given in card.answers:
        yield from _answer(card.bank[given.question], given)
    yield Text("`bnlab interview show ID` prints the longer answers, `bnlab interview review` asks again what is due.")


def _rows(title: str, means: Mapping[str, Mean]) -> tuple[tuple[str, ...], ...]:
    body = ((name, str(mean.answers), f"{100 * mean.score:.0f}%") for name, mean in means.items())
    return (title, "questions", "score"), *body


def _history(mocks: list[Past]) -> Picture:
    words = "\n".join(
        f"{mock.date}  {'#' * round(BAR * mock.score):{BAR}}  {100 * mock.score:3.0f}%  {mock.verdict}"
        for mock in mocks
    )
    return Picture(lambda: figures.past_mocks(mocks), words, "The score of each mock in the order of their dates.")


def _answer(question: Question, given: Answer) -> Iterator[Block]:
    yield Heading(f"{question.id} ({question.topic}, {question.level}): {100 * given.score:.0f}%", 3)
    yield Text(question.prompt)
    yield from map(Lines, exhibits(question))
    expected = "" if given.confidence is None else f", {given.confidence}% of a full answer expected"
    how = "Typed" if given.text else "Said aloud"
    yield Text(f"{how} in {given.seconds:.0f} s{expected}.")
    if given.text:
        yield Lines(given.text)
    for title, made in (("Points made:", True), ("Points missing:", False)):
        points = [
            f"{one.point} ({one.weight})"
            for number, one in enumerate(question.rubric, start=1)
            if (number in given.points) is made
        ]
        if points:
            yield Text(title)
            yield Points(tuple(points))
    yield Text("In 30 seconds:")
    yield from map(Text, re.split(r"\n+", question.answers.short.strip()))


def _past(card: Scorecard) -> Past:
    return Past(card.begun[:10], card.score, decide(card).word)
