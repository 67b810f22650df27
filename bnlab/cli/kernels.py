"""`bnlab kernels`: the compiled kernels of batch norm."""

import typer

from bnlab.cli.terminal import one_line

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def kernels() -> None:
    """The compiled kernels of batch norm."""


@app.command("report")
def kernels_report() -> None:
    """Compile the GPU's kernels, which takes no GPU, and store and print what came out; a minute or two."""
    with one_line():
        try:
            from bnlab.kernels.gpu.report import report  # noqa: PLC0415 - loads Triton, which exists for Linux only
        except ModuleNotFoundError as error:
            raise ValueError(f"expected Triton, which exists for Linux only, got: {error}") from None
        facts = report()
    print(facts)  # noqa: T201 - a command prints
