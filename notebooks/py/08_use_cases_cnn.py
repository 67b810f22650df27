# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py//py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What does batch norm do in a convolutional network?
#
# **You will** shift an image and see which norm follows, move the norm to the other side of the ReLU, measure what the
# 64th branch of a residual network still adds, and take the channels out that gamma calls unimportant. **You learn**
# why one mean serves a whole channel, what batch norm does for depth and what it does not, and when gamma may be read
# as importance. **You need** 45 minutes, and chapters [01](01_definition.ipynb), [02](02_purpose.ipynb) and
# [05](05_mechanism_inference.ipynb).
#
# Batch norm became famous in convolutional networks, and there it has stayed. This chapter asks what it does in them,
# place by place.
#
# ## First, from memory
#
# Answer aloud before you unfold.

# %%
from copy import deepcopy

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from bnlab import figures
from bnlab.experiments import studies
from bnlab.experiments.claims import ledger
from bnlab.experiments.data import digits
from bnlab.experiments.intervals import t_interval
from bnlab.experiments.models import ResidualBlock, cnn
from bnlab.experiments.training import train
from bnlab.layers import BatchNorm1d, BatchNorm2d
from bnlab.notebook import setup, takeaway
from bnlab.practice import ask, check, predict, recall, reveal

setup()
claims, data = ledger(), digits()

# %%
recall("08")

# %% [markdown]
# ## One mean for each channel
#
# A feature map has the shape $(N, C, H, W)$: $N$ images, $C$ channels, $H$ rows, $W$ columns. Batch norm takes one mean
# and one variance for each channel, over the other three axes. Two images of one channel and two pixels, (1, 3) and (5,
# 7): the mean of the four is 4, the variance 5, so 1 becomes $(1-4)/\sqrt5=-1.34$.
#
# Why not a mean for each position? Because of **weight sharing**. A convolution slides one filter over the image, and
# its outputs at all positions are one and the same feature. If the image moves, the feature map moves with it. A norm
# that treats all positions alike keeps that; one with a mean for each position does not. We move one image of 64 by two
# columns (around the edge, so that nothing is lost) and look whether its map moves too:

# %%
pixels = torch.tensor([1.0, 3.0, 5.0, 7.0]).view(2, 1, 1, 2)
print("by hand:", BatchNorm2d(1)(pixels).detach().flatten().numpy().round(2))
filters = nn.Conv2d(1, 8, 3, padding=1, padding_mode="circular", bias=False)
images = data.train.x[:64]
shifted = torch.cat([images[:1].roll(2, dims=-1), images[1:]])
per_position = nn.Sequential(nn.Flatten(), BatchNorm1d(8 * 8 * 8), nn.Unflatten(1, (8, 8, 8)))
follows = {}
for name, norm in (("one mean a channel", BatchNorm2d(8)), ("one mean a position", per_position)):
    before, after = norm(filters(images))[0], norm(filters(shifted))[0]
    follows[name] = torch.allclose(after, before.roll(2, dims=-1), atol=1e-4)
    print(f"{name}: the map moves with the image: {follows[name]}")
takeaway(
    "One mean for each channel suits shared weights: the map of a moved image is the moved map.",
    follows["one mean a channel"] and not follows["one mean a position"],
)

# %% [markdown]
# So the statistics of a channel rest on $m = N \cdot H \cdot W$ values. Is a batch of 2 with 8x8 maps as good as one of
# 128 without positions? The 64 values of one image need not be independent.
#
# Compare two variances: $v$, that of all values of a channel, and $V$, that of the *means* of single images. Were the
# 64 values independent, $V$ would be $v/64$. So $v/V$ is the number of independent values that one image is worth, its
# **effective number**. For two images with the values (1, 1) and (3, 3) both variances are 1: two positions are worth
# one. We measure it behind each of the four convolutions of a small network, before training and after:


# %%
def effective_number(maps):
    """v / V of the median channel."""
    each = maps.var((0, 2, 3), correction=0) / maps.mean((2, 3)).var(0, correction=0)
    return each.median().item()


