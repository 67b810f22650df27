"""The matrix: every stub, solution, style and wrong implementation against every exercise that can take it."""

import html.parser
import inspect
import re
import sqlite3
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from bnlab.practice.capstone.modules import MODULES
from bnlab.practice.exercises import running
from bnlab.practice.exercises.checking import check
from bnlab.practice.exercises.diagnosis import RTOL, agree, diagnose, expected
from bnlab.practice.exercises.misconceptions import MISCONCEPTIONS, SUBJECTS
from bnlab.practice.exercises.running import outcome, run
from bnlab.practice.exercises.tasks import TASKS
from tests.chapters import anchor_of, read_chapters
from tests.practice.styles import STYLES

ROOT = Path(__file__).resolve().parents[2]
BY_ANY_FUNCTION = {
    "returns-none",
    "wrong-dtype",
    "wrong-shape",
    "wrong-number-of-results",
    "mutates-input",
    "raises",
    "too-slow",
}


def parameters(task):
    return tuple(inspect.signature(task.solution).parameters)


def ranks(task):
    """Of the arguments on each case: which layouts the exercise is about."""
    return {tuple(np.ndim(a) for a in case.arguments if isinstance(a, np.ndarray | int | float)) for case in task.cases}


def ids(pairs):
    return [f"{task.id}:{number}:{one.misconception}" for number, (task, one) in enumerate(pairs)]


OWN = [(task, one) for task in TASKS.values() for one in task.mistakes]
FOREIGN = [
    (task, other, one)
    for task in TASKS.values()
    for other in TASKS.values()
    if other is not task and other.source != task.source and parameters(other) == parameters(task)
    for one in other.mistakes
]


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """A database that lasts as long as one test need not survive a power cut; half of the time went into that."""
    connect = sqlite3.connect

    def without_waiting(*arguments, **settings):
        store = connect(*arguments, **settings)
        store.execute("PRAGMA synchronous = OFF")
        return store

    monkeypatch.setattr(sqlite3, "connect", without_waiting)


@cache
def verdict_on(task, one):
    return check(task.id, task.wrong(one))


def changes_an_output(task, attempt):
    """Whether it runs on every case and differs on one."""
    try:
        outcomes = [outcome(task, attempt, case) for case in task.cases]
    except Exception:  # it cannot run here
        return False
    return not all(map(agree, task.cases, outcomes, expected(task)))


# --- right answers


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_stub_is_not_attempted(task, tmp_path):
    path = tmp_path / "stub.py"
    path.write_text(task.stub)
    scope = {"np": np, "torch": torch, "nn": torch.nn}
    exec(compile(task.stub, str(path), "exec"), scope)
    verdict = check(task.id, scope[task.name])
    assert (verdict.attempted, verdict.passed, verdict.misconception) == (False, False, None)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_solution_passes(task):
    verdict = check(task.id, task.solution)
    assert (verdict.attempted, verdict.passed, verdict.misconception) == (True, True, None)


@pytest.mark.parametrize(
    ("task", "style"),
    [
        pytest.param(task, style, id=f"{task}:{number}:{style.__name__}")  # an address would differ between processes
        for task, styles in STYLES.items()
        for number, style in enumerate(styles)
    ],
)
def test_every_correct_style_passes(task, style):
    verdict = check(task, style)
    assert verdict.passed, verdict


def test_every_exercise_has_another_correct_style():
    assert STYLES.keys() == TASKS.keys()


# --- wrong answers


@pytest.mark.parametrize(("task", "one"), OWN, ids=ids(OWN))
def test_a_mistake_is_named(task, one):
    verdict = verdict_on(task, one)
    assert (verdict.attempted, verdict.passed) == (True, False)
    assert verdict.misconception == one.misconception
    assert verdict.also is None


@pytest.mark.parametrize(("task", "one"), OWN, ids=ids(OWN))
def test_a_mistake_is_far_from_right(task, one, monkeypatch):
    """So that rounding is never taken for a mistake, nor a mistake for rounding."""
    for dtype in RTOL:
        monkeypatch.setitem(RTOL, dtype, 5e-3)
    wrong = task.wrong(one)
    assert not all(
        agree(c, outcome(task, wrong, c), right) for c, right in zip(task.cases, expected(task), strict=True)
    )


def test_a_mistake_of_one_exercise_is_named_by_every_other_of_its_signature():
    for task, other, one in FOREIGN:
        wrong = other.wrong(one)
        if ranks(other) != ranks(task) or not changes_an_output(task, wrong):
            continue
        found = diagnose(task, run(task, wrong))
        assert found is not None, (other.id, task.id, one)
        assert one.misconception in found.ids, (other.id, task.id, one)


def test_a_mistake_made_for_another_layout_never_passes_unnamed():
    tried = 0
    for task, other, one in FOREIGN:
        wrong = other.wrong(one)
        if ranks(other) == ranks(task) or not changes_an_output(task, wrong):
            continue
        tried += 1
        verdict = check(task.id, wrong)
        assert not verdict.passed, (other.id, task.id, one)
        assert verdict.misconception, (other.id, task.id, one)
    assert tried > 50


