"""The coding task of a mock: a stub in a file, written on in an editor, and checked like any exercise."""

import linecache
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from bnlab.practice.exercises.checking import check
from bnlab.practice.exercises.guard import OutOfTime, within
from bnlab.practice.exercises.task import Task
from bnlab.practice.exercises.tasks import task_of
from bnlab.practice.interview.bank import Question
from bnlab.practice.interview.room.talk import Left, Talk, sentence

HEAD = "import numpy as np\nimport torch\nfrom torch import nn\n"
SECONDS = 2.0  # for running the file itself, before anything in it is called
SKIP = "s"


class Coding(NamedTuple):
    """What came of a coding task: how many attempts were checked, and whether one passed."""

    exercise: str
    attempts: int
    passed: bool


def code(talk: Talk, question: Question, folder: Path, left: Callable[[], float]) -> Coding:
    """Give a coding task and check the learner's file as often as they like, until it passes or time is up.

    Args:
        talk: the conversation.
        question: of the bank, with an exercise.
        folder: where the file is made.
        left: seconds that are left; an answer in hand is still checked when there are none.
    """
    task = task_of(question.exercise or "")
    outcome = Coding(task.id, 0, passed=False)
    talk.say(question.prompt)
    try:
        file = write_stub(task, folder)
    except OSError as error:
        talk.say(f"The task is left out, since its file could not be written: {error}.")
        return outcome
    todo = "The code in this file has a mistake. Find it and mend it:" if task.bug else "Write it in this file:"
    talk.write(f"{todo}\n  {file}\n")
    outcome = _checked(talk, task, file, left)
    talk.say(f"`bnlab interview show {question.id}` prints what a full answer says beside the code.")
    return outcome


def _checked(talk: Talk, task: Task, file: Path, left: Callable[[], float]) -> Coding:
    outcome = Coding(task.id, 0, passed=False)
    while True:
        talk.write("Edit and save it, then press Enter to have it checked; s skips the task.")
        if _skipped(talk):
            return outcome
        try:
            verdict = check(task.id, attempt_in(file, task))
        except ValueError as error:
            talk.say(sentence(error))
        else:
            talk.say(*_verdict(verdict.headline, verdict.message) if verdict.attempted else [_untouched(task)])
            outcome = Coding(task.id, outcome.attempts + verdict.attempted, verdict.passed)
        if outcome.passed or left() <= 0:
            return outcome


def write_stub(task: Task, folder: Path) -> Path:
    """A new file with the task's stub; one that is there already is left alone.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = f"{HEAD}\n\n{task.stub}\n"
    for number in count(1):
        file = folder / (f"{task.id}.py" if number == 1 else f"{task.id}_{number}.py")
        try:
            with file.open("x", encoding="utf-8") as stream:
                stream.write(text)
        except FileExistsError:
            continue
        except OSError:
            file.unlink(missing_ok=True)
            raise
        return file
    raise AssertionError


def attempt_in(file: Path, task: Task) -> Any:
    """The function or class that the learner's file defines, with a source that can be read.

    Raises:
        ValueError: the file cannot be read or run, or does not define it.
    """
    scope = scope_of(file, SECONDS)
    if task.name not in scope:
        raise ValueError(f"expected {task.name} in the file, got a file without it")
    return scope[task.name]


def scope_of(file: Path, seconds: float) -> dict[str, Any]:
    """What a file of the learner's defines, by name; what it prints is not shown.

    Raises:
        ValueError: one line: it cannot be read or run, or runs too long.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"expected a file that can be read, got: {error}") from None
    name = f"<{file.name}>"  # not its path: the lines of what holds "bnlab" are not the learner's to `check`
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    scope: dict[str, Any] = {"__name__": file.stem}
    try:
        compiled = compile(text, name, "exec")
        with redirect_stdout(StringIO()):
            within(seconds, exec, compiled, scope)
    except SyntaxError as error:
        raise ValueError(f"line {error.lineno}: {error.msg}; mend it, save, and try again") from None
    except OutOfTime:
        raise ValueError(
            f"expected a file that only defines things, got one that runs longer than {seconds:g} s"
        ) from None
    except (Exception, SystemExit) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"expected a file that runs, got {said}") from None
    return scope


def _skipped(talk: Talk) -> bool:
    try:
        return talk.line().lower() == SKIP
    except Left:  # nothing comes after the coding task
        return True


def _verdict(headline: str, message: str) -> list[str]:
    return [headline.replace("`", ""), *message.split("\n\n")]


def _untouched(task: Task) -> str:
    todo = "mend the mistake in it" if task.bug else "write your answer in place of the dots"
    return f"The file still holds the stub: {todo}, save, and press Enter."
