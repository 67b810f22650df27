"""Mistakes on the capstone's blank page that the exercises do not know: conventions mixed up, padding, frozen norms."""

from bnlab.practice.exercises.misconceptions.misconception import Misconception

CONVENTIONS = "chapter 05, “One average, four conventions”"
PADDING = "chapter 09, “Padding is not data”"

OF_THE_CAPSTONE = {
    "batch-gradient-in-evaluation": Misconception(
        "The backward of training is used in evaluation too. There the statistics are constants, and no gradient flows "
        "through them: what is left is `weight * inv_std * grad_y`. Whoever fine-tunes with frozen norms needs it.",
        "chapter 04, “If the statistics are detached”",
    ),
    "momentum-of-pytorch": Misconception(
        "Momentum weighs the new value, as in PyTorch. Keras's weighs the old one: `momentum * old + (1 - momentum) * "
        "new`, so that its 0.99 is PyTorch's 0.01.",
        CONVENTIONS,
    ),
    "unbiased-running-var": Misconception(
        "The running variance takes in the unbiased variance of the batch, as PyTorch's does. Keras keeps the biased "
        "one, by which the batch was normalised.",
        CONVENTIONS,
    ),
    "other-defaults": Misconception(
        "Epsilon or momentum has another default than the page asks for. Frameworks differ in both, by a factor of 100 "
        "in epsilon; weights that move between them keep neither.",
        CONVENTIONS,
    ),
    "padding-not-zero": Misconception(
        "The padding comes out as something else than 0. The shift reaches it, or the mean that was subtracted does, "
        "and the next layer takes it for data.",
        PADDING,
    ),
    "gradient-of-padding": Misconception(
        "A gradient reaches the padding, or comes from it. What was masked on the way there is masked on the way back: "
        "it adds nothing to the sums, and its own gradient is 0.",
        PADDING,
    ),
}
