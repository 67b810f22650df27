"""Sequences of tokens, made by rule: numbers to be written in words, and tosses of a fair coin."""

import itertools
from typing import NamedTuple

import numpy as np
import torch

from bnlab.experiments.data import Dataset, Split
from bnlab.experiments.sequence_models import PADDING, UNSCORED

ONES = (
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
VOCABULARY = ("padding", "end", "=", *"0123456789", *ONES, *TENS, "hundred", "thousand", "and")
CODE = {token: code for code, token in enumerate(VOCABULARY)}
LENGTH = 12  # of the longest: 1121=, seven words without the end, which is only ever a target

HEADS, TAILS, START = 1, 2, 3  # 0 is PADDING
COIN_TOKENS = 4


class Written(NamedTuple):
    """A number as a sequence: what is read, and what comes next where it counts."""

    tokens: list[str]
    targets: list[str | None]


def in_words(number: int) -> list[str]:
    """A number from 1 to 9999 in English.

    Raises:
        ValueError: it is another.

    Example:
        >>> " ".join(in_words(3047))
        'three thousand and forty seven'
    """
    if not 1 <= number <= 9999:
        raise ValueError(f"expected a number from 1 to 9999, got {number}")
    thousands, hundreds, rest = number // 1000, number // 100 % 10, number % 100
    words = [ONES[thousands - 1], "thousand"] if thousands else []
    words += [ONES[hundreds - 1], "hundred"] if hundreds else []
    if rest and words:
        words.append("and")
    if rest >= 20:
        words.append(TENS[rest // 10 - 2])
        rest %= 10
    return [*words, ONES[rest - 1]] if rest else words


def written(number: int) -> Written:
    """The number's digits, "=", and its words; from "=" on, the target of each step is the next word, then "end".

    Example:
        >>> written(40)
        Written(tokens=['4', '0', '=', 'forty'], targets=[None, None, 'forty', 'end'])
    """
    digits, words = list(str(number)), in_words(number)
    return Written([*digits, "=", *words], [*[None] * len(digits), *words, "end"])


def encoded(numbers: list[int]) -> Split:
    """Numbers as rows of tokens, filled up with padding; targets that do not count are `UNSCORED`.

    Returns:
        `x` and `y`, both (n, LENGTH), of whole numbers.

    Example:
        >>> x, y = encoded([40])
        >>> x[0, :5].tolist(), [VOCABULARY[code] for code in y[0, 2:4].tolist()]
        ([7, 3, 2, 34, 0], ['forty', 'end'])
    """
    x = torch.full((len(numbers), LENGTH), PADDING)
    y = torch.full((len(numbers), LENGTH), UNSCORED)
    for row, number in enumerate(numbers):
        for step, (token, target) in enumerate(zip(*written(number), strict=True)):
            x[row, step] = CODE[token]
            y[row, step] = UNSCORED if target is None else CODE[target]
    return Split(x, y)


def number_words() -> Dataset:
    """1,999 numbers to be written in words: 1,199 to train, 400 to validate, 400 to test, none in two of them.

    All numbers of one, two and three digits, 9, 90 and 900, and 1,000 of those of four, so that lengths differ: from 3
    to 12 tokens. The draw and the split are fixed.

    Example:
        >>> number_words().train.x.shape
        torch.Size([1199, 12])
    """
    rng = np.random.default_rng(0)
    four_digits = 1000 + rng.permutation(9000)[:1000]
    numbers = rng.permutation(np.concatenate([np.arange(1, 1000), four_digits])).tolist()
    return Dataset(encoded(numbers[:1199]), encoded(numbers[1199:1599]), encoded(numbers[1599:]))


def coin_tosses(tosses: int) -> Split:
    """Every sequence of so many tosses, once each: after any beginning, heads and tails follow equally often.

    So whoever predicts the next toss from those before has a mean cross-entropy of at least log 2 on these sequences,
    whatever it has learned.

    Returns:
        `x`, (2**tosses, tosses): the start, then all tosses but the last; `y`: all tosses.

    Example:
        >>> x, y = coin_tosses(2)
        >>> x.tolist(), y.tolist()
        ([[3, 1], [3, 1], [3, 2], [3, 2]], [[1, 1], [1, 2], [2, 1], [2, 2]])
    """
    y = torch.tensor(list(itertools.product((HEADS, TAILS), repeat=tosses)))
    start = torch.full((len(y), 1), START)
    return Split(torch.cat([start, y[:, :-1]], 1), y)
