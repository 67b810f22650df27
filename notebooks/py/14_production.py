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
# # What happens to batch norm on its way into production?
#
# **You will** take one small network from its checkpoint to a file that serves, feed it images it was not trained on,
# set an alarm that goes off for a reason, and see what eight bits and privacy ask of a norm. **You learn** to say what
# each step changes, and how to prove that nothing else did. **You need** 60 minutes, and chapters
# [05](05_mechanism_inference.ipynb) and [11](11_alternatives.ipynb).
#
# ## First, from memory
#
# Answer aloud before you unfold.

# %%
from copy import deepcopy

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.utils.benchmark import Timer

from bnlab import deploy, figures, layers
from bnlab.experiments import claims, studies
from bnlab.experiments.data import digits
from bnlab.experiments.models import cnn
from bnlab.experiments.optimisers import SGD, cosine
from bnlab.experiments.studies.served_shift import shifted
from bnlab.experiments.training import Ensemble, train
from bnlab.notebook import setup, takeaway
from bnlab.practice import ask, check, predict, recall, reveal
from bnlab.reference.variance import Moments, merge

setup()

# %%
recall("14")

# %% [markdown]
# ## From checkpoint to serving
#
# A small CNN with torch's batch norm has been trained on digits, by somebody who took over Keras's momentum: 0.99
# there, 0.01 here, and slow for 150 steps (chapter [05](05_mechanism_inference.ipynb)). What lies in its checkpoint?
# For each norm five entries, of which the optimiser knows two. Whoever saves, averages or sends "the parameters" alone
# loses the statistics.

# %% tags=["nbval-ignore-output"]
data, ledger, slow = digits(), claims.ledger(), lambda channels: nn.BatchNorm2d(channels, momentum=0.01)
network = cnn(1, 10, depth=3, width=16, norm=slow, generator=torch.Generator().manual_seed(0))
print("of one norm:", [name for name in network.state_dict() if name.startswith("1.")])
settings = {"seed": 0, "steps": 150, "batch_size": 32, "optimiser": SGD(momentum=0.9), "schedule": cosine}
train(network, data.train, learning_rate=0.1, **settings)
network.eval()
before = Ensemble.of([network]).accuracy(data.test).item()
deploy.recalibrate(network, data.train.x.split(32))
after = Ensemble.of([network]).accuracy(data.test).item()
print(f"test accuracy by the statistics of the checkpoint {before:.0%}, recalibrated {after:.0%}")
takeaway("Recalibrate before you judge a checkpoint: weights may be better than statistics.", after > before + 0.1)

# %% [markdown]
# ### Fold
#
# In evaluation batch norm multiplies a channel by $\gamma/\sqrt{\sigma^2+\epsilon}$ and shifts it, with the running
# mean $\mu$ and variance $\sigma^2$. The convolution before it, with weights $w$ and bias $b$, can do both itself, as
# one with
#
# $$w'=\frac{\gamma}{\sqrt{\sigma^2+\epsilon}}\,w,\qquad b'=\frac{\gamma}{\sqrt{\sigma^2+\epsilon}}\,(b-\mu)+\beta .$$
#
# First one channel by hand, then the network by `fold`, which finds out what follows what, leaves what it cannot fold,
# and compares both networks on the way, in float64.

# %%
predict("fold-changes-what")

# %%
w, b, gamma, beta, mean, var, eps = 6.0, 5.0, 3.0, 2.0, 1.0, 4.0, 0.0
scale = gamma / np.sqrt(var + eps)
new_w, new_b = scale * w, scale * (b - mean) + beta
for x in (0.0, 2.0):
    normed = gamma * (w * x + b - mean) / np.sqrt(var + eps) + beta
    print(f"x = {x:g}: convolution, then norm {normed:g}; one convolution {new_w * x + new_b:g}")
