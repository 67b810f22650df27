"""What chapter 09 claims: batch norm in an LSTM, three norms in a transformer, and the future that leaks."""

import numpy as np

from bnlab.experiments.claims.claim import Declaration, Measured, gain_in_points
from bnlab.experiments.studies.future_leak import FLOOR
from bnlab.experiments.studies.future_leak import Result as LeakResult
from bnlab.experiments.studies.recurrent_norm import Result as RecurrentResult
from bnlab.experiments.studies.transformer_norms import Result as TransformerResult

CHAPTER = "09_use_cases_rnn"
COOIJMANS = "Cooijmans et al. 2016, arXiv:1603.09025"
POWER_NORM = "Shen et al. 2020, arXiv:2003.07845"
BA = "Ba, Kiros & Hinton 2016, arXiv:1607.06450"
ZHANG = "Zhang & Sennrich 2019, arXiv:1910.07467"
THIS_COURSE = "this course"
RECURRENT = "same initial weights, batches and steps; each arm's rate chosen on validation examples, from 4 of Adam's."
TRANSFORMER = "same initial weights, batches and steps; each arm's rate chosen on validation numbers, from 3 of Adam's."
COINS = "same initial weights, batches, steps and rate, 0.01 of Adam's, not tuned."
TEST_IMAGES, TEST_NUMBERS = 360, 400


def _gain_at_best(arm: str, other: str, examples: int, result: RecurrentResult | TransformerResult) -> Measured:
    return gain_in_points(result.test[arm], result.test[other], examples)


def _gain_at_common_rate(arm: str, other: str, examples: int, result: RecurrentResult) -> Measured:
    return gain_in_points(result.test_at_common_rate[arm], result.test_at_common_rate[other], examples)


