import itertools
import os
import signal
import sys
import threading
import time

import nbformat
import numpy as np
import pytest
import torch
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from bnlab.practice.exercises import guard
from bnlab.practice.exercises.guard import PAUSE, POLITE, OutOfTime, within

LIMIT = 0.2  # seconds: long enough for a busy machine to be well inside `function` when they are over
STUBBORN = POLITE * PAUSE  # what a function gains that catches every interruption
SLACK = 3.0  # seconds a busy machine may lose


def spin():
    while True:
        pass


def spin_around_numpy():
    a = np.ones((100, 100))
    while True:
        a = a @ a / 100


def spin_around_torch():
    a = torch.ones(100, 100)
    while True:
        a = torch.nn.functional.batch_norm(a, None, None, training=True)


def sleep_on():
    while True:
        time.sleep(0.01)


def recurse(depth=60):
    return depth if depth < 2 else recurse(depth - 1) + recurse(depth - 2)


def consume():
    return sum(1 for _ in iter(int, 1))  # sum() is compiled; the generator that it asks is not


def catch_everything():
    while True:
        try:  # noqa: SIM105 - as a learner would write it
            time.sleep(0.01)
        except:  # noqa: E722 - as above
            pass


def catch_everything_twice():
    while True:
        try:
            catch_everything()
        finally:
            continue  # noqa: B012 - as above


def stays_quiet(seconds=2.5 * PAUSE):
    """Whether no interruption lands in this thread any more."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    return True


def test_what_the_function_returns_is_returned():
    assert within(10, sorted, [3, 1, 2], reverse=True) == [3, 2, 1]


def test_the_function_runs_in_the_calling_thread():
    assert within(10, threading.get_ident) == threading.get_ident()


@pytest.mark.parametrize(
    "function",
    [spin, spin_around_numpy, spin_around_torch, sleep_on, recurse, consume],
    ids=lambda function: function.__name__,
)
def test_what_does_not_end_is_stopped(function):
    start = time.monotonic()
    with pytest.raises(OutOfTime, match=r"^it took longer than 0\.2 s$"):
        within(LIMIT, function)
    assert LIMIT <= time.monotonic() - start < LIMIT + SLACK
    assert stays_quiet()


@pytest.mark.parametrize("function", [catch_everything, catch_everything_twice], ids=lambda function: function.__name__)
def test_what_catches_every_interruption_is_stopped_too(function):
    start = time.monotonic()
    with pytest.raises(OutOfTime):
        within(LIMIT, function)
    assert LIMIT + STUBBORN <= time.monotonic() - start < LIMIT + STUBBORN + SLACK
    assert stays_quiet()


def test_an_ordinary_except_clause_does_not_see_an_interruption():
    caught = []

    def catch():
        while True:
            try:
                time.sleep(0.01)
            except Exception as error:
                caught.append(error)

    with pytest.raises(OutOfTime):
        within(LIMIT, catch)
    assert caught == []


def test_the_first_interruption_lets_the_function_tidy_up():
    tidied = []

    def tidy():
        try:
            with torch.no_grad():
                spin()
        finally:
            time.sleep(PAUSE / 5)
            tidied.append(True)

    with pytest.raises(OutOfTime):
        within(LIMIT, tidy)
    assert tidied == [True]
    assert torch.is_grad_enabled()


def test_an_answer_given_too_late_does_not_count():
    def give_up():
        try:
            spin()
        except BaseException:
            return 5

    with pytest.raises(OutOfTime):
        within(LIMIT, give_up)


def test_an_error_raised_too_late_does_not_count():
    def complain():
        try:
            spin()
        finally:
            raise ValueError("interrupted")

    with pytest.raises(OutOfTime):
        within(LIMIT, complain)


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_the_function_raises_in_time_passes_through(error):
    def fail():
        raise error("mine")

    with pytest.raises(error, match="mine"):
        within(10, fail)


def test_an_interrupt_from_the_keyboard_passes_through():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(LIMIT, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            within(60, spin)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    assert stays_quiet()


def test_an_interrupt_from_the_keyboard_passes_through_when_time_is_up():
    def raise_late():
        try:
            spin()
        finally:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        within(LIMIT, raise_late)


def test_the_shorter_of_two_nested_limits_holds():
    with pytest.raises(OutOfTime, match=r"0\.2 s"):
        within(60, within, LIMIT, spin)
    with pytest.raises(OutOfTime, match=r"0\.2 s"):
        within(LIMIT, within, 60, spin)
    assert stays_quiet()


def test_it_works_in_another_thread_and_leaves_this_one_alone():
    found = []

    def work():
        try:
            within(LIMIT, spin)
        except OutOfTime:
            found.append(stays_quiet())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(LIMIT + SLACK)
    assert found == [True]


def test_no_thread_is_left_behind():
    before = threading.active_count()
    within(60, int)
    with pytest.raises(OutOfTime):
        within(0.01, spin)
    until = time.monotonic() + SLACK
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.001)
    assert threading.active_count() == before


def test_nothing_lands_later_however_close_the_end_is_to_the_limit():
    def last(seconds):
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass
        return "in time"

    ends = {"in time": 0, "out of time": 0}
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads alternate far more often, so that they meet at every step
    try:
        for duration in itertools.islice(itertools.cycle(np.linspace(0.0005, 0.0015, 41)), 800):
            try:
                ends[within(0.001, last, duration)] += 1
            except OutOfTime:
                ends["out of time"] += 1
            stays_quiet(0.0002)
    finally:
        sys.setswitchinterval(interval)
    assert stays_quiet()
    assert sum(ends.values()) == 800
    assert min(ends.values()) > 50  # both happened, so the limit was met from both sides


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_that_no_thread_can_wait_for_is_refused(seconds):
    with pytest.raises(ValueError, match=rf"seconds must be positive and at most .*, got {seconds}"):
        within(seconds, pytest.fail, "called")


# The kernel loads the module from its file, not through its packages, which import torch and would take seconds.
IMPORTS = f"""
import importlib.util, time
spec = importlib.util.spec_from_file_location("guard", {guard.__file__!r})
guard = importlib.util.module_from_spec(spec)
spec.loader.exec_module(guard)
OutOfTime, within = guard.OutOfTime, guard.within
"""
ENDLESS = """
def endless():
    while True:
        try:
            sum(range(1000))
        except:
            pass
"""
STOPPED = """
start = time.monotonic()
try:
    within(0.5, endless)
except OutOfTime as error:
    print(error)
print(0.5 <= time.monotonic() - start < 4)
"""
AFTERWARDS = """
for _ in range(10):
    sum(range(100_000))
    time.sleep(0.05)
print("alive")
"""
CELLS = [IMPORTS, ENDLESS, STOPPED, AFTERWARDS]


def test_a_kernel_survives_an_endless_cell(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    own_kernel_only = KernelSpecManager(kernel_dirs=[])
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=own_kernel_only)
    personal = {"BNLAB_DATA_DIR": f"{tmp_path}/data", "IPYTHONDIR": f"{tmp_path}/ipython"}
    client = NotebookClient(notebook, manager, timeout=60, extra_arguments=["--log-level=ERROR"])
    with client.setup_kernel(env=os.environ | personal, cleanup_kc=True):
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
    outputs = [[output.text for output in cell.outputs] for cell in notebook.cells]
    assert [texts for texts in outputs if texts] == [["it took longer than 0.5 s\nTrue\n"], ["alive\n"]]
