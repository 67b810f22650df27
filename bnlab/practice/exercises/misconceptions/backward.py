"""Mistakes in the backward pass."""

from bnlab.practice.exercises.misconceptions.misconception import Misconception

BACKWARD = "chapter 04, “Six lines become one”"

OF_THE_BACKWARD_PASS = {
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
    "division-by-count-missing": Misconception(
        "A sum stands where a mean belongs, or the other way round. The mean is 1/m times a sum, so what flows back "
        "through it to each x carries that 1/m; gamma and beta are plain sums, since every value of the channel uses "
        "them.",
        BACKWARD,
    ),
}
