"""`bnlab claims`: what the course claims of batch norm, and what it measured."""

from contextlib import closing
from typing import Annotated

import typer
from rich.console import Console

from bnlab import runtime
from bnlab.cli.terminal import INTERRUPTED, AsJson, Seed, console_of, one_line, table_of
from bnlab.experiments.claims import DECLARATIONS, Claim, Declaration, Ledger, declaration_of, ledger, to_json
from bnlab.experiments.claims.claim import number
from bnlab.experiments.side_by_side import Outcome, computed
from bnlab.experiments.studies import study_of
from bnlab.experiments.study import seeds_from

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command("list")
def claims_list(as_json: AsJson = False) -> None:  # noqa: FBT002 - typer's way of a flag
    """Print the ledger: each claim's id, what was measured, how much was asked for, the verdict."""
    stored = ledger()
    if as_json:
        print(to_json(stored), end="")  # noqa: T201 - a command prints
        return
    table = table_of("claim", "measured [95%]", "over", "verdict")
    for claim in stored:
        table.add_row(claim.id, claim.measured, number(claim.margin), claim.verdict)
    console_of().print(table)


@app.command("show")
def claims_show(ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Which claims.")]) -> None:
    """Print all that the ledger says of a claim: sentence, effect, control, source."""
    with one_line():
        for claim in [ledger()[id] for id in ids]:  # noqa: A001 - that is what it is called everywhere
            console_of().print(claim)


@app.command("run")
def claims_run(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Which claims; all if none.")] = None,
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Studies at a time, if several are needed.")] = 2,
    as_json: AsJson = False,  # noqa: FBT002 - typer's way of a flag
) -> None:
    """Run claims anew, as their studies get ready. The exit status is 1 if a verdict is not the ledger's."""
    with one_line():
        runtime.set_threads()
        chosen = [declaration_of(id) for id in ids or DECLARATIONS]  # noqa: A001 - that is what it is called everywhere
        seeds_from(seed, 1)
    console, done, as_before = console_of(stderr=as_json), list[Claim](), list[bool]()
    needed = [study_of(name) for name in dict.fromkeys(declaration.study for declaration in chosen)]
    try:
        with closing(computed(needed, seed, jobs=jobs)) as outcomes:
            for count, outcome in enumerate(outcomes, start=1):
                console.print(f"{outcome.study.name}: {outcome.seconds:.0f} s ({count} of {len(needed)} studies)")
                own = [declaration for declaration in chosen if declaration.study == outcome.study.name]
                as_before += [_judge(declaration, outcome, done, console) for declaration in own]
    except KeyboardInterrupt:
        judged = {claim.id for claim in done}
        left = [declaration.id for declaration in chosen if declaration.id not in judged]
        console_of(stderr=True).print(f"bnlab: interrupted; no verdict on: {', '.join(left)}")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        if as_json:
            places = [declaration.id for declaration in chosen]
            print(to_json(Ledger(tuple(sorted(done, key=lambda claim: places.index(claim.id))))), end="")  # noqa: T201 - a command prints
    raise typer.Exit(0 if all(as_before) else 1)


def _judge(declaration: Declaration, outcome: Outcome, done: list[Claim], console: Console) -> bool:
    """Judges and prints one claim and adds it to those that are done; whether its verdict is the ledger's."""
    stored = ledger()[declaration.id]
    try:
        claim = declaration.judge(outcome.numbers())
    except ValueError as error:  # such as too few seeds that arrived; the other claims still have their say
        console.print(f"  {declaration.id}: no verdict: {error}")
        return False
    done.append(claim)
    differs = "" if claim.verdict == stored.verdict else f" (the ledger says: {stored.verdict})"
    console.print(f"  {claim.id}: {claim.verdict}{differs}\n      {claim.measured}")
    return not differs