folding = deploy.fold(network, data.test.x[:1])
folded, norm = folding.model, network[1]
by_hand = (norm.weight / torch.sqrt(norm.running_var + norm.eps))[:, None, None, None] * network[0].weight
print("the network's first convolution, by hand and by fold, agrees:", torch.allclose(by_hand, folded[0].weight))
folding

# %% [markdown]
# Not every norm has a convolution before it. In a pre-activation residual block it stands in front, behind a sum or a
# ReLU. The convolution behind could take it in, but only if it had no padding: padded zeros are not normalised.

# %%
preactivation = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1)).eval()
(left,) = deploy.fold(preactivation, data.test.x[:1]).left
print("left:", left.why)
takeaway(
    "A norm directly behind a convolution folds away, and the function stays the same. Behind a ReLU it is left.",
    len(folding.folded) == 3 and not folding.left and torch.allclose(by_hand, folded[0].weight) and bool(left.why),
)
reveal("fold-changes-what")

# %% [markdown]
# ### Export, and compare
#
# A server rarely runs your Python. `torch.export` stores the network as a graph, ONNX as a file for other runtimes
# (`deploy.to_program`, `deploy.to_onnx`). Each is a translation, so compare outputs on real inputs, the largest
# difference in units of the largest output. Beside it, what a norm left in training mode would do.

# %%
plain = network(data.test.x)
exported = deploy.to_program(folded, data.test.x).module()(data.test.x)
differences = {"folded, torch.export": ((exported - plain).abs().max() / plain.abs().max()).item()}
try:
    differences = deploy.compare(network, data.test.x)
except ModuleNotFoundError as missing:  # without the extra of ONNX's packages
    print(missing)
for name, difference in differences.items():
    print(f"{name:20}: agrees to 1e-5: {difference < 1e-5}")
wrong = deepcopy(network).train()(data.test.x[:32])
in_wrong_mode = ((wrong - plain[:32]).abs().max() / plain.abs().max()).item()
print("in training mode, a batch of 32 agrees to 1e-2:", in_wrong_mode < 1e-2)
takeaway(
    "Compare what you serve with what you trained, on real inputs: each version compared here is off by rounding, a "
    "wrong mode by far more.",
    max(differences.values()) < 1e-5 and in_wrong_mode > 1e-2,
)

# %% [markdown]
# And what is folding worth? Time the two in turns and take each one's fastest round, since a disturbance only adds.

# %% tags=["nbval-ignore-output"]
versions = {"as trained": network, "folded": folded}
with torch.inference_mode():
    for size in (1, 64):
        timers = [Timer("model(x)", globals={"model": m, "x": data.test.x[:size]}) for m in versions.values()]
        trained, without_norms = np.min([[timer.timeit(20).median for timer in timers] for _ in range(30)], axis=0)
        print(f"batch of {size:2}: folded takes {without_norms / trained:.2f} of the time")
assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())

# %% [markdown]
# How much it saves hangs on the processor, the batch and the size of the convolutions, and a compiler may have fused
# the norm anyway. So say what you measured, on which machine, at which batch.
#
# ## When the data shift
#
# The camera is replaced, somebody rescales the pixels, a lens is out of focus: the stored statistics are those of
# yesterday's images. The batch at hand has today's, and needs no labels for it (Nado et al. call it prediction-time
# batch norm). The study trains a CNN for each of ten seeds and serves it the test images changed in five ways, by four
# kinds of statistics: stored ones, those of each batch of 36 in random order, those of all the changed images, and
# those of each batch when the images come sorted by class.
#
# **Predict before you run**, and say how sure you are.

# %%
predict("batch-statistics-inverted")

# %%
served = studies.result("served_shift")
for shift in served.stored:
    kinds = {"stored": served.stored, "batch": served.by_batch, "all": served.adapted, "sorted": served.by_class}
    print(f"{shift:10}", *(f"{kind} {100 * accuracies[shift].mean():3.0f}%" for kind, accuracies in kinds.items()))
figures.accuracy_by_shift(served, title="Fresh statistics mend much of a shift, not inversion or sorting")

