"""`check`: runs the learner's answer, compares it with the solution, and says what is wrong in words."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bnlab.practice.exercises.diagnosis import Found, agree, check_dtypes, close, diagnose, expected
from bnlab.practice.exercises.misconceptions import MISCONCEPTIONS
from bnlab.practice.exercises.progress import Progress
from bnlab.practice.exercises.running import Fault, Outcome, run
from bnlab.practice.exercises.source import is_stub, source_of
from bnlab.practice.exercises.task import Case, Task
from bnlab.practice.exercises.tasks import task_of
from bnlab.practice.exercises.verdict import Verdict

SMALL = 12  # values that a message prints whole


def check(task: str, attempt: Any) -> Verdict:
    """Check an answer to an exercise, and keep it with the learner's progress.

    The attempt runs on some ten inputs, small ones and awkward ones, for two seconds at most. One call into native code
    that never returns cannot be stopped: restart the kernel then. An untouched stub is neither right nor wrong, and is
    not kept.

    Args:
        task: the id of the exercise; `exercises()` lists them.
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
        verdict = _judged(spec, attempt)
    except NotImplementedError:
        return _not_attempted(spec)
    progress = Progress()
    progress.record_attempt(task, source or "", passed=verdict.passed, misconception=verdict.misconception)
    return verdict if progress.notice is None else _with_notice(verdict, progress.notice)


def _judged(task: Task, attempt: Callable[..., Any]) -> Verdict:
    try:
        outcomes = run(task, attempt)
        check_dtypes(task, outcomes)
    except Fault as fault:
        return _not_yet(task, [fault.misconception], [fault.message, *_explained(fault.misconception)])
    triples = enumerate(zip(task.cases, outcomes, expected(task), strict=True))
    differing = [number for number, (case, ours, right) in triples if not agree(case, ours, right)]
    if not differing:
        return Verdict(passed=True, attempted=True, misconception=None, message=task.after, task=task.id)

    first = differing[0]
    evidence = _evidence(task.cases[first], outcomes[first], expected(task)[first])
    agreeing = len(task.cases) - len(differing)
    if agreeing:
        evidence[0] = f"On {agreeing} of {len(task.cases)} inputs yours agrees. {evidence[0]}"
    found = diagnose(task, outcomes)
    if found is not None:
        return _not_yet(task, list(found.ids), [*_line_of(task, found), *_explained(*found.ids), *evidence])
    shapes_fit = all(outcomes[first][name].shape == right.shape for name, right in expected(task)[first].items())
    named = [] if shapes_fit else ["wrong-shape"]
    return _not_yet(task, named, [*evidence, *_explained(*named)])


def _not_attempted(task: Task) -> Verdict:
    message = f"Write your answer in place of the stub and run the cell again. For a nudge: `hint({task.id!r})`."
    if task.bug is not None:
        message = f"Find the mistake, mend it, and run the cell again. For a nudge: `hint({task.id!r})`."
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


def _line_of(task: Task, found: Found) -> list[str]:
    """The lines that give the learner's numbers: those in which the mistake differs from the solution."""
    if not found.mistakes:
        return []
    wrong = task.source
    for one in found.mistakes:
        for old, new in one.edits:
            wrong = wrong.replace(old, new)
    right = {line.strip() for line in task.source.splitlines()}
    lines = [line.strip() for line in wrong.splitlines() if line.strip() and line.strip() not in right]
    if not lines:
        return []
    return ["Your numbers are those of this code:", "\n".join(f"    {line}" for line in lines)]


def _evidence(case: Case, ours: Outcome, right: Outcome) -> list[str]:
    """What came and what was expected on one case, with a word about which part is off."""
    off = [name for name in right if not close(case, ours[name], right[name])]
    fine = [name for name in right if name not in off]
    name = off[0]
    said = f"On “{case.name}”" + (f", {_names(fine)} as expected, but" if fine else "")
    came, wanted = ours[name], right[name]
    if came.shape != wanted.shape:
        return [f"{said} `{name}` has the shape {came.shape}; expected was {wanted.shape}."]
    if wanted.size <= SMALL:
        values = f"    came      {_values(came)}\n    expected  {_values(wanted)}"
        inputs = [f"    {_values(a)}" for a in case.arguments[:1] if isinstance(a, np.ndarray) and a.size <= SMALL]
        of_input = ["The input was", *inputs] if inputs else []
        return [f"{said} `{name}` differs{_part(case, came, wanted)}.", values, *of_input]
    distance = np.abs(np.where(np.isfinite(came), came, np.inf) - wanted)
    place = np.unravel_index(int(np.argmax(distance)), wanted.shape)
    index = ", ".join(str(int(i)) for i in place)
    worst = f"most at [{index}], where {came[place]:.6g} came and {wanted[place]:.6g} was expected"
    return [f"{said} `{name}` differs{_part(case, came, wanted)}, {worst}."]


def _part(case: Case, came: np.ndarray, wanted: np.ndarray) -> str:
    """Which part is off: one channel, a constant factor, a constant distance, the sign."""
    if not np.isfinite(came).all():
        return ": it holds numbers that are not finite"
    if close(case, came, -wanted):
        return " in its sign"
    with np.errstate(all="ignore"):
        ratio = (came / wanted)[wanted != 0]
    if ratio.size > 1 and np.allclose(ratio, ratio[0], rtol=1e-4):
        return f" by the factor {ratio[0]:.6g}"
    if wanted.size > 1 and np.ptp(came - wanted) < 1e-6 * max(1.0, float(np.abs(came - wanted).max())):
        return f" by {(came - wanted).flat[0]:.6g} everywhere"
    if wanted.ndim > 1 and wanted.shape[1] > 1:
        channels = [c for c in range(wanted.shape[1]) if not close(case, came[:, c], wanted[:, c])]
        if len(channels) == 1:
            return f" in channel {channels[0]} only"
    return ""


def _names(names: list[str]) -> str:
    return f"`{names[0]}` is" if len(names) == 1 else " and ".join(f"`{name}`" for name in names) + " are"


def _values(array: np.ndarray) -> str:
    return str(np.array2string(array, precision=4, suppress_small=True, separator=", ").replace("\n", " "))
