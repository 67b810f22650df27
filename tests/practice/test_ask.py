"""How a question shows itself: folded in a notebook, in 80 columns in a terminal, the same each time."""

import contextlib
import io
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from bnlab.practice.interview.asking import PARTS, Asked, Recall, ask, recall
from bnlab.practice.interview.bank import Answers, Point, Question, RedFlag, questions, recalls

HOSTILE = Question(
    id="hostile",
    topic="numerics",
    level="core",
    roles=("any",),
    prompt="Is <b>1 < 2</b> & `a < b`?",
    answers=Answers("<i>Yes</i> & no.", "One.\nTwo `x <= y`.", "a < b\n  </pre><script>"),
    rubric=(Point("x < y", 3), Point("`<p>`", 2), Point("third", 1)),
    red_flags=(RedFlag("<u>no</u>", "a & b"),),
    follow_ups=(),
    chapter="03_mechanism_forward",
)


class Page(HTMLParser):
    """The tags of a page, the open ones at each text, and the visible text: what no `details` folds away."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.visible, self.all = [], [], "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.all += data
        if "details" not in self.open or "summary" in self.open:
            self.visible += data


def shown(thing):
    return Page(thing._repr_html_())


# --- in a notebook


def test_a_prompt_is_visible_and_its_answers_are_folded():
    page = shown(ask("eps-placement"))
    question = questions()["eps-placement"]
    assert question.prompt in page.visible
    assert question.answers.short not in page.visible
    assert question.answers.short in page.all


def test_every_part_has_a_fold_of_its_own():
    page = shown(ask("eps-placement"))
    assert [tag for tag, _ in page.tags].count("details") == len(PARTS) == 5
    assert all(title in page.visible for title in PARTS.values())


def test_the_rubric_shows_its_weights_and_a_red_flag_its_reason():
    page = shown(Asked((HOSTILE,)))
    assert "x < y (3)" in page.all
    assert "“<u>no</u>” a & b" in page.all


def test_every_text_is_escaped():
    page = shown(Asked((HOSTILE,)))
    assert {tag for tag, _ in page.tags} == {
        "div", "p", "strong", "small", "code", "details", "summary", "pre", "ol", "li", "a",
    }  # fmt: skip
    assert all(text in page.all for text in ("<b>1 < 2</b> &", "<i>Yes</i> & no.", "</pre><script>"))
    assert shown(Recall((HOSTILE,))).all.startswith("Is <b>1 < 2</b> & a < b?<i>Yes</i> & no.")


def test_names_of_code_are_set_as_code():
    assert "<code>a &lt; b</code>" in Asked((HOSTILE,))._repr_html_()
    assert "`" not in ask("bias-before-batch-norm")._repr_html_()


def test_a_line_of_an_answer_is_a_paragraph_and_a_whiteboard_keeps_its_lines():
    html = Asked((HOSTILE,))._repr_html_()
    assert "<p>One.</p><p>Two <code>x &lt;= y</code>.</p>" in html
    assert "<pre><code>a &lt; b\n  &lt;/pre&gt;&lt;script&gt;</code></pre>" in html


@pytest.mark.parametrize("thing", [ask("eps-placement"), recall("04")], ids=["ask", "recall"])
def test_the_link_to_the_chapter_leads_from_notebooks_and_from_copies(thing):
    links = [attributes["href"] for tag, attributes in shown(thing).tags if tag == "a"]
    assert set(links) == {"03_mechanism_forward.ipynb"}


def test_every_question_makes_well_formed_html():
    for question in questions().values():
        assert shown(Asked((question,))).open == []


def test_a_card_ends_with_its_chapter_its_follow_ups_and_its_source():
    one = Question(**{**vars(HOSTILE), "follow_ups": ("derive-dx", "four-lines"), "source": "A paper, 2015"})
    further = 'ask("derive-dx") or ask("four-lines")'
    end = f"Chapter 03. An interviewer may go on with {further}. Source: A paper, 2015."
    assert shown(Asked((one,))).visible.endswith(end)
    assert shown(Asked((HOSTILE,))).visible.endswith("Chapter 03.")


def test_a_card_names_the_exercise_in_which_its_answer_is_done():
    linked = Question(**{**vars(HOSTILE), "exercise": "fold_affine"})
    assert shown(Asked((linked,))).visible.endswith("Chapter 03. Done in the exercise fold_affine.")


def test_several_questions_stand_one_under_another():
    page = shown(ask("eps-placement", "derive-dx"))
    positions = [page.visible.index(questions()[one].prompt) for one in ("eps-placement", "derive-dx")]
    assert positions == sorted(positions)
    assert [tag for tag, _ in page.tags].count("details") == 2 * len(PARTS)


@pytest.mark.parametrize("chapter", recalls())
def test_a_recall_shows_three_prompts_and_folds_their_short_answers(chapter):
    page = shown(recall(chapter))
    for question in recalls()[chapter]:
        assert question.prompt.replace("`", "") in page.visible
        assert question.answers.short.replace("`", "") in page.all
        assert question.answers.short.replace("`", "") not in page.visible
        assert question.answers.two_minutes not in page.all
    assert [tag for tag, _ in page.tags].count("details") == 3


def test_what_is_shown_is_the_same_in_every_process(monkeypatch):
    code = (
        "from bnlab.practice import ask, recall\n"
        "for thing in (ask('eps-placement', 'derive-dx'), recall('04')): print(repr(thing), thing._repr_html_())"
    )
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    elsewhere = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": seed, "COLUMNS": "200", "PYTHONUTF8": "1"},
        capture_output=True,
        check=True,
    ).stdout
    monkeypatch.setenv("COLUMNS", "80")
    here = io.StringIO()
    with contextlib.redirect_stdout(here):
        exec(code)
    assert elsewhere.decode() == here.getvalue() != ""


def test_code_stands_visible_under_its_prompt():
    question = Question(**{**vars(HOSTILE), "code": "if a < b:\n    x = '<p>'\n"})
    page = shown(Asked((question,)))
    assert "?" + " (numerics, core)" + "if a < b:\n    x = '<p>'" in page.visible
    assert "<pre><code>if a &lt; b:\n    x = " in Asked((question,))._repr_html_()


# --- in a terminal


def test_a_terminal_shows_code_between_the_prompt_and_how_to_go_on():
    question = Question(**{**vars(HOSTILE), "code": "if a < b:\n    x = '<p>'\n"})
    assert repr(Asked((question,))).startswith(
        "Is <b>1 < 2</b> & `a < b`?\n\n    if a < b:\n        x = '<p>'\n\n(Answer aloud"
    )


def test_a_terminal_shows_the_prompt_and_how_to_go_on():
    text = repr(ask("largest-x-hat"))
    assert text.startswith(questions()["largest-x-hat"].prompt)
    assert 'ask("largest-x-hat").answer("short")' in text
    assert questions()["largest-x-hat"].answers.short[:20] not in text


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_printed(part, capsys):
    Asked((HOSTILE,)).answer(part)
    expected = {
        "short": "<i>Yes</i> & no.",
        "two_minutes": "One.\n\nTwo `x <= y`.",
        "whiteboard": "    a < b\n      </pre><script>",
        "rubric": "1. x < y (3)\n2. `<p>` (2)\n3. third (1)",
        "red_flags": "1. “<u>no</u>” a & b",
    }
    assert capsys.readouterr().out == f"{PARTS[part]}:\n{expected[part]}\n"


def test_nothing_is_wider_than_80_columns(capsys):
    everything = Asked(tuple(questions().values()))
    for part in PARTS:
        everything.answer(part)
    text = f"{everything!r}\n{Recall(everything.questions)!r}\n{capsys.readouterr().out}"
    assert [line for line in text.splitlines() if len(line) > 80] == []


def test_code_is_not_broken_at_its_hyphens():
    answers = Answers("word " * 15 + "the answer is m-1 and-so-on.", "x", "x")
    asked = Asked((Question(**{**vars(HOSTILE), "id": "a-long-id-" + "x" * 50, "answers": answers}),))
    assert not re.search(r"-\n", repr(asked))


# --- marking


def test_a_card_says_how_to_mark_it_with_what_one_may_type():
    line = shown(ask("largest-x-hat")).visible
    assert 'Mark yourself: mark("largest-x-hat", [1, 3], red_flags=[], confidence=60)' in line
    assert " ".join(repr(ask("largest-x-hat")).split()).endswith(
        'mark("largest-x-hat", [1, 3]) keeps that you made points 1 and 3 of the rubric.)'
    )


def test_points_and_red_flags_are_numbered_for_it():
    page = Asked((HOSTILE,))._repr_html_()
    assert "<ol><li>x &lt; y (3)</li><li><code>&lt;p&gt;</code> (2)</li><li>third (1)</li></ol>" in page
    assert "<ol><li>“&lt;u&gt;no&lt;/u&gt;” a &amp; b</li></ol>" in page


# --- what is refused


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ((), "expected the id of a question, got none"),
        (("eps-placment",), "expected the id of a question, got 'eps-placment'; did you mean 'eps-placement'?"),
        (("derive-dx", "xyzzy"), "expected the id of a question, got 'xyzzy'"),
    ],
)
def test_an_unknown_question_is_refused(ids, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ask(*ids)


def test_an_unknown_part_is_refused(capsys):
    with pytest.raises(ValueError, match=r"expected one of short, two_minutes, .*, got 'long'"):
        ask("derive-dx").answer("long")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("chapter", ["00", "3", "99", "03_mechanism_forward"])
def test_a_chapter_that_recalls_nothing_is_refused(chapter):
    with pytest.raises(ValueError, match=f"expected one of the chapters 01, .*, 10, 11, 12, 13, .*, got '{chapter}'"):
        recall(chapter)
