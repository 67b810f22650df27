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
# # Which norm should you choose, and why?
#
# **You will** feed ten norms until they show what they are, train with two examples at a time, weigh positions against
# examples, and time what a norm costs. **You learn** to choose a norm from the data and the network, with a reason that
# you can show. **You need** 40 minutes, and chapters [05](05_mechanism_inference.ipynb), [08](08_use_cases_cnn.ipynb)
# and [09](09_use_cases_rnn.ipynb).
#
# ## First, from memory
#
# Answer aloud before you unfold.

# %%
import numpy as np
import torch
from torch import nn

from bnlab import figures, layers
from bnlab.deploy import convert
from bnlab.experiments import intervals, studies
from bnlab.experiments.claims import ledger
from bnlab.experiments.data import digits
from bnlab.experiments.models import cnn
from bnlab.experiments.optimisers import SGD
from bnlab.experiments.timing import seconds_per_step
from bnlab.experiments.training import Ensemble, train
from bnlab.experiments.traits import Table, kept_for_backward, traits
from bnlab.notebook import setup, show, takeaway
from bnlab.practice import ask, check, predict, recall, reveal
from bnlab.reference import batch_norm_forward, family

setup()
claims = ledger()

# %%
recall("11")

# %% [markdown]
# ## One family
#
# Three examples with four channels. Each norm below subtracts a mean and divides by a standard deviation (RMS norm
# divides only, by the root mean square), and they differ in one thing: which values share them. Batch norm takes a
# column, layer norm a row, group norm with two groups half a row. Here is what the first example becomes:

# %%
x = np.array([[1.0, 3.0, 10.0, 30.0], [2.0, 4.0, 12.0, 10.0], [6.0, 8.0, 14.0, 20.0]])
ones, zeros = np.ones(4), np.zeros(4)
normed = {
    "batch norm": batch_norm_forward(x, ones, zeros)[0],
    "layer norm": family.layer_norm_forward(x, ones, zeros)[0],
    "group norm": family.group_norm_forward(x, ones, zeros, groups=2)[0],
    "RMS norm": family.rms_norm_forward(x, ones)[0],
}
for name, y in normed.items():
    print(f"{name:10}", *(f"{value:5.2f}" for value in y[0]))

# %% [markdown]
# Check group norm by hand: 1 and 3 have mean 2 and standard deviation 1, so they become -1 and 1; so do 10 and 30. In
# general, with $S(i)$ for the set of values that share their statistics with $x_i$,
#
# $$\hat x_i=\frac{x_i-\mu_{S(i)}}{\sqrt{\sigma^2_{S(i)}+\epsilon}},\qquad y_i=\gamma_c\,\hat x_i+\beta_c ,$$
#
# and the choice of $S$ makes the norm. On a batch of images, (N, C, H, W), the cells of one colour are one such set:

# %%
figures.family_blocks(title="The norms differ in which cells share a mean")

# %% [markdown]
# Batch norm and its ghosts reach across examples (into the page), the others do not. Instance norm takes one channel of
# one image, layer norm a whole image or, in transformers, one token's features; group norm stands between the two, and
# its extremes are the two. Filter response norm and RMS norm do not subtract a mean. Dynamic tanh averages nothing.
#
# The tested source of one member, to see how little changes:

# %%
show(family.group_norm_forward)
maps = np.random.default_rng(0).normal(size=(2, 6, 3, 3))
plain = np.ones(6), np.zeros(6)
one_group, _ = family.group_norm_forward(maps, *plain, groups=1)
six_groups, _ = family.group_norm_forward(maps, *plain, groups=6)
whole, _ = family.layer_norm_forward(maps, np.ones((6, 3, 3)), np.zeros((6, 3, 3)))
takeaway(
    "Group norm with one group is layer norm of images, and with a group for each channel it is instance norm (but for "
    "the shape of gamma and beta).",
    np.allclose(one_group, whole) and np.allclose(six_groups, family.instance_norm_forward(maps, *plain)[0]),
)

# %% [markdown]
# What kind of norm is a layer? We need not believe its name: `traits` puts it behind a convolution or a linear layer
# and changes one thing at a time: a batch-mate, the mode, a bias, the scale of the weights.

