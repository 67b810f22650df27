"""How an answer is marked: the points of the rubric that it made, as a share of all their weight."""

from collections.abc import Iterable
from datetime import UTC, datetime

import numpy as np
from matplotlib.figure import Figure

from bnlab import figures
from bnlab.practice.exercises.verdict import Note
from bnlab.practice.interview.asking import question_of
from bnlab.practice.interview.schedule import next_due
from bnlab.practice.progress import Progress


def mark(
    id: str,  # noqa: A002 - that is what it is called everywhere
    points: Iterable[int],
    red_flags: Iterable[int] = (),
    confidence: int | None = None,
) -> Note:
    """Keep how you answered a question of the bank, and say when to answer it again.

    Args:
        id: of the question.
        points: numbers, from 1, of the rubric's points that you made; `[]` if you made none.
        red_flags: numbers, from 1, of the red flags that you said.
        confidence: how much of a full answer you expected to give, in whole percent; best written down before you
            answer. None for no guess.

    Returns:
        What share of a full answer it was, what was missing, and when the question comes back.

    Raises:
        ValueError: there is no such question, point or red flag, or the confidence is no percentage; nothing is kept.
    """
    question, progress = question_of(id), Progress()
    made = numbers_in("points", points, len(question.rubric))
    said = numbers_in("red_flags", red_flags, len(question.red_flags))
    check_confidence(confidence)
    score = question.score(made)
    progress.record_answer(id, kind="notebook", points=made, red_flags=said, score=score, confidence=confidence)
    back = next_due(progress.answers(question=id), datetime.now(UTC))
    missing = [one.point for number, one in enumerate(question.rubric, start=1) if number not in made]
    paragraphs = [
        f"Not made: {'; '.join(missing)}." if missing else "Every point of the rubric was made.",
        *(f"You said “{flag.says}” {flag.why}" for flag in (question.red_flags[number - 1] for number in said)),
        "" if confidence is None else f"You had expected {confidence}%.",
        "" if back is None else f"It comes back on {back.astimezone():%d %B %Y}.",
        progress.notice or "",
    ]
    return Note(f"{id}: {100 * score:.0f}% of a full answer.", "\n\n".join(filter(None, paragraphs)))


def check_confidence(confidence: int | None) -> None:
    """Refuse what is no share of a full answer that somebody expects.

    Raises:
        ValueError: it is neither None nor a whole percentage from 0 to 100.
    """
    if confidence is not None and (type(confidence) is not int or not 0 <= confidence <= 100):
        raise ValueError(f"confidence: expected a whole percentage from 0 to 100, or None, got {confidence!r}")


def expectations() -> Figure | Note:
    """How much of a full answer you gave, against how much you expected; a note as long as there is nothing to draw."""
    progress = Progress()
    guessed = [answer for answer in progress.answers() if answer.confidence is not None]
    if not guessed:
        how = 'Say what you expect when you mark yourself, as in `mark("derive-dx", [1, 3], confidence=60)`.'
        return Note("No expectations yet.", "\n\n".join(filter(None, [how, progress.notice])))
    confidence = np.array([answer.confidence for answer in guessed])
    return figures.confidence_against_score(confidence, np.array([answer.score for answer in guessed]))


def numbers_in(name: str, given: Iterable[int], most: int) -> tuple[int, ...]:
    """Numbers of points or of red flags in order, none twice.

    Raises:
        ValueError: one of them is no number from 1 to `most`.
    """
    listed = list(given) if isinstance(given, Iterable) else [None]
    for one in listed:
        if type(one) is not int or not 1 <= one <= most:
            raise ValueError(f"{name}: expected numbers from 1 to {most}, such as [1, 3], got {given!r}")
    return tuple(sorted(set(listed)))
