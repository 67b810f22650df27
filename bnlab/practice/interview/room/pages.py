"""A page as a list of blocks, written as HTML or as Markdown."""

import base64
import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from bnlab.practice.interview.asking import in_html, lines_in_html

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46em;margin:2em auto;padding:0 1em;color:#222}"
    "h1{font-size:1.6em}h2{font-size:1.25em;margin-top:2em}h3{font-size:1.05em;margin-top:1.8em}"
    "table{border-collapse:collapse}th,td{text-align:left;padding:.2em 1.2em .2em 0;border-bottom:1px solid #ddd}"
    "td:first-child{white-space:nowrap}"
    "pre{font-size:.85em;background:#f5f5f5;padding:.6em;overflow-x:auto;white-space:pre-wrap}code{background:#f5f5f5}"
    "img{max-width:100%}"
)


@dataclass(frozen=True)
class Heading:
    """A heading; `depth` is 1 for the page's title."""

    text: str
    depth: int


@dataclass(frozen=True)
class Text:
    """A paragraph; names of code stand between backticks."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first is the head."""

    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Lines:
    """Text whose lines and blanks are kept: code, or what somebody typed."""

    text: str


@dataclass(frozen=True)
class Picture:
    """A figure in HTML; in Markdown, which cannot hold one, its words.

    Attributes:
        draw: makes the figure.
        words: the same in lines of text.
        about: what it shows, for who cannot see it.
    """

    draw: Callable[[], Figure]
    words: str
    about: str


Block = Heading | Text | Points | Table | Lines | Picture


def to_html(blocks: Sequence[Block]) -> str:
    """The page as one HTML document that needs no other file."""
    title = next(block.text for block in blocks if isinstance(block, Heading))
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{body_in_html(blocks)}\n</body></html>\n'


def body_in_html(blocks: Sequence[Block]) -> str:
    """The page without head and style, to stand in another."""
    return "\n".join(map(_html, blocks))


def to_markdown(blocks: Sequence[Block]) -> str:
    """The page as Markdown."""
    return "\n\n".join(map(_markdown, blocks)) + "\n"


WRITERS = {".html": to_html, ".htm": to_html, ".md": to_markdown}


def save(blocks: Sequence[Block], file: Path) -> Path:
    """Write the page as its ending says; a file that is there is replaced when the new one is complete.

    Returns:
        Where it is.

    Raises:
        OSError: it cannot be written.
    """
    text = WRITERS[file.suffix](blocks)
    unfinished = file.with_name(f"{file.name}.part")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return file


def _html(block: Block) -> str:
    match block:
        case Heading(text, depth):
            return f"<h{depth}>{in_html(text)}</h{depth}>"
        case Text(text):
            return f"<p>{in_html(text)}</p>"
        case Points(items):
            return f"<ul>{''.join(f'<li>{in_html(item)}</li>' for item in items)}</ul>"
        case Table(rows):
            kinds = ("th", *["td"] * (len(rows) - 1))
            lines = (_row(row, kind) for row, kind in zip(rows, kinds, strict=True))
            return f"<table>{''.join(lines)}</table>"
        case Lines(text):
            return lines_in_html(text)
        case Picture(draw, _, about):
            file = BytesIO()
            draw().savefig(file, format="png", dpi=120)
            data = base64.b64encode(file.getvalue()).decode()
            return f'<p><img alt="{html.escape(about)}" src="data:image/png;base64,{data}"></p>'


def _row(cells: tuple[str, ...], kind: str) -> str:
    return f"<tr>{''.join(f'<{kind}>{in_html(cell)}</{kind}>' for cell in cells)}</tr>"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, depth):
            return f"{'#' * depth} {_plain(text)}"
        case Text(text):
            return _plain(text)
        case Points(items):
            return "\n".join(f"- {_plain(item)}" for item in items)
        case Table(rows):
            head, *rest = (f"| {' | '.join(map(_plain, row))} |" for row in rows)
            return "\n".join([head, f"|{' --- |' * len(rows[0])}", *rest])
        case Lines(text) | Picture(_, text, _):
            return "\n".join(f"    {line}".rstrip() for line in text.splitlines())


def _plain(text: str) -> str:
    """Text with Markdown's signs escaped, but for what stands between backticks."""
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(
        piece if index % 2 else re.sub(r"([\\*_<>|#\[\]])", r"\\\1", piece) for index, piece in enumerate(pieces)
    )
