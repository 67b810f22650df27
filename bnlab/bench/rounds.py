"""Calls compared fairly: they take turns, and are set against one another round by round."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

Call = Callable[[], object]
Timer = Callable[[Call], float]
FEWEST = 5  # rounds of a call, however slow it is


class Spread(NamedTuple):
    """The middle half of some numbers."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Quartiles.

        >>> Spread.of([4.0, 1.0, 2.0, 3.0, 5.0])
        Spread(low=2.0, median=3.0, high=4.0)
        """
        return cls(*map(float, np.quantile(values, (0.25, 0.5, 0.75))))


def wall_clock(call: Call) -> float:
    """Seconds that a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def paired(
    calls: Mapping[str, Call], *, rounds: int, budget: float = float("inf"), timer: Timer = wall_clock
) -> dict[str, list[float]]:
    """Seconds that each call took in each round, so that whatever else the machine does meets all alike.

    Before the first round each is called once, to compile and to touch its memory. Before each timed call the same call
    runs untimed: otherwise the cache would hold what another one left there, and a call that follows a thrifty one
    would look fast. The order is drawn anew for each round, since what a call leaves behind can outlast one call.

    Args:
        calls: by name.
        rounds: at most.
        budget: timed seconds of one call after which it drops out, though not before 5 rounds.
        timer: gives the seconds of a call.

    Returns:
        By name, seconds of the rounds from the first on; a slow call has fewer.

    Raises:
        ValueError: there are no rounds.

    Example:
        >>> {name: len(seconds) for name, seconds in paired({"a": dict, "b": list}, rounds=3).items()}
        {'a': 3, 'b': 3}
    """
    if rounds < 1:
        raise ValueError(f"expected at least 1 round, got {rounds}")
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    names, order = list(calls), random.Random(0)
    for number in range(rounds):
        for name in order.sample(names, len(names)):
            if len(taken[name]) == number and (number < FEWEST or sum(taken[name]) < budget):
                calls[name]()
                taken[name].append(timer(calls[name]))
    return taken


def ratio(taken: Mapping[str, Sequence[float]], over: str, under: str, *, factor: float = 1.0) -> Spread:
    """How many times as long one call took as another, of the rounds that both ran in.

    >>> ratio({"slow": [4.0, 8.0, 9.0], "fast": [2.0, 2.0]}, "slow", "fast")
    Spread(low=2.5, median=3.0, high=3.5)
    """
    return Spread.of([factor * a / b for a, b in zip(taken[over], taken[under], strict=False)])
