"""What the command line names: a callable that returns the arguments of an examination."""

import importlib
import inspect
import os
import sys
from collections.abc import Mapping
from typing import Any

from bnlab.doctor.examine import examine


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


def _callables(module: Any) -> list[str]:
    public = (name for name in getattr(module, "__all__", vars(module)) if not name.startswith("_"))
    return [name for name in public if inspect.isfunction(getattr(module, name))]
