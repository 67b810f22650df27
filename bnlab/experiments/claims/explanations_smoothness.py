"""What chapter 12 claims of smoothness: as it was first measured, why that has a unit, and by measures without one."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float

from bnlab.experiments.claims.claim import Declaration, Measured
from bnlab.experiments.studies.landscape import Result

CHAPTER = "12_why_it_works"
SANTURKAR = "Santurkar et al. 2018, arXiv:1805.11604"
SCALE_FREE = f"{SANTURKAR}, by steps as in Li et al. 2018, arXiv:1712.09913"
THIS_COURSE = "this course"
STEPS = "step sizes 0.05 to 0.4 along the negative gradient of a fixed batch of 64"
LOOKS = "median over ten looks in 300 steps"
TRAINED = "same initial weights, batches and steps; rate {rate:g}"
RAW = f"{TRAINED}; {STEPS}; {LOOKS}."
LAYERWISE = (
    f"{TRAINED}; each weight matrix moves against its gradient by the same share of its norm; fixed batch of 64; "
    f"{LOOKS}."
)
SHARE = 0.01

Raw = Literal["loss_range", "gradient_change", "smoothness"]
ScaleFree = Literal["reach", "promised"]


def _median(measure: Callable[[str], Float[np.ndarray, "looks seeds"]], more: str, less: str) -> Measured:
    """The ratio of two arms, each in the median over the looks."""
    return Measured(np.median(measure(more), axis=0) / np.median(measure(less), axis=0))


def _rougher(name: Raw, more: str, less: str, result: Result) -> Measured:
    return _median(getattr(result, name), more, less)


def _rougher_untrained(result: Result) -> Measured:
    return Measured(result.smoothness("no_norm")[0] / result.smoothness("batch_norm")[0])


def _farther(name: ScaleFree, result: Result) -> Measured:
    return _median(getattr(result, name), "batch_norm", "no_norm")


def _relative_change(result: Result) -> Measured:
    return _median(lambda arm: result.change_at(arm, SHARE), "no_norm", "batch_norm")


DECLARATIONS = (
    Declaration(
        id="norm-flattens-loss",
        statement=(
            "Along its gradient the loss of an MLP (MNIST-1D, 8 layers, rate 0.1) varies 1.5 times less with batch "
            "norm than without."
        ),
        source=SANTURKAR,
        study="landscape",
        chapter=CHAPTER,
        control=RAW.format(rate=0.1),
        unit="times",
        margin=1.5,
        measure=lambda result: _rougher("loss_range", "no_norm", "batch_norm", result),
        headline=True,
    ),
    Declaration(
        id="flatter-at-a-higher-rate",
        statement=(
            "At a rate of 0.2 too, the loss of an MLP (MNIST-1D, 8 layers) varies 1.2 times less along its gradient "
            "with batch norm than without."
        ),
        source=f"a strong reading of {SANTURKAR}",
        study="landscape_higher_rate",
        chapter=CHAPTER,
        control=RAW.format(rate=0.2),
        unit="times",
        margin=1.2,
        measure=lambda result: _rougher("loss_range", "no_norm", "batch_norm", result),
    ),
    Declaration(
        id="norm-steadies-gradient",
        statement=(
            "Along its gradient, the gradient of an MLP (MNIST-1D, 8 layers, rate 0.1) changes by half as much with "
            "batch norm as without."
        ),
        source=SANTURKAR,
        study="landscape",
        chapter=CHAPTER,
        control=RAW.format(rate=0.1),
        unit="times",
        margin=2.0,
        measure=lambda result: _rougher("gradient_change", "no_norm", "batch_norm", result),
        headline=True,
    ),
    Declaration(
        id="norm-smooths-loss",
        statement=(
            "The effective smoothness of an MLP's loss (MNIST-1D, 8 layers, rate 0.1), the gradient's change for the "
            "distance moved, is 1.2 times smaller with batch norm."
        ),
        source=SANTURKAR,
        study="landscape",
        chapter=CHAPTER,
        control=RAW.format(rate=0.1),
        unit="times",
        margin=1.2,
        measure=lambda result: _rougher("smoothness", "no_norm", "batch_norm", result),
        headline=True,
    ),
    Declaration(
        id="smoother-untrained",
        statement=(
            "Before any training too, the gradient of an MLP (MNIST-1D, 8 layers) changes 1.2 times less for the "
            "distance moved with batch norm than without."
        ),
        source=f"a strong reading of {SANTURKAR}",
        study="landscape",
        chapter=CHAPTER,
        control=f"same initial weights; {STEPS}.",
        unit="times",
        margin=1.2,
        measure=_rougher_untrained,
    ),
    Declaration(
        id="smoothness-has-a-unit",
        statement=(
            "With weights a quarter as long before its norms, which changes no output, the loss of the same network "
            "(MLP, MNIST-1D) is 1.8 times less smooth."
        ),
        source=THIS_COURSE,
        study="landscape",
        chapter=CHAPTER,
        control=f"the same trained networks, batches and head; effective smoothness; {STEPS}; {LOOKS}.",
        unit="times",
        margin=1.8,
        measure=lambda result: _rougher("smoothness", "rescaled", "batch_norm", result),
        headline=True,
    ),
    Declaration(
        id="rescaled-norm-rougher",
        statement=(
            "With weights a quarter as long before its norms, the same network with batch norm (MLP, MNIST-1D) has a "
            "loss 1.25 times less smooth than the one without."
        ),
        source=THIS_COURSE,
        study="landscape",
        chapter=CHAPTER,
        control=f"effective smoothness; {RAW.format(rate=0.1)}",
        unit="times",
        margin=1.25,
        measure=lambda result: _rougher("smoothness", "rescaled", "no_norm", result),
    ),
    Declaration(
        id="norm-predicts-farther",
        statement=(
            "With batch norm the gradient of an MLP (MNIST-1D, 8 layers, rate 0.1) can be trusted over a layerwise "
            "step 1.7 times as long: half of the predicted decrease comes."
        ),
        source=SCALE_FREE,
        study="landscape",
        chapter=CHAPTER,
        control=LAYERWISE.format(rate=0.1),
        unit="times",
        margin=1.7,
        measure=lambda result: _farther("reach", result),
        headline=True,
    ),
    Declaration(
        id="norm-predicts-farther-at-a-higher-rate",
        statement=(
            "At a rate of 0.2 too, the gradient of an MLP with batch norm (MNIST-1D, 8 layers) can be trusted over a "
            "layerwise step 1.4 times as long."
        ),
        source=SCALE_FREE,
        study="landscape_higher_rate",
        chapter=CHAPTER,
        control=LAYERWISE.format(rate=0.2),
        unit="times",
        margin=1.4,
        measure=lambda result: _farther("reach", result),
    ),
    Declaration(
        id="norm-promises-more",
        statement=(
            "With batch norm the step whose promise half comes true promises to take away 1.7 times as large a share "
            "of the loss (MLP, MNIST-1D, 8 layers, rate 0.1)."
        ),
        source=SCALE_FREE,
        study="landscape",
        chapter=CHAPTER,
        control=LAYERWISE.format(rate=0.1),
        unit="times",
        margin=1.7,
        measure=lambda result: _farther("promised", result),
        headline=True,
    ),
    Declaration(
        id="norm-promises-more-on-digits",
        statement=(
            "On digits too, with batch norm the step whose promise half comes true promises to take away 1.7 times as "
            "large a share of the loss (MLP, 8 layers, rate 0.1)."
        ),
        source=f"a strong reading of {SANTURKAR}",
        study="landscape_digits",
        chapter=CHAPTER,
        control=LAYERWISE.format(rate=0.1),
        unit="times",
        margin=1.7,
        measure=lambda result: _farther("promised", result),
    ),
    Declaration(
        id="norm-steadies-relative-gradient",
        statement=(
            "A layerwise step of 1% changes the gradient of an MLP (MNIST-1D, 8 layers, rate 0.1), relative to its "
            "size, 1.5 times less with batch norm than without."
        ),
        source=SCALE_FREE,
        study="landscape",
        chapter=CHAPTER,
        control=LAYERWISE.format(rate=0.1),
        unit="times",
        margin=1.5,
        measure=_relative_change,
        headline=True,
    ),
)