# %%
of_images = {
    "batch norm": layers.BatchNorm2d(8),
    "batch renorm": layers.BatchRenorm2d(8),
    "instance norm": layers.InstanceNorm2d(8),
    "group norm, 2 groups of 4": layers.GroupNorm(2, 8),
    "group norm, 4 groups of 2": layers.GroupNorm(4, 8),
    "filter response norm": layers.FilterResponseNorm2d(8),
}
of_tokens = {
    "layer norm": layers.LayerNorm(8),
    "RMS norm": layers.RMSNorm(8),
    "DyT": layers.DyT(8),
    "Derf": layers.Derf(8),
    "none": nn.Identity(),
}
images, tokens = torch.randn(6, 3, 5, 5), torch.randn(6, 4, 3)
rows = {name: traits(nn.Conv2d(3, 8, 3, padding=1), norm, images) for name, norm in of_images.items()}
rows["weight standardisation"] = traits(layers.WeightStandardisedConv2d(3, 8, 3, padding=1), nn.Identity(), images)
table = Table(rows | {name: traits(nn.Linear(3, 8), norm, tokens) for name, norm in of_tokens.items()})
table

# %% [markdown]
# Read it by columns. *Batch-mates move*: batch norm alone lets another example change an example's output; batch renorm
# (below), within its limits, changes its gradient only. *State*: numbers that a training pass changes beside
# parameters, here 2 for each of 8 channels and a counter. *Evaluation*: only norms with state have another function
# there. *One value alone*: one example of one position; batch norm, batch renorm and instance norm refuse, and norms
# over one or two values keep a sign at most. *Forgets a shift*: where each channel's own is forgotten, a bias in front
# is wasted; group norm forgets only what its channels have in common. *Forgets a scale*: the weights in front may grow
# without effect (chapter [07](07_benefits_robust.ipynb)); DyT and Derf do not forget it, and batch renorm does not in
# the same step, since it measures against the past.

# %%
alone = [name for name, one in table.rows.items() if one.mates == "no"]
takeaway(
    "Reaching across examples, state, and a second function in evaluation come together here, in batch norm and batch "
    "renorm: norms that look at one example have none of the three.",
    all((one.mates == "no") == (one.state == 0) == (one.evaluated == "as trained") for one in table.rows.values())
    and set(table.rows) - set(alone) == {"batch norm", "batch renorm"},
)

# %% [markdown]
# | norm | one mean over | where you meet it today |
# |---|---|---|
# | batch norm | N, H, W | convolutional networks for images, MLPs on tables; folded away at inference |
# | group norm | H, W, a group of C | detection and segmentation with few images a device, U-Nets of diffusion models |
# | layer norm | C (of a token) | transformers for images, earlier ones for language; ConvNeXt |
# | RMS norm | C, mean square | most large language models, such as LLaMA |
# | instance norm | H, W | style transfer and other image generation |
# | weight standardisation | a filter's weights | beside group norm, and in networks without norms (NFNet) |
# | batch renorm; filter response norm | N, H, W; H, W (mean square) | seldom |
#
# ## What a small batch costs
#
# Memory often dictates the batch: two large images on a device, say. What is left of batch norm then? In an MLP each
# channel has two values.
#
# **Predict before you run**, and say how sure you are.

# %%
predict("batch-of-two")

# %%
two = torch.tensor([[0.3, 5.0, -2.0], [0.4, 900.0, -7.0]])
print(layers.BatchNorm1d(3)(two).detach().numpy().round(2))
reveal("batch-of-two")

# %% [markdown]
# That is no longer a measurement with noise, as in chapter 07, but a comparison with one random batch-mate. Does it
# still train? An MLP on digits, with batches of 2 to 32, compared with layer norm, no norm, and batch renorm, a cure
# that the section after next explains. Beside it a CNN whose maps keep $4\times4$ positions, so that two images bring
# 32 values to each mean.
#
# What is fair here? All arms of one batch size make the same steps on the same batches, and each chooses its own rate
# on validation images, from a grid in proportion to the batch. One pass over the data is 538 steps of 2, but 33 of 32.
# So compare the arms at a size, not the sizes of an arm: to the right, everybody had fewer steps.

# %%
mlp, maps = studies.result("small_batches"), studies.result("small_batches_cnn")
print("steps:", ", ".join(f"{len(digits().train.y) // size} of {size}" for size in mlp.config.batch_sizes))
for result in (mlp, maps):
    for arm, accuracies in result.test.items():
        errors = (
            f"{size}: {100 - 100 * seeds.mean():4.1f}%"
            for size, seeds in zip(result.config.batch_sizes, accuracies, strict=True)
        )
        print(f"{result.config.network} {arm:12}", *errors)
