"""Studies computed anew, several at a time, each in a process of its own on one thread."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import NamedTuple

from bnlab import runtime
from bnlab.experiments.studies import Study
from bnlab.experiments.study import Result


class Outcome(NamedTuple):
    """What became of one study.

    Attributes:
        study: which one.
        result: its numbers; None if there are none.
        error: why there are none.
        seconds: that it took.
    """

    study: Study
    result: Result | None
    error: str
    seconds: float

    def numbers(self) -> Result:
        """The result.

        Raises:
            ValueError: there is none.
        """
        if self.result is None:
            raise ValueError(self.error)
        return self.result


def computed(studies: Sequence[Study], number: int, *, jobs: int) -> Generator[Outcome]:
    """The run of this number (see `seeds_from`) of some studies, in the order in which they are ready.

    Studies that measure seconds come last, each alone in this process, with nothing beside it. If the iterator is
    closed before its end, or this process dies, the others end, too.

    Args:
        studies: each once.
        number: of the run.
        jobs: how many studies at a time; with 1 all are computed in this process.

    Example:
        >>> next(computed([Study("signal_propagation", "signal_propagation")], 0, jobs=2)).result.config.seeds[:3]
        (0, 1, 2)
    """
    timed = [study for study in studies if study.timed]
    others = [study for study in studies if not study.timed]
    jobs = min(jobs, len(others))
    if jobs > 1:
        yield from _in_processes(others, number, jobs)
    else:
        timed = others + timed
    yield from (_compute(study, number) for study in timed)


def _in_processes(studies: Sequence[Study], number: int, jobs: int) -> Generator[Outcome]:
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # a fork of a process whose threads compute may hang
    pool = ProcessPoolExecutor(jobs, context, _begin)
    try:
        with _ctrl_c_ignored():
            futures = {pool.submit(_compute, study, number): study for study in studies}
        for future in as_completed(futures):
            try:
                yield future.result()
            except BrokenProcessPool:
                yield Outcome(futures[future], None, "its process was ended from outside, perhaps for memory", 0.0)
    except BaseException:
        for worker in set(multiprocessing.active_children()) - before:
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _compute(study: Study, number: int) -> Outcome:
    begin = time.perf_counter()
    try:
        result, error = study.run(study.config_of_run(number)), ""
    except ValueError as refused:  # such as a run that did not arrive; the other studies still have their say
        result, error = None, str(refused)
    return Outcome(study, result, error, time.perf_counter() - begin)


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """What starts within it never hears Ctrl-C, so that only the process that it belongs to has something to say."""
    if threading.current_thread() is not threading.main_thread():  # nobody else may change what a signal does
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin() -> None:
    """What a new process does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stderr = None  # progress bars of several trainings would overwrite each other
    runtime.set_threads(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
