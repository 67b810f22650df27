"""Child processes that use the progress: to be killed, to write at once, or to be refused."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import bnlab

ROOT = Path(bnlab.__file__).parent

# A child process does not run the __init__ of bnlab and of bnlab.practice, which imports torch: a child that is to be
# killed after some milliseconds must not take seconds to start.
LOAD = f"""
import os, resource, sqlite3, sys, types
for name, path in (("bnlab", {str(ROOT)!r}), ("bnlab.practice", {str(ROOT / "practice")!r})):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]
from bnlab.practice.progress import Progress
progress = Progress(sys.argv[1])
"""


def start(code, directory, *arguments, **options):
    command = [sys.executable, "-c", LOAD + code, str(directory), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)


def run(code, directory, *arguments):
    child = start(code, directory, *arguments)
    output, _ = child.communicate("\n", timeout=60)
    assert child.returncode == 0
    return output.splitlines()


def ask(path, statement):
    with closing(sqlite3.connect(path)) as store, store:  # the latter commits
        return store.execute(statement).fetchall()
