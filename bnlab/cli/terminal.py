"""What every command needs of a terminal: text as it is, tables, options, and errors of one line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

INTERRUPTED = 130  # the shell's status of what Ctrl-C ended

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Seed = Annotated[int, typer.Option("--seed", help="Which run: 0 has seeds 0 to 9, 1 has 1000 to 1009, and so on.")]


@contextmanager
def one_line() -> Iterator[None]:
    """Turns a ValueError into one line on stderr and exit status 2."""
    try:
        yield
    except ValueError as error:
        print(f"bnlab: {error}", file=sys.stderr)  # noqa: T201 - a command prints
        raise typer.Exit(2) from None


def console_of(*, stderr: bool = False) -> Console:
    """A terminal that prints text as it is: an interval's brackets are no markup."""
    return Console(stderr=stderr, markup=False, highlight=False)


def table_of(*columns: str) -> Table:
    """A table without lines, whose first column is never broken: a name is copied whole."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == columns[0])
    return table
