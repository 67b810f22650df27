"""A time limit on the learner's function that leaves the kernel alive."""

import ctypes
import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

PAUSE = 0.05  # seconds between two interruptions: enough for a `with` or `finally` of the learner's to tidy up
POLITE = 10  # interruptions that may be caught, before those that cannot

P = ParamSpec("P")
R = TypeVar("R")

# Our own handle, since the argument types of ctypes.pythonapi's are shared by everyone in the process. A call holds the
# interpreter's lock from reading its arguments to the end.
_send = ctypes.PYFUNCTYPE(None, ctypes.c_ulong, ctypes.py_object)(("PyThreadState_SetAsyncExc", ctypes.pythonapi))
_NOTHING: "ctypes.py_object[type[BaseException]]" = ctypes.py_object()  # sent, it takes back what has not landed


class OutOfTime(Exception):  # noqa: N818 - it reads as what happened
    """The function took longer than it was given."""


class _Interruption(BaseException):
    """Lands in the learner's function; no `Exception`, so that an `except Exception` there does not catch it."""


def within(seconds: float, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function, in this thread, and stop it when its time is up.

    A second thread raises an exception in this one, between two steps of Python code, and again every 0.05 s: a bare
    `except` may catch it. After half a second of that each interruption brings the next with it at once, which ends a
    loop around `try` and `except` too. When `within` has returned or raised, none can follow.

    One call into compiled code that never returns cannot be stopped, as in `sum(itertools.count())` or
    `lock.acquire()`: nothing is raised before it ends. Restart the kernel then.

    Args:
        seconds: how long the function may take.
        function: what to call.
        *args: its positional arguments.
        **kwargs: its keyword arguments.

    Returns:
        What the function returns.

    Raises:
        OutOfTime: the function took longer, whatever it returned or raised then. Other exceptions of the function,
            and `KeyboardInterrupt` at any time, pass through.
        ValueError: `seconds` is not positive, or longer than a thread can wait.

    Example:
        >>> within(2, pow, 3, 4)
        81
        >>> def endless():
        ...     while True:
        ...         pass
        >>> within(0.1, endless)
        Traceback (most recent call last):
        bnlab.practice.exercises.guard.OutOfTime: it took longer than 0.1 s
    """
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise ValueError(f"seconds must be positive and at most {threading.TIMEOUT_MAX:g}, got {seconds}")
    this_thread = threading.get_ident()
    watchdog = _Watchdog(seconds)
    watchdog.start()
    try:
        try:
            watchdog.target.value = this_thread
            result = function(*args, **kwargs)
        finally:
            # Python looks for an interruption when a call returns and when a loop begins again. There is no such moment
            # from the end of the function to the end of these two lines, so they cannot be interrupted themselves.
            watchdog.target.value = 0
            _send(this_thread, _NOTHING)
    except KeyboardInterrupt:
        raise
    except BaseException:
        if not watchdog.expired:
            raise
    finally:
        watchdog.finished.set()
    if watchdog.expired:
        raise OutOfTime(f"it took longer than {seconds:g} s")
    return result


class _Watchdog(threading.Thread):
    """Waits, then interrupts the thread `target` until it is told that the function has `finished`.

    `target` is read by the call that sends, so that nothing can be sent once it has been set to 0, which is no thread.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(daemon=True)
        self.seconds = seconds
        self.target = ctypes.c_ulong(0)
        self.expired = False
        self.finished = threading.Event()

    def run(self) -> None:
        if self.finished.wait(self.seconds):
            return
        self.expired = True
        for _ in range(POLITE):
            _send(self.target, _Interruption)
            if self.finished.wait(PAUSE):
                return
        relentless = _relentless(self.target)
        while not self.finished.wait(PAUSE):
            _send(self.target, relentless)


def _relentless(target: ctypes.c_ulong) -> type[_Interruption]:
    """An interruption that, when it lands, sends the next.

    It does so in its constructor, which the interrupted thread runs. The constructor is compiled code throughout: one
    in Python would be interrupted itself.
    """
    interruption = type("_Relentless", (_Interruption,), {})
    interruption.__init__ = staticmethod(functools.partial(_send, target, interruption))  # type: ignore[misc]
    return interruption
