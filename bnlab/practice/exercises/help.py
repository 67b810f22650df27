"""What a learner can ask for beside a check: a hint, the solution, their own saved code, the list of exercises."""

import html

from bnlab.practice.exercises.tasks import TASKS, task_of
from bnlab.practice.exercises.verdict import Note, code
from bnlab.practice.progress import Progress, TaskSummary


def hint(task: str, level: int = 1) -> Note:
    """A hint for an exercise; each level gives away more than the one before.

    Args:
        task: the id of the exercise.
        level: from 1, a nudge, to the last, which is nearly the answer.

    Raises:
        ValueError: there is no such exercise, or no hint of this level.

    Example:
        >>> hint("count_parameters")
        count_parameters, hint 1 of 2.
        <BLANKLINE>
        Which numbers of the layer get a gradient? Which does it only keep?
        <BLANKLINE>
        For more: `hint('count_parameters', 2)`.
    """
    hints = task_of(task).hints
    if not 1 <= level <= len(hints):
        raise ValueError(f"expected a level from 1 to {len(hints)} for {task!r}, got {level}")
    more = f"\n\nFor more: `hint({task!r}, {level + 1})`." if level < len(hints) else ""
    return Note(f"{task}, hint {level} of {len(hints)}.", hints[level - 1] + more)


def solution(task: str) -> Note:
    """The solution of an exercise, once it is passed or has been asked for twice.

    Raises:
        ValueError: there is no such exercise.
    """
    spec, progress = task_of(task), Progress()
    passed = any(attempt.passed for attempt in progress.attempts(task))
    asked_before = progress.count_requests(task, "solution") > 0
    progress.record_request(task, "solution")
    if passed or asked_before:
        return Note(f"{task}, the solution.", code(spec.source))
    nudge = f"Try once more first, or ask for `hint({task!r}, {len(spec.hints)})`. Ask again to see it anyway."
    return Note(f"{task}: not passed yet.", nudge)


def restore(task: str, number: int | None = None) -> Note:
    """The code that you checked, as it was saved.

    Args:
        task: the id of the exercise.
        number: which attempt, counted from 1; None for the latest.

    Raises:
        ValueError: there is no such exercise, or no such attempt.
    """
    task_of(task)
    attempts = Progress().attempts(task)
    if not attempts:
        return Note(f"{task}: nothing saved yet.", "Each `check` of an attempt keeps its code.")
    if number is None:
        number = len(attempts)
    if not 1 <= number <= len(attempts):
        raise ValueError(f"expected an attempt from 1 to {len(attempts)} of {task!r}, got {number}")
    attempt = attempts[number - 1]
    outcome = "passed" if attempt.passed else attempt.misconception or "not yet"
    saved = code(attempt.source) if attempt.source else "Its code could not be read, as where it was typed at a prompt."
    return Note(f"{task}, attempt {number} of {len(attempts)}: {outcome}.", saved)


class Exercises:
    """Every exercise, with the learner's progress."""

    def __init__(self) -> None:
        summary = Progress().summary()
        self.rows = [
            (task.chapter, task.id, task.level, _state(summary.get(task.id)))
            for task in sorted(TASKS.values(), key=lambda task: task.chapter)
        ]

    def __repr__(self) -> str:
        return "\n".join(f"{chapter}  {id_:27} {level:8} {state}".rstrip() for chapter, id_, level, state in self.rows)

    def _repr_html_(self) -> str:
        head = "<tr><th>chapter</th><th>exercise</th><th>level</th><th>you</th></tr>"
        rows = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in self.rows]
        return f"<table>{head}{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def list_exercises() -> Exercises:
    """The list of exercises by chapter, each with its level and how far you are.

    Example:
        >>> list_exercises().rows[0][:3]
        ('01', 'predict_shapes', 'easy')
    """
    return Exercises()


def _state(summary: TaskSummary | None) -> str:
    if summary is None:
        return ""
    tries = f"{summary.attempts} attempt{'s' if summary.attempts > 1 else ''}"
    return f"passed, {tries}" if summary.passed else f"{tries}, last: {summary.misconception or 'not named'}"
