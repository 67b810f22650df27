"""What chapter 07 claims: batch norm forgives a badly scaled start, and its noise regularises a little."""

from bnlab.experiments.claims.claim import Declaration, Measured, gain_in_points
from bnlab.experiments.studies.batch_noise import Result as NoiseResult
from bnlab.experiments.studies.init_sensitivity import Result as StartResult
from bnlab.experiments.studies.regularisers import Result as RegularisersResult

CHAPTER = "07_benefits_robust"
IOFFE = "Ioffe & Szegedy 2015, arXiv:1502.03167"
LAARHOVEN = "van Laarhoven 2017, arXiv:1706.05350"
HOFFER = "Hoffer, Hubara & Soudry 2017, arXiv:1705.08741"
FOLKLORE = "common belief"
THIS_COURSE = "this course"
BOTH_ARMS = (
    "same random draws behind the initial weights, same batches and steps; rates chosen on validation images, from 7 "
    "between 1e-6 and 1 without batch norm, from 3 with it."
)
ONE_ARM = "same initial weights but for their scale, same batches and steps."
GHOSTS = "same initial weights, SGD batches of 512 and steps; each arm's rate chosen on validation series."
REGULARISERS = (
    "same initial weights, batches and steps; each arm's rate chosen on validation series by accuracy, from 6 between "
    "0.05 and 1.6; strengths of dropout and decay fixed, not tuned."
)
TEST_IMAGES, TEST_SERIES, TRAIN_SERIES = 360, 1000, 1024


def _above_no_norm(scale: float, result: StartResult) -> Measured:
    at = result.at(scale)
    return gain_in_points(result.test["batch_norm"][at], result.test["no_norm"][at], TEST_IMAGES)


def _cost_at_the_common_rate(result: StartResult) -> Measured:
    tested = result.test_at_common_rate["batch_norm"]
    return gain_in_points(tested[result.at(1.0)], tested[result.at(10.0)], TEST_IMAGES)


def _won_back_by_the_best_rate(result: StartResult) -> Measured:
    at = result.at(10.0)
    return gain_in_points(result.test["batch_norm"][at], result.test_at_common_rate["batch_norm"][at], TEST_IMAGES)


def _cost_at_the_best_rates(result: StartResult) -> Measured:
    tested = result.test["batch_norm"]
    return gain_in_points(tested[result.at(1.0)], tested[result.at(10.0)], TEST_IMAGES)


def _better_than_ghosts(size: int, other: int, result: NoiseResult) -> Measured:
    return gain_in_points(result.test[str(size)], result.test[str(other)], TEST_SERIES)


def _fits_better_than_ghosts(size: int, other: int, result: NoiseResult) -> Measured:
    return gain_in_points(result.train[str(size)], result.train[str(other)], TRAIN_SERIES)


def _times_lower_loss(arm: str, other: str, result: RegularisersResult) -> Measured:
    return Measured(result.test_loss[other] / result.test_loss[arm])


DECLARATIONS = (
    Declaration(
        id="small-start",
        statement="From a start 10 times too small, an MLP of 6 layers (digits) is 20 points better with batch norm.",
        source=IOFFE,
        study="init_sensitivity",
        chapter=CHAPTER,
        control=BOTH_ARMS,
        unit="points",
        margin=20.0,
        measure=lambda result: _above_no_norm(0.1, result),
        headline=True,
    ),
    Declaration(
        id="large-start",
        statement="From a start 10 times too large, an MLP of 6 layers (digits) is 20 points better with batch norm.",
        source=IOFFE,
        study="init_sensitivity",
        chapter=CHAPTER,
        control=BOTH_ARMS,
        unit="points",
        margin=20.0,
        measure=lambda result: _above_no_norm(10.0, result),
        headline=True,
    ),
    Declaration(
        id="large-start-costs",
        statement="At one rate, 0.1, a start 10 times too large costs an MLP with batch norm (digits) 5 points.",
        source=LAARHOVEN,
        study="init_sensitivity",
        chapter=CHAPTER,
        control=f"{ONE_ARM[:-1]}, same rate.",
        unit="points",
        margin=5.0,
        measure=_cost_at_the_common_rate,
    ),
    Declaration(
        id="large-start-larger-rate",
        statement="From a start 10 times too large, a rate above 0.1 gains an MLP with batch norm (digits) 5 points.",
        source=LAARHOVEN,
        study="init_sensitivity",
        chapter=CHAPTER,
        control="same initial weights, batches and steps; the better rate chosen on validation images.",
        unit="points",
        margin=5.0,
        measure=_won_back_by_the_best_rate,
    ),
    Declaration(
        id="large-start-costs-at-best",
        statement="At its best rate too, an MLP with batch norm (digits) loses 1 point by a start 10 times too large.",
        source=f"{THIS_COURSE}, against a common belief",
        study="init_sensitivity",
        chapter=CHAPTER,
        control=f"{ONE_ARM[:-1]}; rates chosen on validation images.",
        unit="points",
        margin=1.0,
        measure=_cost_at_the_best_rates,
    ),
    Declaration(
        id="ghosts-loss",
        statement="Statistics over 16 examples, not 512, lower the test loss of an MLP (MNIST-1D) by a factor of 1.5.",
        source=HOFFER,
        study="batch_noise",
        chapter=CHAPTER,
        control=GHOSTS,
        unit="times",
        margin=1.5,
        measure=lambda result: Measured(result.test_loss["512"] / result.test_loss["16"]),
        headline=True,
    ),
    Declaration(
        id="smaller-ghosts-better",
        statement="More noise is better: statistics over 4 examples beat those over 16 (MLP, MNIST-1D, test accuracy).",
        source=FOLKLORE,
        study="batch_noise",
        chapter=CHAPTER,
        control=GHOSTS,
        unit="points",
        margin=0.0,
        measure=lambda result: _better_than_ghosts(4, 16, result),
    ),
    Declaration(
        id="noise-costs-fit",
        statement="Statistics over 4 examples, not 16, cost an MLP (MNIST-1D) 20 points of training accuracy.",
        source=THIS_COURSE,
        study="batch_noise",
        chapter=CHAPTER,
        control=GHOSTS,
        unit="points",
        margin=20.0,
        measure=lambda result: _fits_better_than_ghosts(16, 4, result),
    ),
    Declaration(
        id="dropout-beside-norm",
        statement="Dropout of 0.5 behind the last norm of an MLP (MNIST-1D) lowers the test loss by a factor of 1.2.",
        source=f"{THIS_COURSE}, against {IOFFE}, who could leave dropout out",
        study="regularisers",
        chapter=CHAPTER,
        control=REGULARISERS,
        unit="times",
        margin=1.2,
        measure=lambda result: _times_lower_loss("last_dropout", "batch_norm", result),
    ),
    Declaration(
        id="decay-effective-rate",
        statement="Weight decay of 0.01 doubles the effective rate of the weights before a norm (MLP, MNIST-1D).",
        source=LAARHOVEN,
        study="weight_decay",
        chapter=CHAPTER,
        control="same initial weights, batches, steps and rate, 0.1; no other decay; mean squared norm at the end.",
        unit="times",
        margin=2.0,
        measure=lambda result: Measured(
            result.squared_norm["batch_norm"][-1] / result.squared_norm["decay_of_fed"][-1]
        ),
        headline=True,
    ),
)
