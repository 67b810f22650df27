"""What a capstone comes to: a score for each part, at the hour and at the end, a word, and what to read again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from bnlab.practice.capstone.bugs import Bug
from bnlab.practice.capstone.module import ASPECTS, CHAPTER_OF_MAPS, LAYOUTS, chapters_of
from bnlab.practice.capstone.sitting import ALONE, DONE, WITH_THE_DOCTOR, Capstone, Event
from bnlab.practice.interview.bank import Question, questions
from bnlab.practice.interview.room.scorecard import STRONG, TOO_MANY_RED_FLAGS, WEAK
from bnlab.practice.progress import Answer

WEIGHTS = {"the module": 40, "the script": 30, "the plots": 10, "the questions": 20}  # percent
LATE = ", after the hour"
RIGHT_BUT_LATE = " (right, but late)"
SHARE_WITH_THE_DOCTOR = 0.5  # of a bug that is named only after the doctor was asked
CELLS = tuple(f"{aspect}, {layout}" for aspect in ASPECTS for layout in LAYOUTS)

RULE = (
    f"The rule: ready from {STRONG}% on at the hour, with no part below {WEAK}% and no red flag said; nearly there "
    f"from {WEAK}% on, with fewer than {TOO_MANY_RED_FLAGS} red flags; else not yet."
)


Cells: TypeAlias = dict[str, list[str] | None]


class Shares(NamedTuple):
    """The share of a part that was reached at the hour, and at the end."""

    hour: float
    end: float


class Decision(NamedTuple):
    """The word for a capstone, and why."""

    word: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """A capstone, scored.

    Attributes:
        capstone: which one.
    """

    capstone: Capstone

    @cached_property
    def parts(self) -> dict[str, Shares]:
        """What was reached of each part, by its name."""
        shares = (
            [best(self._checks(until)) for until in self._moments],
            [self._of_the_script(until) for until in self._moments],
            [self._of_answers(self.capstone.drawn.plots, until) for until in self._moments],
            [self._of_answers(self.capstone.drawn.questions, until) for until in self._moments],
        )
        return {name: Shares(*both) for name, both in zip(WEIGHTS, shares, strict=True)}

    @property
    def total(self) -> Shares:
        """The mean of the parts by their weights."""
        return Shares(*(total({name: both[i] for name, both in self.parts.items()}) for i in (0, 1)))

    @cached_property
    def cells(self) -> Cells:
        """Each aspect of the best check within the hour: None where it is right, else its named mistakes."""
        return self._cells(self._hour)

    @cached_property
    def cells_at_the_end(self) -> Cells:
        """The same of the best check of all."""
        return self._cells(self._moments[-1])

    @property
    def checked_in_time(self) -> bool:
        """Whether there is a check of what stood within the hour."""
        return bool(self._checks(self._hour))

    @cached_property
    def bugs(self) -> dict[Bug, str]:
        """How each bug was found: "alone", "with the doctor" or "not"; with "after the hour" where it was late."""
        script, found = self.capstone.script, {}
        for how, item in (("with the doctor", WITH_THE_DOCTOR), ("alone", ALONE)):
            event = self._events.get(item)
            for bug in script.found(tuple(event.get("lines", ()))) if event else ():
                late = event is not None and event["at"] > self._hour
                found[bug] = f"{how}{LATE}" if late else how
        return {bug: found.get(bug, "not") for bug in script.bugs}

    @cached_property
    def answers(self) -> dict[str, Answer]:
        """The answers that were marked."""
        return self.capstone.answers()

    def answered_in_time(self, question: str) -> bool:
        """Whether somebody was done with a question within the hour; marks may come later."""
        return self._done(question, self._hour)

    def wrong_lines(self) -> list[int]:
        """The lines that were named and belong to none of the bugs."""
        named = {line for item in (ALONE, WITH_THE_DOCTOR) for line in self._events.get(item, {}).get("lines", ())}
        return sorted(line for line in named if not self.capstone.script.found((line,)))

    def red_flags(self) -> list[tuple[Question, int]]:
        """The questions in whose answers red flags were said, with the numbers of these from 1."""
        return [(questions()[id_], number) for id_, answer in self.answers.items() for number in answer.red_flags]

    def read_again(self) -> dict[str, list[str]]:
        """The chapters of what was not right at the hour, with what it was; the most needed first."""
        found: dict[str, list[str]] = {}
        for chapter, what in self._lacking():
            reasons = found.setdefault(chapter, [])
            if what not in reasons:
                reasons.append(what)
        return dict(sorted(found.items(), key=lambda item: (-sum(map(_is_lacking, item[1])), item[0])))

    def decide(self) -> Decision:
        """The word, by the rule, for what was reached at the hour."""
        if not self._events:
            return Decision("not taken", ("nothing was handed in, so there is nothing to judge",))
        return decide({name: both.hour for name, both in self.parts.items()}, len(self.red_flags()))

    def decide_without_clock(self) -> Decision:
        """The word, by the same rule, for what was reached at the end."""
        return decide({name: both.end for name, both in self.parts.items()}, len(self.red_flags()))

    @cached_property
    def _events(self) -> dict[str, Event]:
        return self.capstone.events()

    @property
    def _hour(self) -> datetime:
        return self.capstone.deadline

    @property
    def _moments(self) -> tuple[datetime, datetime]:
        return self._hour, max([self._hour, *(event["at"] for event in self._events.values())])

    def _checks(self, until: datetime) -> list[Event]:
        return [
            event for event in self.capstone.checks() if event["at"] <= until and isinstance(event.get("cells"), dict)
        ]

    def _cells(self, until: datetime) -> Cells:
        check = max(self._checks(until), key=lambda event: best([event]), default=None)
        return {cell: [] if check is None else check["cells"].get(cell, []) for cell in CELLS}

    def _of_the_script(self, until: datetime) -> float:
        """In thirds: whole ones for what was named alone, half ones for what the doctor had to show."""
        found: dict[Bug, float] = {}
        for item, share in ((WITH_THE_DOCTOR, SHARE_WITH_THE_DOCTOR), (ALONE, 1.0)):
            event = self._events.get(item)
            if event is not None and event["at"] <= until:
                found |= dict.fromkeys(self.capstone.script.found(tuple(event.get("lines", ()))), share)
        return sum(found.values()) / len(self.capstone.script.bugs)

    def _of_answers(self, ids: tuple[str, ...], until: datetime) -> float:
        marked = [self.answers[id_].score for id_ in ids if id_ in self.answers and self._done(id_, until)]
        return sum(marked) / len(ids)

    def _done(self, question: str, until: datetime) -> bool:
        event = self._events.get(DONE + question)
        return event is not None and bool(event["at"] <= until)

    def _lacking(self) -> Iterator[tuple[str, str]]:
        for cell, named in self.cells.items():
            if named is None:
                continue
            chapters = [chapter for one in named for chapter in chapters_of(one)]
            aspect, _, layout = cell.partition(", ")
            of_maps = layout == "maps" and self.cells[f"{aspect}, features"] is None
            late = RIGHT_BUT_LATE if self.cells_at_the_end[cell] is None else ""
            for chapter in chapters or [CHAPTER_OF_MAPS if of_maps else ASPECTS[aspect].chapter]:
                yield chapter, f"{' and '.join(f'`{one}`' for one in named) or aspect}, in the module{late}"
        for bug, how in self.bugs.items():
            if how != "alone":
                yield bug.chapter, f"{bug.name}, in the script{RIGHT_BUT_LATE if how == f'alone{LATE}' else ''}"
        for id_ in self.capstone.asked:
            answer = self.answers.get(id_)
            good = answer is not None and percent(answer.score) >= STRONG and not answer.red_flags
            if not good or not self.answered_in_time(id_):
                yield questions()[id_].chapter, f"`{id_}`{RIGHT_BUT_LATE if good else ''}"


def _is_lacking(reason: str) -> bool:
    return not reason.endswith(RIGHT_BUT_LATE)


def total(parts: Mapping[str, float]) -> float:
    """The mean of the shares of the parts by their weights.

    Example:
        >>> round(total({"the module": 1.0, "the script": 0.5, "the plots": 0.0, "the questions": 0.5}), 3)
        0.65
    """
    return sum(weight * parts[name] for name, weight in WEIGHTS.items()) / sum(WEIGHTS.values())


def decide(parts: Mapping[str, float], red_flags: int) -> Decision:
    """The word for a capstone, by the rule; scores count in whole percent, as they are shown.

    Args:
        parts: the share that was reached at the hour, by the part's name.
        red_flags: how many were said.
    """
    score = percent(total(parts))
    low = [f"{name}: {percent(share)}%" for name, share in parts.items() if percent(share) < WEAK]
    said = f"{red_flags} red flag{'s' * (red_flags > 1)} said" if red_flags else "no red flag said"
    reasons = (f"{score}% at the hour", *([f"below {WEAK}%: {'; '.join(low)}"] if low else []), said)
    if score >= STRONG and not low and not red_flags:
        return Decision("ready", reasons)
    return Decision("nearly there" if score >= WEAK and red_flags < TOO_MANY_RED_FLAGS else "not yet", reasons)


def best(checks: list[Event]) -> float:
    """The highest share of aspects that were right in one check; 0 if there was none."""
    shares = [sum(check["cells"].get(cell, []) is None for cell in CELLS) / len(CELLS) for check in checks]
    return max(shares, default=0.0)


def percent(share: float) -> int:
    """In whole percent, as it is shown."""
    return round(100 * share)


def cells_of(check: tuple[Any, ...]) -> Cells:
    """What is kept of a check: None for what is right, else the named mistakes."""
    return {
        f"{cell.aspect}, {cell.layout}": None
        if cell.verdict.passed
        else [one for one in (cell.verdict.misconception, cell.verdict.also) if one]
        for cell in check
    }
