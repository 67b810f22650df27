"""The learner's progress, in SQLite in the user's data directory."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from bnlab.practice.progress import transfer
from bnlab.practice.progress.file import FileError, ProgressFile, Rows, in_nothing
from bnlab.practice.progress.records import (
    Answer,
    AnswerKind,
    Attempt,
    Commitment,
    RequestKind,
    Sitting,
    SittingKind,
    TaskSummary,
    answer_of,
    row_of,
    sitting_of,
)
from bnlab.practice.progress.values import complaint

Kept = TypeVar("Kept")


class Progress:
    """What is kept of the learner's work. Every call opens the file anew, so that several processes may use it at once.

    No call raises because of the file: what cannot be read is empty, what cannot be written is not kept, and `notice`
    says so. A damaged file, or one of a newer version, is set aside under a dated name, and a new one is begun; one of
    an older version is upgraded in place by the first call that writes. The first call that writes makes the directory
    and the file; before that there is neither.

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
        self._file = ProgressFile(self.path)

    @property
    def notice(self) -> str | None:
        """What the learner should know: that something was set aside, not kept, or not read. None if all went well."""
        return " ".join(self._file.notices) or None

    # --- exercises and predictions

    def record_attempt(self, task: str, source: str, *, passed: bool, misconception: str | None = None) -> None:
        """Keep an attempt, with its source as the learner wrote it."""
        values = task, _storable(source), passed, misconception, _now()
        self._execute("INSERT INTO attempts VALUES (?, ?, ?, ?, ?)", *values)

    def record_prediction(self, id: str, choice: str, confidence: int) -> None:  # noqa: A002 - the field's name
        """Keep the first commitment to a prediction; later ones change nothing."""
        self._execute("INSERT OR IGNORE INTO predictions VALUES (?, ?, ?, ?)", id, choice, confidence, _now())

    def record_request(self, task: str, kind: RequestKind, level: int = 0) -> None:
        """Keep that a hint, of some level, or the solution was asked for."""
        self._execute("INSERT INTO requests VALUES (?, ?, ?, ?)", task, kind, level, _now())

    def attempts(self, task: str) -> list[Attempt]:
        """The attempts at a task, the oldest first."""
        rows = self._sound("attempts", "WHERE task = ? ORDER BY rowid", task)
        return [Attempt(task, source, bool(passed), *rest) for task, source, passed, *rest in rows]

    def predictions(self) -> dict[str, Commitment]:
        """The commitments by prediction, the oldest first."""
        return {row[0]: Commitment(*row) for row in self._sound("predictions", "ORDER BY rowid")}

    def count_requests(self, task: str, kind: RequestKind) -> int:
        """How often a task's hints or its solution were asked for."""
        return len(self._rows("SELECT 1 FROM requests WHERE task = ? AND kind = ?", task, kind))

    def summary(self) -> dict[str, TaskSummary]:
        """Every attempted task, in the order of the first attempts."""
        found: dict[str, TaskSummary] = {}
        for task, _, passed, misconception, _ in self._sound("attempts", "ORDER BY rowid"):
            before = found.get(task, TaskSummary(0, passed=False, misconception=None))
            found[task] = TaskSummary(before.attempts + 1, before.passed or bool(passed), misconception)
        return found

    def failures(self) -> dict[str, str]:
        """The tasks whose latest attempt failed, and when that was; the oldest first."""
        latest = "SELECT max(rowid) FROM attempts GROUP BY task"
        rows = self._sound("attempts", f"WHERE rowid IN ({latest}) AND NOT passed ORDER BY rowid")
        return {task: at for task, *_, at in rows}

    # --- the interview

    def record_answer(
        self,
        question: str,
        *,
        kind: AnswerKind,
        points: Iterable[int],
        red_flags: Iterable[int],
        score: float,
        confidence: int | None = None,
        text: str | None = None,
        seconds: float = 0.0,
        sitting: int | None = None,
        at: datetime | None = None,
    ) -> Answer | None:
        """Keep an answer and how it was marked.

        Args:
            question: id of the question.
            kind: on which occasion it was answered.
            points: numbers, from 1, of the rubric's points made.
            red_flags: numbers, from 1, of the red flags said.
            score: share of the rubric's weight, from 0 to 1.
            confidence: share of a full answer, in whole percent, that was expected before answering.
            text: what was typed; None if it was spoken.
            seconds: how long it took.
            sitting: number of the sitting that it belongs to; if the file has no such sitting, it is kept without.
            at: when; by default now.

        Returns:
            What is kept, or None if it could not be.

        Raises:
            ValueError: a value outside its range, or `at` is before the last answer to the question; nothing is kept.
        """
        text = None if text is None else _storable(text)
        marks = tuple(points), tuple(red_flags), float(score), confidence
        answer = Answer(question, kind, sitting, *marks, text, float(seconds), _utc(at))
        _expect_sound("answers", row_of(answer))

        def insert(store: sqlite3.Connection) -> Answer:
            moment = _utc(at)  # now is when it is this process's turn to write
            (last,) = store.execute("SELECT max(at) FROM answers WHERE question = ?", (question,)).fetchone()
            if last is not None and moment < last:
                dated = f"the last answer to '{question}' is dated {_clock(last)}"
                raise ValueError(f"the clock says {_clock(moment)}, but {dated}; set the clock right and answer again")
            known = store.execute("SELECT number FROM sittings WHERE number = ?", (sitting,)).fetchone()
            kept = answer._replace(sitting=None if known is None else sitting, at=moment)
            store.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row_of(kept))
            return kept

        return self._write(insert)

    def answers(self, question: str | None = None, sitting: int | None = None) -> list[Answer]:
        """The answers, or those to a question, of a sitting, or both; the oldest first."""
        wanted = "(? IS NULL OR question = ?) AND (? IS NULL OR sitting = ?)"
        rows = self._sound("answers", f"WHERE {wanted} ORDER BY at, rowid", question, question, sitting, sitting)
        return [answer_of(row) for row in rows]

    def begin_sitting(self, kind: SittingKind, about: Mapping[str, Any]) -> int | None:
        """Open a sitting; its number, or None if it could not be kept.

        Args:
            kind: which sort of sitting.
            about: what JSON can hold of it, such as role, minutes and seed.

        Raises:
            ValueError: another kind, or JSON cannot hold `about`.
        """
        try:
            text = json.dumps(dict(about), sort_keys=True, allow_nan=False)
        except (TypeError, ValueError):
            raise ValueError(f"about: expected what JSON can hold, got {about!r}") from None
        values = kind, text, _now()
        _expect_sound("sittings", (1, *values, None))

        def insert(store: sqlite3.Connection) -> int | None:
            return store.execute("INSERT INTO sittings (kind, about, begun) VALUES (?, ?, ?)", values).lastrowid

        return self._write(insert)

    def end_sitting(self, number: int) -> None:
        """Keep that a sitting has ended; the first end counts."""
        statement = "UPDATE sittings SET ended = ? WHERE number = ? AND ended IS NULL"
        self._execute_in(number, statement, _now(), number)

    def sittings(self, kind: SittingKind | None = None) -> list[Sitting]:
        """The sittings, or those of a kind, the oldest first."""
        rows = self._sound("sittings", "WHERE ? IS NULL OR kind = ? ORDER BY begun, number", kind, kind)
        return [sitting_of(row) for row in rows]

    def record_choice(self, sitting: int, item: str, choice: str) -> None:
        """Keep the first choice for an item of a test; later ones change nothing."""
        statement = "INSERT OR IGNORE INTO choices VALUES (?, ?, ?, ?)"
        self._execute_in(sitting, statement, sitting, item, choice, _now())

    def choices(self, sitting: int) -> dict[str, str]:
        """What was chosen in a sitting, by item, in the order of the choices."""
        rows = self._sound("choices", "WHERE sitting = ? ORDER BY rowid", sitting)
        return {item: choice for _, item, choice, _ in rows}

    # --- the file

    def export(self, path: str | Path) -> dict[str, int]:
        """Write all that is kept to a new JSON file; the number of rows by table.

        Raises:
            ValueError: nothing is kept, it cannot be read, the file exists or cannot be written; none is left behind.
        """
        return transfer.export(self._file, Path(path))

    def import_(self, path: str | Path) -> dict[str, int]:
        """Add what an exported file has and this one has not, in order of time; the number of rows added by table.

        Raises:
            ValueError: the file is no export, or the progress cannot be written; nothing was changed.
        """
        return transfer.import_(self._file, Path(path))

    def _sound(self, table: str, wanted: str, *values: Any) -> Rows:
        """The rows of a table that are wanted and can be read."""
        return self._file.sound(table, self._rows(f"SELECT * FROM {table} {wanted}", *values))

    def _rows(self, statement: str, *values: Any) -> Rows:
        def query(store: sqlite3.Connection) -> Rows:
            return store.execute(statement, values).fetchall()

        try:
            return self._file.read(query)
        except FileError as error:
            self._file.note(str(error))
            return in_nothing(query)

    def _execute(self, statement: str, *values: Any) -> None:
        self._write(lambda store: store.execute(statement, values))

    def _execute_in(self, sitting: int, statement: str, *values: Any) -> None:
        def change(store: sqlite3.Connection) -> None:
            if store.execute("SELECT 1 FROM sittings WHERE number = ?", (sitting,)).fetchone() is None:
                raise FileError(f"This was not added to your progress: there is no sitting {sitting} ({self.path}).")
            store.execute(statement, values)

        self._write(change)

    def _write(self, change: Callable[[sqlite3.Connection], Kept]) -> Kept | None:
        try:
            return self._file.write(change)
        except FileError as error:
            self._file.note(str(error))
            return None


def _storable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()  # lone surrogates cannot be stored


def _clock(moment: str) -> str:
    return f"{moment[:19].replace('T', ' ')} UTC"


def _now() -> str:
    return _utc(None)


def _utc(at: datetime | None) -> str:
    """A time, by default now, as it is stored: all equally long, so that their order is that of the text."""
    at = at or datetime.now(UTC)
    if at.tzinfo is None:
        raise ValueError(f"at: expected a time with its zone, got {at.isoformat()}")
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _expect_sound(table: str, row: Sequence[Any]) -> None:
    if fault := complaint(table, row):
        raise ValueError(fault)
