"""What chapter 06 claims: training with batch norm is faster, since it can take larger steps."""

import math

import numpy as np
from jaxtyping import Float

from bnlab.experiments.claims.claim import Declaration, Measured, gain_in_points
from bnlab.experiments.studies.convergence import Result as StepsResult
from bnlab.experiments.studies.learning_rate_tolerance import Result as RateResult
from bnlab.experiments.studies.rate_by_group import Result as GroupResult

CHAPTER = "06_benefits_faster"
IOFFE = "Ioffe & Szegedy 2015, arXiv:1502.03167"
BJORCK = "Bjorck et al. 2018, arXiv:1806.02375"
ARORA = "Arora, Li & Lyu 2018, arXiv:1812.03981"
FOLKLORE = "common belief"
SAME = "same initial weights, order of the data and steps; every rate of the grid in both arms."
ONE_RATE = "same initial weights, order of the data, steps and rate."
BEST_RATES = (
    "same initial weights and batches; each arm's best rate chosen on validation images, steps counted on test images."
)
BY_THE_CLOCK = f"{BEST_RATES[:-1]}; seconds of a step measured in torch.nn, both networks in turns."
OTHERS_KEPT = "same initial weights and batches; one group's rate is raised, all others keep 0.1."
VALIDATION_IMAGES, TEST_SERIES = 360, 1000


def _times_larger_rate(accuracy: float, result: RateResult) -> Measured:
    return _times(result.largest_rates("batch_norm", accuracy), result.largest_rates("no_norm", accuracy))


def _ahead_at_the_smallest_rate(result: RateResult) -> Measured:
    with_norm, without = (result.validation[arm][0] for arm in ("batch_norm", "no_norm"))
    return gain_in_points(with_norm, without, VALIDATION_IMAGES)


def _above_at_the_largest_rate(accuracy: float, result: RateResult) -> Measured:
    reached = result.validation["batch_norm"][-1]
    share = float(np.clip(reached.mean(), 0.5 / VALIDATION_IMAGES, 1 - 0.5 / VALIDATION_IMAGES))
    return Measured(100 * (reached - accuracy), 100 * math.sqrt(share * (1 - share) / VALIDATION_IMAGES))


def _better_at_the_best_rates(result: RateResult) -> Measured:
    return gain_in_points(result.test["batch_norm"], result.test["no_norm"], TEST_SERIES)


def _fewer_steps_at_the_smallest_rate(result: StepsResult) -> Measured:
    return Measured(result.validation["no_norm"][0] / result.validation["batch_norm"][0])


def _fewer_steps_at_the_plain_arms_best_rate(result: StepsResult) -> Measured:
    rate = result.best_rate("no_norm")
    return Measured(result.validation["no_norm"][rate] / result.validation["batch_norm"][rate])


def _beside(group: str, others: tuple[str, ...], result: GroupResult) -> Measured:
    limit = np.max([result.largest_rates(other, 0.8) for other in others], axis=0)
    return _times(result.largest_rates(group, 0.8), limit)


def _times(rates: Float[np.ndarray, " seeds"], others: Float[np.ndarray, " seeds"]) -> Measured:
    """One limit over another. A limit of 0 lies below the grid, and an infinite one beyond it: two such are equal."""
    alike = rates == others
    return Measured(np.divide(rates, others, out=np.where(alike, 1.0, np.inf), where=~alike & (others > 0)))


