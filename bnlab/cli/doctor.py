"""`bnlab doctor`: looks for batch-norm mistakes in a network."""

from typing import Annotated

import typer

from bnlab.cli.terminal import AsJson, console_of, one_line
from bnlab.doctor.target import examined

EXAMINED = (
    "A function that returns a dict of what is examined: model, and any of loader, purpose, optimizer, train_step, as "
    "bnlab.doctor.examine takes them. checkup:before_training is before_training() in checkup.py of this folder."
)

app = typer.Typer(add_completion=False)


@app.command()
def doctor(
    target: Annotated[str, typer.Argument(metavar="PACKAGE.MODULE:CALLABLE", help=EXAMINED)],
    as_json: AsJson = False,  # noqa: FBT002 - typer's way of a flag
) -> None:
    """Look for batch-norm mistakes in a network.

    The exit status is 1 if there is an error among the findings, and 2 if an argument is wrong or the target raises.
    """
    with one_line():
        report = examined(target)
    if as_json:
        print(report.to_json())  # noqa: T201 - a command prints
    else:
        console_of().print(report)
    raise typer.Exit(1 if any(finding.severity == "error" for finding in report.findings) else 0)