# %% [markdown]
# Each faint mark is one network, the full one the mean. Contrast and brightness scale and shift the input, and with it
# what reaches the first norm: fresh statistics undo most of it. What is still lost is probably lost at the borders,
# where the padding is not shifted. Blur and noise also change which features are there, and are mended in part.
# Inversion turns every edge round, and no mean or variance turns it back. And sorted by class, batches break the
# network on *clean* images: their mean takes away what tells classes apart.
#
# In the package both ways are context managers, so that nothing can be left switched on: `prediction_time_statistics`
# for each batch's own, and `adapt` for those of a collected window (adaptive batch norm, AdaBN, Li et al.). On leaving,
# all buffers are back. Until then the model itself is changed: while others use it, adapt a copy and swap.

# %%
for name in ("batch-statistics-contrast", "batch-statistics-inverted", "batch-statistics-cost-clean"):
    print(ledger[name].summary)
gains = {shift: 100 * (served.by_batch[shift] - served.stored[shift]).mean() for shift in served.stored}
takeaway(
    "Statistics of a mixed batch mend most of what moves means and scales, part of a blur or noise, and no inversion; "
    "on clean data they cost under two points here. Those of sorted batches ruin the network.",
    ledger["batch-statistics-contrast"].verdict == "supported"
    and min(gains["contrast"], gains["brightness"]) > 60
    and all(15 < gains[shift] < 60 for shift in ("blur", "noise"))
    and ledger["batch-statistics-cost-clean"].interval[1] < 2
    and ledger["batch-statistics-inverted"].interval[1] < 5
    and served.by_batch["inverted"].max() < 0.3
    and served.by_class["clean"].max() < 0.3,
)
reveal("batch-statistics-inverted")

# %%
dim, before = shifted(data.test, "contrast", like=data.train), deepcopy(network.state_dict())
stored = (network(dim.x).argmax(1) == dim.y).float().mean()
for context in (deploy.prediction_time_statistics(network), deploy.adapt(network, [dim.x[:180]])):
    with context:
        right = (network(dim.x[180:]).argmax(1) == dim.y[180:]).float().mean()
    print("more than 30 points won:", (right > stored + 0.3).item())
    assert right > stored + 0.3
print("afterwards as before:", all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items()))

# %% [markdown]
# Prefer `adapt`: its window is collected, looked at, and the same for everybody, so an answer does not depend on who
# else asks at that moment.
#
# ## Watching a network at work
#
# Labels come late, statistics at once: each norm stores what it met in training, so compare it with what it meets now.
# `drift` does so for a window of images, layer by layer.

# %%
same = deploy.drift(network, [data.test.x[:300]])
changed = deploy.drift(network, [dim.x[:300]])
print("alarm on images as in training:", same.alarm, "- on dim ones:", changed.alarm)
assert changed.alarm > same.alarm

# %% [markdown]
# How far off is too far? Take a channel's mean over a window of $N$ images with $H\times W$ positions each. Were these
# $NHW$ values independent, with standard deviation $\sigma$, the standard error of their mean would be
# $\sigma/\sqrt{NHW}$. They are not (chapter [11](11_alternatives.ipynb)), but images are. So take each image's mean,
# and let *their* spread $s$ give the standard error, $s/\sqrt N$. To see which is honest, draw healthy windows: 1,000
# times 300 training images, compared with the mean of all of them. Beyond 3 standard errors chance should give about
# 0.3% alarms.

# %% tags=["nbval-ignore-output"]
norms = [name for name, layer in network.named_modules() if isinstance(layer, nn.BatchNorm2d)]
with torch.no_grad(), deploy.per_image.watching(network, norms) as watch:
    network(data.train.x)
