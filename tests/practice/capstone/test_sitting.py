"""Nothing is lost: not by a kill, not by a clock that is set back, not by a file that somebody wrote into."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bnlab.practice.capstone.sitting import kept
from bnlab.practice.progress import Progress
from tests.practice.capstone.conftest import line_of, write_page

KILLED = """
import os, signal
from bnlab.practice import capstone
from bnlab.practice.capstone.modules import MODULES
from bnlab.practice.capstone.sitting import kept
from bnlab.practice.progress import Progress
capstone.begin(seed=1)
one = kept(Progress(), None)[-1]
(one.folder / "batch_norm.py").write_text("import torch\\nfrom torch import nn\\n" + MODULES[one.drawn.module].source)
capstone.check()
capstone.name_bugs(one.script.lines_of(one.script.bugs[0])[0])
capstone.done(one.asked[0], 60)
os.kill(os.getpid(), signal.SIGKILL)
"""


def run(code, folder):
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=os.environ, check=False).returncode


def test_a_killed_process_loses_nothing_and_the_hour_goes_on(desk, latest, watch, tmp_path):
    assert run(KILLED, tmp_path) == -signal.SIGKILL
    capstone = latest()
    watch.moment = capstone.started
    watch.wait(20)
    assert desk.status().headline == "40 of 60 minutes left."
    assert "1 checked, at best 8 of 8 right" in repr(desk.status())
    assert "1 of 2 answered" in repr(desk.status())
    assert "class BatchNorm" in (capstone.folder / "batch_norm.py").read_text()
    desk.begin()
    assert len(kept(Progress(), watch)) == 1
    desk.mark(capstone.asked[0], [1])
    result = desk.report().result
    assert [result.parts["the module"].hour, result.parts["the script"].hour] == [1, pytest.approx(1 / 3)]


def test_who_stops_it_while_it_lays_the_files_has_started_no_clock(desk, latest, monkeypatch):
    replace, done = Path.replace, []

    def stopped_at_the_second(self, target):
        if done:
            raise KeyboardInterrupt
        done.append(replace(self, target))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", stopped_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            desk.begin(seed=1)
    assert desk.status().headline == "No capstone is open."
    desk.begin(seed=1)
    assert sorted(file.name for file in latest().folder.iterdir()) == ["batch_norm.py", "train.py"]


def test_a_clock_that_is_set_back_gives_no_time_and_breaks_nothing(desk, latest, watch):
    desk.begin(seed=1)
    capstone = latest()
    watch.wait(30)
    desk.done(capstone.asked[0])
    watch.wait(-24 * 60)
    assert desk.status().headline == "30 of 60 minutes left."
    assert "30 of 60" in repr(desk.mark(capstone.asked[0], [1]))
    write_page(capstone)
    desk.check()
    desk.name_bugs(line_of(capstone, capstone.script.bugs[0]))
    desk.report()
    begun_again = desk.begin(seed=2)
    assert begun_again.headline == "60 minutes, from now on."
    assert latest().number != capstone.number


def test_marks_of_a_question_that_was_answered_in_the_future_are_kept(desk, latest, watch):
    desk.begin(seed=1)
    id_ = latest().asked[0]
    Progress().record_answer(id_, kind="quiz", points=(), red_flags=(), score=0.0, at=watch.moment.replace(year=2027))
    desk.done(id_)
    assert "of a full answer" in desk.mark(id_, [1]).headline


def test_a_page_that_was_saved_within_the_hour_counts_when_it_is_checked_after_it(desk, latest, watch):
    desk.begin(seed=1)
    capstone = latest()
    write_page(capstone)
    saved = (watch.moment.timestamp() + 600,) * 2
    os.utime(capstone.folder / "batch_norm.py", saved)
    watch.wait(120)
    result = desk.report().result
    assert result.parts["the module"].hour == 1


@pytest.mark.parametrize(
    "edit",
    [
        {"module": "capstone_tensorflow"},
        {"script": None},
        {"plots": []},
        {"questions": ["nowhere"]},
        {"started": "yesterday"},
        {"started": "2026-03-02T09:00:00"},
        {"folder": 3},
    ],
)
def test_a_capstone_whose_parts_no_longer_exist_is_left_out(desk, latest, edit):
    desk.begin(seed=1)
    with sqlite3.connect(Progress().path) as store:
        (about,) = store.execute("SELECT about FROM sittings").fetchone()
        store.execute("UPDATE sittings SET about = ?", (json.dumps(json.loads(about) | edit),))
    store.close()
    assert desk.status().headline == "No capstone is open."


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"at": 3}', '{"at": "2026-03-02"}', "null"])
def test_an_event_that_cannot_be_read_is_left_out(desk, latest, text):
    desk.begin(seed=1)
    Progress().record_choice(latest().number, "bugs", text)
    assert latest().events() == {}
    desk.report()


def test_who_looks_for_her_capstone_is_told_what_became_of_its_file(desk):
    desk.begin(seed=1)
    with sqlite3.connect(Progress().path) as store:
        store.execute("PRAGMA user_version = 99")
    store.close()
    note = desk.status()
    assert note.headline == "No capstone is open."
    assert "was written by a newer version of bnlab" in note.message


def test_lines_that_could_not_be_kept_are_not_called_sealed(desk):
    desk.begin(seed=1)
    with sqlite3.connect(Progress().path) as store:
        store.execute("CREATE TRIGGER full BEFORE INSERT ON choices BEGIN SELECT RAISE(FAIL, 'disk is full'); END")
    store.close()
    note = desk.name_bugs(1, 2, 3)
    assert note.headline == "Nothing was sealed."
    assert "disk is full" in note.message


def test_capstones_stand_in_the_order_in_which_they_were_taken_whatever_the_clock_says(desk, watch):
    desk.begin(seed=1)
    desk.report()
    watch.wait(-60 * 24)
    desk.begin(seed=2)
    assert "| 2026-03-02 09:00 | 0% | 0% | 0% | 0% | 0% | not taken |\n| 2026-03-01 09:00 |" in repr(desk.report())


def test_an_hour_that_cannot_be_kept_is_not_started(desk, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BNLAB_DATA_DIR", str(tmp_path / "file"))
    note = desk.begin(seed=1)
    assert note.headline == "The hour was not started."
    assert "This was not added to your progress" in note.message
