"""A word to whoever waits at a terminal while numba compiles a kernel: only the first call takes seconds."""

import sys
from types import ModuleType
from typing import Any

from numba.core import event


def announce(*modules: ModuleType) -> None:
    """From now on, say on the standard error stream, if that is a terminal, that a kernel of these is being compiled.

    A kernel that is found on disk is not compiled; a notebook or a log file is told nothing.
    """
    listener = _Announcement({module.__name__ for module in modules})
    event.register("numba:compile", listener)  # type: ignore[no-untyped-call]


class _Announcement(event.Listener):
    def __init__(self, modules: set[str]) -> None:
        self.modules = modules

    def on_start(self, event: Any) -> None:
        kernel = event.data["dispatcher"].py_func
        if kernel.__module__ in self.modules and not kernel.__name__.startswith("_") and sys.stderr.isatty():
            name, dtype = f"{kernel.__module__}.{kernel.__name__}", event.data["args"][0].dtype
            sys.stderr.write(f"compiling {name} for {dtype}: some seconds, this once\n")

    def on_end(self, event: Any) -> None:
        """Nothing: the result is the word."""