rng, alarms = np.random.default_rng(14), []
for name, seen in watch.result().items():
    windows = seen.means.numpy()[rng.integers(0, seen.images, (1000, 300))]  # of shape (windows, images, channels)
    off, by_image = abs(windows.mean(1) - seen.mean.numpy()), windows.std(1, ddof=1) / np.sqrt(300)
    by_value = np.sqrt(seen.var.numpy() / (300 * seen.positions))
    alarms.append([(off > 3 * error).mean() for error in (by_value, by_image)])
    worth = np.median((seen.var / seen.means.var(0)).numpy())
    print(f"norm {name}: {seen.positions} positions are worth {worth:2.0f} values;", end=" ")
    print(f"false alarms by value {alarms[-1][0]:.1%}, by image {alarms[-1][1]:.1%}")
(first, _, last), by_image = np.transpose(alarms)
takeaway(
    "Reckon chance from images, not positions: by position over 20% of the checks of the last norm's channels were "
    "false alarms; by image under 1% in every norm.",
    last > 0.2 and by_image.max() < 0.01,
)

# %% [markdown]
# Counting positions errs in both directions. Behind the last convolution, where training made the positions of an image
# alike, the alarm cries wolf so often that somebody will switch it off. Behind the first, where they hardly correlate
# or even offset each other, it is about right or too deaf. Counted by image it is right everywhere.
#
# `drift` counts by image, shares a rate of 0.3% a window among the channels of all norms, and ignores what is smaller
# than a tenth of a standard deviation: with enough images everything is significant. Take some 300: of 32 images, say,
# a channel that seldom fires may show nothing, and seem dead. And the window must be a fair sample: an hour in which
# everybody sends sevens is an alarm, perhaps rightly. So is any NaN.
#
# ## Averaging weights
#
# Averages of weights, over the late steps of a run or over several runs, are reported to generalise better (SWA,
# stochastic weight averaging; EMA, an exponential moving average). But an average is a network that never ran, so
# nobody has its statistics. How much does that matter? Two MLPs for each of ten seeds, and the straight line between
# their weights: from two starts, and as a fork of one network, each branch trained for 150 steps on an order of its
# own.

# %%
predict("half-way-weights")

# %%
path = studies.result("weight_averaging")
middle = len(path.config.places()) // 2
for kind in ("independent", "forked"):
    ends = 100 * path.exact[kind][[0, -1]].mean()
    averaged, exact = (100 * way[kind][middle].mean() for way in (path.averaged, path.exact))
    print(f"{kind:11}: ends {ends:.0f}%, half-way with averaged statistics {averaged:.0f}%, taken anew {exact:.0f}%")
figures.accuracy_along_path(path, title="New statistics win back over half of what is lost half-way")

# %% [markdown]
# Left, two starts: half-way most of the loss was the statistics', and the rest is the weights', since unit 7 of the one
# has nothing to do with unit 7 of the other (Jordan et al. match the units first). Right, the fork: nothing to mend,
# and hardly a gain: tenths of a point, with some seeds and not with others, so it is no claim of the ledger. SWA
# reports more, for long runs at large rates. Why do averaged statistics not fit? The mean of two independent weights
# has half their variance, and what it makes of an input spreads accordingly less, which no average of two stored
# variances knows:

# %%
inputs, weights = torch.randn(10000, 64), [torch.randn(64, 200) for _ in range(2)]
spread = [(inputs @ weight).var().item() for weight in (*weights, sum(weights) / 2)]
print(f"average of two variances {np.mean(spread[:2]):.0f}, variance of the average {spread[2]:.0f}")
for name in ("half-way-recalibrated", "half-way-as-good"):
    print(ledger[name].summary)
ends = path.exact["independent"][[0, -1]].mean()
forks = path.exact["forked"]
won = 100 * (forks[middle] - forks[[0, -1]]).mean()
print(f"forks: the average against the ends {won:+.1f} points")
lost, still_lost = (ends - way["independent"][middle].mean() for way in (path.averaged, path.exact))
takeaway(
    "After averaging weights, take the statistics anew: half-way between two starts that won back over half of the "
    "loss, not all. Between forks of one network next to nothing was lost or won.",
    ledger["half-way-recalibrated"].verdict == "supported"
    and still_lost < lost / 2
    and ledger["half-way-as-good"].interval[1] < 0
    and abs(won) < 1,
)
reveal("half-way-weights")

