"""The commands, in this process: their options, their errors, and the tables that they print."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bnlab.cli.interview import app
from bnlab.practice.interview.bank import questions
from bnlab.practice.interview.room.lookup import list_questions
from bnlab.practice.interview.schedule import end_of_day
from bnlab.practice.progress import Progress


def run(*arguments, typed=""):
    done = CliRunner().invoke(app, list(arguments), input=typed, env={"COLUMNS": "80", "NO_COLOR": "1"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def sit(*scores):
    progress = Progress()
    number = progress.begin_sitting("mock", {"role": "any", "minutes": 10, "seed": 1, "exercise": None})
    for question, score in zip(questions(), scores, strict=False):
        progress.record_answer(question, kind="mock", sitting=number, points=[], red_flags=[], score=score)
    return number


@pytest.mark.parametrize("command", [["quiz"], ["list", "--topic", "cnn"], ["show", "largest-x-hat"], ["progress"]])
def test_whoever_reads_or_answers_questions_waits_for_neither_torch_nor_matplotlib(command):
    code = f"""
import atexit, sys
from bnlab.cli import app
atexit.register(lambda: print([name for name in ("torch", "matplotlib", "numba") if name in sys.modules]))
app(["interview", *{command}])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    assert done.stdout.endswith("\n[]\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["quiz", "--topic", "x"], "bnlab: --topic: expected one of "),
        (["list", "--level", "x"], "bnlab: --level: expected one of screen, core, deep, research, got 'x'\n"),
        (["mock", "--role", "boss"], "bnlab: expected a role, one of data-scientist, ml-engineer, "),
        (["mock", "--report", "x.txt"], "bnlab: --report: expected an .html or .md file"),
        (["show", "x"], "bnlab: expected the id of a question, got 'x'"),
        (["report"], "bnlab: expected a mock that is kept, got none in "),
        (["progress", "--picture", "x.nothing"], "bnlab: --picture: expected a .png file"),
        (
            ["progress", "--picture", "no/x.png"],
            "bnlab: --picture: expected a .png file in a folder that exists, got no",
        ),
        (["quiz", "--weak"], "bnlab: --weak: expected questions that you answered before, got none"),
    ],
)
def test_a_wrong_argument_is_one_line_and_status_2(tmp_path, monkeypatch, arguments, line):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_quiz_can_be_answered_over_a_pipe():
    done = run("quiz", "--questions", "1", "--level", "screen", typed="\nMy words.\n\na\n\n\n")
    assert done.exit_code == 0
    assert "> My words.\n> \nThat took 0 s." in done.stdout
    (kept,) = Progress().answers()
    assert (kept.score, kept.text) == (1.0, "My words.")
    assert questions()[kept.question].level == "screen"


