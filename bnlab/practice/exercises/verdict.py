"""What an exercise answers, readable in a notebook and in a terminal: a verdict, a hint, a solution, saved code."""

import html
import re
import textwrap
from dataclasses import dataclass

COLOURS = {True: "#009E73", False: "#D55E00", None: "#808080"}  # passed, not yet, and all that is no judgement
WIDTH = 80  # columns of a terminal


class Shown:
    """A headline and paragraphs, as text and as HTML.

    Names of code stand between backticks; a paragraph whose every line is indented is code.
    """

    headline: str
    message: str
    colour: str = COLOURS[None]

    def __repr__(self) -> str:
        paragraphs = [self.headline.replace("`", ""), *self.message.split("\n\n")]
        return "\n\n".join(text if _is_code(text) else textwrap.fill(text, WIDTH) for text in paragraphs if text)

    def _repr_html_(self) -> str:
        body = "".join(_paragraph(text) for text in self.message.split("\n\n") if text)
        head = f"<p><strong>{_inline(self.headline)}</strong></p>"
        return f'<div style="border-left: 4px solid {self.colour}; padding: 0.2em 0 0.2em 1em">{head}{body}</div>'


@dataclass(frozen=True, repr=False)
class Note(Shown):
    """Something to read that is no judgement."""

    headline: str
    message: str


@dataclass(frozen=True, repr=False)
class Verdict(Shown):
    """The outcome of one check.

    Attributes:
        passed: whether the attempt does what the task asks for.
        attempted: whether there was anything to check: an untouched stub is neither right nor wrong.
        misconception: the id of the mistake; None after a pass, or where no named mistake explains the outcome.
        message: what happened and why, in paragraphs.
        task: the id of the task.
        also: the id of a second mistake beside the first.
    """

    passed: bool
    attempted: bool
    misconception: str | None
    message: str
    task: str = ""
    also: str | None = None

    @property
    def headline(self) -> str:  # type: ignore[override]  # computed here, given to a Note
        """One line: passed, not yet and why, or not attempted."""
        if not self.attempted:
            return f"{self.task}: not attempted yet."
        if self.passed:
            return f"{self.task}: passed."
        named = " and ".join(f"`{one}`" for one in (self.misconception, self.also) if one)
        return f"{self.task}: not yet" + (f": {named}." if named else ".")

    @property
    def colour(self) -> str:  # type: ignore[override]
        """Green for a pass, red for a mistake, grey before an attempt."""
        return COLOURS[self.passed if self.attempted else None]


def code(source: str) -> str:
    """The source as one paragraph of code: indented, its empty lines kept from ending it."""
    return "\n".join("    " + line for line in source.rstrip().splitlines())


def _paragraph(text: str) -> str:
    if _is_code(text):
        return f'<pre style="margin: 0 0 1em"><code>{html.escape(textwrap.dedent(text))}</code></pre>'
    return f"<p>{_inline(text)}</p>"


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _is_code(paragraph: str) -> bool:
    return all(line.startswith("    ") for line in paragraph.splitlines())
