"""Finds out which mistake explains an attempt: the wrong implementation that gives the same numbers on every case."""

from collections.abc import Iterator
from functools import cache
from itertools import combinations
from typing import NamedTuple

import numpy as np

from bnlab.practice.exercises.running import FLOATS, Fault, Outcome, outcome, run
from bnlab.practice.exercises.task import Case, Mistake, Task

# By the less precise of the two: room for any order of summation, while every mistake moves some case by 1% or more.
RTOL = {np.dtype(np.float16): 3e-3, np.dtype(np.float32): 1e-4, np.dtype(np.float64): 1e-8}


class Found(NamedTuple):
    """The mistakes that explain an attempt, and whether its variance also cancels."""

    mistakes: tuple[Mistake, ...]
    cancels: bool

    @property
    def ids(self) -> tuple[str, ...]:
        """The misconceptions, in order, none twice."""
        ids = [one.misconception for one in self.mistakes] + ["one-pass-cancellation"] * self.cancels
        return tuple(dict.fromkeys(ids))


@cache
def expected(task: Task) -> list[Outcome]:
    """What the solution gives on every case."""
    return run(task, task.solution)


def agree(case: Case, one: Outcome, other: Outcome) -> bool:
    """Whether two outcomes of a case have the same results."""
    return one.keys() == other.keys() and all(close(case, one[name], other[name]) for name in other)


def close(case: Case, one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two results agree in shape and everywhere in value, relative to the largest value or to 1.

    They need not be more precise than their dtypes and those of the case's input allow.
    """
    if one.shape != other.shape:
        return False
    inputs = [argument for argument in case.arguments if isinstance(argument, np.ndarray)]
    rtol = max(RTOL.get(array.dtype, 1e-8) for array in (one, other, *inputs))
    finite = np.abs(other[np.isfinite(other)])
    scale = max(1.0, float(finite.max(initial=0)))  # of a gradient that is 0, only rounding is left
    return bool(np.allclose(one, other, rtol=rtol, atol=rtol * scale, equal_nan=True))


def check_dtypes(task: Task, outcomes: list[Outcome]) -> None:
    """Refuses results of another dtype than float32 and float64 where the solution gives these.

    Integers may stand for whole numbers and for what is infinite: the last step in place of "never" is a mistake of
    another kind.

    Raises:
        Fault: with the misconception "wrong-dtype".
    """
    for case, ours, right in zip(task.cases, outcomes, expected(task), strict=True):
        for name in ours.keys() & right.keys():
            countable = ours[name].dtype.kind in "iu" and np.array_equal(right[name], np.round(right[name]))
            if right[name].dtype.type in FLOATS and ours[name].dtype.type not in FLOATS and not countable:
                found = f"`{name}` is of {ours[name].dtype} on the case “{case.name}”"
                raise Fault("wrong-dtype", f"{found}, where float32 or float64 was expected.")


def diagnose(task: Task, outcomes: list[Outcome]) -> Found | None:
    """The mistake, or the pair of mistakes, whose numbers these are; None where no named mistake explains them."""
    kept = [number for number, case in enumerate(task.cases) if not case.cancels]
    others = [number for number, case in enumerate(task.cases) if case.cancels]

    def explained(numbers: list[int], *mistakes: Mistake) -> bool:
        # Case by case, the smallest first: it rules nearly every candidate out.
        theirs = ((number, _outcome(task, mistakes, number)) for number in numbers)
        return all(right is not None and agree(task.cases[number], outcomes[number], right) for number, right in theirs)

    if explained(kept):
        return Found((), cancels=True)
    for mistakes in [*((one,) for one in task.mistakes), *_pairs(task, outcomes[0])]:
        if explained(kept, *mistakes):
            return Found(mistakes, cancels=not explained(others, *mistakes))
    return None


def _pairs(task: Task, ours: Outcome) -> Iterator[tuple[Mistake, ...]]:
    """Pairs of mistakes, one of which at least gives one of our wrong results on the smallest case."""
    smallest, right = task.cases[0], expected(task)[0]
    wrong = [name for name in right if name in ours and not close(smallest, ours[name], right[name])]

    def partly_explains(one: Mistake) -> bool:
        theirs = _outcome(task, (one,), 0)
        return theirs is not None and any(
            name in theirs and close(smallest, ours[name], theirs[name]) for name in wrong
        )

    # With one result there are no parts to explain, and a plain function is quick enough to try every pair.
    promising = [task.trial is None or partly_explains(one) for one in task.mistakes]
    for (one, may_be), (other, other_may_be) in combinations(zip(task.mistakes, promising, strict=True), 2):
        if one.misconception != other.misconception and (may_be or other_may_be):
            yield one, other


@cache
def _outcome(task: Task, mistakes: tuple[Mistake, ...], number: int) -> Outcome | None:
    """None where the mistakes do not go together, or where their code fails on the case."""
    try:
        return outcome(task, task.wrong(*mistakes), task.cases[number])
    except Exception:  # whatever the edited code may do
        return None
