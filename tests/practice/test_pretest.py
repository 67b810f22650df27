"""The test before the course and after it: its items, what is kept of the answers, what is shown when."""

import re

import pytest
import yaml

from bnlab.practice.interview.bank import questions
from bnlab.practice.interview.pretest import (
    FILE,
    NO_IDEA,
    given,
    grade,
    items,
    keep,
    outcome,
    posttest,
    pretest,
    read_items,
)
from bnlab.practice.progress import Progress

RIGHT = "".join(item.answer for item in items())
WRONG = "".join("b" if item.answer == "a" else "a" for item in items())
RECORD = {
    "id": "one-and-one",
    "topic": "definition",
    "question": "How much is one and one?",
    "choices": ["one", "two", "three", "four"],
    "answer": "b",
    "why": "Because one and one are two.",
    "ask": "derive-dx",
}


def in_a_row(thing):
    return " ".join(repr(thing).split())


# --- the items


def test_there_are_ten_items_over_ten_topics_of_the_bank():
    topics = {item.topic for item in items()}
    assert len(items()) == len(topics) == 10
    assert topics <= {question.topic for question in questions().values()}


def test_no_letter_is_right_much_more_often_than_another():
    assert all(2 <= RIGHT.count(letter) <= 3 for letter in "abcd")


def test_the_right_choice_is_not_told_by_its_length():
    longest = [max(item.lettered, key=lambda letter: len(item.lettered[letter])) == item.answer for item in items()]
    assert sum(longest) <= 4


def test_an_items_chapter_is_that_of_the_question_that_goes_further():
    assert items()[0].chapter == questions()[items()[0].ask].chapter == "01_definition"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choices": ["one", "two", "three"]}, "one-and-one: expected 4 choices, got 3"),
        (
            {"choices": ["one", "two", "three", "x" * 73]},
            "one-and-one: expected choices of at most 72 letters, got one of 73",
        ),
        ({"answer": "e"}, "[0]: answer: expected one of a, b, c, d, got 'e'"),
        ({"ask": "xyzzy"}, "one-and-one: expected the id of a question of the bank to ask, got 'xyzzy'"),
        ({"why": ""}, "[0]: why: expected text, got an empty string"),
    ],
)
def test_an_unfit_item_is_refused(change, message, tmp_path):
    file = tmp_path / "items.yaml"
    file.write_text(yaml.safe_dump([RECORD | change]))
    with pytest.raises(ValueError, match=re.escape(message)):
        read_items(file)


@pytest.mark.parametrize("field", ["id", "topic"])
def test_an_id_or_a_topic_stands_once(field, tmp_path):
    file = tmp_path / "items.yaml"
    other = {"id": "another", "topic": "purpose"} | {field: RECORD[field]}
    file.write_text(yaml.safe_dump([RECORD, RECORD | other]))
    with pytest.raises(ValueError, match="expected an id and a topic of its own"):
        read_items(file)


def test_a_key_that_stands_twice_in_an_item_is_refused(tmp_path):
    file = tmp_path / "items.yaml"
    file.write_text(yaml.safe_dump([RECORD]) + "  why: Because I say so.\n")
    with pytest.raises(ValueError, match=r"items\.yaml: expected YAML, got why twice"):
        read_items(file)


# --- grading


def test_each_item_is_right_wrong_or_not_answered():
    first, second, third, fourth = items()[:4]
    choices = {first.id: first.answer, second.id: "a", third.id: NO_IDEA}
    assert second.answer != "a"
    assert [one.right for one in grade(choices)[:4]] == [True, False, None, None]
    assert [one.item for one in grade({})] == list(items())
    assert fourth.id not in choices


# --- before the course


def test_every_item_is_asked_with_its_choices_and_without_its_answer():
    shown = in_a_row(pretest())
    for item in items():
        assert item.question.replace("`", "") in shown.replace("`", "")
        choices = {letter: " ".join(text.replace("`", "").split()) for letter, text in item.lettered.items()}
        assert all(f"{letter} {text}" in shown for letter, text in choices.items())
        assert item.why[:40] not in shown


def test_asking_makes_no_file(data_dir):
    pretest()
    posttest()
    assert not data_dir.exists()


