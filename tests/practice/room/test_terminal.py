"""Quiz, review and mock in a real pseudo-terminal of 24 lines and 80 columns, without colours, by keyboard alone."""

import os
import random
import re
import signal
import sys
from datetime import UTC, datetime, timedelta
from itertools import count

import pexpect
from typer.testing import CliRunner

from bnlab.cli.interview import app
from bnlab.practice.interview.bank import questions
from bnlab.practice.interview.room.plan import coding_question
from bnlab.practice.progress import Progress

GUESS, POINTS, FLAGS = "in percent?", "Which points did you make?", "Did you say one of these?"
EXERCISE = "batch_norm_forward"
SOLUTION = """
import numpy as np

def my_batch_norm_forward(x, gamma, beta, eps):
    return gamma * (x - x.mean(0)) / np.sqrt(x.var(0) + eps) + beta
"""


class Terminal:
    """A started command, and all that its terminal has shown."""

    def __init__(self, data_dir, *arguments):
        environment = os.environ | {"TERM": "dumb", "NO_COLOR": "1", "BNLAB_DATA_DIR": str(data_dir)}
        command = ["-m", "bnlab", "interview", *arguments]
        self.child = pexpect.spawn(
            sys.executable, command, dimensions=(24, 80), env=environment, encoding="utf-8", timeout=60
        )
        self.shown = ""

    def see(self, text):
        self.child.expect_exact(text)
        self.shown += self.child.before + self.child.after

    def type(self, *lines):
        for line in lines:
            self.see("> ")
            self.child.sendline(line)

    def answer(self, *, guess="70", text="It subtracts the batch mean.\n", points="a"):
        self.see(GUESS)
        self.type(guess)
        self.type(text)
        self.see(POINTS)
        self.type(points)
        self.see(FLAGS)
        self.type("")
        self.see("Score: ")
        self.type("")

    def end(self):
        self.child.expect(pexpect.EOF)
        self.shown += self.child.before
        self.child.close()
        return self.child.signalstatus or self.child.exitstatus


def fits_a_plain_terminal(shown):
    """No line is wider than 80 columns, but for paths, which are never broken; no colours, no moves of the cursor."""
    lines = [line for line in shown.split("\r\n") if not re.match(r"  (/|~)", line)]
    assert max(map(len, lines)) <= 80
    assert [letter for letter in shown if not letter.isprintable() and letter not in "\r\n"] == []
    return True


def test_a_quiz_from_its_first_prompt_to_its_last(data_dir):
    terminal = Terminal(data_dir, "quiz", "--questions", "2", "--seed", "1")
    terminal.see("Question 1 of 2")
    terminal.answer(text="Two paragraphs,\n\npasted.\n\n1")
    terminal.see("Question 2 of 2")
    terminal.answer(points="1")
    assert terminal.end() == 0
    assert "2 of 2 answered, all kept" in terminal.shown
    assert "Expected" not in terminal.shown  # the second paragraph answers nothing
    assert [one.points[:1] for one in Progress(data_dir).answers()] == [(1,), (1,)]
    assert fits_a_plain_terminal(terminal.shown)


def test_a_review_of_what_is_due(data_dir):
    long_ago = datetime.now(UTC) - timedelta(days=100)
    for one in ("eval-forgotten", "largest-x-hat"):
        Progress(data_dir).record_answer(one, kind="quiz", points=[], red_flags=[], score=0.6, at=long_ago)
    terminal = Terminal(data_dir, "review")
    terminal.see("Review 1 of 2")
    terminal.answer()
    terminal.see("Review 2 of 2")
    terminal.type("q")
    assert terminal.end() == 0
    assert "1 of 2 answered, all kept" in terminal.shown
    assert [one.kind for one in Progress(data_dir).answers()] == ["quiz", "quiz", "review"]
    assert fits_a_plain_terminal(terminal.shown)


def test_a_mock_from_the_choice_of_a_role_to_its_report(data_dir):
    draws = ((seed, coding_question(questions(), "ML engineer", random.Random(seed))) for seed in count())
    seed = next(seed for seed, drawn in draws if drawn.exercise == EXERCISE)
    terminal = Terminal(data_dir, "mock", "--minutes", "20", "--seed", str(seed))
    terminal.see("For which role?")
    terminal.type("ml-engineer")
    for number in range(1, 5):
        terminal.see(f"Question {number} of 4")
        terminal.answer()
    terminal.see("Coding task")
    terminal.see("> ")
    (file,) = (data_dir / "coding").glob("*.py")
    file.write_text(f"{file.read_text()}\n)")
    terminal.child.sendline("")
    terminal.see("unmatched ')'")
    terminal.see("> ")
    file.write_text(SOLUTION)
    terminal.child.sendline("")
    terminal.see("passed.")
    assert terminal.end() == 0
    (report,) = (data_dir / "reports").glob("mock-*.html")
    assert str(report) in terminal.shown
    assert "Verdict: strong." in terminal.shown
    assert "data:image/png;base64," in report.read_text()
    assert fits_a_plain_terminal(terminal.shown)


def test_ctrl_c_leaves_with_status_130_and_says_what_is_kept(data_dir):
    terminal = Terminal(data_dir, "quiz")
    terminal.answer(guess="0\x1b[D7")  # an arrow key goes back, and the line is mended
    terminal.see(GUESS)
    terminal.see("> ")
    terminal.child.sendintr()
    assert terminal.end() == 130
    assert "Interrupted; 1 answer of this run is kept." in terminal.shown
    assert "Traceback" not in terminal.shown
    (kept,) = Progress(data_dir).answers()
    assert kept.confidence == 70


def test_a_killed_mock_loses_the_answer_being_typed_and_no_other(data_dir):
    terminal = Terminal(data_dir, "mock", "--role", "manager", "--minutes", "10")
    terminal.answer()
    terminal.see(GUESS)
    terminal.type("50", "half an ans")
    terminal.see("half an ans")
    terminal.child.kill(signal.SIGKILL)
    assert terminal.end() == signal.SIGKILL
    assert len(Progress(data_dir).answers()) == 1
    again = CliRunner().invoke(app, ["report", "1"], env={"BNLAB_DATA_DIR": str(data_dir)})
    assert "Verdict: no verdict." in again.stdout
    assert len(list((data_dir / "reports").glob("*.html"))) == 1
    terminal = Terminal(data_dir, "mock", "--role", "manager", "--minutes", "10")
    terminal.answer()
    terminal.type("q")
    assert terminal.end() == 0
    assert [one.sitting for one in Progress(data_dir).answers()] == [1, 2]
