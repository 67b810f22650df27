"""What the capstone says: its rules, where you are, what a check found, the questions before and after an answer."""

import math
from textwrap import fill
from typing import TypeAlias

from bnlab.practice.capstone.files import PAGE, SCRIPT
from bnlab.practice.capstone.module import LAYOUTS, Cell
from bnlab.practice.capstone.scoring import CELLS, WEIGHTS, best, cells_of
from bnlab.practice.capstone.sitting import ALONE, DOCTOR, DONE, MINUTES, WITH_THE_DOCTOR, Capstone
from bnlab.practice.exercises.verdict import Note, code
from bnlab.practice.interview.asking import exhibits, items_of
from bnlab.practice.interview.bank import questions
from bnlab.practice.progress import Answer, Progress

Cells: TypeAlias = tuple[Cell, ...]

DOCTOR_FORBIDDEN = Note(
    "Not yet: the doctor comes after you.",
    f"Name the three lines first, as in `capstone.name_bugs(12, 31, 40)`, with the numbers of `{SCRIPT}` as it was "
    "laid. `capstone.name_bugs()` gives in. Then the doctor may look, and what you name after it counts half.",
)
LINES_MOVED = Note(
    "Nothing was sealed: your lines have other numbers now.",
    f"A line is named by its number in `{SCRIPT}` as it was laid, and you have added lines to it or taken some away. "
    f"Save yours under another name and delete `{SCRIPT}`; then `capstone.begin()` lays it once more.",
)
AFTER = "The hour is over. Nothing is closed: what comes now is kept, and marked “after the hour”."


def not_open(progress: Progress) -> Note:
    """How to begin, and what became of the file in which an open one would be."""
    how = "`capstone.begin()` draws one and starts the clock. `capstone.report()` shows the last one again."
    return Note("No capstone is open.", "\n\n".join(filter(None, [how, progress.notice])))


def begun(capstone: Capstone) -> Note:
    """The rules, and where the files are."""
    parts = ", ".join(f"{name} {weight}%" for name, weight in WEIGHTS.items())
    calls = {
        "capstone.check()": f"checks {PAGE}, as often as you like",
        "capstone.name_bugs(12, 31, 40)": f"names three lines of {SCRIPT}, once",
        "capstone.doctor()": "then: what the doctor finds",
        "capstone.questions()": "two plots, four questions",
        'capstone.done("id", 60)': "you have answered: its rubric",
        'capstone.mark("id", [1, 3])': "your marks by it",
        "capstone.status()": "the clock, and what is left",
        "capstone.report()": "the end, and the report",
    }
    width = max(map(len, calls))
    opening = (
        f"Four parts: {parts}. In this folder lie `{PAGE}`, nearly empty, which says what to write, and `{SCRIPT}`, "
        "which runs and has three bugs:"
    )
    rule = (
        "Open them in the editor, in any order, and save. Do without the course, the web and the doctor. Where a line "
        "is missing or stands too late, name one beside the place where it belongs."
    )
    table = code("\n".join(f"{call:{width}}  {what}" for call, what in calls.items()))
    paragraphs = [opening, code(str(capstone.folder)), rule, table, *_notice(capstone)]
    return Note(f"{MINUTES} minutes, from now on.", "\n\n".join(paragraphs))


def status(capstone: Capstone, news: str = "") -> Note:
    """The clock, and how far each part is."""
    events, answers = capstone.events(), capstone.answers()
    checks = capstone.checks()
    right = round(best([check for check in checks if isinstance(check.get("cells"), dict)]) * len(CELLS))
    named = "not named yet"
    if ALONE in events:
        named = "named, and once more after the doctor" if WITH_THE_DOCTOR in events else "named"
        named += ", the doctor may look" if DOCTOR not in events else ""
    rows = [
        f"{PAGE:16}{f'{len(checks)} checked, at best {right} of {len(CELLS)} right' if checks else 'not checked yet'}",
        f"{SCRIPT:16}{named}",
    ]
    for title, ids in (("plots", capstone.drawn.plots), ("questions", capstone.drawn.questions)):
        done = sum(DONE + one in events for one in ids)
        rows.append(f"{title:16}{done} of {len(ids)} answered, {sum(one in answers for one in ids)} marked")
    where = ["The files are in this folder; `capstone.begin()` lays what is missing.", code(str(capstone.folder))]
    return Note(
        clock(capstone), "\n\n".join([*filter(None, [news]), code("\n".join(rows)), *where, *_notice(capstone)])
    )


def clock(capstone: Capstone) -> str:
    """What is left of the hour, in words."""
    left = (capstone.deadline - capstone.now()).total_seconds()
    return f"{math.ceil(left / 60)} of {MINUTES} minutes left." if left > 0 else AFTER


