"""Ten questions that are asked before the course and again after it, one a topic; the first answers count."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from bnlab.practice.exercises.verdict import Note, Shown, code
from bnlab.practice.interview.bank import questions
from bnlab.practice.interview.schema import read, yaml_of
from bnlab.practice.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE = Path(__file__).with_name("pretest.yaml")
CHOICES = 4
LONGEST_CHOICE = 72  # columns, so that it fits a terminal's line
NO_IDEA = "-"  # instead of a letter: better than a guess, which would count as knowledge one time in four
NAMES = {True: "right", False: "wrong", None: NO_IDEA}

Letter = Literal["a", "b", "c", "d"]
Kind = Literal["pretest", "posttest"]


@dataclass(frozen=True)
class Item:
    """One question with four choices, one of which is right.

    Attributes:
        id: stable name, in lower case with hyphens.
        topic: a topic of the bank, which no other item has.
        question: what is asked.
        choices: the texts of a, b, c and d.
        answer: the letter of the right one.
        why: why it is right, and what is wrong with the others.
        ask: id of the question of the bank that goes further; its chapter is the one to read again.
    """

    id: str
    topic: str
    question: str
    choices: tuple[str, ...]
    answer: Letter
    why: str
    ask: str

    @property
    def lettered(self) -> dict[str, str]:
        """The choices by their letters."""
        return dict(zip("abcd", self.choices, strict=True))

    @property
    def chapter(self) -> str:
        """Stem of the chapter that teaches it."""
        return questions()[self.ask].chapter


class Graded(NamedTuple):
    """An item, what was chosen, and whether that is right: None where nothing was chosen."""

    item: Item
    choice: str | None
    right: bool | None


@dataclass(frozen=True, repr=False)
class Outcome(Shown):
    """The test after the course beside the one before it.

    Attributes:
        before: the graded pretest; no item of it has a choice where it was not taken.
        after: the graded posttest.
        notice: what the learner should know of the file of the progress.
    """

    before: tuple[Graded, ...]
    after: tuple[Graded, ...]
    notice: str = ""

    @property
    def headline(self) -> str:  # type: ignore[override]  # computed here, given to a Note
        """How many were right."""
        before, after = (sum(one.right is True for one in test) for test in (self.before, self.after))
        taken = any(one.choice for one in self.before)
        then = f"before the course {before}" if taken else "the test before the course was not taken"
        return f"{after} of {len(self.after)} right; {then}."

    @property
    def message(self) -> str:  # type: ignore[override]
        """Of each item that was not right both times the right choice and why, and a table of the topics."""
        rows = [f"{'topic':24}{'before':9}{'after':9}read again"]
        for before, after in zip(self.before, self.after, strict=True):
            again = "" if after.right else f"chapter {after.item.chapter[:2]}"
            rows.append(f"{after.item.topic:24}{NAMES[before.right]:9}{NAMES[after.right]:9}{again}".rstrip())
        both = zip(self.before, self.after, strict=True)
        explained = [_explained(after) for before, after in both if not (before.right and after.right)]
        picture = "`posttest().picture()` draws the table."
        return "\n\n".join(filter(None, [*explained, code("\n".join(rows)), picture, self.notice]))

    def picture(self) -> "Figure":
        """The outcome of each topic, before and after."""
        from bnlab import figures  # noqa: PLC0415 - loads matplotlib and torch

        before, after = ({one.item.topic: one.right for one in test} for test in (self.before, self.after))
        return figures.before_and_after_the_course(before, after)


def pretest(answers: str | None = None) -> Note:
    """Show the ten questions, or keep your answers to them; which are right is said by `posttest`, after the course.

    Args:
        answers: ten letters such as "abcd-abcda", one for each question in order; "-" where you have no idea. The
            first answers are kept.

    Raises:
        ValueError: `answers` is something else; nothing is kept.
    """
    progress = Progress()
    if answers is not None:
        keep("pretest", _chosen(answers), progress)
    return _asked("pretest", progress) if _left("pretest", progress) else _kept(progress)


def posttest(answers: str | None = None) -> Note | Outcome:
    """Show the ten questions again, or keep your answers and show the outcome by topic, beside that of `pretest`.

    Args:
        answers: as in `pretest`.

    Raises:
        ValueError: `answers` is something else; nothing is kept.
    """
    progress = Progress()
    if answers is not None:
        keep("posttest", _chosen(answers), progress)
    return _asked("posttest", progress) if _left("posttest", progress) else outcome(progress)


@cache
def items() -> tuple[Item, ...]:
    """The ten items that come with the package, read once."""
    return read_items(FILE)


def read_items(file: Path) -> tuple[Item, ...]:
    """Items from a YAML file, a list of mappings with the fields of `Item`.

    Raises:
        ValueError: one line that names the file, the item, what was expected and what came.
    """
    found: tuple[Item, ...] = read(tuple[Item, ...], yaml_of(file), file.name)
    for number, item in enumerate(found):
        where = f"{file.name}: {item.id}"
        if len(item.choices) != CHOICES:
            raise ValueError(f"{where}: expected {CHOICES} choices, got {len(item.choices)}")
        longest = max(map(len, item.choices))
        if longest > LONGEST_CHOICE:
            raise ValueError(f"{where}: expected choices of at most {LONGEST_CHOICE} letters, got one of {longest}")
        if item.ask not in questions():
            raise ValueError(f"{where}: expected the id of a question of the bank to ask, got {item.ask!r}")
        if any(item.id == other.id or item.topic == other.topic for other in found[:number]):
            raise ValueError(f"{where}: expected an id and a topic of its own, got those of an earlier one")
    return found


def grade(choices: Mapping[str, str]) -> tuple[Graded, ...]:
    """Whether each item was answered rightly.

    Args:
        choices: letters, or `NO_IDEA`, by the ids of items; items that are missing were not answered.

    Example:
        >>> [one.right for one in grade({"which-values-share-a-mean": "b", "shift-of-distributions": "a"})][:3]
        [True, False, None]
    """
    chosen = [(item, choices.get(item.id)) for item in items()]
    return tuple(
        Graded(item, choice, None if choice in {None, NO_IDEA} else choice == item.answer) for item, choice in chosen
    )


def given(kind: Kind, progress: Progress) -> dict[str, str]:
    """What was chosen in the first test of a kind, by each item that there still is; nothing where there was none."""
    sittings = progress.sittings(kind)
    chosen = progress.choices(sittings[0].number) if sittings else {}
    return {item.id: chosen[item.id] for item in items() if item.id in chosen}


def keep(kind: Kind, choices: Mapping[str, str], progress: Progress) -> None:
    """Keep choices in the first test of a kind, which begins with them and ends when every item has one.

    Args:
        kind: which test.
        choices: letters, or `NO_IDEA`, by the ids of items; the first for an item counts.
        progress: where they are kept.
    """
    sittings = progress.sittings(kind)
    number = sittings[0].number if sittings else progress.begin_sitting(kind, {})
    if number is None:
        return
    for item, choice in choices.items():
        progress.record_choice(number, item, choice)
    if not _left(kind, progress):
        progress.end_sitting(number)


def outcome(progress: Progress) -> Outcome:
    """Both tests as far as they were taken."""
    before, after = (grade(given(kind, progress)) for kind in ("pretest", "posttest"))
    return Outcome(before, after, progress.notice or "")


def _left(kind: Kind, progress: Progress) -> list[Item]:
    chosen = given(kind, progress)
    return [item for item in items() if item.id not in chosen]


def _chosen(answers: str) -> dict[str, str]:
    letters = "".join(answers.lower().split()) if isinstance(answers, str) else ""
    if len(letters) != len(items()) or set(letters) - {*"abcd", NO_IDEA}:
        raise ValueError(f"answers: expected {len(items())} letters, a to d or {NO_IDEA!r} each, got {answers!r}")
    return {item.id: letter for item, letter in zip(items(), letters, strict=True)}


def _asked(kind: Kind, progress: Progress) -> Note:
    paragraphs = []
    for number, item in enumerate(items(), start=1):
        choices = "\n".join(f"{letter}  {text}" for letter, text in item.lettered.items()).replace("`", "")
        paragraphs += [f"{number}. {item.question}", code(choices)]
    how = f'Answer with `{kind}("...")`: {len(items())} letters in order, `{NO_IDEA}` where you have no idea.'
    return Note(
        "Ten questions, one right choice each.", "\n\n".join([*paragraphs, how, progress.notice or ""]).rstrip()
    )


def _kept(progress: Progress) -> Note:
    later = "After the course `posttest()` asks the same again; then you see both, topic by topic, and why."
    return Note("Your first answers are kept.", "\n\n".join(filter(None, [later, progress.notice])))


def _explained(one: Graded) -> str:
    item = one.item
    chosen = "" if one.choice in {None, NO_IDEA, item.answer} else f" You said {one.choice}."
    right = f"The answer is {item.answer}, {item.lettered[item.answer]}."
    further = code(f'ask("{item.ask}")\nbnlab interview show {item.ask}')
    return f"{item.question}{chosen} {right} {item.why} To practise it, in a notebook or in a terminal:\n\n{further}"
