"""Runs an attempt on a case: the arguments it gets, what may go wrong on the way, and its results as arrays."""

import copy
import inspect
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from bnlab.practice.exercises.guard import OutOfTime, within
from bnlab.practice.exercises.task import Case, Task

TIME_LIMIT = 2.0  # seconds for all cases together
Outcome = dict[str, np.ndarray]
FLOATS = (np.float32, np.float64)


class Fault(Exception):  # noqa: N818 - a fault of the learner's code, not an error of ours
    """An attempt that gives no numbers to compare.

    Attributes:
        misconception: the id of the mistake.
        message: what happened, for the learner.
    """

    def __init__(self, misconception: str | None, message: str) -> None:
        super().__init__(message)
        self.misconception = misconception
        self.message = message


def run(task: Task, attempt: Callable[..., Any]) -> list[Outcome]:
    """The attempt's results on every case of the task, within the time limit.

    An attempt that cannot work with NumPy arrays is tried with torch tensors. Warnings are silenced: a division by zero
    shows in the numbers.

    Raises:
        Fault: it raised, took too long, returned nothing or no numbers, or changed its arguments.
        NotImplementedError: it raised that.
    """
    try:
        return _within_limit(task, attempt, np.array)
    except Fault as fault:
        if task.trial is not None or fault.misconception != "raises":
            raise
        try:
            return _within_limit(task, attempt, torch.tensor)
        except Fault as of_tensors:
            raise (fault if of_tensors.misconception == "raises" else of_tensors) from None


def outcome(task: Task, attempt: Callable[..., Any], case: Case, copied: Callable[[Any], Any] = np.array) -> Outcome:
    """The attempt's results on one case, each array argument copied by `copied`.

    Raises:
        Fault: it returned nothing or no numbers, or changed its arguments.
        Exception: whatever it raised.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if task.trial is not None:
            return {name: _as_array(name, result, case) for name, result in task.trial(attempt, case).items()}
        given = [_copy(argument, copied) for argument in case.arguments]
        positional, by_name = _bound(task, attempt, given)
        results = attempt(*positional, **by_name)
        for name, before, after in zip(parameters(task), case.arguments, given, strict=True):
            if not _same(before, after):
                raise Fault("mutates-input", f"After the call on “{case.name}”, `{name}` holds other values.")
        return _named(task, results, case)


def _within_limit(task: Task, attempt: Callable[..., Any], copied: Callable[[Any], Any]) -> list[Outcome]:
    deadline = time.monotonic() + TIME_LIMIT
    outcomes = []
    for case in task.cases:
        try:
            outcomes.append(within(max(deadline - time.monotonic(), 0.01), outcome, task, attempt, case, copied))
        except (Fault, NotImplementedError):
            raise
        except OutOfTime:
            raise Fault("too-slow", f"It was stopped: {TIME_LIMIT:g} seconds had passed.") from None
        except Exception as error:
            raise Fault("raises", f"On “{case.name}” it raised {_in_words(error)}") from None
    return outcomes


def _named(task: Task, results: Any, case: Case) -> Outcome:
    if results is None:
        raise Fault("returns-none", f"It returned None where {_listed(task.returns)} was expected.")
    if len(task.returns) == 1:
        results = (results,)
    elif not isinstance(results, tuple | list):
        one = type(results).__name__
        raise Fault("wrong-number-of-results", f"It returned one {one} where {_listed(task.returns)} was expected.")
    if len(results) != len(task.returns):
        many = len(results)
        raise Fault(
            "wrong-number-of-results", f"It returned {many} results where {_listed(task.returns)} was expected."
        )
    return {name: _as_array(name, result, case) for name, result in zip(task.returns, results, strict=True)}


def _as_array(name: str, result: Any, case: Case) -> np.ndarray:
    if result is None:
        raise Fault("returns-none", f"`{name}` is None on “{case.name}”.")
    if isinstance(result, torch.Tensor):
        result = result.detach().cpu()
        result = result.float().numpy().astype(np.float16) if result.dtype == torch.bfloat16 else result.numpy()
    try:
        array = np.asarray(result)
    except ValueError:
        raise Fault("wrong-shape", f"`{name}` is no array: its rows have different lengths.") from None
    if array.dtype.kind not in "biuf":
        raise Fault("wrong-dtype", f"`{name}` holds {array.dtype} where numbers were expected.")
    return array


def _copy(argument: Any, copied: Callable[[Any], Any]) -> Any:
    if isinstance(argument, np.ndarray):
        return copied(argument)
    if isinstance(argument, tuple) and hasattr(argument, "_fields"):  # the Cache of the forward pass
        return type(argument)(*(_copy(value, copied) for value in argument))
    return copy.deepcopy(argument)


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, tuple) and hasattr(before, "_fields"):
        return all(map(_same, before, after))
    if isinstance(before, str) or callable(before):  # which nobody can change
        return True
    return bool(np.array_equal(np.asarray(before), np.asarray(after), equal_nan=True))


def parameters(task: Task) -> list[str]:
    """The names of the solution's parameters."""
    return list(inspect.signature(task.solution).parameters)


def _bound(task: Task, attempt: Callable[..., Any], given: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    """By position as far as the attempt allows it, the rest by name: the learner's names need not be ours."""
    try:
        theirs = inspect.signature(attempt).parameters.values()
    except ValueError:  # a built-in
        return given, {}
    kinds = [parameter.kind for parameter in theirs]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return given, {}
    count = sum(kind in {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD} for kind in kinds)
    only_by_name = {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}
    if count < len(given) and not only_by_name & set(kinds):
        names = ", ".join(parameters(task))
        raise Fault("raises", f"Your function takes {count} arguments where {len(given)} were expected: {names}.")
    return given[:count], dict(zip(parameters(task)[count:], given[count:], strict=True))


def _in_words(error: Exception) -> str:
    """The error and the line of the learner's that it came from."""
    line = ""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "bnlab" not in file and "site-packages" not in file:
            line = f", at line {trace.tb_lineno} of `{trace.tb_frame.f_code.co_name}`"
        trace = trace.tb_next
    return f"`{type(error).__name__}: {str(error).strip()[:300]}`{line}."


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"({', '.join(names)})"