@torch.no_grad()
def convolved(network):
    """What each convolution gives for all training images."""
    layers = [deepcopy(network)[:end] for end, layer in enumerate(network, start=1) if isinstance(layer, nn.Conv2d)]
    return [layer(data.train.x) for layer in layers]


# %% tags=["nbval-ignore-output"]
model = cnn(1, 10, depth=4, width=8, norm=BatchNorm2d, generator=torch.Generator().manual_seed(0))
maps = {"untrained": convolved(model)}
train(model, data.train, learning_rate=0.3, seed=0, steps=150, batch_size=32)
maps["trained"] = convolved(model)
worth = {name: [effective_number(values) for values in found] for name, found in maps.items()}
for name, found in worth.items():
    print(f"{name:9}: 64 positions are worth, behind convolutions 1 to 4:", *(f"{number:.0f}" for number in found))
first = maps["trained"][0]
print(f"the 1st, without what is the same in all images: {effective_number(first - first.mean(0)):.0f}")
takeaway(
    "Behind the last convolution of a trained network the positions of an image are far from independent: the count "
    "N x H x W overstates how much a batch knows. Before training they were worth many times as much.",
    worth["trained"][-1] < 64 / 4 and worth["untrained"][-1] > 3 * worth["trained"][-1],
)

# %% [markdown]
# Behind the last convolution of the trained network 64 positions are worth a handful: its channels have come to be high
# all over an image or low all over it, which suits a head that reads their average. Training made that; the untrained
# network has nothing of it. Behind the first convolution it is *more* than 64, before training and after. A part of $v$
# there is how the positions differ in all images alike (the borders are blank), and that moves no image's mean; without
# it the number is about what independence would give. When somebody tells you that batch 2 suffices because the maps
# are large, ask for $v/V$.
#
# ## Before or after the activation
#
# Ioffe and Szegedy put the norm between convolution and ReLU, where gamma and beta set which part of the values gets
# through. Behind the ReLU, the next convolution reads channels with mean 0 and variance 1. Both are used. A network of
# four convolutions with eight channels, on digits, 100 steps of SGD, ten seeds, each arm at its own best rate (without
# a norm the convolutions have biases; behind the last ReLU the norm also feeds the head):

# %%
placed = studies.result("norm_placement")
title = "Either place is far better than no norm; at each one's best rate the two hardly differ"
figures.accuracy_by_rate_and_place(placed, title=title)

# %% [markdown]
# Left, accuracy by learning rate; right, every seed at its arm's best rate, with the 95% interval of the mean. Without
# a norm the network gets about half of the images right after these 100 steps (0% is a run that diverged). At each
# one's best rate there is little between the two places. At smaller rates the place behind the ReLU is ahead, and at a
# rate of 3 it breaks down and the other does not. All this is in evaluation, with the statistics of *all training
# images*. Now see what the same networks do with the statistics that ran along in training:

# %%
for arm in ("before", "after"):
    exact, running = (100 * accuracy[arm].mean() for accuracy in (placed.test, placed.running))
    print(f"{arm:6} the ReLU: {exact:.0f}% by exact statistics, {running:.0f}% by running ones")
slow = t_interval(100 * (placed.validation["after"][0] - placed.validation["before"][0]))
lag = t_interval(100 * (placed.running["after"] - placed.running["before"]))
for name, gap in {"a rate of 0.1, exact": slow, "the best rate, running": lag}.items():
    print(f"after against before, {name} statistics: {gap.estimate:+.1f} [{gap.low:+.1f}, {gap.high:+.1f}] points")
for name in ("norm-in-a-cnn", "norm-before-better"):
    print(claims[name].summary)
takeaway(
    "That the norm must stand before the ReLU did not show: whether there is one matters much more. At the best rate "
    "the lead of the place behind it, judged by running statistics after 100 steps, is lag.",
    claims["norm-in-a-cnn"].effect > 5 * abs(claims["norm-before-better"].effect)
    and claims["norm-before-better"].verdict == "not supported here"
    and lag.low > 0,
)

