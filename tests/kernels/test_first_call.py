"""The word at a terminal while a kernel is compiled."""

import os
import subprocess
import sys

import pytest

pexpect = pytest.importorskip("pexpect", reason="a terminal is needed, which pexpect is")

CODE = "import numpy as np; from bnlab.kernels import cpu; one = np.ones(1); cpu.inference(np.ones((2, 1)), *[one] * 4)"


@pytest.fixture
def environment(tmp_path):
    return os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}  # nothing is compiled yet


def test_a_terminal_is_told_of_a_compilation_and_of_nothing_else(environment):
    said = [pexpect.run(f'{sys.executable} -c "{CODE}"', env=environment, timeout=60).decode() for _ in range(2)]
    assert said == ["compiling bnlab.kernels.columns.inference for float64: some seconds, this once\r\n", ""]


def test_a_file_is_told_nothing(environment):
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, check=True)
    assert done.stdout + done.stderr == b""
