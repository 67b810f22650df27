"""The `bnlab` command."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from bnlab import runtime
from bnlab.bench.network import compare
from bnlab.bench.training import ensemble_against_loop
from bnlab.doctor.target import examined
from bnlab.experiments.claims import DECLARATIONS, Claim, Declaration, Ledger, declaration_of, ledger, to_json
from bnlab.experiments.claims.claim import number
from bnlab.experiments.side_by_side import Outcome, computed
from bnlab.experiments.studies import STUDIES, study_of
from bnlab.experiments.study import seeds_from

INTERRUPTED = 130  # the shell's status of what Ctrl-C ended
FORMATS = {".json", ".npz"}

HELP = "The course's measurements, and a doctor for networks."
EXAMINED = (
    "A function that returns a dict of what is examined: model, and any of loader, purpose, optimizer, train_step, as "
    "bnlab.doctor.examine takes them. checkup:before_training is before_training() in checkup.py of this folder."
)
app = typer.Typer(name="bnlab", no_args_is_help=True, add_completion=False, help=HELP)
claims = typer.Typer(no_args_is_help=True, help="What the course claims of batch norm, and what it measured.")
studies = typer.Typer(no_args_is_help=True, help="The studies on which the claims rest.")
app.add_typer(claims, name="claims")
app.add_typer(studies, name="studies")
bench = typer.Typer(no_args_is_help=True, help="What the package's fast ways are worth on this machine.")
app.add_typer(bench, name="bench")
kernels = typer.Typer(no_args_is_help=True, help="The compiled kernels of batch norm.")
app.add_typer(kernels, name="kernels")

Threads = Annotated[int | None, typer.Option("--threads", help="All cores if not given; BNLAB_NUM_THREADS wins.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Seed = Annotated[int, typer.Option("--seed", help="Which run: 0 has seeds 0 to 9, 1 has 1000 to 1009, and so on.")]


@claims.command("list")
def claims_list(as_json: AsJson = False) -> None:  # noqa: FBT002 - typer's way of a flag
    """Print the ledger: each claim's id, what was measured, how much was asked for, the verdict."""
    stored = ledger()
    if as_json:
        print(to_json(stored), end="")  # noqa: T201 - a command prints
        return
    table = _table("claim", "measured [95%]", "over", "verdict")
    for claim in stored:
        table.add_row(claim.id, claim.measured, number(claim.margin), claim.verdict)
    _console().print(table)


