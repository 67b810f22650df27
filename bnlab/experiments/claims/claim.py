"""A claim: what is declared before the run, and what the run says of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from bnlab.experiments.intervals import Interval, Verdict, ratio_interval, sign_interval, t_interval

LEAST_SEEDS = 5
LEAST_SEEDS_OF_A_HEADLINE = 10

Unit = Literal["times", "points"]  # a ratio, or a difference in percentage points
NO_EFFECT = {"times": 1.0, "points": 0.0}


class Measured(NamedTuple):
    """What a study's result says about a claim.

    Attributes:
        values: one effect a seed, in the claim's unit; larger is more of what is claimed, infinity is "beyond what was
            watched".
        test_error: standard error that the finite split alone gives the effect, in the same unit, where the effect is a
            difference of accuracies.
    """

    values: Float[np.ndarray, " seeds"]
    test_error: float | None = None


@dataclass(frozen=True, repr=False)
class Claim:
    """A sentence about batch norm, and what this course measured of it.

    Attributes:
        id: stable name.
        statement: the sentence, as it is often said or as a paper says it, with its network and data.
        source: the paper it is taken from.
        study: the name of the study in `bnlab.experiments.studies`.
        effect: the estimate, in `unit`.
        interval: its 95% interval, low and high.
        n_seeds: how many seeds it rests on.
        verdict: what the rule says; see `Interval.verdict`.
        control: what was the same in all arms.
        chapter: stem of the notebook that shows it.
        unit: "times" for ratios, "points" for percentage points.
        margin: the effect that was asked for before the run.
        exact: whether the interval is that of the sign test, for values on a grid or censored.
        values: every seed's effect.
        test_error: standard error from the finite split alone, in `unit`; None where no accuracies are compared.
    """

    id: str
    statement: str
    source: str
    study: str
    effect: float
    interval: tuple[float, float]
    n_seeds: int
    verdict: Verdict
    control: str
    chapter: str
    unit: Unit
    margin: float
    exact: bool
    values: tuple[float, ...]
    test_error: float | None = None

    @property
    def censored(self) -> int:
        """How many seeds lie beyond what was watched."""
        return sum(math.isinf(value) for value in self.values)

    @property
    def measured(self) -> str:
        """The effect and its interval, such as "10 [3.2, 32] times"."""
        if self.censored == self.n_seeds:
            return f"beyond what was watched in all {self.n_seeds} seeds"
        return f"{number(self.effect)} [{number(self.interval[0])}, {number(self.interval[1])}] {self.unit}"

    @property
    def summary(self) -> str:
        """The statement, and on a line of its own the verdict and what was measured."""
        return f"{self.statement}\n  {self.verdict}: {self.measured}"

    def __str__(self) -> str:
        how = "median, exact interval of the sign test" if self.exact else "95% interval, paired t"
        censored = f", beyond what was watched in {self.censored}" if self.censored else ""
        error = f" Standard error from the finite split alone: {number(self.test_error)}." if self.test_error else ""
        return (
            f"{self.statement} Measured: {self.measured} ({how}; n = {self.n_seeds} seeds{censored}); asked for: more "
            f"than {number(self.margin)}.{error} Control: {self.control} After {self.source}."
        )

    def __repr__(self) -> str:
        return f"{self.id}: {self.verdict}. {self}"

    def _repr_markdown_(self) -> str:
        return f"`{self.id}` **{self.verdict}.** {self}"


@dataclass(frozen=True)
class Declaration:
    """What is fixed before a claim is run: the sentence, direction and margin, and how an effect is read off a result.

    Attributes:
        id: as in `Claim`, like all that is not named here.
        measure: from the study's result to an effect for each seed; upwards is the direction that is claimed.
        exact: for effects on a grid or censored ones.
        headline: whether the course leads with it, so that it needs more seeds.
    """

    id: str
    statement: str
    source: str
    study: str
    chapter: str
    control: str
    unit: Unit
    margin: float
    measure: Callable[[Any], Measured]
    exact: bool = False
    headline: bool = False

    def judge(self, result: Any) -> Claim:
        """The claim as this result of its study bears it out.

        Raises:
            ValueError: the result has too few seeds.
        """
        values, test_error = self.measure(result)
        least = LEAST_SEEDS_OF_A_HEADLINE if self.headline else LEAST_SEEDS
        if len(values) < least:
            raise ValueError(f"{self.id}: expected at least {least} seeds, got {len(values)}")
        interval = self._interval(values)
        return Claim(
            id=self.id,
            statement=self.statement,
            source=self.source,
            study=self.study,
            effect=interval.estimate,
            interval=(interval.low, interval.high),
            n_seeds=len(values),
            verdict=interval.verdict(self.margin, no_effect=NO_EFFECT[self.unit]),
            control=self.control,
            chapter=self.chapter,
            unit=self.unit,
            margin=self.margin,
            exact=self.exact,
            values=tuple(float(value) for value in values),
            test_error=test_error,
        )

    def _interval(self, values: Float[np.ndarray, " seeds"]) -> Interval:
        if self.exact:
            return sign_interval(values)
        return ratio_interval(values) if self.unit == "times" else t_interval(values)


def gain_in_points(better: Float[np.ndarray, " seeds"], worse: Float[np.ndarray, " seeds"], examples: int) -> Measured:
    """By how many percentage points one accuracy (between 0 and 1) exceeds another, seed by seed, on one split.

    The standard error takes the two networks' mistakes as independent, so it is rather too large.
    """
    shares = [np.clip(accuracy.mean(), 0.5 / examples, 1 - 0.5 / examples) for accuracy in (better, worse)]
    error = 100 * math.sqrt(sum(share * (1 - share) / examples for share in shares))
    return Measured(100 * (better - worse), error)


def number(value: float) -> str:
    """Two significant digits below 100, whole numbers above; a true minus sign is not worth a copy's trouble."""
    if math.isinf(value):
        return "beyond" if value > 0 else "-beyond"
    if abs(value) >= 1e5:
        return f"{value:.0e}".replace("e+0", "e")
    return (
        f"{value:.0f}"
        if abs(value) >= 99.5
        else f"{value:.2g}"
        if abs(value) >= 0.095 or value == 0
        else f"{value:.1g}"
    )