panels = {"MLP: one value an example": mlp, "CNN: sixteen values an example": maps}
figures.error_by_batch_size(panels, title="Two examples ruin batch norm in an MLP, not in a CNN on 4 x 4 maps")

# %% [markdown]
# Left, the MLP: with batch norm in batches of two most digits are wrong, at 8 no arm is clearly ahead, and with 32
# batch norm is: it makes more of the few steps. Without any norm a batch of two is no trouble at all: what fails is the
# statistic, not the batch. Right, the CNN (two arms only): with the same two examples group norm is not a point better
# than batch norm. (The two networks differ in more than their positions, so that does not prove what saved the CNN.)

# %%
for name in ("batch-of-two-mlp", "batch-of-two-maps", "batch-of-32-mlp"):
    print(claims[name].summary)
takeaway(
    "Whether two examples are enough for batch norm depends on the network: in this MLP, where they are two values to "
    "a channel, they ruin it; in this CNN, where they are 32, group norm is no more than a point better.",
    claims["batch-of-two-mlp"].verdict == "supported" and claims["batch-of-two-maps"].verdict == "not supported here",
)

# %% [markdown]
# ### What a position is worth
#
# So count $m=NHW$ values, and all is well from 32 on? Wu and He report for ResNet-50 on ImageNet, whose smallest maps
# have 49 positions, an error of 23.6% with batches of 32 a device and of 34.7% with 2, which is 98 values or more. With
# group norm it is 24.1% in both. So the count does not settle it. One reason why it can mislead, out of several: if all
# four positions of an image hold the same value, its mean spreads like one value, not like four. In general the $k=HW$
# values of one image, with a mean correlation $\bar\rho$ between two of them, are worth
#
# $$k_{\text{eff}}=\frac{k}{1+(k-1)\bar\rho}$$
#
# independent ones, and $N$ images $N$ times as many: $k$ for $\bar\rho=0$, 1 for $\bar\rho=1$; for $\bar\rho>0$ never
# more than $1/\bar\rho$, however large the image; and more than $k$ for $\bar\rho<0$. It is what chapter
# [08](08_use_cases_cnn.ipynb) measured as $v/V$, the variance of the values over that of the images' means.

# %%
image = torch.randn(20000, 1) * 0.3**0.5 + torch.randn(20000, 64) * 0.7**0.5
worth = (image.var() / image.mean(1).var()).item()
print(f"64 positions that correlate by 0.3 are worth {64 / (1 + 63 * 0.3):.1f} by the formula, {worth:.1f} measured")

# %% [markdown]
# And in a real network? The study trains a small CNN with batch norm on digits, for each of ten seeds, takes the values
# that each convolution gives (maps of 64 positions), and draws a thousand batches of $N$ images. It does the same with
# the untrained network.
#
# **Predict before you run.**

# %%
predict("positions-that-do-not-count")

# %%
spread = studies.result("batch_mean_spread")
worth = {"trained": spread.effective(), "untrained": spread.effective(spread.untrained)}
for name, layers_of in worth.items():
    for layer, seeds in enumerate(layers_of, start=1):
        print(
            f"{name:9} convolution {layer}: 64 are worth {seeds.mean():3.0f} ({seeds.min():.0f} to {seeds.max():.0f})"
        )
figures.spread_of_means(
    spread, title="How far a batch's mean spreads depends on how its images differ, not on the count of values"
)

# %% [markdown]
# Every line falls like $1/\sqrt N$ by construction, since images are drawn independently; how high it lies says what an
# image is worth. Squares are the control: the same values of the last layer dealt out anew among images and positions
# lie on the line of independence. Real maps do not. Behind the last convolution, which an average over all positions
# follows, 64 positions are worth fewer than ten values. Training made that: untrained, they are worth many times as
# much. Behind the first it is the other way round, trained or not: a part of the variance there is how the positions
# differ in all images alike (the borders are blank), which no image's mean feels (chapter [08](08_use_cases_cnn.ipynb)
# takes it out).

# %%
for name in ("positions-worth-less", "positions-worth-less-first"):
    print(claims[name].summary)
