import itertools
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from bnlab.experiments.sequence_models import PADDING, UNSCORED
from bnlab.experiments.token_data import (
    CODE,
    HEADS,
    LENGTH,
    START,
    TAILS,
    VOCABULARY,
    coin_tosses,
    encoded,
    in_words,
    number_words,
    written,
)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "one"),
        (19, "nineteen"),
        (20, "twenty"),
        (99, "ninety nine"),
        (100, "one hundred"),
        (110, "one hundred and ten"),
        (1000, "one thousand"),
        (1001, "one thousand and one"),
        (7777, "seven thousand seven hundred and seventy seven"),
        (9999, "nine thousand nine hundred and ninety nine"),
    ],
)
def test_a_number_in_words(number, words):
    assert " ".join(in_words(number)) == words


@pytest.mark.parametrize("number", [0, -3, 10_000])
def test_a_number_out_of_range_is_refused(number):
    with pytest.raises(ValueError, match=f"expected a number from 1 to 9999, got {number}"):
        in_words(number)


def test_no_two_numbers_have_the_same_words_and_none_is_too_long():
    spelled = {tuple(in_words(number)) for number in range(1, 10_000)}
    assert len(spelled) == 9999
    assert max(len(written(number).tokens) for number in range(1, 10_000)) == LENGTH


def test_each_step_is_to_say_the_next_word_and_the_last_that_it_ends():
    tokens, targets = written(121)
    assert tokens == ["1", "2", "1", "=", "one", "hundred", "and", "twenty", "one"]
    assert targets == [None, None, None, "one", "hundred", "and", "twenty", "one", "end"]


def test_rows_are_filled_up_and_only_words_and_end_are_scored():
    x, y = encoded([5, 121])
    assert [VOCABULARY[code] for code in x[0, :3].tolist()] == ["5", "=", "five"]
    assert (x[0, 3:] == PADDING).all()
    assert y[0].tolist() == [UNSCORED, CODE["five"], CODE["end"], *[UNSCORED] * (LENGTH - 3)]
    assert VOCABULARY[PADDING] == "padding"
    assert ((x == PADDING) <= (y == UNSCORED)).all()


def test_the_splits_share_no_number_and_have_all_short_ones():
    splits = number_words()
    rows = [{tuple(row) for row in split.x.tolist()} for split in splits]
    assert [len(one) for one in rows] == [1199, 400, 400]
    assert len(set.union(*rows)) == 1999
    assert {tuple(row) for row in encoded(list(range(1, 1000))).x.tolist()} <= set.union(*rows)


def test_every_sequence_of_tosses_stands_there_once():
    x, y = coin_tosses(4)
    assert sorted(map(tuple, y.tolist())) == sorted(itertools.product((HEADS, TAILS), repeat=4))
    assert (x[:, 0] == START).all()
    assert torch.equal(x[:, 1:], y[:, :-1])


def test_whoever_knows_the_tosses_so_far_cannot_go_below_log_2():
    x, y = coin_tosses(5)
    table = {}  # the best guess for each beginning, from all the data: how often each toss follows it
    for row, targets in zip(x.tolist(), y.tolist(), strict=True):
        for step, target in enumerate(targets):
            table.setdefault(tuple(row[: step + 1]), []).append(target)
    logits = torch.tensor(
        [
            [
                [math.log(table[tuple(row[: step + 1])].count(toss) or 1e-9) for toss in (0, HEADS, TAILS)]
                for step in range(5)
            ]
            for row in x.tolist()
        ]
    )
    assert cross_entropy(logits.mT, y).item() == pytest.approx(math.log(2), abs=1e-6)
