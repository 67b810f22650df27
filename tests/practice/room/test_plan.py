"""What a mock asks: the ramp, the mixture, the follow-ups."""

import random
from collections import Counter

import pytest

from bnlab.practice.interview.room.plan import Slot, coding_question, follow_up, next_question, plan
from tests.practice.room.scripted import make_answer, make_question

ROLES = ("data scientist", "ML engineer", "research scientist", "manager")


def pick(slot, bank, role="ML engineer", asked=(), last=None, seed=0):
    return next_question(slot, bank, role, asked=asked, last=last, draw=random.Random(seed))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("minutes", [5, 10, 20, 30, 60])
def test_a_plan_ramps_up_and_fits_its_minutes(role, minutes):
    slots, coding = plan(role, minutes)
    ranks = [("screen", "core", "deep", "research").index(slot.level) for slot in slots]
    assert ranks == sorted(ranks)
    assert slots[0].level == ("research" if len(slots) == 1 and role == "research scientist" else "screen")
    assert 2.5 * len(slots) + 10 * coding <= minutes


def test_half_an_hour_mixes_all_kinds_and_ends_with_code():
    slots, coding = plan("ML engineer", 30)
    assert Counter(slot.kind for slot in slots) == {"concept": 3, "follow-up": 3, "debugging": 1, "derivation": 1}
    assert coding


def test_ten_minutes_have_no_coding_task():
    assert not plan("ML engineer", 10).coding


def test_a_manager_derives_and_codes_nothing():
    slots, coding = plan("manager", 60)
    assert "derivation" not in {slot.kind for slot in slots}
    assert not coding


def test_a_research_scientist_ends_with_research():
    assert plan("research scientist", 30).slots[-1] == Slot("concept", "research")


def test_a_question_is_of_the_kind_and_near_the_level(bank):
    assert pick(Slot("debugging", "screen"), bank).id == "bug"
    assert pick(Slot("derivation", "screen"), bank).id == "proof"
    assert pick(Slot("concept", "screen"), bank).id == "easy"


def test_a_question_is_asked_once_and_of_its_role(bank):
    assert pick(Slot("concept", "screen"), bank, asked=["easy"]).id == "middle"
    assert pick(Slot("concept", "deep"), bank).id == "middle"  # the deep one is for research scientists
    assert pick(Slot("concept", "deep"), bank, role="research scientist").id == "hard"


def test_another_topic_is_preferred_to_one_that_came_up(bank):
    bank |= {
        "other": make_question("other", topic="gpu", level="screen"),
        "more": make_question("more", level="screen"),
    }
    assert {pick(Slot("concept", "screen"), bank, asked=["easy"], seed=seed).id for seed in range(9)} == {"other"}


def test_a_bug_with_code_or_a_plot_is_preferred_to_one_in_words(bank):
    bank["said"] = make_question("said", topic="debugging")
    assert {pick(Slot("debugging", "core"), bank, seed=seed).id for seed in range(9)} == {"bug"}


def test_coding_tasks_are_no_questions_in_between(bank):
    only = {"task": bank["task"]}
    assert pick(Slot("concept", "core"), only) is None


def test_the_same_seed_draws_the_same_questions():
    bank = {f"q{n}": make_question(f"q{n}", level="screen") for n in range(20)}
    first = [pick(Slot("concept", "screen"), bank, seed=seed).id for seed in range(8)]
    assert first == [pick(Slot("concept", "screen"), bank, seed=seed).id for seed in range(8)]
    assert len(set(first)) > 3


@pytest.mark.parametrize(
    ("score", "red_flags", "expected"),
    [(1.0, (), "hard"), (0.75, (), "hard"), (0.4, (), "easy"), (1.0, (1,), "easy"), (0.6, (), "level")],
)
def test_a_good_answer_is_followed_by_a_harder_question_a_poor_one_by_an_easier_one(bank, score, red_flags, expected):
    bank["level"] = make_question("level")
    bank["middle"] = make_question("middle", follow_ups=("level", "easy", "hard"))
    last = make_answer("middle", score, red_flags=red_flags)
    slot = Slot("follow-up", "core")
    assert pick(slot, bank, role="any", asked=["middle"], last=last).id == expected


def test_a_follow_up_goes_before_what_leads_here_and_before_the_rest_of_the_topic(bank):
    start = make_question("start", follow_ups=("next",))
    near = [make_question("topic", level="deep"), make_question("back", level="deep", follow_ups=("start",))]
    named = make_question("next", topic="cnn", level="deep")
    good = make_answer("start", 1.0)
    assert follow_up(start, good, [*near, named]).id == "next"
    assert follow_up(start, good, near).id == "back"
    assert follow_up(start, good, near[:1]).id == "topic"
    assert follow_up(start, good, [make_question("far", topic="gpu", level="deep")]) is None


def test_a_harder_question_of_the_topic_goes_before_a_follow_up_that_is_as_hard(bank):
    start = make_question("start", follow_ups=("level",))
    candidates = [make_question("level", topic="cnn"), make_question("topic", level="deep")]
    assert follow_up(start, make_answer("start", 1.0), candidates).id == "topic"
    assert follow_up(start, make_answer("start", 0.6), candidates).id == "level"


def test_an_easier_question_never_follows_a_good_answer(bank):
    start = make_question("start", follow_ups=("easy",))
    assert follow_up(start, make_answer("start", 1.0), [bank["easy"]]) is None
    assert follow_up(start, make_answer("start", 1.0), [bank["easy"], bank["middle"]]).id == "middle"


def test_without_a_related_question_a_concept_follows(bank):
    bank = {"start": make_question("start", topic="gpu"), "bug": bank["bug"], "middle": bank["middle"]}
    last = make_answer("start", 1.0)
    assert pick(Slot("follow-up", "core"), bank, asked=["start"], last=last).id == "middle"


def test_the_coding_task_is_one_of_the_role(bank):
    assert coding_question(bank, "ML engineer", random.Random(0)).id == "task"
    bank["task"] = make_question("task", topic="coding", exercise="fold_affine", roles=("manager",))
    assert coding_question(bank, "ML engineer", random.Random(0)) is None


def test_a_coding_task_fits_in_its_minutes(bank):
    bank["task"] = make_question("task", topic="coding", exercise="recalibrate")  # a stretch
    assert coding_question(bank, "ML engineer", random.Random(0)) is None
