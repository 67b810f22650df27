"""The bank as a deck for Anki: one card a question, which keeps its identity however its answer is edited."""

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import get_args

from bnlab.practice.interview.asking import PARTS, body_of, exhibits, in_html, lines_in_html
from bnlab.practice.interview.bank import QUESTIONS, Level, Question, load

# By these Anki knows the deck and the kind of its notes again when a new edition is imported. They never change.
DECK_ID = 2_059_400_881
MODEL_ID = 1_390_284_617
NAME = "Batch norm interview (bnlab)"
SUFFIX = ".apkg"
STYLE = """
.card { font-family: sans-serif; font-size: 17px; text-align: left; max-width: 44em; margin: 0 auto; }
pre { overflow-x: auto; font-size: 14px; line-height: 1.25; }
summary { margin: 0.4em 0; cursor: pointer; }
.about { font-size: 13px; opacity: 0.75; }
"""


def write_deck(path: str | Path, folder: Path = QUESTIONS) -> int:
    """Write the questions of the bank as a package that Anki imports.

    A question's card is known again by the question's id, so that a new edition brings edited answers and leaves what
    Anki has learned of the learner alone. New cards come in the order of their levels. Two packages of the same
    edition hold the same.

    Args:
        path: of the package, which ends in .apkg; what is there is replaced when the new one is complete.
        folder: the bank's YAML files.

    Returns:
        How many cards it has.

    Raises:
        ValueError: the path has another ending, or cannot be written, or `genanki` is not installed.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise ValueError(f"expected a file that ends in {SUFFIX}, got {path}")
    try:
        import genanki  # noqa: PLC0415 - an extra
    except ImportError:
        raise ValueError("Anki decks need genanki: pip install 'bnlab[cards]'") from None
    levels = get_args(Level)
    bank = sorted(load(folder).values(), key=lambda question: levels.index(question.level))
    deck, model = genanki.Deck(DECK_ID, NAME), genanki.Model(MODEL_ID, NAME, _fields(), _templates(), STYLE)
    for position, question in enumerate(bank):
        guid = genanki.guid_for("bnlab", question.id)
        deck.add_note(genanki.Note(model, _contents(question), guid=guid, tags=_tags(question), due=position))
    unfinished = path.with_name(f"{path.name}.part")
    try:
        genanki.Package(deck).write_to_file(unfinished, timestamp=_edition(folder))
        unfinished.replace(path)
    except (OSError, sqlite3.Error) as error:  # genanki makes a database first, among the temporary files
        said = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path} could not be written: {said}") from None
    finally:
        with suppress(OSError):
            unfinished.unlink()
    return len(bank)


def _edition(folder: Path) -> int:
    """When the bank last changed, in seconds: Anki takes over what is newer than what it has."""
    return max(int(file.stat().st_mtime) for file in folder.glob("*.yaml"))


def _fields() -> list[dict[str, str]]:
    return [{"name": name} for name in ("prompt", "shown", *PARTS, "about")]


def _templates() -> list[dict[str, str]]:
    first, *others = PARTS
    folds = "".join(f"<details><summary>{PARTS[part]}</summary>{{{{{part}}}}}</details>" for part in others)
    answer = f"<hr id=answer>{{{{{first}}}}}{folds}<p class=about>{{{{about}}}}</p>"
    front = "<p><b>{{prompt}}</b></p>{{shown}}"
    return [{"name": "Question", "qfmt": front, "afmt": "{{FrontSide}}" + answer}]


def _contents(question: Question) -> list[str]:
    """The fields of its note, in order."""
    source = f" {in_html(question.source)}." if question.source else ""
    return [
        in_html(question.prompt),
        "".join(map(lines_in_html, exhibits(question))),
        *(body_of(question, part) for part in PARTS),
        f"Chapter {question.chapter[:2]} of bnlab; question <code>{question.id}</code>.{source}",
    ]


def _tags(question: Question) -> list[str]:
    return [f"topic::{question.topic}", f"level::{question.level}"]
