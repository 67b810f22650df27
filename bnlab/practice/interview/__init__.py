"""The interview room: a bank of questions whose answers are run as proofs."""

from bnlab.practice.interview.asking import Asked, Recall, ask, recall
from bnlab.practice.interview.bank import Question, questions
from bnlab.practice.interview.marking import expectations, mark
from bnlab.practice.interview.pretest import posttest, pretest

__all__ = ["Asked", "Question", "Recall", "ask", "expectations", "mark", "posttest", "pretest", "questions", "recall"]
