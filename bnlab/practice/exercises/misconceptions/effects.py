"""Mistakes about a network's signal, the noise of small batches, and the learning rate that a weight feels."""

from bnlab.practice.exercises.misconceptions.misconception import Misconception

DEPTH = "chapter 02, “What goes wrong in a deep plain network”"
DRIFT = "chapter 02, “Internal covariate shift, measured”"
GHOSTS = "chapter 07, “The noise of the batch”"
RATE = "chapter 07, “A badly scaled start”"

OF_EFFECTS = {
    "layers-not-steps": Misconception(
        "The root has the wrong degree. From the first to the last of n layers there are n - 1 steps, as there are "
        "four gaps between five posts; a root of degree n brings every factor too near to 1.",
        DEPTH,
    ),
    "growth-of-the-whole": Misconception(
        "This is the growth through all the layers, or that growth divided by the number of steps. A factor that is "
        "applied again at each step is found by a root: 3 * 3 = 9, and the factor is 3, neither 9 nor 4.5.",
        DEPTH,
    ),
    "one-step-alone": Misconception(
        "Only two neighbouring layers are compared. One step may be an accident, and the first and the last layer "
        "often differ from the rest; the geometric mean uses the whole way.",
        DEPTH,
    ),
    "signs-cancel": Misconception(
        "The shifts are averaged with their signs. One channel that moved up by 1 and one that moved down by 1 then "
        "look as if nothing had moved. Take the absolute value of each channel's shift, before the average.",
        DRIFT,
    ),
    "not-in-deviations": Misconception(
        "The shift is not divided by the standard deviation. A shift of 0.1 is nothing for a channel that spreads over "
        "100 and a great deal for one that spreads over 0.1, and two networks of different scale cannot be compared.",
        DRIFT,
    ),
    "shift-over-variance": Misconception(
        "The shift is divided by the variance. Had every value been twice as large, the shift would come out half as "
        "large; divided by the standard deviation, it does not depend on the scale.",
        DRIFT,
    ),
    "moving-yardstick": Misconception(
        "The standard deviation after the move is in the denominator, alone or mixed with the one before. A channel "
        "that also spreads out then seems to have moved less. Measure by the spread that the layer above was used to: "
        "the one before.",
        DRIFT,
    ),
    "examples-not-means": Misconception(
        "The distances of the single examples are averaged. Examples that change places leave the distribution where "
        "it was, yet each has moved. Take the mean of the channel first, at both moments, then the distance.",
        DRIFT,
    ),
    "channels-summed": Misconception(
        "The shifts of the channels are added up. A layer of 200 channels would then seem to move twice as far as one "
        "of 100. Take their mean.",
        DRIFT,
    ),
    "channels-not-averaged": Misconception(
        "The last average is missing. There is one shift for each channel, where one number for the layer was asked "
        "for: their mean.",
        DRIFT,
    ),
    "ghosts-ignored": Misconception(
        "The whole batch is normalised at once. A ghost is normalised as if it were alone: its statistics are computed "
        "from `ghost_size` rows, and their noise, which is what it is for, is that of a small batch.",
        GHOSTS,
    ),
    "ghosts-interleaved": Misconception(
        "Rows that stand apart form a ghost. A ghost is made of consecutive rows: the first `ghost_size` rows are the "
        "first one. `reshape` fills the last axes first, so the ghosts have to be the first axis.",
        GHOSTS,
    ),
    "ghosts-miscounted": Misconception(
        "`ghost_size` is used as the number of ghosts. It is how many rows each of them has; their number is `n // "
        "ghost_size`.",
        GHOSTS,
    ),
    "ghosts-by-half": Misconception(
        "One statistic is the ghost's, the other is that of the whole batch, or an average over the ghosts. Each ghost "
        "has its own mean and its own variance, and comes out with mean 0 and variance 1.",
        GHOSTS,
    ),
    "norm-not-squared": Misconception(
        "The power of the norm is wrong; it is 2. Batch norm's output does not change when the weights are multiplied "
        "by a, but their gradient is divided by a, and a step of the same length turns them by an angle 1/a as large: "
        "together 1/a^2.",
        RATE,
    ),
    "one-norm-for-all": Misconception(
        "The norm is that of the whole matrix. Each unit has its own mean and variance, so each is indifferent to the "
        "length of its own row, and each has its own effective rate.",
        RATE,
    ),
    "columns-not-rows": Misconception(
        "The squares are summed over the wrong axis. A unit's weights are a row, of shape (in,): PyTorch stores a "
        "linear layer as (out, in). A column holds what one input sends to all units.",
        RATE,
    ),
    "mean-not-sum": Misconception(
        "The mean of the squares stands where their sum belongs. The squared norm is the sum, so the rate comes out "
        "too large by the number of inputs.",
        RATE,
    ),
    "rate-multiplied": Misconception(
        "The learning rate is multiplied by the squared norm. It is divided: long weights have small gradients and are "
        "hard to turn, so the longer they grow, the less a step changes what the network computes.",
        RATE,
    ),
    "another-norm": Misconception(
        "This is no Euclidean norm. Square each weight first, then add: absolute values, or a sum that is squared at "
        "the end, measure something else, and in the last weights of opposite sign cancel.",
        RATE,
    ),
}