# %% [markdown]
# `bnlab.deploy.average(models, loader)` does both.
#
# ## Several machines
#
# Training on several devices splits the batch, and each device normalises its own part: 8 devices with 4 images each
# are batch norm over 4. `SyncBatchNorm` joins them. What must each send? Not its values: count $n$, mean $\mu$ and
# $M_2$, the sum of squared distances from the mean. Merged, $n=n_a+n_b$, $\delta=\mu_b-\mu_a$,
#
# $$\mu=\mu_a+\delta\,\frac{n_b}{n},\qquad M_2=M_{2a}+M_{2b}+\delta^2\,\frac{n_an_b}{n} .$$

# %%
parts = [np.array([1.0, 3.0]), np.array([7.0, 8.0, 9.0, 8.0])]
count, mean, m2 = merge(*(Moments(part.size, part.mean(), part.size * part.var()) for part in parts))
joined, averaged = np.concatenate(parts), np.mean([part.var() for part in parts])
print(f"merged: mean {mean:g}, variance {m2 / count:.3f}; average of the two variances {averaged:g}")
takeaway(
    "Counts, means and M2s of the parts give those of the whole. An average of variances misses how the means differ.",
    np.allclose([mean, m2 / count], [joined.mean(), joined.var()]) and averaged < joined.var() / 2,
)

# %% [markdown]
# That is $2C+1$ numbers a layer forward, for $C$ channels, and $2C$ back, since the gradient too needs two sums over
# the whole batch (of $dy$ and of $dy\,\hat x$, chapter [04](04_mechanism_backward.ipynb)): little. What costs is
# waiting, twice a layer, for the slowest device. In two real processes, from a terminal:
#
# `.venv/bin/torchrun --nproc-per-node 2 -m bnlab.experiments.distributed`
#
# It trains digits with two images a process, by batch norm and by `SyncBatchNorm`, and prints accuracy and time of a
# step; `deploy.convert(model, to="sync_batch_norm")` changes a network of yours. Peng et al. use it for detection,
# where few images fit a device. Do without if each device has enough images (ordinary batch norm is faster, and in Wu
# and He's ResNet-50 16 images a device were nearly as good as 32), if some process may skip a layer (the others wait
# for it), and in evaluation, where nothing is sent.
#
# ## Half precision and eight bits
#
# A running mean $r$ takes small steps: with momentum $\alpha$ it moves $\alpha(\bar x-r)$ towards the batch's mean
# $\bar x$. A number format has steps too, and a move below half of one is rounded away.

# %%
predict("momentum-in-half-precision")

# %%
stalled = {}
for dtype in (torch.float32, torch.float16, torch.bfloat16):
    layer = layers.BatchNorm1d(1, momentum=0.01, dtype=dtype)
    for _ in range(3000):
        layer(torch.tensor([[99.0], [101.0]], dtype=dtype))
    step = torch.finfo(dtype).eps * 64  # between neighbours, from 64 to 128
    stalled[dtype] = layer.running_mean.item(), 100 - step / 2 / 0.01
    print(f"{str(dtype)[6:]:8}: steps of {step:.2g}, after 3,000 batches of mean 100 it is {stalled[dtype][0]:.2f}")
takeaway(
    "In half precision a running statistic stops short of its goal, here by half a step over momentum: keep "
    "running statistics in float32.",
    all(np.isclose(found, predicted, atol=0.01) for found, predicted in stalled.values()),
)
reveal("momentum-in-half-precision")

