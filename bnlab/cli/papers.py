"""`bnlab papers`: ten figures of the papers, beside what was measured here."""

import textwrap
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.table import Table as RichTable

from bnlab.cli.terminal import AsJson, console_of, one_line, table_of
from bnlab.experiments import papers as figures_of_papers
from bnlab.experiments.papers import Table
from bnlab.experiments.papers.redrawn import Agreement

app = typer.Typer(add_completion=False)

BELOW = "Direction only: no number of the paper is quoted. Details: bnlab papers show ID"

Picture = Annotated[Path | None, typer.Option("--picture", metavar="FILE.png", help="Draw the ten into a file.")]


@app.callback(invoke_without_command=True)
def papers(context: typer.Context, as_json: AsJson = False, picture: Picture = None) -> None:  # noqa: FBT002 - typer's way of a flag
    """Print ten figures of the papers: what each reports, what was measured here, whether they agree."""
    with one_line():
        if context.invoked_subcommand is not None:
            if as_json or picture is not None:
                raise ValueError(f"{context.invoked_subcommand}: expected neither --json nor --picture before it")
            return
        if picture is not None and (picture.suffix != ".png" or picture.is_dir() or not picture.parent.is_dir()):
            raise ValueError(f"--picture: expected a .png file in a folder that exists, got {picture}")
        results = figures_of_papers.stored_results()
        judged = figures_of_papers.judge(results)
    if picture is not None:
        _draw(results, judged, picture)
    if as_json:
        print(judged.to_json(), end="")  # noqa: T201 - a command prints
    elif picture is None:
        console_of().print(_table(judged))
        console_of().print(BELOW)


@app.command("show")
def papers_show(ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Which figures.")]) -> None:
    """Print all that is known of a figure: what differs here, the rule of its verdict, the studies."""
    with one_line():
        asked = [figures_of_papers.redrawn(id) for id in ids]  # noqa: A001 - that is what it is called everywhere
    results = figures_of_papers.stored_results()
    for one in asked:
        judged = one.judge(results)
        console_of().print(f"{judged.id}: {judged.verdict}\n{judged}")


def _table(judged: Table) -> RichTable:
    """Three columns, so that the two texts have room in 80."""
    table = table_of("figure, verdict", "the paper reports", "here, with 95% intervals")
    for row in judged:
        one = row.redrawn
        first = [row.id, f"  {row.verdict}", *textwrap.wrap(one.paper.partition(", arXiv")[0], 20)]
        reports = f"{one.figure[0].upper()}{one.figure[1:]}. {one.reports}"
        table.add_row("\n".join(first), f"{reports}\n", "\n".join(row.lines))
    return table


def _draw(results: Mapping[str, Any], judged: Table, file: Path) -> None:
    from bnlab.figures import style, ten_figures  # noqa: PLC0415 - loads matplotlib

    style.apply()
    found = Counter(row.verdict for row in judged)
    counts = ", ".join(f"{found[verdict]} {verdict}" for verdict in get_args(Agreement) if found[verdict])
    ten_figures(results, title=f"{len(judged)} figures of the papers, redrawn on a laptop: {counts}").savefig(file)
