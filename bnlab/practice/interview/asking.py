"""Questions as a learner meets them: the prompt first, and each answer folded, in a notebook and in a terminal."""

import difflib
import html
import re
import textwrap
from dataclasses import dataclass

from bnlab.practice.interview.bank import Question, questions, recalls

WIDTH = 80
PARTS = {
    "short": "In 30 seconds",
    "two_minutes": "In two minutes",
    "whiteboard": "On the whiteboard",
    "rubric": "What a full answer contains",
    "red_flags": "Red flags, and why",
}


@dataclass(frozen=True, repr=False)
class Asked:
    """Questions to be answered aloud before their answers are unfolded.

    Attributes:
        questions: what is asked.
    """

    questions: tuple[Question, ...]

    def answer(self, part: str = "short") -> None:
        """Print one part of what there is to know.

        Args:
            part: "short", "two_minutes", "whiteboard", "rubric" or "red_flags".

        Raises:
            ValueError: another part.

        Example:
            >>> ask("largest-x-hat").answer("rubric")
            What a full answer contains:
            1. the bound is the root of the count less one, whatever the outlier (3)
            2. why: the values add up to 0 and their squares to at most the count (2)
            3. two values per channel become +1 and -1 (2)
        """
        if part not in PARTS:
            raise ValueError(f"expected one of {', '.join(PARTS)}, got {part!r}")
        for question in self.questions:
            print(f"{PARTS[part]}:\n{_text(question, part)}")  # noqa: T201 - asked for, in a terminal

    def __repr__(self) -> str:
        return "\n\n".join(_asked(question) for question in self.questions)

    def _repr_html_(self) -> str:
        return "".join(_card(question) for question in self.questions)


@dataclass(frozen=True, repr=False)
class Recall:
    """Questions of earlier chapters, each with its short answer folded.

    Attributes:
        questions: what is asked.
    """

    questions: tuple[Question, ...]

    def __repr__(self) -> str:
        return "\n\n".join(_asked(question) for question in self.questions)

    def _repr_html_(self) -> str:
        return "".join(
            _fold(in_html(question.prompt), f"{_paragraphs(question.answers.short)}<p>{_chapter(question)}</p>")
            for question in self.questions
        )


def ask(*ids: str) -> Asked:
    """Questions of the bank, to be answered aloud before anything is unfolded.

    Args:
        *ids: at least one.

    Returns:
        An object that shows itself: folded in a notebook, by its method `answer` in a terminal.

    Raises:
        ValueError: no id, or one that no question has.

    Example:
        >>> ask("largest-x-hat")
        How large can one normalised value be in a batch of m values per channel?
        (Answer aloud, then: ask("largest-x-hat").answer("short"). There are also
        "two_minutes", "whiteboard", "rubric" and "red_flags".
        mark("largest-x-hat", [1, 3]) keeps that you made points 1 and 3 of the rubric.)
    """
    if not ids:
        raise ValueError("expected the id of a question, got none")
    return Asked(tuple(map(question_of, ids)))


def question_of(id: str) -> Question:  # noqa: A002 - that is what it is called everywhere
    """The question of this id.

    Raises:
        ValueError: there is none; the message names the nearest.
    """
    bank = questions()
    if id not in bank:
        near = "".join(f"; did you mean {match!r}?" for match in difflib.get_close_matches(id, bank, n=1))
        raise ValueError(f"expected the id of a question, got {id!r}{near}")
    return bank[id]


def recall(chapter: str) -> Recall:
    """The three questions of earlier chapters that a chapter begins with.

    Args:
        chapter: its number, such as "03".

    Returns:
        An object that shows itself, with the short answers folded.

    Raises:
        ValueError: a chapter that recalls nothing.
    """
    known = recalls()
    if chapter not in known:
        raise ValueError(f"expected one of the chapters {', '.join(known)}, got {chapter!r}")
    return Recall(known[chapter])


