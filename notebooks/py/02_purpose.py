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
# # What problem was batch normalisation made to solve?
#
# **You will** watch a signal die in a deep network, follow gradients the other way, measure internal covariate shift
# by three yardsticks that disagree, and read eight claims of which two failed. **You learn** what goes wrong in a deep
# plain network at its start and while it trains, what batch norm does about each, and what it leaves. **You need** 35
# minutes, and chapters [00](00_start_here.ipynb) and [01](01_definition.ipynb).
#
# ## First, from memory
#
# Answer aloud before you unfold.

# %%
import numpy as np
import torch

from bnlab import figures
from bnlab.experiments import studies
from bnlab.experiments.claims import ledger
from bnlab.experiments.data import digits
from bnlab.experiments.models import mlp
from bnlab.experiments.probes import activation_stats, gradient_norms, mean_shift
from bnlab.layers import BatchNorm1d
from bnlab.notebook import setup, show, takeaway
from bnlab.practice import ask, check, predict, recall, reveal

setup()

# %%
recall("02")

# %% [markdown]
# ## What goes wrong in a deep plain network
#
# A plain network is a stack: linear layer, ReLU, linear layer, ReLU, and nothing that goes around them. Each layer
# multiplies the size of the signal by some factor. One factor harms nobody. But they multiply, and depth is the
# exponent.
#
# **Predict before you run**, and say how sure you are.

# %%
predict("half-a-start")

# %%
for factor in (0.5, 0.9, 1.0, 1.1, 2.0):
    print(f"a factor of {factor:3} a layer, 20 layers: {factor**20:.2g}")

# %% [markdown]
# Even 0.9, which looks harmless, leaves an eighth. What decides the factor? A unit sums over its `fan_in` inputs, so
# the mean square of the sum is `fan_in` times the variance of a weight times the mean square of an input. ReLU then
# sets the negative half to 0 and keeps half of the mean square. The two cancel if the variance of a weight is `2 /
# fan_in`, with weights drawn independently around 0: that is the start of He et al., in whose multiples all our starts
# are given.
#
# Now 20 real layers and real digits, untrained, with the initial weights scaled by 0.5, 1 and 2. `activation_stats`
# runs a probe batch through a network and reports every layer's output, here its *size*: the root mean square.

# %%
x, y = (tensor[:512] for tensor in digits().train)
sizes = {}
for scale in (0.5, 1.0, 2.0):
    plain = mlp(64, 10, depth=20, width=128, scale=scale, generator=torch.Generator().manual_seed(0))
    stats = activation_stats(plain, x, training=True)
    sizes[scale] = [stats[str(2 * layer)].size.item() for layer in (1, 10, 20)]  # a ReLU at every second place
    print(f"weights x {scale:3}: layer 1 {sizes[scale][0]:.2g}, 10 {sizes[scale][1]:.2g}, 20 {sizes[scale][2]:.2g}")
takeaway(
    "In a deep plain network the factor of a layer is raised to the power of the depth: weights half as large leave "
    "about a millionth of the signal after 20 layers, and weights twice as large make it a million times as much.",
    np.allclose([sizes[scale][2] / sizes[1.0][2] for scale in (0.5, 2.0)], [2**-20, 2**20], rtol=1e-3),
)
reveal("half-a-start")

# %% [markdown]
# The gradient takes the same road back, through the same weights, and meets the same factors. `gradient_norms` tells
# how long the gradient of the loss is as it arrives at each layer.

# %%
arriving = {}
for scale in (0.5, 1.0, 2.0):
    plain = mlp(64, 10, depth=20, width=128, scale=scale, generator=torch.Generator().manual_seed(0))
    norms = gradient_norms(plain, x, y, training=True)
    arriving[scale] = (norms["2"] / norms["40"]).item()
    print(f"weights x {scale:3}: gradient at layer 1, beside that at layer 20: {arriving[scale]:.2g}")
assert arriving[0.5] < 1e-5
assert arriving[2.0] > 1e5

# %% [markdown]
# A loss that stays at 2.303, the logarithm of ten classes, is how the first case looks from outside: all logits are
# near 0, and hardly any gradient reaches the hidden layers. In the last case the logits are enormous, and the loss with
# them.
#
# You could say: then start at 1 and be done. Two things speak against it. The factor is right at the start only, and
# training moves the weights. And a size that is kept is not all: the ten seeds of the study `signal_propagation`,
# whose stored result we read here (`rerun=True` computes it anew), also recorded how far each unit tells one example
# from another, by its standard deviation over the batch.

