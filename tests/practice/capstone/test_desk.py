"""The hour from its beginning to its report, with a perfect, an average and an empty submission."""

import json
import re

import pytest

from bnlab.practice import posttest, pretest
from bnlab.practice.capstone.module import ASPECTS
from bnlab.practice.interview.bank import CHAPTERS, questions
from bnlab.practice.progress import Progress
from tests.practice.capstone.conftest import answer_fully, line_of, write_page

PARTS = ["the module", "the script", "the plots", "the questions"]


def shares(report, when):
    return [round(100 * getattr(report.result.parts[name], when)) for name in PARTS]


def test_a_perfect_submission_is_ready_with_nothing_to_read_again(desk, latest, watch):
    desk.begin(seed=1)
    capstone = latest()
    write_page(capstone)
    watch.wait(30)
    assert desk.check().headline == "batch_norm.py: 8 of 8 right."
    assert desk.name_bugs(*(line_of(capstone, bug) for bug in capstone.script.bugs)).headline == "Sealed: 3 of 3 lines."
    answer_fully(desk, *capstone.asked)
    watch.wait(25)
    report = desk.report()
    assert shares(report, "hour") == shares(report, "end") == [100, 100, 100, 100]
    assert report.result.decide() == ("ready", ("100% at the hour", "no red flag said"))
    assert report.result.read_again() == {}
    assert repr(report).startswith("# Capstone, 2026-03-02: ready\n")
    assert "Nothing: every part was right within the hour." in repr(report)
    assert report.file.read_text().startswith("<!DOCTYPE html>")


def test_an_average_submission_gets_credit_for_each_part_and_reads_what_failed(desk, latest):
    desk.begin(seed=2)
    capstone, bank = latest(), questions()
    write_page(capstone, ("grad_x = grad_x - (grad_bias / count).reshape(ctx.shape)", "pass"))
    assert desk.check().headline == "batch_norm.py: 6 of 8 right."
    first, second, third = capstone.script.bugs
    desk.name_bugs(line_of(capstone, first), 1, 2)
    desk.doctor()
    desk.name_bugs(line_of(capstone, second))
    good, poor = [capstone.asked[i] for i in (0, 2, 3)], [capstone.asked[i] for i in (1, 4, 5)]
    answer_fully(desk, *good)
    report = desk.report()
    assert shares(report, "hour") == [75, 50, 50, 50]
    assert report.result.total.hour == pytest.approx(0.4 * 0.75 + 0.3 * 0.5 + 0.1 * 0.5 + 0.2 * 0.5)
    assert report.result.decide() == ("nearly there", ("60% at the hour", "no red flag said"))
    assert set(report.result.read_again()) == {
        "04_mechanism_backward",
        second.chapter,
        third.chapter,
        *(bank[one].chapter for one in poor),
    }
    page = repr(report)
    assert "| backward | missing-mean-gradient | missing-mean-gradient |" in page
    assert "Named too, without a planted bug: 1, 2." in page
    for bug, how in zip(capstone.script.bugs, ("alone", "with the doctor", "not"), strict=True):
        assert f"| {bug.name} | {how} |" in page


def test_an_empty_submission_is_not_judged_and_has_everything_left(desk, latest):
    desk.begin(seed=3)
    report = desk.report()
    assert shares(report, "end") == [0, 0, 0, 0]
    assert report.result.decide().word == "not taken"
    assert "## The module" not in repr(report)  # no table of what nobody tried
    capstone = latest()
    assert set(report.result.read_again()) == {
        *(aspect.chapter for aspect in ASPECTS.values()),
        *(bug.chapter for bug in capstone.script.bugs),
        *(questions()[one].chapter for one in capstone.asked),
    }
    assert {*report.result.read_again()} <= {*CHAPTERS}


def test_what_comes_after_the_hour_is_kept_and_marked(desk, latest, watch):
    desk.begin(seed=4)
    capstone = latest()
    write_page(capstone, ("if ctx.training:", "if False:"))
    watch.wait(59)
    desk.check()
    watch.wait(2)
    assert "The hour is over" in desk.status().headline
    write_page(capstone)
    assert "8 of 8" in desk.check().headline
    desk.name_bugs(line_of(capstone, capstone.script.bugs[0]))
    answer_fully(desk, *capstone.drawn.plots)
    report = desk.report()
    assert shares(report, "hour") == [75, 0, 0, 0]
    assert shares(report, "end") == [100, 33, 100, 0]
    page = repr(report)
    assert "alone, after the hour" in page
    assert "after the hour" in page.split("## Plots and questions")[1]
    late = [reason for reasons in report.result.read_again().values() for reason in reasons if "late" in reason]
    assert set(late) == {
        "`stats-detached`, in the module (right, but late)",
        f"{capstone.script.bugs[0].name}, in the script (right, but late)",
        *(f"`{one}` (right, but late)" for one in capstone.drawn.plots),
    }
    assert report.result.decide().word == "not yet"
    assert "What you had at the end would have been “nearly there”" in page


