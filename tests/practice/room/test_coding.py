"""The coding task: its file, and what becomes of what is written there."""

import resource

import pytest

from bnlab.practice.exercises.tasks import task_of
from bnlab.practice.interview.room.coding import Coding, code, write_stub
from bnlab.practice.progress import Progress
from tests.practice.room.scripted import Script, make_question

TASK = task_of("fold_affine")
RIGHT = """
import numpy as np

def my_fold_affine(gamma, beta, running_mean, running_var, eps):
    scale = gamma / np.sqrt(running_var + eps)
    return scale, beta - running_mean * scale
"""
WRONG = RIGHT.replace("beta - running_mean * scale", "beta - running_mean")
MODULE = """
import torch
from torch import nn

class MyBatchNormModule(nn.Module):
    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.norm = nn.BatchNorm2d(num_features)
        raise RuntimeError("no")
    def forward(self, x):
        return self.norm(x)
"""


def written(tmp_path, text):
    """A line that first saves the text in the task's file."""

    def line(script):
        next(tmp_path.glob("*.py")).write_text(text, encoding="utf-8")
        return ""

    return line


def held(bank, tmp_path, *lines, left=600.0, question="task"):
    script = Script(*lines)
    return code(script.talk, bank[question], tmp_path, lambda: left), script.shown


def test_the_stub_is_written_into_a_file_whose_path_is_shown(bank, tmp_path):
    outcome, shown = held(bank, tmp_path, "s")
    (file,) = tmp_path.glob("*.py")
    assert f"Write it in this file:\n  {file}\n" in shown
    assert TASK.stub in file.read_text()
    assert outcome == Coding("fold_affine", 0, passed=False)


def test_a_bug_to_be_found_is_announced(bank, tmp_path):
    bank["task"] = make_question("task", exercise="find_the_bug_module")
    _, shown = held(bank, tmp_path, "", "s")
    assert "The code in this file has a mistake. Find it and mend it:" in shown
    assert "The file still holds the stub: mend the mistake in it" in shown


def test_a_file_that_is_there_is_left_alone(tmp_path):
    first, second = write_stub(TASK, tmp_path), write_stub(TASK, tmp_path)
    first.write_text("mine")
    assert first != second
    assert write_stub(TASK, tmp_path) not in {first, second}
    assert first.read_text() == "mine"


def test_a_right_answer_ends_the_task_and_is_kept_with_its_source(bank, tmp_path):
    outcome, shown = held(bank, tmp_path, written(tmp_path, RIGHT))
    assert outcome == Coding("fold_affine", 1, passed=True)
    assert "fold_affine: passed." in shown
    (attempt,) = Progress().attempts("fold_affine")
    assert attempt.passed
    assert attempt.source in RIGHT


def test_a_wrong_answer_gets_the_name_of_its_mistake_and_another_try(bank, tmp_path):
    outcome, shown = held(bank, tmp_path, written(tmp_path, WRONG), written(tmp_path, RIGHT))
    assert "shift-not-scaled" in shown
    assert outcome == Coding("fold_affine", 2, passed=True)


def test_an_untouched_stub_is_no_attempt(bank, tmp_path):
    outcome, shown = held(bank, tmp_path, "", "s")
    assert "The file still holds the stub" in shown
    assert outcome.attempts == 0
    assert Progress().attempts("fold_affine") == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def my_fold_affine(:\n", "Line 1: "),
        ("x = 1\n", "Expected my_fold_affine in the file"),
        ("my_fold_affine = 3\n", "Expected your function for 'fold_affine', got int."),
        ("import nothing_of_this_name\n", "Expected a file that runs, got ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "Expected a file that runs, got SystemExit: 3."),
        ("while True:\n    pass\n", "one that runs longer than"),
    ],
    ids=["syntax", "no_function", "no_callable", "import", "exit", "endless"],
)
def test_a_file_that_cannot_be_checked_gets_one_line_and_another_try(bank, tmp_path, monkeypatch, text, line):
    monkeypatch.setattr("bnlab.practice.interview.room.coding.SECONDS", 0.2)
    outcome, shown = held(bank, tmp_path, written(tmp_path, text), written(tmp_path, RIGHT))
    assert line in shown
    assert outcome == Coding("fold_affine", 1, passed=True)


def test_a_file_that_is_no_text_gets_one_line(bank, tmp_path):
    def line(script):
        next(tmp_path.glob("*.py")).write_bytes(b"\xff\xfe")
        return ""

    _, shown = held(bank, tmp_path, line, "s")
    assert "Expected a file that can be read" in shown


def test_an_error_names_the_line_even_where_the_path_holds_the_packages_name(bank, tmp_path):
    folder = tmp_path / "bnlab"
    text = "\n\n\ndef my_fold_affine(*arguments):\n    return 1 / 0\n"
    _, shown = held(bank, folder, written(folder, text), "s")
    assert "at line 5 of `my_fold_affine`" in " ".join(shown.split())


def test_a_class_is_read_anew_after_each_edit(bank, tmp_path, monkeypatch):
    bank["task"] = make_question("task", exercise="batch_norm_module")
    other = MODULE.replace('"no"', '"yes"')
    held(bank, tmp_path, written(tmp_path, MODULE), written(tmp_path, other), "s")
    sources = [attempt.source for attempt in Progress().attempts("batch_norm_module")]
    assert ['"no"' in source for source in sources] == [True, False]
    assert '"yes"' in sources[1]


def test_the_answer_in_hand_is_taken_when_time_is_up_and_no_other(bank, tmp_path):
    outcome, _ = held(bank, tmp_path, written(tmp_path, WRONG), written(tmp_path, RIGHT), left=-1.0)
    assert outcome == Coding("fold_affine", 1, passed=False)


def test_leaving_keeps_the_attempts(bank, tmp_path):
    outcome, _ = held(bank, tmp_path, written(tmp_path, WRONG), "q")
    assert outcome == Coding("fold_affine", 1, passed=False)


def test_a_stub_that_meets_a_full_disk_leaves_no_file(tmp_path):
    fits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, fits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_stub(TASK, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, fits)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_leaves_the_task_out(bank, tmp_path):
    (tmp_path / "taken").write_text("")
    outcome, shown = held(bank, tmp_path / "taken")
    assert "The task is left out, since its file could not be written" in shown
    assert outcome.attempts == 0
