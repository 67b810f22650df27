"""Executes chapters from their pairs in notebooks/py/ and stores them, with outputs, in notebooks/."""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from tools.digest import sources_digest

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
LONGEST_SECONDS = 60
METADATA = {
    "jupytext": {"formats": "ipynb,py//py:percent"},
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},  # the kernel would add its version, which differs between machines
}


class NotStoredError(Exception):
    """A notebook was left as it is; the message is one line that says why."""


def main(arguments: list[str] | None = None, folder: Path = NOTEBOOKS) -> int:
    """Executes and stores the chapters named by their two digits, or all of them.

    Args:
        arguments: of the command line; `None` reads them from it.
        folder: holds the notebooks, and their pairs in `py/`.

    Returns:
        0, or 1 if a chapter was not stored or took too long.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.notebooks", description=__doc__)
    parser.add_argument("chapters", nargs="*", metavar="NN", help="two digits of a chapter; all chapters if none")
    wanted = parser.parse_args(arguments).chapters
    pairs = {pair.name[:2]: pair for pair in sorted((folder / "py").glob("[0-9][0-9]_*.py"))}
    unknown = [number for number in wanted if number not in pairs]
    if unknown:
        print(f"no chapter {', '.join(unknown)} in notebooks/py/, which has {', '.join(pairs) or 'none'}")
        return 1
    return max([_report(pairs[number]) for number in wanted or pairs], default=0)


def _report(pair: Path) -> int:
    try:
        seconds = store(pair)
    except NotStoredError as reason:
        print(f"{pair.stem}: not stored: {reason}")
        return 1
    too_long = seconds > LONGEST_SECONDS
    print(f"{pair.stem}: {seconds:.1f} s" + (f", over the {LONGEST_SECONDS} s a chapter may take" if too_long else ""))
    return int(too_long)


def store(pair: Path) -> float:
    """Executes one chapter from its pair and stores the notebook beside it, in one step.

    Args:
        pair: `notebooks/py/NN_slug.py`.

    Returns:
        The seconds that the execution took.

    Raises:
        NotStoredError: a cell failed or wrote to stderr, or the stored notebook holds edits that the pair lacks.
    """
    target = pair.parent.parent / f"{pair.stem}.ipynb"
    notebook = read_pair(pair)
    digest = notebook.metadata.bnlab.sources
    refuse_to_lose_edits(target, digest)
    begin = time.perf_counter()
    execute(notebook, target.parent)
    seconds = time.perf_counter() - begin
    refuse_to_lose_edits(target, digest)  # someone may have saved it in the meantime
    unfinished = target.with_suffix(".ipynb.unfinished")
    unfinished.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    unfinished.replace(target)
    return seconds


def read_pair(pair: Path) -> Any:
    """The notebook that a pair describes, without outputs, its cells numbered and its metadata the same everywhere."""
    notebook = jupytext.read(pair)
    notebook.metadata = nbformat.from_dict(METADATA | {"bnlab": {"sources": sources_digest(notebook)}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for position, cell in enumerate(notebook.cells, start=1):
        cell.id = f"{pair.stem}-{position:02d}"
        cell.metadata = nbformat.from_dict({"tags": cell.metadata.tags} if "tags" in cell.metadata else {})
    return notebook


def refuse_to_lose_edits(target: Path, digest: str) -> None:
    """Raises NotStoredError if the notebook's cells are neither those it was made with nor the pair's (`digest`)."""
    if not target.exists():
        return
    try:
        stored = json.loads(target.read_text(encoding="utf-8"))
        found, made_with = sources_digest(stored), stored["metadata"].get("bnlab", {}).get("sources")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NotStoredError(f"{target.name} is not a notebook; delete it to make it anew") from None
    if found not in (made_with, digest):
        raise NotStoredError(
            f"{target.name} holds edits that py/{target.stem}.py lacks; carry them over, "
            f"or delete the notebook to make it anew from the pair"
        )


def execute(notebook: Any, folder: Path) -> None:
    """Runs a notebook's cells in place, in a fresh kernel of this Python with no personal settings or progress.

    Args:
        notebook: its code cells receive outputs and counts.
        folder: the kernel's working directory.

    Raises:
        NotStoredError: a cell failed or wrote to stderr.
    """
    own_kernel_only = KernelSpecManager(kernel_dirs=[])
    client = NotebookClient(
        notebook,
        AsyncKernelManager(kernel_name="python3", kernel_spec_manager=own_kernel_only),
        timeout=5 * LONGEST_SECONDS,
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
    )
    with tempfile.TemporaryDirectory() as empty:
        personal = {"BNLAB_DATA_DIR": f"{empty}/data", "IPYTHONDIR": f"{empty}/ipython"}
        with client.setup_kernel(env=os.environ | personal, cleanup_kc=True):
            for index, cell in enumerate(notebook.cells):
                _execute_cell(client, cell, index)


def _execute_cell(client: NotebookClient, cell: Any, index: int) -> None:
    try:
        client.execute_cell(cell, index)
    except CellExecutionError as error:
        raise NotStoredError(f"cell {index + 1}: {error.ename}: {error.evalue}") from None
    except (CellTimeoutError, DeadKernelError) as error:
        raise NotStoredError(f"cell {index + 1}: {str(error).splitlines()[0]}") from None
    for output in cell.get("outputs", []):
        if output.get("name") == "stderr":
            raise NotStoredError(f"cell {index + 1} writes to stderr: {output.text.splitlines()[0]}")


if __name__ == "__main__":
    sys.exit(main())