# %%
signal = studies.result("signal_propagation")
he = signal.config.scales.index(1.0)
size, std = (np.median(getattr(signal, name)["no_norm"][he], axis=1) for name in ("size", "std"))
for layer in (1, 10, 20):
    share = (std[layer - 1] / size[layer - 1]) ** 2
    print(f"weights x 1, layer {layer:2}: size {size[layer - 1]:.2f}; {share:.0%} of its square tells examples apart")
assert size[19] > size[0] / 2
assert std[19] / size[19] < 0.6 * std[0] / size[0]

# %% [markdown]
# The size roughly stays (in layers of finite width, with the luck of the weights), and the share of its square in which
# examples differ, the variance over the batch, fades: after many ReLUs all inputs look more and more alike.
#
# ## What batch norm does about it
#
# Batch norm divides by what it measures. Double a channel, and the standard deviation doubles with it:

# %%
channel = torch.tensor([[1.0], [1.0], [5.0], [5.0]])
for factor in (0.5, 1.0, 2.0):
    print(factor, BatchNorm1d(1)(factor * channel).detach().ravel().round(decimals=3).tolist())
takeaway(
    "The scale of what comes in has no effect on what goes out, so forward no product over the layers can arise.",
    torch.allclose(BatchNorm1d(1)(2 * channel), BatchNorm1d(1)(0.5 * channel), atol=1e-4),
)

# %% [markdown]
# That is the signal on its way forward. What of the gradient, on its way back? **Predict before you run.**

# %%
predict("gradient-of-the-first-layer")

# %% [markdown]
# Twenty layers, each with batch norm in front of its ReLU, five scales, ten seeds, the same initial weights in both
# arms:

# %%
title = "Without batch norm the start sets the signal of every layer; with it, it does not"
figures.signals_by_layer(signal, title=title)

# %% [markdown]
# On the left the plain network: straight lines on a log axis, so a constant factor a layer, up or down, for the signal
# as for the gradient. On the right the same with batch norm: all five scales lie on one line. The bands around the
# lines hold all ten seeds. Of the signal of layer 1, a millionfold more is left at layer 20 with batch norm, for the
# smallest start, than without; a thousandfold had been asked for (the claim `signal-survives-half-start` in the table
# at the end).
#
# ### What it does not do
#
# Look at the lower right again. The line is not level; it lies along the grey band, which is a theory. With batch norm
# the gradient *grows* on its way to the input, and no scale of the weights changes that. Where does it come from?
# Behind a ReLU, a standard normal value has mean square $1/2$ and mean $1/\sqrt{2\pi}$, so its variance is
# $1/2-1/(2\pi)$. The next linear layer doubles it to $1-1/\pi$, and batch norm divides by its root, below 1. Forward
# this brings the variance back to 1. Backward, the same division meets a gradient whose size the ReLU (which halves
# its square) and the weights (which double it) would have kept. What the backward pass also subtracts (chapter
# [04](04_mechanism_backward.ipynb)) is a small part of it in a large batch. So each layer multiplies the squared
# gradient by $1/(1-1/\pi)=\pi/(\pi-1)$. Yang et al. prove it for wide layers and large batches.

# %%
theory = np.sqrt(np.pi / (np.pi - 1))
growth = signal.gradient_growth("batch_norm", scale=1.0, layers=10) ** (1 / 10)
print(f"growth of the gradient a layer: theory {theory:.3f}, measured {np.median(growth):.3f} (median of ten seeds)")
print(
    f"over 19 layers: theory {theory**19:.0f}, measured {np.median(signal.gradient_growth('batch_norm', 1.0, 19)):.0f}"
)
grows = ledger()["gradient-grows-toward-input"]
print(f"{grows.id}: {grows.verdict}, {grows.measured}")
reveal("gradient-of-the-first-layer")

# %% [markdown]
# It is often said that batch norm keeps the gradients of a deep network at one size. Beside a start that is far off, it
# keeps them far closer. Beside He's start, the comparison that counts, it makes them less even. The claim was declared
# as it is said, and it failed. First how uneven the networks are (first layer by last, the larger by the
# smaller), then the first number at scale 1 over the other: the plain network is the more even one, by about thirty
# times, where the claim asked for more than 1.

