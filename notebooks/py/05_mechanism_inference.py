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
# # Which statistics serve at inference, and when are they wrong?
#
# **You will** follow a running mean by hand, translate momentum between four libraries, watch one image's probability
# change with its neighbours, and repair a broken network in one pass over its data. **You learn** what evaluation mode
# changes and what it does not, how long a running average remembers, and what it costs when that is too long or too
# short. **You need** 40 minutes, and chapters [01](01_definition.ipynb) and [03](03_mechanism_forward.ipynb).
#
# ## First, from memory
#
# Answer aloud before you unfold.

# %%
from copy import deepcopy
from functools import partial

import numpy as np
import torch
from torch import nn

from bnlab import figures
from bnlab.deploy import recalibrate
from bnlab.experiments import studies
from bnlab.experiments.data import digits
from bnlab.experiments.intervals import t_interval
from bnlab.experiments.models import mlp
from bnlab.experiments.training import Ensemble, train_ensemble
from bnlab.layers import BatchNorm1d
from bnlab.notebook import setup, show, takeaway
from bnlab.practice import ask, check, predict, recall, reveal
from bnlab.reference import batch_norm_inference

setup()

# %%
recall("05")

# %% [markdown]
# ## An average that forgets
#
# At inference there may be no batch: one request, one image. So the layer keeps, while it trains, a *running* mean and
# variance for each channel. After each batch the stored value $r$ moves a part of the way to the batch's value $b$:
# $r\leftarrow(1-\alpha)r+\alpha{b}$. The part, $\alpha$, is what PyTorch calls `momentum`. Take it at one half, and
# three batches whose means are 2, 4 and 3. The running mean starts at 0.

# %%
layer = BatchNorm1d(1, momentum=0.5, dtype=torch.float64)
for batch in ([[1.0], [3.0]], [[3.0], [5.0]], [[2.0], [4.0]]):
    layer(torch.tensor(batch, dtype=torch.float64))
    print("running mean", layer.running_mean.item())

# %% [markdown]
# Half of 3, a quarter of 4, an eighth of 2: 1.5 + 1 + 0.25 = 2.75, and the last eighth belongs to the 0 it started
# from. In general, after $t$ batches the newest weighs $\alpha$, each older one $1-\alpha$ times as much as the next,
# and the start $(1-\alpha)^t$. Sixty random batches at PyTorch's default of 0.1:

# %%
rng = np.random.default_rng(5)
momentum, batches = 0.1, rng.normal(100, 2, size=(60, 32, 1))
layer = BatchNorm1d(1, momentum=momentum, dtype=torch.float64)
for batch in batches:
    layer(torch.from_numpy(batch))
weights = momentum * (1 - momentum) ** np.arange(60)[::-1]
start = (1 - momentum) ** 60
print("newest batches:", weights[:-4:-1].round(3), "- oldest:", weights[0].round(5), "- start:", round(start, 5))
measured, closed_form = layer.running_mean.item(), start * 0 + weights @ batches.mean((1, 2))
print(f"layer {measured:.4f}, closed form {closed_form:.4f}")
takeaway(
    "A running statistic is a weighted sum of batch statistics: `momentum` for the newest, `1 - momentum` times less "
    "for each older one, and `(1 - momentum)**t` for the value it started from.",
    np.isclose(measured, closed_form, rtol=1e-10) and np.isclose(weights.sum() + start, 1),
)

# %% [markdown]
# How far back does it remember? About `1 / momentum` batches: they carry 63% of the weight, and the next as many 23%.
# How noisy is it? An average over more batches is calmer. Below, 2,000 channels of pure noise with true mean 0 stand
# for 2,000 repetitions.

# %%
noise = {}
for momentum in (1.0, 0.1, 0.01):
    layer = BatchNorm1d(2000, momentum=momentum)
    for batch in torch.randn(600, 8, 2000):
        layer(batch)
    noise[momentum] = (layer.running_mean.std() / batch.mean(0).std()).item()
    recent = 1 - (1 - momentum) ** round(1 / momentum)
    print(
        f"{momentum:4g}: the last {1 / momentum:3.0f} weigh {recent:4.0%}, noise {noise[momentum]:.2f} of one batch's"
    )
takeaway(
    "Momentum trades memory against noise: a slow average is calm, but it remembers about `1 / momentum` batches, "
    "among them those that the network produced with weights it no longer has.",
    all(np.isclose(noise[momentum], np.sqrt(momentum / (2 - momentum)), rtol=0.1) for momentum in noise),
)