def exhibits(question: Question) -> list[str]:
    """What is shown with a prompt, the code and then the plot, in lines of at most 76 characters."""
    drawn = []
    if question.plot:
        from bnlab.practice.interview.plots import PLOTS, as_text  # noqa: PLC0415 - loads torch; few questions have one

        drawn = [as_text(PLOTS[question.plot]())]
    return [question.code.rstrip(), *drawn] if question.code else drawn


# --- in a terminal


def _asked(question: Question) -> str:
    others = '"two_minutes", "whiteboard", "rubric" and "red_flags"'
    hint = f'(Answer aloud, then: ask("{question.id}").answer("short"). There are also {others}.'
    keep = f'mark("{question.id}", [1, 3]) keeps that you made points 1 and 3 of the rubric.)'
    parts = [_wrapped(question.prompt), *(textwrap.indent(text, "    ") for text in exhibits(question))]
    return "\n\n".join(parts) + ("\n\n" if parts[1:] else "\n") + f"{_wrapped(hint)}\n{_wrapped(keep)}"


def _text(question: Question, part: str) -> str:
    if part == "whiteboard":
        return textwrap.indent(question.answers.whiteboard, "    ")
    if part in {"rubric", "red_flags"}:
        numbered = enumerate(items_of(question, part), start=1)
        return "\n".join(_wrapped(f"{number}. {item}", indent="   ") for number, item in numbered)
    return "\n\n".join(_wrapped(paragraph) for paragraph in _split(getattr(question.answers, part)))


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def items_of(question: Question, part: str) -> list[str]:
    """The rubric's points with their weights, or the red flags and why each is one."""
    if part == "rubric":
        return [f"{one.point} ({one.weight})" for one in question.rubric]
    return [f"“{one.says}” {one.why}" for one in question.red_flags]


def _split(text: str) -> list[str]:
    return re.split(r"\n+", text.strip())


# --- in a notebook


def _card(question: Question) -> str:
    about = f"{question.topic.replace('-', ' ')}, {question.level}"
    prompt = f"<p><strong>{in_html(question.prompt)}</strong> <small>({about})</small></p>"
    shown = "".join(map(lines_in_html, exhibits(question)))
    folds = "".join(_fold(title, body_of(question, part)) for part, title in PARTS.items())
    style = "border-left: 4px solid #0072B2; padding: 0 0 0 1em; margin: 0 0 1.5em 0"
    return f'<div style="{style}">{prompt}{shown}{folds}{_about(question)}</div>'


def body_of(question: Question, part: str) -> str:
    """One part of what there is to know, as HTML."""
    if part == "whiteboard":
        return lines_in_html(question.answers.whiteboard)
    if part in {"rubric", "red_flags"}:
        return f"<ol>{''.join(f'<li>{in_html(item)}</li>' for item in items_of(question, part))}</ol>"
    return _paragraphs(getattr(question.answers, part))


def _about(question: Question) -> str:
    further = " or ".join(f"<code>ask(&quot;{one}&quot;)</code>" for one in question.follow_ups)
    marked = f"<code>mark(&quot;{question.id}&quot;, [1, 3], red_flags=[], confidence=60)</code>"
    lines = [
        f"Mark yourself: {marked} if you made points 1 and 3, said no red flag, and had expected 60% of a full answer.",
        _chapter(question),
        f"Done in the exercise <code>{question.exercise}</code>." if question.exercise else "",
        f"An interviewer may go on with {further}." if further else "",
        f"Source: {html.escape(question.source)}." if question.source else "",
    ]
    return f"<p><small>{' '.join(line for line in lines if line)}</small></p>"


def _chapter(question: Question) -> str:
    return f'Chapter <a href="{question.chapter}.ipynb">{question.chapter[:2]}</a>.'


def _fold(title: str, body: str) -> str:
    return f'<details style="padding: 0.2em 0"><summary>{title}</summary>{body}</details>'


def lines_in_html(text: str) -> str:
    """Code, formulas or a drawing, line by line."""
    return f"<pre><code>{html.escape(text)}</code></pre>"  # a bare pre is not monospaced there


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{in_html(paragraph)}</p>" for paragraph in _split(text))


def in_html(text: str) -> str:
    """A paragraph, names of code between backticks set as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
