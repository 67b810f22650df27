"""`bnlab progress`: all that is kept of the learner's work, as one file that goes anywhere."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bnlab.cli.terminal import one_line
from bnlab.practice.progress import Progress

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command("export")
def export(file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file, such as progress.json.")]) -> None:
    """Write all your progress to a file: attempts, predictions, answers, mock interviews, tests."""
    progress = Progress()
    _transfer(progress, progress.export, file, f"Exported to {file}")


@app.command("import")
def import_(file: Annotated[Path, typer.Argument(metavar="FILE", help="What `export` wrote.")]) -> None:
    """Add what a file has and your progress has not; to import a file twice adds nothing."""
    progress = Progress()
    _transfer(progress, progress.import_, file, f"Imported from {file}")


def _transfer(progress: Progress, way: Callable[[Path], dict[str, int]], file: Path, done: str) -> None:
    """Does it and says what was done; a ValueError becomes one line on stderr and exit status 2."""
    with one_line():
        try:
            counts = way(file)
        finally:
            if progress.notice:
                print(f"bnlab: {progress.notice}", file=sys.stderr)  # noqa: T201 - a command prints
    told = ", ".join(f"{table} {count}" for table, count in counts.items() if count)
    print(f"{done}: {told or 'nothing that was not there already'}.")  # noqa: T201 - as above