# %% [markdown]
# Mixed precision (`torch.autocast`) leaves parameters and buffers in float32; `model.half()` before or during training
# does not, and torch's own layer rounds more on the way and may stop shorter still. To serve in half precision, fold
# first, in float64 as `fold` does, and cast the result.
#
# Eight bits: a weight becomes a whole number from -127 to 127 times a scale, the largest weight divided by 127. One
# scale for the whole layer, or one for each channel? Folding multiplies each channel by its own number. Two channels
# with the same weights, whose folded scales are 1 and 0.01:

# %%
weight = np.array([[1.0, -0.5, 0.3], [0.01, -0.005, 0.003]])
for name, top in {"one scale": abs(weight).max(), "one a channel": abs(weight).max(1, keepdims=True)}.items():
    print(f"{name:13}: whole numbers {np.round(weight / top * 127).astype(int).tolist()}")

# %% tags=["nbval-ignore-output"]
off = {}
for name, bits, kind in [(n, b, k) for n in versions for b in (8, 4) for k in ("layer", "channel")]:
    rounded = deepcopy(versions[name])
    for conv in (rounded[0], rounded[3], rounded[6]):
        weight = conv.weight.detach().flatten(1)
        scale = weight.abs().amax(1 if kind == "channel" else (0, 1), keepdim=True) / (2 ** (bits - 1) - 1)
        new = (weight / scale).round() * scale
        off.setdefault((name, bits, kind), []).append((new - weight).norm(dim=1) / weight.norm(dim=1))
        conv.weight.data = new.reshape(conv.weight.shape)
    worst, right = torch.cat(off[name, bits, kind]).max(), Ensemble.of([rounded]).accuracy(data.test).item()
    print(f"{name:10} {bits} bits, scale by {kind:7}: worst channel {worst:.1%} off, right {right:.0%}")
worst = {key: torch.cat(shares).max().item() for key, shares in off.items()}
takeaway(
    "Quantise with a scale for each channel: the error is then the same before and after folding, and smaller.",
    all(
        np.isclose(worst["as trained", bits, "channel"], worst["folded", bits, "channel"], rtol=0.01) for bits in (8, 4)
    )
    and all(worst["folded", bits, "channel"] < worst["folded", bits, "layer"] for bits in (8, 4)),
)

# %% [markdown]
# With one scale the second channel of the example has 1, -1 and 0 left. ("Off" is the length of a channel's rounding
# errors, in units of the length of its weights.) In this network the ranges lie closer together: at eight bits nothing
# is lost either way, at four the worst channel fares better with its own scale. And with a scale for each channel it
# does not matter whether one rounds before or after folding, since the scale takes out what folding multiplies by.
# Nagel et al. find ranges in folded MobileNets so far apart that one scale fails at eight bits.
#
# Activations are rounded too, mostly with one scale for a whole tensor, set by the largest value that some images for
# calibration show. Of what tensor? As trained, of the convolution's output, where a channel's range grows with its
# weights. Folded, of the norm's output: a few $\gamma$ about $\beta$, whatever the weights. Make one filter a hundred
# times too large, which the norm behind it undoes, and look at each channel's largest value over the training images:

# %%
uneven, ranges = deepcopy(network), {}
uneven[0].weight.data[0] *= 100
deploy.recalibrate(uneven, data.train.x.split(32))
for name, model in {"as trained": uneven, "folded": deploy.fold(uneven, data.test.x[:1]).model}.items():
    largest = model[0](data.train.x).detach().abs().amax((0, 2, 3))
    ranges[name] = (largest.max() / largest.min()).item()
    print(f"{name:10}: the widest channel is over 50 times the narrowest: {ranges[name] > 50}")
takeaway(
    "Fold before you calibrate: what is rounded then has the range that the norm gives it, channel by channel.",
    ranges["folded"] < 5 and ranges["as trained"] > 50,
)

# %% [markdown]
# ## Privacy asks for one example
#
# Differentially private SGD (DP-SGD, Abadi et al. 2016) promises that no single example changes much. It computes a
# gradient for each example, clips each to a length $L$, adds them up and adds noise in proportion to $L$. Add or remove
# one example, and the sum moves by $L$ at most; replace one, by $2L$. That holds if an example's gradient depends on
# that example alone. Sixteen examples, of which one is replaced by an outlier, and then the fast way to one gradient
# for each example, `vmap(grad(...))`, with layer norm:

