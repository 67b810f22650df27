"""Which points a typed answer seems to touch."""

import pytest

from bnlab.practice.interview.bank import Point
from bnlab.practice.interview.room.matching import suggest
from tests.practice.room.scripted import make_question

QUESTION = make_question(
    "q", rubric=(Point("a", 1, ("mean of the batch", "batch mean")), Point("b", 1, ("eval()",)), Point("c", 1))
)


@pytest.mark.parametrize(
    ("text", "touched"),
    [
        ("It subtracts the mean\nof the Batch, then calls model.eval().", (1, 2)),
        ("the batch-mean", (1,)),
        ("evaluation means medieval batch means", ()),  # parts of words
        ("", ()),
    ],
)
def test_a_point_is_touched_by_any_of_its_phrases_as_whole_words(text, touched):
    assert suggest(QUESTION, text) == touched
