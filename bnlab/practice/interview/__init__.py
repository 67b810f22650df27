"""The interview room: a bank of questions whose answers are run as proofs."""

from bnlab.practice.interview.asking import Asked, Recall, ask, recall
from bnlab.practice.interview.bank import Question, questions

__all__ = ["Asked", "Question", "Recall", "ask", "questions", "recall"]
