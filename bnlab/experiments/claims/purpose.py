"""What chapter 02 claims: batch norm ties the size of a layer's input, so training is steadier; and what it leaves."""

import numpy as np

from bnlab.experiments.claims.claim import Declaration, Measured, gain_in_points
from bnlab.experiments.data import load
from bnlab.experiments.studies.input_drift import Result as DriftResult
from bnlab.experiments.studies.signal_propagation import Result as SignalResult
from bnlab.experiments.studies.training_curves import Result as CurvesResult

CHAPTER = "02_purpose"
IOFFE = "Ioffe and Szegedy 2015, arXiv:1502.03167"
YANG = "Yang et al. 2019, arXiv:1902.08129"
SAME_START = "same initial weights (no training) and the same batch of 512 in both arms."
SAME_BATCHES = "same initial weights, order of the data and steps"
HALF, HE = 0.5, 1.0  # scales of the initial weights, in multiples of He's
SLOW_RATE, FAST_RATE = 0.5, 2.0  # learning rates; at the latter the network without a norm comes almost as far


def _signal_kept(result: SignalResult) -> Measured:
    return Measured(result.signal_kept("batch_norm", HALF) / result.signal_kept("no_norm", HALF))


def _growth_over_ten_layers(result: SignalResult) -> Measured:
    return Measured(result.gradient_growth("batch_norm", HE, 10))


def _evener_gradients(result: SignalResult) -> Measured:
    last_by_first = {arm: result.gradient_growth(arm, HE, result.config.depth - 1) for arm in result.gradient}
    unevenness = {arm: np.exp(np.abs(np.log(ratio))) for arm, ratio in last_by_first.items()}
    return Measured(unevenness["no_norm"] / unevenness["batch_norm"])


def _less_wander(result: DriftResult) -> Measured:
    rate = result.config.learning_rates.index(SLOW_RATE)
    return Measured(result.wander["no_norm"][rate] / result.wander["after_norm"][rate])


def _stiller_linear_output(result: DriftResult) -> Measured:
    rate = result.config.learning_rates.index(FAST_RATE)
    return Measured(result.from_end["no_norm"][rate] / result.from_end["before_norm"][rate])


def _stiller_behind_the_norm(result: DriftResult) -> Measured:
    rate = result.config.learning_rates.index(FAST_RATE)
    return Measured(result.from_end["before_norm"][rate] / result.from_end["after_norm"][rate])


def _seeds_closer_together(result: CurvesResult) -> Measured:
    distances = {
        arm: np.abs(test - np.median(test, axis=1, keepdims=True)).mean(axis=0) for arm, test in result.test.items()
    }
    return Measured(distances["no_norm"] / distances["batch_norm"])


def _more_accurate_after_fifty(result: CurvesResult) -> Measured:
    examples = len(load(result.config.dataset).test.y)
    return gain_in_points(result.at_step("batch_norm", 50), result.at_step("no_norm", 50), examples)


DECLARATIONS = (
    Declaration(
        id="signal-survives-half-start",
        statement=(
            "ReLU MLP of 20 layers (digits), weights half of He's: batch norm keeps more than 1,000 times as much "
            "of the first layer's signal."
        ),
        source=IOFFE,
        study="signal_propagation",
        chapter=CHAPTER,
        control=SAME_START,
        unit="times",
        margin=1000.0,
        measure=_signal_kept,
        headline=True,
    ),
    Declaration(
        id="gradient-grows-toward-input",
        statement=(
            "With batch norm, the gradient of an untrained ReLU MLP of 20 layers (digits) grows more than 5 times "
            "over ten layers toward the input."
        ),
        source=YANG,
        study="signal_propagation",
        chapter=CHAPTER,
        control="within one network; no training; one batch of 512.",
        unit="times",
        margin=5.0,
        measure=_growth_over_ten_layers,
    ),
    Declaration(
        id="gradients-evener-than-he",
        statement=(
            "In an untrained ReLU MLP of 20 layers (digits), batch norm keeps first and last layer's gradients "
            "closer in size than He's start alone."
        ),
        source="a common belief; against it " + YANG,
        study="signal_propagation",
        chapter=CHAPTER,
        control=SAME_START,
        unit="times",
        margin=1.0,
        measure=_evener_gradients,
    ),
    Declaration(
        id="sigmoid-input-drifts-less",
        statement=(
            "Sigmoid MLP of 3 layers (digits), rate 0.5: with batch norm the median of the last sigmoids' input "
            "ranges over less than half as much."
        ),
        source=IOFFE,
        study="input_drift",
        chapter=CHAPTER,
        control=f"{SAME_BATCHES}, same rate; a fixed probe batch.",
        unit="times",
        margin=2.0,
        measure=_less_wander,
        headline=True,
    ),
    Declaration(
        id="linear-output-drifts-less",
        statement=(
            "Sigmoid MLP (digits), rate 2: batch norm more than halves the drift of the last linear layer's "
            "output too, in its standard deviations at the end."
        ),
        source=IOFFE,
        study="input_drift",
        chapter=CHAPTER,
        control=f"{SAME_BATCHES}, same rate; a fixed probe batch.",
        unit="times",
        margin=2.0,
        measure=_stiller_linear_output,
    ),
    Declaration(
        id="norm-itself-stops-drift",
        statement=(
            "Sigmoid MLP with batch norm (digits), rate 2: behind the norm the mean drifts less than half as far "
            "as in front of it, in standard deviations at the end."
        ),
        source="a common belief",
        study="input_drift",
        chapter=CHAPTER,
        control="within one network: the norm's input and output, on a fixed probe batch.",
        unit="times",
        margin=2.0,
        measure=_stiller_behind_the_norm,
    ),
    Declaration(
        id="steadier-across-seeds",
        statement=(
            "ReLU MLP of 12 layers (digits), each arm at its best rate: with batch norm the seeds' accuracy in "
            "training lies closer to their median, by over a quarter."
        ),
        source=IOFFE,
        study="training_curves",
        chapter=CHAPTER,
        control=f"{SAME_BATCHES}; each arm at its best rate in validation.",
        unit="times",
        margin=4 / 3,  # closer by a quarter is three quarters of the distance
        measure=_seeds_closer_together,
        headline=True,
    ),
    Declaration(
        id="ahead-after-50-steps",
        statement=(
            "ReLU MLP of 12 layers (digits), each arm at its best rate: after 50 steps batch norm is ahead by "
            "more than 20 points of test accuracy."
        ),
        source=IOFFE,
        study="training_curves",
        chapter=CHAPTER,
        control=f"{SAME_BATCHES}; each arm at its best rate in validation.",
        unit="points",
        margin=20.0,
        measure=_more_accurate_after_fifty,
        headline=True,
    ),
)
