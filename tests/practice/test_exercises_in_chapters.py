"""Every exercise stands in its chapter, as its stub, and the stored notebook shows that nobody has attempted it."""

import re
from pathlib import Path

import pytest

from bnlab.practice.exercises.tasks import TASKS
from tests.chapters import read_chapters, texts

CHAPTERS = {chapter.name[:2]: chapter for chapter in read_chapters(Path(__file__).resolve().parents[2] / "notebooks")}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_an_exercise_stands_in_its_chapter_as_its_stub(task):
    code = "\n\n".join(cell.source for cell in CHAPTERS[task.chapter].code)
    assert task.stub in code
    assert f'check("{task.id}", {task.name})' in code


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_stored_notebook_shows_no_attempt(task):
    [cell] = [cell for cell in CHAPTERS[task.chapter].code if f'check("{task.id}"' in cell.source]
    shown = "".join(text for output in cell.outputs for text in texts(output))
    assert f"{task.id}: not attempted yet." in shown


def test_every_check_in_a_chapter_is_of_an_exercise_of_that_chapter():
    found = [
        (number, id_)
        for number, chapter in CHAPTERS.items()
        for cell in chapter.code
        for id_ in re.findall(r'\bcheck\(\s*"(\w+)"', cell.source)
    ]
    assert sorted(found) == sorted((task.chapter, task.id) for task in TASKS.values())