takeaway(
    "Positions of one image are no independent examples: behind this trained network's last convolution a map of 64 is "
    "worth fewer than 16 values, behind its first more than 64. The count can mislead either way.",
    claims["positions-worth-less"].verdict == "supported"
    and (worth["trained"][-1] < 16).all()
    and (worth["untrained"][-1] > 2 * worth["trained"][-1]).all()
    and (worth["trained"][0] > 64).all(),
)
reveal("positions-that-do-not-count")

# %% [markdown]
# ### Cures that keep batch norm
#
# Is it training that suffers, or only the running statistics? If these alone, then statistics of all training images
# (`recalibrate`, chapter 05) should repair the network; and in training mode, by its own batches of two, it should do
# well. And **batch renorm** (Ioffe 2017) trains with what inference will see: with the batch's mean $\mu_B$ and
# standard deviation $\sigma_B$, and running ones $\mu_r$ and $\sigma_r$, it gives $\hat x\,r+d$, where
# $r=\sigma_B/\sigma_r$ and $d=(\mu_B-\mu_r)/\sigma_r$ are held within limits and treated as constants by the gradient.
# Within the limits that is $(x-\mu_r)/\sigma_r$: no batch-mates in the output (the gradient still has them). Here the
# limits are 3 and 5 from the first step on; Ioffe relaxes them gradually, and a recipe of its own might do better.

# %%
at, points = mlp.at(2), 100 * (mlp.recalibrated["batch_norm"] - mlp.test["batch_norm"])
gain = intervals.t_interval(points[at])
print(f"exact statistics gain {gain.estimate:.1f} [{gain.low:.1f}, {gain.high:.1f}] points", end="; ")
own = intervals.t_interval(100 * (mlp.by_batch["batch_norm"] - mlp.test["batch_norm"])[at])
print(f"statistics of batches of two, as in training, {own.estimate:.1f} [{own.low:.1f}, {own.high:.1f}]")
for name in ("training-itself-suffers", "renorm-at-two", "renorm-is-no-full-cure"):
    print(claims[name].summary)
takeaway(
    "With two examples in this MLP it is not the running statistics that fail: by those of its training it is no "
    "better, and exact ones win back a few points at most; batch renorm wins back many more.",
    max(gain.high, own.high) < 10
    and all(claims[name].verdict == "supported" for name in ("training-itself-suffers", "renorm-is-no-full-cure"))
    and claims["renorm-at-two"].effect > gain.high,
)

# %% [markdown]
# Other cures: statistics shared between devices (SyncBatchNorm), and for fine-tuning frozen ones. Accumulating
# gradients is none: each small batch still has its own statistics.
#
# ### Swapping the norm of a trained network
#
# `convert` puts group norm in the place of each batch norm, keeps gamma and beta, and drops the running statistics. Can
# the weights stay as they are? We train a CNN for 180 steps, swap, and go on for 60 at a tenth of the rate.

# %% tags=["nbval-ignore-output"]
data, accuracy, settings = digits(), {}, {"seed": 0, "batch_size": 32, "optimiser": SGD(momentum=0.9)}
network = cnn(1, 10, depth=3, width=16, norm=nn.BatchNorm2d, generator=torch.Generator().manual_seed(0))
train(network, data.train, learning_rate=0.1, steps=180, **settings)
accuracy["batch norm"] = Ensemble.of([network]).accuracy(data.validation).item()
report = convert(network, to="group_norm", groups=4)
accuracy["group norm, as converted"] = Ensemble.of([network]).accuracy(data.validation).item()
train(network, data.train, learning_rate=0.01, steps=60, **settings)
accuracy["group norm, trained on"] = Ensemble.of([network]).accuracy(data.validation).item()
for name, share in accuracy.items():
    print(f"{name:24}: {100 * share:.0f}% of the validation images")
before, converted, after = accuracy.values()
takeaway(
    "Swapping a trained network's norm changes its function, and the network must be trained on.",
    converted < before - 0.1 and after > converted + 0.1,
)
report

# %% [markdown]
# ## What a norm costs
#
# No norm does much arithmetic; each reads its input to take statistics and once more to apply them, so what it costs is
# traffic, time to start its operations, and memory for the backward pass. Time is the machine's: here is a step of a
# small CNN, forward, backward and update, in multiples of the step with torch's batch norm. torch's own norms run in
# one fused operation each; those written from elementary operations, as in `bnlab`, start several. So compare fused
# with fused: below 1 means cheaper than batch norm. Memory does not depend on the machine: the second cell counts what
# training keeps for the backward pass, in multiples of the layer's output.

