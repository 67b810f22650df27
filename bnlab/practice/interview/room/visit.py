"""A visit to the room: who talks, which questions there are, where answers are kept, what was given so far."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from bnlab.practice.interview.bank import Question, questions
from bnlab.practice.interview.room.talk import Talk
from bnlab.practice.progress import Answer, Progress


@dataclass
class Room:
    """What every conversation needs.

    Attributes:
        talk: the conversation itself.
        progress: where answers are kept.
        bank: the questions by id.
        given: the answers of this run, kept or not.
        kept: how many of them are kept.
    """

    talk: Talk
    progress: Progress
    bank: Mapping[str, Question]
    given: list[Answer] = field(default_factory=list)
    kept: int = 0
    _told: str | None = None

    def tell_notice(self) -> None:
        """Show what the learner should know of the progress file, if it is news."""
        notice = self.progress.notice
        if notice is not None and notice != self._told:
            self.talk.say(notice)
        self._told = notice


@contextmanager
def visit() -> Iterator[Room]:
    """This terminal, the package's bank and the learner's own progress; on Ctrl-C it says what is kept."""
    room = Room(Talk(), Progress(), questions())
    try:
        yield room
    except KeyboardInterrupt:
        many = "1 answer of this run is" if room.kept == 1 else f"{room.kept or 'no'} answers of this run are"
        room.talk.write(f"\nInterrupted; {many} kept.")
        raise