# %%
torch.manual_seed(0)
x = torch.randn(16, 4, dtype=torch.float64)
replaced, clip, moved = torch.cat([100 * x[:1], x[1:]]), 0.1, {}
for name, norm in {"batch norm": nn.BatchNorm1d(8), "layer norm": nn.LayerNorm(8)}.items():
    model, sums = nn.Sequential(nn.Linear(4, 8), norm, nn.ReLU(), nn.Linear(8, 1)).double(), []
    for batch in (x, replaced):
        losses = (model(batch) - 1).square().flatten()
        each = [torch.autograd.grad(loss, model[0].weight, retain_graph=True)[0] for loss in losses]
        sums.append(sum(gradient * min(1, clip / gradient.norm()) for gradient in each))
    moved[name] = (sums[1] - sums[0]).norm().item() / clip
    print(f"{name}: the sum moved by {moved[name]:.2f} times the clip; 2 are allowed")

# %%
parameters = dict(model.named_parameters())
example_loss = vmap(grad(lambda p, one: (functional_call(model, p, (one[None],)) - 1).square().sum()), (None, 0))
each = example_loss(parameters, x)["0.weight"]
whole = torch.autograd.grad((model(x) - 1).square().sum(), model[0].weight)[0]
print(
    "one gradient an example:", tuple(each.shape), "- they add up to the batch's:", torch.allclose(each.sum(0), whole)
)
takeaway(
    "Private training needs a loss that is a sum over examples. With batch norm in training mode it is not, and "
    "clipping single gradients does not bound what one example can do; with layer norm it does.",
    moved["batch norm"] > 2 > moved["layer norm"] and torch.allclose(each.sum(0), whole),
)

# %% [markdown]
# With batch norm the outlier reaches the gradients of the other fifteen by way of their mean and variance, and what is
# left of the bound is $2L$ for each of the sixteen. Nor would `vmap` do: it passes examples one at a time, and one
# example has no batch statistics. Take group norm (which `ModuleValidator.fix` of Opacus, a library for private
# training, puts in its place), layer norm, or statistics frozen from public data.
#
# ## The checklist
#
# | bring to the interview | and show it with |
# |---|---|
# | A checkpoint is parameters *and* buffers | the first cell of this chapter |
# | `eval()` before export, and a test that batch-mates do not matter | chapter [05](05_mechanism_inference.ipynb) |
# | Recalibrate with the weights that will serve | "From checkpoint to serving" |
# | Fold, in float64, and know what is left | `fold` |
# | Compare original, folded and exported on real inputs | `compare` |
# | Fresh statistics for shifts of mean and scale, from mixed windows only | "When the data shift" |
# | Watch each norm's input, chance by images | `drift` |
# | After averaging weights, statistics anew | "Averaging weights" |
# | Few images a device: SyncBatchNorm, or another norm | chapter [11](11_alternatives.ipynb) |
# | Statistics in float32, a scale for each channel, no batch norm with privacy | the last two sections |

# %%
ledger.of("14")

# %% [markdown]
# ## Exercises
#
# Write your answer in place of the `...`; `check` names the mistake if there is one, and `hint("fold_convolution")` and
# its like, from `bnlab.practice`, nudge. What `fold` does to one convolution, you can write in three lines.


# %%
def my_fold_convolution(weight, bias, gamma, beta, running_mean, running_var, eps):
    """The weight and bias with which a convolution gives what batch norm would make of its output at inference.

    weight has shape (out, in / groups, height, width), all else (out,). The results have the shapes of weight and bias.
    """
    ...


check("fold_convolution", my_fold_convolution)

# %% [markdown]
# What the ranks (that is, processes) of SyncBatchNorm do with the three numbers that each has sent for a channel.


