"""What can be looked up from the command line: progress, the questions, one question, a deck of cards."""

from pathlib import Path

from bnlab.practice.interview.asking import question_of
from bnlab.practice.interview.room.choosing import chosen
from bnlab.practice.interview.room.tables import (
    everything,
    listing,
    listing_as_json,
    progress_picture,
    progress_tables,
)
from bnlab.practice.interview.room.visit import Room


def progress(room: Room, picture: Path | None) -> None:
    """Print the progress by topic and role; draw it, where a file is given.

    Raises:
        ValueError: the picture cannot be written.
    """
    if picture is not None and (picture.suffix.lower() != ".png" or picture.is_dir() or not picture.parent.is_dir()):
        raise ValueError(f"--picture: expected a .png file in a folder that exists, got {picture}")
    bank = list(room.bank.values())
    room.talk.write(f"{progress_tables(bank, room.progress)}\n")
    room.tell_notice()
    if picture is not None:
        from bnlab.figures import style  # noqa: PLC0415 - loads matplotlib

        style.apply()
        try:
            progress_picture(bank, room.progress).savefig(picture, dpi=150)
        except OSError as error:
            raise ValueError(f"--picture: expected a file that can be written, got: {error}") from None
        room.talk.write(f"The picture is in this file:\n  {picture}")


def list_questions(room: Room, topic: str | None, level: str | None, role: str | None, *, as_json: bool) -> None:
    """Print the questions of a topic, a level and a role.

    Raises:
        ValueError: as `chosen`.
    """
    found = chosen(room.bank, topic, level, role)
    room.talk.write(listing_as_json(found) if as_json else f"{listing(found, room.progress)}\n")
    room.tell_notice()


def show(room: Room, id: str) -> None:  # noqa: A002 - that is what it is called everywhere
    """Print all there is to know of a question.

    Raises:
        ValueError: there is no such question.
    """
    room.talk.write(everything(question_of(id)))


def cards(room: Room, file: Path) -> None:
    """Write an Anki deck of the bank.

    Raises:
        ValueError: as `write_deck`.
    """
    from bnlab.practice.interview.cards import write_deck  # noqa: PLC0415 - draws all plots, for which it loads torch

    room.talk.write(f"{write_deck(file)} cards are in {file}.")
