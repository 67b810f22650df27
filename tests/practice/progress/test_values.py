import pytest

from bnlab.practice.progress.tables import SCHEMA_VERSION, tables
from bnlab.practice.progress.values import COLUMNS, complaint

SOUND = {
    "answers": ("q", "quiz", None, "[1, 2]", "[]", 0.5, None, None, 0.0, "2026-03-04T20:15:30.000250+00:00"),
    "attempts": ("t", "def f(): ...", 0, None, "2026-03-04T20:15:30+00:00"),
    "sittings": (1, "mock", "{}", "2026-03-04T20:15:30+00:00", None),
}


def changed(table, column, value):
    place = list(COLUMNS[table]).index(column)
    return *SOUND[table][:place], value, *SOUND[table][place + 1 :]


def test_every_column_of_the_file_is_described():
    described = {
        table: [name.split()[0] for name in statement.partition("(")[2].split(", ")]
        for table, statement in tables(SCHEMA_VERSION).items()
    }
    described["choices"] = described["choices"][:4]  # its last two are the primary key's
    assert {table: list(columns) for table, columns in COLUMNS.items()} == described


@pytest.mark.parametrize("table", SOUND)
def test_a_row_as_it_is_stored_is_sound(table):
    assert complaint(table, SOUND[table]) is None


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("answers", "question", None),
        ("answers", "question", "\ud800"),
        ("answers", "kind", ["quiz"]),
        ("answers", "sitting", 0),
        ("answers", "points", "[1, true]"),
        ("answers", "points", "[" * 100_000),
        ("answers", "red_flags", "{}"),
        ("answers", "score", True),
        ("answers", "score", float("nan")),
        ("answers", "confidence", 50.0),
        ("answers", "seconds", float("inf")),
        ("answers", "at", "2026-03-04T20:15:30"),
        ("answers", "at", "2026-03-04T20:15:30Z"),
        ("answers", "at", "2026-03-04T20:15:30+01:00"),
        ("answers", "at", 20260304),
        ("attempts", "passed", 2),
        ("attempts", "passed", True),
        ("sittings", "number", 2**63),
        ("sittings", "about", "[]"),
        ("sittings", "ended", ""),
    ],
)
def test_a_value_that_cannot_be_is_found(table, column, value):
    assert complaint(table, changed(table, column, value)).startswith(f"{column}: expected ")


def test_a_complaint_is_short():
    assert len(complaint("attempts", changed("attempts", "misconception", ["x"] * 1000))) < 120