def test_answers_are_kept_in_a_test_that_ends():
    pretest(RIGHT)
    (sitting,) = Progress().sittings()
    assert sitting.kind == "pretest"
    assert sitting.ended is not None
    assert given("pretest", Progress()) == {item.id: item.answer for item in items()}


def test_after_the_pretest_nothing_is_said_of_right_and_wrong():
    for shown in (pretest(WRONG), pretest()):
        assert repr(shown).startswith("Your first answers are kept.")
        assert not any(item.why[:30] in in_a_row(shown) for item in items())
        assert "of 10" not in repr(shown)


def test_the_first_answers_count():
    pretest(WRONG)
    pretest(RIGHT)
    assert len(Progress().sittings()) == 1
    assert "".join(given("pretest", Progress()).values()) == WRONG


def test_capital_letters_and_blanks_are_taken():
    pretest(f"{RIGHT[:5].upper()} {RIGHT[5:]}")
    assert "".join(given("pretest", Progress()).values()) == RIGHT


@pytest.mark.parametrize("answers", ["abc", RIGHT + "a", "e" + RIGHT[1:], "", 5])
def test_answers_that_do_not_fit_are_refused_and_nothing_is_kept(answers, data_dir):
    for test in (pretest, posttest):
        with pytest.raises(ValueError, match=f"^answers: expected 10 letters, .*, got {answers!r}$"):
            test(answers)
    assert not data_dir.exists()


def test_a_test_that_was_broken_off_goes_on():
    first = items()[0]
    keep("pretest", {first.id: "c"}, Progress())
    assert Progress().sittings()[0].ended is None
    pretest("a" * 10)
    (sitting,) = Progress().sittings()
    assert sitting.ended is not None
    assert "".join(given("pretest", Progress()).values()) == "c" + "a" * 9


def test_a_choice_for_an_item_that_was_withdrawn_is_none_of_the_ten():
    keep("pretest", {"withdrawn": "a"} | {item.id: "c" for item in items()[1:]}, Progress())
    assert "withdrawn" not in given("pretest", Progress())
    assert "Ten questions" in in_a_row(pretest())
    assert Progress().sittings()[0].ended is None


# --- after the course


def test_both_tests_are_shown_by_topic():
    pretest(WRONG[:4] + NO_IDEA + RIGHT[5:])
    shown = posttest(WRONG[0] + RIGHT[1:])
    assert shown.headline == "9 of 10 right; before the course 5."
    table = {line.split()[0]: line.split()[1:] for line in repr(shown).splitlines() if line.startswith("    ")}
    assert table["definition"] == ["wrong", "wrong", "chapter", "01"]
    assert table["purpose"] == ["wrong", "right"]
    assert table["training-and-inference"] == [NO_IDEA, "right"]
    assert table["production"] == ["right", "right"]


def test_every_answer_is_explained_and_a_wrong_choice_quoted():
    shown = in_a_row(posttest("b" + RIGHT[1:-1] + "a"))
    for item in items():
        assert " ".join(item.why.split()).replace("`", "") in shown.replace("`", "")
        assert f"The answer is {item.answer}, " in shown
        assert f'ask("{item.ask}") bnlab interview show {item.ask} ' in f"{shown} "
    assert shown.count("You said") == 1
    assert "You said a. The answer is b" in shown


def test_without_a_pretest_the_outcome_says_so():
    assert posttest(RIGHT).headline == "10 of 10 right; the test before the course was not taken."


def test_the_picture_has_both_tests():
    pretest(WRONG)
    title = posttest(RIGHT).picture().get_suptitle()
    assert " ".join(title.split()) == "0 of 10 right before, 10 after"


def test_nothing_shown_is_wider_than_80_columns():
    shown = f"{pretest()!r}\n{pretest(WRONG)!r}\n{posttest(WRONG)!r}"
    assert [line for line in shown.splitlines() if len(line) > 80] == []


def test_the_outcome_in_a_notebook_has_its_table_as_code():
    html = posttest(RIGHT)._repr_html_()
    assert "<pre" in html
    assert "training-and-inference  -        right" in html


def test_a_file_that_cannot_be_written_is_said(data_dir):
    data_dir.write_text("in the way")
    assert "This was not added to your progress" in in_a_row(pretest(RIGHT))
    assert outcome(Progress()).headline.startswith("0 of 10 right")


def test_the_items_are_in_a_file_of_their_own():
    assert read_items(FILE) == items()
