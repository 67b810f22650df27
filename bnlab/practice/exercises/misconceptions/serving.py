"""Mistakes on the way into production: folding, statistics of several machines, alarms, and eight bits."""

from bnlab.practice.exercises.misconceptions.misconception import Misconception

FOLDING = "chapter 14, “From checkpoint to serving”"
MACHINES = "chapter 14, “Several machines”"
WATCHING = "chapter 14, “Watching a network at work”"
EIGHT_BITS = "chapter 14, “Half precision and eight bits”"

OF_SERVING = {
    "bias-not-scaled": Misconception(
        "The convolution's bias is added as it was. The norm multiplies all that comes in, the bias too: "
        "`(bias - running_mean) * scale + beta`.",
        FOLDING,
    ),
    "bias-lost": Misconception(
        "The convolution's bias is gone. In training mode a norm takes it away; at inference the stored mean is a "
        "constant that was measured with the bias in it, so both have to stay in the sum.",
        FOLDING,
    ),
    "mean-added": Misconception(
        "The running mean is added, not subtracted. The norm subtracts it from what the convolution gives.",
        FOLDING,
    ),
    "inputs-scaled": Misconception(
        "The scale is applied to the input channels. A norm scales what comes out, and in a convolution's weight the "
        "outputs stand on axis 0: `scale[:, None, None, None]`. With as many inputs as outputs no error tells you. "
        "(A transposed convolution has its inputs there.)",
        FOLDING,
    ),
    "weight-not-scaled": Misconception(
        "The weight is as it was, so what the norm multiplied is no longer multiplied. Only the shift can go into the "
        "bias; the scale has to go into the weight.",
        FOLDING,
    ),
    "shift-in-the-weight": Misconception(
        "A shift is added to the weights. There it is multiplied by the input. What does not depend on the input "
        "belongs into the bias.",
        FOLDING,
    ),
    "beta-scaled": Misconception(
        "Beta is multiplied by the scale. The norm adds it last, when everything has been scaled.",
        FOLDING,
    ),
    "empty-rank-divides": Misconception(
        "Each rank's variance is computed on the way, by a division by its count. An empty rank has count 0, and 0 / 0 "
        "is NaN, which the sum passes on to every rank, even with weight 0. Add up the sums, and divide once.",
        MACHINES,
    ),
    "unbiased-of-each-rank": Misconception(
        "Each rank's variance is divided by its count less 1 before it is weighted. m2 is a sum of squares already; "
        "sums of squares add up as they are. A rank with one value would even give 0 / 0.",
        MACHINES,
    ),
    "sum-of-squares-returned": Misconception(
        "This is the sum of the squared distances, not yet the variance, which is their mean: divide by the count.",
        MACHINES,
    ),
    "ranks-counted": Misconception(
        "The count is the number of ranks. Asked for is how many values they have together, and by that everything is "
        "divided.",
        MACHINES,
    ),
    "m2-taken-for-variance": Misconception(
        "m2 is multiplied by the count, as one does with a variance. It is the sum of the squared distances already, "
        "count times the variance.",
        MACHINES,
    ),
    "positions-as-samples": Misconception(
        "All positions of all images are counted as independent. Neighbouring pixels look alike, so a batch holds far "
        "fewer independent values, and such an alarm fires on healthy data. The images are independent: one mean each.",
        WATCHING,
    ),
    "spread-of-values": Misconception(
        "The spread is that of single values, divided by the root of the number of images. The mean of an image "
        "scatters less than its values do: how much less is what the images' means tell.",
        WATCHING,
    ),
    "spread-of-one-image": Misconception(
        "The spread of the images' means says how far one more image may lie. The mean of n images is surer by the "
        "root of n.",
        WATCHING,
    ),
    "root-forgotten": Misconception(
        "A root is missing. The variance of a mean is the variance over n; the standard error is the root of that: "
        "the standard deviation over the root of n.",
        WATCHING,
    ),
    "divided-by-n-images": Misconception(
        "The spread of the images' means is divided by n, NumPy's default. Estimated from the n means themselves it is "
        "too small; divided by n - 1 (`ddof=1`) it is right on average, in its square. With few images it matters.",
        WATCHING,
    ),
    "direction-lost": Misconception(
        "The direction is lost, or the other way round. Whether a mean has risen or fallen helps to find the cause; a "
        "score is positive where the live mean lies above the stored one.",
        WATCHING,
    ),
    "distance-not-score": Misconception(
        "This is the distance alone, in the units of the channel. Whether it is large depends on how far a mean "
        "scatters by chance: divide by the standard error.",
        WATCHING,
    ),
    "one-scale-for-all": Misconception(
        "All filters share one scale, that of the largest weight of all. A filter whose weights are a hundred times "
        "smaller is left with one or two steps. Each filter makes one output channel and can have a scale of its own.",
        EIGHT_BITS,
    ),
    "largest-with-sign": Misconception(
        "The largest weight is looked for with its sign. Where the furthest from 0 is a negative one, the numbers "
        "leave their range, and would wrap around in eight bits. Take `np.abs` first.",
        EIGHT_BITS,
    ),
    "scales-of-inputs": Misconception(
        "The scales belong to the input channels. A sum over the inputs could then not be taken in whole numbers, "
        "since each term has another scale. The outputs stand on axis 0.",
        EIGHT_BITS,
    ),
    "one-step-too-many": Misconception(
        "The largest weight becomes 2**(bits - 1), 128 with eight bits, which does not fit: they end at 127. "
        "Symmetric quantisation leaves -128 unused.",
        EIGHT_BITS,
    ),
    "bits-ignored": Misconception(
        "The limit is 127 whatever `bits` says. With fewer bits there are fewer steps: 7 on either side with four.",
        EIGHT_BITS,
    ),
    "range-halved": Misconception(
        "The step is taken from the range, largest less smallest. Such numbers need a zero point that is stored too. "
        "Here 0 stays 0, and the range is as wide on either side as the largest weight without its sign.",
        EIGHT_BITS,
    ),
    "sign-needs-a-bit": Misconception(
        "All bits are given to the size, none to the sign: with eight of them that is 255, and signed numbers end at "
        "127.",
        EIGHT_BITS,
    ),
    "cut-not-rounded": Misconception(
        "The numbers are cut off or left with their fraction. The nearest whole number is off by half a step at most; "
        "cutting is off by up to a whole one, and always in the same direction.",
        EIGHT_BITS,
    ),
    "zeros-divide": Misconception(
        "A filter of zeros has scale 0, and 0 / 0 is NaN. Such filters are no rarity: pruning makes them, and a gamma "
        "of 0 once it is folded.",
        EIGHT_BITS,
    ),
    "scale-inverted": Misconception(
        "The scale is upside down. Weight is q * scale, so the scale is the width of one step: the largest weight over "
        "the limit.",
        EIGHT_BITS,
    ),
    "spread-for-range": Misconception(
        "The range is taken to be three standard deviations. Weights beyond it do not fit; clipping them can pay, but "
        "that is another scheme, and here the largest weight is to become the limit.",
        EIGHT_BITS,
    ),
    "weights-returned": Misconception(
        "These are weights again, not whole numbers. Back they are multiplied only to see what quantising has cost; "
        "what is stored is q and the scale.",
        EIGHT_BITS,
    ),
}
