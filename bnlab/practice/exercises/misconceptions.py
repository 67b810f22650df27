"""The mistakes that people make in batch normalisation, each under an id, with why it is wrong and where to read on."""

from typing import NamedTuple


class Misconception(NamedTuple):
    """Why a mistake is one.

    Attributes:
        why: what the code does, what batch norm does instead, and what difference it makes.
        see: where the course explains it; empty for mistakes that are not about batch norm.
    """

    why: str
    see: str


FORWARD = "chapter 03, “Where epsilon stands”"
AXES = "chapter 01, “Which cells share one mean”"
BACKWARD = "chapter 04, “Six lines become one”"
INFERENCE = "chapter 05"

MISCONCEPTIONS = {
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
    "biased-running-var": Misconception(
        "The running variance takes in the biased variance of the batch, divided by m. PyTorch stores the unbiased "
        "one, `m / (m - 1)` times as large, since it stands for the population; Keras and Flax do keep the biased "
        "one. With few values per channel the two differ: by a factor 2 at m = 2.",
        "chapter 03, “Divide by m, or by m - 1”, and chapter 05",
    ),
    "unbiased-inverted": Misconception(
        "The correction is upside down. A sample lies closer to its own mean than to the population's, so its variance "
        "is too small, and the unbiased one is larger: `m / (m - 1)` times the biased variance.",
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
    "momentum-flipped": Misconception(
        "Momentum weighs the old value. PyTorch's is the weight of the *new* one: `(1 - momentum) * old + momentum * "
        "new`. Keras and Flax mean the opposite, so their 0.99 is 0.01 here.",
        "chapter 05, “One average, four conventions”",
    ),
    "stats-detached": Misconception(
        "The mean and the variance are treated as constants. They are computed from x, so the gradient also flows "
        "through them, and takes out of `grad_y` what they would have absorbed: its mean, and its component along "
        "`x_hat`.",
        "chapter 04, “If the statistics are detached”",
    ),
    "missing-mean-gradient": Misconception(
        "The road through the mean is missing. Raising one x raises the mean, which lowers every output of the "
        "channel: the gradient loses its mean, and `grad_x` adds up to 0 in each channel.",
        BACKWARD,
    ),
    "missing-var-gradient": Misconception(
        "The road through the variance is missing. Moving one x away from the mean raises the variance, which shrinks "
        "every output of the channel: the gradient loses its component along `x_hat`.",
        BACKWARD,
    ),
    "gamma-counted-twice": Misconception(
        "Gamma is multiplied in twice. Either `grad_x_hat = gamma * grad_y` carries it, or the factor in front of the "
        "closed form does; a formula printed in several places has both.",
        BACKWARD,
    ),
    "wrong-power": Misconception(
        "The power of inv_std is wrong. inv_std is (var + eps)^(-1/2): its derivative is -0.5 * inv_std**3, and what "
        "stands in front of the closed form is gamma times inv_std itself.",
        "chapter 04, “Six steps back, with a pencil”",
    ),
    "gradients-swapped": Misconception(
        "grad_gamma and grad_beta have changed places: grad_gamma sums grad_y * x_hat, grad_beta sums grad_y.",
        "chapter 04, “Six steps back, with a pencil”",
    ),
    "first-batch-too-heavy": Misconception(
        "The average starts at the first batch's variance, which then keeps the weight of the start: "
        "`(1 - momentum) ** (t - 1)`, far more than the batches after it. Start at 0 and divide by the weights so far.",
        "chapter 05, “Find what is wrong”",
    ),
    "division-by-count-missing": Misconception(
        "A sum stands where a mean belongs, or the other way round. The mean is 1/m times a sum, so what flows back "
        "through it to each x carries that 1/m; gamma and beta are plain sums, since every value of the channel uses "
        "them.",
        BACKWARD,
    ),
    "shift-not-scaled": Misconception(
        "The running mean is subtracted after the scale. Batch norm subtracts it before, so the scale multiplies it "
        "too: `shift = beta - scale * running_mean`.",
        INFERENCE,
    ),
    "eval-uses-batch-stats": Misconception(
        "At inference the batch's own mean and variance are used. The running ones belong here: an answer must not "
        "depend on what else is in the batch, and a batch of one must work.",
        INFERENCE,
    ),
    "updates-in-eval": Misconception(
        "The running statistics also move in evaluation. Data that is only looked at, the test set above all, must "
        "leave no trace in the model.",
        INFERENCE,
    ),
    "running-stats-never-updated": Misconception(
        "The running statistics keep the values they began with: mean 0 and variance 1. In training each batch has to "
        "move them, in place, or inference normalises by nothing that was measured.",
        INFERENCE,
    ),
    "running-var-from-zero": Misconception(
        "The running variance starts at 0. It starts at 1, so that a layer that has seen no data passes values on as "
        "they are; from 0, the first evaluations divide by far too little and blow the values up.",
        INFERENCE,
    ),
    "debiased-from-one": Misconception(
        "The running variance starts at 1 and is then divided by `1 - (1 - momentum) ** t`. That correction belongs "
        "to an average that starts at 0: it removes the share of the start, and 1 is not 0. After the first batch "
        "yours is far too large.",
        INFERENCE,
    ),
    "cold-start": Misconception(
        "The running variance starts at 1 and nothing corrects for it: after one batch it is still mostly that 1. "
        "Start at 0 and divide by what the batches weigh so far, `1 - (1 - momentum) ** t`.",
        INFERENCE,
    ),
    "stats-not-buffers": Misconception(
        "The running statistics are plain tensors, not buffers. They are then absent from `state_dict()`, so a saved "
        "model is loaded without them, and `.to(device)` leaves them behind. Use `self.register_buffer(name, tensor)`.",
        INFERENCE,
    ),
    "stats-keep-graph": Misconception(
        "The running statistics keep the graph of autograd: every batch that they have seen stays in memory, and a "
        "deep copy of the model fails. Update them under `torch.no_grad()`, or from detached values.",
        INFERENCE,
    ),
    "mode-from-grad": Misconception(
        "Whether to use the batch's statistics is decided by whether gradients are enabled. The two are independent: "
        "`model.eval()` sets `self.training` to False, `torch.no_grad()` does not, and an evaluation with gradients "
        "enabled (for a saliency map, say) must still use the running statistics.",
        INFERENCE,
    ),
    "train-uses-running-stats": Misconception(
        "In training the running statistics normalise. The batch's own do: the gradient must flow through them, and at "
        "the start the running ones describe nothing.",
        INFERENCE,
    ),
    "averaged-variances": Misconception(
        "The variances are averaged. What is lost is how far apart the means lie: two sets of equal values, one at 0 "
        "and one at 10, both have variance 0, and together 25. Add the spread of the means to the mean of the "
        "variances.",
        "chapter 05, and `bnlab.reference.variance.merge`",
    ),
    "unweighted-average": Misconception(
        "Sets of different size count alike. A set of ten values weighs ten times as much as a single value.",
        "`bnlab.reference.variance.merge`",
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
    "mode-not-restored": Misconception(
        "The model is handed back in another mode, with another momentum or with other weights than it came with. A "
        "function that measures puts back what it changed.",
        INFERENCE,
    ),
    "mutates-input": Misconception(
        "The function changes the arrays it was given (`x -= mean` works in place; so does `+=` on a running mean). "
        "The caller still needs them. Compute new arrays: `x = x - mean`.",
        "",
    ),
    "wrong-dtype": Misconception(
        "float32 or float64 was expected, of the same kind as the input. Half precision keeps three digits, integers "
        "none after the point.",
        "",
    ),
    "returns-none": Misconception("Is the `return` missing, or on one branch only?", ""),
    "wrong-shape": Misconception(
        (
            "Look at the axes: which sums keep a dimension (`keepdims`), and which values are one per channel, shape "
            "`(c,)`?"
        ),
        "",
    ),
    "raises": Misconception(
        "Print the shapes on the way to that line. The arguments come in the order of the stub.", ""
    ),
    "too-slow": Misconception(
        "A loop that never ends? The arrays are small: a right answer takes milliseconds, with Python loops too.", ""
    ),
}
