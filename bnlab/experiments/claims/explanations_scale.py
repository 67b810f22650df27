"""What chapter 12 claims of scale and depth: invariant weights, what decay does to them, and gradients that grow."""

import numpy as np

from bnlab.experiments.claims.claim import Declaration, Measured, gain_in_points
from bnlab.experiments.studies.activation_growth import Result as ActivationResult
from bnlab.experiments.studies.effective_rate import Result as RateResult
from bnlab.experiments.studies.gradient_growth import Result as GradientResult
from bnlab.experiments.studies.scale_invariance import Result as ScaleResult

CHAPTER = "12_why_it_works"
ARORA = "Arora, Li & Lyu 2018, arXiv:1812.03981"
BJORCK = "Bjorck et al. 2018, arXiv:1806.02375"
KOSSON = "Kosson et al. 2024, arXiv:2305.17212"
LAARHOVEN = "van Laarhoven 2017, arXiv:1706.05350"
LI = "Li & Arora 2019, arXiv:1910.07454"
LIU = "Liu et al. 2021, arXiv:2102.03497"
YANG = "Yang et al. 2019, arXiv:1902.08129"
THIS_COURSE = "this course"
ONE_NETWORK = "the same network, batch and head; only the scale of all hidden weights differs."
RATES = "same initial weights, batches and steps; gamma, beta and the head keep a rate of 0.1 and do not decay"
UNTRAINED = "same examples and seeds, no training; geometric mean over the ten middle layers of 20, 256 wide"
LAYERS = 10
VALIDATION = 1000  # series


def _longer_weights(result: ScaleResult) -> Measured:
    return Measured(1 / result.gradient["batch_norm"][result.at(100.0)])


def _short_of_the_law(result: ScaleResult) -> Measured:
    return Measured(1000 / result.gradient["batch_norm"][result.at(1e-3)])


def _closer_by_the_schedule(result: ScaleResult) -> Measured:
    return Measured(result.apart["no_decay"] / result.apart["growing_rate"])


def _absorbed(product: float, rate: float, other: float, result: RateResult) -> Measured:
    """How many times less the effective rate changes, up or down, than the rate."""
    raised = result.effective_rate(product, other)[-1] / result.effective_rate(product, rate)[-1]
    return Measured(other / rate / np.maximum(raised, 1 / raised))


def _cost_of_a_huge_rate(result: RateResult) -> Measured:
    return gain_in_points(result.late_validation(0.0, 10.0), result.late_validation(0.0, 1000.0), VALIDATION)


def _angle_by_decay(result: RateResult) -> Measured:
    return Measured(result.late_angle(0.01, 1.0) / result.late_angle(0.0025, 1.0))