# %% [markdown]
# We were misled by this ourselves, in a first version of this comparison. After few steps at a large rate running
# statistics lag behind the weights (chapter [05](05_mechanism_inference.ipynb)), here more before the ReLU. So compare
# architectures after recalibration.
#
# ## Residual networks
#
# A residual block computes $x_{l+1} = x_l + f_l(x_l)$: the **skip connection** hands $x_l$ on as it is, the **branch**
# $f_l$ adds something. How much? Variances of uncorrelated signals add. If the input has variance 1 and every branch
# adds 1, the sum has variance 2 behind the first block, 3 behind the second, $l+1$ behind the $l$-th. So the $l$-th
# branch adds 1 to a skip of variance $l$: the ratio branch/skip is $1/l$. Of what *leaves* the block it has brought
# $1/(l+1)$, and that share is your first exercise, for branches of any size:


# %%
def my_branch_share(input_variance, branch_variances):
    """Of the variance behind each block of a residual network: the share that the block's own branch has brought.

    input_variance is that of the first block's input, one number; branch_variances has shape (blocks,), the variance of
    what each branch adds to its skip, in order. The result has that shape too. Skip and branch are uncorrelated.
    """
    ...


check("branch_share", my_branch_share)

# %% [markdown]
# Without a norm, He's initial weights make the branch grow with what it is given: ten times the input, ten times the
# branch. With a norm at its beginning it is of one size, whatever it reads. **Predict before you run.**

# %%
predict("branch-at-block-64")

# %%
signal = studies.result("residual_signal")
for arm in signal.branch:
    ratios = [float(np.median(signal.ratio_at(arm, block))) for block in (8, 16, 32, 64)]
    print(f"{arm:10} branch / skip at blocks 8, 16, 32, 64:", *(f"{ratio:.3f}" for ratio in ratios), end="; ")
    print(f"the sum before the last block: {np.median(signal.skip[arm][-1]):.2g}")
title = "With batch norm the l-th branch is about 1/l of what it joins; without, about a half"
figures.branch_by_block(signal, title=title)

# %% [markdown]
# Untrained networks of 64 blocks, variances over examples and positions, every seed within the band. With batch norm at
# the beginning of the branch, and nothing behind the sum (`batch_norm`), the branch follows the dashed line $1/l$ from
# about block 24 on, and lies below it before: deep down, each block only retouches. With a ReLU behind each sum, as in
# the first ResNets (`original`, light blue), it is the same law with a factor, and the first two branches are larger
# than their skips. Without a norm, each block adds about half of what is there (in theory as much as is there; on maps
# of $4\times4$ zero padding probably costs each of its two convolutions a third), again and again, and that is compound
# interest: see the end of each line.
#
# Why this helps: all but the first blocks are close to the identity at the start, so neither the signal nor the
# gradient is multiplied 64 times by something. De and Smith, who made the case for this law, put the same into a
# network without a norm: a number in front of each branch that starts at 0. They call it **SkipInit**.

# %%
small, fading = claims["branch-small-beside-skip"], claims["branch-fades-with-depth"]
for claim in (small, fading):
    print(claim.summary)
takeaway(
    "In an untrained residual network with batch norm in the branches, a deep branch is small beside its skip: about "
    "1 / l at block l, or a fixed multiple of that with a ReLU behind each sum.",
    small.verdict == fading.verdict == "supported"
    and all(0.8 < block * np.median(signal.ratio_at("batch_norm", block)) < 1.2 for block in (16, 32, 64))
    and all(2.3 < block * np.median(signal.ratio_at("original", block)) < 2.9 for block in (16, 32, 64)),
)
reveal("branch-at-block-64")

# %% [markdown]
# One can go all the way. The last thing in the branch of the first ResNets' block is a norm; start *its* gamma at 0,
# and the branch is silent (Goyal et al. 2017). The ReLU behind the sum changes nothing in what is not negative, and
# that is what the block before it handed on: so the block is the identity. Can it still learn? Look at the gradients:

