"""Four explanations of batch norm against five observations, cell by cell, each cell with the claims that carry it."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from bnlab.experiments.claims import ledger
from bnlab.experiments.intervals import Verdict
from bnlab.practice.exercises.verdict import Note, code
from bnlab.practice.interview.schema import read, yaml_of

FILE = Path(__file__).with_name("explanations.yaml")
MEANING = {
    "y": "taken alone, the explanation predicts what was found",
    "n": "taken alone, it predicts something else",
    "-": "it says nothing of it, or nobody here has measured what it says",
}
EMPTY = "."  # in place of a letter

Letter = Literal["y", "n", "-"]


@dataclass(frozen=True)
class Evidence:
    """A claim of the ledger, and the verdict with which it carries a cell."""

    claim: str
    verdict: Verdict


@dataclass(frozen=True)
class Cell:
    """What one explanation has to say of one observation.

    Attributes:
        letter: see `MEANING`.
        why: the reason, in a sentence.
        evidence: claims that the letter rests on; none where nothing was measured.
    """

    letter: Letter
    why: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Observation:
    """A column: what was found."""

    name: str
    found: str


@dataclass(frozen=True)
class Explanation:
    """A row: what is said to be the reason, and its cells in the order of the observations."""

    name: str
    says: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Explanations against observations."""

    observations: tuple[Observation, ...]
    explanations: tuple[Explanation, ...]

    @property
    def letters(self) -> str:
        """Every cell's letter, row by row."""
        return "".join(cell.letter for row in self.explanations for cell in row.cells)


def explanations(answers: str | None = None) -> Note:
    """Compare your letters with the course's, or without any show the course's; nothing is kept.

    Args:
        answers: a letter of `MEANING` for each cell, row by row from the top; spaces between them are free. As long as
            a dot stands for one of them, the empty table is shown and no answer.

    Raises:
        ValueError: `answers` is something else.
    """
    if answers is None:
        return Note("The course's letters.", _reasons(table(), table().letters))
    letters = _chosen(answers, len(table().letters))
    if EMPTY in letters:
        return _asked(table(), letters)
    same = sum(own == theirs for own, theirs in zip(table().letters, letters, strict=True))
    return Note(f"The same letter in {same} of {len(letters)} cells.", _reasons(table(), letters))


@cache
def table() -> Table:
    """The table that comes with the package, read once."""
    return read_table(FILE)


def read_table(file: Path) -> Table:
    """A table from a YAML file, a mapping with the fields of `Table`.

    Raises:
        ValueError: one line that names the file, what was expected and what came.
    """
    found: Table = read(Table, yaml_of(file), file.name)
    for row in found.explanations:
        if len(row.cells) != len(found.observations):
            raise ValueError(f"{file.name}: {row.name}: expected {len(found.observations)} cells, got {len(row.cells)}")
    return found


def _chosen(answers: str, count: int) -> str:
    letters = "".join(answers.lower().split()) if isinstance(answers, str) else ""
    if len(letters) != count or set(letters) - {*MEANING, EMPTY}:
        known = ", ".join(MEANING)
        raise ValueError(f"answers: expected {count} letters, {known}, or {EMPTY} for none, got {answers!r}")
    return letters


def _asked(empty: Table, letters: str) -> Note:
    columns = "\n".join(f"{one.name:12}{one.found}" for one in empty.observations)
    rows = "\n".join(f"{one.name:20}{one.says}" for one in empty.explanations)
    meanings = "\n".join(f"{letter}  {meaning}" for letter, meaning in MEANING.items())
    paragraphs = [
        "What was found, in this course:",
        code(columns),
        "What is said to be the reason:",
        code(rows),
        code(_grid(empty, list(letters))),
        "Put a letter in place of each dot, row by row, and call it again:",
        code(meanings),
    ]
    return Note("Which explanation accounts for what?", "\n\n".join(paragraphs))


def _reasons(ours: Table, letters: str) -> str:
    """The table with each cell's reason and claims; beside ours, the learner's letter where it is another one."""
    marks = [own if own == theirs else f"{own} ({theirs})" for own, theirs in zip(ours.letters, letters, strict=True)]
    paragraphs, theirs, claims = [code(_grid(ours, marks))], iter(letters), ledger()
    if letters != ours.letters:
        paragraphs.append("In brackets: yours, where it differs.")
    for row in ours.explanations:
        for observation, cell in zip(ours.observations, row.cells, strict=True):
            letter = next(theirs)
            yours = "" if letter == cell.letter else f" (you: {letter})"
            carried = "; ".join(f"`{one.claim}`: {claims[one.claim].verdict}" for one in cell.evidence)
            carries = f" ({carried})" if carried else ""
            paragraphs.append(f"{row.name}, {observation.name}: {cell.letter}{yours}. {cell.why}{carries}")
    return "\n\n".join(paragraphs)


def _grid(ours: Table, marks: list[str]) -> str:
    width, cells = len(ours.observations), iter(marks)
    head = " " * 20 + "".join(f"{one.name:12}" for one in ours.observations)
    rows = [f"{row.name:20}" + "".join(f"{next(cells):12}" for _ in range(width)) for row in ours.explanations]
    return "\n".join(line.rstrip() for line in (head, *rows))
