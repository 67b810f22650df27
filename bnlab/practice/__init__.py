"""Exercises, predictions and the interview room."""

from bnlab.practice.exercises.checking import check
from bnlab.practice.exercises.help import exercises, hint, restore, solution
from bnlab.practice.exercises.predictions import calibration, predict, reveal
from bnlab.practice.interview import ask, expectations, mark, posttest, pretest, recall

__all__ = [
    "ask",
    "calibration",
    "check",
    "exercises",
    "expectations",
    "hint",
    "mark",
    "posttest",
    "predict",
    "pretest",
    "recall",
    "restore",
    "reveal",
    "solution",
]