# %%
block, x = ResidualBlock(4, BatchNorm2d), torch.rand(8, 4, 6, 6)
last = block.branch[-1]
nn.init.zeros_(last.weight)
y = block(x)
(y * torch.randn_like(y)).sum().backward()
moving = {name: parameter.grad.abs().max().item() > 0 for name, parameter in block.named_parameters()}
print("the block is the identity:", torch.equal(y, x))
print("receives a gradient:", ", ".join(name for name, moves in moving.items() if moves))

# %% [markdown]
# Only that gamma and its beta move at first; once gamma has left 0, so does all that comes before it in the branch. Is
# the start as the identity worth it for a small ResNet? Four blocks on digits, 80 steps, each arm at its best rate, by
# exact statistics again:

# %%
nets = studies.result("small_resnet")
for arm in nets.test:
    print(f"{arm:13} rate {nets.best_rate(arm):4g}: test {100 * nets.test[arm].mean():.1f}%", end=", ")
    print(f"training {100 * nets.train[arm].mean():.1f}%")
normed, zeroed = claims["norm-in-a-resnet"], claims["zero-gamma-sooner"]
for claim in (normed, zeroed):
    print(claim.summary)
takeaway(
    "Starting the last gamma of each branch at 0 makes each block the identity and leaves it trainable. In this "
    "small network it is no gain: it is behind after 80 steps.",
    torch.equal(y, x) and moving["branch.4.weight"] and zeroed.interval[1] < 0,
)

# %% [markdown]
# With the branches silent at first, the network has nothing but its **stem** (the convolution in front of the blocks)
# and its head (the linear layer behind them) to begin with, and 80 steps are few. That is no verdict on Goyal et al.,
# who used it for batches of thousands on ImageNet, nor on deeper networks.
#
# ## How deep
#
# Does batch norm make depth possible? For plain networks there are two forces. It keeps the signal at one size, which
# helps. And on the way back it lets the gradient grow from layer to layer (chapter 02), which harms more the deeper the
# network is. In residual networks the branches fade, and there is little left to grow. We ask what can be *fitted* in
# 120 steps. The layers are fully connected here, with ReLU, of 32 units, since 40 convolutions would take too long.
# Each arm chooses, at each depth, among three rates around the best that a coarser search had found (of the residual
# network without a norm at 40 layers a factor of ten apart: its signal starts huge, and its rates are tiny). Batch norm
# is judged by the statistics of all training images, since 120 steps are few for running ones to settle in:

# %%
deep = studies.result("depth")
for arm in deep.train:
    depths = zip(deep.config.depths_of(arm), deep.best_rates(arm), deep.train[arm], strict=True)
    print(f"{arm:13}", *(f"{n} layers: {100 * seeds.mean():.0f}% at rate {rate:g};" for n, rate, seeds in depths))
title = "Batch norm helps 20 plain layers, hardly 40; with skip connections it trains 40"
figures.accuracy_by_depth(deep, title=title)

# %% [markdown]
# Lines join the medians. Left, plain networks: four layers need no help, at 20 batch norm helps much, and at 40 nobody
# fits much, with it or without. Right, with skip connections: without a norm 40 layers are as hopeless as plain ones,
# with batch norm they are nearly as easy as four. And SkipInit, which has no norm at all, does the same at most seeds
# (a run that diverged counts as 0). So for depth the small branch matters, and batch norm is one way to get it.

# %%
for name in ("depth-20-plain", "depth-plain-limit", "depth-40-residual", "depth-40-skip-init"):
    print(claims[name].summary)
takeaway(
    "Batch norm alone does not make every depth trainable: here it helped 20 plain layers much and 40 hardly, in 120 "
    "steps. With skip connections, whose branches it makes small, it trained 40, and SkipInit mostly did too.",
    {one.verdict for one in claims.of("08") if one.id.startswith("depth-")} == {"supported"}
    and np.median(deep.trained("plain_norm", 40)) < 0.3,
)

