"""The exercises, in the order of the chapters."""

from bnlab.practice.exercises.task import Task
from bnlab.practice.exercises.tasks import (
    alternatives,
    backward,
    clinic,
    explanations,
    family,
    forward,
    inference,
    interview,
    kernels,
    measuring,
    modules,
    noise,
    recurrent,
    residual,
    sequences,
    serving,
    shapes,
    signals,
    small_batches,
    statistics,
)

TASKS = {
    task.id: task
    for task in (
        *shapes.TASKS,
        *signals.TASKS,
        *forward.TASKS,
        *statistics.TASKS,
        *family.TASKS,
        *backward.TASKS,
        *inference.TASKS,
        *modules.TASKS,
        *measuring.TASKS,
        *noise.TASKS,
        *residual.TASKS,
        *sequences.TASKS,
        *recurrent.TASKS,
        *clinic.TASKS,
        *alternatives.TASKS,
        *small_batches.TASKS,
        *explanations.TASKS,
        *kernels.TASKS,
        *serving.TASKS,
        *interview.TASKS,
    )
}


def task_of(id: str) -> Task:  # noqa: A002 - that is what it is called everywhere
    """The exercise of this id.

    Raises:
        ValueError: there is none.
    """
    if id not in TASKS:
        raise ValueError(f"expected the id of an exercise ({', '.join(TASKS)}), got {id!r}")
    return TASKS[id]
