"""The report of a capstone: what it came to, what was right and what was not, and what to read again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bnlab.figures import style
from bnlab.practice.capstone.bugs import Bug
from bnlab.practice.capstone.module import ASPECTS, LAYOUTS
from bnlab.practice.capstone.scoring import RULE, WEIGHTS, Decision, Result, percent
from bnlab.practice.capstone.sitting import DONE, MINUTES
from bnlab.practice.interview.bank import questions
from bnlab.practice.interview.pretest import NAMES, Outcome, outcome
from bnlab.practice.interview.room.pages import (
    Block,
    Heading,
    Picture,
    Points,
    Table,
    Text,
    body_in_html,
    save,
    to_markdown,
)


@dataclass(frozen=True, repr=False)
class Report:
    """A capstone's report; it shows itself as a page in a notebook, and as Markdown elsewhere.

    Attributes:
        result: the capstone, scored.
        blocks: the page.
        file: where it is saved; None if that failed.
    """

    result: Result
    blocks: tuple[Block, ...]
    file: Path | None

    def __repr__(self) -> str:
        return to_markdown(self.blocks)

    def _repr_html_(self) -> str:
        return body_in_html(self.blocks)


def save_report(result: Result, past: Sequence[Result]) -> Report:
    """The report, and the same as an HTML page in the folder `reports` beside the progress file.

    Args:
        result: of the capstone.
        past: of those before it, the oldest first.
    """
    progress, started = result.capstone.progress, result.capstone.started
    file = progress.path.parent / "reports" / f"capstone-{started:%Y-%m-%d-%H%M%S}.html"
    style.apply()
    blocks = tuple(page(result, past))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save(blocks, file)
    except OSError as error:
        return Report(result, (*blocks, Text(f"The page could not be saved: {error}.")), None)
    return Report(result, (*blocks, Text(f"This page is saved in `{file}`.")), file)


def page(result: Result, past: Sequence[Result]) -> Iterator[Block]:
    """The blocks of the page, in order."""
    decision = result.decide()
    yield Heading(f"Capstone, {result.capstone.started:%Y-%m-%d}: {decision.word}", 1)
    yield Text(_opening(decision.word))
    yield Points(decision.reasons)
    if decision.word != "not taken":
        yield from _parts(result, decision)
    yield from _tests(outcome(result.capstone.progress))
    yield from _history([*past, result])


def _parts(result: Result, decision: Decision) -> Iterator[Block]:
    later = result.decide_without_clock().word
    if decision.word in {"not yet", "nearly there"} and later != decision.word:
        yield Text(f"What you had at the end would have been “{later}”: what is between the two is speed.")
    rows = [(name, f"{weight}%", *_shares(result.parts[name])) for name, weight in WEIGHTS.items()]
    yield Table((("part", "weight", "at the hour", "at the end"), *rows, ("all", "100%", *_shares(result.total))))
    yield Text(RULE)
    yield from _again(result)
    yield from _module(result)
    yield from _script(result)
    yield from _answers(result)


def _opening(word: str) -> str:
    return {
        "ready": "You can write it, find its bugs and explain it against a clock. What is left is to use it.",
        "nearly there": "Much of it stands. Begin with the first chapter of the list below; then take another variant.",
        "not yet": "An hour without help is a hard measure, and it has done its work: you know now where to read.",
        "not taken": "Begin again when you have an hour; the parts will be others.",
    }[word]


def _shares(shares: tuple[float, float]) -> tuple[str, str]:
    hour, end = (f"{percent(share)}%" for share in shares)
    return hour, end


def _again(result: Result) -> Iterator[Block]:
    yield Heading("Read again", 2)
    again = tuple(f"Chapter `{stem}`: {'; '.join(what)}" for stem, what in result.read_again().items())
    yield Points(again) if again else Text("Nothing: every part was right within the hour.")


def _module(result: Result) -> Iterator[Block]:
    yield Heading("The module", 2)
    checks = result.capstone.checks()
    if not checks:
        yield Text("Nothing on the page could be checked.")
        return
    when, cells = "within", result.cells
    if not result.checked_in_time:
        when, cells = "after", result.cells_at_the_end
    yield Text(f"Checks: {len(checks)}. The best one {when} the {MINUTES} minutes:")
    states = {cell: "right" if named is None else ", ".join(named) or "not yet" for cell, named in cells.items()}
    rows = ((aspect, *(states[f"{aspect}, {layout}"] for layout in LAYOUTS)) for aspect in ASPECTS)
    yield Table((("aspect", *LAYOUTS), *rows))


def _script(result: Result) -> Iterator[Block]:
    yield Heading("The script", 2)
    script = result.capstone.script
    rows = ((_lines(result, bug), bug.name, how, bug.rule or "does not see it") for bug, how in result.bugs.items())
    yield Table((("line", "bug", "found", "doctor"), *rows))
    if wrong := result.wrong_lines():
        yield Text(f"Named too, without a planted bug: {', '.join(map(str, wrong))}.")
    for bug in script.bugs:
        seen = f"The doctor finds it by {bug.rule}." if bug.rule else "The doctor does not find it."
        yield Text(
            f"Line {_lines(result, bug)}, {bug.name}. {bug.why} {seen} {bug.sight} See chapter {bug.chapter[:2]}."
        )


def _lines(result: Result, bug: Bug) -> str:
    *others, last = map(str, result.capstone.script.lines_of(bug))
    return f"{', '.join(others)} or {last}" if others else last


def _answers(result: Result) -> Iterator[Block]:
    yield Heading("Plots and questions", 2)
    bank, events = questions(), result.capstone.events()
    rows = []
    for id_ in result.capstone.asked:
        answer = result.answers.get(id_)
        when = "in time" if result.answered_in_time(id_) else "after the hour"
        score = "" if answer is None else f"{percent(answer.score)}%"
        expected = "" if answer is None or answer.confidence is None else f"{answer.confidence}%"
        question = bank[id_]
        rows.append((id_, question.topic, question.level, when if DONE + id_ in events else "no", score, expected))
    yield Table((("question", "topic", "level", "answered", "score", "expected"), *rows))
    yield Points(tuple(f"`{id_}`: {bank[id_].prompt}" for id_ in result.capstone.asked))
    yield Text("`ask(id)`, from `bnlab.practice`, shows one of them again, with its answers.")
    missing = tuple(
        f"`{id_}`: {'; '.join(points)}" for id_ in result.capstone.asked if (points := _missing(result, id_))
    )
    if missing:
        yield Text("Points that were not made:")
        yield Points(missing)
    flags = tuple(
        f"`{one.id}`: “{one.red_flags[n - 1].says}” {one.red_flags[n - 1].why}" for one, n in result.red_flags()
    )
    if flags:
        yield Text("Red flags that were said:")
        yield Points(flags)


def _missing(result: Result, id_: str) -> list[str]:
    answer = result.answers.get(id_)
    rubric = enumerate(questions()[id_].rubric, start=1)
    return [] if answer is None else [point.point for number, point in rubric if number not in answer.points]


def _tests(tests: Outcome) -> Iterator[Block]:
    yield Heading("Before the course and after it", 2)
    taken = [any(one.choice for one in test) for test in (tests.before, tests.after)]
    if not all(taken):
        missing = [name for name, was in zip(("pretest", "posttest"), taken, strict=True) if not was]
        todo = {
            "pretest": "The ten questions before the course were not answered, so there is nothing to compare with.",
            "posttest": "`posttest()`, from `bnlab.practice`, asks the ten questions after the course, in ten minutes.",
        }
        yield Text(" ".join(todo[name] for name in missing))
    if any(taken):
        pairs = list(zip(tests.before, tests.after, strict=True))
        head = f"{'':24}{'before':14}after\n"
        words = head + "\n".join(
            f"{one.item.topic:24}{NAMES[one.right]:14}{NAMES[other.right]}" for one, other in pairs
        )
        yield Picture(tests.picture, words, "Which topics were right before the course and after it.")
        again = tuple(f"{one.item.topic}: chapter `{one.item.chapter}`" for one in tests.after if one.right is False)
        if again:
            yield Text("Wrong after the course:")
            yield Points(again)


def _history(results: list[Result]) -> Iterator[Block]:
    if len(results) > 1:
        yield Heading("This capstone and those before it", 2)
        rows = (
            (
                f"{one.capstone.started:%Y-%m-%d %H:%M}",
                f"{percent(one.total.hour)}%",
                *(f"{percent(shares.hour)}%" for shares in one.parts.values()),
                one.decide().word,
            )
            for one in results
        )
        parts = (name.removeprefix("the ") for name in WEIGHTS)
        yield Table((("date", "all", *parts, "word"), *rows))