# %% [markdown]
# ## Gamma alone
#
# Two numbers a channel look like a detail. Frankle, Schwab and Morcos froze all weights of a ResNet where they were
# drawn and trained nothing but gamma and beta. Their deepest such ResNet reached 82% on CIFAR-10: random features,
# rescaled and shifted, go a long way. They compared with as many *other* parameters, two weights of each channel. Our
# arms: `all` parameters; `affine`, gamma and beta alone; `random`, two weights of each channel; and a control of our
# own, the `head`, which is small as well, and a linear classifier of random features. A gamma below 0.05 in size counts
# as nearly 0:

# %%
alone = studies.result("affine_only")
for arm in alone.test:
    print(f"{arm:7}{int(alone.trained[arm]):6,} numbers, rate {alone.best_rate(arm):4g}:", end=" ")
    print(f"test {100 * alone.test[arm].mean():.0f}%, from {100 * alone.test[arm].min():.0f} to", end=" ")
    print(f"{100 * alone.test[arm].max():.0f}%; gammas nearly 0: {100 * alone.switched_off(arm).mean():.0f}%")
for name in ("affine-over-random", "affine-switches-off"):
    print(claims[name].summary)
beyond = t_interval(100 * (alone.test["affine"] - alone.test["head"]))
print(f"gamma and beta against the head: {beyond.estimate:+.0f} [{beyond.low:+.0f}, {beyond.high:+.0f}] points")
takeaway(
    "Gamma and beta alone make much more of random features than as many other weights do. That they make more of them "
    "than a linear head, which has fewer numbers, did not show in these 150 steps.",
    claims["affine-over-random"].verdict == "supported" and beyond.low < 0 < beyond.high,
)

# %% [markdown]
# A ResNet of four blocks, 150 steps of Adam, six seeds, tested by running statistics. Gamma and beta are one number in
# 66, and the network gets more than half of the images right, where two weights of each channel get it a third. So the
# paper's comparison holds here. But a linear head on the *untouched* random features, with fewer numbers, gets as far
# on average, and six seeds cannot tell the two apart. And where the paper reports around a third of the features
# switched off, here hardly any gamma ends near 0. (Its networks are deeper and trained far longer.)
#
# ## Is gamma importance?
#
# Which channels of a trained network matter? Gamma multiplies a channel: is a small one an unimportant channel?
# **Network Slimming** (Liu et al. 2017) prunes by it, after training with a penalty on it, and trains on afterwards (we
# shall not). First, what mathematics says. **Predict before you run.**

# %%
predict("same-function-other-gamma")

# %%
rescaled = deepcopy(model.eval())
norm, reader = rescaled[1], rescaled[3]
with torch.no_grad():
    smallest = norm.weight.abs().argmin()
    norm.weight[smallest] *= 10
    norm.bias[smallest] *= 10
    reader.weight[:, smallest] /= 10
    same = torch.allclose(rescaled(data.test.x), model(data.test.x), atol=1e-3)
rank = 1 + int((norm.weight.abs() > norm.weight[smallest].abs()).sum())
print(f"all outputs are the same: {same}; the channel with the smallest gamma is now number {rank} of 8")
reveal("same-function-other-gamma")

# %% [markdown]
# So gamma cannot be importance by itself: the same function can be written with any ranking. Whether it *became* a
# measure is a question of training. We train a CNN of three convolutions in three ways (SGD; Adam; Adam with an L1
# penalty, which adds a small multiple of the sum of all |gamma| to the loss and so draws them to 0), remove 6 of 16
# channels from each norm (gamma and beta to 0), recompute the running statistics, and test. By which rule? The smallest
# gammas; any six, as a control; the largest; and those whose removal, one at a time, was measured to do the least harm.
# How well gamma orders the channels of a norm by that harm says a **rank correlation**: 1 for the same order, 0 for no
# relation, -1 for the reverse.

# %%
pruned = studies.result("channel_importance")
for arm in pruned.test:
    print(f"{arm:14} rank correlation of |gamma| and harm {pruned.correlation(arm).mean():.2f}", end="")
    for rule in ("random", "measured"):
        gain = t_interval(100 * (pruned.accuracy(arm, "lowest") - pruned.accuracy(arm, rule)))
        print(f"; smallest against {rule}: {gain.estimate:+.0f} [{gain.low:+.0f}, {gain.high:+.0f}]", end="")
    print(" points")