def test_a_page_of_which_nothing_stood_in_time_shows_what_came_after(desk, latest, watch):
    desk.begin(seed=4)
    watch.wait(70)
    write_page(latest(), ("if ctx.training:", "if False:"))
    desk.check()
    page = repr(desk.report())
    assert "Checks: 1. The best one after the 60 minutes:" in page
    assert "| backward | stats-detached | stats-detached |" in page


def test_what_was_answered_is_marked_before_the_report_ends_it(desk, latest):
    desk.begin(seed=4)
    first, second, *_ = latest().asked
    desk.done(first)
    answer_fully(desk, second)
    note = desk.report()
    assert note.headline == "The report comes after your marks."
    assert f'capstone.mark("{first}", [])' in note.message
    assert second not in note.message
    desk.mark(first, [])
    assert shares(desk.report(), "hour")[2] == 50


def test_marks_may_come_after_the_hour_if_the_answer_did_not(desk, latest, watch):
    desk.begin(seed=4)
    plot = latest().drawn.plots[0]
    desk.done(plot)
    watch.wait(90)
    answer_fully(desk, plot)
    assert shares(desk.report(), "hour")[2] == 50


def test_what_was_never_checked_is_checked_when_it_is_handed_in(desk, latest):
    desk.begin(seed=5)
    write_page(latest())
    report = desk.report()
    assert shares(report, "hour")[0] == 100


def test_the_best_check_counts_not_the_last(desk, latest):
    desk.begin(seed=5)
    write_page(latest())
    desk.check()
    write_page(latest(), ("if ctx.training:", "if False:"))
    assert "6 of 8" in desk.check().headline
    report = desk.report()
    assert shares(report, "hour")[0] == 100
    assert set(report.result.cells.values()) == {None}


def test_the_doctor_is_forbidden_until_three_lines_are_sealed(desk, latest):
    desk.begin(seed=6)
    assert desk.doctor().headline == "Not yet: the doctor comes after you."
    desk.name_bugs()
    assert not desk.doctor().healthy


def test_lines_are_sealed_once_alone_and_once_with_the_doctor(desk, latest):
    desk.begin(seed=6)
    capstone = latest()
    right = [line_of(capstone, bug) for bug in capstone.script.bugs]
    desk.name_bugs(1)
    assert desk.name_bugs(*right).headline == "Your lines were sealed before."
    desk.doctor()
    desk.name_bugs(*right)
    desk.name_bugs(1)
    assert shares(desk.report(), "end")[1] == 50


@pytest.mark.parametrize("lines", [(1, 2, 3, 4), (0,), (10_000,), ("12",), (True,)])
def test_what_is_no_line_is_refused_and_nothing_is_sealed(desk, latest, lines):
    desk.begin(seed=6)
    came = re.escape(", ".join(map(repr, lines)))
    with pytest.raises(ValueError, match=rf"^expected up to 3 numbers of lines from 1 to \d+, got {came}$"):
        desk.name_bugs(*lines)
    assert latest().events() == {}


def test_lines_that_have_other_numbers_now_are_not_sealed(desk, latest):
    desk.begin(seed=6)
    capstone = latest()
    file, right = capstone.folder / "train.py", [line_of(capstone, bug) for bug in capstone.script.bugs]
    laid = file.read_text()
    file.write_text("# mine\n" + laid)
    assert desk.name_bugs(*right).headline == "Nothing was sealed: your lines have other numbers now."
    assert latest().events() == {}
    mended = [line if n not in right else "pass" for n, line in enumerate(laid.splitlines(), 1)]
    file.write_text("\n".join(mended))
    assert desk.name_bugs(*right).headline == "Sealed: 3 of 3 lines."


def test_a_rubric_is_shown_once_an_answer_is_done_and_not_before(desk, latest):
    desk.begin(seed=7)
    for id_ in latest().asked:
        point = " ".join(questions()[id_].rubric[0].point.split())
        assert point not in " ".join(repr(desk.questions()).split())
        assert point in " ".join(repr(desk.done(id_)).split())


def test_marks_take_an_answer_that_is_done_and_the_first_count(desk, latest):
    desk.begin(seed=7)
    id_ = latest().asked[0]
    assert desk.mark(id_, [1]).headline == f"{id_}: answer it first."
    assert latest().answers() == {}
    desk.done(id_, 70)
    desk.mark(id_, [1], [1])
    assert desk.mark(id_, [1, 2]).headline == f"{id_}: marked before."
    answer = latest().answers()[id_]
    assert (answer.points, answer.red_flags, answer.confidence) == ((1,), (1,), 70)