# %%
unevenness = {
    scale: np.median(np.exp(np.abs(np.log(signal.gradient_growth("no_norm", scale, 19)))))
    for scale in signal.config.scales
}
print("without:", {scale: f"{ratio:.2g}" for scale, ratio in unevenness.items()})
print(f"with batch norm, at scale 1: {np.median(signal.gradient_growth('batch_norm', 1.0, 19)):.0f}")
even = ledger()["gradients-evener-than-he"]
print(f"{even.verdict}: {even.measured}")
takeaway(
    "Batch norm ties the size of every layer's input, whatever the start. It does not tie the gradient: in a plain "
    "ReLU network that grows toward the input by a fifth a layer, and in very deep ones it explodes.",
    abs(np.median(growth) - theory) < 0.05 and even.verdict == "not supported here",
)

# %% [markdown]
# That is one reason why very deep networks have skip connections beside their batch norm.
#
# ## Internal covariate shift, measured
#
# The second trouble begins when training does. A layer learns from the inputs that the layers below give it, and those
# layers learn too: the ground moves under it. Ioffe and Szegedy called the change of the distribution of a layer's
# inputs, caused by training itself, *internal covariate shift*, and made batch norm to reduce it.
#
# To measure it, hold the examples fixed and compare two moments of training. Take one unit whose values for two
# examples are 1 and 3, and later 7 and 3. Its mean moved from 2 to 5, and its standard deviation at first was 1:

# %%
before, after = torch.tensor([[1.0], [3.0]]), torch.tensor([[7.0], [3.0]])
print("shift:", mean_shift(before, after).item(), "standard deviations, as they were at first")
print("shift:", mean_shift(after, before).item(), "standard deviations, as they were at last")
assert mean_shift(before, after) == 3
show(mean_shift)

# %% [markdown]
# Already here the answer depends on the unit of length. Keep that in mind.
#
# The study `input_drift` follows section 4.1 of the paper, on digits: three hidden layers of 100 sigmoids, batches of
# 60, plain SGD, 400 steps, from 0.7 times He's start, which between hidden layers is a standard deviation of 0.1. Every
# 20 steps it passes 200 validation images through the network, normalised by their own
# statistics, as a batch is in training. It looks at each sigmoid's input without a norm; and with one, in *front of*
# the norm (the linear layer's output) and *behind* it (what the sigmoid is given). Both arms share their initial
# weights and their batches. First at a rate of 0.5, in the manner of the paper's figure 1:

# %%
drift = studies.result("input_drift")
slow, fast = (drift.config.learning_rates.index(rate) for rate in (0.5, 2.0))
title = "Without a norm, a layer's inputs drift while the layers below learn (rate 0.5)"
figures.input_quantiles(drift, slow, title=title)

# %% [markdown]
# Three units of each layer, the first three and not chosen ones, of one seed: the line is the unit's median over the
# images, the band reaches from the 15th to the 85th percentile. Top row: in the second and third layer the units of
# the plain network first hardly tell one image from another, then move and widen a great deal. Bottom row: behind the
# norm they keep their place and their width. Middle row: in front of the norm there is little movement, but the values
# there are small as well. Over all 100 units of the last layer and ten seeds:

# %%
wander = {place: np.median(seeds, axis=1) for place, seeds in drift.wander.items()}
for place, medians in wander.items():
    print(f"{place:12} range of the median {medians[slow]:.2f} at rate 0.5, {medians[fast]:.2f} at rate 2")
for name in ("sigmoid-input-drifts-less", "linear-output-drifts-less"):
    print(f"{name}: {ledger()[name].verdict}: {ledger()[name].measured}")

# %% [markdown]
# So the paper's observation holds here: the median of the last sigmoids' input ranges over less with batch norm, at
# each of the three rates that were tried. The second claim is about the linear layer's output, in front of the norm,
# where nothing is normalised yet. Counted in its own standard deviations at the end, it drifts less too, at a rate of
# 2. At 0.5 it hardly does, as the numbers below will show.
#
# ### Who takes the drift out?
#
# The norm itself, one would say: the mean of what it puts out is $\beta$ and the standard deviation is $\gamma$, by
# construction. But $\beta$ and $\gamma$ are trained as well. Here is the drift from the start to the end of training,
# by learning rate and in three units.

