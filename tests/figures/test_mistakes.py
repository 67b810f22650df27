from itertools import pairwise

import numpy as np
import pytest

from bnlab.experiments.intervals import t_interval
from bnlab.experiments.provenance import Provenance
from bnlab.experiments.studies import sorted_batches
from bnlab.figures.mistakes import ARMS, accuracy_by_classes, answers_by_company
from bnlab.figures.style import COLOURS

SEEDS = (0, 1, 2)


@pytest.fixture
def mixed(rng):
    config = sorted_batches.Config(classes=(1, 4), seeds=SEEDS)
    test = {arm: rng.uniform(0.1, 0.9, (2, 3)) for arm in sorted_batches.ARMS}
    provenance = Provenance("2026-01-31", {}, "0123456789ab")
    return sorted_batches.Result(config=config, provenance=provenance, validation={}, test=test, recalibrated={})


def test_every_answer_is_a_dot_in_the_row_of_its_company(rng):
    answers = {"random": rng.random(7), "own class": rng.random(5)}
    (ax,) = answers_by_company(answers, truth=0.8, title="t").axes
    *dots, truth = ax.lines
    assert [text.get_text() for text in ax.get_yticklabels()] == list(answers)
    for row, (line, probabilities) in enumerate(zip(dots, answers.values(), strict=True)):
        assert line.get_xdata() == pytest.approx(probabilities)
        assert np.abs(np.asarray(line.get_ydata()) - row).max() < 0.5
    assert list(truth.get_xdata()) == [0.8, 0.8]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["evaluation mode, any company"]


def test_the_whole_range_of_a_probability_is_shown():
    (ax,) = answers_by_company({"one": np.array([0.4])}, truth=0.5, title="t").axes
    low, high = ax.get_xlim()
    assert low < 0
    assert high > 1


def test_the_figure_is_higher_with_more_company():
    heights = [
        answers_by_company(dict.fromkeys("abc"[:rows], np.array([0.5])), truth=0.5, title="t").get_figheight()
        for rows in (1, 3)
    ]
    assert heights[1] > heights[0] + 1


def test_every_seed_is_a_dot_and_the_bar_its_interval(mixed):
    (ax,) = accuracy_by_classes(mixed, title="t").axes
    drawn = [line for line in ax.lines if len(line.get_xdata()) and line.get_label() != "guessing"]
    pairs = list(zip(drawn[::2], drawn[1::2], strict=True))
    expected = [(arm, group) for arm in ARMS for group in range(2)]
    for (dots, bar), (arm, group) in zip(pairs, expected, strict=True):
        percent = 100 * mixed.test[arm][group]
        interval = t_interval(percent)
        assert dots.get_ydata() == pytest.approx(percent)
        assert bar.get_ydata() == pytest.approx([interval.low, interval.high])
        assert dots.get_color() == bar.get_color() == COLOURS[ARMS[arm][1]]
        assert np.round(np.asarray(dots.get_xdata())) == pytest.approx(group)


def test_columns_do_not_overlap(mixed):
    (ax,) = accuracy_by_classes(mixed, title="t").axes
    spans = sorted((min(x), max(x)) for line in ax.lines if len(x := np.asarray(line.get_xdata())) == len(SEEDS))
    assert len(spans) == 2 * len(ARMS)
    assert all(one[1] < other[0] for one, other in pairwise(spans))


def test_groups_are_named_by_their_classes_and_arms_by_the_legend(mixed):
    (ax,) = accuracy_by_classes(mixed, title="t").axes
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "4"]
    names = {text.get_text(): handle.get_color() for text, handle in zip(*legend(ax), strict=True)}
    assert names.pop("guessing") == COLOURS["theory"]
    assert names == {name: COLOURS[role] for name, role in ARMS.values()}
    guessing = next(line for line in ax.lines if line.get_label() == "guessing")
    assert list(guessing.get_ydata()) == [10, 10]


def legend(ax):
    return ax.get_legend().get_texts(), ax.get_legend().legend_handles