def test_the_matrix_compares_exercises_with_each_other():
    compared = {(task.id, other.id) for task, other, _ in FOREIGN}
    assert ("batch_norm_backward", "find_the_bug_backward") in compared
    assert ("layer_norm", "batch_norm_forward") in compared


# --- mistakes that any function can make


def wrap(task, change):
    """The solution with something done to its arguments or results."""
    if inspect.isclass(task.solution):

        class Wrapped(task.solution):
            def forward(self, x):
                return change(super().forward, x)

        return Wrapped
    return lambda *arguments: change(task.solution, *arguments)


def returns_nothing(function, *arguments):
    function(*arguments)


def in_half_precision(function, *arguments):
    return each(function(*arguments), lambda result: result.half() if torch.is_tensor(result) else np.float16(result))


def with_one_axis_more(function, *arguments):
    return each(function(*arguments), lambda result: result[None] if torch.is_tensor(result) else np.array([result]))


def each(results, change):
    return tuple(change(one) for one in results) if isinstance(results, tuple) else change(results)


def moves_its_input(function, *arguments):
    results = function(*arguments)
    first = arguments[0] if isinstance(arguments[0], np.ndarray | torch.Tensor) else arguments[1]
    with torch.no_grad():
        first[...] += 1
    return results


def fails(*_):
    raise RuntimeError("no idea")


def never_ends(*_):
    while True:
        np.zeros(3)


IN_PLACE = {"recalibrate", "zero_last_gamma", "freeze_norms"}  # they return nothing, rightly
RETURNING = [task for task in TASKS.values() if task.id not in IN_PLACE]
WITHOUT_ARRAYS = {
    "predict_shapes",
    "count_parameters",
    "wall_clock_speedup",
    "norm_parameters",
    "values_per_mean",
    "examples_behind",
    "accesses",
    "grade_the_answer",
    "rates_without_decay",
}
ON_ARRAYS = [task for task in RETURNING if task.id not in WITHOUT_ARRAYS]


@pytest.mark.parametrize("task", RETURNING, ids=lambda task: task.id)
def test_a_missing_return_is_named(task):
    assert check(task.id, wrap(task, returns_nothing)).misconception == "returns-none"


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_an_error_is_named_and_quoted(task):
    verdict = check(task.id, wrap(task, fails))
    assert verdict.misconception == "raises"
    assert "RuntimeError: no idea" in verdict.message


@pytest.mark.parametrize("task", ON_ARRAYS, ids=lambda task: task.id)
@pytest.mark.parametrize(
    ("change", "misconception"),
    [(in_half_precision, "wrong-dtype"), (with_one_axis_more, "wrong-shape"), (moves_its_input, "mutates-input")],
)
def test_a_result_of_another_kind_is_named(task, change, misconception):
    assert check(task.id, wrap(task, change)).misconception == misconception


@pytest.mark.parametrize(
    ("task", "limit"),
    [
        ("batch_norm_forward", running.TIME_LIMIT),
        ("batch_norm_module", 0.3),
        ("recalibrate", 0.3),
        ("count_parameters", 0.3),
    ],
)
def test_an_endless_loop_is_stopped_and_named(task, limit, monkeypatch):
    monkeypatch.setattr(running, "TIME_LIMIT", limit)
    start = time.monotonic()
    verdict = check(task, wrap(TASKS[task], never_ends))
    assert verdict.misconception == "too-slow"
    assert f"stopped: {limit:g} seconds" in verdict.message
    assert limit <= time.monotonic() - start < limit + 1


# --- words


class Balanced(html.parser.HTMLParser):
    """Fails on a closing tag that closes nothing, and keeps those that are still open."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, _):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_what_is_said_of_a_mistake_is_sound_html_and_fits_a_terminal(task):
    for one in task.mistakes:
        verdict = verdict_on(task, one)
        prose = [text for text in repr(verdict).splitlines() if not text.startswith("    ")]
        assert max(map(len, prose)) <= 80
        checker = Balanced()
        checker.feed(verdict._repr_html_())
        assert checker.open == []


def test_every_misconception_that_is_explained_can_be_found_and_the_other_way_round():
    of_the_capstone = {one.misconception for task in MODULES.values() for one in task.mistakes}
    assert {one.misconception for _, one in OWN} | of_the_capstone | BY_ANY_FUNCTION == set(MISCONCEPTIONS)


def test_no_misconception_stands_under_two_subjects():
    assert sum(map(len, SUBJECTS)) == len(MISCONCEPTIONS)


def test_the_chapters_that_explanations_point_to_have_these_sections():
    sections = {
        chapter.name[:2]: {anchor_of(h) for text in chapter.prose for h in re.findall(r"^#+ (.+)", text, re.MULTILINE)}
        for chapter in read_chapters(ROOT / "notebooks")
    }
    for misconception in MISCONCEPTIONS.values():
        for chapter in re.findall(r"chapter (\d\d)", misconception.see):
            assert chapter in sections, misconception.see
        for chapter, quoted in re.findall(r"chapter (\d\d), “([^”]+)”", misconception.see):
            assert anchor_of(quoted) in sections[chapter], misconception.see


def test_the_readme_counts_the_exercises_and_the_misconceptions():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{len(TASKS)} exercises" in readme
    assert f"{len(MISCONCEPTIONS)} named mistakes" in readme
    assert f"{len(OWN)} wrong implementations" in readme