# %%
title = "Less drift with batch norm at small rates; at larger ones its own beta and gamma move the input"
figures.drift_by_rate(drift, title=title)

# %% [markdown]
# A dot is a seed. In the first two panels the line without batch norm lies far above the others. Counted in standard
# deviations, the drift behind the norm (dark blue) is tiny at a rate of 0.5 and rises steeply with the rate, as $\beta$
# learns faster. (In the sigmoid's own units, on the left, it is larger behind the norm than in front, since the norm
# enlarges small values.) In the third
# panel, in standard deviations at the end, it has caught up at a rate of 2 with what goes into the norm, and at 5 it
# has passed the network without a norm. (The numbers of this panel are printed below: at 0.5, in front of the norm,
# 0.5 against 0.6 without one.) That the norm halves what passes through it was declared, for a rate of 2, and it
# failed:

# %%
for place in drift.from_end:
    by_rate = zip(drift.config.learning_rates, np.median(drift.from_end[place], axis=1), strict=True)
    print(f"{place:12}", ", ".join(f"rate {rate:g}: {shift:.2f}" for rate, shift in by_rate))
pinned = ledger()["norm-itself-stops-drift"]
print(f"{pinned.verdict}: {pinned.measured}")
takeaway(
    "With batch norm the median of a nonlinearity's input ranges over less, at each of the three rates. It is not "
    "pinned: beta and gamma move what the norm has put in place.",
    ledger()["sigmoid-input-drifts-less"].verdict == "supported"
    and bool((drift.wander["no_norm"] > 2 * drift.wander["after_norm"]).all())
    and pinned.verdict == "not supported here",
)

# %% [markdown]
# One caution about the comparison: at one rate the arms have not learned equally much. At 0.5, after 400 steps, the
# accuracy on the validation images is:

# %%
for arm, accuracy in drift.validation.items():
    by_rate = zip(drift.config.learning_rates, np.median(accuracy, axis=1), strict=True)
    print(f"{arm:10}", ", ".join(f"rate {rate:g}: {share:.1%}" for rate, share in by_rate))
own = [
    np.median(drift.wander[place][drift.best_rate(arm)])
    for arm, place in zip(drift.validation, ("no_norm", "after_norm"), strict=True)
]
print(f"range of the median, each arm at its own best rate: {own[0]:.2f} without, {own[1]:.2f} with")
assert own[0] > 2 * own[1]

# %% [markdown]
# ## Steadier and faster
#
# Two troubles, two remedies. Does training gain by it? Twelve hidden layers of 50 units, ReLU, digits, batches of 50,
# 150 steps, ten seeds, five learning rates. Each arm is shown at the rate that was best for it on validation images;
# the accuracy is that on the test images, read at this rate only.

# %%
curves = studies.result("training_curves")
figures.accuracy_by_step(curves, title="With batch norm a deep plain network learns sooner, and its seeds agree")

# %% [markdown]
# Each thin line is a seed, the band holds all ten, the thick line is their median. Without batch norm some seeds are
# far ahead of others, and a run may lose in ten steps what it had gained in fifty. With it, the ten lie close together
# and never give back nearly as much. Steadier, in numbers: what a run gives back on its way (the sum of its falls; and
# the largest fall of all ten runs), and how far a seed lies from the median of the ten. Faster: the accuracy after 50
# steps.

# %%
for arm in curves.test:
    lost = np.median(100 * curves.lost_again(arm))
    shown = ", ".join(f"{step} steps {np.median(curves.at_step(arm, step)):.0%}" for step in (50, 100, 150))
    fall = -100 * np.diff(curves.test[arm], axis=0).min()
    print(f"{arm:10} {shown}; a run gives back {lost:.0f} points in all; largest fall {fall:.0f}")
for name in ("steadier-across-seeds", "ahead-after-50-steps"):
    print(f"{name}: {ledger()[name].verdict}: {ledger()[name].measured}")

# %% [markdown]
# Is this batch norm, or is it the larger rate that batch norm allows? Both curves belong to different rates, and at
# the smallest rate the order is the other way round:

# %%
smallest = {arm: np.median(accuracy[0, -1]) for arm, accuracy in curves.validation.items()}
print(f"rate 0.01, 150 steps: without {smallest['no_norm']:.0%}, with {smallest['batch_norm']:.0%}")
takeaway(
    "On this deep network batch norm makes training steadier and faster, each arm at its best rate. "
    "At a small rate it does not.",
    {ledger()[name].verdict for name in ("steadier-across-seeds", "ahead-after-50-steps")} == {"supported"}
    and smallest["batch_norm"] < smallest["no_norm"],
)

