"""One capstone as it is kept: what was drawn, when its hour ends, and what has happened in it.

All of it stands in the progress file, written as it happens: after a crash nothing has to be rescued.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from bnlab.practice.capstone.bugs import SCRIPTS, Script
from bnlab.practice.capstone.drawing import Drawn
from bnlab.practice.capstone.modules import MODULES
from bnlab.practice.interview.bank import questions
from bnlab.practice.progress import Answer, Progress, Sitting

MINUTES = 60
ALONE, DOCTOR, WITH_THE_DOCTOR = "bugs", "doctor", "bugs with the doctor"  # items, as the progress file has them
MODULE, DONE = "module ", "done "  # beginnings of items: the number of a check follows, the id of a question

Clock: TypeAlias = Callable[[], datetime]
Event: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Capstone:
    """A capstone that was begun.

    Attributes:
        progress: where it is kept.
        clock: says the time, with its zone.
        number: of its sitting.
        drawn: what it asks.
        started: when its hour began, by the clock.
        folder: where its files are.
        ended: whether its report was asked for.
    """

    progress: Progress
    clock: Clock
    number: int
    drawn: Drawn
    started: datetime
    folder: Path
    ended: bool

    @property
    def script(self) -> Script:
        """The training script."""
        return SCRIPTS[self.drawn.script]

    @property
    def asked(self) -> tuple[str, ...]:
        """The ids of the plots and of the questions."""
        return self.drawn.plots + self.drawn.questions

    @property
    def deadline(self) -> datetime:
        """When the hour is over."""
        return self.started + timedelta(minutes=MINUTES)

    def events(self) -> dict[str, Event]:
        """What has happened, by its item, in order; each holds under "at" when."""
        found = {item: _event(text) for item, text in self.progress.choices(self.number).items()}
        return {item: event for item, event in found.items() if event is not None}

    def checks(self) -> list[Event]:
        """The checks of the module, the oldest first."""
        return [event for item, event in self.events().items() if item.startswith(MODULE)]

    def answers(self) -> dict[str, Answer]:
        """The answers that were marked, by question; the first marks count."""
        found: dict[str, Answer] = {}
        for answer in self.progress.answers(sitting=self.number):
            found.setdefault(answer.question, answer)
        return found

    def now(self) -> datetime:
        """The time by the clock, and never before what has happened already, should somebody set the clock back."""
        moments: list[datetime] = [event["at"] for event in self.events().values()]
        return max([self.clock(), self.started, *moments])

    def record(self, item: str, at: datetime | None = None, **facts: Any) -> Event:
        """Keep that something has happened; of each item the first counts, and is returned."""
        moment = self.now() if at is None else at
        text = json.dumps({"at": moment.astimezone(UTC).isoformat(), **facts})
        self.progress.record_choice(self.number, item, text)
        return self.events().get(item, {"at": moment, **facts})


def start(progress: Progress, clock: Clock, drawn: Drawn, seed: int, folder: Path) -> Capstone | None:
    """Begin a capstone; None if it cannot be kept.

    Its time is kept beside what was drawn, since it is measured by this clock alone.
    """
    about = {"seed": seed, "started": clock().astimezone(UTC).isoformat(), "folder": str(folder), **drawn._asdict()}
    number = progress.begin_sitting("capstone", about)
    return next((one for one in kept(progress, clock) if one.number == number), None)


def kept(progress: Progress, clock: Clock) -> list[Capstone]:
    """The capstones that are kept, the oldest first, but for those whose parts no longer exist."""
    found = (_capstone(sitting, progress, clock) for sitting in progress.sittings("capstone"))
    return [one for one in found if one is not None]


def _capstone(sitting: Sitting, progress: Progress, clock: Clock) -> Capstone | None:
    drawn, started, folder = _drawn(sitting.about), _moment(sitting.about.get("started")), sitting.about.get("folder")
    if drawn is None or started is None or not isinstance(folder, str):
        return None
    return Capstone(progress, clock, sitting.number, drawn, started, _here(Path(folder)), sitting.ended is not None)


def _drawn(about: Mapping[str, Any]) -> Drawn | None:
    module, script, *lists = (about.get(name) for name in Drawn._fields)
    ids = [one for some in lists if isinstance(some, list) for one in some]
    whole = module in MODULES and script in SCRIPTS and all(isinstance(some, list) and some for some in lists)
    if not whole or not all(isinstance(one, str) and one in questions() for one in ids):
        return None
    plots, asked = lists
    return Drawn(str(module), str(script), tuple(plots or ()), tuple(asked or ()))


def _here(folder: Path) -> Path:
    """The folder; on another machine, to which the progress was taken, the one of this name beside the notebook."""
    home = folder.parent.parent
    return folder if home.is_dir() else Path.cwd() / folder.relative_to(home)


def _event(text: str) -> Event | None:
    """None for what somebody else wrote into the file."""
    try:
        event = json.loads(text)
        return {**event, "at": _moment(event["at"]) or _unreadable()}
    except (ValueError, TypeError, KeyError):
        return None


def _unreadable() -> datetime:
    raise ValueError("expected a time with its zone")


def _moment(text: Any) -> datetime | None:
    """The time that a text says; None if it says none, or not in which zone."""
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo is not None else None
