"""Which questions a quiz asks, and in which order."""

import pytest

from bnlab.practice.interview.room.choosing import chosen, weakest_first
from tests.practice.room.scripted import make_answer


def ids(questions):
    return [question.id for question in questions]


def test_questions_are_chosen_by_topic_level_and_role(bank):
    assert ids(chosen(bank, topic="numerics", level="deep", role="research-scientist")) == ["hard"]


def test_a_role_gets_its_own_questions_and_those_for_everybody(bank):
    assert "hard" not in ids(chosen(bank, role="manager"))
    assert "easy" in ids(chosen(bank, role="manager"))
    assert len(chosen(bank, role="any")) == len(bank)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("topic", "--topic: expected one of numerics, debugging, backward.*, got 'x'"),
        ("level", "--level: expected one of screen, core.*, got 'x'"),
        ("role", "expected a role, one of .*manager.*, got 'x'"),
    ],
)
def test_an_unknown_choice_is_answered_with_those_there_are(bank, option, said):
    with pytest.raises(ValueError, match=said):
        chosen(bank, **{option: "x"})


def test_choices_that_share_no_question_are_refused(bank):
    with pytest.raises(ValueError, match="share a question, got debugging, screen"):
        chosen(bank, topic="debugging", level="screen")


def test_unanswered_questions_come_first_then_those_with_the_lowest_last_score(bank):
    answers = [make_answer(one, 0.9) for one in ("easy", "bug")]
    answers += [make_answer("easy", 0.0), *(make_answer(one, 0.5) for one in ("middle", "hard", "proof"))]
    order, *others = (ids(weakest_first(bank.values(), answers, seed)) for seed in range(5))
    assert all(one[:2] == ["task", "easy"] for one in (order, *others))  # a score of 0 is an answer
    assert set(order[2:5]) == {"middle", "hard", "proof"}
    assert order[5] == "bug"


def test_the_seed_decides_between_equals(bank):
    orders = {tuple(ids(weakest_first(bank.values(), [], seed))) for seed in range(10)}
    assert len(orders) > 5
    assert weakest_first(bank.values(), [], 3) == weakest_first(bank.values(), [], 3)