@claims.command("show")
def claims_show(ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Which claims.")]) -> None:
    """Print all that the ledger says of a claim: sentence, effect, control, source."""
    with _one_line():
        for claim in [ledger()[id] for id in ids]:  # noqa: A001 - that is what it is called everywhere
            _console().print(claim)


@claims.command("run")
def claims_run(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Which claims; all if none.")] = None,
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Studies at a time, if several are needed.")] = 2,
    as_json: AsJson = False,  # noqa: FBT002 - typer's way of a flag
) -> None:
    """Run claims anew, as their studies get ready. The exit status is 1 if a verdict is not the ledger's."""
    with _one_line():
        runtime.set_threads()
        chosen = [declaration_of(id) for id in ids or DECLARATIONS]  # noqa: A001 - that is what it is called everywhere
        seeds_from(seed, 1)
    console, done, as_before = _console(stderr=as_json), list[Claim](), list[bool]()
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
        _console(stderr=True).print(f"bnlab: interrupted; no verdict on: {', '.join(left)}")
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


@studies.command("list")
def studies_list() -> None:
    """Print the studies and their settings."""
    table = _table("study", "settings")
    for study in STUDIES.values():
        config = vars(study.config())
        table.add_row(study.name, ", ".join(f"{name}={_short(value)}" for name, value in config.items()))
    _console().print(table)


@studies.command("run")
def studies_run(
    name: Annotated[str, typer.Argument(help="Which study.")],
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a setting.")] = None,
    seed: Seed = 0,
    seeds: Annotated[int | None, typer.Option("--seeds", help="How many seeds.")] = None,
    save: Annotated[Path | None, typer.Option("--save", help="A file to write: .json or .npz.")] = None,
) -> None:
    """Run a study, with other settings if you like, and print its numbers, averaged over the last axis (seeds)."""
    with _one_line():
        runtime.set_threads()
        study = study_of(name)
        count = len(study.config().seeds) if seeds is None else seeds
        config = study.config(**{"seeds": seeds_from(seed, count)} | type(study.config()).read(changes or ()))
        if save is not None and (save.suffix not in FORMATS or save.is_dir() or not save.parent.is_dir()):
            raise ValueError(f"--save: expected a .json or .npz file in a folder that exists, got {save}")
        result = study.run(config)
    for title, array in result.numbers().items():
        axes = [f"{size} {axis}" for axis, size in zip(result.axes(title), array.shape, strict=True)]
        print(f"{title} ({' x '.join(axes)}), mean over the {result.axes(title)[-1]}:")  # noqa: T201 - a command prints
        print(np.array2string(array.mean(axis=-1), precision=3, suppress_small=True))  # noqa: T201 - as above
    if save is not None:
        result.save(save)


@bench.command("training")
def bench_training(
    kind: Annotated[str, typer.Argument(help="Which networks: mlp or cnn.")] = "mlp",
    rounds: Annotated[int, typer.Option("--rounds", help="How many rounds are timed.")] = 5,
) -> None:
    """Time a sweep of 40 networks trained as one ensemble, and in a loop over torch.nn models."""
    with _one_line():
        _console().print(ensemble_against_loop(kind, rounds=rounds))


@bench.command("network")
def bench_network(
    width: Annotated[int, typer.Option("--width", min=1, help="Channels.")] = 32,
    batch_size: Annotated[int, typer.Option("--batch-size", min=2, help="Images of a step.")] = 128,
    rounds: Annotated[int, typer.Option("--rounds", help="How many steps of each are timed.")] = 40,
    threads: Threads = None,
) -> None:
    """Time training steps of a ResNet on the digits, with torch's batch norm and with the compiled one."""
    with _one_line():
        _console().print(compare(width, batch_size, rounds=rounds, threads=threads))


@bench.command("kernels")
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

    with _one_line():
        for option, file in (("--json", save), ("--roofline", picture)):
            if file is not None and (file.is_dir() or not file.parent.is_dir()):
                raise ValueError(f"{option}: expected a file in a folder that exists, got {file}")
        if growth and picture is not None:
            raise ValueError("--roofline: expected no --growth, which compares too little for the picture, got both")
        options = run.Options(device, threads, rounds, compiling=compiling, memory=memory)
        report = run.growing(options) if growth else run.comparing(shapes, options)
    _console().print(report)
    if save is not None:
        save.write_text(report.to_json(), encoding="utf-8")
    if picture is not None:
        run.roofline_of(report.measured[0]).savefig(picture, dpi=150)


@kernels.command("report")
def kernels_report() -> None:
    """Compile the GPU's kernels, which takes no GPU, and store and print what came out; a minute or two."""
    with _one_line():
        try:
            from bnlab.kernels.gpu.report import report  # noqa: PLC0415 - loads Triton, which exists for Linux only
        except ModuleNotFoundError as error:
            raise ValueError(f"expected Triton, which exists for Linux only, got: {error}") from None
        facts = report()
    print(facts)  # noqa: T201 - a command prints


@app.command("doctor")
def doctor(
    target: Annotated[str, typer.Argument(metavar="PACKAGE.MODULE:CALLABLE", help=EXAMINED)],
    as_json: AsJson = False,  # noqa: FBT002 - typer's way of a flag
) -> None:
    """Look for batch-norm mistakes in a network.

    The exit status is 1 if there is an error among the findings, and 2 if an argument is wrong or the target raises.
    """
    with _one_line():
        report = examined(target)
    if as_json:
        print(report.to_json())  # noqa: T201 - a command prints
    else:
        _console().print(report)
    raise typer.Exit(1 if any(finding.severity == "error" for finding in report.findings) else 0)


@contextmanager
def _one_line() -> Iterator[None]:
    """Turns a ValueError into one line on stderr and exit status 2."""
    try:
        yield
    except ValueError as error:
        print(f"bnlab: {error}", file=sys.stderr)  # noqa: T201 - a command prints
        raise typer.Exit(2) from None


def _console(*, stderr: bool = False) -> Console:
    """A terminal that prints text as it is: an interval's brackets are no markup."""
    return Console(stderr=stderr, markup=False, highlight=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == columns[0])  # a name is copied whole
    return table


def _short(value: object) -> str:
    return (
        ",".join(map(_short, value))
        if isinstance(value, tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
