"""The capstone as one sits at it: begin, look at the clock, hand in a part, be done with a question, get the report."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bnlab.doctor import Report as Examination
from bnlab.practice.capstone import words
from bnlab.practice.capstone.drawing import draw
from bnlab.practice.capstone.files import PAGE, SCRIPT, examined, lay, moved, new_folder, read_page
from bnlab.practice.capstone.module import judge
from bnlab.practice.capstone.report import Report, save_report
from bnlab.practice.capstone.scoring import Result, cells_of
from bnlab.practice.capstone.sitting import ALONE, DOCTOR, DONE, MODULE, WITH_THE_DOCTOR, Capstone, Clock, kept, start
from bnlab.practice.exercises.verdict import Note
from bnlab.practice.interview.bank import questions
from bnlab.practice.interview.marking import check_confidence, numbers_in
from bnlab.practice.progress import Progress

MOST_SEEDS = 10_000
LINES = 3  # that are named at once


def now() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Desk:
    """Where the capstone is taken; all that it knows is in the progress file and in the files that it laid.

    Attributes:
        clock: says the time, with its zone.
    """

    clock: Clock = now

    def begin(self, seed: int | None = None, folder: str | Path = "capstone") -> Note:
        """Start the hour: draw the parts and lay two files; while one is open, go on with it, and lay what is missing.

        Args:
            seed: of the draw; by default another one each time.
            folder: holds a numbered folder for each capstone; beside the notebook, unless it is a whole path.

        Raises:
            ValueError: the files cannot be written.
        """
        progress = Progress()
        capstone = self._open(progress)
        if capstone is not None:
            laid = lay(capstone.folder, capstone.drawn)
            return words.status(capstone, f"Laid once more: {' and '.join(laid)}." if laid else "")
        drawn_by = random.randrange(MOST_SEEDS) if seed is None else seed
        drawn = draw(questions(), [one.drawn for one in kept(progress, self.clock)], drawn_by)
        place = new_folder(Path(folder).absolute())
        lay(place, drawn)  # before the clock starts: what cannot be written costs nothing
        capstone = start(progress, self.clock, drawn, drawn_by, place)
        if capstone is None:
            return Note(
                "The hour was not started.", f"It has to be kept to be counted. {progress.notice or ''}".rstrip()
            )
        return words.begun(capstone)

    def status(self) -> Note:
        """What is left of the hour and of the parts; after a crash, where you are."""
        capstone = self._at_work()
        return capstone if isinstance(capstone, Note) else words.status(capstone)

    def check(self) -> Note:
        """Check the module on the page as it is saved; as often as you like, the best check counts."""
        capstone = self._at_work()
        if isinstance(capstone, Note):
            return capstone
        try:
            cells = self._checked(capstone)
        except ValueError as error:
            return Note(f"{PAGE} was not checked.", f"{error}.")
        return words.checked(capstone, cells)

    def name_bugs(self, *lines: int) -> Note:
        """Name the three lines of the script that you hold for wrong; sealed, and after the doctor once more.

        Args:
            *lines: up to three numbers of lines of `train.py` as it was laid; none to give in.

        Raises:
            ValueError: more lines, or what is no line; nothing is kept.
        """
        capstone = self._at_work()
        if isinstance(capstone, Note):
            return capstone
        last = len(capstone.script.planted().splitlines())
        if len(lines) > LINES or any(type(line) is not int or not 1 <= line <= last for line in lines):
            raise ValueError(
                f"expected up to {LINES} numbers of lines from 1 to {last}, got {', '.join(map(repr, lines))}"
            )
        events = capstone.events()
        item = WITH_THE_DOCTOR if DOCTOR in events else ALONE
        if item in events:
            return words.sealed(capstone, item)
        if moved(capstone.folder, capstone.drawn, lines):
            return words.LINES_MOVED
        capstone.record(item, lines=sorted(set(lines)))
        return words.named(capstone, item)

    def doctor(self) -> Note | Examination:
        """Once your three lines are sealed: what `bnlab.doctor` finds in the network of the script as it is now."""
        capstone = self._at_work()
        if isinstance(capstone, Note):
            return capstone
        if ALONE not in capstone.events():
            return words.DOCTOR_FORBIDDEN
        try:
            found = examined(capstone.folder)
        except ValueError as error:
            return Note(f"The doctor could not look at {SCRIPT}.", f"{error}.")
        capstone.record(DOCTOR)
        return found

    def questions(self) -> Note:
        """The two plots and the four questions, without what belongs in an answer."""
        capstone = self._at_work()
        return capstone if isinstance(capstone, Note) else words.asked(capstone)

    def done(self, question: str, confidence: int | None = None) -> Note:
        """Say that you have answered a question, aloud or on paper; then its rubric is shown.

        Args:
            question: its id.
            confidence: how much of a full answer you gave, in whole percent, before you see the rubric.

        Raises:
            ValueError: it was not asked, or the confidence is no percentage.
        """
        capstone = self._at_work()
        if isinstance(capstone, Note):
            return capstone
        _expect_asked(capstone, question)
        check_confidence(confidence)
        capstone.record(DONE + question, confidence=confidence)
        return words.unfolded(capstone, question)

    def mark(self, question: str, points: Iterable[int], red_flags: Iterable[int] = ()) -> Note:
        """Mark your answer by the rubric; the first marks count.

        Args:
            question: its id.
            points: numbers, from 1, of the rubric's points that you made; `[]` if you made none.
            red_flags: numbers, from 1, of the red flags that you said.

        Raises:
            ValueError: it was not asked, or there is no such point or red flag; nothing is kept.
        """
        capstone = self._at_work()
        if isinstance(capstone, Note):
            return capstone
        _expect_asked(capstone, question)
        asked, answers, event = questions()[question], capstone.answers(), capstone.events().get(DONE + question)
        made = numbers_in("points", points, len(asked.rubric))
        said = numbers_in("red_flags", red_flags, len(asked.red_flags))
        if event is None:
            return words.not_done(question)
        if question in answers:
            return words.marked_before(answers[question])
        earlier = [datetime.fromisoformat(one.at) for one in capstone.progress.answers(question=question)]
        answer = capstone.progress.record_answer(
            question,
            kind="notebook",
            points=made,
            red_flags=said,
            score=asked.score(made),
            confidence=event.get("confidence"),
            sitting=capstone.number,
            at=max([capstone.now(), *earlier]),
        )
        return words.marked(capstone, question, answer)

    def report(self) -> Note | Report:
        """End the capstone and show its report, or that of the last one again; it is saved as a page, too.

        What was answered has to be marked first, since nothing can be marked after it.
        """
        progress = Progress()
        capstone = self._open(progress)
        if capstone is not None:
            answers = capstone.answers()
            unmarked = [one for one in capstone.asked if DONE + one in capstone.events() and one not in answers]
            if unmarked:
                return words.unmarked(unmarked)
            self._hand_in(capstone)
            progress.end_sitting(capstone.number)
        past = kept(progress, self.clock)
        if not past:
            return words.not_open(progress)
        latest = past[-1] if capstone is None else next(one for one in past if one.number == capstone.number)
        return save_report(Result(latest), [Result(one) for one in past[: past.index(latest)]])

    def _open(self, progress: Progress) -> Capstone | None:
        return next((one for one in reversed(kept(progress, self.clock)) if not one.ended), None)

    def _at_work(self) -> Capstone | Note:
        """The capstone that is open, or how to begin one."""
        progress = Progress()
        return self._open(progress) or words.not_open(progress)

    def _checked(self, capstone: Capstone) -> words.Cells:
        """The check of what is on the page, kept with the moment at which it was saved."""
        attempt, text, saved = read_page(capstone.folder)
        check = judge(capstone.drawn.module, attempt)
        kept_cells = cells_of(check)
        passed = all(named is None for named in kept_cells.values())
        first = next((named[0] for named in kept_cells.values() if named), None)
        capstone.progress.record_attempt(capstone.drawn.module, text, passed=passed, misconception=first)
        moment = min(max(saved, capstone.started), capstone.now())
        capstone.record(f"{MODULE}{len(capstone.checks()) + 1}", at=moment, cells=kept_cells)
        return check

    def _hand_in(self, capstone: Capstone) -> None:
        """What is on the page counts, also if nobody checked it."""
        known = {attempt.source for attempt in capstone.progress.attempts(capstone.drawn.module)}
        try:
            if read_page(capstone.folder)[1] not in known or not capstone.checks():
                self._checked(capstone)
        except ValueError:  # nothing that can be judged
            return


def _expect_asked(capstone: Capstone, question: str) -> None:
    if question not in capstone.asked:
        raise ValueError(f"expected one of {', '.join(capstone.asked)}, got {question!r}")
