"""The learner's own copies of the chapters, in my/: made once, never overwritten, unknown to git and to jupytext."""

import argparse
import json
import os
import sys
from datetime import date
from pathlib import Path
from typing import Any

from tools.digest import sources_digest

ROOT = Path(__file__).resolve().parent.parent


class NotCopiedError(Exception):
    """Nothing was changed; the message is one line that says why."""


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Makes the copies that are missing, or with `--reset` a fresh one of one chapter.

    Uses the standard library alone, so that `make lab` starts quickly.

    Args:
        arguments: of the command line; `None` reads them from it.
        root: holds notebooks/ and my/.

    Returns:
        0, or 1 if a copy that was asked for could not be made.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.copies", description=__doc__)
    parser.add_argument("--reset", metavar="CH", help="save your copy of this chapter and make a fresh one")
    wanted = parser.parse_args(arguments).reset
    chapters = sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    my = root / "my"
    try:
        my.mkdir(exist_ok=True)
        messages = bring_up_to_date(chapters, my) if wanted is None else reset(find_chapter(chapters, wanted), my)
    except (NotCopiedError, OSError) as reason:
        print(reason)
        return 1
    for message in messages:
        print(message)
    return 0


def bring_up_to_date(chapters: list[Path], my: Path) -> list[str]:
    """Copies each chapter that has no copy yet, and each that has changed since its copy was made, under a new name.

    Args:
        chapters: the notebooks to copy.
        my: the learner's folder.

    Returns:
        What there is to tell, in lines.
    """
    origins = {path: copied_from(path) for path in my.glob("*.ipynb")}
    new, messages = [], []
    for chapter in chapters:
        target = my / chapter.name
        try:
            digest, copy = fresh_copy(chapter)
        except NotCopiedError as reason:
            messages.append(f"{reason}; not copied")
            continue
        if not os.path.lexists(target):
            write(target, copy)
            new.append(chapter.stem)
        elif origins.get(target) == "damaged":
            messages.append(
                f"my/{target.name} is not a readable notebook; it is left as it is, and make reset "
                f"CH={chapter.name[:2]} gives a fresh one"
            )
        elif digest not in origins.values():
            offered = free_name(my, f"{chapter.stem}_updated_{date.today()}")
            write(offered, copy)
            messages.append(f"{chapter.stem} has changed since you copied it: the new one is my/{offered.name}")
    if new:
        messages.append(f"copied to my/, where you can write freely: {', '.join(new)}")
    return messages


def reset(chapter: Path, my: Path) -> list[str]:
    """Gives the learner's copy of a chapter a dated name and puts a fresh copy in its place.

    A kill between the two leaves the old copy under its dated name; the next `make lab` makes the fresh one.

    Args:
        chapter: the notebook to copy.
        my: the learner's folder.

    Returns:
        What was done, in lines.

    Raises:
        NotCopiedError: the chapter itself is not a notebook.
    """
    target = my / chapter.name
    _, copy = fresh_copy(chapter)
    messages = []
    if os.path.lexists(target):
        saved = free_name(my, f"{chapter.stem}_saved_{date.today()}")
        target.rename(saved)
        messages.append(f"your copy is now my/{saved.name}")
    write(target, copy)
    return [*messages, f"my/{target.name} is fresh"]


def find_chapter(chapters: list[Path], wanted: str) -> Path:
    """The one chapter of a number ("4" and "04" are the same) or a name; otherwise NotCopiedError lists them all."""
    named = {wanted.zfill(2), wanted} if wanted else set()
    matches = [path for path in chapters if named & {path.name[:2], path.stem, path.name}]
    if len(matches) == 1:
        return matches[0]
    fault = "names no chapter" if not matches else "names several chapters"
    names = ", ".join(path.stem for path in chapters) or "none"
    raise NotCopiedError(f"CH={wanted} {fault}; give the number or the name of one, as in make reset CH=01: {names}")


def fresh_copy(chapter: Path) -> tuple[str, str]:
    """A chapter's fingerprint and the text of a copy that carries it, without outputs and the jupytext pairing.

    The fingerprint stands in the copy itself, so that it outlives renaming and moving. Outputs are left out since a
    chapter asks for a prediction before the cell that answers it.
    """
    try:
        notebook = json.loads(chapter.read_text(encoding="utf-8"))
        digest = sources_digest(notebook)
        notebook["metadata"].pop("jupytext", None)
        notebook["metadata"]["bnlab"] = {"copied_from": digest}
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell |= {"outputs": [], "execution_count": None}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NotCopiedError(f"{chapter.parent.name}/{chapter.name} is not a notebook") from None
    return digest, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def copied_from(path: Path) -> str | None:
    """The fingerprint of the chapter that a copy was made from; `None` if none is given, "damaged" if no notebook."""
    try:
        metadata: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["metadata"]
        origin: str | None = metadata.get("bnlab", {}).get("copied_from")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "damaged"
    return origin


def free_name(my: Path, stem: str) -> Path:
    """`my/stem.ipynb`, or with the first number from 2 that makes it new."""
    path, number = my / f"{stem}.ipynb", 2
    while os.path.lexists(path):
        path, number = my / f"{stem}_{number}.ipynb", number + 1
    return path


def write(target: Path, text: str) -> None:
    """Writes a new file in one step: it is there whole or not at all."""
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(target)


if __name__ == "__main__":
    sys.exit(main())
