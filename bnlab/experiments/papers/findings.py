"""What figures of the papers show and no claim of the ledger asks: declared and judged in the same way."""

import numpy as np
from jaxtyping import Float

from bnlab.experiments.claims.claim import Declaration, Measured, gain_in_points
from bnlab.experiments.studies.convergence import Result as StepsResult
from bnlab.experiments.studies.gradient_growth import Result as GrowthResult
from bnlab.experiments.studies.input_drift import Result as DriftResult
from bnlab.experiments.studies.running_statistics import Result as RunningResult

CHAPTER = "12_why_it_works"
IOFFE = "Ioffe & Szegedy 2015, arXiv:1502.03167"
WU_JOHNSON = "Wu & Johnson 2021, arXiv:2105.07576"
YANG = "Yang et al. 2019, arXiv:1902.08129"
SLOW_RATE = 0.5  # at which the drift of the sigmoids' inputs is compared, too
SHORT, LONG = 100, 1000  # steps of training
LAGGING, LAST_BATCH = 0.01, 1.0  # momenta: weights of the new batch
VALIDATION_IMAGES, TEST_SERIES = 360, 1000
SAME_RUNS = "same initial weights, batches and steps"
ONE_NETWORK = "the same trained networks, rate chosen on validation series, by running statistics or by exact ones"


def _higher_accuracy(result: DriftResult) -> Measured:
    rate = result.config.learning_rates.index(SLOW_RATE)
    return gain_in_points(result.validation["batch_norm"][rate], result.validation["no_norm"][rate], VALIDATION_IMAGES)


def plain_and_next(result: StepsResult) -> tuple[int, int]:
    """The positions of the rate that suits the network without norm best, and of the next larger one.

    Raises:
        ValueError: there is no larger one.
    """
    best = result.best_rate("no_norm")
    if best + 1 == len(result.config.learning_rates):
        raise ValueError(f"expected rates beyond the plain network's best, got {result.config.learning_rates}")
    return best, best + 1


def _times_fewer_at_the_next_rate(result: StepsResult) -> Measured:
    best, larger = plain_and_next(result)
    return _times(result.validation["no_norm"][best], result.validation["batch_norm"][larger])


def _times_more_without_norm(result: StepsResult) -> Measured:
    best, larger = plain_and_next(result)
    steps = result.validation["no_norm"]
    return _times(steps[larger], steps[best])


def _times(steps: Float[np.ndarray, " seeds"], others: Float[np.ndarray, " seeds"]) -> Measured:
    """One count of steps over another; two runs that were given up are equal."""
    return Measured(np.divide(steps, others, out=np.ones_like(steps), where=steps != others))


def _growth_by_the_norm(result: GrowthResult) -> Measured:
    with_norm, without = (result.over(10, arm, "relu", 512) for arm in ("batch_norm", "no_norm"))
    return Measured(with_norm / without)


def _running_average_costs(momentum: float, steps: int, result: RunningResult) -> Measured:
    rate, after = result.best_rate(), result.config.steps.index(steps)
    running = result.running[rate, after, result.config.momenta.index(momentum)]
    return gain_in_points(result.recalibrated[rate, after], running, TEST_SERIES)


def _lag_that_training_mends(result: RunningResult) -> Measured:
    early, late = (_running_average_costs(LAGGING, steps, result) for steps in (SHORT, LONG))
    return Measured(early.values - late.values)


HIGHER_ACCURACY = Declaration(
    id="sigmoids-more-accurate",
    statement="After 400 steps at a rate of 0.5, an MLP of 3 layers of sigmoids (digits) is over 1 point better with "
    "batch norm.",
    source=IOFFE,
    study="input_drift",
    chapter=CHAPTER,
    control=f"{SAME_RUNS}, same rate; validation images, on which nothing is chosen.",
    unit="points",
    margin=1.0,
    measure=_higher_accuracy,
)
LARGER_RATE_WITH_NORM = Declaration(
    id="sooner-at-the-larger-rate",
    statement="With batch norm, at the rate above the plain network's best, a ReLU MLP (digits) reaches 90% in under "
    "two thirds of the steps that the plain one needs at its best.",
    source=IOFFE,
    study="convergence_relu",
    chapter=CHAPTER,
    control=f"{SAME_RUNS}; the two rates are neighbours on the grid.",
    unit="times",
    margin=1.5,
    measure=_times_fewer_at_the_next_rate,
    exact=True,
)
LARGER_RATE_HURTS = Declaration(
    id="larger-rate-hurts-plain",
    statement="Without batch norm, a ReLU MLP (digits) reaches 90% over 2 times later, or never, at the rate above its "
    "best.",
    source=IOFFE,
    study="convergence_relu",
    chapter=CHAPTER,
    control=f"{SAME_RUNS}; the two rates are neighbours on the grid.",
    unit="times",
    margin=2.0,
    measure=_times_more_without_norm,
    exact=True,
)
GROWTH_BY_THE_NORM = Declaration(
    id="growth-is-the-norms",
    statement="In an untrained ReLU MLP (digits, batch 512), batch norm makes the gradient grow over 3 times as much "
    "over ten layers as no norm does.",
    source=YANG,
    study="gradient_growth",
    chapter=CHAPTER,
    control="same initial weights and examples; geometric mean over the ten middle layers of 20, 256 wide.",
    unit="times",
    margin=3.0,
    measure=_growth_by_the_norm,
)
LAG_COSTS = Declaration(
    id="lagging-average-costs",
    statement="After 100 steps a running average with momentum 0.01 costs an MLP (MNIST-1D) over 5 points.",
    source=WU_JOHNSON,
    study="running_statistics",
    chapter=CHAPTER,
    control=f"{ONE_NETWORK}.",
    unit="points",
    margin=5.0,
    measure=lambda result: _running_average_costs(LAGGING, SHORT, result),
)
LAG_FADES = Declaration(
    id="lag-fades-with-training",
    statement="What a running average with momentum 0.01 costs an MLP (MNIST-1D) falls by over 5 points from 100 to "
    "1,000 steps.",
    source=WU_JOHNSON,
    study="running_statistics",
    chapter=CHAPTER,
    control=f"{ONE_NETWORK}.",
    unit="points",
    margin=5.0,
    measure=_lag_that_training_mends,
)
LAST_BATCH_COSTS = Declaration(
    id="last-batch-costs",
    statement="After 1,000 steps the statistics of the last batch alone cost an MLP (MNIST-1D) some accuracy.",
    source=WU_JOHNSON,
    study="running_statistics",
    chapter=CHAPTER,
    control=f"{ONE_NETWORK}.",
    unit="points",
    margin=0.0,
    measure=lambda result: _running_average_costs(LAST_BATCH, LONG, result),
)
