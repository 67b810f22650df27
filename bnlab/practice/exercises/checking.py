"""`check`: runs the learner's answer, compares it with the solution, and says what is wrong in words."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from bnlab.practice.exercises.diagnosis import Found, agree, check_dtypes, diagnose, expected
from bnlab.practice.exercises.evidence import evidence
from bnlab.practice.exercises.misconceptions import MISCONCEPTIONS
from bnlab.practice.exercises.running import Fault, run
from bnlab.practice.exercises.source import is_stub, source_of
from bnlab.practice.exercises.task import Task, edited
from bnlab.practice.exercises.tasks import task_of
from bnlab.practice.exercises.verdict import Verdict
from bnlab.practice.progress import Progress


def check(task: str, attempt: Any) -> Verdict:
    """Check an answer to an exercise, and keep it with the learner's progress.

    The attempt runs on some ten inputs, small ones and awkward ones, for two seconds at most. One call into native code
    that never returns cannot be stopped: restart the kernel then. An untouched stub is neither right nor wrong, and is
    not kept.

    Args:
        task: the id of the exercise; `list_exercises()` lists them.
        attempt: a function, or where the exercise asks for one a class, in NumPy or torch, float32 or float64.

    Returns:
        The verdict, which shows itself in a notebook and in a terminal.

    Raises:
        ValueError: there is no such exercise, or `attempt` cannot be called.
    """
    spec = task_of(task)
    if not callable(attempt):
        kind = "class" if inspect.isclass(spec.solution) else "function"
        raise ValueError(f"expected your {kind} for {task!r}, got {type(attempt).__name__}")  # noqa: TRY004
    source = source_of(attempt)
    if source is not None and is_stub(source, spec):
        return _not_attempted(spec)
    try:
        verdict = judged(spec, attempt)
    except NotImplementedError:
        return _not_attempted(spec)
    progress = Progress()
    progress.record_attempt(task, source or "", passed=verdict.passed, misconception=verdict.misconception)
    return verdict if progress.notice is None else _with_notice(verdict, progress.notice)


def judged(task: Task, attempt: Callable[..., Any]) -> Verdict:
    """The verdict on an attempt that is no stub; nothing is kept of it.

    Raises:
        NotImplementedError: the attempt raised that.
    """
    try:
        outcomes = run(task, attempt)
        check_dtypes(task, outcomes)
    except Fault as fault:
        return _not_yet(task, [fault.misconception], [fault.message, *_explained(fault.misconception)])
    if all(map(agree, task.cases, outcomes, expected(task))):
        return Verdict(passed=True, attempted=True, misconception=None, message=task.after, task=task.id)
    shown = evidence(task, outcomes)
    found = diagnose(task, outcomes)
    if found is not None:
        return _not_yet(task, list(found.ids), [*_lines_of(task, found), *_explained(*found.ids), *shown])
    shapes_fit = all(
        ours[name].shape == right[name].shape
        for ours, right in zip(outcomes, expected(task), strict=True)
        for name in right
    )
    named = [] if shapes_fit else ["wrong-shape"]
    return _not_yet(task, named, [*shown, *_explained(*named)])


def _not_attempted(task: Task) -> Verdict:
    todo = "Write your answer in place of the stub" if task.bug is None else "Find the mistake, mend it"
    message = f"{todo}, and run the cell again. For a nudge: `hint({task.id!r})`, from `bnlab.practice`."
    return Verdict(passed=False, attempted=False, misconception=None, message=message, task=task.id)


def _not_yet(task: Task, named: Sequence[str | None], paragraphs: list[str]) -> Verdict:
    first, second, *_ = [*named, None, None]
    return Verdict(
        passed=False, attempted=True, misconception=first, message="\n\n".join(paragraphs), task=task.id, also=second
    )


def _with_notice(verdict: Verdict, notice: str) -> Verdict:
    return Verdict(**{**vars(verdict), "message": f"{verdict.message}\n\n{notice}"})


def _explained(*ids: str | None) -> list[str]:
    paragraphs = []
    for one in filter(None, ids):
        misconception = MISCONCEPTIONS[one]
        paragraphs += [misconception.why, *([f"See {misconception.see}."] if misconception.see else [])]
    return paragraphs


def _lines_of(task: Task, found: Found) -> list[str]:
    """The code that gives the learner's numbers: the lines in which the mistake differs from the solution."""
    wrong = task.source
    for one in found.mistakes:
        wrong = edited(wrong, one)
    lines = [line.strip() for line in wrong.splitlines()]
    right = {line.strip() for line in task.source.splitlines()} | {"pass"}
    changed = [f"    {line}" for line in lines if line not in right]
    return ["Your numbers are those of this code:", "\n".join(changed)] if changed else []
