"""Mistakes about why batch norm works: which shift is meant, what scale and decay do, and where gradients grow."""

from bnlab.practice.exercises.misconceptions.misconception import Misconception

SHIFT = "chapter 12, “1. Internal covariate shift”"
SCALE = "chapter 12, “3. Scale invariance”"
DEPTH = "chapter 12, “4. Signal propagation”"

OF_EXPLANATIONS = {
    "both-moved-at-once": Misconception(
        "The layers below and the layer itself have both moved here. A gradient also moves when its own weights move: "
        "that is curvature, and every optimiser has to live with it. To tell the causes apart, move one and leave the "
        "other where it was.",
        SHIFT,
    ),
    "other-at-its-end": Misconception(
        "One of them moves, rightly, but the other one stands where it ends. Each makes its step without knowing that "
        "the other moves at the same time, so both changes are taken from where the step begins.",
        SHIFT,
    ),
    "weights-not-gradient": Misconception(
        "This is how far the weights have moved. Those below may move far and change nothing, as when a norm stands "
        "behind them and they only grow longer. What counts is what this layer gets to see of it: its gradient.",
        SHIFT,
    ),
    "lengths-compared": Misconception(
        "The difference of two lengths is taken. A gradient that turned round has the same length and points the other "
        "way. Subtract the gradients, then take the norm of what is left.",
        SHIFT,
    ),
    "change-not-taken": Misconception(
        "This is the norm of one gradient. A large gradient that stays what it was is no shift. Subtract the one "
        "before.",
        SHIFT,
    ),
    "distance-not-euclidean": Misconception(
        "This is not the Euclidean norm of the change: square each entry, add, and take the root. A mean depends on "
        "how many weights the layer has, and `np.linalg.norm(a, 2)` of a matrix is its largest singular value.",
        SHIFT,
    ),
    "shift-made-relative": Misconception(
        "The change is divided by the length of the gradient. That is a fair question too, but another one: near a "
        "minimum it grows although nothing moves much. The definition is the plain norm.",
        SHIFT,
    ),
    "one-factor-of-two": Misconception(
        "One factor is forgotten. The step must be `factor` times as long, since the weights are; and the gradient has "
        "become `factor` times smaller. The rate has to make up for both: `factor**2`.",
        SCALE,
    ),
    "rate-moved-against": Misconception(
        "The rate moves the wrong way. Longer weights have a smaller gradient, and need a longer step to turn as far: "
        "the rate goes up with them.",
        SCALE,
    ),
    "rate-left": Misconception(
        "The rate stays what it was. The network computes the same now, but not after the next step: with weights "
        "twice as long, a step at the same rate turns them a quarter as far.",
        SCALE,
    ),
    "decay-left": Misconception(
        "The decay stays what it was. In a step a weight loses the share `learning_rate * decay` of itself. The rate "
        "has changed, so that share has; it must not, whatever the length of the weights.",
        SCALE,
    ),
    "decay-moved-with-the-rate": Misconception(
        "The decay moves with the rate. Their product is the share that a weight loses in a step, and it is to stay "
        "what it was. So one goes up as the other goes down.",
        SCALE,
    ),
    "decay-by-one-factor": Misconception(
        "The decay has lost one factor of two. The share that is lost, rate times decay, must stay: what the rate "
        "wins, `factor**2`, the decay loses.",
        SCALE,
    ),
    "weight-left": Misconception("The weights are to be multiplied as well: that was where it began.", SCALE),
    "power-off-by-one": Misconception(
        "The power is off by one. Begin with a single step: with decay it ends at kept * w - rate * g, which is kept "
        "times w - (rate / kept) * g. So the first rate is rate / kept already; each later one has two powers more.",
        SCALE,
    ),
    "gradient-not-rescaled": Misconception(
        "One reason of two is counted. Without decay the weights are longer, so a step must be longer to turn them as "
        "far; and their gradient is smaller for the same reason. Each gives a power of `kept` a step: together two.",
        SCALE,
    ),
    "schedule-falls": Misconception(
        "The rate falls where it should grow. Decay shortens the weights, and shorter weights turn further in a step. "
        "Whoever leaves decay out has to raise the rate to get that.",
        SCALE,
    ),
    "rate-not-in-the-loss": Misconception(
        "The share that a weight loses in a step is not `decay` but `learning_rate * decay`: here the decay is part of "
        "the gradient, as in `torch.optim.SGD`, and the rate multiplies both.",
        SCALE,
    ),
    "growth-not-compounded": Misconception(
        "The growth is added up, where each step multiplies. For a few steps with a small decay nobody would see it. "
        "After 50 steps that keep 0.99, the factor is 2.70, and not 1.99.",
        SCALE,
    ),
    "growth-in-continuous-time": Misconception(
        "The exponential is the limit of many tiny steps. Steps here are finite: 1 / (1 - x) is not exp(x), and at a "
        "share of 0.1 the two part by half a percent in each factor.",
        SCALE,
    ),
    "rate-constant": Misconception(
        "One rate serves every step. With decay the length of the weights changes from step to step, so what is to "
        "stand in for it has to change too.",
        SCALE,
    ),
    "mean-square-taken": Misconception(
        "The mean square stands where the variance belongs. ReLU gives a positive mean; the next norm subtracts it and "
        "divides by what is left. With the mean square, ReLU comes out at 1, no growth at all: the mean is the whole "
        "effect.",
        DEPTH,
    ),
    "squared-norm-growth": Misconception(
        "This is the growth of the squared norm: π / (π - 1) = 1.467 for ReLU. Of the norm it is the root, 1.211. Both "
        "are quoted, so say which.",
        DEPTH,
    ),
    "slopes-not-squared": Misconception(
        "The slopes are averaged as they are. The squared gradient is multiplied by the square of each slope. For "
        "ReLU, whose slopes are 0 and 1, nobody can tell; for any other activation one can.",
        DEPTH,
    ),
    "slopes-centred": Misconception(
        "The mean of the slopes is taken out. A norm centres outputs on the way forward; a slope multiplies the "
        "gradient as it is, so its mean square counts.",
        DEPTH,
    ),
    "deviation-not-variance": Misconception(
        "Deviations are averaged. In front of the next norm random weights add up channels, and what adds is their "
        "variances: average these, then take the root with the rest.",
        DEPTH,
    ),
    "channels-pooled": Misconception(
        "The variance is taken over examples and channels together, so that channels with different means seem to "
        "vary. A norm sees, in each unit, how examples differ: take the variance over examples, channel by channel.",
        DEPTH,
    ),
    "variance-of-an-example": Misconception(
        "The variance is taken within each example, over its channels, as layer norm would. Batch norm's is over the "
        "examples, `axis=0`.",
        DEPTH,
    ),
    "growth-downward": Misconception(
        "The variance is on the wrong side. A norm divides by the deviation it finds, on the way back too: where "
        "outputs vary little, gradients grow.",
        DEPTH,
    ),
    "growth-by-channel": Misconception(
        "There is a number for each channel, where one for the layer was asked for. Random weights mix all channels: "
        "average the variances and the squared slopes first.",
        DEPTH,
    ),
}
