"""What a capstone asks: one of the modules, one of the scripts, two plots and four questions."""

import random
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from bnlab.practice.capstone.bugs import SCRIPTS
from bnlab.practice.capstone.modules import MODULES
from bnlab.practice.interview.bank import Level, Question

PLOTS = 2
LEVELS: tuple[Level, ...] = ("core", "core", "deep", "research")  # of the questions, in the order in which they stand
ASKED_ELSEWHERE = ("coding", "roles")  # topics: the module stands for the one, the mock interviews for the other

Variant = TypeVar("Variant", bound=Hashable)


class Drawn(NamedTuple):
    """The ids of what was drawn for one capstone."""

    module: str
    script: str
    plots: tuple[str, ...]
    questions: tuple[str, ...]


def draw(bank: Mapping[str, Question], past: Sequence[Drawn], seed: int) -> Drawn:
    """A variant of each part, of those that came up least often so far, and not the last one while there are others.

    The four questions have different topics, none of them that of a plot, as far as the bank allows. What gives a bug
    of the script away is not asked beside it.

    Args:
        bank: the questions by id.
        past: what was drawn before, the oldest first.
        seed: decides between equals.
    """
    chance = random.Random(seed)
    module = _fresh(MODULES, [(one.module,) for one in past], chance)
    script = _fresh(SCRIPTS, [(one.script,) for one in past], chance)
    asked = [(*one.plots, *one.questions) for one in past]
    silent = [one for one in bank.values() if one.id not in SCRIPTS[script].given_away_by]
    plots: list[str] = []
    questions: list[str] = []
    for _ in range(PLOTS):
        plots.append(_fresh([one.id for one in silent if one.plot and one.id not in plots], asked, chance))
    for level in LEVELS:
        topics = {bank[one].topic for one in [*plots, *questions]} | {*ASKED_ELSEWHERE}
        fitting = [one.id for one in silent if one.level == level and not one.plot and one.topic not in topics]
        questions.append(_fresh(fitting, asked, chance))
    return Drawn(module, script, tuple(plots), tuple(questions))


def _fresh(variants: Iterable[Variant], past: Sequence[Collection[Variant]], chance: random.Random) -> Variant:
    """The one that came up least often; among equals not one of the last time, and else by chance."""
    shuffled = list(variants)
    chance.shuffle(shuffled)
    last = past[-1] if past else ()
    return min(shuffled, key=lambda one: (one in last, sum(one in earlier for earlier in past)))
