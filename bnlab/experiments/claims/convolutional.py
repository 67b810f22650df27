"""What chapter 08 claims: what batch norm does for depth, what its gammas can do alone, and what they say."""

from bnlab.experiments.claims.claim import Declaration, Measured, gain_in_points
from bnlab.experiments.studies.affine_only import Result as AffineResult
from bnlab.experiments.studies.channel_importance import Result as ImportanceResult
from bnlab.experiments.studies.depth import Result as DepthResult
from bnlab.experiments.studies.residual_signal import Result as SignalResult
from bnlab.experiments.studies.small_cnns import Result as SmallResult

CHAPTER = "08_use_cases_cnn"
IOFFE = "Ioffe & Szegedy 2015, arXiv:1502.03167"
DE_SMITH = "De & Smith 2020, arXiv:2002.10444"
GOYAL = "Goyal et al. 2017, arXiv:1706.02677"
FRANKLE = "Frankle, Schwab & Morcos 2020, arXiv:2003.00152"
SLIMMING = "Liu et al. 2017, arXiv:1708.06519"
YANG = "Yang et al. 2019, arXiv:1902.08129"
THIS_COURSE = "this course"
UNTRAINED = "same initial weights and the same batch of 64 images; no training."
EACH_BEST = "same initial weights, batches and steps; each arm's rate chosen on validation images"
FITTED = f"{EACH_BEST}, from 3 at each depth; accuracy on the training images: the question is what can be fitted."
REMOVAL = (
    "the same trained networks; 6 of 16 channels removed from each norm, running statistics recomputed, nothing "
    "retrained; random: mean of 3 draws."
)
TEST_IMAGES, TRAIN_IMAGES = 360, 1077


def _times_smaller(block: int, result: SignalResult) -> Measured:
    return Measured(result.ratio_at("no_norm", block) / result.ratio_at("batch_norm", block))


def _fades(first: int, last: int, result: SignalResult) -> Measured:
    return Measured(result.ratio_at("batch_norm", first) / result.ratio_at("batch_norm", last))


def _fits_better(arm: str, other: str, depth: int, result: DepthResult) -> Measured:
    return gain_in_points(result.trained(arm, depth), result.trained(other, depth), TRAIN_IMAGES)


def _better(arm: str, other: str, result: SmallResult | AffineResult) -> Measured:
    return gain_in_points(result.test[arm], result.test[other], TEST_IMAGES)


def _switched_off_above(share: float, result: AffineResult) -> Measured:
    return Measured(100 * (result.switched_off("affine") - share))


def _better_removed(arm: str, removed: str, other_arm: str, other: str, result: ImportanceResult) -> Measured:
    return gain_in_points(result.accuracy(arm, removed), result.accuracy(other_arm, other), TEST_IMAGES)


