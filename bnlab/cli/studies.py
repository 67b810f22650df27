"""`bnlab studies`: the studies on which the claims rest."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bnlab import runtime
from bnlab.cli.terminal import Seed, console_of, one_line, table_of
from bnlab.experiments.studies import STUDIES, study_of
from bnlab.experiments.study import seeds_from

FORMATS = {".json", ".npz"}

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command("list")
def studies_list() -> None:
    """Print the studies and their settings."""
    table = table_of("study", "settings")
    for study in STUDIES.values():
        config = vars(study.config())
        table.add_row(study.name, ", ".join(f"{name}={_short(value)}" for name, value in config.items()))
    console_of().print(table)


@app.command("run")
def studies_run(
    name: Annotated[str, typer.Argument(help="Which study.")],
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a setting.")] = None,
    seed: Seed = 0,
    seeds: Annotated[int | None, typer.Option("--seeds", help="How many seeds.")] = None,
    save: Annotated[Path | None, typer.Option("--save", help="A file to write: .json or .npz.")] = None,
) -> None:
    """Run a study, with other settings if you like, and print its numbers, averaged over the last axis (seeds)."""
    with one_line():
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


def _short(value: object) -> str:
    return (
        ",".join(map(_short, value))
        if isinstance(value, tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
