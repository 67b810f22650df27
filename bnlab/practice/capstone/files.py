"""The files of a capstone: laid beside the notebook, never written over, read with one clear line for what is wrong."""

from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from datetime import UTC, datetime
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

from bnlab.doctor import Report, examine
from bnlab.practice.capstone.bugs import SCRIPTS
from bnlab.practice.capstone.drawing import Drawn
from bnlab.practice.capstone.module import page
from bnlab.practice.exercises.guard import OutOfTime, within
from bnlab.practice.interview.room.coding import scope_of

PAGE, SCRIPT = "batch_norm.py", "train.py"
CLASS, PATIENT = "BatchNorm", "for_the_doctor"  # what each of them defines
SECONDS_OF_THE_PAGE, SECONDS_OF_THE_SCRIPT = 2.0, 120.0


def new_folder(home: Path) -> Path:
    """The first of the numbered folders in `home` that does not exist."""
    return next(home / str(number) for number in count(1) if not (home / str(number)).exists())


def lay(folder: Path, drawn: Drawn) -> list[str]:
    """Write the files that are missing; what is there stays as it is.

    Returns:
        The names of those that were written.

    Raises:
        ValueError: one cannot be written.
    """
    texts = {PAGE: page(drawn.module), SCRIPT: SCRIPTS[drawn.script].planted()}
    missing = [name for name in texts if not (folder / name).exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in missing:
            unfinished = folder / f"{name}.part"
            try:
                unfinished.write_text(texts[name], encoding="utf-8")
                unfinished.replace(folder / name)
            finally:
                unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(f"the files of the capstone could not be written: {error}") from None
    return missing


def moved(folder: Path, drawn: Drawn, lines: Iterable[int]) -> bool:
    """Whether lines were added to the script or taken away, so that one of these numbers now means another line."""
    try:
        now = (folder / SCRIPT).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    laid = SCRIPTS[drawn.script].planted().splitlines()
    return len(now) != len(laid) and any(now[number - 1 : number] != laid[number - 1 : number] for number in lines)


def read_page(folder: Path) -> tuple[Any, str, datetime]:
    """The learner's class, the text of its file, and when that was saved.

    Raises:
        ValueError: one line: the file is missing, cannot be run, or has no such class.
    """
    file = folder / PAGE
    _expect_file(file)
    found = _named(file, CLASS, SECONDS_OF_THE_PAGE)
    if not isinstance(found, type):
        raise ValueError(f"{PAGE}: expected {CLASS} to be a class, got {type(found).__name__}")  # noqa: TRY004 - as for every bad file
    if found.__module__ != file.stem:
        raise ValueError(f"{PAGE}: expected {CLASS} to be written in it, got that of `{found.__module__}`")
    return found, file.read_text(encoding="utf-8"), datetime.fromtimestamp(file.stat().st_mtime, UTC)


def examined(folder: Path) -> Report:
    """What the doctor says of the script as it is in the folder now.

    Raises:
        ValueError: one line: the script is missing, damaged, or raises on the way.
    """
    file = folder / SCRIPT
    _expect_file(file)
    patient = _named(file, PATIENT, SECONDS_OF_THE_SCRIPT)
    try:
        with redirect_stdout(StringIO()):
            return within(SECONDS_OF_THE_SCRIPT, _examined, patient)
    except OutOfTime:
        raise ValueError(
            f"{SCRIPT}: expected a training of seconds, got one of over {SECONDS_OF_THE_SCRIPT:g} s"
        ) from None
    except Exception as error:  # what an edited script may raise
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{SCRIPT}: expected {PATIENT}() to run, got {said:.300}") from None


def _examined(patient: Callable[[], dict[str, Any]]) -> Report:
    return examine(**patient())


def _named(file: Path, name: str, seconds: float) -> Any:
    try:
        scope = scope_of(file, seconds)
    except ValueError as error:
        raise ValueError(f"{file.name}: {error}") from None
    if name not in scope:
        raise ValueError(f"{file.name}: it defines no {name} yet")
    return scope[name]


def _expect_file(file: Path) -> None:
    if not file.is_file():
        raise ValueError(f"{file.name} is not in {file.parent}; `capstone.begin()` lays what is missing once more")