# %% tags=["nbval-ignore-output"]
choices = {
    "none": None,
    "batch norm": nn.BatchNorm2d,
    "group norm": lambda channels: nn.GroupNorm(4, channels),
    "instance norm": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "batch norm of bnlab": layers.BatchNorm2d,
    "group norm of bnlab": lambda channels: layers.GroupNorm(4, channels),
    "filter response norm": layers.FilterResponseNorm2d,
}
networks = {name: cnn(1, 10, depth=3, width=32, norm=norm) for name, norm in choices.items()}
seconds = seconds_per_step(networks, digits().train, batch_size=64, seed=0, rounds=15, steps=2)
for name, one in seconds.items():
    print(f"{name:20}: {one / seconds['batch norm']:.2f} of a step with torch's batch norm")
assert all(0 < one < 1 for one in seconds.values())

# %%
maps = torch.randn(32, 32, 8, 8)
measured = {
    "batch norm": nn.BatchNorm2d(32),
    "group norm": nn.GroupNorm(4, 32),
    "batch norm of bnlab": layers.BatchNorm2d(32),
    "group norm of bnlab": layers.GroupNorm(4, 32),
    "ReLU": nn.ReLU(),
}
kept = {name: kept_for_backward(layer, maps) for name, layer in measured.items()}
print(*(f"{name}: {times:.1f}" for name, times in kept.items()), sep="; ")
state = {name: sum(b.numel() for b in layer.buffers()) for name, layer in measured.items() if "norm" in name}
print("numbers of state:", state)
takeaway(
    "In memory batch norm and group norm cost the same in training, one more copy of the activations, if the "
    "implementation is fused. State is negligible.",
    max(abs(kept[name] - 1) for name in ("batch norm", "group norm")) < 0.1
    and kept["group norm of bnlab"] > 1.9
    and max(state.values()) < 0.01 * maps.numel(),
)

# %% [markdown]
# Back to the times: torch's fused norms lie near each other, and filter response norm, elementary operations
# throughout, takes longest. So time depends less on which values share a mean than on how a norm is written. At
# inference batch norm is ahead: it folds into a convolution directly before it and costs nothing (chapter
# [05](05_mechanism_inference.ipynb)), and a norm that looks at its own example must be computed each time.
#
# ## Without statistics
#
# A norm keeps the signal's size, bounds what an outlier can do, and makes larger steps possible. Must it average for
# that? **Dynamic tanh** (DyT, Zhu et al. 2025) puts one bounded curve in the norm's place, and **Derf** (Chen et al.
# 2025) the error function:
#
# $$\text{DyT}(x)=\gamma\tanh(\alpha x)+\beta,\qquad \text{Derf}(x)=\gamma\,\text{erf}(\alpha x+s)+\beta ,$$
#
# with one learned $\alpha$ (and $s$) for the layer; it has nothing to do with the momentum, which chapter
# [05](05_mechanism_inference.ipynb) calls $\alpha$. They bound, and do not normalise:

# %%
signal = torch.tensor([[-1.0, -0.2, 0.3, 0.9]])
for times in (0.1, 1, 100):
    three = {"layer norm": layers.LayerNorm(4), "DyT": layers.DyT(4), "Derf": layers.Derf(4)}
    sizes = {name: layer(times * signal).detach().square().mean().sqrt().item() for name, layer in three.items()}
    print(f"{times:5} times the signal:", ", ".join(f"{name} {size:.2f}" for name, size in sizes.items()))

# %% [markdown]
# A small signal stays small ($\alpha$ starts at 0.5, so it is halved), a huge one becomes a row of signs. A layer norm
# gives size 1 throughout, but for `eps`. The authors report that transformers with DyT match or exceed those with
# norms; for Derf they report 82.8% for a vision transformer on ImageNet, against 82.3% with layer norm and 82.5% with
# DyT. These claims are theirs. Here is what a small residual MLP makes of them, with the norm as the first thing in
# each branch and a ReLU behind it (which a transformer has not there), each arm at its best rate:

# %%
free = studies.result("norm_free")
for arm, seeds in free.test.items():
    fit = 100 * free.train[arm].mean()
    print(f"{arm:12} rate {free.best_rate(arm):5}: test {100 * seeds.mean():.1f}%, training {fit:.1f}%")
