"""Hints, solutions, saved code and the list of exercises."""

import importlib
import inspect

import pytest

from bnlab import practice
from bnlab.practice import check, hint, list_exercises, restore, solution
from bnlab.practice.exercises.tasks import TASKS

TASK = TASKS["stable_variance"]


def one_pass(x):
    return (x * x).mean() - x.mean() ** 2


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_hints_go_from_a_nudge_to_nearly_the_answer(task):
    shown = [repr(hint(task.id, level)) for level in range(1, len(task.hints) + 1)]
    assert len(shown) >= 2
    assert len(set(shown)) == len(shown)
    assert f"hint {len(shown)} of {len(shown)}" in shown[-1]


@pytest.mark.parametrize("level", [0, 3])
def test_a_hint_of_another_level_is_refused(level):
    with pytest.raises(ValueError, match=f"expected a level from 1 to 2 for 'stable_variance', got {level}"):
        hint("stable_variance", level)


def test_a_solution_is_shown_when_it_is_asked_for_twice():
    assert "((x - mean) ** 2).mean()" not in repr(solution(TASK.id))
    assert "((x - mean) ** 2).mean()" in repr(solution(TASK.id))


def test_a_solution_is_shown_after_a_pass_at_once():
    check(TASK.id, one_pass)
    check(TASK.id, TASK.solution)
    assert "((x - mean) ** 2).mean()" in repr(solution(TASK.id))


def test_a_solution_is_not_shown_after_a_failure():
    check(TASK.id, one_pass)
    assert "((x - mean) ** 2).mean()" not in repr(solution(TASK.id))


def test_the_first_request_for_one_solution_does_not_open_another():
    solution("fold_affine")
    assert "((x - mean) ** 2).mean()" not in repr(solution(TASK.id))


def test_the_latest_code_comes_back():
    check(TASK.id, one_pass)
    check(TASK.id, TASK.solution)
    assert "attempt 2 of 2: passed" in repr(restore(TASK.id))
    assert "def stable_variance(x):" in repr(restore(TASK.id))


def test_earlier_code_comes_back_by_its_number():
    check(TASK.id, one_pass)
    check(TASK.id, TASK.solution)
    shown = repr(restore(TASK.id, 1))
    assert "attempt 1 of 2: one-pass-cancellation" in shown
    assert "    return (x * x).mean() - x.mean() ** 2" in shown.replace("        return", "    return")


def test_nothing_saved_is_said():
    assert "nothing saved yet" in repr(restore(TASK.id))


@pytest.mark.parametrize("number", [0, 2])
def test_an_attempt_that_does_not_exist_is_refused(number):
    check(TASK.id, one_pass)
    with pytest.raises(ValueError, match=f"expected an attempt from 1 to 1 of 'stable_variance', got {number}"):
        restore(TASK.id, number)


@pytest.mark.parametrize("ask", [hint, solution, restore])
def test_an_unknown_exercise_is_refused(ask):
    with pytest.raises(ValueError, match="got 'variance'"):
        ask("variance")


def test_the_list_has_every_exercise_by_chapter():
    rows = list_exercises().rows
    assert [row[1] for row in rows] == sorted(TASKS, key=lambda task: TASKS[task].chapter)
    assert {row[3] for row in rows} == {""}


def test_the_list_shows_progress():
    check(TASK.id, one_pass)
    assert "1 attempt, last: one-pass-cancellation" in repr(list_exercises())
    check(TASK.id, TASK.solution)
    assert "passed, 2 attempts" in repr(list_exercises())
    assert "<td>passed, 2 attempts</td>" in list_exercises()._repr_html_()


def test_the_list_fits_a_terminal():
    for task in TASKS.values():
        for one in task.mistakes[:1]:
            check(task.id, task.wrong(one))
    assert max(map(len, repr(list_exercises()).splitlines())) <= 80


def test_every_name_of_the_room_is_a_function_whatever_was_imported_before():
    for part in ("exercises.tasks", "interview.room.mock", "progress"):
        importlib.import_module(f"bnlab.practice.{part}")
    assert all(inspect.isfunction(getattr(practice, name)) for name in practice.__all__)
