import json
import sys
import time
from fnmatch import fnmatch

import jupytext
import nbformat
import pytest

from tools import notebooks
from tools.digest import sources_digest

HEADER = """# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py//py:percent
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

"""

# Prints in several pieces, returns a value, carries a tag, and looks at where it runs.
HONEST = """# %% [markdown]
# # Why?

# %%
import os, sys
from pathlib import Path

for word in ("one", "two"):
    print(word, flush=True)
# %% tags=["nbval-ignore-output"]
1 + 1

# %%
place = Path.cwd().name, (Path.cwd() / "py").is_dir()
data, settings = Path(os.environ["BNLAB_DATA_DIR"]), Path(os.environ["IPYTHONDIR"])
print(place, data.exists(), settings.parent == data.parent, os.environ["BNLAB_NUM_THREADS"])
print(sys.executable == os.environ["THIS_PYTHON"])
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BNLAB_NUM_THREADS", "1")
    monkeypatch.setenv("BNLAB_DATA_DIR", str(tmp_path / "the learner's own"))
    monkeypatch.setenv("THIS_PYTHON", sys.executable)
    (tmp_path / "notebooks" / "py").mkdir(parents=True)
    return tmp_path / "notebooks"


@pytest.fixture
def write(folder):
    """Writes a pair of the given cells and returns where it and its notebook lie."""

    def pair(cells, name="01_why"):
        path = folder / "py" / f"{name}.py"
        path.write_text(HEADER + cells)
        return path, folder / f"{name}.ipynb"

    return pair


def edited(path, source="edited by hand"):
    notebook = json.loads(path.read_text())
    notebook["cells"][0]["source"] = source
    path.write_text(json.dumps(notebook))
    return path.read_bytes()


# --- execution: each of these starts a kernel


def test_a_chapter_is_executed_and_stored_the_same_each_time(write, folder, capsys, monkeypatch):
    foreign = folder.parent / "kernels" / "python3"  # a kernel of the same name that the user once installed
    foreign.mkdir(parents=True)
    (foreign / "kernel.json").write_text('{"argv": ["false"], "display_name": "Python 3", "language": "python"}')
    monkeypatch.setenv("JUPYTER_PATH", str(folder.parent))
    pair, stored = write(HONEST)
    assert notebooks.main(["01"], folder) == 0
    first = stored.read_bytes()
    assert notebooks.main([], folder) == 0
    assert stored.read_bytes() == first
    assert [line.startswith("01_why: ") and line.endswith(" s") for line in capsys.readouterr().out.splitlines()] == [
        True
    ] * 2
    assert sorted(path.name for path in folder.iterdir()) == ["01_why.ipynb", "py"]

    notebook = nbformat.read(stored, as_version=4)
    nbformat.validate(notebook)
    _, words, tagged, place = notebook.cells
    assert [cell.execution_count for cell in (words, tagged, place)] == [1, 2, 3]
    assert [output.text for output in words.outputs] == ["one\ntwo\n"]
    assert tagged.outputs[0].data == {"text/plain": "2"}
    assert place.outputs[0].text == "('notebooks', True) False True 1\nTrue\n"
    assert [dict(cell.metadata) for cell in notebook.cells] == [{}, {}, {"tags": ["nbval-ignore-output"]}, {}]
    assert [cell.id for cell in notebook.cells] == ["01_why-01", "01_why-02", "01_why-03", "01_why-04"]
    assert notebook.metadata == {
        "bnlab": {"sources": sources_digest(jupytext.read(pair))},
        "jupytext": {"formats": "ipynb,py//py:percent"},
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("print(1)\n1 / 0", "cell 2: ZeroDivisionError: division by zero"),
        ("import warnings\nwarnings.warn('look out')", "cell 2 writes to stderr: *UserWarning: look out"),
        ("import os\nos._exit(1)", "cell 2: Kernel died*"),
    ],
)
def test_a_cell_that_fails_or_complains_leaves_the_stored_notebook_as_it_was(cell, reason, write, folder, capsys):
    pair, stored = write("# %% [markdown]\n# # Why?\n")
    stored.write_text(nbformat.writes(notebooks.read_pair(pair)))
    before = stored.read_bytes()
    write(f"# %% [markdown]\n# # Why?\n\n# %%\n{cell}\n")
    assert notebooks.main([], folder) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert fnmatch(line, f"01_why: not stored: {reason}")
    assert stored.read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["01_why.ipynb", "py"]


def test_a_cell_that_hangs_is_given_up(write, folder, capsys, monkeypatch):
    write("# %%\nimport time\n\ntime.sleep(600)\n")
    monkeypatch.setattr(notebooks, "LONGEST_SECONDS", 0.2)  # a cell has five times as long
    assert notebooks.main([], folder) == 1
    assert capsys.readouterr().out.startswith("01_why: not stored: cell 1: A cell timed out")


# --- everything around the execution, without a kernel


@pytest.fixture
def no_kernel(monkeypatch):
    """Execution leaves the cells as they are."""
    monkeypatch.setattr(notebooks, "execute", lambda *_: None)


def test_a_notebook_saved_by_hand_while_it_was_executed_is_kept(write, folder, capsys, monkeypatch):
    pair, stored = write(HONEST)
    stored.write_text(nbformat.writes(notebooks.read_pair(pair)))
    monkeypatch.setattr(notebooks, "execute", lambda *_: edited(stored))
    assert notebooks.main([], folder) == 1
    assert "holds edits that py/01_why.py lacks" in capsys.readouterr().out
    assert "edited by hand" in stored.read_text()


def test_a_slow_chapter_is_stored_and_reported(write, folder, capsys, monkeypatch):
    _, stored = write(HONEST)
    monkeypatch.setattr(notebooks, "LONGEST_SECONDS", 0.01)
    monkeypatch.setattr(notebooks, "execute", lambda *_: time.sleep(0.02))
    assert notebooks.main([], folder) == 1
    assert capsys.readouterr().out == "01_why: 0.0 s, over the 0.01 s a chapter may take\n"
    assert stored.exists()


def test_one_failing_chapter_does_not_hold_up_those_named_after_it(write, folder, capsys, monkeypatch):
    def fail_at_first(notebook, _):
        if notebook.cells[0].id.startswith("00"):
            raise notebooks.NotStoredError("cell 1: no")

    monkeypatch.setattr(notebooks, "execute", fail_at_first)
    stored = [write(HONEST, name)[1] for name in ("00_first", "01_second", "02_third")]
    assert notebooks.main(["00", "01"], folder) == 1
    assert capsys.readouterr().out == "00_first: not stored: cell 1: no\n01_second: 0.0 s\n"
    assert [path.exists() for path in stored] == [False, True, False]


@pytest.mark.usefixtures("no_kernel")
def test_a_notebook_is_replaced_in_one_step(write, folder):
    pair, stored = write(HONEST)
    stored.write_text(nbformat.writes(notebooks.read_pair(pair)))
    before = stored.read_text()
    pair.write_text(pair.read_text().replace("Why?", "Why not?"))
    with stored.open() as reader:  # has the old file, which must not be written to
        assert notebooks.main([], folder) == 0
        assert reader.read() == before
    assert "Why not?" in stored.read_text()
    assert sorted(path.name for path in folder.iterdir()) == ["01_why.ipynb", "py"]


@pytest.mark.usefixtures("no_kernel")
def test_edits_made_by_hand_are_not_overwritten(write, folder, capsys, monkeypatch):
    _, stored = write(HONEST)
    assert notebooks.main([], folder) == 0
    by_hand = edited(stored)
    capsys.readouterr()
    monkeypatch.setattr(notebooks, "execute", lambda *_: pytest.fail("a minute of waiting for a refusal"))
    assert notebooks.main([], folder) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("01_why: not stored: 01_why.ipynb holds edits that py/01_why.py lacks")
    assert stored.read_bytes() == by_hand


@pytest.mark.usefixtures("no_kernel")
def test_a_notebook_of_unknown_making_is_not_overwritten(write, folder):
    _, stored = write(HONEST)
    stored.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    assert notebooks.main([], folder) == 1


@pytest.mark.usefixtures("no_kernel")
def test_edits_that_reached_the_pair_too_may_be_overwritten(write, folder):
    pair, stored = write(HONEST)
    assert notebooks.main([], folder) == 0
    edited(stored, "# Why not?")
    pair.write_text(pair.read_text().replace("Why?", "Why not?"))
    assert notebooks.main([], folder) == 0


@pytest.mark.usefixtures("no_kernel")
def test_an_edited_pair_alone_is_no_obstacle(write, folder):
    pair, stored = write(HONEST)
    assert notebooks.main([], folder) == 0
    pair.write_text(pair.read_text().replace("Why?", "Why not?"))
    assert notebooks.main([], folder) == 0
    assert "Why not?" in stored.read_text()


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize(
    "content", ["", "not JSON", "[]", "{}", '{"cells": [{}]}', '{"cells": []}', '{"cells": [], "metadata": []}']
)
def test_what_is_no_notebook_is_not_overwritten(content, write, folder, capsys):
    _, stored = write(HONEST)
    stored.write_text(content)
    assert notebooks.main([], folder) == 1
    assert capsys.readouterr().out.startswith("01_why: not stored: 01_why.ipynb is not a notebook")
    assert stored.read_text() == content


@pytest.mark.usefixtures("no_kernel")
def test_an_unknown_chapter_is_one_line_and_nothing_runs(write, folder, capsys):
    _, stored = write(HONEST)
    assert notebooks.main(["01", "07"], folder) == 1
    assert capsys.readouterr().out == "no chapter 07 in notebooks/py/, which has 01\n"
    assert not stored.exists()


def test_a_course_without_chapters_has_nothing_to_do(folder, capsys):
    assert notebooks.main([], folder) == 0
    assert capsys.readouterr().out == ""
