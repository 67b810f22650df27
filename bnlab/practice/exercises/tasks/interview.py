"""The exercise on an answer: what is sound in a published one, what is contested, what nothing supports, what lacks."""

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from bnlab.practice.exercises.running import Fault
from bnlab.practice.exercises.task import Case, Mistake, Task, mistake

STATEMENTS: Mapping[int, str] = MappingProxyType(
    {
        1: "Batch normalisation standardises each feature of a layer over the mini-batch.",
        2: "Then a learned scale and a learned shift are applied.",
        3: "So it maintains a consistent distribution of the inputs of every layer.",
        4: "It reduces internal covariate shift, and that is why networks train faster.",
        5: "It permits larger learning rates and is less sensitive to the initial weights.",
        6: "The noise of the batch's statistics regularises a little.",
        7: "It improves the interpretability of the network.",
        8: "A network with it is more accurate, at any learning rate.",
    }
)
VERDICTS = ("sound", "contested", "unsupported")
POINTS = 6  # of the rubric of the question that it answers, "what-is-batch-norm"


def grade_the_answer():
    """The verdict on each statement of the answer, and the points of the rubric that it does not make.

    Returns two things: a dict from the number of each statement, 1 to 8, to a verdict, and a set of numbers of points,
    from 1 to 6.

    "sound": experts agree, and it is measured.
    "contested": experts or experiments disagree about it.
    "unsupported": another statement or a measurement contradicts it, or nothing is known that supports it.
    """
    verdicts = {
        1: "sound",
        2: "sound",
        3: "unsupported",
        4: "contested",
        5: "sound",
        6: "sound",
        7: "unsupported",
        8: "unsupported",
    }
    missing = {3, 5, 6}
    return verdicts, missing


def try_grading(attempt: Callable[..., Any], case: Case) -> dict[str, Any]:  # noqa: ARG001 - the answer is always the same
    """The verdicts as numbers, statement by statement, and for each point whether it is said to be missing."""
    given = attempt()
    if given is None:
        raise Fault("returns-none", "It returned None where the verdicts and the missing points were expected.")
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise Fault("wrong-number-of-results", "Expected were two results: a dict of verdicts and a set of points.")
    verdicts, missing = given
    if not isinstance(verdicts, Mapping) or set(verdicts) != set(STATEMENTS):
        raise Fault(None, f"Expected was a dict with the keys 1 to {len(STATEMENTS)}, came {verdicts!r}.")
    for number, verdict in verdicts.items():
        if verdict not in VERDICTS:
            raise Fault(None, f"Statement {number}: expected was one of {', '.join(VERDICTS)}, came {verdict!r}.")
    if not isinstance(missing, Collection) or not set(missing) <= set(range(1, POINTS + 1)):
        raise Fault(None, f"Expected was a set of numbers from 1 to {POINTS}, came {missing!r}.")
    _look_at_the_first(verdicts, set(missing))
    graded = {f"statement {number}": VERDICTS.index(verdicts[number]) for number in STATEMENTS}
    return {**graded, "missing": [int(number in missing) for number in range(1, POINTS + 1)]}


def _look_at_the_first(verdicts: Mapping[int, str], missing: set[int]) -> None:
    """Name one mistake where there are more of them than can be told from the results.

    Raises:
        Fault: with the misconception of the first statement that is graded wrong, or else of the first point.
    """
    wrong = {number: verdict for number, verdict in verdicts.items() if verdict != RIGHT[number]}
    points = sorted(missing ^ MISSED)
    several = len(points) > 1 and missing not in ({1, 2, 4}, {2, 4, 5})  # these two have names of their own
    if wrong and (several or (wrong != SWAPPED and len(wrong) + bool(points) > 2)):
        first = min(wrong)
        texts = {one.edits[0][1]: one.misconception for one in TASKS[0].mistakes}
        named = texts[_line(first, wrong[first])]
        many = "1 of 8 statements is" if len(wrong) == 1 else f"{len(wrong)} of 8 statements are"
        raise Fault(named, f"{many} graded wrong. Begin with statement {first}.")
    if several:
        named = NOT_MISSED.get(points[0], "made-but-missed")
        raise Fault(named, f"{len(points)} points of {POINTS} are on the wrong side. Begin with point {points[0]}.")


def judged(number: int, verdict: str, *misconceptions: str) -> tuple[Mistake, ...]:
    """The mistakes of a statement whose right verdict is this one: each of the other two verdicts, with its name."""
    others = [other for other in VERDICTS if other != verdict]
    return tuple(
        mistake(misconception, _line(number, verdict), _line(number, other))
        for misconception, other in zip(misconceptions, others, strict=True)
    )


def _line(number: int, verdict: str) -> str:
    """What stands in the solution, or would stand there."""
    return f'{number}: "{verdict}"'


RIGHT, MISSED = grade_the_answer()
NOT_MISSED = {3: "modes-not-missed", 5: "cost-not-missed", 6: "debate-not-missed"}
SWAPPED = {3: "contested", 4: "unsupported", 7: "contested", 8: "contested"}
MISSING = "missing = {3, 5, 6}"

TASKS = (
    Task(
        id="grade_the_answer",
        chapter="15",
        level="medium",
        solution=grade_the_answer,
        returns=(*(f"statement {number}" for number in STATEMENTS), "missing"),
        cases=(Case("the published answer", ()),),
        mistakes=(
            *(one for number in (1, 2, 5, 6) for one in judged(number, "sound", *["measured-but-doubted"] * 2)),
            *judged(3, "unsupported", "distribution-taken-as-fixed", "contradiction-overlooked"),
            *judged(4, "contested", "shift-taken-as-proven", "shift-taken-as-refuted"),
            *judged(7, "unsupported", "interpretability-believed", "interpretability-believed"),
            *judged(8, "unsupported", "more-accurate-always", "more-accurate-always"),
            mistake(
                "contested-and-unsupported-swapped",
                *(
                    text
                    for number, verdict in SWAPPED.items()
                    for text in (_line(number, RIGHT[number]), _line(number, verdict))
                ),
            ),
            *(mistake(named, MISSING, f"missing = {MISSED - {point}}") for point, named in NOT_MISSED.items()),
            *(mistake("made-but-missed", MISSING, f"missing = {{3, 5, 6, {point}}}") for point in (1, 2, 4)),
            mistake("made-for-missing", MISSING, "missing = {1, 2, 4}"),
            mistake("counted-from-zero", MISSING, "missing = {2, 4, 5}"),
        ),
        hints=(
            "For each: would an experiment show it? Has one shown the opposite? Does the answer contradict itself?",
            "Three are unsupported: one contradicts the one before it, one a measurement. One is contested.",
            "The answer speaks of training alone, and only well of it: look at points 3, 5 and 6.",
        ),
        after="Three points of six, and a red flag: a fluent answer that an interviewer who measures would not hire.",
        trial=try_grading,
    ),
)
