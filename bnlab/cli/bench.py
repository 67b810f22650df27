"""`bnlab bench`: what the package's fast ways are worth on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from bnlab.bench.network import compare
from bnlab.bench.training import ensemble_against_loop
from bnlab.cli.terminal import console_of, one_line

Threads = Annotated[int | None, typer.Option("--threads", help="All cores if not given; BNLAB_NUM_THREADS wins.")]

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command("training")
def bench_training(
    kind: Annotated[str, typer.Argument(help="Which networks: mlp or cnn.")] = "mlp",
    rounds: Annotated[int, typer.Option("--rounds", help="How many rounds are timed.")] = 5,
) -> None:
    """Time a sweep of 40 networks trained as one ensemble, and in a loop over torch.nn models."""
    with one_line():
        console_of().print(ensemble_against_loop(kind, rounds=rounds))


@app.command("network")
def bench_network(
    width: Annotated[int, typer.Option("--width", min=1, help="Channels.")] = 32,
    batch_size: Annotated[int, typer.Option("--batch-size", min=2, help="Images of a step.")] = 128,
    rounds: Annotated[int, typer.Option("--rounds", help="How many steps of each are timed.")] = 40,
    threads: Threads = None,
) -> None:
    """Time training steps of a ResNet on the digits, with torch's batch norm and with the compiled one."""
    with one_line():
        console_of().print(compare(width, batch_size, rounds=rounds, threads=threads))


@app.command("kernels")
def bench_kernels(
    *,
    shapes: Annotated[str, typer.Option("--shapes", help="Such as 32x64x56x56,8x3x9x9:channels_last,4096x512.")] = "",
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    threads: Threads = None,
    rounds: Annotated[int, typer.Option("--rounds", help="How many rounds are timed, at most.")] = 30,
    compiling: Annotated[bool, typer.Option("--compile/--no-compile", help="Whether torch.compile takes part.")] = True,
    memory: Annotated[str, typer.Option("--memory", help="New memory: kept by the process, or the system's.")] = "kept",
    growth: Annotated[bool, typer.Option("--growth", help="Follow how cost grows, instead.")] = False,
    save: Annotated[Path | None, typer.Option("--json", help="A file to write, with every round.")] = None,
    picture: Annotated[Path | None, typer.Option("--roofline", help="A picture to write, of the first shape.")] = None,
) -> None:
    """Time batch norm: our kernels, torch, torch.compile, NumPy, and a copy of the same size."""
    from bnlab.bench import run  # noqa: PLC0415 - loads matplotlib

    with one_line():
        for option, file in (("--json", save), ("--roofline", picture)):
            if file is not None and (file.is_dir() or not file.parent.is_dir()):
                raise ValueError(f"{option}: expected a file in a folder that exists, got {file}")
        if growth and picture is not None:
            raise ValueError("--roofline: expected no --growth, which compares too little for the picture, got both")
        options = run.Options(device, threads, rounds, compiling=compiling, memory=memory)
        report = run.growing(options) if growth else run.comparing(shapes, options)
    console_of().print(report)
    if save is not None:
        save.write_text(report.to_json(), encoding="utf-8")
    if picture is not None:
        run.roofline_of(report.measured[0]).savefig(picture, dpi=150)
