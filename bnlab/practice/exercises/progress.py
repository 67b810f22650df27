"""The learner's progress: attempts, predictions and requests for help, in SQLite in the user's data directory."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal, NamedTuple

import platformdirs

BUSY_SECONDS = 10.0  # how long to wait for another kernel that is writing
SCHEMA_VERSION = 1
TABLES = {
    name: f"CREATE TABLE {name} ({columns})"
    for name, columns in {
        "attempts": "task TEXT, source TEXT, passed INTEGER, misconception TEXT, at TEXT",
        "predictions": "id TEXT PRIMARY KEY, choice TEXT, confidence INTEGER, at TEXT",
        "requests": "task TEXT, kind TEXT, level INTEGER, at TEXT",
    }.items()
}
# What SQLite answers if the file is not, or is no longer, the one that was meant. That it is locked is not among them.
SUSPICIOUS = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,  # our statements are fixed, so a missing table or column is the file's
    sqlite3.SQLITE_READONLY_DBMOVED,  # another process has just set it aside
}

Rows = list[tuple[Any, ...]]


class Attempt(NamedTuple):
    """One checked attempt; `at` is UTC in ISO 8601."""

    task: str
    source: str
    passed: bool
    misconception: str | None
    at: str


class Commitment(NamedTuple):
    """The first answer to a prediction, with the confidence in percent; `at` is UTC in ISO 8601."""

    id: str
    choice: str
    confidence: int
    at: str


class TaskSummary(NamedTuple):
    """How far the learner is with a task: passed at least once or not, and what was wrong with the latest attempt."""

    attempts: int
    passed: bool
    misconception: str | None


class _UnusableError(Exception):
    """The file is no database, or was written by a later version of this module."""


class Progress:
    """What is kept of the learner's work. Every call opens the file anew, so that several kernels may use it at once.

    No call raises because of the file: what cannot be read is empty, what cannot be written is not kept, and `notice`
    says so. A damaged file, or one of a newer version, is set aside under a dated name, and a new one is begun. The
    first call that writes makes the directory and the file; before that there is neither.

    Args:
        directory: where the file is; by default `BNLAB_DATA_DIR`, or else the user's data directory.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     progress = Progress(directory)
        ...     progress.record_attempt("stable_variance", "def ...", passed=False, misconception="std-not-variance")
        ...     progress.summary()
        {'stable_variance': TaskSummary(attempts=1, passed=False, misconception='std-not-variance')}
    """

    def __init__(self, directory: str | Path | None = None) -> None:
        directory = directory or os.environ.get("BNLAB_DATA_DIR") or platformdirs.user_data_path("bnlab")
        self.path = Path(directory).absolute() / "progress.sqlite"
        self._notices: list[str] = []

    @property
    def notice(self) -> str | None:
        """What the learner should know: that something was set aside, not kept, or not read. None if all went well."""
        return " ".join(self._notices) or None

    def record_attempt(self, task: str, source: str, *, passed: bool, misconception: str | None = None) -> None:
        """Keep an attempt, with its source as the learner wrote it."""
        source = source.encode(errors="backslashreplace").decode()  # lone surrogates cannot be stored
        self._write("INSERT INTO attempts VALUES (?, ?, ?, ?, ?)", task, source, passed, misconception, _now())

    def record_prediction(self, id: str, choice: str, confidence: int) -> None:  # noqa: A002 - the field's name
        """Keep the first commitment to a prediction; later ones change nothing."""
        self._write("INSERT OR IGNORE INTO predictions VALUES (?, ?, ?, ?)", id, choice, confidence, _now())

    def record_request(self, task: str, kind: Literal["hint", "solution"], level: int = 0) -> None:
        """Keep that a hint, of some level, or the solution was asked for."""
        self._write("INSERT INTO requests VALUES (?, ?, ?, ?)", task, kind, level, _now())

    def attempts(self, task: str) -> list[Attempt]:
        """The attempts at a task, the oldest first."""
        rows = self._read("SELECT * FROM attempts WHERE task = ? ORDER BY rowid", task)
        return [Attempt(task, source, bool(passed), *rest) for task, source, passed, *rest in rows]

    def predictions(self) -> dict[str, Commitment]:
        """The commitments by prediction, the oldest first."""
        return {row[0]: Commitment(*row) for row in self._read("SELECT * FROM predictions ORDER BY rowid")}

    def count_requests(self, task: str, kind: Literal["hint", "solution"]) -> int:
        """How often a task's hints or its solution were asked for."""
        return len(self._read("SELECT 1 FROM requests WHERE task = ? AND kind = ?", task, kind))

    def summary(self) -> dict[str, TaskSummary]:
        """Every attempted task, in the order of the first attempts."""
        found: dict[str, TaskSummary] = {}
        for task, passed, misconception in self._read(
            "SELECT task, passed, misconception FROM attempts ORDER BY rowid"
        ):
            before = found.get(task, TaskSummary(0, passed=False, misconception=None))
            found[task] = TaskSummary(before.attempts + 1, before.passed or bool(passed), misconception)
        return found

    def _read(self, statement: str, *values: Any) -> Rows:
        return self._perform(self._rows, statement, values, complaint="Your progress could not be read")

    def _write(self, statement: str, *values: Any) -> None:
        self._perform(self._insert, statement, values, complaint="This was not added to your progress")

    def _perform(self, action: Callable[..., Rows], *arguments: Any, complaint: str) -> Rows:
        """Do it, and do it again if the file had to be set aside."""
        try:
            try:
                return action(*arguments)
            except (sqlite3.Error, _UnusableError) as error:
                if not _is_suspicious(error):
                    raise
                self._set_aside()
                return action(*arguments)
        except (OSError, sqlite3.Error, _UnusableError) as error:
            self._note(f"{complaint}: {error} ({self.path}).")
            return []

    def _note(self, notice: str) -> None:
        if notice not in self._notices:
            self._notices.append(notice)

    def _rows(self, statement: str, values: tuple[Any, ...]) -> Rows:
        if not self.path.exists():
            return []
        # "rw", since what a killed process left half done must be undone; where it may not write, SQLite only reads
        with closing(self._connect("rw")) as store:
            return store.execute(statement, values).fetchall() if _version(store) else []

    def _insert(self, statement: str, values: tuple[Any, ...]) -> Rows:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connect("rwc")) as store:
            store.execute("BEGIN IMMEDIATE")
            if _version(store) == 0:
                for table in TABLES.values():
                    store.execute(table)
                store.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            store.execute(statement, values)
            store.execute("COMMIT")
        return []

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
            tables = dict(store.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        except sqlite3.DatabaseError as error:
            if not _is_suspicious(error):
                raise
            return damaged
        return None if checked == "ok" and tables == (TABLES if version else {}) else damaged

    def _rename(self, word: str, clause: str) -> None:
        dated = f"progress-{word}-{datetime.now(UTC):%Y-%m-%d}"
        names = (self.path.with_name(f"{dated}{number}.sqlite") for number in chain([""], (f"-{n}" for n in count(2))))
        aside = next(name for name in names if not (name.exists() or Path(f"{name}-journal").exists()))
        # The journal first: if we are killed in between, it must not be left to a new file, which would delete it.
        if self._journal().exists():
            self._journal().rename(f"{aside}-journal")
        self.path.rename(aside)
        self._note(f"Your progress file {clause}. It is kept as {aside}, and a new one is begun.")


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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
