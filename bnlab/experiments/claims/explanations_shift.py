"""What chapter 12 claims of covariate shift: by both definitions, and of a norm that helps though its outputs drift."""

import math

from bnlab.experiments.claims.claim import Declaration, Measured, gain_in_points
from bnlab.experiments.studies.noisy_norm import Result, Shift

CHAPTER = "12_why_it_works"
SANTURKAR = "Santurkar et al. 2018, arXiv:1805.11604"
THIS_COURSE = "this course"
RATE = 0.2
WHILE_TRAINING = (
    f"same initial weights, batches and steps; same rate, {RATE:g}; last of 6 hidden layers, fixed probe batch, median "
    "over ten looks."
)
BEST_RATES = (
    "same initial weights, batches and steps; each arm's rate chosen on validation series, from 3; judged by "
    "recalibrated statistics, without noise."
)
TEST_SERIES = 1000


def _ratio(name: Shift, more: str, less: str, result: Result) -> Measured:
    at = result.config.learning_rates.index(RATE)
    return Measured(result.over_training(name, more, at) / result.over_training(name, less, at))


def _gain(better: str, worse: str, result: Result) -> Measured:
    return gain_in_points(result.test[better], result.test[worse], TEST_SERIES)


def _worse_fit(result: Result) -> Measured:
    noisy, clean = (result.train_loss[arm][result.best_rate(arm)] for arm in ("batch_norm 0.5", "batch_norm"))
    return Measured(noisy / clean)


def _cost_without_norm_beyond_that_with(result: Result) -> Measured:
    without, with_norm = (_gain(arm, f"{arm} 0.5", result) for arm in ("no_norm", "batch_norm"))
    errors = [one.test_error or 0.0 for one in (without, with_norm)]
    return Measured(without.values - with_norm.values, math.hypot(*errors))


DECLARATIONS = (
    Declaration(
        id="norm-keeps-inputs-still",
        statement=(
            "Batch norm does keep inputs still: those of an MLP's last ReLU (MNIST-1D) drift over 20 times less from "
            "step to step than without."
        ),
        source="Ioffe & Szegedy 2015, arXiv:1502.03167",
        study="noisy_norm",
        chapter=CHAPTER,
        control=WHILE_TRAINING,
        unit="times",
        margin=20.0,
        measure=lambda result: _ratio("drift", "no_norm", "batch_norm", result),
        headline=True,
    ),
    Declaration(
        id="noisy-norm-drifts",
        statement=(
            "With noise of 0.5 behind its norms, the inputs of an MLP's last ReLU (MNIST-1D) drift 1.5 times as far "
            "from step to step as without any norm."
        ),
        source=SANTURKAR,
        study="noisy_norm",
        chapter=CHAPTER,
        control=WHILE_TRAINING,
        unit="times",
        margin=1.5,
        measure=lambda result: _ratio("drift", "batch_norm 0.5", "no_norm", result),
        headline=True,
    ),
    Declaration(
        id="noisy-norm-better",
        statement=(
            "Though its inputs drift further, an MLP (MNIST-1D) with noise of 0.5 behind its norms tests 2 points "
            "better than one without norm and noise."
        ),
        source=SANTURKAR,
        study="noisy_norm",
        chapter=CHAPTER,
        control=BEST_RATES,
        unit="points",
        margin=2.0,
        measure=lambda result: _gain("batch_norm 0.5", "no_norm", result),
        headline=True,
    ),
    Declaration(
        id="noisy-norm-fits-worse",
        statement=(
            "The noise costs something: at 0.5 behind the norms of an MLP (MNIST-1D) it raises the training loss by a "
            "factor of 1.1."
        ),
        source=f"{THIS_COURSE}, against a strong reading of {SANTURKAR}",
        study="noisy_norm",
        chapter=CHAPTER,
        control=BEST_RATES,
        unit="times",
        margin=1.1,
        measure=_worse_fit,
    ),
    Declaration(
        id="noise-needs-norm",
        statement=(
            "The norm makes the noise bearable: the same noise of 0.5 costs an MLP without norm (MNIST-1D) 3 points "
            "more than one with it."
        ),
        source=THIS_COURSE,
        study="noisy_norm",
        chapter=CHAPTER,
        control=BEST_RATES,
        unit="points",
        margin=3.0,
        measure=_cost_without_norm_beyond_that_with,
    ),
    Declaration(
        id="norm-shifts-gradient-more",
        statement=(
            "With batch norm the gradient of a layer changes more, not less, when the layers below it are updated "
            "(MLP, MNIST-1D)."
        ),
        source=f"a strong reading of {SANTURKAR}",
        study="noisy_norm",
        chapter=CHAPTER,
        control=WHILE_TRAINING,
        unit="times",
        margin=1.0,
        measure=lambda result: _ratio("distance", "batch_norm", "no_norm", result),
    ),
    Declaration(
        id="noise-moves-gradient",
        statement=(
            "Noise of 0.5 behind the norms of an MLP (MNIST-1D), drawn anew, more than doubles its gradient-defined "
            "shift, too."
        ),
        source=f"{THIS_COURSE}; the definition in {SANTURKAR}",
        study="noisy_norm",
        chapter=CHAPTER,
        control=WHILE_TRAINING,
        unit="times",
        margin=2.0,
        measure=lambda result: _ratio("distance", "batch_norm 0.5", "batch_norm", result),
    ),
    Declaration(
        id="noise-held-gradient-steadier",
        statement=(
            "Trained with noise of 0.5 behind its norms, an MLP (MNIST-1D) has a gradient-defined shift that is 1.2 "
            "times smaller than without, if the noise is held through the step."
        ),
        source=f"{THIS_COURSE}; the definition in {SANTURKAR}",
        study="noisy_norm",
        chapter=CHAPTER,
        control=f"{WHILE_TRAINING} The noise is the same before and after: only the layers below move.",
        unit="times",
        margin=1.2,
        measure=lambda result: _ratio("distance_held", "batch_norm", "batch_norm 0.5", result),
    ),
)