# %% [markdown]
# ## What was claimed, and what came out
#
# Sentence and margin stand in the code, and the verdict is computed: *supported* if the whole interval lies beyond the
# margin, *not supported here* if it reaches "no effect", else *partly*. `bnlab claims run ahead-after-50-steps --seed
# 7` repeats one with seeds that chose no setting.

# %%
ledger().of("02")

# %% [markdown]
# ## Exercises
#
# Write your answer in place of the `...` and run the cell. `check` tries it on small and on awkward inputs. A wrong
# answer gets the name of its mistake and the reason; NumPy or torch, loops or not, is up to you. From
# `bnlab.practice`, `hint("growth_per_layer")` nudges and `solution("growth_per_layer")` ends it.


# %%
def my_growth_per_layer(sizes):
    """The factor by which a signal grows from one layer to the next: the geometric mean over the network.

    sizes has shape (layers,): the standard deviation of the activations, or the norm of the gradient, at each layer in
    order; there are at least two. The result is one number.
    """
    ...


check("growth_per_layer", my_growth_per_layer)

# %% [markdown]
# How far did the ground move under a layer? Two snapshots of its input, for the same examples, give one number.


# %%
def my_mean_shift(before, after):
    """How far the input of a layer moves between two moments of training, in standard deviations: one number.

    before and after have shape (n, c): what the layer is given for the same n examples at the two moments. For each
    channel, take the distance between its two means, divided by its biased standard deviation before; then average over
    the channels.
    """
    ...


check("mean_shift", my_mean_shift)

# %% [markdown]
# ## What is contested
#
# That batch norm helps is measured, and so is that it reduces the drift of a layer's inputs. Whether the one is the
# reason for the other is contested. Santurkar et al. added noise behind batch norm that moved the distributions in
# every step, and report that training went well all the same; they explain the benefit by a smoother loss. They also
# measure another thing by the same name, how the gradient of a layer changes when the layers below are updated, so the
# two papers speak about different quantities. Bjorck et al. hold that the gain comes from the large learning rates that
# batch norm allows; the last picture of this chapter is no evidence against them. That gradients explode in deep plain
# networks with batch norm is proved for the start, by Yang et al., and not disputed; how much it matters in networks
# with skip connections is another question. Chapter [12](12_why_it_works.ipynb) sets the explanations against each
# other, each with its experiment.
#
# ## In one sentence
#
# Batch norm was made so that a layer can count on its input: it ties the size of the signal to what the next layer
# expects, at the start and in every step, which makes deep networks train more steadily and faster, though it neither
# evens out their gradients nor stops all drift. What exactly do its four lines do to a batch, and where do they go
# wrong? That is chapter [03](03_mechanism_forward.ipynb); what steadiness buys is chapter
# [06](06_benefits_faster.ipynb).
#
# ## References
#
# - Ioffe and Szegedy 2015, [Batch Normalization](https://arxiv.org/abs/1502.03167): section 2 names the problem,
#   section 4.1 and figure 1 measure it.
# - He et al. 2015, [Delving Deep into Rectifiers](https://arxiv.org/abs/1502.01852): the start for ReLU.
# - Yang et al. 2019, [A Mean Field Theory of Batch Normalization](https://arxiv.org/abs/1902.08129): gradients
#   explode.
# - Santurkar et al. 2018, [How Does Batch Normalization Help Optimization?](https://arxiv.org/abs/1805.11604)
# - Bjorck et al. 2018, [Understanding Batch Normalization](https://arxiv.org/abs/1806.02375).
#
# ## Say it in an interview
#
# > "Deep plain networks have two troubles. At the start every layer multiplies the signal by some factor, so it
# > vanishes or explodes with depth; and during training each layer's input moves because the layers below learn. Batch
# > norm divides by what it measures, so the size of a layer's input no longer depends on the weights below. That makes
# > training steadier and allows larger steps. Whether less covariate shift is the reason is contested, and in very
# > deep plain networks the gradients still grow toward the input."

# %%
ask(
    "what-it-was-made-for",
    "half-as-large-a-start",
    "internal-covariate-shift",
    "does-it-reduce-the-shift",
    "very-deep-plain",
)
