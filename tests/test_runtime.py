import os
import platform
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from bnlab import runtime

# Large enough for torch to share the work between two threads; each product is below the smallest normal float32.
COUNT_DENORMALS = """
import torch
from bnlab.runtime import set_threads
set_threads(2)
print((torch.full((1_000_000,), 1e-30) * 1e-10).count_nonzero().item())
"""


@pytest.fixture(autouse=True)
def one_thread_again(monkeypatch):
    monkeypatch.delenv(runtime.THREADS_VARIABLE, raising=False)
    yield
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)


def test_set_threads_takes_the_argument(monkeypatch):
    monkeypatch.setenv(runtime.THREADS_VARIABLE, "")  # set but empty is not set
    assert runtime.set_threads(3) == 3
    assert torch.get_num_threads() == 3


def test_the_environment_wins_over_the_argument(monkeypatch):
    monkeypatch.setenv(runtime.THREADS_VARIABLE, " 2 ")
    assert runtime.set_threads(3) == 2
    assert torch.get_num_threads() == 2


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system cannot bind a process to cores")
def test_set_threads_defaults_to_the_cores_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 4, 6, 7, 9})  # a number that no machine here has
    assert runtime.set_threads() == 5
    assert torch.get_num_threads() == 5


def test_usable_cores_are_all_where_a_process_cannot_be_bound(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert runtime.usable_cores() == 7


@pytest.mark.parametrize("bad", ["abc", "0", "-1", "1.5", "²"])  # the last is a digit to Python, and no number
def test_a_bad_thread_count_in_the_environment_is_one_clear_line(monkeypatch, bad):
    monkeypatch.setenv(runtime.THREADS_VARIABLE, bad)
    with pytest.raises(ValueError, match=r"^BNLAB_NUM_THREADS must be a whole number of at least 1, got '[^\n]+'$"):
        runtime.set_threads(3)
    assert torch.get_num_threads() == 1


def test_a_bad_thread_count_in_the_argument_is_one_clear_line():
    with pytest.raises(ValueError, match=r"^threads must be at least 1, got 0$"):
        runtime.set_threads(0)


def test_set_threads_rounds_denormals_to_zero():
    torch.set_flush_denormal(False)
    small = torch.tensor(1e-30)
    assert small * 1e-10 != 0
    runtime.set_threads(1)
    assert small * 1e-10 == 0


def test_every_worker_thread_rounds_denormals_to_zero():
    command = [sys.executable, "-c", COUNT_DENORMALS]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == "0"


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002 - the generator under test


def test_set_seed_repeats_all_three_generators():
    runtime.set_seed(5)
    first = draw()
    runtime.set_seed(5)
    again = draw()
    runtime.set_seed(6)
    other = draw()
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("bad", [-1, 2**32])  # torch takes both, NumPy neither
def test_a_bad_seed_is_one_clear_line_and_seeds_nothing(bad):
    before = random.getstate(), torch.get_rng_state()
    with pytest.raises(ValueError, match=rf"^seed must be from 0 to 2\*\*32 - 1, got {bad}$"):
        runtime.set_seed(bad)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def found():
    return {row.thing: row for row in runtime.environment().rows}


def test_environment_finds_what_is_installed_and_set(monkeypatch):
    monkeypatch.setattr(runtime, "usable_cores", lambda: 6)
    torch.set_num_threads(3)
    rows = found()
    assert rows["Python"].found == platform.python_version()
    assert rows["torch"].found == torch.__version__
    assert rows["NumPy"].found == np.__version__
    assert (rows["cores"].found, rows["threads"].found) == ("6", "3")


def test_environment_says_that_a_single_core_means_waiting(monkeypatch):
    monkeypatch.setattr(runtime, "usable_cores", lambda: 1)
    assert "longer" in found()["cores"].meaning


def test_environment_says_that_nothing_is_skipped_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "nothing is skipped" in found()["GPU"].meaning


def test_environment_names_the_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU of some make")
    assert found()["GPU"].found == "a GPU of some make"
    assert "not needed" in found()["GPU"].meaning


def test_environment_shows_itself_as_a_markdown_table():
    lines = runtime.environment()._repr_markdown_().splitlines()
    assert lines[1] == "|---|---|---|"
    assert len(lines) == 2 + len(runtime.environment().rows)
    assert all(line.count("|") == 4 for line in lines)


def test_environment_prints_one_line_for_each_thing():
    lines = str(runtime.environment()).splitlines()
    for line, row in zip(lines, runtime.environment().rows, strict=True):
        assert line == f"{row.thing}: {row.found}. {row.meaning}"
