"""The SQLite file that the progress is kept in: opened for each call, upgraded in place, set aside if unusable."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Any, TypeVar

from bnlab.practice.progress.tables import SCHEMA_VERSION, add_missing, tables
from bnlab.practice.progress.values import complaint

BUSY_SECONDS = 10.0  # how long to wait for another process that is writing
# What SQLite answers if the file is not, or is no longer, the one that was meant. That it is locked is not among them.
SUSPICIOUS = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,  # our statements are fixed, so a missing table or column is the file's
    sqlite3.SQLITE_READONLY_DBMOVED,  # another process has just set it aside
}

Found = TypeVar("Found")
Rows = list[tuple[Any, ...]]


class FileError(ValueError):
    """The file could not be read or written, and nothing was changed."""


class _UnusableError(Exception):
    """The file is no database, or was written by a later version of this module."""


class ProgressFile:
    """The file and what happened to it. A damaged one, or one of a newer version, is set aside under a dated name.

    Args:
        path: of the file; the first call that writes makes it and its directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notices: list[str] = []

    def note(self, notice: str) -> None:
        """Remember what the learner should know, once."""
        if notice not in self.notices:
            self.notices.append(notice)

    def sound(self, table: str, rows: Rows) -> Rows:
        """The rows of a table whose every value can be what it should be; a notice says how many are not."""
        found = [row for row in rows if complaint(table, row) is None]
        if len(found) < len(rows):
            self.note(f"Of your {table}, {len(rows) - len(found)} could not be read ({self.path}).")
        return found

    def read(self, query: Callable[[sqlite3.Connection], Found]) -> Found:
        """What a query finds, in one transaction. A table that the file does not have yet is empty.

        Raises:
            FileError: the file cannot be read.
        """
        return self._perform(self._query, query, complaint="Your progress could not be read")

    def write(self, change: Callable[[sqlite3.Connection], Found]) -> Found:
        """Make a change in one transaction, on a file of the present version; what the change raises undoes it.

        Raises:
            FileError: the file cannot be written.
        """
        return self._perform(self._change, change, complaint="This was not added to your progress")

    def _perform(
        self,
        way: Callable[[Callable[[sqlite3.Connection], Found]], Found],
        action: Callable[[sqlite3.Connection], Found],
        *,
        complaint: str,
    ) -> Found:
        """Do it, and do it again if the file had to be set aside."""
        try:
            try:
                return way(action)
            except (sqlite3.Error, _UnusableError) as error:
                if not _is_suspicious(error):
                    raise
                self._set_aside()
                return way(action)
        except (OSError, sqlite3.Error, _UnusableError) as error:
            raise FileError(f"{complaint}: {error} ({self.path}).") from error

    def _query(self, query: Callable[[sqlite3.Connection], Found]) -> Found:
        if not self.path.exists():
            return in_nothing(query)
        # "rw", since what a killed process left half done must be undone; where it may not write, SQLite only reads
        with closing(self._connect("rw")) as store:
            store.execute("BEGIN")
            add_missing(store, _version(store), temporary=True)
            return query(store)

    def _change(self, change: Callable[[sqlite3.Connection], Found]) -> Found:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connect("rwc")) as store:  # what is not committed when it closes is rolled back
            store.execute("BEGIN IMMEDIATE")
            version = _version(store)
            if version < SCHEMA_VERSION:
                add_missing(store, version)
                store.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            result = change(store)
            store.execute("COMMIT")
        return result

    def _connect(self, mode: str) -> sqlite3.Connection:
        # SQLite deletes a journal that it finds beside what is no database; both are to be set aside
        if self._journal().exists() and self._is_no_database():
            raise _UnusableError("file is not a database")
        return self._open(mode)

    def _open(self, mode: str) -> sqlite3.Connection:
        store = sqlite3.connect(
            f"{self.path.as_uri()}?mode={mode}", uri=True, timeout=BUSY_SECONDS, isolation_level=None
        )
        store.text_factory = lambda text: text.decode(errors="replace")
        return store

    def _journal(self) -> Path:
        return Path(f"{self.path}-journal")

    def _is_no_database(self) -> bool:
        """Whether the file has not even the beginning of a database; looks at the file alone, whatever is locked."""
        try:
            with closing(self._open("ro&immutable=1")) as store:
                store.execute("PRAGMA user_version")
        except sqlite3.DatabaseError as error:
            return _code(error) == sqlite3.SQLITE_NOTADB
        return False

    def _set_aside(self) -> None:
        """Rename the file and its journal, unless another process has done so or the file turns out to be sound."""
        lock = self.path.with_name("progress.lock")
        with closing(sqlite3.connect(lock, timeout=BUSY_SECONDS, isolation_level=None)) as turn:
            turn.execute("BEGIN EXCLUSIVE")  # one process at a time; the lock ends with its holder, even a killed one
            if not self.path.exists():
                return
            with closing(self._open("rw")) as store:
                fault = self._fault(store)
                if fault is not None:
                    self._rename(*fault)

    def _fault(self, store: sqlite3.Connection) -> tuple[str, str] | None:
        """A word and a clause for what is wrong with the file, which is locked by then, as far as it can be."""
        damaged = "damaged", "was damaged"
        if self._is_no_database():
            return damaged
        try:
            store.execute("BEGIN EXCLUSIVE")
            (version,) = store.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA_VERSION:
                return "newer", "was written by a newer version of bnlab"
            (checked,) = store.execute("PRAGMA integrity_check(1)").fetchone()
            found = dict(store.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        except sqlite3.DatabaseError as error:
            if not _is_suspicious(error):
                raise
            return damaged
        return None if checked == "ok" and found == tables(version) else damaged

    def _rename(self, word: str, clause: str) -> None:
        dated = f"progress-{word}-{datetime.now(UTC):%Y-%m-%d}"
        names = (self.path.with_name(f"{dated}{number}.sqlite") for number in chain([""], (f"-{n}" for n in count(2))))
        aside = next(name for name in names if not (name.exists() or Path(f"{name}-journal").exists()))
        # The journal first: if we are killed in between, it must not be left to a new file, which would delete it.
        if self._journal().exists():
            self._journal().rename(f"{aside}-journal")
        self.path.rename(aside)
        self.note(f"Your progress file {clause}. It is kept as {aside}, and a new one is begun.")


def in_nothing(query: Callable[[sqlite3.Connection], Found]) -> Found:
    """What a query finds where nothing has been kept yet."""
    with closing(sqlite3.connect(":memory:")) as store:
        add_missing(store, 0)
        return query(store)


def _version(store: sqlite3.Connection) -> int:
    """The version of the schema, 0 for an empty file."""
    (version,) = store.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise _UnusableError(f"file has version {version}, this bnlab knows up to {SCHEMA_VERSION}")
    return int(version)


def _is_suspicious(error: Exception) -> bool:
    return isinstance(error, _UnusableError) or _code(error) in SUSPICIOUS


def _code(error: Exception) -> int | None:
    """SQLite's code for an error, None for one of Python's own; of several codes for one matter, the first."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code if code is None or code == sqlite3.SQLITE_READONLY_DBMOVED else code & 0xFF
