"""Mistakes of the clinic: what accumulation is taken for, norms that are half frozen, domains that share a mean."""

from bnlab.practice.exercises.misconceptions.misconception import Misconception

ACCUMULATION = "chapter 10, “Accumulation is no large batch”"
FREEZING = "chapter 10, “Fine-tuning with moving statistics”"
DOMAINS = "chapter 10, “One norm, two domains”"

OF_THE_CLINIC = {
    "accumulation-counted": Misconception(
        "The accumulated batches are counted among the examples of a mean. Each of them passes through the network by "
        "itself and is normalised by itself, before the next is even loaded. What adds up over them are gradients.",
        ACCUMULATION,
    ),
    "never-synchronised": Misconception(
        "SyncBatchNorm makes no difference in this. It exists to pool the statistics: a mean is then over the batches "
        "of all processes.",
        "chapter 14, “Several machines”",
    ),
    "always-synchronised": Misconception(
        "The statistics are pooled although the norms are not synchronised. Data parallelism averages gradients and "
        "leaves each process's batch norm alone with its own batch, unless SyncBatchNorm is asked for.",
        "chapter 14, “Several machines”",
    ),
    "step-of-one-process": Misconception(
        "The gradient is that of one process. Data parallelism averages the gradients of all, whether or not the norms "
        "are synchronised, so every process's examples are behind a step.",
        "chapter 14, “Several machines”",
    ),
    "step-of-one-batch": Misconception(
        "The accumulated batches are missing behind the step. The optimiser steps once for all of them, on the sum of "
        "their gradients: that is what accumulation is for.",
        ACCUMULATION,
    ),
    "batch-split": Misconception(
        "The batch is divided among the processes. Here batch_size is what each process takes, as a loader in each "
        "process gives it; eight processes pass eight such batches.",
        "chapter 14, “Several machines”",
    ),
    "only-parameters-frozen": Misconception(
        "The parameters are frozen, the statistics are not. `requires_grad` keeps the optimiser away; the running mean "
        "and variance are moved by a forward pass in training mode, and the batch still normalises. Here gamma and "
        "beta were to be trained, and the statistics to stay.",
        FREEZING,
    ),
    "gradients-off-too": Misconception(
        "The statistics stay, and parameters that were to be trained have lost their gradient. A frozen norm is a "
        "constant scale and shift, and its gamma and beta can go on learning; so can everything else.",
        FREEZING,
    ),
    "nothing-frozen": Misconception(
        "The norms work as before: the batch normalises, and the running statistics move. Buffers have no gradient to "
        "be switched off, momentum only sets how fast they follow, and a container's `train()` reaches all that it "
        "holds. Each norm has to be in evaluation mode at the end.",
        FREEZING,
    ),
    "batch-still-normalises": Misconception(
        "The stored statistics no longer move, and they are not used either: the layer is still in training mode and "
        "normalises by the batch. So it trains one function and serves another. The mode decides by what is "
        "normalised, momentum only how fast the store follows.",
        FREEZING,
    ),
    "whole-network-in-eval": Misconception(
        "The whole network is in evaluation mode. The norms are frozen, and so is the dropout: nothing is dropped any "
        "more. Each module has its own mode; change the norms' alone.",
        FREEZING,
    ),
    "statistics-thrown-away": Misconception(
        "The stored statistics are gone, set back to mean 0 and variance 1 or deleted. They belong to the pretrained "
        "weights, and normalising by them is what freezing means.",
        FREEZING,
    ),
    "domains-pooled": Misconception(
        "All rows share one mean and variance. Where the domains lie apart, that mean lies between them, and most of "
        "the variance is the distance between the two: in its own domain every row then looks alike.",
        DOMAINS,
    ),
    "half-pooled": Misconception(
        "One of the two statistics is the domain's own, the other is shared. The mean of all rows centres neither "
        "domain, their variance contains the distance between the two, and a spread averaged over both fits neither.",
        DOMAINS,
    ),
    "of-the-other-domain": Misconception(
        "A domain is normalised by the statistics of the other. That is what a network does in service when it was "
        "trained on one domain alone; in training each has its own.",
        DOMAINS,
    ),
    "rows-sorted": Misconception(
        "The rows come out in another order, one domain after the other. Labels and everything else that belongs to a "
        "row no longer fit. Write each domain into its own rows: `y[domain == 0] = ...`.",
        DOMAINS,
    ),
    "halves-for-domains": Misconception(
        "The first half of the batch is taken for one domain, the second for the other. Only `domain` says which is "
        "which: rows come in any order, and the domains need not be of equal size.",
        DOMAINS,
    ),
    "one-domain-left-out": Misconception(
        "The rows of one domain are never written. The loop has to visit both.",
        DOMAINS,
    ),
}
