"""The `bnlab` command. What a part of it needs is loaded when that part is asked for: torch alone takes seconds."""

import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

PARTS = {  # name: module that holds its `app`, and what `bnlab --help` says of it
    "interview": ("bnlab.cli.interview", "Practise: questions, what is due, a timed mock, a report."),
    "progress": ("bnlab.cli.progress", "Take what is kept of your work to another machine."),
    "claims": ("bnlab.cli.claims", "What the course claims of batch norm, and what it measured."),
    "papers": ("bnlab.cli.papers", "Ten figures of the papers, beside what was measured here."),
    "studies": ("bnlab.cli.studies", "The studies on which the claims rest."),
    "doctor": ("bnlab.cli.doctor", "Look for batch-norm mistakes in a network."),
    "bench": ("bnlab.cli.bench", "What the package's fast ways are worth on this machine."),
    "kernels": ("bnlab.cli.kernels", "The compiled kernels of batch norm."),
}


class Parts(TyperGroup):
    """A group that knows its commands by name and loads the one that is called."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command. What the terminal cannot show, or sent, is no error; what the system refuses is one line."""
        for stream in filter(None, (sys.stdin, sys.stdout)):  # one that was closed is None
            stream.reconfigure(errors="replace")
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            print(f"bnlab: {error}", file=sys.stderr)  # noqa: T201 - a command prints
            sys.exit(2)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that is called, loaded."""
        name, known, rest = super().resolve_command(ctx, args)
        if name in PARTS:
            module, text = PARTS[name]
            known = typer.main.get_command(import_module(module).app)
            known.help = known.help or text
        return name, known, rest


app = typer.Typer(cls=Parts, no_args_is_help=True, add_completion=False)


@app.callback()
def bnlab() -> None:
    """The course's measurements, a doctor for networks, and practice for interviews."""


for part, (_, says) in PARTS.items():
    app.command(part, help=says)(bnlab)
