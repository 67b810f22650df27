"""What chapter 11 claims: what a small batch costs and where, what positions are worth, and networks without norms."""

import numpy as np

from bnlab.experiments.claims.claim import Declaration, Measured, gain_in_points
from bnlab.experiments.studies.batch_mean_spread import Result as SpreadResult
from bnlab.experiments.studies.norm_free import Result as NormFreeResult
from bnlab.experiments.studies.small_batches import Result as BatchResult

CHAPTER = "11_alternatives"
WU_HE = "Wu & He 2018, arXiv:1803.08494"
RENORM = "Ioffe 2017, arXiv:1702.03275"
EVALUATION = "Singh & Shrivastava 2019, arXiv:1904.06031"
FOLKLORE = "common belief"
THIS_COURSE = "this course"
DYT = "Zhu et al. 2025, arXiv:2503.10622"
DERF = "Chen et al. 2025, arXiv:2512.10938"
SAME_SIZE = (
    "same initial weights, batches and steps, one pass over the data; at each batch size each arm's rate chosen on "
    "validation images, from 5 in proportion to the batch."
)
NORM_FREE = "same initial weights, batches and steps; each arm's rate chosen on validation images, from 7."
SAME_VALUES = "the same values of the same networks, trained and in evaluation; batches of 32 of the training images."
TEST_IMAGES = 360


def _better(arm: str, other: str, size: int, result: BatchResult) -> Measured:
    at = result.at(size)
    return gain_in_points(result.test[arm][at], result.test[other][at], TEST_IMAGES)


def _ahead_of_recalibrated(result: BatchResult) -> Measured:
    at = result.at(2)
    return gain_in_points(result.test["layer_norm"][at], result.recalibrated["batch_norm"][at], TEST_IMAGES)


def _wider_than_independent(layer: int, result: SpreadResult) -> Measured:
    at = result.config.batch_sizes.index(32)
    return Measured(np.asarray(result.spread[layer, at] / result.independent()[at]))


def _norm_free(arm: str, other: str, result: NormFreeResult) -> Measured:
    return gain_in_points(result.test[arm], result.test[other], TEST_IMAGES)


DECLARATIONS = (
    Declaration(
        id="batch-of-two-mlp",
        statement="In batches of 2, an MLP of 3 layers (digits) is 30 points better with layer norm than with batch "
        "norm.",
        source=WU_HE,
        study="small_batches",
        chapter=CHAPTER,
        control=SAME_SIZE,
        unit="points",
        margin=30.0,
        measure=lambda result: _better("layer_norm", "batch_norm", 2, result),
        headline=True,
    ),
    Declaration(
        id="batch-of-two-maps",
        statement="In batches of 2, a CNN with maps of 16 positions (digits) is over 1 point better with group norm "
        "than with batch norm, too.",
        source=f"{FOLKLORE}, after {WU_HE}",
        study="small_batches_cnn",
        chapter=CHAPTER,
        control=SAME_SIZE,
        unit="points",
        margin=1.0,
        measure=lambda result: _better("group_norm", "batch_norm", 2, result),
        headline=True,
    ),
    Declaration(
        id="batch-of-32-mlp",
        statement="In batches of 32, an MLP of 3 layers (digits, 33 steps) is over 1 point better with batch norm than "
        "with layer norm.",
        source=THIS_COURSE,
        study="small_batches",
        chapter=CHAPTER,
        control=SAME_SIZE,
        unit="points",
        margin=1.0,
        measure=lambda result: _better("batch_norm", "layer_norm", 32, result),
    ),
    Declaration(
        id="renorm-at-two",
        statement="In batches of 2, an MLP of 3 layers (digits) is 5 points better with batch renorm than with batch "
        "norm.",
        source=RENORM,
        study="small_batches",
        chapter=CHAPTER,
        control=SAME_SIZE,
        unit="points",
        margin=5.0,
        measure=lambda result: _better("batch_renorm", "batch_norm", 2, result),
    ),
    Declaration(
        id="renorm-is-no-full-cure",
        statement="In batches of 2, an MLP of 3 layers (digits) is still 10 points better with layer norm than with "
        "batch renorm (limits 3 and 5).",
        source=THIS_COURSE,
        study="small_batches",
        chapter=CHAPTER,
        control=SAME_SIZE,
        unit="points",
        margin=10.0,
        measure=lambda result: _better("layer_norm", "batch_renorm", 2, result),
    ),
    Declaration(
        id="training-itself-suffers",
        statement="In batches of 2, batch norm in an MLP (digits) stays 30 points behind layer norm with the exact "
        "statistics of all training images, too.",
        source=f"{THIS_COURSE}, beside {EVALUATION}, who change evaluation alone",
        study="small_batches",
        chapter=CHAPTER,
        control=SAME_SIZE,
        unit="points",
        margin=30.0,
        measure=_ahead_of_recalibrated,
    ),
    Declaration(
        id="positions-worth-less",
        statement="Behind the last convolution of a small trained CNN (digits, maps of 64 positions), a batch's mean "
        "spreads twice as far as its count of values says.",
        source=f"{THIS_COURSE}, on the effective batch of Ioffe & Szegedy 2015, arXiv:1502.03167",
        study="batch_mean_spread",
        chapter=CHAPTER,
        control=SAME_VALUES,
        unit="times",
        margin=2.0,
        measure=lambda result: _wider_than_independent(-1, result),
        headline=True,
    ),
    Declaration(
        id="positions-worth-less-first",
        statement="Behind its first convolution, too, a batch's mean spreads further than its count of values says.",
        source=THIS_COURSE,
        study="batch_mean_spread",
        chapter=CHAPTER,
        control=SAME_VALUES,
        unit="times",
        margin=1.0,
        measure=lambda result: _wider_than_independent(0, result),
    ),
    Declaration(
        id="dyt-over-layer-norm",
        statement="A residual MLP of 3 blocks (digits) is better with dynamic tanh than with layer norm.",
        source=f"{DYT}, where the networks are transformers",
        study="norm_free",
        chapter=CHAPTER,
        control=NORM_FREE,
        unit="points",
        margin=0.0,
        measure=lambda result: _norm_free("dynamic_tanh", "layer_norm", result),
    ),
    Declaration(
        id="derf-over-dyt",
        statement="A residual MLP of 3 blocks (digits) is better with dynamic erf than with dynamic tanh.",
        source=f"{DERF}, where the networks are transformers",
        study="norm_free",
        chapter=CHAPTER,
        control=NORM_FREE,
        unit="points",
        margin=0.0,
        measure=lambda result: _norm_free("dynamic_erf", "dynamic_tanh", result),
    ),
)
