"""`bnlab interview`: the commands of the interview room. What they need is loaded when one is called."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from bnlab.cli.terminal import INTERRUPTED, one_line

ROOM = "bnlab.practice.interview.room"

app = typer.Typer(no_args_is_help=True, add_completion=False)

Topic = Annotated[str | None, typer.Option("--topic", help="Only of this topic; `bnlab interview progress` has them.")]
Level = Annotated[
    str | None, typer.Option("--level", help="Only of this level: screen (a first call), core, deep, research.")
]
Role = Annotated[
    str | None, typer.Option("--role", help="data-scientist, ml-engineer, research-scientist, manager, any.")
]
Draw = Annotated[
    int | None, typer.Option("--seed", help="Of the draw of questions; another one each time if not given.")
]
Report = Annotated[Path | None, typer.Option("--report", help="Where the report goes: an .html or .md file.")]


@app.command()
def quiz(
    *,
    topic: Topic = None,
    level: Level = None,
    role: Role = None,
    questions: Annotated[int, typer.Option("--questions", min=1, help="How many, at most.")] = 5,
    seed: Draw = None,
    weak: Annotated[bool, typer.Option("--weak", help="Only what you answered before, the weakest first.")] = False,
) -> None:
    """Answer questions, those first that you never answered, then those that you know least."""
    with _door("rounds") as (rounds, room):
        rounds.quiz(room, questions, seed, topic=topic, level=level, role=role, weak=weak)


@app.command()
def review(
    questions: Annotated[int | None, typer.Option("--questions", min=1, help="How many, at most; else all.")] = None,
) -> None:
    """Answer again what is due today, the most forgotten first."""
    with _door("rounds") as (rounds, room):
        rounds.review(room, questions)


@app.command()
def mock(
    role: Role = None,
    minutes: Annotated[int, typer.Option("--minutes", min=10, max=180, help="How long it lasts.")] = 30,
    seed: Draw = None,
    report: Report = None,
) -> None:
    """Sit a timed mock interview, and get a scorecard and a report."""
    with _door("mocks") as (mocks, room):
        mocks.mock(room, role, minutes, seed, report)


@app.command()
def report(
    number: Annotated[int | None, typer.Argument(help="Which mock; the latest if not given.")] = None,
    report: Report = None,
) -> None:
    """Make the report of a mock again."""
    with _door("mocks") as (mocks, room):
        mocks.report(room, number, report)


@app.command()
def progress(
    picture: Annotated[Path | None, typer.Option("--picture", help="Where a picture of it goes: a .png file.")] = None,
) -> None:
    """Print what you know, by topic and by role."""
    with _door("lookup") as (lookup, room):
        lookup.progress(room, picture)


@app.command("list")
def list_questions(
    topic: Topic = None,
    level: Level = None,
    role: Role = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,  # noqa: FBT002 - typer's way of a flag
) -> None:
    """Print the questions."""
    with _door("lookup") as (lookup, room):
        lookup.list_questions(room, topic, level, role, as_json=as_json)


@app.command()
def show(
    id: Annotated[str, typer.Argument(metavar="ID", help="Of the question.")],  # noqa: A002 - that is what it is called everywhere
) -> None:
    """Print a question with its answers, rubric and red flags."""
    with _door("lookup") as (lookup, room):
        lookup.show(room, id)


@app.command()
def pretest() -> None:
    """Take the test of ten questions before the course."""
    with _door("ten_items") as (ten_items, room):
        ten_items.take(room, "pretest")


@app.command()
def posttest() -> None:
    """Take the same test after the course, and see both."""
    with _door("ten_items") as (ten_items, room):
        ten_items.take(room, "posttest")


@app.command()
def cards(
    anki: Annotated[Path, typer.Option("--anki", help="The deck to write, such as batch-norm.apkg.")],
) -> None:
    """Write the questions as a deck of cards for Anki."""
    with _door("lookup") as (lookup, room):
        lookup.cards(room, anki)


@contextmanager
def _door(name: str) -> Iterator[tuple[ModuleType, Any]]:
    """A module of the room, and a visit in this terminal.

    A ValueError becomes one line on stderr and exit status 2; Ctrl-C becomes exit status 130.
    """
    try:
        with one_line(), import_module(f"{ROOM}.visit").visit() as room:
            yield import_module(f"{ROOM}.{name}"), room
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
