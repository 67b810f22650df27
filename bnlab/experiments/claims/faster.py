"""What chapter 06 claims: training with batch norm is faster, since it can take larger steps."""

from bnlab.experiments.claims.claim import Declaration, Measured
from bnlab.experiments.studies.learning_rate_tolerance import Result as RateResult

CHAPTER = "06_benefits_faster"
BJORCK = "Bjorck et al. 2018, arXiv:1806.02375"


def _times_larger_rate(result: RateResult) -> Measured:
    return Measured(result.largest_rates("batch_norm", 0.8) / result.largest_rates("no_norm", 0.8))


DECLARATIONS = (
    Declaration(
        id="lr-tolerance-digits",
        statement="On an MLP of 8 hidden layers (digits), batch norm trains at more than 3 times as large a rate.",
        source=BJORCK,
        study="learning_rate_tolerance",
        chapter=CHAPTER,
        control="same initial weights, order of the data and steps; every rate of the grid in both arms.",
        unit="times",
        margin=3.0,
        measure=_times_larger_rate,
        exact=True,
        headline=True,
    ),
)
