"""The exercise on an answer: whatever is graded wrong, a mistake is named, and no right verdict is given away."""

import pytest

from bnlab.practice import check
from bnlab.practice.exercises.tasks.interview import grade_the_answer

ALL_CONTESTED = dict.fromkeys(range(1, 9), "contested")


def verdict_on(wrong, missing=None):
    def my_grade_the_answer():
        verdicts, missed = grade_the_answer()
        return verdicts | wrong, missed if missing is None else missing

    return check("grade_the_answer", my_grade_the_answer)


@pytest.mark.parametrize(
    ("wrong", "missing", "misconception", "said"),
    [
        (ALL_CONTESTED, None, "measured-but-doubted", "7 of 8 statements are graded wrong. Begin with statement 1."),
        ({7: "sound", 8: "sound", 4: "sound"}, None, "shift-taken-as-proven", "Begin with statement 4."),
        ({7: "sound", 8: "sound"}, {3, 5}, "interpretability-believed", "Begin with statement 7."),
        ({4: "sound"}, set(), "shift-taken-as-proven", "1 of 8 statements is graded wrong. Begin with statement 4."),
        ({}, set(), "modes-not-missed", "3 points of 6 are on the wrong side. Begin with point 3."),
        ({}, {3}, "cost-not-missed", "Begin with point 5."),
        ({}, {1, 3, 5}, "made-but-missed", "Begin with point 1."),
    ],
)
def test_of_many_mistakes_the_first_is_named_and_nothing_given_away(wrong, missing, misconception, said):
    verdict = verdict_on(wrong, missing)
    assert (verdict.passed, verdict.misconception) == (False, misconception)
    assert said in verdict.message
    assert "expected" not in verdict.message


def test_two_mistakes_are_both_named():
    verdict = verdict_on({4: "sound", 7: "sound"})
    assert {verdict.misconception, verdict.also} == {"shift-taken-as-proven", "interpretability-believed"}
