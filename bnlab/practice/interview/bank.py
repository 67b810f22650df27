"""The questions, one YAML file a topic, and which of them each chapter asks for again."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from bnlab.practice.interview.schema import read, yaml_of

QUESTIONS = Path(__file__).with_name("questions")
RECALLS = Path(__file__).with_name("recall.yaml")
CHAPTERS = (  # the notebooks' stems, in the order in which they are read
    "00_start_here",
    "01_definition",
    "02_purpose",
    "03_mechanism_forward",
    "04_mechanism_backward",
    "05_mechanism_inference",
    "06_benefits_faster",
    "07_benefits_robust",
    "08_use_cases_cnn",
    "09_use_cases_rnn",
    "10_mistakes",
    "11_alternatives",
    "12_why_it_works",
    "13_fast_kernels",
    "14_production",
    "15_interview",
    "16_capstone",
)
MOST_WORDS = {"short": 85, "two_minutes": 340}  # what is said in 30 seconds and in two minutes, at 170 words a minute
WIDEST_LINE = 76  # of what is written on the whiteboard, and of code: a terminal's 80 columns, less an indent
MOST_LINES = 20  # of code: what can be read beside its question
QUESTIONS_TO_RECALL = 3

Level = Literal["screen", "core", "deep", "research"]
Role = Literal["data scientist", "ML engineer", "research scientist", "manager", "any"]


@dataclass(frozen=True)
class Answers:
    """One answer at three depths.

    Attributes:
        short: as one would say it in 30 seconds.
        two_minutes: as one would say it in two minutes; each line is a paragraph.
        whiteboard: what one would write down meanwhile, line by line: formulas, code, a small table.
    """

    short: str
    two_minutes: str
    whiteboard: str


@dataclass(frozen=True)
class Point:
    """One point that a full answer makes.

    Attributes:
        point: what it says.
        weight: how much it counts beside the others.
        says: phrases in lower case; a typed answer with any of them may have made the point.
    """

    point: str
    weight: int
    says: tuple[str, ...] = ()


@dataclass(frozen=True)
class RedFlag:
    """What a wrong answer says, and why it is wrong."""

    says: str
    why: str


@dataclass(frozen=True)
class Question:
    """One question of the bank. Names of code stand between backticks in every text; formulas are plain Unicode.

    Attributes:
        id: stable name, in lower case with hyphens.
        topic: the name of the file it stands in.
        level: screen (a first call), core, deep, or research.
        roles: who is asked it.
        prompt: the question.
        answers: as a strong candidate would give them.
        rubric: the points of a full answer, at least three.
        red_flags: what gives a wrong answer away, at least one.
        follow_ups: ids of questions that an interviewer might go on with.
        chapter: stem of the notebook that teaches it.
        proof: name of the function in `proofs` that runs what the answers state.
        source: where it comes from, if it leans on a text.
        claim: id of a claim in the ledger that measures what the answer says.
        exercise: id of the exercise in which it is done.
        code: what is shown with the prompt, line by line.
        plot: name of what is drawn with the prompt, in `plots`.
    """

    id: str
    topic: str
    level: Level
    roles: tuple[Role, ...]
    prompt: str
    answers: Answers
    rubric: tuple[Point, ...]
    red_flags: tuple[RedFlag, ...]
    follow_ups: tuple[str, ...]
    chapter: str
    proof: str | None = None
    source: str | None = None
    claim: str | None = None
    exercise: str | None = None
    code: str | None = None
    plot: str | None = None

    def score(self, points: Iterable[int]) -> float:
        """The share of the rubric's weight that some of its points have.

        Args:
            points: their numbers, from 1.

        Example:
            >>> questions()["largest-x-hat"].score([1, 3])  # of the weights 3, 2 and 2
            0.7142857142857143
        """
        weights = [point.weight for point in self.rubric]
        return sum(weights[number - 1] for number in set(points)) / sum(weights)


def load(folder: Path = QUESTIONS) -> dict[str, Question]:
    """Every question of a folder's YAML files, by id.

    Args:
        folder: holds one file a topic, each a list of questions.

    Returns:
        The questions in the order of the files' names and of their lines.

    Raises:
        ValueError: one line that names the file, the question, what was expected and what came.

    Example:
        >>> load()["largest-x-hat"].level
        'deep'
    """
    bank: dict[str, Question] = {}
    for file in sorted(folder.glob("*.yaml")):
        entries = yaml_of(file)
        if not isinstance(entries, list):
            raise ValueError(f"{file.name}: expected a list of questions, got {type(entries).__name__}")  # noqa: TRY004 - ValueError is for every bad entry
        for number, entry in enumerate(entries, start=1):
            name = entry.get("id", number) if isinstance(entry, dict) else number
            where = f"{file.name}: {name}"
            question: Question = read(Question, entry, where)
            _check(question, file.stem, where)
            if question.id in bank:
                raise ValueError(
                    f"{where}: expected an id of its own, got that of a question in {bank[question.id].topic}"
                )
            bank[question.id] = question
    for question in bank.values():
        for follow_up in question.follow_ups:
            if follow_up not in bank or follow_up == question.id:
                where = f"{question.topic}.yaml: {question.id}: follow_ups"
                raise ValueError(f"{where}: expected ids of other questions, got {follow_up!r}")
    return bank


def load_recalls(bank: dict[str, Question], file: Path = RECALLS) -> dict[str, tuple[Question, ...]]:
    """The three questions that each chapter begins with, by the chapter's number.

    Args:
        bank: where the questions stand.
        file: maps a chapter's number, such as "03", to three ids, each of an earlier chapter.

    Raises:
        ValueError: one line that names the file, the chapter, what was expected and what came.
    """
    recalls = {}
    entries = yaml_of(file)
    if not isinstance(entries, dict):
        raise ValueError(f"{file.name}: expected a mapping, got {type(entries).__name__}")  # noqa: TRY004 - ValueError is for every bad entry
    numbers = [stem[:2] for stem in CHAPTERS]
    for number, value in entries.items():
        if number not in numbers:
            raise ValueError(f"{file.name}: expected one of {', '.join(numbers)} in quotation marks, got {number!r}")
        where = f"{file.name}: {number}"
        ids: tuple[str, ...] = read(tuple[str, ...], value, where)
        if len(set(ids)) != QUESTIONS_TO_RECALL or len(ids) != QUESTIONS_TO_RECALL:
            raise ValueError(f"{where}: expected {QUESTIONS_TO_RECALL} different ids, got {', '.join(ids) or 'none'}")
        for one in ids:
            if one not in bank:
                raise ValueError(f"{where}: expected ids of questions, got {one!r}")
            if bank[one].chapter[:2] >= number:
                raise ValueError(f"{where}: expected questions of earlier chapters, got {one!r} of {bank[one].chapter}")
        recalls[number] = tuple(bank[one] for one in ids)
    return recalls


@cache
def questions() -> dict[str, Question]:
    """The bank that comes with the package, read once."""
    return load()


@cache
def recalls() -> dict[str, tuple[Question, ...]]:
    """What each chapter of the course asks for again, read once."""
    return load_recalls(questions())


def _check(question: Question, topic: str, where: str) -> None:
    """What the annotations do not say."""

    def expect(what: str, got: Any, *, holds: bool) -> None:
        if not holds:
            raise ValueError(f"{where}: {what}, got {got!r}")

    named = re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", question.id) is not None
    expect("id: expected lower case with hyphens", question.id, holds=named)
    expect(f"topic: expected the file's name, {topic}", question.topic, holds=question.topic == topic)
    expect("roles: expected at least 1", len(question.roles), holds=len(question.roles) >= 1)
    expect("rubric: expected at least 3 points", len(question.rubric), holds=len(question.rubric) >= 3)
    expect("red_flags: expected at least 1", len(question.red_flags), holds=len(question.red_flags) >= 1)
    stems = ", ".join(CHAPTERS)
    expect(f"chapter: expected one of {stems}", question.chapter, holds=question.chapter in CHAPTERS)
    for number, point in enumerate(question.rubric):
        for phrase in point.says:
            plain = phrase == phrase.strip().lower()
            expect(f"rubric[{number}]: says: expected lower case, without blanks at its ends", phrase, holds=plain)
    for depth, most in MOST_WORDS.items():
        words = len(getattr(question.answers, depth).split())
        expect(f"answers: {depth}: expected at most {most} words", words, holds=words <= most)
    code = (question.code or "").splitlines()
    expect(f"code: expected at most {MOST_LINES} lines", len(code), holds=len(code) <= MOST_LINES)
    for what, lines in (("answers: whiteboard", question.answers.whiteboard.splitlines()), ("code", code)):
        widest = max(map(len, lines), default=0)
        expect(f"{what}: expected lines of at most {WIDEST_LINE} characters", widest, holds=widest <= WIDEST_LINE)
