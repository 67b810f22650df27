"""A timed mock interview, and its scorecard made again from what is kept."""

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from bnlab.practice.interview.bank import Question, Role
from bnlab.practice.interview.room.answering import answer, more
from bnlab.practice.interview.room.coding import Coding, code
from bnlab.practice.interview.room.plan import MINUTES_OF_CODING, Plan, coding_question, follows_up, next_question, plan
from bnlab.practice.interview.room.scorecard import Scorecard
from bnlab.practice.interview.room.talk import Left
from bnlab.practice.interview.room.visit import Room
from bnlab.practice.progress import Progress, Sitting

MOST_MINUTES = 180  # of a mock


class Mock:
    """One mock interview.

    Args:
        room: where it is held.
        role: of the candidate.
        minutes: after which the answer in hand is still taken, and no other.
        seed: of the draw of questions.

    Attributes:
        number: of its sitting; None if that could not be kept.
    """

    def __init__(self, room: Room, role: Role, minutes: int, seed: int) -> None:
        self.room, self.role, self.minutes = room, role, minutes
        self.seed, self.draw = seed, random.Random(seed)
        self.plan: Plan = plan(role, minutes)
        self.task = coding_question(room.bank, role, self.draw) if self.plan.coding else None
        self.coding = Coding(self.task.exercise or "", 0, passed=False) if self.task else None
        about = {"role": role, "minutes": minutes, "seed": seed, "exercise": self.task and self.task.exercise}
        self.number = room.progress.begin_sitting("mock", about)
        begun = {sitting.number: sitting.begun for sitting in room.progress.sittings("mock")}
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        self.begun = now if self.number is None else begun.get(self.number, now)
        room.tell_notice()

    def hold(self) -> Scorecard:
        """Hold it, up to its end or until somebody leaves; either way there is a scorecard."""
        self._welcome()
        self.deadline = self.room.talk.clock() + 60 * self.minutes
        try:
            self._ask()
            self._code()
            over = "Time is up" if self._left() <= 0 else "That was the last question"
            self.room.talk.say(f"{over}. Thank you.")
        except Left:
            pass
        finally:
            if self.number is not None:
                self.room.progress.end_sitting(self.number)
        self.room.tell_notice()
        return Scorecard(self.role, self.minutes, self.begun, tuple(self.room.given), self.coding, self.room.bank)

    def _welcome(self) -> None:
        questions = len(self.plan.slots)
        many = "1 question" if questions == 1 else f"{questions} questions"
        task = " and a coding task" if self.task else ""
        self.room.talk.say(
            f"A mock interview for the role {self.role}: {self.minutes} minutes, up to {many}{task}. You mark your own "
            "answers; the clock runs meanwhile. When time is up, the answer in hand is still taken. q ends it early; "
            "what was marked counts. "
            f"With `--seed {self.seed}` it begins the same again."
        )

    def _ask(self) -> None:
        asked: list[str] = []
        kept_for_coding = 60 * MINUTES_OF_CODING if self.task else 0
        for number, slot in enumerate(self.plan.slots, start=1):
            last = self.room.given[-1] if self.room.given else None
            question = next_question(slot, self.room.bank, self.role, asked=asked, last=last, draw=self.draw)
            if question is None or self._left() <= kept_for_coding:
                return
            asked.append(question.id)
            follows = last is not None and follows_up(self.room.bank[last.question], question)
            about = f"{question.topic} · {question.level}{' · follow-up' if follows else ''} · {self._time()}"
            header = f"Question {number} of {len(self.plan.slots)} · {about}"
            answer(self.room, question, header, kind="mock", sitting=self.number)
            more(self.room.talk, question)

    def _code(self) -> None:
        if self.task is None or self._left() <= 0:
            return
        self.room.talk.headline(f"Coding task · {self._time()}")
        folder = self.room.progress.path.parent / "coding"
        self.coding = code(self.room.talk, self.task, folder, self._left)

    def _left(self) -> float:
        return self.deadline - self.room.talk.clock()

    def _time(self) -> str:
        return f"{math.ceil(self._left() / 60)} of {self.minutes} minutes left"


def kept_mocks(progress: Progress) -> list[Sitting]:
    """The mocks that are kept, the oldest first, but for those of which it is not kept what a scorecard needs."""
    return [sitting for sitting in progress.sittings("mock") if _is_whole(sitting.about)]


def scorecard_of(sitting: Sitting, progress: Progress, bank: Mapping[str, Question]) -> Scorecard:
    """The scorecard of a mock that is kept, also of one that was killed.

    Its attempts at the coding task are those that were checked from its beginning to its end; if nobody saw its end, up
    to when it would have ended.
    """
    about = sitting.about
    role, minutes, exercise = about["role"], about["minutes"], about["exercise"]
    answers = tuple(one for one in progress.answers(sitting=sitting.number) if one.question in bank)
    begun = datetime.fromisoformat(sitting.begun)
    latest = begun + timedelta(minutes=minutes + MINUTES_OF_CODING)
    ended = datetime.fromisoformat(sitting.ended) if sitting.ended else latest
    coding = None
    if exercise is not None:
        made = [one for one in progress.attempts(exercise) if begun <= datetime.fromisoformat(one.at) <= ended]
        coding = Coding(exercise, len(made), any(one.passed for one in made))
    return Scorecard(role, minutes, sitting.begun, answers, coding, bank)


def _is_whole(about: Mapping[str, Any]) -> bool:
    role, minutes, exercise = (about.get(name) for name in ("role", "minutes", "exercise"))
    timed = type(minutes) is int and 0 < minutes <= MOST_MINUTES
    return role in get_args(Role) and timed and (exercise is None or isinstance(exercise, str))
