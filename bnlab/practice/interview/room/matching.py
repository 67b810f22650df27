"""Which points of a rubric a typed answer seems to touch: a suggestion, never a verdict."""

import re

from bnlab.practice.interview.bank import Question


def suggest(question: Question, text: str) -> tuple[int, ...]:
    """The numbers, from 1, of the points of which a key phrase stands in the text, as whole words.

    Case, punctuation and line ends do not matter. A phrase that is denied or misused matches all the same, and a point
    made in other words does not: whoever marks decides.

    Args:
        question: whose rubric's points have key phrases.
        text: the answer as it was typed.
    """
    words = _words(text)
    return tuple(
        number
        for number, point in enumerate(question.rubric, start=1)
        if any(_words(phrase) in words for phrase in point.says)
    )


def _words(text: str) -> str:
    """The words between blanks, with one at both ends, so that a part of a word is not found."""
    words = " ".join(re.findall(r"\w+", text.lower()))
    return f" {words} "
