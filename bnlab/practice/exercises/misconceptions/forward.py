"""Mistakes in the forward pass: epsilon, axes, gamma and beta, lost digits."""

from bnlab.practice.exercises.misconceptions.misconception import Misconception

FORWARD = "chapter 03, “Where epsilon stands”"
AXES = "chapter 01, “Which cells share one mean”"

OF_THE_FORWARD_PASS = {
    "eps-outside-sqrt": Misconception(
        "Epsilon is added to the standard deviation, after the root. Batch norm divides by `sqrt(var + eps)`: epsilon "
        "is added to the *variance*. On healthy channels nobody can tell the two apart; on one that hardly varies "
        "yours amplifies noise to full size, while batch norm keeps it quiet.",
        FORWARD,
    ),
    "eps-missing": Misconception(
        "There is no epsilon. A channel that does not vary has variance 0, and 0 / 0 is NaN; one that hardly varies is "
        "blown up to full size. Batch norm divides by `sqrt(var + eps)`.",
        FORWARD,
    ),
    "std-not-variance": Misconception(
        "Standard deviation and variance have changed places. The variance is the mean of the squared distances; batch "
        "norm divides by its root, taken once, after epsilon is added. What the layer keeps for inference is the "
        "variance.",
        "chapter 03, “Four lines of arithmetic”",
    ),
    "unbiased-normalisation": Misconception(
        "The variance that normalises is divided by m - 1 (that is `ddof=1`, and torch's default). Batch norm divides "
        "by m here, the biased variance: only then does the batch come out with variance 1. The unbiased one is for "
        "the running variance.",
        "chapter 03, “Divide by m, or by m - 1”",
    ),
    "wrong-axes": Misconception(
        "The mean and variance are taken over the wrong axes. Batch norm has one mean and one variance for each "
        "channel, over everything else: the batch and, in an image, every position.",
        AXES,
    ),
    "global-statistics": Misconception(
        "One mean and one variance serve all channels together. Batch norm has one of each *per channel*: a channel of "
        "large values must not drown the others.",
        AXES,
    ),
    "layer-norm-axes": Misconception(
        "Each example is normalised by its own values. That is layer normalisation. Batch norm looks at one channel "
        "through all the examples of the batch.",
        "chapter 01, “Columns, not rows”",
    ),
    "batch-axes": Misconception(
        "The statistics run over the batch, as in batch normalisation. Here each example is normalised alone: its "
        "output must not depend on the others.",
        "chapter 01, “Columns, not rows”",
    ),
    "wrong-groups": Misconception(
        "The channels are not grouped as group norm groups them: neighbouring channels form a group, and each group of "
        "each example has one mean and one variance, over its channels and all positions.",
        "chapter 01, “Columns, not rows”",
    ),
    "affine-ignored": Misconception(
        "Gamma or beta has no effect. The layer ends with `gamma * x_hat + beta`, and the gradient of everything "
        "before passes through gamma.",
        "chapter 03, “What gamma and beta can undo”",
    ),
    "affine-swapped": Misconception(
        "Gamma and beta have changed places, or the shift comes before the scale. Gamma multiplies, then beta is "
        "added: `gamma * x_hat + beta`.",
        "chapter 03, “Four lines of arithmetic”",
    ),
    "not-centred": Misconception(
        "The mean is not subtracted. Divided by its spread alone, a channel keeps its offset, and epsilon aside the "
        "output would change with a bias in the layer before.",
        "chapter 03, “Four lines of arithmetic”",
    ),
    "one-pass-cancellation": Misconception(
        "The variance is computed as E[x^2] - E[x]^2 in float32, or in a way that loses as many digits: where the "
        "mean is thousands of times the spread, two large and nearly equal numbers are subtracted, and what is left "
        "is rounding; it may be negative. Subtract the mean first, then square.",
        "chapter 03, “The subtraction that loses everything”",
    ),
    "positions-not-counted": Misconception(
        "The positions of an image are not counted among the values that share a mean: m is batch times height times "
        "width.",
        AXES,
    ),
    "buffers-counted": Misconception(
        "Running statistics are not trained. They are buffers: saved with the model, set by the forward pass, unknown "
        "to the optimiser. Trained are gamma and beta.",
        "chapter 01, “What the layer holds”",
    ),
}
