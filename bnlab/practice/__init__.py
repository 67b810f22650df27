"""Exercises, predictions and the interview room."""

from bnlab.practice.exercises.checking import check
from bnlab.practice.exercises.help import exercises, hint, restore, solution

__all__ = ["check", "exercises", "hint", "restore", "solution"]
