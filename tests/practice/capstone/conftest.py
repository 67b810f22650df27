"""A desk with a clock that a test sets, in a folder of its own."""

from datetime import UTC, datetime, timedelta

import pytest

from bnlab.practice.capstone.desk import Desk
from bnlab.practice.capstone.modules import MODULES
from bnlab.practice.capstone.sitting import kept
from bnlab.practice.interview.bank import questions
from bnlab.practice.progress import Progress

HEAD = "import torch\nfrom torch import nn\n\n\n"


class Watch:
    """A clock that stands still until somebody moves it."""

    def __init__(self):
        self.moment = datetime(2026, 3, 2, 9, tzinfo=UTC)

    def __call__(self):
        return self.moment

    def wait(self, minutes):
        self.moment += timedelta(minutes=minutes)


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def desk(watch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Desk(watch)


@pytest.fixture
def latest(watch):
    """The capstone that was begun last."""
    return lambda: kept(Progress(), watch)[-1]


def write_page(capstone, *edits):
    """The solution on the page, with some of its text replaced."""
    source = MODULES[capstone.drawn.module].source
    for old, new in edits:
        assert old in source
        source = source.replace(old, new)
    (capstone.folder / "batch_norm.py").write_text(HEAD + source)


def line_of(capstone, bug):
    return capstone.script.lines_of(bug)[0]


def answer_fully(desk, *ids):
    for id_ in ids:
        desk.done(id_, 80)
        desk.mark(id_, range(1, len(questions()[id_].rubric) + 1))
