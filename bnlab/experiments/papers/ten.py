"""The ten figures. Numbers of a paper stand here only where we saw them; what was measured is never typed."""

from bnlab.experiments.claims import (
    choice,
    convolutional,
    explanations_scale,
    explanations_shift,
    explanations_smoothness,
    faster,
    purpose,
)
from bnlab.experiments.papers import findings
from bnlab.experiments.papers.redrawn import Finding, Redrawn

MODULES = (
    purpose,
    faster,
    convolutional,
    choice,
    explanations_scale,
    explanations_shift,
    explanations_smoothness,
)
CLAIMS = {one.id: one for module in MODULES for one in module.DECLARATIONS}

TEN = (
    Redrawn(
        id="sigmoid-inputs",
        paper="Ioffe & Szegedy 2015, arXiv:1502.03167",
        figure="figure 1",
        reports="With batch norm an MNIST network of 3 layers of 100 sigmoids learns sooner and ends more accurate, "
        "and the inputs of its last sigmoids stay steadier. Direction only.",
        differs="8x8 digits for MNIST; 400 steps, not 50,000; inputs of all last sigmoids, accuracy in validation; the "
        "curves are of 50 sigmoids a layer.",
        findings=(
            Finding(CLAIMS["steps-sigmoid"], "fewer steps to 90%"),
            Finding(findings.HIGHER_ACCURACY, "higher accuracy after 400 steps"),
            Finding(CLAIMS["sigmoid-input-drifts-less"], "smaller range of the sigmoids' inputs"),
        ),
        drawn=("convergence", "input_drift"),
    ),
    Redrawn(
        id="steps-by-rate",
        paper="Ioffe & Szegedy 2015, arXiv:1502.03167",
        figure="the table of steps to 72.2%",
        reports="Inception on ImageNet takes 31.0M steps, with batch norm 13.3M at the same rate and 2.1M at 5 times "
        "the rate (and with less regularisation), at which plain Inception diverges.",
        differs="a ReLU MLP of 3 layers to 90% on digits; nothing but the norm and the rate changes.",
        findings=(
            Finding(CLAIMS["steps-relu-same-rate"], "fewer steps at the plain network's best rate"),
            Finding(findings.LARGER_RATE_WITH_NORM, "fewer steps with norm at the next rate"),
            Finding(findings.LARGER_RATE_HURTS, "more steps without norm at that rate"),
        ),
        drawn=("convergence_relu",),
    ),
    Redrawn(
        id="noisy-norm",
        paper="Santurkar et al. 2018, arXiv:1805.11604",
        figure="noise behind the norms, section 2",
        reports="With noise behind its norms a network's inputs drift more than without norms, and it still trains "
        "well: steady inputs have little to do with what batch norm is worth. Direction only.",
        differs="an MLP of 6 layers on MNIST-1D; one shift and factor for all examples of a step; tested without "
        "noise, on recalibrated statistics.",
        findings=(
            Finding(CLAIMS["noisy-norm-drifts"], "more drift with noisy norm than without norm"),
            Finding(CLAIMS["noisy-norm-better"], "higher accuracy with noisy norm than without norm"),
            Finding(CLAIMS["noisy-norm-fits-worse"], "higher training loss by the noise", against=True),
        ),
        drawn=("noisy_norm",),
    ),
    Redrawn(
        id="landscape",
        paper="Santurkar et al. 2018, arXiv:1805.11604",
        figure="figure 4",
        reports="Along the gradient the loss and its gradient change less with batch norm, all through training: the "
        "landscape is smoother. Direction only.",
        differs="an MLP of 8 layers on MNIST-1D for VGG on CIFAR-10; one fixed batch; a rate of 0.1, and 0.2 beside "
        "it. All four measures have the unit of the weights in them.",
        findings=(
            Finding(CLAIMS["norm-flattens-loss"], "smaller range of the loss"),
            Finding(CLAIMS["norm-steadies-gradient"], "smaller change of the gradient"),
            Finding(CLAIMS["norm-smooths-loss"], "smaller change for the distance moved"),
            Finding(CLAIMS["flatter-at-a-higher-rate"], "smaller range of the loss at twice the rate"),
        ),
        drawn=("landscape",),
    ),
    Redrawn(
        id="activations",
        paper="Bjorck et al. 2018, arXiv:1806.02375",
        figure="activations by depth after a large update",
        reports="Without batch norm large updates make activations grow uncontrollably with depth, and the loss "
        "diverges; with it they cannot. Direction only.",
        differs="a ReLU MLP of 16 layers on MNIST-1D; mean squares after 3 steps at a rate of 1.",
        findings=(Finding(CLAIMS["activations-blow-up"], "more growth of the last activations without norm"),),
        drawn=("activation_growth",),
    ),
    Redrawn(
        id="gradient-growth",
        paper="Yang et al. 2019, arXiv:1902.08129",
        figure="gradient by layer before training",
        reports="In plain networks with batch norm the gradient grows exponentially on its way to the input, and the "
        "norm is the cause; with ReLU by pi/(pi - 1) a layer in its square. Nearer to linear it grows less.",
        differs="widths of 128 and 256, 20 layers, real images; their theory is for wide layers and large batches.",
        findings=(
            Finding(CLAIMS["gradient-grows-toward-input"], "growth over ten layers"),
            Finding(findings.GROWTH_BY_THE_NORM, "more growth with norm than without"),
            Finding(CLAIMS["tanh-smaller-growth"], "less growth with tanh than with ReLU"),
        ),
        drawn=("signal_propagation",),
    ),
    Redrawn(
        id="residual-branch",
        paper="De & Smith 2020, arXiv:2002.10444",
        figure="variance of branch and skip by block",
        reports="At the start batch norm downscales the residual branch beside its skip, by about the root of the "
        "depth: block l adds one part in l of the variance.",
        differs="64 blocks of 16 channels on 4x4 maps of digits.",
        findings=(
            Finding(CLAIMS["branch-small-beside-skip"], "smaller 64th branch with norm than without"),
            Finding(CLAIMS["branch-fades-with-depth"], "smaller 64th branch than 8th"),
        ),
        drawn=("residual_signal",),
    ),
    Redrawn(
        id="batch-size",
        paper="Wu & He 2018, arXiv:1803.08494",
        figure="figure 1",
        reports="ResNet-50 on ImageNet has an error of 23.6% with batch norm at 32 images a worker and 34.7% at 2; "
        "with group norm 24.1% at both.",
        differs="digits; an MLP, where layer norm stands for group norm, and a CNN with maps of 16 positions; one pass "
        "over the data, so large batches have fewer steps.",
        findings=(
            Finding(CLAIMS["batch-of-two-mlp"], "layer norm ahead in an MLP, batches of 2"),
            Finding(CLAIMS["batch-of-two-maps"], "group norm ahead in a CNN, batches of 2"),
        ),
        drawn=("small_batches", "small_batches_cnn"),
    ),
    Redrawn(
        id="gamma-only",
        paper="Frankle, Schwab & Morcos 2020, arXiv:2003.00152",
        figure="accuracy with only gamma and beta trained",
        reports="Deep ResNets reach 82% on CIFAR-10 with nothing but gamma and beta trained, far above as many other "
        "parameters; around a third of the features are switched off.",
        differs="a ResNet of 4 blocks of 16 channels on digits, 150 steps of Adam, 6 seeds.",
        findings=(
            Finding(CLAIMS["affine-over-random"], "gamma and beta ahead of as many weights"),
            Finding(CLAIMS["affine-switches-off"], "share of gammas near 0, less a third"),
        ),
        drawn=("affine_only",),
    ),
    Redrawn(
        id="running-average",
        paper="Wu & Johnson 2021, arXiv:2105.07576",
        figure="running averages beside statistics taken anew (no figure over momentum)",
        reports="A running average lags behind weights that move, and few batches are noisy; statistics taken anew are "
        "steadier; once trained the two are close. Direction only; the sweep over momentum is ours.",
        differs="an MLP of 4 layers on MNIST-1D, not ResNet-50; accuracy against momentum (weight of the new batch).",
        findings=(
            Finding(findings.LAG_COSTS, "cost of momentum 0.01 after 100 steps"),
            Finding(findings.LAG_FADES, "less of it after 1,000 steps"),
            Finding(findings.LAST_BATCH_COSTS, "cost of momentum 1 after 1,000 steps"),
        ),
        drawn=("running_statistics",),
    ),
)
