"""What chapter 10 claims: what batches that are no fair sample do, and what dropout in front of a norm does."""

from bnlab.experiments.claims.claim import Declaration, Measured, gain_in_points
from bnlab.experiments.studies.sorted_batches import Result as SortedResult

CHAPTER = "10_mistakes"
LI = "Li et al. 2018, arXiv:1801.05134"
NADO = "Nado et al. 2020, arXiv:2006.10963"
FOLKLORE = "common belief"
THIS_COURSE = "this course"
SAME_BATCHES = "same initial weights, batches and steps; each arm's rate chosen on validation images, from 4."
SAME_NETWORK = "the same trained networks and the same batches of 20, the same rate."
DROPOUT = (
    "same initial weights, batches and 200 steps; each arm's rate chosen on validation series, from 4, and none at the "
    "edge; probability 0.5 in both arms, neither it nor the steps tuned."
)
TEST_IMAGES, TEST_SERIES = 360, 1000


def _ahead(arm: str, other: str, classes: int, result: SortedResult) -> Measured:
    at = result.at(classes)
    return gain_in_points(result.test[arm][at], result.test[other][at], TEST_IMAGES)


def _won_back(classes: int, result: SortedResult) -> Measured:
    at = result.at(classes)
    return gain_in_points(result.recalibrated["batch_norm"][at], result.test["batch_norm"][at], TEST_IMAGES)


DECLARATIONS = (
    Declaration(
        id="one-class-batches",
        statement="Trained on batches of one class each, an MLP of 3 layers (digits) is 50 points better with layer "
        "norm than with batch norm.",
        source=FOLKLORE,
        study="sorted_batches",
        chapter=CHAPTER,
        control=SAME_BATCHES,
        unit="points",
        margin=50.0,
        measure=lambda result: _ahead("layer_norm", "batch_norm", 1, result),
        headline=True,
    ),
    Declaration(
        id="one-class-recalibrated",
        statement="After training on batches of one class each, the statistics of all training images win an MLP with "
        "batch norm (digits) 10 points.",
        source=FOLKLORE,
        study="sorted_batches",
        chapter=CHAPTER,
        control=SAME_NETWORK,
        unit="points",
        margin=10.0,
        measure=lambda result: _won_back(1, result),
    ),
    Declaration(
        id="two-class-batches",
        statement="With two classes in each batch, too, an MLP of 3 layers (digits) is 3 points better with layer norm "
        "than with batch norm.",
        source=THIS_COURSE,
        study="sorted_batches",
        chapter=CHAPTER,
        control=SAME_BATCHES,
        unit="points",
        margin=3.0,
        measure=lambda result: _ahead("layer_norm", "batch_norm", 2, result),
    ),
    Declaration(
        id="sorted-in-training-mode",
        statement="A trained CNN (digits) that is left in training mode loses 50 points on batches sorted by class.",
        source=NADO,
        study="served_shift",
        chapter=CHAPTER,
        control="the same trained networks and images, by the statistics of each batch of 36 or by stored ones.",
        unit="points",
        margin=50.0,
        measure=lambda result: gain_in_points(result.stored["clean"], result.by_class["clean"], TEST_IMAGES),
        headline=True,
    ),
    Declaration(
        id="dropout-shifts-variance",
        statement="Behind dropout the second norm of an MLP (MNIST-1D) has stored over 1.2 times the variance that it "
        "meets in evaluation.",
        source=LI,
        study="dropout_before_norm",
        chapter=CHAPTER,
        control="without dropout the quotient is 1 within 2%; running statistics against those of the training split.",
        unit="times",
        margin=1.2,
        measure=lambda result: Measured(1 / result.variance["before_norms"][1]),
    ),
    Declaration(
        id="dropout-shift-costs",
        statement="Exact statistics win an MLP with dropout in front of norms (MNIST-1D) a point over running ones.",
        source=LI,
        study="dropout_before_norm",
        chapter=CHAPTER,
        control="the same trained networks, by running statistics or by those of the training split without dropout.",
        unit="points",
        margin=1.0,
        measure=lambda result: gain_in_points(
            result.exact["before_norms"], result.running["before_norms"], TEST_SERIES
        ),
    ),
    Declaration(
        id="dropout-place",
        statement="With exact statistics, too, dropout behind the last norm is 3 points better than in front of norms "
        "(MLP of 4 layers, MNIST-1D).",
        source=THIS_COURSE,
        study="dropout_before_norm",
        chapter=CHAPTER,
        control=DROPOUT,
        unit="points",
        margin=3.0,
        measure=lambda result: gain_in_points(
            result.exact["behind_the_last"], result.exact["before_norms"], TEST_SERIES
        ),
    ),
)
