"""The scorecard, and the rule of its verdict."""

import pytest

from bnlab.practice.interview.room.coding import Coding
from bnlab.practice.interview.room.scorecard import RULE, Scorecard, decide
from tests.practice.room.scripted import make_answer, make_question

GOOD = [make_answer(one, 0.8) for one in ("easy", "middle", "hard")]


def card(bank, answers, coding=None):
    return Scorecard("ML engineer", 30, "2026-11-30T09:00:00+00:00", tuple(answers), coding, bank)


def with_score(answers, question, score, **marks):
    return [one._replace(score=score, **marks) if one.question == question else one for one in answers]


def test_good_answers_all_round_are_strong(bank):
    assert decide(card(bank, GOOD)).word == "strong"
    assert decide(card(bank, GOOD, Coding("fold_affine", 2, passed=True))).word == "strong"


@pytest.mark.parametrize(
    ("answers", "coding", "reason"),
    [
        ([one._replace(score=0.74) for one in GOOD], None, "74% on average, below 75%"),
        (with_score(GOOD, "hard", 0.8, red_flags=(1,)), None, "a red flag said"),
        ([*GOOD, make_answer("easy", 0.49), *GOOD], None, "49% of easy, a question of the level screen"),
        (GOOD, Coding("fold_affine", 1, passed=False), "the coding task not passed"),
    ],
    ids=["mean", "red_flag", "basics", "coding"],
)
def test_one_thing_lacking_is_lean_and_named(bank, answers, coding, reason):
    decision = decide(card(bank, answers, coding))
    assert decision.word == "lean"
    assert reason in decision.reasons[0]


def test_a_weak_answer_to_a_deep_question_does_not_count_against_strong(bank):
    answers = [make_answer("easy", 1.0), make_answer("middle", 1.0), make_answer("hard", 0.3)]
    assert decide(card(bank, answers)).word == "strong"


def test_half_of_the_full_answers_is_the_edge_of_no_hire(bank):
    assert decide(card(bank, [one._replace(score=0.5) for one in GOOD])).word == "lean"
    decision = decide(card(bank, [one._replace(score=0.49) for one in GOOD]))
    assert decision == ("no hire", ("49% on average, below 50%",))


@pytest.mark.parametrize(("score", "word"), [(0.746, "strong"), (0.744, "lean"), (0.496, "lean"), (0.494, "no hire")])
def test_a_score_counts_as_it_is_shown(bank, score, word):
    decision = decide(card(bank, [one._replace(score=score) for one in GOOD]))
    assert decision.word == word
    assert "75% on average, below" not in " ".join(decision.reasons)
    assert "50% of" not in " ".join(decision.reasons)


def test_two_red_flags_are_no_hire_whatever_the_score(bank):
    assert decide(card(bank, with_score(GOOD, "easy", 1.0, red_flags=(1, 2)))).word == "no hire"
    apart = with_score(with_score(GOOD, "easy", 1.0, red_flags=(1,)), "hard", 1.0, red_flags=(2,))
    assert decide(card(bank, apart)) == ("no hire", ("2 red flags said",))


def test_two_answers_are_too_few_for_a_verdict(bank):
    assert decide(card(bank, GOOD[:2])) == ("no verdict", ("it takes 3 answers, and there are 2",))


def test_a_red_flag_that_the_bank_no_longer_has_is_left_out(bank):
    found = card(bank, with_score(GOOD, "middle", 0.8, red_flags=(2, 3)))
    assert found.red_flags() == [("middle", "Always.", "It does not.")]
    assert "Red flag (middle)" in repr(found)


def test_scores_are_means_by_topic_and_by_depth(bank):
    found = card(bank, [make_answer("hard", 0.5), make_answer("bug", 1.0), make_answer("easy", 0.7)])
    assert found.by_topic() == {"numerics": (0.6, 2), "debugging": (1.0, 1)}
    assert list(found.by_level()) == ["screen", "core", "deep"]


def test_chapters_to_read_again_are_those_of_what_was_not_good_the_most_needed_first(bank):
    bank |= {"a": make_question("a", chapter="05_mechanism_inference"), "b": make_question("b", chapter="10_mistakes")}
    bank["c"] = make_question("c", chapter="10_mistakes")
    answers = [make_answer("a", 0.5), make_answer("b", 0.9, red_flags=(1,)), make_answer("c", 0.1), *GOOD]
    assert list(card(bank, answers).read_again().items()) == [
        ("10_mistakes", ["b", "c"]),
        ("05_mechanism_inference", ["a"]),
    ]


def test_it_shows_itself_in_80_columns(bank):
    answers = with_score(GOOD, "middle", 0.4, red_flags=(1, 2))
    shown = repr(card(bank, answers, Coding("fold_affine", 3, passed=False)))
    assert max(map(len, shown.splitlines())) <= 80
    for part in (
        "numerics                        3     67%",
        "deep                            1     80%",
        "Red flag (middle): “Never.” It does.",
        "The coding task `fold_affine` was not passed after 3 attempts.",
        "Read again: chapter 03_mechanism_forward (middle).",
        "Verdict: no hire.\n- 2 red flags said",
    ):
        assert part in shown


def test_the_rule_is_printed_in_percent_below_the_verdict(bank):
    assert "no hire below 50% or with 2 red flags; strong from 75% on" in RULE
    shown = repr(Scorecard("any", 10, "2026-03-02T09:00:00+00:00", (), None, bank))
    assert " ".join(shown.split()).endswith(RULE)
