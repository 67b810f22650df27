"""What a person at a terminal sees of a long training, and Ctrl-C that waits for the end of a step."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from bnlab.experiments.ensemble import Ensemble


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while an ensemble was trained: nothing that was done is lost.

    Attributes:
        ensemble: the members after the last whole step.
        steps: how many steps were done.
    """

    def __init__(self, ensemble: Ensemble, steps: int) -> None:
        super().__init__(f"interrupted after {steps} steps")
        self.ensemble = ensemble
        self.steps = steps


@contextmanager
def interrupt_noted() -> Iterator[Callable[[], bool]]:
    """Within it Ctrl-C is only noted, and the function that it gives says whether it came; a second one does not wait.

    Only the main thread receives signals, and a process that ignores Ctrl-C goes on ignoring it.
    """
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    act, noted = before, False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal noted
        if noted:
            act(number, frame)
        noted = True

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: noted
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def progress(steps: int) -> Iterator[Callable[[int], None]]:
    """Gives a function that takes the number of steps done and shows it as a bar, if stderr is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console  # noqa: PLC0415 - not needed where nobody watches
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("training", total=steps)
        yield lambda done: bar.update(task, completed=done)
