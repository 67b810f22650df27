"""The progress as one JSON file, to keep or to take to another machine, and back."""

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import Any

from bnlab.practice.progress.file import ProgressFile, Rows
from bnlab.practice.progress.values import COLUMNS, complaint

FORMAT = "bnlab progress"
VERSION = 1  # of the export's form
FIRST_COUNTS = {"predictions": ("id",), "choices": ("sitting", "item")}  # of rows that agree in these, the earliest
HAVE_SITTING = ("answers", "choices")

Row = tuple[Any, ...]


def export(file: ProgressFile, path: Path) -> dict[str, int]:
    """Write all that is kept to a new file.

    Args:
        file: what is kept.
        path: of the export, which does not exist yet.

    Returns:
        The number of rows by table.

    Raises:
        ValueError: there is nothing to export, the progress cannot be read, or the export cannot be written; no export
            is left behind.
    """
    found = file.read(lambda store: {table: _rows(store, table) for table in COLUMNS})
    found = {table: file.sound(table, rows) for table, rows in found.items()}
    if not any(found.values()):
        raise ValueError(f"there is no progress to export in {file.path.parent}")
    tables = {table: [dict(zip(COLUMNS[table], row, strict=True)) for row in rows] for table, rows in found.items()}
    text = json.dumps({"format": FORMAT, "version": VERSION, "tables": tables}, ensure_ascii=False, indent=1)
    _write_new(path, text + "\n")
    return {table: len(rows) for table, rows in found.items()}


def import_(file: ProgressFile, path: Path) -> dict[str, int]:
    """Add what an export has and the progress has not, in one transaction, each row at its place in time.

    Args:
        file: what is kept.
        path: of the export.

    Returns:
        The number of rows added, by table.

    Raises:
        ValueError: one line: the export cannot be read or is none, or the progress cannot be written; nothing changed.
    """
    incoming = _read(path)

    def add(store: sqlite3.Connection) -> dict[str, int]:
        numbers, added = _add_sittings(store, incoming["sittings"])
        here = incoming | {table: _renumbered(table, incoming[table], numbers) for table in HAVE_SITTING}
        return {table: added if table == "sittings" else _add(store, table, here[table]) for table in COLUMNS}

    return file.write(add)


def _rows(store: sqlite3.Connection, table: str) -> Rows:
    return store.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            try:
                file.write(text)
                file.flush()
            except BaseException:  # Ctrl-C too: what is left behind must be whole
                with suppress(OSError):
                    path.unlink()
                raise
    except FileExistsError:
        raise ValueError(f"{path}: expected the name of a new file, got one that exists") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None


# --- reading an export


def _read(path: Path) -> dict[str, Rows]:
    """The rows of an export by table, every value of which may stand in its column."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected JSON, got: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f'{path}: expected an export of the progress, with "format": "{FORMAT}"')
    version = document.get("version")
    if version != VERSION:
        raise ValueError(f"{path}: expected version {VERSION}, got {version!r}, maybe of a newer bnlab")
    content = document.get("tables")
    if not isinstance(content, dict) or content.keys() != COLUMNS.keys():
        raise ValueError(f"{path}: expected the tables {', '.join(COLUMNS)}")
    incoming = {table: _incoming(content[table], table, f"{path}: {table}") for table in COLUMNS}
    _check_sittings(incoming, path)
    return incoming


def _incoming(entries: Any, table: str, where: str) -> Rows:
    columns, rows = COLUMNS[table], []
    if not isinstance(entries, list):
        raise ValueError(f"{where}: expected a list, got {entries!r:.60}")  # noqa: TRY004 - ValueError is for every bad file
    for entry in entries:
        if not isinstance(entry, dict) or entry.keys() != columns.keys():
            raise ValueError(f"{where}: expected mappings of {', '.join(columns)}, got {entry!r:.60}")
        row = tuple(entry[name] for name in columns)
        if fault := complaint(table, row):
            raise ValueError(f"{where}: {fault}")
        rows.append(row)
    return rows


def _check_sittings(incoming: dict[str, Rows], path: Path) -> None:
    numbers = Counter(row[0] for row in incoming["sittings"])
    for number, times in numbers.items():
        if times > 1:
            raise ValueError(f"{path}: sittings: expected each number once, got {number} {times} times")
    for table in HAVE_SITTING:
        place = list(COLUMNS[table]).index("sitting")
        for number in {row[place] for row in incoming[table]} - {None} - numbers.keys():
            raise ValueError(f"{path}: {table}: expected the number of one of its sittings, got {number}")


# --- merging


def _add_sittings(store: sqlite3.Connection, incoming: Rows) -> tuple[dict[int | None, int | None], int]:
    """The number that each sitting has here, and how many were added; what is already here may have ended there."""
    here = {row[1:4]: row[0] for row in _rows(store, "sittings")}
    numbers: dict[int | None, int | None] = {None: None}
    added = 0
    for number, kind, about, begun, ended in sorted(incoming, key=itemgetter(3)):
        known = here.get((kind, about, begun))
        if known is None:
            values = kind, about, begun, ended
            known = store.execute(
                "INSERT INTO sittings (kind, about, begun, ended) VALUES (?, ?, ?, ?)", values
            ).lastrowid
            added += 1
        else:
            store.execute("UPDATE sittings SET ended = coalesce(ended, ?) WHERE number = ?", (ended, known))
        numbers[number] = known
    return numbers, added


def _renumbered(table: str, rows: Rows, numbers: dict[int | None, int | None]) -> Rows:
    place = list(COLUMNS[table]).index("sitting")
    return [(*row[:place], numbers[row[place]], *row[place + 1 :]) for row in rows]


def _add(store: sqlite3.Connection, table: str, incoming: Rows) -> int:
    """Adds what is new to a table and puts its rows in order of time, without reordering those of either side."""
    kept = _rows(store, table)
    new, obsolete = _first(table, kept, incoming) if table in FIRST_COUNTS else (_excess(kept, incoming), set())
    if new:
        at = list(COLUMNS[table]).index("at")
        merged = merge([row for row in kept if row not in obsolete], new, key=itemgetter(at))
        store.execute(f"DELETE FROM {table}")
        store.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(COLUMNS[table]))})", merged)
    return len(new)


def _excess(kept: Rows, incoming: Rows) -> Rows:
    """What is not here, or is here less often than there."""
    left, new = Counter(kept), []
    for row in incoming:
        if left[row]:
            left[row] -= 1
        else:
            new.append(row)
    return new


def _first(table: str, kept: Rows, incoming: Rows) -> tuple[Rows, set[Row]]:
    """What is new, or earlier than what is here; and what of that is obsolete by it."""
    columns = list(COLUMNS[table])
    at = columns.index("at")

    def key(row: Sequence[Any]) -> Row:
        return tuple(row[columns.index(name)] for name in FIRST_COUNTS[table])

    first = {key(row): row for row in kept}
    for row in incoming:
        if key(row) not in first or row[at] < first[key(row)][at]:
            first[key(row)] = row
    new = set(first.values()) - set(kept)
    return [row for row in dict.fromkeys(incoming) if row in new], set(kept) - set(first.values())
