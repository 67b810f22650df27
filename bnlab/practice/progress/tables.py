"""The tables of the progress file, and the version of it that brought each."""

import sqlite3

SINCE = {  # which tables a version added; what once was given out never changes
    1: {
        "attempts": "task TEXT, source TEXT, passed INTEGER, misconception TEXT, at TEXT",
        "predictions": "id TEXT PRIMARY KEY, choice TEXT, confidence INTEGER, at TEXT",
        "requests": "task TEXT, kind TEXT, level INTEGER, at TEXT",
    },
    2: {
        "answers": "question TEXT, kind TEXT, sitting INTEGER, points TEXT, red_flags TEXT, score REAL, "
        "confidence INTEGER, text TEXT, seconds REAL, at TEXT",
        "sittings": "number INTEGER PRIMARY KEY, kind TEXT, about TEXT, begun TEXT, ended TEXT",
        "choices": "sitting INTEGER, item TEXT, choice TEXT, at TEXT, PRIMARY KEY (sitting, item)",
    },
}
SCHEMA_VERSION = max(SINCE)


def tables(version: int) -> dict[str, str]:
    """The tables of a version of the file, each with the statement that SQLite keeps of it; none for an empty file."""
    return {
        name: f"CREATE TABLE {name} ({columns})"
        for since, added in SINCE.items()
        if since <= version
        for name, columns in added.items()
    }


def add_missing(store: sqlite3.Connection, version: int, *, temporary: bool = False) -> None:
    """Create the tables that a version lacks; temporary ones are seen by this connection alone, and never stored."""
    for name, statement in tables(SCHEMA_VERSION).items():
        if name not in tables(version):
            store.execute(statement.replace("CREATE", "CREATE TEMP", 1) if temporary else statement)
