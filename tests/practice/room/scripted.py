"""Questions and answers made up, and a conversation whose lines are given beforehand."""

from itertools import chain

from bnlab.practice.interview.bank import Answers, Point, Question, RedFlag
from bnlab.practice.interview.room.talk import Talk
from bnlab.practice.progress import Answer

SHORT = "Short."


def make_question(name, *, topic="numerics", level="core", roles=("any",), **others):
    fields = {
        "prompt": f"What of {name}?",
        "answers": Answers(SHORT, "First.\nSecond.", "a  b\n  c"),
        "rubric": (Point("first", 3, ("mean of the batch",)), Point("second", 2, ("eval()",)), Point("third", 5)),
        "red_flags": (RedFlag("Never.", "It does."), RedFlag("Always.", "It does not.")),
        "follow_ups": (),
        "chapter": "03_mechanism_forward",
    }
    return Question(id=name, topic=topic, level=level, roles=roles, **(fields | others))


def make_answer(question, score, *, red_flags=(), at="2026-01-01T00:00:00.000000+00:00", **others):
    fields = {"kind": "mock", "sitting": 1, "points": (), "confidence": None, "text": None, "seconds": 1.0}
    return Answer(question=question, red_flags=red_flags, score=score, at=at, **(fields | others))


class Script:
    """What is typed, line by line, and all that is shown. The clock moves on by `step` seconds with each line."""

    def __init__(self, *lines, step=10.0):
        self.lines = chain(lines)
        self.shown = ""
        self.time, self.step = 1000.0, step
        self.talk = Talk(self.read, self.write, lambda: self.time, drop=lambda: None)

    def read(self, prompt):
        self.time += self.step
        line = next(self.lines, None)
        if line is None:
            raise EOFError
        if isinstance(line, BaseException):
            raise line
        if callable(line):
            line = line(self)
        self.shown += f"{prompt}{line}\n"
        return line

    def write(self, text):
        self.shown += f"{text}\n"