def _still_rising(result: RateResult) -> Measured:
    effective = result.effective_rate(0.01, 10.0)
    return Measured(effective[-1] / effective[len(effective) // 2])


def _by_batch(result: GradientResult) -> Measured:
    small, large = (result.over(LAYERS, "batch_norm", "relu", size) for size in (8, 512))
    return Measured(small / large)


def _by_activation(result: GradientResult) -> Measured:
    relu, tanh = (result.over(LAYERS, "batch_norm", activation, 512) for activation in ("relu", "tanh"))
    return Measured(relu / tanh)


def _blow_up(result: ActivationResult) -> Measured:
    return Measured(result.grown("no_norm", 1.0) / result.grown("batch_norm", 1.0))


DECLARATIONS = (
    Declaration(
        id="longer-weights-smaller-gradient",
        statement=(
            "Before a norm, weights 100 times as long have a gradient 99.9 times as small (4-layer MLP, float64)."
        ),
        source=LAARHOVEN,
        study="scale_invariance",
        chapter=CHAPTER,
        control=ONE_NETWORK,
        unit="times",
        margin=99.9,
        measure=_longer_weights,
        headline=True,
    ),
    Declaration(
        id="eps-breaks-invariance",
        statement=(
            "Epsilon breaks scale invariance: with weights a 1,000th as long (4-layer MLP, float64) the gradient "
            "is over 10 times smaller than the law says."
        ),
        source=THIS_COURSE,
        study="scale_invariance",
        chapter=CHAPTER,
        control=ONE_NETWORK,
        unit="times",
        margin=10.0,
        measure=_short_of_the_law,
    ),
    Declaration(
        id="decay-is-a-schedule",
        statement=(
            "Weight decay before a norm is a schedule: a growing rate without decay comes a million times closer "
            "to the decayed network than the constant rate without (50 steps, float64, no epsilon)."
        ),
        source=LI,
        study="scale_invariance",
        chapter=CHAPTER,
        control="same initial weights, batches and steps; only hidden weights decay; distance of the logits.",
        unit="times",
        margin=1e6,
        measure=_closer_by_the_schedule,
        headline=True,
    ),
    Declaration(
        id="norm-absorbs-rate",
        statement=(
            "Before a norm, a rate of 100 and not 1 makes the weights so long that their effective rate after 300 "
            "steps (MLP, MNIST-1D) has changed over 10 times less than the rate."
        ),
        source=ARORA,
        study="effective_rate",
        chapter=CHAPTER,
        control=f"{RATES}; no decay at all.",
        unit="times",
        margin=10.0,
        measure=lambda result: _absorbed(0.0, 1.0, 100.0, result),
        headline=True,
    ),
    Declaration(
        id="huge-rate-costs-accuracy",
        statement=(
            "The growing norm does not make good for every rate: 1000 before a norm, not 10, costs an MLP "
            "(MNIST-1D, 300 steps) 1 point of validation accuracy."
        ),
        source=f"{THIS_COURSE}; beside it {ARORA}",
        study="effective_rate",
        chapter=CHAPTER,
        control=f"{RATES}; no decay at all; nothing is chosen on the validation split.",
        unit="points",
        margin=1.0,
        measure=_cost_of_a_huge_rate,
    ),
    Declaration(
        id="decay-sets-the-angle",
        statement=(
            "Before a norm, 4 times the weight decay doubles the angle by which a step turns the weights in the "
            "end: more than 1.7 times (MLP, MNIST-1D)."
        ),
        source=KOSSON,
        study="effective_rate",
        chapter=CHAPTER,
        control=f"{RATES}; rate 1 in both arms; root mean square over the last 60 steps.",
        unit="times",
        margin=1.7,
        measure=_angle_by_decay,
        headline=True,
    ),
    Declaration(
        id="decay-forgets-the-rate",
        statement=(
            "With rate times decay held at 0.01, the effective rate of weights before a norm ends the same at a "
            "rate of 1 or 1000: it changes over 500 times less (MLP, MNIST-1D)."
        ),
        source=KOSSON,
        study="effective_rate",
        chapter=CHAPTER,
        control=f"{RATES}.",
        unit="times",
        margin=500.0,
        measure=lambda result: _absorbed(0.01, 1.0, 1000.0, result),
    ),
    Declaration(
        id="effective-rate-keeps-rising",
        statement=(
            "With weight decay the effective rate of weights before a norm goes on rising, by over a quarter in "
            "the second half of training (MLP, MNIST-1D)."
        ),
        source=f"{LIU}, who train with momentum",
        study="effective_rate",
        chapter=CHAPTER,
        control="within one run: rate 10, decay 0.001, no momentum; after 300 steps over after 150.",
        unit="times",
        margin=1.25,
        measure=_still_rising,
    ),
    Declaration(
        id="small-batch-larger-growth",
        statement=(
            "With batch norm in front of ReLU, the gradient grows over 1.5 times as much over ten layers (digits, "
            "untrained) with a batch of 8 as with one of 512."
        ),
        source=YANG,
        study="gradient_growth",
        chapter=CHAPTER,
        control=f"{UNTRAINED}; same initial weights.",
        unit="times",
        margin=1.5,
        measure=_by_batch,
    ),
    Declaration(
        id="tanh-smaller-growth",
        statement=(
            "Behind batch norm, tanh halves the growth of the gradient over ten layers that ReLU brings (digits, "
            "untrained, batch 512)."
        ),
        source=YANG,
        study="gradient_growth",
        chapter=CHAPTER,
        control=f"{UNTRAINED}; same draws behind the initial weights.",
        unit="times",
        margin=2.0,
        measure=_by_activation,
    ),
    Declaration(
        id="linear-growth",
        statement=(
            "Batch norm alone, without nonlinearities, doubles the gradient over ten layers on its way to the "
            "input (digits, untrained, batch 512)."
        ),
        source=f"a strong reading of {YANG}",
        study="gradient_growth",
        chapter=CHAPTER,
        control=f"{UNTRAINED}; within one network.",
        unit="times",
        margin=2.0,
        measure=lambda result: Measured(result.over(LAYERS, "batch_norm", "linear", 512)),
    ),
    Declaration(
        id="gradient-leaves-float16",
        statement=(
            "Within 100 plain layers of batch norm and ReLU, 64 wide, the gradient of an untrained network "
            "(digits, batch 64) no longer fits into float16."
        ),
        source=f"{THIS_COURSE}, after {YANG}",
        study="gradient_growth",
        chapter=CHAPTER,
        control="one untrained network of 600 layers a seed; layers are counted from the head.",
        unit="times",
        margin=1.0,
        measure=lambda result: Measured(100 / result.reach["float16"]),
        exact=True,
    ),
    Declaration(
        id="activations-blow-up",
        statement=(
            "After 3 steps at a rate of 1, the last activations of a ReLU MLP of 16 layers (MNIST-1D) have grown "
            "over 1,000 times as much in mean square without batch norm."
        ),
        source=BJORCK,
        study="activation_growth",
        chapter=CHAPTER,
        control="same initial weights, batches, rate and steps; each arm against its own start.",
        unit="times",
        margin=1000.0,
        measure=_blow_up,
        exact=True,
        headline=True,
    ),
    Declaration(
        id="activations-grow-at-small-rate",
        statement=(
            "At a rate of 0.1 too, three steps make the last activations of a ReLU MLP of 16 layers (MNIST-1D) "
            "grow if there is no batch norm."
        ),
        source=f"a strong reading of {BJORCK}",
        study="activation_growth",
        chapter=CHAPTER,
        control="within one network: mean square after three steps over that at the start, fixed probe batch.",
        unit="times",
        margin=1.0,
        measure=lambda result: Measured(result.grown("no_norm", 0.1)),
        exact=True,
    ),
)
