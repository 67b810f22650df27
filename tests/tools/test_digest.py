import copy

import pytest

from tools.digest import sources_digest

NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Why?\n", "So."]},
        {
            "cell_type": "code",
            "metadata": {"tags": ["a", "b"]},
            "source": ["1"],
            "outputs": [],
            "execution_count": None,
        },
    ],
    "metadata": {},
}


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("a letter", lambda cells: cells[0].update(source=["# Why?\n", "So!"])),
        ("a cell's kind", lambda cells: cells[0].update(cell_type="raw")),
        ("a tag", lambda cells: cells[1]["metadata"].update(tags=["a"])),
        ("the order", lambda cells: cells.reverse()),
        ("a cell less", lambda cells: cells.pop()),
        (
            "where one cell ends",
            lambda cells: cells[0].update(source=["# Why?\n", "So.1"]) or cells[1].update(source=[""]),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_digest_changes_with_what_a_person_wrote(what, change):
    edited = copy.deepcopy(NOTEBOOK)
    change(edited["cells"])
    assert sources_digest(edited) != sources_digest(NOTEBOOK), what


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("outputs", lambda n: n["cells"][1].update(outputs=[{"output_type": "stream", "text": "1"}])),
        ("counts", lambda n: n["cells"][1].update(execution_count=7)),
        ("the kernel", lambda n: n["metadata"].update(kernelspec={"name": "python3"})),
        ("a folded cell", lambda n: n["cells"][1]["metadata"].update(collapsed=True)),
        ("the order of tags", lambda n: n["cells"][1]["metadata"].update(tags=["b", "a"])),
        ("a source as one string", lambda n: n["cells"][0].update(source="# Why?\nSo.")),
        ("no metadata", lambda n: n["cells"][0].pop("metadata")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_digest_stays_when_a_notebook_is_run_or_saved_in_another_form(what, change):
    saved = copy.deepcopy(NOTEBOOK)
    change(saved)
    assert sources_digest(saved) == sources_digest(NOTEBOOK), what


def test_digest_stays_what_stored_notebooks_recorded():
    assert sources_digest(NOTEBOOK) == "b30471d12bf7085f8dcec62b4c92e64fbf0b0c1be08cb5177cf5e8db6dc72ffc"
