"""The room's doors: what each command does, from its options as they were typed to what is printed."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bnlab.figures import style
from bnlab.practice.interview.asking import question_of
from bnlab.practice.interview.bank import questions
from bnlab.practice.interview.pretest import Kind
from bnlab.practice.interview.room import rounds
from bnlab.practice.interview.room.answering import Room
from bnlab.practice.interview.room.choosing import ROLES, chosen, role_named
from bnlab.practice.interview.room.mock import Mock, scorecard_of
from bnlab.practice.interview.room.report import checked_place, save_report
from bnlab.practice.interview.room.scorecard import Scorecard
from bnlab.practice.interview.room.tables import (
    everything,
    listing,
    listing_as_json,
    progress_picture,
    progress_tables,
)
from bnlab.practice.interview.room.talk import Left, Talk, wrapped
from bnlab.practice.progress import Progress

MOST_SEEDS = 10_000  # a seed that nobody gave is short enough to be typed again


def quiz(talk: Talk, topic: str | None, level: str | None, role: str | None, *, most: int, seed: int | None) -> None:
    """Ask questions of a topic, a level and a role.

    Raises:
        ValueError: as `chosen`.
    """
    wanted = chosen(questions(), topic, level, role)
    with _room(talk) as room:
        rounds.quiz(room, wanted, most, seed)


def review(talk: Talk, most: int | None) -> None:
    """Ask what is due."""
    with _room(talk) as room:
        rounds.review(room, most)


def run_test(talk: Talk, kind: Kind) -> None:
    """Ask the ten items of the test before, or after, the course."""
    with _room(talk) as room:
        rounds.run_test(room, kind)


def mock(talk: Talk, role: str | None, minutes: int, seed: int | None, file: Path | None) -> None:
    """Hold a mock interview, show its scorecard, and write its report.

    Raises:
        ValueError: an unknown role, or a file that cannot be one of a report.
    """
    checked_place(file)
    if role is not None:
        role_named(role)
    with _room(talk) as room:
        try:
            name = role or talk.ask(f"For which role? ({', '.join(ROLES)}; Enter: ml-engineer)", _role)
        except Left:
            return
        drawn = random.randrange(MOST_SEEDS) if seed is None else seed
        held = Mock(room, role_named(name), minutes, drawn)
        card = held.hold()
        _show(talk.write, card, held.number, room.progress, file)


def report(write: Callable[[str], None], number: int | None, file: Path | None) -> None:
    """Make the report of a mock again, of the latest one without a number.

    Raises:
        ValueError: there is no such mock, or the file cannot be one of a report.
    """
    checked_place(file)
    progress = Progress()
    kept = {sitting.number: sitting for sitting in progress.sittings("mock")}
    if not kept:
        raise ValueError(f"expected a mock that is kept, got none in {progress.path}")
    wanted = max(kept) if number is None else number
    if wanted not in kept:
        raise ValueError(f"expected the number of a mock, one of {', '.join(map(str, kept))}, got {wanted}")
    _show(write, scorecard_of(kept[wanted], progress, questions()), wanted, progress, file)


def progress(write: Callable[[str], None], picture: Path | None) -> None:
    """Print the progress by topic and role; draw it, where a file is given.

    Raises:
        ValueError: the picture cannot be written.
    """
    kept, bank = Progress(), list(questions().values())
    write(progress_tables(bank, kept))
    if kept.notice:
        write(f"\n{wrapped(kept.notice)}")
    if picture is not None:
        style.apply()
        try:
            progress_picture(bank, kept).savefig(picture, dpi=150)
        except (OSError, ValueError) as error:  # a folder that does not exist, an ending that means no picture
            said = " ".join(str(error).split())
            raise ValueError(
                f"--picture: expected a file such as progress.png that can be written, got {said}"
            ) from None


def list_questions(
    write: Callable[[str], None], topic: str | None, level: str | None, role: str | None, *, as_json: bool
) -> None:
    """Print the questions of a topic, a level and a role.

    Raises:
        ValueError: as `chosen`.
    """
    found = chosen(questions(), topic, level, role)
    write(listing_as_json(found) if as_json else listing(found, Progress()))


def show(write: Callable[[str], None], id: str) -> None:  # noqa: A002 - that is what it is called everywhere
    """Print all there is to know of a question.

    Raises:
        ValueError: there is no such question.
    """
    write(everything(question_of(id)))


def cards(write: Callable[[str], None], file: Path) -> None:
    """Write an Anki deck of the bank.

    Raises:
        ValueError: the package that writes it is missing, or the file cannot be written.
    """
    try:
        from bnlab.practice.interview.cards import write_deck  # noqa: PLC0415 - of an extra
    except ModuleNotFoundError as error:
        raise ValueError(f'expected the extra "cards" (pip install genanki), got: {error}') from None
    try:
        count = write_deck(file)
    except OSError as error:
        raise ValueError(f"--anki: expected a file that can be written, got: {error}") from None
    write(f"{count} cards are in {file}.")


@contextmanager
def _room(talk: Talk) -> Iterator[Room]:
    """A room over the learner's own progress; on Ctrl-C it says what is kept."""
    room = Room(talk, Progress(), questions())
    try:
        yield room
    except KeyboardInterrupt:
        many = "1 answer of this run is" if room.kept == 1 else f"{room.kept or 'no'} answers of this run are"
        talk.write(f"\nInterrupted; {many} kept.")
        raise


def _role(line: str) -> str:
    if line and line.lower() not in ROLES:
        raise ValueError(f"expected one of {', '.join(ROLES)}, got {line!r}")
    return line.lower() or "ml-engineer"


def _show(
    write: Callable[[str], None], card: Scorecard, number: int | None, progress: Progress, file: Path | None
) -> None:
    write(f"{card!r}\n")
    if not card.answers:
        write("Nothing was answered, so there is no report.")
        return
    try:
        place = save_report(card, number, progress, file)
    except OSError as error:
        write(wrapped(f"The report could not be written: {error}."))
        return
    write(f"The report is in this file:\n  {place}")