def _times_as_much_gradient(arm: str, other: str, result: RecurrentResult) -> Measured:
    """Of the gradient at the last recorded step, how much is left at the middle one, in one arm and in another."""
    left = {name: seeds[len(seeds) // 2] / seeds[-1] for name, seeds in result.gradient.items()}
    return Measured(left[arm] / left[other])


def _moved_before_the_edit(size: int, result: LeakResult) -> Measured:
    """The root mean square over the steps before the changed token, as percentage of the change at it."""
    steps = result.moved["batch_norm"][result.config.batch_sizes.index(size), : result.config.edited]
    return Measured(100 * np.sqrt(np.square(steps).mean(0)))


def _below_the_floor(size: int, result: LeakResult) -> Measured:
    return Measured(FLOOR / result.training_mode["batch_norm"][result.config.batch_sizes.index(size)])


def _better_than_layer_norm(size: int, result: LeakResult) -> Measured:
    place = result.config.batch_sizes.index(size)
    return Measured(result.evaluation_mode["layer_norm"][place] / result.evaluation_mode["batch_norm"][place])


DECLARATIONS = (
    Declaration(
        id="recurrent-norm-small-rate",
        statement="At a rate of 0.003, batch norm at each step gains an LSTM 10 points (digits, 4x4 pixels in a row).",
        source=COOIJMANS,
        study="recurrent_norm",
        chapter=CHAPTER,
        control="same initial weights, batches, steps and rate of Adam.",
        unit="points",
        margin=10.0,
        measure=lambda result: _gain_at_common_rate("batch_norm", "no_norm", TEST_IMAGES, result),
        headline=True,
    ),
    Declaration(
        id="recurrent-norm-best-rate",
        statement="At each arm's best rate too, batch norm at each step gains an LSTM 2 points (digits, 4x4 pixels).",
        source=COOIJMANS,
        study="recurrent_norm",
        chapter=CHAPTER,
        control=RECURRENT,
        unit="points",
        margin=2.0,
        measure=lambda result: _gain_at_best("batch_norm", "no_norm", TEST_IMAGES, result),
        headline=True,
    ),
    Declaration(
        id="forget-bias-small-rate",
        statement="At a rate of 0.003, a forget bias from 2, which keeps the gradient too, gains an LSTM 10 points "
        "(digits, 4x4 pixels in a row).",
        source=f"{THIS_COURSE}, as a control",
        study="recurrent_norm",
        chapter=CHAPTER,
        control="same initial weights but for that bias, batches, steps and rate of Adam; no norm.",
        unit="points",
        margin=10.0,
        measure=lambda result: _gain_at_common_rate("forget_two", "no_norm", TEST_IMAGES, result),
        headline=True,
    ),
    Declaration(
        id="gamma-tenth",
        statement="At a rate of 0.003, an LSTM with batch norm (digits) is better with gamma from 0.1 than from 1.",
        source=COOIJMANS,
        study="recurrent_norm",
        chapter=CHAPTER,
        control="same initial weights, batches, steps and rate of Adam.",
        unit="points",
        margin=0.0,
        measure=lambda result: _gain_at_common_rate("batch_norm", "gamma_one", TEST_IMAGES, result),
    ),
    Declaration(
        id="recurrent-gradient-kept",
        statement="Over 31 steps an untrained LSTM (digits, 8x8 pixels in a row), forget bias 0, keeps 1,000 times as "
        "much of its gradient with batch norm.",
        source=COOIJMANS,
        study="recurrent_norm",
        chapter=CHAPTER,
        control="same initial weights and examples; gradient of the hidden state, at the middle step over the last.",
        unit="times",
        margin=1000.0,
        measure=lambda result: _times_as_much_gradient("batch_norm", "no_norm", result),
    ),
    Declaration(
        id="gamma-tenth-keeps-more",
        statement="In an untrained LSTM with batch norm (digits, 8x8 pixels in a row), more of the gradient is left 31 "
        "steps back with gamma from 0.1 than from 1.",
        source=COOIJMANS,
        study="recurrent_norm",
        chapter=CHAPTER,
        control="same initial weights and examples; forget bias from 0; gradient of the hidden state, "
        "at the middle step over the last.",
        unit="times",
        margin=1.0,
        measure=lambda result: _times_as_much_gradient("batch_norm", "gamma_one", result),
    ),
    Declaration(
        id="layer-norm-better",
        statement="Layer norm, not batch norm over 8 sequences, gains a transformer (numbers to words) 1 point.",
        source=POWER_NORM,
        study="transformer_norms",
        chapter=CHAPTER,
        control=TRANSFORMER,
        unit="points",
        margin=1.0,
        measure=lambda result: _gain_at_best("layer_norm", "batch_norm", TEST_NUMBERS, result),
        headline=True,
    ),
    Declaration(
        id="one-sequence-statistics",
        statement="Statistics over 1 sequence, not 8, cost a transformer with batch norm (numbers to words) 10 points.",
        source=THIS_COURSE,
        study="transformer_norms",
        chapter=CHAPTER,
        control=f"{TRANSFORMER[:-1]}; batches of 8 sequences in both arms.",
        unit="points",
        margin=10.0,
        measure=lambda result: _gain_at_best("batch_norm", "batch_norm_one", TEST_NUMBERS, result),
        headline=True,
    ),
    Declaration(
        id="mode-gap-one-sequence",
        statement="With statistics over 1 sequence a transformer (numbers to words) has a loss over 1.2 times as large "
        "in evaluation mode as in training mode.",
        source="Wang, Wu & Huang 2022, arXiv:2210.05153",
        study="transformer_norms",
        chapter=CHAPTER,
        control="same trained network, same validation numbers; with layer norm both losses are the same.",
        unit="times",
        margin=1.2,
        measure=lambda result: Measured(
            result.evaluation_mode["batch_norm_one"] / result.training_mode["batch_norm_one"]
        ),
        headline=True,
    ),
    Declaration(
        id="padding-costs",
        statement="Padding kept out of the statistics gains a transformer with batch norm (numbers to words) 1 point.",
        source=THIS_COURSE,
        study="transformer_norms",
        chapter=CHAPTER,
        control=TRANSFORMER,
        unit="points",
        margin=1.0,
        measure=lambda result: _gain_at_best("batch_norm_real", "batch_norm", TEST_NUMBERS, result),
    ),
    Declaration(
        id="layer-norm-beats-rms-norm",
        statement="Layer norm, not RMS norm, gains a transformer (numbers to words) 1 point.",
        source=f"{THIS_COURSE}, against {ZHANG}",
        study="transformer_norms",
        chapter=CHAPTER,
        control=TRANSFORMER,
        unit="points",
        margin=1.0,
        measure=lambda result: _gain_at_best("layer_norm", "rms_norm", TEST_NUMBERS, result),
    ),
    Declaration(
        id="past-moves",
        statement="With batch norm over 8 sequences, a changed token moves earlier outputs of an untrained causal "
        "transformer (coin tosses) by over 1% of the change at the token itself.",
        source=THIS_COURSE,
        study="future_leak",
        chapter=CHAPTER,
        control="same network and tosses but for one token; with layer norm nothing moves.",
        unit="points",
        margin=1.0,
        measure=lambda result: _moved_before_the_edit(8, result),
        headline=True,
    ),
    Declaration(
        id="leak-below-log-2",
        statement="With batch norm over 1 sequence, a causal transformer's loss on tosses of a fair coin falls below "
        "log 2 by a factor of 1.1 in training mode.",
        source=THIS_COURSE,
        study="future_leak",
        chapter=CHAPTER,
        control="every sequence of tosses once, so that without news of the future no loss is below log 2.",
        unit="times",
        margin=1.1,
        measure=lambda result: _below_the_floor(1, result),
        headline=True,
    ),
    Declaration(
        id="leak-helps",
        statement="What batch norm over 1 sequence learns in that way makes its loss in evaluation mode lower than "
        "that of layer norm.",
        source=THIS_COURSE,
        study="future_leak",
        chapter=CHAPTER,
        control=COINS,
        unit="times",
        margin=1.0,
        measure=lambda result: _better_than_layer_norm(1, result),
        headline=True,
    ),
)