def test_ctrl_c_has_status_130(monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("bnlab.practice.interview.room.rounds.quiz", interrupted)
    done = run("quiz")
    assert done.exit_code == 130
    assert "Interrupted; no answers of this run are kept." in done.stdout


def test_without_a_role_the_mock_asks_for_it():
    done = run("mock", "--minutes", "10", "--seed", "1", typed="boss\nManager\nq\n")
    assert "Expected a role, one of data-scientist, " in done.stdout
    assert "A mock interview for the role manager: 10 minutes, up to 4 questions." in " ".join(done.stdout.split())
    assert "Nothing was answered, so there is no report." in done.stdout


def test_the_role_can_be_left_at_the_usual_one_or_the_mock_left():
    assert "for the role ML engineer" in run("mock", "--minutes", "10", typed="\nq\n").stdout
    assert run("mock", typed="q\n").exit_code == 0
    assert len(Progress().sittings("mock")) == 1


def test_a_report_is_that_of_the_latest_mock_or_of_the_one_asked_for(tmp_path):
    first, second = sit(0.2, 0.2, 0.2), sit(0.9, 0.9, 0.9)
    assert "Verdict: strong." in run("report").stdout
    done = run("report", str(first), "--report", str(tmp_path / "first.md"))
    assert "Verdict: no hire." in done.stdout
    assert (tmp_path / "first.md").read_text().startswith("# Mock interview")
    done = run("report", "7")
    assert done.stderr == f"bnlab: expected the number of a mock, one of {first}, {second}, got 7\n"


def test_the_latest_mock_is_the_one_begun_last_whatever_its_number(tmp_path, monkeypatch):
    sit(0.2, 0.2, 0.2)
    Progress().export(tmp_path / "elsewhere.json")
    monkeypatch.setenv("BNLAB_DATA_DIR", str(tmp_path / "here"))
    sit(0.9, 0.9, 0.9)
    Progress().import_(tmp_path / "elsewhere.json")
    assert "Verdict: strong." in run("report").stdout


def test_a_report_that_cannot_be_written_leaves_the_scorecard(data_dir):
    sit(0.9, 0.9, 0.9)
    (data_dir / "reports").write_text("a file where the folder should be")
    done = run("report")
    assert done.exit_code == 0
    assert "Verdict: strong." in done.stdout
    assert "The report could not be written: " in done.stdout


def test_progress_counts_by_topic_and_by_role():
    progress, long_ago = Progress(), datetime.now(UTC) - timedelta(days=200)
    manager_too, not_manager = "eval-forgotten", "largest-x-hat"
    progress.record_answer(manager_too, kind="quiz", points=[], red_flags=[], score=0.5, at=long_ago)
    progress.record_answer(not_manager, kind="quiz", points=[], red_flags=[], score=0.2)
    progress.record_answer(not_manager, kind="quiz", points=[], red_flags=[], score=1.0)
    lines = {line.split()[0]: line.split()[1:] for line in run("progress").stdout.splitlines() if line}
    of_topic = sum(question.topic == "mathematics" for question in questions().values())
    assert lines["mathematics"] == [str(of_topic), "1", "100%", "0"]
    assert lines["training-and-inference"][1:] == ["1", "50%", "1"]
    assert lines["manager"][1:] == ["1", "50%", "1"]
    assert lines["research-scientist"][1:] == ["2", "75%", "1"]
    assert lines["gpu"][1:] == ["0", "-", "0"]


def test_what_comes_due_in_the_evening_is_counted_in_the_morning():
    last_second = end_of_day(datetime.now(UTC)) - timedelta(days=1, seconds=1)  # of yesterday
    Progress().record_answer("largest-x-hat", kind="quiz", points=[], red_flags=[], score=0.2, at=last_second)
    (line,) = (line for line in run("progress").stdout.splitlines() if line.startswith("mathematics "))
    assert line.split()[-1] == "1"


def test_progress_can_be_drawn(tmp_path):
    done = run("progress", "--picture", str(tmp_path / "progress.png"))
    assert done.stdout.endswith(f"The picture is in this file:\n  {tmp_path / 'progress.png'}\n")
    assert (tmp_path / "progress.png").read_bytes().startswith(b"\x89PNG")


def test_the_list_has_a_line_for_each_question_with_its_latest_score():
    Progress().record_answer("eval-forgotten", kind="quiz", points=[], red_flags=[], score=0.5)
    lines = run("list", "--topic", "training-and-inference").stdout.splitlines()
    assert {line.split()[1] for line in lines[1:-1:2]} == {"training-and-inference"}
    at = next(number for number, line in enumerate(lines) if line.startswith("eval-forgotten "))
    assert lines[at].split() == ["eval-forgotten", "training-and-inference", "core", "50%"]
    assert lines[at + 1].startswith("  A model scores 97% in your notebook and 60% ")
    assert max(map(len, lines)) <= 80


def test_the_list_as_json_is_for_programs():
    found = json.loads(run("list", "--json", "--role", "manager").stdout)
    assert set(found[0]) == {"id", "topic", "level", "roles", "prompt", "chapter"}
    assert all({"manager", "any"} & set(one["roles"]) for one in found)


@pytest.mark.parametrize("command", ["list", "progress", "report", "quiz", "review", "pretest"])
def test_a_file_that_was_set_aside_is_spoken_of(data_dir, command):
    data_dir.mkdir(parents=True)
    (data_dir / "progress.sqlite").write_bytes(b"These are the notes of somebody." * 40)
    assert "Your progress file was damaged. It is kept as " in " ".join(run(command, typed="a\nq\n").stdout.split())


def test_no_terminal_replaces_a_letter_of_the_json(room):
    held, script = room()
    held.bank["middle"] = replace(held.bank["middle"], prompt="What of σ²?")
    list_questions(held, None, None, None, as_json=True)
    assert script.shown.isascii()
    assert json.loads(script.shown)[1]["prompt"] == "What of σ²?"


def test_everything_about_a_question_is_shown():
    question, shown = questions()["eval-forgotten"], " ".join(run("show", "eval-forgotten").stdout.split())
    answers = question.answers
    texts = [question.prompt, answers.short, answers.two_minutes, answers.whiteboard, question.chapter]
    texts += [f"{number}. {one.point} ({one.weight})" for number, one in enumerate(question.rubric, start=1)]
    texts += [f"“{one.says}” {one.why}" for one in question.red_flags] + list(question.follow_ups)
    for text in texts:
        assert " ".join(text.split()) in shown


def test_no_line_of_any_question_is_wider_than_80_columns():
    from bnlab.practice.interview.room.tables import everything, listing, progress_tables  # noqa: PLC0415 - slow

    bank = list(questions().values())
    text = "\n".join([*map(everything, bank), listing(bank, Progress()), progress_tables(bank, Progress())])
    assert [line for line in text.splitlines() if len(line) > 80] == []


def test_cards_are_written_and_counted(tmp_path):
    done = run("cards", "--anki", str(tmp_path / "deck.apkg"))
    assert done.stdout.startswith(f"{len(questions())} cards are in ")
    assert Path(tmp_path / "deck.apkg").stat().st_size > 10_000


def test_a_deck_that_cannot_be_written_is_one_line(tmp_path):
    done = run("cards", "--anki", str(tmp_path / "missing" / "deck.apkg"))
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
