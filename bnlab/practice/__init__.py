"""Exercises, predictions and the interview room.

The home of a name is loaded when the name is asked for: torch takes seconds, and a quiz in a terminal does without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnlab.practice.exercises.checking import check
    from bnlab.practice.exercises.help import hint, list_exercises, restore, solution
    from bnlab.practice.exercises.predictions import calibration, predict, reveal
    from bnlab.practice.explaining import explanations
    from bnlab.practice.interview.asking import ask, recall
    from bnlab.practice.interview.marking import expectations, mark
    from bnlab.practice.interview.pretest import posttest, pretest

__all__ = [
    "ask",
    "calibration",
    "check",
    "expectations",
    "explanations",
    "hint",
    "list_exercises",
    "mark",
    "posttest",
    "predict",
    "pretest",
    "recall",
    "restore",
    "reveal",
    "solution",
]

HOMES = {
    "exercises.checking": {"check"},
    "exercises.help": {"hint", "list_exercises", "restore", "solution"},
    "exercises.predictions": {"calibration", "predict", "reveal"},
    "explaining": {"explanations"},
    "interview.asking": {"ask", "recall"},
    "interview.marking": {"expectations", "mark"},
    "interview.pretest": {"posttest", "pretest"},
}


def __getattr__(name: str) -> Any:
    for home, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
