"""What may stand in each column of the progress file: what is read back, and what is imported, is held against it."""

import json
import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, get_args

from bnlab.practice.progress.records import AnswerKind, RequestKind, SittingKind

LARGEST = 2**63 - 1  # that SQLite holds


class Column(NamedTuple):
    """What a column's values are, in words, and whether a value is one."""

    words: str
    holds: Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:  # a lone surrogate, which cannot be stored
        return False


def _is_whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _is_number(value: Any, most: float) -> bool:
    return type(value) in {int, float} and 0 <= value <= most and math.isfinite(value)


def _is_moment(value: Any) -> bool:
    """Whether it is a time as it is stored, so that the order of times is that of their texts."""
    try:
        moment = datetime.fromisoformat(value)
        fineness = "microseconds" if "." in value else "seconds"
        return moment.utcoffset() == timedelta(0) and value == moment.isoformat(timespec=fineness)
    except (TypeError, ValueError):
        return False


def _is_json(value: Any, holds: Callable[[Any], bool]) -> bool:
    try:
        return isinstance(value, str) and holds(json.loads(value))
    except (ValueError, RecursionError):
        return False


@lru_cache  # few are different, and all answers are read at once
def _are_numbers(text: str) -> bool:
    return _is_json(text, lambda found: isinstance(found, list) and all(_is_whole(one, 1, LARGEST) for one in found))


def _one_of(*names: str) -> Column:
    return Column(f"one of {', '.join(names)}", lambda value: isinstance(value, str) and value in names)


def _or_none(column: Column) -> Column:
    return Column(f"{column.words}, or null", lambda value: value is None or column.holds(value))


TEXT = Column("text", _is_text)
COUNT = Column("a whole number", lambda value: _is_whole(value, 0, LARGEST))
NUMBER = Column("a whole number from 1", lambda value: _is_whole(value, 1, LARGEST))
PERCENT = Column("a whole number from 0 to 100", lambda value: _is_whole(value, 0, 100))
SHARE = Column("a number from 0 to 1", lambda value: _is_number(value, 1))
SECONDS = Column("a number from 0", lambda value: _is_number(value, math.inf))
MOMENT = Column("a time in UTC, such as 2026-01-31T20:15:00+00:00", _is_moment)
NUMBERS = Column(
    "a JSON list of whole numbers from 1, as text", lambda value: isinstance(value, str) and _are_numbers(value)
)
MAPPING = Column("a JSON mapping, as text", lambda value: _is_json(value, lambda content: isinstance(content, dict)))

COLUMNS = {
    "attempts": {
        "task": TEXT,
        "source": TEXT,
        "passed": Column("0 or 1", lambda value: _is_whole(value, 0, 1)),
        "misconception": _or_none(TEXT),
        "at": MOMENT,
    },
    "predictions": {"id": TEXT, "choice": TEXT, "confidence": PERCENT, "at": MOMENT},
    "requests": {"task": TEXT, "kind": _one_of(*get_args(RequestKind)), "level": COUNT, "at": MOMENT},
    "answers": {
        "question": TEXT,
        "kind": _one_of(*get_args(AnswerKind)),
        "sitting": _or_none(NUMBER),
        "points": NUMBERS,
        "red_flags": NUMBERS,
        "score": SHARE,
        "confidence": _or_none(PERCENT),
        "text": _or_none(TEXT),
        "seconds": SECONDS,
        "at": MOMENT,
    },
    "sittings": {
        "number": NUMBER,
        "kind": _one_of(*get_args(SittingKind)),
        "about": MAPPING,
        "begun": MOMENT,
        "ended": _or_none(MOMENT),
    },
    "choices": {"sitting": NUMBER, "item": TEXT, "choice": TEXT, "at": MOMENT},
}


def complaint(table: str, row: Sequence[Any]) -> str | None:
    """What is wrong with a row of a table, or None.

    Example:
        >>> complaint("choices", (1, "what-is-learned", 7, "2026-01-31T20:15:00+00:00"))
        'choice: expected text, got 7'
    """
    for (name, column), value in zip(COLUMNS[table].items(), row, strict=True):
        if not column.holds(value):
            return f"{name}: expected {column.words}, got {value!r:.60}"
    return None