figures.accuracy_without_channels(pruned, title="Small gammas can go before random ones, in all three trainings")

# %% [markdown]
# Each dot is a network (under "any", the mean of its draws); bars are means. Random removal costs about half of the
# accuracy. The smallest gammas cost less *in all three ways of training*, also without a penalty. The gain is largest
# after SGD here, but with other seeds that order did not hold, and each optimiser had one rate, not tuned. Measuring
# each channel's harm by itself did not do clearly better: six channels that are harmless one at a time need not be so
# together.

# %%
for name in ("gamma-after-sgd", "gamma-after-penalty", "gamma-better-than-measuring"):
    print(claims[name].summary)
takeaway(
    "Gamma is no importance by itself, since a positive factor can be moved between it and the next layer; training "
    "can make it tell. The control is cheap: remove channels at random as well.",
    same and all(claims[name].verdict == "supported" for name in ("gamma-after-sgd", "gamma-after-penalty")),
)

# %% [markdown]
# ## What batch-mates do to an explanation
#
# A **saliency map** is the gradient of a class's output with respect to the pixels: which pixels would change it? In
# training mode the output of one image depends on its batch-mates (chapter 05), and so does its explanation. One test
# image, 15 random sets of mates; we compare its 15 maps by their cosine (1 if they point the same way), and see which
# share of the gradient's **energy** (the sum of its squares) falls on *other* images:

# %% tags=["nbval-ignore-output"]
image, label, likeness = data.test.x[:1], data.test.y[0], {}
for training, size in ((False, 2), (True, 2), (True, 8), (True, 32)):
    network, generator = deepcopy(model).train(training), torch.Generator().manual_seed(1)
    found, elsewhere = [], []
    for _ in range(15):
        mates = data.train.x[torch.randperm(1077, generator=generator)[: size - 1]]
        batch = torch.cat([image, mates]).requires_grad_()
        (gradient,) = torch.autograd.grad(network(batch)[0, label], batch)
        found.append(gradient[0].flatten())
        elsewhere.append((gradient[1:].square().sum() / gradient.square().sum()).item())
    pairs = cosine_similarity(torch.stack(found)[:, None], torch.stack(found), dim=-1)
    likeness[training, size] = pairs[~torch.eye(15, dtype=torch.bool)].mean().item()
    print(f"{'training' if training else 'eval':8} batch {size:2d}: cosine {likeness[training, size]:.2f},", end=" ")
    print(f"{100 * np.mean(elsewhere):.0f}% of the energy on other images")

# %% [markdown]
# In evaluation the map is one and the same. In training mode it changes with its mates, the more the smaller the batch,
# and a part of the gradient is not about this image at all. Nothing raises an error. So before any explanation
# (saliency, integrated gradients, adversarial examples): `model.eval()`.

# %%
takeaway(
    "Explain a network in evaluation mode: in training mode an image's saliency map depends on its batch-mates.",
    likeness[False, 2] > 0.999 and likeness[True, 2] < likeness[True, 8] < likeness[True, 32] < 0.999,
)

# %% [markdown]
# ## What was claimed, and what came out
#
# Direction and margin of each claim stand in the code beside it. All are about small networks on small images.

# %%
claims.of("08")

# %% [markdown]
# ## Exercises
#
# Write your answer in place of the `...` and run the cell. From `bnlab.practice`, `hint("prune_channels")` nudges and
# `solution("prune_channels")` ends it. Pruning by |gamma| is two lines, and there are five ways to get them wrong.


# %%
def my_prune_channels(gamma, beta, k):
    """Switch off the k channels of a batch norm whose scale is smallest: they give 0, whatever comes in.

    gamma and beta have shape (c,). Smallest is meant without the sign; no two channels are alike. Returns the new gamma
    and beta, of the same shape.
    """
    ...


check("prune_channels", my_prune_channels)

# %% [markdown]
# To train gammas and betas alone you must first find them, in a model whose layers somebody else has named.