figures.norm_free_compared(free, title="On a small residual MLP neither DyT nor Derf beats a norm")

# %% [markdown]
# Left, every seed's test accuracy with the 95% interval of the mean; right, the median over the seeds in validation at
# each rate, the chosen one marked large. The norms train at rates where DyT and Derf no longer do, and these at rates
# where the network without a norm fails. That is no verdict on transformers: the network is tiny, the training short,
# and $\alpha$ started at 0.5, DyT's default. And the intervals are some four points wide, and contain gains of the size
# that the authors report: this can show a large advantage, not theirs.

# %%
compared = [claims[name] for name in ("dyt-over-layer-norm", "derf-over-dyt")]
print(*(claim.summary for claim in compared), sep="\n")
gain = intervals.t_interval(100 * (free.test["layer_norm"] - free.test["no_norm"]))
print(f"layer norm against none: {gain.estimate:+.1f} [{gain.low:+.1f}, {gain.high:+.1f}] points")
takeaway(
    "On this network no advantage of DyT over layer norm or of Derf over DyT shows; a small one could not.",
    {claim.verdict for claim in compared} == {"not supported here"},
)

# %% [markdown]
# That layer norm beats no norm is no claim of the ledger: with other seeds one network without a norm failed, and the
# interval reached below zero.
#
# Others gave up norms earlier: NFNet (Brock et al. 2021) standardises the weights, scales the branches, clips
# gradients, and reports 86.5% on ImageNet. Others change the norm: nGPT (2024) keeps weights and hidden states on a
# sphere, SeeDNorm (2025) lets RMS norm's scale depend on the input. They are reported on large models; nothing here
# tests them.
#
# ## A decision guide
#
# Ask in this order, and stop at the first yes.
#
# | question | choose | because |
# |---|---|---|
# | Fine-tuning a published network? | its own norm; batch norm frozen if few images fit | a swap needs training |
# | Sequences, a transformer? | RMS norm or layer norm | padding, the leak and two modes are spared (chapter 09) |
# | Must examples be independent? | group or layer norm | batch-mates move batch norm's output (the table of traits) |
# | Images whose style is to go? | instance norm | it forgets each image's shift and scale, by channel (the table) |
# | Under about 8 images a device? | group norm | Wu and He's ResNet-50 lost with batch norm there |
# | Under about 8 rows a device? | layer norm | an MLP lost most with batch norm there (`batch-of-two-mlp`) |
# | Large, mixed batches of images or rows? | batch norm | it bears large rates and folds away; see `batch-of-32-mlp` |
# | None of these? | what the nearest published network has | its recipe was tuned for it; then compare two |
#
# The thresholds are rules of thumb: here an MLP failed with 2 rows and was level with the others at 8 (nothing between
# was run), and a CNN got on with 2 images (`batch-of-two-maps`), while Wu and He's ResNet-50 on ImageNet lost at 8 a
# device and below. And whatever you choose: compare at each norm's own best rate.

# %%
cited = {claims[name].verdict for name in ("batch-of-two-mlp", "batch-of-32-mlp")}
takeaway(
    "Ask what a batch is before you ask which norm is best: how many independent examples, how alike, and whether one "
    "may know of another.",
    cited == {"supported"}
    and (claims["batch-of-two-maps"].verdict, table["batch norm"].mates) == ("not supported here", "output"),
)
claims.of("11")

# %% [markdown]
# ## Exercises
#
# Write your answer in place of the `...`; `check` names the mistake if there is one, and `hint("values_per_mean")` and
# its like, from `bnlab.practice`, nudge. The whole family is a question of which values share a mean: count them.


# %%
def my_values_per_mean(norm, shape, groups):
    """How many means a norm computes for images of shape (n, c, height, width), and how many values share each: a pair.

    norm is "batch", "layer", "instance" or "group"; only group norm looks at groups, the number of groups of channels.
    Layer norm takes an image whole: all its channels and positions.
    """
    ...


check("values_per_mean", my_values_per_mean)

# %% [markdown]
# The norm of most large language models is one line.


# %%
def my_rms_norm(x, gamma, eps):
    """RMS norm: each vector along the last axis is divided by the root of its mean square, then scaled by gamma.

    x has shape (..., d) and gamma has shape (d,); the result has the shape of x. eps is added to the mean square.
    """
    ...


