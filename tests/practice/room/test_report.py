"""The report of a mock, and the commands that are not conversations."""

import re
import resource
from dataclasses import replace

import pytest

from bnlab.practice.interview.room.coding import Coding
from bnlab.practice.interview.room.mock import kept_mocks
from bnlab.practice.interview.room.report import checked_place, past_mocks, save_report
from bnlab.practice.interview.room.scorecard import Scorecard
from bnlab.practice.progress import Progress
from tests.practice.room.scripted import make_answer

LATER = "9999-01-01T00:00:00+00:00"


@pytest.fixture
def card(bank):
    answers = (
        make_answer("easy", 1.0, points=(1, 2, 3)),
        make_answer("middle", 0.3, points=(1,), red_flags=(2,), confidence=80, text="I said\nthis & <that>."),
        make_answer("bug", 0.5, points=(3,)),
    )
    return Scorecard("ML engineer", 30, "2026-11-30T09:00:00+00:00", answers, Coding("fold_affine", 1, True), bank)


def sit(*scores):
    progress = Progress()
    number = progress.begin_sitting("mock", {"role": "any", "minutes": 10, "seed": 1, "exercise": None})
    for question, score in zip(("easy", "middle", "bug"), scores, strict=False):
        progress.record_answer(question, kind="mock", sitting=number, points=[], red_flags=[], score=score)
    progress.end_sitting(number)
    return number


def test_a_report_holds_what_the_scorecard_says_and_every_answer(card, tmp_path):
    text = save_report(card, Progress(), tmp_path / "report.md").read_text()
    for part in (
        "# Mock interview, 2026-11-30: lean\n",
        "ML engineer, 30 minutes, 3 answers, 60% on average.",
        "| numerics | 2 | 65% |",
        "| screen | 1 | 100% |",
        "The coding task `fold_affine` was passed after 1 attempt.",
        "- `middle`: “Always.” It does not.",
        "- Chapter `03_mechanism_forward`: `middle`, `bug`",
        "### middle (numerics, core): 30%",
        "Typed in 1 s, 80% of a full answer expected.\n\n    I said\n    this & <that>.\n",
        "Points made:\n\n- first (3)\n\nPoints missing:\n\n- second (2)\n- third (5)\n",
        "    x = 1\n    y = 2\n\nSaid aloud in 1 s.",
    ):
        assert part in text


def test_the_place_is_a_file_with_the_mocks_moment_beside_the_progress(card, data_dir):
    assert save_report(card, Progress()) == data_dir / "reports" / "mock-2026-11-30-090000.html"


def test_two_mocks_of_one_day_have_a_report_each_whatever_the_file_numbers_them(card):
    save_report(card, Progress())
    later = replace(card, begun="2026-11-30T09:00:01+00:00")
    assert len(list(save_report(later, Progress()).parent.iterdir())) == 2


def test_a_report_that_cannot_be_written_leaves_the_one_before_it(card, tmp_path):
    file = save_report(card, Progress(), tmp_path / "report.html")
    before = file.read_bytes()
    fits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, fits[1]))  # as on a full disk
    try:
        with pytest.raises(OSError, match="File too large"):
            save_report(card, Progress(), file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, fits)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_the_chart_holds_the_mocks_up_to_this_one(card, tmp_path):
    numbers = [sit(0.2, 0.2, 0.2), sit(), sit(0.8, 0.6, 0.6), sit(1.0, 1.0, 1.0)]
    begun = {sitting.number: sitting.begun for sitting in Progress().sittings()}
    third = replace(card, begun=begun[numbers[2]])
    text = save_report(third, Progress(), tmp_path / "report.md").read_text()
    bars = re.findall(r"^    (\S+)  (#+) +(\d+)%  (.*)$", text, flags=re.MULTILINE)
    assert [(len(bar), score, word) for _, bar, score, word in bars] == [(8, "20", "no hire"), (24, "60", "lean")]


def test_an_earlier_mock_that_was_imported_later_stands_before_the_others(bank, tmp_path, monkeypatch):
    sit(0.2, 0.2, 0.2)
    Progress().export(tmp_path / "elsewhere.json")
    monkeypatch.setenv("BNLAB_DATA_DIR", str(tmp_path / "here"))
    sit(1.0, 1.0, 1.0)
    Progress().import_(tmp_path / "elsewhere.json")
    assert [past.score for past in past_mocks(Progress(), bank, before=LATER)] == pytest.approx([0.2, 1.0])


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"role": "boss", "minutes": 10, "exercise": None},
        {"role": "any", "minutes": "10", "exercise": None},
        {"role": "any", "minutes": 10**12, "exercise": "fold_affine"},
        {"role": "any", "minutes": 10, "exercise": 3},
    ],
)
def test_a_mock_of_which_too_little_is_kept_has_no_scorecard(bank, about):
    Progress().begin_sitting("mock", about)
    sit(0.2, 0.4, 0.6)
    assert len(kept_mocks(Progress())) == len(past_mocks(Progress(), bank, before=LATER)) == 1


def test_answers_to_questions_that_the_bank_no_longer_has_are_left_out(bank):
    sit(0.2, 0.4, 0.6)
    del bank["middle"]
    (past,) = past_mocks(Progress(), bank, before=LATER)
    assert past.score == pytest.approx(0.4)


@pytest.mark.parametrize("name", ["report.txt", "report", "missing/report.html", "folder.md"])
def test_a_place_that_cannot_be_a_report_is_refused(tmp_path, name):
    (tmp_path / "folder.md").mkdir()
    with pytest.raises(ValueError, match=r"--report: expected an \.html or \.md file in a folder that exists, got "):
        checked_place(tmp_path / name)


def test_a_place_that_can_be_one_is_taken(tmp_path):
    checked_place(tmp_path / "report.md")
    checked_place(None)