DECLARATIONS = (
    Declaration(
        id="branch-small-beside-skip",
        statement="In an untrained residual CNN (digits), batch norm makes the 64th branch, beside its skip, 10 times "
        "smaller in variance.",
        source=DE_SMITH,
        study="residual_signal",
        chapter=CHAPTER,
        control=UNTRAINED,
        unit="times",
        margin=10.0,
        measure=lambda result: _times_smaller(64, result),
        headline=True,
    ),
    Declaration(
        id="branch-fades-with-depth",
        statement="In an untrained residual CNN with batch norm (digits), the 64th branch has less than a quarter of "
        "the 8th's variance, each beside its skip.",
        source=DE_SMITH,
        study="residual_signal",
        chapter=CHAPTER,
        control="the same networks and batch; 1 / l would give a factor of 8.",
        unit="times",
        margin=4.0,
        measure=lambda result: _fades(8, 64, result),
    ),
    Declaration(
        id="norm-before-better",
        statement="The norm belongs before the ReLU: a CNN of 4 layers (digits) is better so than with it behind.",
        source=IOFFE,
        study="norm_placement",
        chapter=CHAPTER,
        control=f"{EACH_BEST}, from 4 between 0.1 and 3; no biases in the convolutions.",
        unit="points",
        margin=0.0,
        measure=lambda result: _better("before", "after", result),
    ),
    Declaration(
        id="norm-in-a-cnn",
        statement="Batch norm makes a CNN of 4 layers (digits, 100 steps) 5 points better.",
        source=IOFFE,
        study="norm_placement",
        chapter=CHAPTER,
        control=f"{EACH_BEST}, from 4 between 0.1 and 3.",
        unit="points",
        margin=5.0,
        measure=lambda result: _better("before", "no_norm", result),
        headline=True,
    ),
    Declaration(
        id="norm-in-a-resnet",
        statement="Batch norm makes a ResNet of 4 blocks (digits, 80 steps) 10 points better.",
        source=DE_SMITH,
        study="small_resnet",
        chapter=CHAPTER,
        control=f"{EACH_BEST}, from 5 between 0.03 and 3.",
        unit="points",
        margin=10.0,
        measure=lambda result: _better("residual_norm", "residual", result),
        headline=True,
    ),
    Declaration(
        id="zero-gamma-sooner",
        statement="With the last gamma of each branch at 0, a ResNet of 4 blocks (digits) is ahead after 80 steps.",
        source=GOYAL,
        study="small_resnet",
        chapter=CHAPTER,
        control=f"{EACH_BEST}, from 5 between 0.03 and 3.",
        unit="points",
        margin=0.0,
        measure=lambda result: _better("zero_gamma", "residual_norm", result),
    ),
    Declaration(
        id="depth-20-plain",
        statement="A plain MLP of 20 layers (digits, 120 steps) fits 5 points more with batch norm.",
        source=IOFFE,
        study="depth",
        chapter=CHAPTER,
        control=FITTED,
        unit="points",
        margin=5.0,
        measure=lambda result: _fits_better("plain_norm", "plain", 20, result),
        headline=True,
    ),
    Declaration(
        id="depth-plain-limit",
        statement="A plain MLP with batch norm (digits, 120 steps) fits 20 points more with 20 layers than with 40.",
        source=YANG,
        study="depth",
        chapter=CHAPTER,
        control=FITTED,
        unit="points",
        margin=20.0,
        measure=lambda result: gain_in_points(
            result.trained("plain_norm", 20), result.trained("plain_norm", 40), TRAIN_IMAGES
        ),
    ),
    Declaration(
        id="depth-40-residual",
        statement="A residual MLP of 40 layers (digits, 120 steps) fits 50 points more with batch norm.",
        source=DE_SMITH,
        study="depth",
        chapter=CHAPTER,
        control=FITTED,
        unit="points",
        margin=50.0,
        measure=lambda result: _fits_better("residual_norm", "residual", 40, result),
        headline=True,
    ),
    Declaration(
        id="depth-40-skip-init",
        statement="By SkipInit, without any norm, a residual MLP of 40 layers (digits, 120 steps) fits 20 points more.",
        source=DE_SMITH,
        study="depth",
        chapter=CHAPTER,
        control=FITTED,
        unit="points",
        margin=20.0,
        measure=lambda result: _fits_better("skip_init", "residual", 40, result),
        headline=True,
    ),
    Declaration(
        id="affine-over-random",
        statement="Training gamma and beta alone makes a ResNet of random weights (digits) 5 points better than "
        "training two weights of each channel.",
        source=FRANKLE,
        study="affine_only",
        chapter=CHAPTER,
        control="same initial weights, batches, steps and number of trained values; each arm's rate of Adam chosen on "
        "validation images, from 3 between 0.1 and 1.",
        unit="points",
        margin=5.0,
        measure=lambda result: _better("affine", "random", result),
    ),
    Declaration(
        id="affine-switches-off",
        statement="Trained alone, gammas switch a third of the channels off (ResNet, digits; |gamma| below 0.05).",
        source=FRANKLE,
        study="affine_only",
        chapter=CHAPTER,
        control="the share of such gammas less a third, at the best rate; all gammas start at 1.",
        unit="points",
        margin=0.0,
        measure=lambda result: _switched_off_above(1 / 3, result),
    ),
    Declaration(
        id="gamma-after-sgd",
        statement="Without a penalty too: after SGD, a CNN (digits) loses 5 points less by the removal of its smallest "
        "gammas than of random channels.",
        source=f"{THIS_COURSE}, against a common belief",
        study="channel_importance",
        chapter=CHAPTER,
        control=REMOVAL,
        unit="points",
        margin=5.0,
        measure=lambda result: _better_removed("sgd", "lowest", "sgd", "random", result),
    ),
    Declaration(
        id="gamma-after-penalty",
        statement="Under an L1 penalty (Adam, digits) a CNN loses 5 points less by the removal of its smallest "
        "gammas than of random channels.",
        source=SLIMMING,
        study="channel_importance",
        chapter=CHAPTER,
        control=REMOVAL,
        unit="points",
        margin=5.0,
        measure=lambda result: _better_removed("adam_penalised", "lowest", "adam_penalised", "random", result),
        headline=True,
    ),
    Declaration(
        id="gamma-better-than-measuring",
        statement="After Adam the smallest gammas of a CNN (digits) find what can go better than measuring the harm of "
        "each channel.",
        source="common belief",
        study="channel_importance",
        chapter=CHAPTER,
        control=f"{REMOVAL[:-1]}; harm measured on 128 training images, one channel at a time.",
        unit="points",
        margin=0.0,
        measure=lambda result: _better_removed("adam", "lowest", "adam", "measured", result),
    ),
)
