"""The word at a terminal while a kernel is compiled."""

import os
import subprocess
import sys
from contextlib import suppress

import pytest

pty = pytest.importorskip("pty", reason="a terminal of one's own is had on Unix only")

CODE = "import numpy as np; from bnlab.kernels import cpu; one = np.ones(1); cpu.inference(np.ones((2, 1)), *[one] * 4)"


@pytest.fixture
def environment(tmp_path):
    return os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}  # nothing is compiled yet


def said_at_a_terminal(environment):
    ours, theirs = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", CODE], env=environment, stderr=theirs, check=True, timeout=60)
    finally:
        os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal, suppress(OSError):  # Linux ends a closed terminal by an error
        return terminal.read(1000)
    return b""


def test_a_terminal_is_told_of_a_compilation_and_of_nothing_else(environment):
    said = [said_at_a_terminal(environment) for _ in range(2)]
    assert said == [b"compiling bnlab.kernels.columns.inference for float64: some seconds, this once\r\n", b""]


def test_a_file_is_told_nothing(environment):
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, check=True)
    assert done.stdout + done.stderr == b""
