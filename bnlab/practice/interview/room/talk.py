"""Plain lines in and plain lines out: 80 columns, no colour, no cursor; the same in a terminal and over a pipe."""

import re
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

try:
    import readline
    import termios
except ModuleNotFoundError:  # on Windows
    termios = None  # type: ignore[assignment]
else:
    readline.parse_and_bind("set enable-bracketed-paste off")  # which writes marks that plain terminals show

WIDTH = 80
PROMPT = "> "
LEAVE = "q"

Parsed = TypeVar("Parsed")


class Left(Exception):  # noqa: N818 - what somebody did, not an error
    """Somebody wants to stop: a line `q`, or the end of the input."""


def read_line(prompt: str) -> str:
    """The next line of standard input, without its end; in a terminal it can be edited with the arrow keys.

    Over a pipe it is printed, as a terminal would show it.

    Raises:
        EOFError: there is none.
    """
    if _at_a_terminal():
        return input(prompt)
    print(prompt, end="", flush=True)  # noqa: T201 - a conversation
    line = sys.stdin.readline() if sys.stdin else ""  # it may have been closed
    if not line:
        raise EOFError
    print(line.rstrip("\n"))  # noqa: T201 - as above
    return line.rstrip("\r\n")


def drop_typed_ahead() -> None:
    """Forget what a terminal holds already: what was pasted behind an empty line answers nothing that is asked next."""
    if _at_a_terminal() and termios is not None:
        termios.tcflush(sys.stdin, termios.TCIFLUSH)


def _at_a_terminal() -> bool:
    return bool(sys.stdin and sys.stdin.isatty())


def write_line(text: str) -> None:
    """One line, or several, at once, so that what is asked is read before it is answered."""
    print(text, flush=True)  # noqa: T201 - a conversation


@dataclass
class Talk:
    """A conversation in lines.

    Attributes:
        read: shows a prompt and gives the next line; raises EOFError where there is none.
        write: shows text.
        clock: seconds that never run backwards.
        drop: forgets what was typed ahead.
    """

    read: Callable[[str], str] = read_line
    write: Callable[[str], None] = write_line
    clock: Callable[[], float] = time.monotonic
    drop: Callable[[], None] = drop_typed_ahead

    def say(self, *paragraphs: str) -> None:
        """Show paragraphs, wrapped, with an empty line after each."""
        for paragraph in paragraphs:
            self.write(f"{wrapped(paragraph)}\n")

    def headline(self, text: str) -> None:
        """Show a line with another one under it, where something new begins."""
        self.write(f"\n{text}\n{'-' * len(text)}")

    def line(self) -> str:
        """The next line, without the blanks around it.

        Raises:
            Left: it is `q`, or there is none.
        """
        try:
            line = self.read(PROMPT).strip()
        except EOFError:
            self.write("")
            raise Left from None
        if line.lower() == LEAVE:
            raise Left
        return line

    def ask(self, question: str, parse: Callable[[str], Parsed]) -> Parsed:
        """Ask until the answer can be read.

        Args:
            question: shown once.
            parse: makes something of a line, or raises a ValueError of one line that says what was expected.

        Raises:
            Left: as `line`.
        """
        self.write(wrapped(question))
        while True:
            try:
                return parse(self.line())
            except ValueError as error:
                self.write(wrapped(sentence(error)))

    def text(self) -> str:
        """Lines up to an empty one, joined.

        Raises:
            Left: as `line`.
        """
        lines = []
        while line := self.line():
            lines.append(line)
        self.drop()
        return "\n".join(lines)


def wrapped(text: str, hanging: str = "") -> str:
    """Text in lines of at most 80 columns. Paragraphs are kept; so are indented lines, unless they are longer.

    Args:
        text: paragraphs, with empty lines between them.
        hanging: what the second and further lines of a paragraph begin with.

    Example:
        >>> print(wrapped("1. A point that is made in a full answer, with its reason and with its weight (3)", "   "))
        1. A point that is made in a full answer, with its reason and with its weight
           (3)
    """
    return "\n\n".join(_paragraph(paragraph, hanging) for paragraph in re.split(r"\n\n+", text.strip("\n")))


def numbered(items: list[str]) -> str:
    """Items, each on a line of its own that begins with its number, from 1."""
    return "\n".join(wrapped(f"{number}. {item}", "   ") for number, item in enumerate(items, start=1))


def sentence(error: Exception) -> str:
    """What an error says, in one line, as a sentence."""
    said = " ".join(str(error).split())
    return f"{said[:1].upper()}{said[1:]}."


def _paragraph(text: str, hanging: str) -> str:
    if not text.startswith(" "):
        return textwrap.fill(text, WIDTH, subsequent_indent=hanging, break_on_hyphens=False)
    pieces = (line[start : start + WIDTH] for line in text.splitlines() for start in range(0, len(line) or 1, WIDTH))
    return "\n".join(piece.rstrip() for piece in pieces)
