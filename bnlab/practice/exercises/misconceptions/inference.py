"""Mistakes around inference: running statistics, modes, and statistics of several sets."""

from bnlab.practice.exercises.misconceptions.misconception import Misconception

INFERENCE = "chapter 05"

OF_INFERENCE = {
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
    "momentum-flipped": Misconception(
        "Momentum weighs the old value. PyTorch's is the weight of the *new* one: `(1 - momentum) * old + momentum * "
        "new`. Keras and Flax mean the opposite, so their 0.99 is 0.01 here.",
        "chapter 05, “One average, four conventions”",
    ),
    "first-batch-too-heavy": Misconception(
        "The average starts at the first batch's variance, which then keeps the weight of the start: "
        "`(1 - momentum) ** (t - 1)`, far more than the batches after it. Start at 0 and divide by the weights so far.",
        "chapter 05, “Find what is wrong”",
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
        "chapter 14, “Several machines”, for the formula; `bnlab.reference.variance.merge` is its code",
    ),
    "unweighted-average": Misconception(
        "Sets of different size count alike. A set of ten values weighs ten times as much as a single value.",
        "`bnlab.reference.variance.merge`",
    ),
    "mode-not-restored": Misconception(
        "The model is handed back in another mode, with another momentum or with other weights than it came with. A "
        "function that measures puts back what it changed.",
        INFERENCE,
    ),
}
