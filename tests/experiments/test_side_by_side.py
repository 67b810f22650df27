"""Studies in several processes: side by side, each on one thread, and none of them left behind."""

import multiprocessing
import os
import subprocess
import sys
import time

import pytest

from bnlab.experiments.side_by_side import computed
from bnlab.experiments.studies import STUDIES
from tests.experiments.collaborators import Quick


def quick(name, *, timed=False, **settings):
    return Quick(name, "", tuple(settings.items()), timed)


def names(outcomes):
    return [outcome.study.name for outcome in outcomes]


def test_studies_run_at_the_same_time_in_processes_of_their_own_on_one_thread(tmp_path):
    waiting = {"folder": str(tmp_path), "together": 2}  # neither gets ready without the other
    timed = quick("timed", timed=True)
    *together, last = computed([timed, quick("a", **waiting), quick("b", **waiting)], 7, jobs=2)
    assert sorted(names(together)) == ["a", "b"]
    assert [outcome.error for outcome in together] == ["", ""]
    runs, processes, threads = zip(*(outcome.result for outcome in together), strict=True)
    assert (runs, threads) == ((7, 7), (1, 1))
    assert len({os.getpid(), *processes}) == 3
    assert last.study == timed
    assert last.result[:2] == (7, os.getpid())  # alone, where nothing else computes
    assert not multiprocessing.active_children()


def test_one_at_a_time_is_in_this_process_in_the_order_given_with_timed_ones_last():
    outcomes = list(computed([quick("timed", timed=True), quick("b"), quick("a")], 0, jobs=1))
    assert names(outcomes) == ["b", "a", "timed"]
    assert {outcome.result[1] for outcome in outcomes} == {os.getpid()}


def test_a_single_study_needs_no_other_process():
    [outcome] = computed([quick("a", seconds=0.05)], 0, jobs=2)
    assert outcome.result[1] == os.getpid()
    assert 0.05 <= outcome.seconds < 5


def test_a_study_that_refuses_or_dies_leaves_the_others_their_say():
    outcomes = {
        outcome.study.name: outcome for outcome in computed([quick("a", refuse="no run"), quick("b")], 0, jobs=2)
    }
    assert outcomes["b"].numbers()[0] == 0
    with pytest.raises(ValueError, match=r"^no run$"):
        outcomes["a"].numbers()
    [a, b] = computed([quick("a", killed=True), quick("b", killed=True)], 0, jobs=2)
    assert a.error == b.error == "its process was ended from outside, perhaps for memory"


def test_an_iterator_that_is_closed_leaves_nobody_computing():
    outcomes = computed([quick("short"), quick("long", seconds=600)], 0, jobs=2)
    assert names([next(outcomes)]) == ["short"]
    begin = time.monotonic()
    outcomes.close()
    assert time.monotonic() - begin < 30
    assert not multiprocessing.active_children()


def test_processes_end_with_the_one_that_started_them(tmp_path):
    code = (
        "from bnlab.experiments.side_by_side import computed\n"
        "from tests.experiments.test_side_by_side import quick\n"
        f"settings = dict(folder={str(tmp_path)!r}, together=2, seconds=600)\n"
        "list(computed([quick('a', **settings), quick('b', **settings)], 0, jobs=2))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    until = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    process.kill()
    process.wait()
    while time.monotonic() < until:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("they go on computing for nobody")


def test_studies_that_measure_seconds_are_marked():
    assert {study.module for study in STUDIES.values() if study.timed} == {"convergence"}
    assert all(study.timed for study in STUDIES.values() if study.module == "convergence")