def checked(capstone: Capstone, cells: Cells) -> Note:
    """What is right, what is not, and why: a mistake that several aspects share is explained once."""
    kept = cells_of(cells)
    right = sum(named is None for named in kept.values())
    rows = [f"{'':20}{''.join(f'{layout:12}' for layout in LAYOUTS)}".rstrip()]
    for aspect in dict.fromkeys(cell.aspect for cell in cells):
        states = ["right" if kept[f"{aspect}, {layout}"] is None else "not yet" for layout in LAYOUTS]
        rows.append(f"{aspect:20}{''.join(f'{state:12}' for state in states)}".rstrip())
    explained: dict[str, str] = {}
    for cell in cells:
        if not cell.verdict.passed:
            cause = cell.verdict.misconception or cell.verdict.message
            explained.setdefault(cause, f"{cell.verdict.headline}\n\n{cell.verdict.message}")
    paragraphs = [code("\n".join(rows)), *explained.values(), clock(capstone), *_notice(capstone)]
    return Note(f"{PAGE}: {right} of {len(cells)} right.", "\n\n".join(paragraphs))


def named(capstone: Capstone, item: str) -> Note:
    """The lines that were sealed; not whether they are right."""
    lines = capstone.script.planted().splitlines()
    if item not in capstone.events():
        return Note("Nothing was sealed.", "\n\n".join(_notice(capstone)))
    chosen = capstone.events()[item].get("lines", [])
    shown = [code("\n".join(f"{number:3}  {lines[number - 1]}" for number in chosen))] if chosen else []
    after = "`capstone.doctor()` may look now. What you name after it counts half, where it is new."
    return Note(
        f"Sealed: {len(chosen)} of 3 lines.",
        "\n\n".join(
            [
                *shown,
                after if item == ALONE else "The report says which are right.",
                clock(capstone),
                *_notice(capstone),
            ]
        ),
    )


def sealed(capstone: Capstone, item: str) -> Note:
    """That lines were named before, and count."""
    chosen = ", ".join(map(str, capstone.events()[item].get("lines", []))) or "none"
    more = "`capstone.doctor()` comes next; after it you may name lines once more." if item == ALONE else ""
    return Note("Your lines were sealed before.", f"They are: {chosen}. {more}".rstrip())


def asked(capstone: Capstone) -> Note:
    """The prompts, each with its code or its plot and nothing else."""
    bank, paragraphs = questions(), []
    for title, ids in (("Plot", capstone.drawn.plots), ("Question", capstone.drawn.questions)):
        for number, id_ in enumerate(ids, start=1):
            paragraphs.append(f"{title} {number}, `{id_}`: {bank[id_].prompt}")
            paragraphs += map(code, exhibits(bank[id_]))
    how = "Answer aloud, two minutes each, or write. Then `capstone.done(id, 60)`, if you gave 60% of a full answer."
    return Note("Two plots to explain, four questions to answer.", "\n\n".join([*paragraphs, how, clock(capstone)]))


def unfolded(capstone: Capstone, id_: str) -> Note:
    """The rubric, the red flags and the short answer."""
    question = questions()[id_]
    points, flags = (
        code("\n".join(fill(f"{number}. {item}", 76, subsequent_indent="   ") for number, item in enumerate(items, 1)))
        for items in (items_of(question, "rubric"), items_of(question, "red_flags"))
    )
    paragraphs = [
        "A full answer makes these points, with their weights:",
        points,
        "Red flags:",
        flags,
        f"In 30 seconds: {' '.join(question.answers.short.split())}",
        f'Mark what you said, not what you meant: `capstone.mark("{id_}", [1, 3], red_flags=[])`.',
    ]
    return Note(f"{id_}: done.", "\n\n".join([*paragraphs, clock(capstone), *_notice(capstone)]))


def not_done(id_: str) -> Note:
    """That answering comes before marking."""
    return Note(f"{id_}: answer it first.", f'Then `capstone.done("{id_}")` shows its rubric.')


def unmarked(ids: list[str]) -> Note:
    """That the report is the end, so that marks come before it."""
    calls = "\n".join(f'capstone.mark("{one}", [])' for one in ids)
    how = "You have answered these. Put the numbers of the points that you made between the brackets:"
    return Note("The report comes after your marks.", f"{how}\n\n{code(calls)}")


def marked_before(answer: Answer) -> Note:
    """That the first marks count."""
    return Note(
        f"{answer.question}: marked before.", f"{100 * answer.score:.0f}% of a full answer; the first marks count."
    )


def marked(capstone: Capstone, id_: str, answer: Answer | None) -> Note:
    """What the answer was worth, and how many are left."""
    left = [one for one in capstone.asked if one not in capstone.answers()]
    rest = f"Left: {', '.join(f'`{one}`' for one in left)}." if left else "All six are marked."
    score = "not kept" if answer is None else f"{100 * answer.score:.0f}% of a full answer"
    return Note(f"{id_}: {score}.", "\n\n".join([rest, clock(capstone), *_notice(capstone)]))


def _notice(capstone: Capstone) -> list[str]:
    return [capstone.progress.notice] if capstone.progress.notice else []
