"""What is drawn: by a seed, other variants the next time, and of the bank what an hour can hold."""

from itertools import pairwise

import pytest

from bnlab.practice.capstone.bugs import SCRIPTS
from bnlab.practice.capstone.drawing import LEVELS, draw
from bnlab.practice.capstone.modules import MODULES
from bnlab.practice.interview.bank import questions


def drawn_in_a_row(times):
    past = []
    for seed in range(times):
        past.append(draw(questions(), past, seed))
    return past


def test_a_seed_draws_the_same_and_seeds_differ():
    assert draw(questions(), [], 3) == draw(questions(), [], 3)
    assert len({draw(questions(), [], seed) for seed in range(20)}) == 20


@pytest.mark.parametrize("seed", range(5))
def test_plots_have_a_plot_and_questions_their_levels_and_topics_of_their_own(seed):
    bank, drawn = questions(), draw(questions(), [], seed)
    assert all(bank[one].plot for one in drawn.plots)
    assert [bank[one].level for one in drawn.questions] == list(LEVELS)
    topics = [bank[one].topic for one in drawn.questions]
    assert len({*topics, *(bank[one].topic for one in drawn.plots)}) == 4 + len(
        {bank[one].topic for one in drawn.plots}
    )
    assert not {"coding", "roles"} & {*topics}


def test_nothing_is_asked_that_gives_a_bug_of_the_script_away():
    assert {id_ for script in SCRIPTS.values() for id_ in script.given_away_by} <= set(questions())
    assert all(script.given_away_by for script in SCRIPTS.values())
    for drawn in (draw(questions(), [], seed) for seed in range(60)):
        assert not {*drawn.plots, *drawn.questions} & {*SCRIPTS[drawn.script].given_away_by}


def test_in_three_capstones_nothing_comes_twice():
    past = drawn_in_a_row(3)
    assert {one.module for one in past} == set(MODULES)
    assert {one.script for one in past} == set(SCRIPTS)
    asked = [id_ for one in past for id_ in (*one.plots, *one.questions)]
    assert len(asked) == len(set(asked)) == 18


def test_once_all_have_come_none_comes_twice_running():
    past = drawn_in_a_row(12)
    for before, after in pairwise(past):
        assert before.module != after.module
        assert before.script != after.script
        assert not {*before.plots} & {*after.plots}
    assert {len([one for one in past if one.module == module]) for module in MODULES} == {4}
