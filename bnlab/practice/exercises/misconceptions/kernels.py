"""Mistakes in fast code: what moves through memory, statistics in one pass, and the last sweep of a fused kernel."""

from bnlab.practice.exercises.misconceptions.misconception import Misconception

BYTES = "chapter 13, “Count the bytes first”"
DIGITS = "chapter 13, “The digits that fast code loses”"

OF_KERNELS = {
    "second-sweep-forgotten": Misconception(
        "Everything is read once. Before the first result is written, sums over the whole channel must be known; so "
        "what was read for them is read again, from memory unless it has stayed in the cache.",
        BYTES,
    ),
    "resident-read-twice": Misconception(
        "The second sweep is charged to memory although all of it is in the cache. Only what comes from memory counts.",
        BYTES,
    ),
    "input-forgotten-backward": Misconception(
        "One of the two inputs of the backward pass is missing. Both sweeps need the incoming gradient and x: the sum "
        "of their product first, and then the part of it along x that is taken out of the gradient.",
        BYTES,
    ),
    "relu-as-own-pass": Misconception(
        "ReLU, or the sum in front of it, is charged a reading and a writing of its own. That is the cost of separate "
        "operations. Fused, the value is still in a register when it is added to and cut off.",
        BYTES,
    ),
    "mask-stored": Misconception(
        "Something is read to know where the ReLU was 0. Behind batch norm alone x says it: the sign of the output is "
        "computed again from a number that is read anyway. Only after a residual was added does x no longer know.",
        BYTES,
    ),
    "residual-not-read": Misconception(
        "The residual is not read. It is as large as x, and to add it means to read all of it once.",
        BYTES,
    ),
    "residual-in-both-sweeps": Misconception(
        "The residual is read in both sweeps. The statistics are those of x alone; it is wanted in the second only.",
        BYTES,
    ),
    "residual-read-backward": Misconception(
        "The backward pass is made to read the residual. The gradient of a sum does not depend on what was added; if "
        "there is a ReLU, it is the output that tells where the sum was negative.",
        BYTES,
    ),
    "residual-gradient-not-written": Misconception(
        "The residual's gradient is missing, wholly or in part. Behind a ReLU it is the masked gradient, which nobody "
        "has yet: the output is read for the mask, and the masked gradient is written.",
        BYTES,
    ),
    "gradient-passed-on-copied": Misconception(
        "A gradient of the residual is written where there is no ReLU. A sum hands the incoming gradient on to both of "
        "its terms as it is, so the tensor that came in serves.",
        BYTES,
    ),
    "bytes-not-accesses": Misconception(
        "Each number is four times too large: these are the bytes of float32. An access is one value read or written, "
        "whatever its dtype, so that one count serves float32 and half precision.",
        BYTES,
    ),
    "pilot-not-added-back": Misconception(
        "The mean is that of what lies above the pilot. The pilot has to be added to it; the variance alone does not "
        "notice a shift.",
        DIGITS,
    ),
    "pilot-changes": Misconception(
        "Each block is measured from a number of its own, and the sums are added as if it were the same. Either one "
        "pilot serves all blocks, or each block keeps its count, mean and sum of squares, and they are merged by the "
        "distances of their means.",
        DIGITS,
    ),
    "not-about-the-mean": Misconception(
        "The squares are taken about the pilot, and what is subtracted is not the square of the mean's distance from "
        "it. The variance is the mean of the squares, less that square; the pilot itself does not appear.",
        DIGITS,
    ),
    "last-block-lost": Misconception(
        "The values behind the last whole block are not looked at. Sizes are seldom multiples of a block: a slice that "
        "reaches beyond the end is simply shorter in NumPy, and masked on a GPU.",
        DIGITS,
    ),
    "block-means-averaged": Misconception(
        "The means of the blocks are averaged as if the blocks were equally long. The last one seldom is: add up sums, "
        "and divide once by the number of values.",
        DIGITS,
    ),
    "statistics-taken-again": Misconception(
        "A mean or a variance is computed from x again, over all of it or over a part. They are given: the first sweep "
        "took them over the whole channel, and whoever takes them once more has three sweeps, or other statistics.",
        BYTES,
    ),
    "relu-before-add": Misconception(
        "The ReLU comes before the sum, so the residual's negative values get through. Batch norm, then the sum, then "
        "the ReLU: the order of a residual block.",
        "chapter 08, “Residual networks”",
    ),
    "residual-normalised": Misconception(
        "The residual is added to x, before the norm, and so it is scaled along with it. It is added to what the norm "
        "gives: that is what keeps the skip connection free of it.",
        BYTES,
    ),
    "residual-not-added": Misconception("The residual has no effect. It is added before the ReLU.", BYTES),
    "relu-missing": Misconception("Negative values are left as they are. The ReLU makes them 0.", BYTES),
    "relu-of-the-residual": Misconception(
        "The ReLU is applied to the residual alone. It comes last, on the sum.", BYTES
    ),
    "nan-becomes-zero": Misconception(
        "A NaN comes out as 0. No comparison with NaN is true: asked whether it is positive it falls to the other "
        "branch. So the network goes on with a plausible number, and nobody learns that something broke. Ask whether "
        "the value is negative.",
        DIGITS,
    ),
    "line-loses-digits": Misconception(
        "y = x * scale + shift with the mean folded into the shift: two large numbers that nearly cancel. At a mean of "
        "a million, neighbouring float32 numbers are 1/16 apart, and so is what is left. x - mean is exact there: "
        "subtract first, then scale.",
        DIGITS,
    ),
}