def test_of_marks_from_two_kernels_at_once_the_first_count(desk, latest):
    desk.begin(seed=7)
    capstone = latest()
    id_ = capstone.asked[0]
    desk.done(id_)
    desk.mark(id_, [1])
    capstone.progress.record_answer(
        id_, kind="notebook", points=[1, 2], red_flags=[], score=1.0, sitting=capstone.number, at=capstone.now()
    )
    assert latest().answers()[id_].points == (1,)


def test_red_flags_keep_from_ready(desk, latest):
    desk.begin(seed=1)
    capstone = latest()
    write_page(capstone)
    desk.name_bugs(*(line_of(capstone, bug) for bug in capstone.script.bugs))
    flagged, *others = capstone.asked
    answer_fully(desk, *others)
    desk.done(flagged)
    desk.mark(flagged, range(1, len(questions()[flagged].rubric) + 1), [1])
    report = desk.report()
    assert report.result.total.hour == 1
    assert report.result.decide() == ("nearly there", ("100% at the hour", "1 red flag said"))
    assert [*report.result.read_again()] == [questions()[flagged].chapter]
    assert questions()[flagged].red_flags[0].says in repr(report).replace("\\", "")


@pytest.mark.parametrize("call", ["done", "mark"])
def test_a_question_that_was_not_asked_is_refused(desk, call):
    desk.begin(seed=1)
    with pytest.raises(ValueError, match=r"^expected one of [a-z0-9-]+, .*, got 'nowhere'$"):
        getattr(desk, call)("nowhere", *([[1]] if call == "mark" else []))


def test_without_a_capstone_every_call_says_how_to_begin(desk):
    for call in (desk.status, desk.check, desk.doctor, desk.questions, desk.report, desk.name_bugs):
        assert call().headline == "No capstone is open."


def test_the_second_sitting_has_other_variants_and_its_report_shows_both(desk, latest, watch):
    desk.begin(seed=1)
    first = latest()
    desk.report()
    watch.wait(60 * 24)
    desk.begin(seed=1)
    second = latest()
    assert second.folder.name == "2"
    assert first.drawn.module != second.drawn.module
    assert first.drawn.script != second.drawn.script
    assert not {*first.asked} & {*second.asked}
    page = repr(desk.report())
    assert "| 2026-03-02 09:00 | 0% | 0% | 0% | 0% | 0% | not taken |" in page
    assert "| 2026-03-03 09:00 | 0% | 0% | 0% | 0% | 0% | not taken |" in page


def test_the_report_of_an_ended_capstone_can_be_seen_again(desk):
    desk.begin(seed=1)
    assert repr(desk.report()) == repr(desk.report())
    assert desk.status().headline == "No capstone is open."


def test_the_report_compares_the_test_before_the_course_with_the_one_after_it(desk):
    desk.begin(seed=1)
    assert "were not answered, so there is nothing to compare with" in repr(desk.report())
    pretest("aaaaaaaaaa")
    assert "`posttest()`, from `bnlab.practice`, asks the ten questions" in repr(desk.report())
    posttest("bbbbbbbbbb")
    page = repr(desk.report())
    assert "posttest()" not in page
    assert "Wrong after the course:" in page
    assert 'alt="Which topics were right before the course and after it."' in desk.report()._repr_html_()


def test_an_export_carries_the_capstone_to_another_machine(desk, latest, tmp_path, monkeypatch):
    desk.begin(seed=2)
    capstone = latest()
    write_page(capstone)
    desk.check()
    desk.name_bugs(line_of(capstone, capstone.script.bugs[0]))
    answer_fully(desk, capstone.asked[0])
    Progress().export(tmp_path / "mine.json")
    assert json.loads((tmp_path / "mine.json").read_text())["tables"]["sittings"][0]["kind"] == "capstone"
    monkeypatch.setenv("BNLAB_DATA_DIR", str(tmp_path / "elsewhere"))
    Progress().import_(tmp_path / "mine.json")
    there = latest()
    assert (there.drawn, there.events(), there.answers().keys()) == (
        capstone.drawn,
        capstone.events(),
        capstone.answers().keys(),
    )
    assert shares(desk.report(), "hour")[:2] == [100, 33]


def test_on_another_machine_the_files_lie_beside_the_notebook_again(desk, latest, tmp_path, monkeypatch):
    desk.begin(seed=2, folder=tmp_path / "here" / "capstone")
    write_page(latest())
    (tmp_path / "here").rename(tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    assert desk.check().headline == "batch_norm.py: 8 of 8 right."
