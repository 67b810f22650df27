"""Mock interviews from the command line: one is held, or its report made again."""

import random
from pathlib import Path

from bnlab.practice.interview.room.choosing import ROLES, role_named
from bnlab.practice.interview.room.mock import Mock, kept_mocks, scorecard_of
from bnlab.practice.interview.room.report import checked_place, save_report
from bnlab.practice.interview.room.scorecard import Scorecard
from bnlab.practice.interview.room.talk import Left, wrapped
from bnlab.practice.interview.room.visit import Room

ROLE = "ml-engineer"  # of who names none
MOST_SEEDS = 10_000  # a seed that nobody gave is short enough to be typed again


def mock(room: Room, role: str | None, minutes: int, seed: int | None, file: Path | None) -> None:
    """Hold a mock interview, show its scorecard, and write its report.

    Raises:
        ValueError: an unknown role, or a file that cannot be one of a report.
    """
    checked_place(file)
    question = f"For which role? ({', '.join(ROLES)}; Enter: {ROLE})"
    try:
        wanted = room.talk.ask(question, lambda line: role_named(line or ROLE)) if role is None else role_named(role)
    except Left:
        return
    drawn = random.randrange(MOST_SEEDS) if seed is None else seed
    held = Mock(room, wanted, minutes, drawn)
    _show(room, held.hold(), file)


def report(room: Room, number: int | None, file: Path | None) -> None:
    """Make the report of a mock again, of the latest one without a number.

    Raises:
        ValueError: there is no such mock, or the file cannot be one of a report.
    """
    checked_place(file)
    kept = {sitting.number: sitting for sitting in kept_mocks(room.progress)}
    room.tell_notice()
    if not kept:
        raise ValueError(f"expected a mock that is kept, got none in {room.progress.path}")
    wanted = [*kept][-1] if number is None else number
    if wanted not in kept:
        raise ValueError(f"expected the number of a mock, one of {', '.join(map(str, kept))}, got {wanted}")
    _show(room, scorecard_of(kept[wanted], room.progress, room.bank), file)


def _show(room: Room, card: Scorecard, file: Path | None) -> None:
    write = room.talk.write
    write(f"{card!r}\n")
    if not card.answers:
        write("Nothing was answered, so there is no report.")
        return
    try:
        place = save_report(card, room.progress, file)
    except OSError as error:
        write(wrapped(f"The report could not be written: {error}."))
        return
    write(f"The report is in this file:\n  {place}")
