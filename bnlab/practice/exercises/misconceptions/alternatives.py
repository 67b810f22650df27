"""Mistakes about the relatives and rivals of batch norm: what shares a mean, and what is done without one."""

from bnlab.practice.exercises.misconceptions.misconception import Misconception

FAMILY = "chapter 11, “One family”"
SMALL = "chapter 11, “What a small batch costs”"
WITHOUT = "chapter 11, “Without statistics”"

OF_ALTERNATIVES = {
    "each-position-alone": Misconception(
        "Each position has statistics of its own. In images batch norm pools the positions, and layer norm as it is "
        "meant here takes the image whole. (Over the channels of one position is what transformers do with a token.)",
        FAMILY,
    ),
    "group-size-not-number": Misconception(
        "`groups` is taken for the number of channels in a group. It is the number of groups in each image, so there "
        "are `n * groups` means, whatever c is.",
        FAMILY,
    ),
    "instance-norm-of-a-batch": Misconception(
        "Each image has its own mean in each channel: that is instance norm. Batch norm pools the images, so that c "
        "means are left.",
        FAMILY,
    ),
    "group-of-one-channel": Misconception(
        "The channels of a group are not counted. They share a mean, so `c // groups` channels times all positions "
        "meet in it.",
        FAMILY,
    ),
    "one-image-counted": Misconception(
        "Only the means of one image are counted. Each image of the batch has its own, in every norm but batch norm.",
        FAMILY,
    ),
    "mean-subtracted": Misconception(
        "The mean is subtracted. RMS norm leaves it in, above and below the line: neither what is divided nor what it "
        "is divided by is centred. With both centred it is layer norm.",
        FAMILY,
    ),
    "root-missing": Misconception(
        "The root is missing. Divided by its mean square, a row that is twice as large comes out half as large; "
        "divided by the root of it, it comes out the same.",
        FAMILY,
    ),
    "sum-not-mean": Misconception(
        "The squares are added up, not averaged. Each row then has length 1, and its values shrink as rows grow "
        "longer; with the mean their typical size is 1, whatever d is.",
        FAMILY,
    ),
    "square-of-the-mean": Misconception(
        "The mean was squared, where the squares were to be averaged. On a row whose mean is 0 that divides by almost "
        "nothing.",
        FAMILY,
    ),
    "absolute-values": Misconception(
        "This is the mean of the absolute values, which weighs large ones less. Square first, then average, then take "
        "the root.",
        FAMILY,
    ),
    "gamma-inside": Misconception(
        "Gamma is inside the mean square, so the row is scaled first and measured after. Then a common factor of gamma "
        "has no effect; it belongs behind the division.",
        FAMILY,
    ),
    "multiplied-not-divided": Misconception(
        "x is multiplied by the root of the mean square. Divide by it: a row that is twice as large is to come out the "
        "same.",
        FAMILY,
    ),
    "gamma-from-one": Misconception(
        "The scale is 1 + gamma. Some language models store gamma that way, starting at 0; here gamma is the scale "
        "itself, starting at 1. Weights that are loaded with the wrong one of the two work badly without any error.",
        FAMILY,
    ),
    "alpha-ignored": Misconception(
        "Alpha has no effect. It decides which values tanh squashes and which pass nearly unchanged, and it is "
        "trained.",
        WITHOUT,
    ),
    "alpha-outside": Misconception(
        "Alpha stands outside the tanh, where gamma already is. It sets the slope: how far from 0 the tanh begins to "
        "flatten; that can only be done inside.",
        WITHOUT,
    ),
    "divided-by-alpha": Misconception(
        "x is divided by alpha. It is multiplied: a larger alpha makes the tanh steeper and cuts off earlier.",
        WITHOUT,
    ),
    "affine-inside": Misconception(
        "Gamma or beta acts inside the tanh. They come last, as in every norm: else the output could never leave -1 to "
        "1, or would be centred where tanh wants it.",
        WITHOUT,
    ),
    "normalised-first": Misconception(
        "A mean is subtracted before the tanh. DyT stands in the place of a norm and has no statistics: each value is "
        "treated by itself.",
        WITHOUT,
    ),
    "filters-pooled": Misconception(
        "Filters share a mean or a variance. Each filter, which makes one output channel, has one of each: over its "
        "inputs and positions, every axis but the first.",
        WITHOUT,
    ),
    "across-the-filters": Misconception(
        "The average runs across the filters. Which filters happen to stand side by side is of no meaning; the weights "
        "of one filter belong together.",
        WITHOUT,
    ),
    "kernels-apart": Misconception(
        "Only a part of each filter is averaged over. A filter's output is one sum over all inputs and positions, so "
        "all its weights are one set: every axis but the first.",
        WITHOUT,
    ),
    "only-centred": Misconception(
        "The mean is subtracted, but nothing is divided: the weights keep their scale. Both steps belong to it.",
        WITHOUT,
    ),
    "length-not-spread": Misconception(
        "The squared distances are added up, not averaged. Each filter then has length 1, and the more weights it has "
        "the smaller each is; variance 1 is the mean of the squared distances.",
        WITHOUT,
    ),
    "length-without-centring": Misconception(
        "The weights are divided by their length, and their mean stays. That is weight normalisation (without its "
        "gain). Here the mean is subtracted first, and the mean of the squares comes out as 1, not their sum.",
        WITHOUT,
    ),
    "limits-ignored": Misconception(
        "A limit is not applied. Without limits the output is that of inference, also early in training, when the "
        "running statistics are far behind the weights. The limits keep it near batch norm: both r and d are clipped.",
        SMALL,
    ),
    "limits-one-sided": Misconception(
        "A limit holds on one side only, or the lower one is wrong. r is a factor, so it is kept from 1 / r_max to "
        "r_max; d is a distance, kept from -d_max to d_max.",
        SMALL,
    ),
    "r-inverted": Misconception(
        "r is upside down. Times r, a division by the batch's deviation is to become one by the running deviation: r = "
        "std / running_std.",
        SMALL,
    ),
    "d-not-in-deviations": Misconception(
        "d is not in running standard deviations. It is added to x_hat, which has no unit any more: divide the "
        "distance of the two means by running_std.",
        SMALL,
    ),
    "d-in-the-other-direction": Misconception(
        "d has the wrong sign. A batch that lies above the running mean is to come out above 0: d = (mean - "
        "running_mean) / running_std, and it is added.",
        SMALL,
    ),
    "batch-not-normalised": Misconception(
        "r and d are applied to x itself. They correct what batch norm gives: first (x - mean) / std, then times r, "
        "plus d.",
        SMALL,
    ),
    "eps-counted-twice": Misconception(
        "Epsilon is added to the running deviation, which holds it already: it is an average of the batches' `sqrt(var "
        "+ eps)`. Added again, the two differ even where the batch is typical.",
        SMALL,
    ),
    "order-of-r-and-d": Misconception(
        "d is scaled by r too. It is measured in running deviations already, so it is added after the factor.",
        SMALL,
    ),
    "correction-unused": Misconception(
        "r or d was computed but does not reach the output. Without both it is batch norm, or batch norm on another "
        "scale.",
        SMALL,
    ),
    "variances-compared": Misconception(
        "r compares variances. x is divided by a standard deviation, so the correction is a ratio of standard "
        "deviations, the root of yours.",
        SMALL,
    ),
    "inference-returned": Misconception(
        "x is normalised by the running statistics, whatever the limits are. That is the output only where neither "
        "limit is reached; else r and d have to do what they may, on batch norm's output.",
        SMALL,
    ),
}