DECLARATIONS = (
    Declaration(
        id="lr-tolerance-digits",
        statement="On an MLP of 8 hidden layers (digits), batch norm trains at more than 3 times as large a rate.",
        source=BJORCK,
        study="learning_rate_tolerance",
        chapter=CHAPTER,
        control=SAME,
        unit="times",
        margin=3.0,
        measure=lambda result: _times_larger_rate(0.8, result),
        exact=True,
        headline=True,
    ),
    Declaration(
        id="lr-tolerance-mnist1d",
        statement="On an MLP of 8 hidden layers (MNIST-1D), batch norm trains at more than 3 times as large a rate.",
        source=BJORCK,
        study="learning_rate_tolerance_mnist1d",
        chapter=CHAPTER,
        control=SAME,
        unit="times",
        margin=3.0,
        measure=lambda result: _times_larger_rate(0.2, result),
        exact=True,
        headline=True,
    ),
    Declaration(
        id="any-learning-rate",
        statement="With batch norm an MLP of 8 hidden layers (digits) trains at any rate: at 10 it is above 80% too.",
        source=FOLKLORE,
        study="learning_rate_tolerance",
        chapter=CHAPTER,
        control=SAME,
        unit="points",
        margin=0.0,
        measure=lambda result: _above_at_the_largest_rate(0.8, result),
    ),
    Declaration(
        id="small-rate-accuracy",
        statement="At a rate of 0.01 too, an MLP of 8 hidden layers (digits) is ahead with batch norm after 200 steps.",
        source=FOLKLORE,
        study="learning_rate_tolerance",
        chapter=CHAPTER,
        control=ONE_RATE,
        unit="points",
        margin=0.0,
        measure=_ahead_at_the_smallest_rate,
    ),
    Declaration(
        id="best-rate-mnist1d",
        statement="At its best rate an MLP of 8 layers (MNIST-1D, 300 steps) is over 1 point better with batch norm.",
        source=BJORCK,
        study="learning_rate_tolerance_mnist1d",
        chapter=CHAPTER,
        control="same initial weights, batches and steps; rates chosen on validation series, accuracy on test series.",
        unit="points",
        margin=1.0,
        measure=_better_at_the_best_rates,
    ),
    Declaration(
        id="hidden-weights-tolerate",
        statement="Weights before a norm (4-layer MLP, digits) train at over 100 times their rate without it.",
        source=ARORA,
        study="rate_by_group",
        chapter=CHAPTER,
        control=OTHERS_KEPT,
        unit="times",
        margin=100.0,
        measure=lambda result: _beside("hidden", ("hidden_no_norm",), result),
        exact=True,
    ),
    Declaration(
        id="limit-lies-elsewhere",
        statement="Weights before a norm (4-layer MLP, digits) stand over 5 times the rate of head, gamma or beta.",
        source=ARORA,
        study="rate_by_group",
        chapter=CHAPTER,
        control=OTHERS_KEPT,
        unit="times",
        margin=5.0,
        measure=lambda result: _beside("hidden", ("gamma_beta", "head", "all_but_hidden"), result),
        exact=True,
    ),
    Declaration(
        id="steps-sigmoid",
        statement=(
            "From He's start, batch norm needs under a third of the steps to 90% (sigmoid MLP of 3 layers, digits)."
        ),
        source=IOFFE,
        study="convergence",
        chapter=CHAPTER,
        control=f"{BEST_RATES} He's start is made for ReLU, and too small for sigmoids without a norm.",
        unit="times",
        margin=3.0,
        measure=lambda result: Measured(result.times_fewer_steps()),
        exact=True,
        headline=True,
    ),
    Declaration(
        id="steps-sigmoid-good-start",
        statement=(
            "From 4 times He's start too, which suits sigmoids, batch norm needs under a third of the steps to 90% "
            "(sigmoid MLP of 3 layers, digits)."
        ),
        source=IOFFE,
        study="convergence_sigmoid_start",
        chapter=CHAPTER,
        control=BEST_RATES,
        unit="times",
        margin=3.0,
        measure=lambda result: Measured(result.times_fewer_steps()),
        exact=True,
    ),
    Declaration(
        id="steps-relu-fourteen",
        statement="By batch norm alone, a ReLU MLP of 3 layers (digits) needs 14 times fewer steps to 90%.",
        source=f"the figure often quoted from {IOFFE}, where more than batch norm was changed",
        study="convergence_relu",
        chapter=CHAPTER,
        control=BEST_RATES,
        unit="times",
        margin=14.0,
        measure=lambda result: Measured(result.times_fewer_steps()),
        exact=True,
        headline=True,
    ),
    Declaration(
        id="steps-relu-small-rate",
        statement="At a small rate (0.03) too, a ReLU MLP of 3 layers (digits) reaches 90% sooner with batch norm.",
        source=FOLKLORE,
        study="convergence_relu",
        chapter=CHAPTER,
        control=ONE_RATE,
        unit="times",
        margin=1.0,
        measure=_fewer_steps_at_the_smallest_rate,
        exact=True,
    ),
    Declaration(
        id="steps-relu-same-rate",
        statement="At the plain ReLU MLP's own best rate (3 layers, digits), batch norm reaches 90% sooner, too.",
        source=FOLKLORE,
        study="convergence_relu",
        chapter=CHAPTER,
        control="same initial weights, order of the data, steps and rate, the one that suits the plain network best.",
        unit="times",
        margin=1.0,
        measure=_fewer_steps_at_the_plain_arms_best_rate,
        exact=True,
    ),
    Declaration(
        id="hours-sigmoid",
        statement="From He's start, batch norm needs under two thirds of the time to 90% (sigmoid MLP, digits).",
        source=IOFFE,
        study="convergence",
        chapter=CHAPTER,
        control=BY_THE_CLOCK,
        unit="times",
        margin=1.5,
        measure=lambda result: Measured(result.times_less_time()),
        exact=True,
    ),
    Declaration(
        id="hours-as-steps",
        statement="Batch norm saves as much time as steps: a step of a ReLU MLP of 3 layers (digits) takes no longer.",
        source=FOLKLORE,
        study="convergence_relu",
        chapter=CHAPTER,
        control="same widths and batches in torch.nn, the two in turns; ten timings, all on one machine.",
        unit="times",
        margin=1.0,
        measure=lambda result: Measured(1 / result.cost_of_a_step()),
    ),
)