# %% [markdown]
# The noise follows a formula as well: `sqrt(momentum / (2 - momentum))` of a single batch's.
#
# ## Cold start
#
# A layer starts with running mean 0 and running variance 1, as if its channels had been normalised already. They have
# not. Take a channel of mean 100 and standard deviation 2, and let every batch be the same, so that nothing but the
# start can be wrong. Had the average arrived, evaluation would return mean 0 and standard deviation 1.
#
# **Predict before you run**, and say how sure you are.

# %%
predict("cold-start")

# %%
shape = torch.linspace(-1, 1, 1001, dtype=torch.float64).reshape(-1, 1)
channel = 100 + 2 * shape / shape.std()
cold = {}
for momentum in (0.1, 0.01):
    for t in (1, 10, 100):
        layer = BatchNorm1d(1, momentum=momentum, dtype=torch.float64)
        for _ in range(t):
            layer(channel)
        y = layer.eval()(channel)
        cold[momentum, t] = y.mean().item()
        print(f"momentum {momentum:<4}, {t:3d} batches: mean {y.mean().item():4.1f}, std {y.std().item():.2f}")
reveal("cold-start")

# %% [markdown]
# About 20. After 100 batches the start still weighs 0.99¹⁰⁰ = 37%, so the stored mean is 63, and the missing 37 is
# divided by a standard deviation of less than 2. In training mode nothing of this shows: there the batch's own
# statistics normalise. A training loss that falls beside a validation accuracy at chance is how it looks from outside.

# %%
takeaway(
    "Evaluation is wrong until the start has faded: it takes several times `1 / momentum` batches, "
    "and no training loss will tell.",
    cold[0.01, 100] > 20 and abs(cold[0.1, 100]) < 0.01,
)

# %% [markdown]
# ### Find what is wrong
#
# "The start's share is known, so divide it out", somebody says, and writes the correction that Adam uses for its
# averages. On batches whose variance is always 4, evaluation should return a standard deviation of 1.

