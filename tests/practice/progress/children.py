"""Child processes that use the progress: to be killed, to write at once, or to be refused."""

import sqlite3
import subprocess
import sys
from contextlib import closing

LOAD = """
import os, resource, signal, sqlite3, sys
from bnlab.practice.progress import Progress
from bnlab.practice.progress.file import ProgressFile
progress = Progress(sys.argv[1])
"""
# The file's own SQLite calls us before each statement: what was begun then is in its journal, and never committed.
DIE_BEFORE = """
as_before = ProgressFile._open
def watched(self, mode):
    store = as_before(self, mode)
    store.execute("PRAGMA cache_size = 1")
    store.set_trace_callback(
        lambda statement: os.kill(os.getpid(), signal.SIGKILL) if statement.startswith(sys.argv[2]) else None
    )
    return store
ProgressFile._open = watched
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
