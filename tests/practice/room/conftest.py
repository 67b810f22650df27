"""A small bank, and a room in which a script answers."""

import pytest

from bnlab.practice.interview.room.visit import Room
from bnlab.practice.progress import Progress
from tests.practice.room.scripted import Script, make_question


@pytest.fixture
def bank():
    questions = [
        make_question("easy", level="screen"),
        make_question("middle", follow_ups=("easy", "hard")),
        make_question("hard", level="deep", roles=("research scientist",)),
        make_question("bug", topic="debugging", code="x = 1\ny = 2"),
        make_question("proof", topic="backward", level="deep"),
        make_question("task", topic="coding", exercise="fold_affine"),
    ]
    return {question.id: question for question in questions}


@pytest.fixture
def room(bank):
    def with_lines(*lines, **options):
        script = Script(*lines, **options)
        return Room(script.talk, Progress(), bank), script

    return with_lines
