"""What a mock interview comes to: scores by topic and by depth, a verdict by a rule, and what to read again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from bnlab.practice.interview.bank import Question
from bnlab.practice.interview.room.choosing import LEVELS
from bnlab.practice.interview.room.coding import Coding
from bnlab.practice.interview.room.talk import wrapped
from bnlab.practice.progress import Answer

STRONG = 75  # percent: least mean score of a strong candidate
WEAK = 50  # percent: a mean below it is no hire; an answer below it to a basic question is too weak for strong
BASIC = ("screen", "core")  # levels
TOO_MANY_RED_FLAGS = 2
FEWEST = 3  # answers for any verdict

RULE = (
    f"The rule: no hire below {WEAK}% or with {TOO_MANY_RED_FLAGS} red flags; strong from "
    f"{STRONG}% on without a red flag, with no screen or core question below {WEAK}% and the "
    f"coding task passed; lean between the two; no verdict before {FEWEST} answers."
)

Word = Literal["strong", "lean", "no hire", "no verdict"]


class Decision(NamedTuple):
    """The verdict and why."""

    word: Word
    reasons: tuple[str, ...]


class Mean(NamedTuple):
    """The mean score of some answers, and how many they are."""

    score: float
    answers: int


@dataclass(frozen=True, repr=False)
class Scorecard:
    """One mock interview, marked; it shows itself in 80 columns.

    Attributes:
        role: of the candidate.
        minutes: for which it was planned.
        begun: when, as UTC in ISO 8601.
        answers: in the order in which they were given.
        coding: what came of the coding task; None if there was none.
        bank: the questions by id.
    """

    role: str
    minutes: int
    begun: str
    answers: tuple[Answer, ...]
    coding: Coding | None
    bank: Mapping[str, Question] = field(compare=False)

    @property
    def score(self) -> float:
        """The mean score of the answers, 0 if there are none."""
        return sum(one.score for one in self.answers) / len(self.answers) if self.answers else 0.0

    def by_topic(self) -> dict[str, Mean]:
        """The mean score of each topic, in the order in which they came up."""
        return self._by(lambda question: question.topic)

    def by_level(self) -> dict[str, Mean]:
        """The mean score of each depth, from screen to research."""
        found = self._by(lambda question: question.level)
        return {level: found[level] for level in LEVELS if level in found}

    def red_flags(self) -> list[tuple[str, str, str]]:
        """For each that was said and is still in the bank: the question's id, what it says, and why it is wrong."""
        return [
            (one.question, flag.says, flag.why)
            for one in self.answers
            for number, flag in enumerate(self.bank[one.question].red_flags, start=1)
            if number in one.red_flags
        ]

    def read_again(self) -> dict[str, list[str]]:
        """The chapters of the answers that were not good, with the questions' ids, the most needed first."""
        found: dict[str, list[str]] = {}
        for one in self.answers:
            if _percent(one.score) < STRONG or one.red_flags:
                found.setdefault(self.bank[one.question].chapter, []).append(one.question)
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))

    def __repr__(self) -> str:
        decision = decide(self)
        lines = [f"Scorecard: {self.role}, {self.minutes} minutes, {self.begun[:10]}", ""]
        for title, means in (("topic", self.by_topic()), ("depth", self.by_level())):
            lines += [f"{title:24}{'questions':>9}{'score':>8}"]
            lines += [f"{name:24}{mean.answers:9}{100 * mean.score:7.0f}%" for name, mean in means.items()]
            lines.append("")
        flags = [f"Red flag ({id_}): “{says}” {why}" for id_, says, why in self.red_flags()]
        again = [f"Read again: chapter {stem} ({', '.join(ids)})." for stem, ids in self.read_again().items()]
        again += ["`bnlab interview show ID` prints one of these questions with its answers."] if again else []
        verdict = [f"Verdict: {decision.word}.", *(f"- {reason}" for reason in decision.reasons)]
        said = [coding_in_words(self.coding), *flags, *again, "", *verdict]
        return "\n".join([*lines, *(wrapped(line, "  ") for line in said), "", wrapped(RULE)])

    def _by(self, key: Callable[[Question], str]) -> dict[str, Mean]:
        scores: dict[str, list[float]] = {}
        for one in self.answers:
            scores.setdefault(key(self.bank[one.question]), []).append(one.score)
        return {name: Mean(sum(own) / len(own), len(own)) for name, own in scores.items()}


def decide(card: Scorecard) -> Decision:
    """Strong, lean or no hire.

    No hire: a mean below 50%, or two red flags. Strong: a mean of at least 75%, no red flag, no answer below 50% to a
    question of the levels screen and core, and the coding task passed if there was one. Lean: all else. With fewer than
    three answers there is no verdict. Scores count in whole percent, as they are shown.
    """
    flags, score = len(card.red_flags()), _percent(card.score)
    mean = f"{score}% on average"
    if len(card.answers) < FEWEST:
        return Decision("no verdict", (f"it takes {FEWEST} answers, and there are {len(card.answers)}",))
    refused = [
        *([f"{mean}, below {WEAK}%"] if score < WEAK else []),
        *([f"{flags} red flags said"] if flags >= TOO_MANY_RED_FLAGS else []),
    ]
    if refused:
        return Decision("no hire", tuple(refused))
    lacking = [
        *([f"{mean}, below {STRONG}%"] if score < STRONG else []),
        *(["a red flag said"] if flags else []),
        *(
            f"{_percent(one.score)}% of {one.question}, a question of the level {card.bank[one.question].level}"
            for one in card.answers
            if _percent(one.score) < WEAK and card.bank[one.question].level in BASIC
        ),
        *(["the coding task not passed"] if card.coding is not None and not card.coding.passed else []),
    ]
    if lacking:
        return Decision(
            "lean", (f"not strong: {'; '.join(lacking)}", f"not refused: {mean}, {'one' if flags else 'no'} red flag")
        )
    return Decision("strong", (mean, "no red flag", f"no basic question below {WEAK}%"))


def _percent(score: float) -> int:
    return round(100 * score)


def coding_in_words(coding: Coding | None) -> str:
    """What came of the coding task, as a sentence."""
    if coding is None:
        return "There was no coding task."
    if coding.attempts == 0:
        return f"The coding task `{coding.exercise}` was not attempted."
    tries = "1 attempt" if coding.attempts == 1 else f"{coding.attempts} attempts"
    return f"The coding task `{coding.exercise}` was {'' if coding.passed else 'not '}passed after {tries}."