# %%
decay = 0.99  # one minus PyTorch's momentum
for t in (1, 10, 100):
    running_var = decay**t * 1 + (1 - decay**t) * 4
    corrected = running_var / (1 - decay**t)
    print(f"after {t:3d} batches: evaluation std {np.sqrt(4 / corrected):.2f}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Adam's averages start from 0, and then dividing by `1 - decay**t` is exact. This one starts from 1, so
# `decay**t * 1` is still in it, and at first the division blows it up a hundredfold. Subtract it before you divide, or
# start from 0.
#
# </details>

# %%
corrected = [(decay**t * 1 + (1 - decay**t) * 4 - decay**t * 1) / (1 - decay**t) for t in (1, 10, 100)]
takeaway(
    "The start can be taken out of a running statistic: subtract its share, then divide.", np.allclose(corrected, 4)
)

# %% [markdown]
# ## One average, four conventions
#
# Libraries agree on the average and not on the word. In PyTorch, momentum is the weight of the *new* value. In Keras,
# Flax and ONNX it is the weight of the *old* one. A stored 2 meets a batch's 10; each line is the library's own
# formula, with its own number for the same behaviour.

# %%
old, batch = 2.0, 10.0
updates = {
    "PyTorch momentum=0.1": (1 - 0.1) * old + 0.1 * batch,
    "Keras   momentum=0.9": old * 0.9 + batch * (1 - 0.9),
    "Flax    momentum=0.9": 0.9 * old + (1 - 0.9) * batch,
    "ONNX    momentum=0.9": old * 0.9 + batch * (1 - 0.9),
}
for name, new in updates.items():
    print(name, "->", round(new, 4))
copied = (1 - 0.99) * old + 0.99 * batch
print("Keras's default 0.99, copied into PyTorch ->", round(copied, 4))
takeaway(
    "PyTorch's momentum is one minus everybody else's. Keras's 0.99 is PyTorch's 0.01; copied unchanged, it keeps "
    "little but the last batch.",
    np.allclose(list(updates.values()), 2.8) and np.isclose(copied, batch, atol=0.1),
)

# %% [markdown]
# Nor do they store the same variance. The batch 1, 3, 5, 7 has the biased variance 5 and the unbiased 6.667:

# %%
values = torch.tensor([[1.0], [3.0], [5.0], [7.0]])
stored = {}
for layer in (nn.BatchNorm1d(1), BatchNorm1d(1)):
    layer(values)
    stored[type(layer).__module__.split(".")[0]] = layer.running_var.item()
stored["Keras 3, Flax, ONNX"] = 0.9 * 1 + 0.1 * values.var(correction=0).item()
for name, var in stored.items():
    print(f"{name}: {var:.4f}")
takeaway(
    "PyTorch, and `bnlab` with it, stores the unbiased variance; Keras 3, Flax and ONNX the biased one.",
    np.isclose(stored["torch"], 0.9 + 0.1 * 20 / 3)
    and stored["bnlab"] == stored["torch"] > stored["Keras 3, Flax, ONNX"],
)

# %% [markdown]
# (PyTorch's `momentum=None` is a third thing: the plain average over all batches so far.) At four values per channel
# the two variances differ by a third; at thousands, by nothing. Carry weights from one library to
# another and the buffers come along as they are: there is nothing to convert but `momentum`, and `eps` to copy.
#
# ## The forgotten eval()
#
# Now a real network: three hidden layers, batch norm in each, trained on handwritten digits. We take one test image,
# put it into 100 batches with 15 random others each, and ask for the probability of its true class. Once in training
# mode, as a service would answer that never called `eval()`; once in evaluation mode.

# %% tags=["nbval-ignore-output"]
data = digits()
untrained = mlp(64, 10, depth=3, width=64, norm=BatchNorm1d, generator=torch.Generator().manual_seed(0))
settings = {"learning_rates": [0.3], "seeds": [0], "steps": 200, "batch_size": 32}
network = train_ensemble([untrained], data.train, **settings).member(0).eval()
print(f"test accuracy in evaluation mode: {Ensemble.of([network]).accuracy(data.test).item():.1%}")
batches = [torch.cat([data.test.x[:1], data.test.x[torch.randperm(359)[:15] + 1]]) for _ in range(100)]
spread = {}
for mode in ("training", "evaluation"):
    served = deepcopy(network).train(mode == "training")
    with torch.no_grad():
        answers = torch.stack([served(batch)[0].softmax(-1) for batch in batches])[:, data.test.y[0]]
    spread[mode] = (answers.max() - answers.min()).item()
    print(f"{mode:10}: probability from {answers.min().item():.3f} to {answers.max().item():.3f}")

# %% [markdown]
# The image is the first of the test set, not a chosen one. Nothing about it changed between the 100 answers but its
# company, and in training mode its probability wanders over most of the range from 0 to 1. In evaluation mode it has
# one value, to the rounding of a matrix product.

# %%
takeaway(
    "In training mode an answer depends on its batch-mates; in evaluation mode it does not.",
    spread["training"] > 0.2 and spread["evaluation"] < 1e-4,
)

# %% [markdown]
# ### What does not switch it off
#
# Two lines are often taken for `eval()`. `torch.no_grad()` keeps no graph, so no gradient can be computed.
# `requires_grad_(False)` keeps gamma and beta from being trained. Neither says a word about statistics: the next batch
# has mean 11, and the buffer moves. Only `eval()` stops it.

# %%
layer, batch = BatchNorm1d(1), torch.tensor([[10.0], [12.0]])
trace = [layer.running_mean.item()]
with torch.no_grad():
    layer(batch)
trace.append(layer.running_mean.item())
layer.requires_grad_(requires_grad=False)(batch)
trace.append(layer.running_mean.item())
layer.eval()(batch)
trace.append(layer.running_mean.item())
for name, value in zip(("at the start", "no_grad", "requires_grad_(False)", "eval()"), trace, strict=True):
    print(f"{name:21}: running mean {value:.2f}")
takeaway(
    "Neither `no_grad` nor `requires_grad_(False)` freezes batch norm: the running statistics go on moving. "
    "`eval()` freezes them, and `train()` on the whole model undoes it.",
    trace[0] < trace[1] < trace[2] == trace[3],
)

# %% [markdown]
# So evaluating "without gradients" but in training mode also spoils the network: each batch of test data leaves its
# share in the buffers. When you fine-tune with batch norm frozen, call `eval()` on those layers again after each
# `model.train()`.
#
# ## In evaluation, one scale and one shift
#
# With fixed statistics there are four numbers per channel and nothing else, and they collapse into two: the scale
# `gamma / sqrt(running_var + eps)` and the shift `beta - scale * running_mean`.

# %%
layer, x = network[2], torch.randn(5, 64)
scale = layer.weight / torch.sqrt(layer.running_var + layer.eps)
shift = layer.bias - scale * layer.running_mean
affine = (scale * x + shift).detach().numpy()
tensors = (x, layer.weight, layer.bias, layer.running_mean, layer.running_var)
tested = batch_norm_inference(*(tensor.detach().numpy() for tensor in tensors), eps=layer.eps)
close = {"rtol": 1e-4, "atol": 1e-4}
print("the layer agrees:", np.allclose(layer(x).detach(), affine, **close))
print("bnlab.reference agrees:", np.allclose(tested, affine, **close))
before_norm = network[1]
merged = nn.functional.linear(data.test.x.flatten(1), scale[:, None] * before_norm.weight, shift)
print("one linear layer does the work of two:", torch.allclose(network[:3](data.test.x), merged, **close))

# %%
takeaway(
    "In evaluation mode batch norm is one scale and one shift per channel, so the linear layer or convolution before "
    "it can absorb it: at inference it need cost nothing.",
    np.allclose(tested, affine, **close) and torch.allclose(network[:3](data.test.x), merged, **close),
)

# %% [markdown]
# It also means that attributions and gradients taken in evaluation mode see a simple affine map, whereas in training
# mode they would run through the whole batch.
#
# ## Recalibration
#
# Suppose a network comes to you with statistics that are wrong: momentum was too small, or training was short. The
# weights may be fine. Keep them, pass the training data through once more, and store what the layers really see.
# Averaging the batches' variances would not do, since the spread *between* the batches' means would be lost, so counts,
# means and sums of squares are merged. `bnlab.deploy.recalibrate` does it for any model with batch norm, ours or
# torch's.

# %% tags=["nbval-ignore-output"]
slow = partial(BatchNorm1d, momentum=0.001)
untrained = mlp(64, 10, depth=3, width=64, norm=slow, generator=torch.Generator().manual_seed(0))
network = train_ensemble([untrained], data.train, **settings | {"steps": 100}).member(0)
before = Ensemble.of([network]).accuracy(data.test).item()
recalibrate(network, torch.split(data.train.x, 32))
after = Ensemble.of([network]).accuracy(data.test).item()
print(f"test accuracy before {before:.1%}, after {after:.1%}")
assert after > before + 0.1

# %%
seen = network[1](data.train.x.flatten(1)).detach().double()
exact = torch.allclose(network[2].running_mean.double(), seen.mean(0), atol=1e-5) and torch.allclose(
    network[2].running_var.double(), seen.var(0), rtol=1e-4
)
print("the first layer holds mean and unbiased variance of all 1,077 images:", exact)
takeaway(
    "Statistics can be repaired without training: one pass over the data, with the weights that will serve.",
    exact and after > before + 0.1,
)
show(recalibrate)

# %% [markdown]
# During the pass the batch-norm layers are in training mode and everything else is not, so dropout is off, as it will
# be at inference.
#
# ## How much does it cost in practice?
#
# Four hidden layers on MNIST-1D, batches of 100, ten seeds. Training never reads the running statistics, so each
# network was trained once and evaluated with many kinds: four momenta, and recalibrated as the ceiling. The same
# weights stand behind every dot of a seed. A second set of dots has the start taken out, as under "Find what is wrong"
# but done right: it separates a cold start from statistics that are stale because the weights have moved. The claim
# was fixed before the run: recalibration gains more than one point. It took some minutes, so its numbers are stored in
# the package; `studies.result("running_statistics", rerun=True)` computes them
# anew.

# %%
study = studies.result("running_statistics")
rates, rate = study.config.learning_rates, study.best_rate()
share = study.recalibrated[rate, -1].mean()
error = 100 * np.sqrt(share * (1 - share) / 1000)
print(f"learning rate {rates[rate]:g} of {rates}, best in validation")
print(f"test accuracy, recalibrated, at the end: {share:.1%}; standard error of 1,000 images: {error:.1f} points")
title = "A slow average still holds its start, and then the past of its network"
figures.evaluation_by_momentum(study, rate, title=title)

# %% [markdown]
# Each dot is one seed, the bars are means, the dashed line is the recalibrated mean. Left of each pair: the statistics
# as PyTorch stores them. At 100 steps a momentum of 0.01 has lost more than half of the accuracy, and most of the loss
# is gone when the start is taken out. At 1,000 steps 0.01 has caught up and 0.001 has not, even without its start.
# Here are the differences, recalibrated minus running, in points of accuracy, paired by seed, with their 95%
# intervals.

# %%
verdicts = {}
for s, step in enumerate(study.config.steps):
    for m, momentum in enumerate(study.config.momenta):
        gap = t_interval(100 * study.gap(rate)[s, m])
        rest = t_interval(100 * study.gap_without_start(rate)[s, m])
        verdicts[step, momentum] = gap.verdict(margin=1)
        gain = f"{gap.estimate:4.1f} [{gap.low:4.1f}, {gap.high:4.1f}], without the start {rest.estimate:4.1f}"
        print(f"{step:4d} steps, momentum {momentum:<5g}: {gain}: {verdicts[step, momentum]}")

# %%
takeaway(
    "In a short run with a slow average, recalibration is worth tens of points. At PyTorch's default of 0.1 it was "
    "worth about one point at first and nothing later.",
    {verdicts[step, 0.001] for step in study.config.steps} == {"supported"}
    and verdicts[100, 0.01] == verdicts[300, 0.01] == "supported"
    and [verdicts[step, 0.1] for step in study.config.steps] == ["partly", "not supported here", "not supported here"],
)

# %% [markdown]
# **What did not show.** The claim fails at 0.1 from 300 steps on, and at 0.01 after 1,000: there the running average
# was as good as exact statistics. The opposite fault, too *fast* an average, is small: `momentum=1` evaluates with the
# last batch alone, and costs a point or two at the end and less before. Twelve intervals at 95% will include a miss
# now and then, so make little of a single one near its margin. And the accuracies themselves carry the standard error
# of the test set, printed above the picture; pairing removes it from the differences only. Does the pattern hang on the
# learning rate? It does not: at every rate 0.001 loses tens of points, 0.01 loses them early, and 0.1 hardly any. A
# momentum that is fine in a run of many thousand steps can look like a broken model in a short one.

# %%
for r, other in enumerate(study.config.learning_rates):
    rows = {m: [t_interval(100 * g[k]) for g in study.gap(r)] for k, m in enumerate(study.config.momenta)}
    shown = ", ".join(f"{m:g}: " + "/".join(f"{gap.estimate:.1f}" for gap in rows[m]) for m in (0.001, 0.01, 0.1))
    print(f"rate {other:3g}, gain after 100/300/1000 steps at momentum {shown}")
    assert min(rows[0.001][2].low, rows[0.01][0].low) > 10
    assert max(gap.low for gap in rows[0.1]) < 1

# %% [markdown]
# ## Exercises
#
# Write your answer in place of the `...` and run the cell. `check` tries it on small and on awkward inputs. A wrong
# answer gets the name of its mistake and the reason; NumPy or torch, loops or not, is up to you. From `bnlab.practice`,
# `hint("batch_norm_inference")` nudges and `solution("batch_norm_inference")` ends it.


# %%
def my_batch_norm_inference(x, gamma, beta, running_mean, running_var, eps):
    """Batch norm of a table at inference.

    x has shape (n, c), all else (c,); the result has the shape of x. n may be 1.
    """
    ...


check("batch_norm_inference", my_batch_norm_inference)


# %%
def my_update_running_stats(running_mean, running_var, batch_mean, batch_var, count, momentum):
    """The running mean and variance after one more batch, as PyTorch keeps them; all have shape (c,).

    batch_var is the biased variance of the batch's count values per channel. Returns new arrays.
    """
    ...


check("update_running_stats", my_update_running_stats)

# %% [markdown]
# Two that production needs: batch norm as one straight line, and the statistics of two sets from those of each.


# %%
def my_fold_affine(gamma, beta, running_mean, running_var, eps):
    """Batch norm at inference as one straight line: scale and shift, of shape (c,), with y = scale * x + shift."""
    ...


check("fold_affine", my_fold_affine)


# %%
def my_merge_statistics(count_a, mean_a, var_a, count_b, mean_b, var_b):
    """Count, mean and biased variance of two sets of values together, from those of each set (Chan et al. 1983).

    Means and variances have shape (c,). A set may be empty.
    """
    ...


check("merge_statistics", my_merge_statistics)

# %% [markdown]
# The whole layer. Then one as it was published, with two mistakes that no test of its training output can find.


# %%
class MyBatchNormModule(nn.Module):
    """Batch norm of images: parameters weight and bias, running statistics that are saved with the model."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        ...

    def forward(self, x):
        """Normalise x, of shape (n, c, height, width): by its own statistics in training, else by the running ones."""
        ...


check("batch_norm_module", MyBatchNormModule)


# %%
class MyFindTheBugModule(nn.Module):
    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(num_features)), nn.Parameter(torch.zeros(num_features))
        self.running_mean = torch.zeros(num_features)
        self.running_var = torch.ones(num_features)

    def forward(self, x):
        if torch.is_grad_enabled():
            var, mean = torch.var_mean(x, (0, 2, 3), correction=0)
            with torch.no_grad():
                unbiased_var = var * x.numel() / (x.numel() - x.shape[1])
                self.running_mean.copy_((1 - self.momentum) * self.running_mean + self.momentum * mean)
                self.running_var.copy_((1 - self.momentum) * self.running_var + self.momentum * unbiased_var)
        else:
            mean, var = self.running_mean, self.running_var
        x_hat = (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + self.eps)
        return self.weight[:, None, None] * x_hat + self.bias[:, None, None]


check("find_the_bug_module", MyFindTheBugModule)

# %% [markdown]
# The correction from “Find what is wrong”, for you to mend, and *stretch*: recalibration.


# %%
def my_find_the_bug_ema(batch_vars, momentum):
    """A running variance with its start taken out: a weighted mean of the batch variances alone.

    Each older batch weighs 1 - momentum times as much as the next, the first included; the weights add up to 1.
    batch_vars has shape (batches, c); momentum is PyTorch's. The result has shape (c,).
    """
    running_var = np.ones_like(batch_vars[0])
    for batch_var in batch_vars:
        running_var = (1 - momentum) * running_var + momentum * batch_var
    return running_var / (1 - (1 - momentum) ** len(batch_vars))


check("find_the_bug_ema", my_find_the_bug_ema)


# %%
def my_recalibrate(model, loader):
    """Set the running statistics of model[1], a BatchNorm1d, to those of all data; everything else stays as it is.

    model[0] is a linear layer; the loader's batches may differ in size. The variance is the unbiased one, of all the
    values that reach model[1].
    """
    ...


check("recalibrate", my_recalibrate)

# %% [markdown]
# `list_exercises()` lists them all with your progress, `restore("recalibrate")` brings back code that you checked, and
# `calibration()` draws how well your confidence has matched your predictions.

# %% [markdown]
# ## What is contested
#
# That running statistics can be repaired is not in dispute; which statistics should serve is. Wu and Johnson recommend
# statistics over the population, as here. EvalNorm keeps the weights, corrects the statistics used in evaluation, and
# reports a gain of 6.18 points at a batch size of 2. And when test data
# differ from training data, the batch at prediction time may be the better source: Nado et al. found that it helps
# under image corruption and that under natural shift the results are mixed.
#
# ## In one sentence
#
# Batch norm is two functions, one that depends on its batch and one that is a fixed scale and shift, and the running
# statistics that join them are an average that starts wrong, forgets at the rate of its momentum, and can be recomputed
# at any time. The mechanism is complete; what does it buy, and when nothing? That is chapter
# [06](06_benefits_faster.ipynb).
#
# ## References
#
# - Ioffe and Szegedy 2015, [Batch Normalization](https://arxiv.org/abs/1502.03167): section 3.1 and Algorithm 2.
# - Wu and Johnson 2021, [Rethinking "Batch" in BatchNorm](https://arxiv.org/abs/2105.07576): precise statistics.
# - Singh and Shrivastava 2019, [EvalNorm](https://arxiv.org/abs/1904.06031).
# - Nado et al. 2020, [Evaluating Prediction-Time Batch Normalization for Robustness under Covariate
#   Shift](https://arxiv.org/abs/2006.10963).
#
# ## Say it in an interview
#
# > "In training, batch norm uses the batch's own mean and variance and keeps a running average of them; in evaluation
# > it uses the average, so it becomes a fixed scale and shift per channel. Momentum in PyTorch is the weight of the new
# > batch, the other way round than in Keras. If a model is good in training and poor when served, I send one example
# > alone and with different neighbours: if the answer changes, it is still in training mode. If not, I suspect the
# > running statistics and recompute them in one pass over the data."

# %%
ask("eval-forgotten", "no-grad-not-eval", "stale-statistics", "freeze-batch-norm", "average-the-variances")