check("rms_norm", my_rms_norm)

# %% [markdown]
# And this is what is left when nothing is averaged at all.


# %%
def my_dynamic_tanh(x, alpha, gamma, beta):
    """DyT, in the place of a norm: a tanh of each value, with slope alpha at zero, then gamma and beta of its feature.

    x has shape (..., d), alpha is one number, gamma and beta have shape (d,); the result has the shape of x.
    """
    ...


check("dynamic_tanh", my_dynamic_tanh)

# %% [markdown]
# Instead of the activations one can normalise the weights, filter by filter.


# %%
def my_weight_standardise(weight, eps):
    """Weight standardisation: each filter of a convolution gets weights of mean 0 and (biased) variance 1.

    weight has shape (out, in, height, width), one filter for each output channel, and so has the result. eps is added
    to the variance.
    """
    ...


check("weight_standardise", my_weight_standardise)

# %% [markdown]
# Batch renormalisation trains with what inference will see, within limits (*stretch*).


# %%
def my_batch_renorm(x, running_mean, running_std, r_max, d_max, eps):
    """Batch renormalisation in training mode, before gamma and beta: x_hat, then the corrections r and d.

    x has shape (n, c), running_mean and running_std have shape (c,). x_hat is what batch norm gives, times r, plus d.
    With wide limits, that is what inference gives: (x - running_mean) / running_std. r is held between 1 / r_max and
    r_max, d between -d_max and d_max. r and d have shape (c,). The batch's variance is the biased one, plus eps.
    """
    ...


check("batch_renorm", my_batch_renorm)

# %% [markdown]
# ## What is contested
#
# *Whether group norm is as good as batch norm in large batches.* In Wu and He's table batch norm is half a point ahead
# at 32 images a device; they point to the noise of the batch, which regularises. *Why small batches hurt.* Singh and
# Shrivastava 2019 report 6.18 points won back at batch 2 by changing evaluation alone, so a good part of the damage
# there was not done in training; in our MLP exact statistics won back a few points only. *Whether norms are needed.*
# NFNet, DyT and Derf say no, at the price of other devices or of curves that bound. What a norm then was for, the scale
# of the signal, the direction of the weights or the outliers, is argued about (chapter [12](12_why_it_works.ipynb)).
#
# ## In one sentence
#
# The norms differ in which values share a mean, so choose by what in your data may be pooled: examples if they are many
# and alike, channels or positions of one example if not.
#
# ## References
#
# - Wu and He 2018, [Group Normalization](https://arxiv.org/abs/1803.08494).
# - Ba, Kiros and Hinton 2016, [Layer Normalization](https://arxiv.org/abs/1607.06450); Ulyanov et al. 2016, [Instance
#   Normalization](https://arxiv.org/abs/1607.08022); Zhang and Sennrich 2019,
#   [RMSNorm](https://arxiv.org/abs/1910.07467).
# - Ioffe 2017, [Batch Renormalization](https://arxiv.org/abs/1702.03275); Singh and Shrivastava 2019,
#   [EvalNorm](https://arxiv.org/abs/1904.06031).
# - Singh and Krishnan 2019, [Filter Response Normalization](https://arxiv.org/abs/1911.09737); Qiao et al. 2019,
#   [Weight Standardization](https://arxiv.org/abs/1903.10520); Brock et al. 2021,
#   [NFNet](https://arxiv.org/abs/2102.06171).
# - Zhu et al. 2025, [Transformers without Normalization](https://arxiv.org/abs/2503.10622); Chen et al. 2025,
#   [Derf](https://arxiv.org/abs/2512.10938); [nGPT](https://arxiv.org/abs/2410.01131);
#   [SeeDNorm](https://arxiv.org/abs/2510.22777).
#
# ## Say it in an interview
#
# > "All norms do one thing and differ in which values share a mean. Batch norm pools examples, so it needs many that
# > are alike, keeps state, and is another function at inference. If the batch on a device is small, I take group norm
# > for images; for sequences layer norm or RMS norm, since a token should not know its neighbours' padding. Positions
# > of one image are not independent, so I do not trust the count of values, and measure. And I would compare at each
# > norm's own best learning rate."

# %%
ask(
    "choose-a-norm",
    "group-or-batch-norm",
    "positions-are-not-samples",
    "swap-batch-for-group-norm",
    "without-statistics",
)
