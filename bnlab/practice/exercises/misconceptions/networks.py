"""Mistakes about whole networks: what a branch adds, how it starts, which parameters are a norm's, what gamma says."""

from bnlab.practice.exercises.misconceptions.misconception import Misconception

RESIDUAL = "chapter 08, “Residual networks”"
ALONE = "chapter 08, “Gamma alone”"
PRUNING = "chapter 08, “Is gamma importance?”"

OF_NETWORKS = {
    "skip-not-sum": Misconception(
        "The branch is measured against the skip that it joins, not against their sum. With an input and branches of "
        "variance 1 that is the 1 / l which papers write; the share of what leaves the block is 1 / (l + 1). A share "
        "of the whole has the part itself in the denominator.",
        RESIDUAL,
    ),
    "skip-not-branch": Misconception(
        "This is the skip's share, all that came before. The branch has the rest.",
        RESIDUAL,
    ),
    "variances-ignored": Misconception(
        "The given variances are not used. 1 / l and 1 / (l + 1) hold where the input and each branch have variance 1; "
        "here they may have any.",
        RESIDUAL,
    ),
    "input-left-out": Misconception(
        "What came into the first block is forgotten. The skip carries it through all blocks, so it belongs to the "
        "variance behind each of them; without it the first branch would make up the whole of its block's output.",
        RESIDUAL,
    ),
    "end-for-every-block": Misconception(
        "Every branch is measured against the variance behind the last block. Block 3 does not see what block 30 will "
        "add: behind it stand the input and the branches so far, a running sum (`np.cumsum`).",
        RESIDUAL,
    ),
    "branches-so-far": Misconception(
        "All branches up to the block are counted. Together they soon make up nearly everything; asked for is what the "
        "block's own branch has brought, and that shrinks from block to block.",
        RESIDUAL,
    ),
    "branches-alone": Misconception(
        "The earlier branches are forgotten. The skip carries on what each of them has added, so the variance behind a "
        "block is a running sum; each branch then joins a larger signal than the one before.",
        RESIDUAL,
    ),
    "deviations-added": Misconception(
        "Variances and standard deviations are mixed. Of uncorrelated signals the variances add up, not the standard "
        "deviations: 3 and 4 give 5. The arguments are variances already, and so is the share.",
        RESIDUAL,
    ),
    "signed-gamma": Misconception(
        "The gammas are ranked with their signs, so a large negative one comes first. A gamma of -2 scales its channel "
        "as much as one of 2: rank `np.abs(gamma)`.",
        PRUNING,
    ),
    "largest-pruned": Misconception(
        "The largest scales are switched off. A channel with a small gamma says little to the next layer, so that is "
        "where pruning begins; what it costs, and whether a small gamma says anything, is another matter.",
        PRUNING,
    ),
    "kept-not-pruned": Misconception(
        "k is taken for the number of channels that stay. It is the number to switch off.",
        PRUNING,
    ),
    "beta-ranked": Misconception(
        "Beta has a part in the ranking. It moves a channel without changing how much it varies: the same for every "
        "example, it tells nothing about any of them. How much of the signal passes is what gamma says.",
        PRUNING,
    ),
    "ranks-not-places": Misconception(
        "`argsort` twice gives each channel's rank, not the places of the smallest. Once is what is needed: "
        "`np.argsort(np.abs(gamma))[:k]` are the places themselves. On a sorted gamma the two look alike.",
        PRUNING,
    ),
    "beta-left": Misconception(
        "Beta is left as it was. With gamma 0 the channel still gives its beta, the same number for every input, and "
        "the next layer adds it up: the channel is constant, not off.",
        PRUNING,
    ),
    "gamma-left": Misconception(
        "Gamma is left as it was, so the channel goes on as before, only moved. With gamma 0 nothing of the input "
        "passes.",
        PRUNING,
    ),
    "channels-removed": Misconception(
        "The channels are cut out, which changes the shape. Then the convolution before and the layer behind have to "
        "lose them too. Setting both numbers to 0 switches them off with every shape as it was.",
        PRUNING,
    ),
    "one-threshold-too-far": Misconception(
        "One channel too many is switched off. The k-th smallest stands at place k - 1 of the sorted ones; at place k "
        "stands the first that is to stay.",
        PRUNING,
    ),
    "every-parameter": Misconception(
        "The list holds every parameter. Convolutions and linear layers call theirs weight and bias as well: what "
        "makes a parameter a gamma or a beta is the module that it belongs to.",
        ALONE,
    ),
    "one-dimensional-taken": Misconception(
        "Everything of one dimension is taken. The biases of convolutions and linear layers are vectors too; the short "
        "cut finds gammas and betas only where every other layer goes without a bias.",
        ALONE,
    ),
    "found-by-name": Misconception(
        "The norms are looked for by their names. A name is whatever its author wrote: in an `nn.Sequential` it is a "
        "number, “subnet” holds the letters bn, and a layer called norm may be anything. Ask `isinstance` of the "
        "module.",
        ALONE,
    ),
    "children-only": Misconception(
        "`children()` gives only what stands directly in the model. A norm within a block within a container is "
        "missed; `modules()` goes all the way down.",
        ALONE,
    ),
    "one-kind-of-norm": Misconception(
        "One kind of batch norm is missed. Tables and vectors have BatchNorm1d, images BatchNorm2d, and a network may "
        "hold both; neither is a subclass of the other.",
        ALONE,
    ),
    "half-of-the-affine": Misconception(
        "Only gamma or only beta is listed. Gamma, called weight, scales a channel and beta, called bias, moves it; "
        "both are trained.",
        ALONE,
    ),
    "not-the-parameters": Misconception(
        "These tensors are no parameters of the model. What `state_dict()` holds, `.data`, `.detach()` and a copy have "
        "the values, but no gradient arrives there, and an optimiser with them trains nothing. Hand over the "
        "parameters themselves.",
        ALONE,
    ),
    "none-in-the-list": Misconception(
        "A norm with `affine=False` has None in the place of weight and bias, and None is in your list: an optimiser "
        "refuses it. `norm.parameters()` gives what there is.",
        ALONE,
    ),
    "twice-in-the-list": Misconception(
        "A norm that stands in two places of the model is listed twice. It is one module with one gamma and one beta; "
        "`model.modules()` gives it once, a walk through the children has to remember what it has seen.",
        ALONE,
    ),
    "norms-left-out": Misconception(
        "The list is the complement: all parameters but gammas and betas. That is what weight decay usually gets; here "
        "the norms were to be trained alone.",
        ALONE,
    ),
    "first-gamma": Misconception(
        "The first norm of the branch is silenced, not the last. The branch does give 0 then. But the layers behind "
        "that norm see a constant and relu passes no gradient at 0, so neither gamma ever gets one: the branch stays "
        "dead. With the last gamma at 0, that gamma moves at the first step and wakes the rest.",
        RESIDUAL,
    ),
    "second-not-last": Misconception(
        "The second norm is taken for the last. A branch of three convolutions (a bottleneck, as in ResNet-50) has "
        "three norms; in the middle one the zero leaves a constant behind, and the branch never wakes.",
        RESIDUAL,
    ),
    "every-gamma": Misconception(
        "Every gamma is 0. Behind the first of them there is only a constant: the last gamma's gradient, a sum of "
        "grad_y * x_hat, is 0 as well, and the branch never wakes. One zero, at the very end, is enough; a zero in the "
        "stem silences the input itself.",
        RESIDUAL,
    ),
    "norm-of-the-skip": Misconception(
        "The norm of a skip is silenced. Where the shape changes the skip has a convolution and a norm of its own, and "
        "as it is defined after the branch, it is the last norm of the block's modules. It carries the signal; take "
        "the last norm of `block.branch`.",
        RESIDUAL,
    ),
    "gamma-unchanged": Misconception(
        "No gamma has changed. Beta is 0 from the start, so setting it does nothing; an operation without the "
        "underscore, such as `mul(0)`, makes a new tensor and leaves the parameter as it was.",
        RESIDUAL,
    ),
    "weights-not-gamma": Misconception(
        "The last convolution is set to 0. A norm follows it: its input is constant, its variance 0, so its gradient "
        "is multiplied by 1 / sqrt(eps), about 316, and the first step throws the weights far away. Silence what comes "
        "last, the norm's gamma.",
        RESIDUAL,
    ),
    "gamma-frozen": Misconception(
        "The last gamma is 0, and frozen: with `requires_grad` off it stays 0 for good, and the branch with it. It is "
        "to start at 0 and be trained.",
        RESIDUAL,
    ),
    "one-block-alone": Misconception(
        "Only one block is changed. Signal and gradient pass through all of them, so each is to start with its skip "
        "alone.",
        RESIDUAL,
    ),
    "gamma-nearly-zero": Misconception(
        "The last gammas are small, not 0, so each block still adds something. 0 costs nothing: gamma gets its "
        "gradient at 0 as well, from x_hat, and every block starts as its skip exactly.",
        RESIDUAL,
    ),
}