# %%
def my_merge_ranks(counts, means, m2s):
    """Count, mean and biased variance of the values of all ranks together, as SyncBatchNorm needs them.

    counts has shape (ranks,): how many values per channel each rank has. A rank may have none; then its mean and m2 are
    0. means and m2s have shape (ranks, c): each rank's mean, and the sum of its squared distances from that mean.
    """
    ...


check("merge_ranks", my_merge_ranks)

# %% [markdown]
# An alarm begins with the question of how far a mean scatters when nothing is wrong.


# %%
def my_drift_scores(x, running_mean):
    """How many standard errors the mean of what reaches a norm lies above the stored mean, for each channel.

    x has shape (n, c, height, width), running_mean and the result have shape (c,). The images are independent, the
    positions of one image are not. So the standard error comes from the means of the images: their spread, divided by
    n - 1, over the root of n.
    """
    ...


check("drift_scores", my_drift_scores)

# %% [markdown]
# Eight bits for each weight, and one scale for each filter (*stretch*).


# %%
def my_quantise_filters(weight, bits):
    """Whole numbers q and a scale for each filter, so that weight is nearly q * scale: symmetric quantisation.

    weight has shape (out, in, height, width), q has the same, scale has shape (out,). With 8 bits q lies between -127
    and 127, in general between -limit and limit with limit = 2 ** (bits - 1) - 1, and each filter's largest weight,
    without its sign, becomes limit. Weights are rounded to the nearest. The scale of a filter of zeros is 1.
    """
    ...


check("quantise_filters", my_quantise_filters)

# %% [markdown]
# ## What is contested
#
# *Whether a network should adapt at prediction time.* Nado et al. find that batch statistics help under image
# corruption and that results are mixed under natural shift and with pre-training; and a service whose answers depend on
# who else asks is hard to debug. *Why averages of weights help at all.* Izmailov et al. point to flatter minima; Jordan
# et al. show that between networks from different starts matching the units and repairing the statistics removes most
# of the barrier. *Whether to synchronise.* It makes the batch large again, and with it goes the noise that may have
# regularised.
#
# ## In one sentence
#
# On its way out batch norm becomes a scale and a shift that fold away, and all that can go wrong lies in its
# statistics: whose they are, how they were merged, and whether they still describe what comes in.
#
# ## References
#
# - Jacob et al. 2017, [Quantization and Training of Neural Networks](https://arxiv.org/abs/1712.05877): folding; Nagel
#   et al. 2019, [Data-Free Quantization](https://arxiv.org/abs/1906.04721): ranges of channels.
# - Nado et al. 2020, [Evaluating Prediction-Time Batch Normalization](https://arxiv.org/abs/2006.10963); Li et al.
#   2016, [Revisiting Batch Normalization For Practical Domain Adaptation](https://arxiv.org/abs/1603.04779).
# - Izmailov et al. 2018, [Averaging Weights Leads to Wider Optima](https://arxiv.org/abs/1803.05407); Jordan et al.
#   2023, [REPAIR](https://arxiv.org/abs/2211.08403).
# - Peng et al. 2017, [MegDet](https://arxiv.org/abs/1711.07240): synchronised batch norm; Abadi et al. 2016, [Deep
#   Learning with Differential Privacy](https://arxiv.org/abs/1607.00133).
#
# ## Say it in an interview
#
# > "Before serving I recalibrate the statistics with the final weights, fold each batch norm into the convolution
# > before it, export, and compare outputs on real inputs: rounding is fine, more is a bug. In service I watch each
# > norm's input against its stored statistics, with chance reckoned from images, since positions are not independent.
# > When inputs shift in mean or scale I can re-estimate statistics without labels, from mixed data only. And I keep
# > running statistics in float32, and batch norm out of private training."

# %%
ask("fold-into-convolution", "checkpoint-to-serving", "served-data-shift", "monitor-the-norms", "per-example-gradients")
