"""What the command line names: a callable that returns the arguments of an examination."""

import importlib
import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnlab.doctor.examine import examine
from bnlab.doctor.report import Report

MOST = 5  # places of an error that are shown
OWN = Path(__file__).resolve().parents[1]
NOT_THEIRS = (OWN, *(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")))


def arguments_of(target: str) -> dict[str, Any]:
    """Call what `target` names, and return its arguments for `examine`.

    Modules are looked for in the current folder, too, as `python -m` does.

    Args:
        target: "package.module:callable".

    Raises:
        ValueError: there is no such module or callable, or it does not return a dict of `examine`'s arguments.

    Example:
        >>> arguments_of("bnlab.doctor:examin")
        Traceback (most recent call last):
        ValueError: expected a callable of bnlab.doctor, such as examine, got 'examin'
    """
    name, colon, attribute = target.partition(":")
    if not (name and colon and attribute):
        raise ValueError(f"expected package.module:callable, got {target!r}")
    if os.getcwd() not in sys.path:  # noqa: PTH109 - the form in which sys.path holds it
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as above
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there, and lacks another
        raise ValueError(f"expected a module that can be imported, got {name!r} (no module {error.name!r})") from None
    function = getattr(module, attribute, None)
    if not callable(function):
        known = ", ".join(_callables(module)[:3])
        such = f", such as {known}," if known else ""
        raise ValueError(f"expected a callable of {name}{such} got {attribute!r}")  # noqa: TRY004 - as for every bad argument
    arguments = function()
    allowed = list(inspect.signature(examine).parameters)
    if not isinstance(arguments, Mapping) or "model" not in arguments or not set(arguments) <= set(allowed):
        got = ", ".join(map(str, arguments)) if isinstance(arguments, Mapping) else type(arguments).__name__
        raise ValueError(
            f"expected {target} to return a dict with model and any of {', '.join(allowed[1:])}, got {got}"
        )
    return dict(arguments)


def examined(target: str) -> Report:
    """The examination of what `target` names; what the target's own code raises is told in a few lines.

    Raises:
        ValueError: an argument is wrong, as for `arguments_of` and `examine`, or the target's code raised: its message
            then has the error, and below it the places in that code through which it came, the innermost last.
    """
    try:
        return examine(**arguments_of(target))
    except Exception as error:  # what other people's code may raise
        frames = traceback.extract_tb(error.__traceback__)
        places = [frame for frame in frames if _is_theirs(frame.filename)]
        if not places and Path(frames[-1].filename).is_relative_to(OWN):
            raise  # about an argument, or a mistake of ours
        said = " ".join(str(error).split())
        lines = [f"  {_short(frame.filename)}:{frame.lineno} in {frame.name}: {frame.line}" for frame in places[-MOST:]]
        raise ValueError("\n".join([f"{target} raised {type(error).__name__}: {said}", *lines])) from error


def _is_theirs(file: str) -> bool:
    """Whether it is neither of this package, nor of Python, nor of a package that was installed."""
    return not file.startswith("<") and not any(Path(file).is_relative_to(folder) for folder in NOT_THEIRS)


def _short(file: str) -> str:
    return os.path.relpath(file) if Path(file).is_relative_to(Path.cwd()) else file


def _callables(module: Any) -> list[str]:
    public = (name for name in getattr(module, "__all__", vars(module)) if not name.startswith("_"))
    return [name for name in public if inspect.isfunction(getattr(module, name))]