# %%
def my_norm_parameters(model):
    """All gammas and betas of a model: a list for an optimiser that is to train nothing else.

    The norms are nn.BatchNorm1d and nn.BatchNorm2d, anywhere in the model, and some may have no gamma and beta. Each
    parameter comes once, in any order.
    """
    ...


check("norm_parameters", my_norm_parameters)

# %% [markdown]
# *Stretch.* Let every block start as the identity, and still be able to learn.


# %%
def my_zero_last_gamma(network):
    """Let every block of a new residual network start as relu(skip(x)), and be able to learn the rest. In place.

    network.blocks holds the blocks. Each computes relu(block.skip(x) + block.branch(x)). block.branch is an
    nn.Sequential: convolution, norm, relu, convolution, norm, and so on, ending with a norm. block.skip is nn.Identity
    or, where the shape changes, a convolution and its norm. Change one number for each channel that a branch gives.
    """
    ...


check("zero_last_gamma", my_zero_last_gamma)

# %% [markdown]
# ## What is contested
#
# *Where the norm belongs.* The paper's argument for standing before the nonlinearity is that a linear layer's output is
# closer to a normal distribution; practice shows both, and our small test says little about large networks. He et al.
# 2016 moved it to the beginning of the branch, which is where the line $1/l$ is cleanest. *Whether residual networks
# need a norm at all*: SkipInit, Fixup (Zhang et al. 2019) and NFNets (Brock et al. 2021, 86.5% top-1 on ImageNet
# without normalisation) say no, given a substitute for what it does. *What gamma's size means*: see above; pruning by
# it works where training prepared it, and the literature on importance scores is larger than this.
#
# ## In one sentence
#
# In a convolutional network batch norm gives each feature one scale wherever it occurs, makes branches small beside
# their skips, which is what depth needs, and leaves gammas that can tell which channels may go, but need not.
#
# All of this took its statistics over a batch of independent images. What if the examples are sequences?
#
# ## References
#
# - Ioffe and Szegedy 2015, [Batch Normalization](https://arxiv.org/abs/1502.03167): section 3.2, convolutions.
# - He et al. 2015, [Deep Residual Learning](https://arxiv.org/abs/1512.03385); He et al. 2016, [Identity
#   Mappings](https://arxiv.org/abs/1603.05027): the norm at the beginning of the branch.
# - De and Smith 2020, [Batch Normalization Biases Residual Blocks Towards the Identity
#   Function](https://arxiv.org/abs/2002.10444): the line $1/l$, SkipInit; Balduzzi et al. 2017, [Shattered
#   Gradients](https://arxiv.org/abs/1702.08591), had seen the shrinking branches before.
# - Goyal et al. 2017, [Accurate, Large Minibatch SGD](https://arxiv.org/abs/1706.02677): the last gamma at 0.
# - Yang et al. 2019, [A Mean Field Theory of Batch Normalization](https://arxiv.org/abs/1902.08129): gradients grow.
# - Frankle, Schwab and Morcos 2020, [Training BatchNorm and Only BatchNorm](https://arxiv.org/abs/2003.00152).
# - Liu et al. 2017, [Network Slimming](https://arxiv.org/abs/1708.06519).
# - Zhang, Dauphin and Ma 2019, [Fixup](https://arxiv.org/abs/1901.09321); Brock et al. 2021,
#   [NFNets](https://arxiv.org/abs/2102.06171).
#
# ## Say it in an interview
#
# > "In a CNN batch norm has one mean and one variance a channel, over batch, height and width, because one filter makes
# > all those values. The count is N times H times W, but positions of one image are not independent, so a small batch
# > can still be too small. In a residual network a norm in the branch makes the branch about one l-th of the sum at
# > block l, so blocks start near the identity; SkipInit gets the same depth without a norm. And a small gamma is no
# > proof that a channel is useless, since the next layer can undo any scale: I would check against random pruning."

# %%
ask(
    "why-pool-positions",
    "residual-branch-share",
    "zero-init-gamma",
    "gamma-as-importance",
    "explanation-and-batch-mates",
)
