"""Shows where an attempt differs: the smallest input on which it is plain, what came, what was expected, which part."""

import re

import numpy as np

from bnlab.practice.exercises.diagnosis import agree, close, expected
from bnlab.practice.exercises.running import Outcome, parameters
from bnlab.practice.exercises.task import Case, Task

WIDTH = 64  # characters of an array that is shown whole
PLAIN = 1e-3  # a difference, relative to the largest value, that a reader sees


def evidence(task: Task, outcomes: list[Outcome]) -> list[str]:
    """Paragraphs about an attempt that differs from the solution on at least one case."""
    triples = list(zip(task.cases, outcomes, expected(task), strict=True))
    plain = [triple for triple in triples if _distance(*triple) > PLAIN]
    differing = plain or [triple for triple in triples if not agree(*triple)]
    case, ours, right = differing[0]
    first, *others = _on_case(task, case, ours, right)
    agreeing = [other.name for other, _, _ in triples if all(other is not one for one, _, _ in differing)]
    return [f"{_agreement(agreeing, len(triples))}On “{case.name}” {first}", *others]


def _agreement(names: list[str], of: int) -> str:
    if not names:
        return ""
    if len(names) > 2:
        return f"On {len(names)} of {of} inputs yours agrees, to three digits at least. "
    return f"Yours agrees only on {' and '.join(f'“{name}”' for name in names)}. "


def _distance(case: Case, ours: Outcome, right: Outcome) -> float:
    """The largest difference of any result, relative to its largest value; infinite where shapes differ."""
    distances = []
    for name, wanted in right.items():
        if close(case, ours[name], wanted):
            continue
        if ours[name].shape != wanted.shape or not np.isfinite([ours[name], wanted]).all():
            return np.inf
        scale = max(1.0, float(np.abs(wanted).max(initial=0)))
        distances.append(float(np.abs(ours[name] - wanted).max(initial=0)) / scale)
    return max(distances, default=0.0)


def _on_case(task: Task, case: Case, ours: Outcome, right: Outcome) -> list[str]:
    off = [name for name in right if not close(case, ours[name], right[name])]
    fine = [name for name in right if name not in off]
    name = off[0]
    said = f"`{name}` differs"
    if 0 < len(fine) <= 2:
        said = f"{' and '.join(f'`{one}`' for one in fine)} came as expected, but {said}"
    elif fine:
        said = f"{len(fine)} of {len(right)} results came as expected; {said}"
    came, wanted = ours[name], right[name]
    if came.shape != wanted.shape:
        return [f"{said}: its shape is {came.shape}, expected was {wanted.shape}."]
    if len(_values(wanted)) <= WIDTH and len(_values(came)) <= WIDTH:
        values = f"    came      {_values(came)}\n    expected  {_values(wanted)}"
        return [f"{said}{_part(case, came, wanted)}.", values, *_arguments(task, case)]
    distance = np.abs(np.where(np.isfinite(came), came, np.inf) - wanted)
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(distance)), wanted.shape))
    worst = f"most at [{', '.join(map(str, place))}], where {came[place]:.6g} came and {wanted[place]:.6g} was expected"
    return [f"{said}{_part(case, came, wanted)}, {worst}."]


def _arguments(task: Task, case: Case) -> list[str]:
    """What the function was called with, as far as it is short."""
    if task.trial is not None:
        return []
    names = parameters(task)
    width = max(map(len, names))
    given = zip(names, case.arguments, strict=True)
    shown = {name: _values(np.asarray(a)) if isinstance(a, np.ndarray) else str(a) for name, a in given if _plain(a)}
    lines = [f"    {name:{width}}  {text}" for name, text in shown.items() if len(text) <= WIDTH - 6]
    return ["The arguments there:", "\n".join(lines)] if lines else []


def _plain(argument: object) -> bool:
    return isinstance(argument, np.ndarray | int | float | str) or type(argument) is tuple


def _part(case: Case, came: np.ndarray, wanted: np.ndarray) -> str:
    """Which part is off: one channel, a constant factor, a constant distance, the sign."""
    if not np.isfinite(came).all():
        return ": it holds numbers that are not finite"
    if close(case, came, -wanted):
        return " in its sign"
    with np.errstate(all="ignore"):
        ratio = (came / wanted)[wanted != 0]
    if ratio.size > 1 and ratio[0] and np.allclose(ratio, ratio[0], rtol=1e-4) and not came[wanted == 0].any():
        return f" by the factor {ratio[0]:.4g}"
    if wanted.size > 1 and np.ptp(came - wanted) < 1e-6 * max(1.0, float(np.abs(came - wanted).max())):
        return f" by {(came - wanted).flat[0]:.4g} everywhere"
    if wanted.ndim > 1 and wanted.shape[1] > 1:
        channels = [c for c in range(wanted.shape[1]) if not close(case, came[:, c], wanted[:, c])]
        if len(channels) == 1:
            return f" in channel {channels[0]} only"
    return ""


def _values(array: np.ndarray) -> str:
    """On one line, with four digits."""
    return re.sub(r"\s*\n\s*", " ", np.array2string(array, precision=4, suppress_small=True, separator=", "))
