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
# # What happens to a number on its way through batch norm?
#
# **You will** run the forward pass one line at a time on eight numbers, fold it into a function of your own, and hold
# that against three others. **You learn** where `eps` stands and what it does there, when it matters whether a variance
# divides by the count or by one less, what gamma and beta can undo and what they cannot, and how a formula that is
# right on paper returns a variance of -26. **You need** 40 minutes, and chapters [00](00_start_here.ipynb) and
# [01](01_definition.ipynb).
#
# ## First, from memory
#
# The next cell loads what the chapter needs, and asks three questions about the chapters before. Answer aloud before
# you unfold.

# %%
import numpy as np
import torch
from torch import nn

from bnlab import figures
from bnlab.experiments.data import digits
from bnlab.layers import BatchNorm1d, BatchNorm2d
from bnlab.notebook import setup, show, takeaway
from bnlab.practice import ask, check, predict, recall, reveal
from bnlab.reference import batch_norm_forward, variance

setup()
recall("03")

# %% [markdown]
# ## Four lines of arithmetic
#
# Two images of two pixels, two channels each, in PyTorch's order `(n, c, h, w)`. A channel's four values come from both
# images.

# %%
x = np.array([3.0, 9.0, -3.5, -4.5, 11.0, 17.0, -3.5, -4.5]).reshape(2, 2, 2, 1)
print("x", x.shape)
print("channel 0:", x[:, 0].ravel())
print("channel 1:", x[:, 1].ravel())

# %% [markdown]
# **Line one: the mean** of each channel, over every axis but the channel's. `keepdims` leaves axes of length 1 where
# the averaged ones were, so that the result lines up with `x`.

# %%
mean = x.mean(axis=(0, 2, 3), keepdims=True)
print("mean", mean.shape, mean.ravel())

# %% [markdown]
# **Line two: the variance**, the mean square of what is left once the mean is gone. Check channel 0 by hand: the
# distances from 10 are -7, -1, 1 and 7, their squares add up to 100, and there are four of them.

# %%
centred = x - mean
var = (centred**2).mean(axis=(0, 2, 3), keepdims=True)
print("centred, channel 0:", centred[:, 0].ravel())
print("var", var.shape, var.ravel())

# %% [markdown]
# **Line three: normalise.** Divide by the standard deviation, with a small constant `eps` under the root. The result is
# called `x_hat`. The channels came in with standard deviations 5 and 0.5; nothing of that is left.

# %%
eps = 1e-5
x_hat = centred / np.sqrt(var + eps)
print("x_hat", x_hat.shape)
print("channel 0:", x_hat[:, 0].ravel().round(3))
print("channel 1:", x_hat[:, 1].ravel().round(3))

# %% [markdown]
# **Line four: scale and shift.** Each channel has one learned `gamma` and one learned `beta`. They start at 1 and 0;
# here we set them to something visible.

# %%
gamma = np.array([2.0, 1.0]).reshape(1, 2, 1, 1)
beta = np.array([0.0, 5.0]).reshape(1, 2, 1, 1)
y = gamma * x_hat + beta
print("channel 0:", y[:, 0].ravel().round(3))
print("channel 1:", y[:, 1].ravel().round(3))
has_mean = np.allclose(y.mean((0, 2, 3)), beta.ravel())
has_std = np.allclose(y.std((0, 2, 3)), (gamma * np.sqrt(var / (var + eps))).ravel())
takeaway(
    "A channel comes out with mean beta and, as long as its variance is far above eps, "
    "standard deviation |gamma|, whatever mean and variance it came in with.",
    has_mean and has_std,
)

# %% [markdown]
# ## Your function and the tested one
#
# Gathered, and for any number of spatial axes. Below it stands the course's own forward pass: the same four lines, with
# its inputs checked, and a `Cache` that keeps what later steps need.


# %%
def batch_norm(x, gamma, beta, eps=1e-5):
    axes = (0, *range(2, x.ndim))
    per_channel = (1, -1, *(1,) * (x.ndim - 2))
    centred = x - x.mean(axes, keepdims=True)
    var = (centred**2).mean(axes, keepdims=True)
    x_hat = centred / np.sqrt(var + eps)
    return gamma.reshape(per_channel) * x_hat + beta.reshape(per_channel)


rng = np.random.default_rng(3)
for shape in [(6, 3), (6, 3, 5), (6, 3, 4, 5)]:
    batch, (gamma, beta) = rng.normal(100, 2, size=shape), rng.normal(size=(2, 3))
    tested, _ = batch_norm_forward(batch, gamma, beta)
    same = np.allclose(batch_norm(batch, gamma, beta), tested, rtol=0, atol=1e-10)
    print(f"{shape} agree to 1e-10: {same}")

show(batch_norm_forward)

# %% [markdown]
# **Your turn.** Keras and Flax keep the channel last: `(n, h, w, c)`. Below, the axes from above are used on such an
# array. One thing shows that the result is wrong: what? Change `axes` until the means are 10 and -4 again.

# %%
channels_last = np.moveaxis(x, 1, -1)
axes = (0, 2, 3)
print(channels_last.shape, "->", channels_last.mean(axis=axes))

# %% [markdown]
# <details><summary>Answer</summary>
#
# `axes = (0, 1, 2)`: every axis but the last. With `(0, 2, 3)` each image *row* gets a mean, and both channels are
# mixed into it. Here there happen to be as many rows as channels, so even the shape is right and only the values give
# it away.
#
# </details>
#
# ## The module, on real activations
#
# Now a convolution on 64 handwritten digits, and four implementations of batch norm on its output.

# %%
images = digits().train.x[:64].double()
convolution = nn.Conv2d(1, 8, kernel_size=3, dtype=torch.float64)
activations = convolution(images).detach()
print("activations", tuple(activations.shape), "-> values per channel:", activations[:, 0].numel())
theirs = nn.BatchNorm2d(8, dtype=torch.float64)(activations).detach().numpy()
answers = {
    "your function": batch_norm(activations.numpy(), np.ones(8), np.zeros(8)),
    "bnlab.reference": batch_norm_forward(activations.numpy(), np.ones(8), np.zeros(8))[0],
    "bnlab.layers": BatchNorm2d(8, dtype=torch.float64)(activations).detach().numpy(),
}
agree = {name: np.allclose(answer, theirs, rtol=0, atol=1e-10) for name, answer in answers.items()}
for name, same in agree.items():
    print(f"{name:15s} and torch.nn agree to 1e-10: {same}")
takeaway(
    "In training mode the four lines give the output of `torch.nn.BatchNorm2d`, and nothing is missing.",
    all(agree.values()),
)

# %% [markdown]
# From the output, that is. In training mode a batch also leaves a trace in the layer: each running statistic moves a
# tenth of the way from where it was to this batch's value. On our eight numbers that can be followed by hand.

# %%
layer = BatchNorm2d(2, dtype=torch.float64)
print("before:", layer.running_mean.numpy(), layer.running_var.numpy())
layer(torch.from_numpy(x))
print("after: ", layer.running_mean.numpy().round(3), layer.running_var.numpy().round(3))

# %% [markdown]
# The mean: 0.9 · 0 + 0.1 · 10 = 1. The variance of channel 0 by the same rule would be 0.9 · 1 + 0.1 · 25 = 3.4, and it
# is not. Keep the question; it is answered below, under "Divide by m, or by m - 1".
#
# ## Where epsilon stands
#
# Batch norm divides by `sqrt(var + eps)`. From memory many people write `std + eps`.
#
# **Predict before you run.** And what would the other formula give for the same channel?

# %%
predict("variance-equal-to-eps")

# %%
shape = np.linspace(-1, 1, 101)
shape = shape / shape.std()
for channel_var in (1.0, 1e-5, 1e-10):
    channel = np.sqrt(channel_var) * shape
    inside = channel / np.sqrt(channel.var() + eps)
    outside = channel / (channel.std() + eps)
    print(f"variance {channel_var:g}: std {inside.std():.3f} inside the root, {outside.std():.3f} outside")
reveal("variance-equal-to-eps")

# %% [markdown]
# It is 0.707, one over the root of 2: `var + eps` is twice the variance. Outside the root the same `eps` is added to a
# standard deviation of 0.003, where it hardly counts. The last line is a channel whose only variation is noise of size
# 0.00001: batch norm leaves it at 0.003, the other formula raises it to 0.5, half as loud as a channel that means
# something.
#
# The factor that multiplies a channel, its *gain*, is `gamma / sqrt(var + eps)`, and can never exceed `gamma /
# sqrt(eps)`. Here is the whole range, 29 channels normalised at once.

# %%
spread = np.logspace(-6, 1, 29)
channels = shape[:, None] * spread
inside, cache = batch_norm_forward(channels, np.ones(29), np.zeros(29), eps=eps)
outside = channels / (channels.std(0) + eps)
figures.epsilon_placement(cache.batch_var, inside.std(0), outside.std(0), eps=eps)

# %% [markdown]
# Well to the right of `eps` nobody could tell the two formulas apart. To the left, the channel inside the root is
# amplified no further and fades; outside, it still comes out near 1 at variances a thousand times smaller.

# %%
largest = cache.inv_std.max()
print(f"largest gain inside: {largest:.0f}; outside it could reach {1 / eps:,.0f}")
takeaway(
    "`eps` is a floor under the variance. Beyond avoiding 0 / 0 it caps the gain at "
    "`|gamma| / sqrt(eps)`: 316 for PyTorch's 1e-5 and a gamma of 1.",
    315 < largest <= 1 / np.sqrt(eps) and inside.std(0)[0] < 0.01 < outside.std(0)[0],
)

# %% [markdown]
# **Your turn.** Which variance comes out with a standard deviation of exactly 0.5? Solve it on paper, then put your
# number into the loop under the prediction.
#
# <details><summary>Answer</summary>
#
# var / (var + eps) = 1/4, so var = eps / 3, about 3.3e-6.
#
# </details>
#
# ## How far one value can stand out
#
# Call the number of values in a channel $m$. One of them is a million, the others are 0. How large is its `x_hat`? The
# `x_hat` of a channel add up to 0, so an outlier of size $a$ leaves $-a$ for the other $m-1$ to share, and they add
# least to the sum of squares when they share it evenly: $a^2/(m-1)$ in all. The sum of squares is at most $m$, so
# $a^2+a^2/(m-1)\le{m}$, which is $a\le\sqrt{m-1}$.

# %%
outlier = {}
for m in (2, 8, 32, 512):
    channel = np.zeros((m, 1))
    channel[0] = 1e6
    outlier[m] = batch_norm_forward(channel, np.ones(1), np.zeros(1))[0][0, 0]
    print(f"m = {m:3d}: x_hat of the outlier {outlier[m]:6.3f}, sqrt(m - 1) {np.sqrt(m - 1):6.3f}")
heavy_tailed, _ = batch_norm_forward(rng.standard_cauchy((32, 2000)), np.ones(2000), np.zeros(2000))
takeaway(
    "No `x_hat` exceeds `sqrt(m - 1)` in size. Two different values, unless `eps` interferes, become "
    "+1 and -1: all that is left is which was larger.",
    np.abs(heavy_tailed).max() <= np.sqrt(31)
    and all(np.isclose(x_hat, np.sqrt(m - 1)) for m, x_hat in outlier.items()),
)

# %% [markdown]
# ## Divide by m, or by m - 1
#
# Line two divides by m: the *biased* variance. It has to, if the batch is to come out with variance 1, because nothing
# is being estimated: the question is how far *these* values lie from *their* mean. The running variance is for another
# use, at inference, where it stands for the whole population. A sample lies closer to its own mean than to the
# population's, and dividing by m - 1 makes up for that on average, if the values are independent: the *unbiased*
# variance. PyTorch normalises with the one and stores the other. That is the answer to the question above: 0.9 · 1 +
# 0.1 · 100/3 = 4.233.
#
# How much can it matter? `momentum=1` makes the buffers forget everything but this batch, so training and inference
# differ in nothing but the divisor.

# %%
ratios = {}
for m in (2, 4, 32, 2048):
    channel = torch.linspace(-1, 1, m, dtype=torch.float64).reshape(m, 1)
    layer = BatchNorm1d(1, momentum=1.0, dtype=torch.float64)
    training_std = layer(channel).std(correction=0)
    ratios[m] = (training_std / layer.eval()(channel).std(correction=0)).item()
    print(f"m = {m:4d}: std in training / std at inference = {ratios[m]:.4f}")
takeaway(
    "The choice of divisor changes the output by a factor `sqrt(m / (m - 1))`: "
    "1.414 at two values per channel, 1.0002 at two thousand.",
    all(abs(ratio - np.sqrt(m / (m - 1))) < 1e-4 for m, ratio in ratios.items()),
)

# %% [markdown]
# So it matters where a channel has few values: a small batch after a fully connected layer. At 32 images of 8x8
# positions you would see it only by comparing two libraries digit by digit.
#
# ## What gamma and beta can undo
#
# Set `gamma` to the standard deviation that was divided out and `beta` to the mean that was subtracted, and the layer
# returns its input. Batch norm can therefore represent the identity. On which data?

# %%
a = activations.numpy()
_, cache = batch_norm_forward(a[:32], np.ones(8), np.zeros(8))
gamma, beta = np.sqrt(cache.batch_var + eps), cache.batch_mean
restored = {}
for name, batch in (("this batch", a[:32]), ("the next batch", a[32:])):
    restored[name] = np.allclose(batch_norm_forward(batch, gamma, beta)[0], batch, rtol=0, atol=1e-3)
    print(f"{name} restored to 1e-3: {restored[name]}")

# %% [markdown]
# On the batch they were made from. `gamma` and `beta` are fixed numbers, while the mean and variance they would have to
# restore are new in each batch. What a batch's values have in common is gone before `gamma` and `beta` are applied.
# Three changes to the activations put that to the test.

# %%
brighter = a.copy()
brighter[0] += 3
changes = {
    "all of it times 10, plus 100": 10 * a + 100,
    "another bias in the convolution": a + rng.normal(size=(8, 1, 1)),
    "3 added to one image only": brighter,
}
y, _ = batch_norm_forward(a, gamma, beta)
moved = {}
for name, changed in changes.items():
    moved[name] = bool(np.abs(batch_norm_forward(changed, gamma, beta)[0] - y).max() > 1e-3)
    print(f"{name}: output moved by more than 1e-3: {moved[name]}")
takeaway(
    "In training mode, up to `eps`, batch norm ignores a shift and a positive scale that all values of "
    "a channel share, so a bias just before it is redundant. Differences between examples pass.",
    [*moved.values()][:3] == [False, False, True] and [*restored.values()] == [True, False],
)

# %% [markdown]
# This is why you see `nn.Conv2d(..., bias=False)` in front of a batch norm.
#
# **Your turn.** What does a *negative* factor do? Add `"times -1": -a` to `changes`, say first what you expect of
# `x_hat`, and run.
#
# <details><summary>Answer</summary>
#
# It moves. The variance of -a is that of a, so x_hat changes its sign and nothing else: the scale is forgotten, the
# sign is not.
#
# </details>
#
# ## The subtraction that loses everything
#
# On paper the variance is also $E[x^2]-E[x]^2$, the mean of the squares minus the square of the mean (`raw` below). It
# is tempting: both sums can be taken in one pass over the data. Here are 1,024 float32 values with variance 1, moved
# further and further from 0.

# %%
values = rng.normal(size=1024)
values = (values - values.mean()) / values.std()
algorithms = {"two passes": variance.two_pass, "shifted": variance.shifted, "raw": variance.raw_moments}
table = {}
for offset in (0, 10, 100, 1000, 5000):
    moved_away = (values + offset).astype(np.float32)
    table[offset] = {name: algorithm(moved_away)[1] for name, algorithm in algorithms.items()}
    print(f"mean {offset:4d}:", ", ".join(f"{name} {var:.2f}" for name, var in table[offset].items()))

# %% [markdown]
# The true value is 1 in every row. A float32 holds about 7 decimal digits. At mean 5000 the two numbers to be
# subtracted are 25,000,001 and 25,000,000: the first needs eight. How far apart are neighbouring float32 numbers there?

# %%
print("spacing of float32 near 5000 squared:", np.spacing(np.float32(5000) ** 2))
print("root of the variance at mean 5000:", torch.tensor(table[5000]["raw"]).sqrt().item())
ratio = (activations.mean((0, 2, 3)).abs() / activations.std((0, 2, 3))).max()
years = np.arange(1990, 2026)
print(f"mean / std in these activations: {ratio:.1f} at most")
print(f"mean / std of the calendar years 1990 to 2025: {years.mean() / years.std():.0f}")
takeaway(
    "In float32, $E[x^2]-E[x]^2$ loses the variance when the mean is about a thousand standard "
    "deviations or more. Subtracting first and squaring then kept it in every row above.",
    all(abs(row[name] - 1) < 0.01 for row in table.values() for name in ("two passes", "shifted"))
    and all(abs(table[offset]["raw"] - 1) > 0.5 for offset in (1000, 5000)),
)

# %% [markdown]
# Every float32 near 25 million is an even number, so the answer 1 cannot come out of that subtraction. The roundings of
# 1,024 squares and of their sum decide which even number does; it may be negative, and then its root is NaN and so is
# all that follows. The relative error grows as (mean / std)². Inside this network, where the ratio is about 1, the
# formula is harmless; on a column of years it leaves two or three digits of the seven.
#
# The fix is the order: subtract a number close to the values *before* squaring. `two_pass` subtracts the mean, which
# takes a second pass. `shifted` subtracts the first value, and keeps the single pass. Neither is a licence: over tens
# of thousands of large values, a float32 sum taken in order loses digits of the mean itself, so libraries also take
# care how they sum.

# %% [markdown]
# ## Exercises
#
# Write your answer in place of the `...` and run the cell. `check` tries it on small and on awkward inputs. A wrong
# answer gets the name of its mistake and the reason; NumPy or torch, loops or not, is up to you. From `bnlab.practice`,
# `hint("batch_norm_forward")` nudges and `solution("batch_norm_forward")` ends it.


# %%
def my_batch_norm_forward(x, gamma, beta, eps):
    """Batch norm of a table in training mode.

    x has shape (n, c), gamma and beta have shape (c,); the result has the shape of x.
    """
    ...


check("batch_norm_forward", my_batch_norm_forward)


# %%
def my_stable_variance(x):
    """The biased variance of the values of x, shape (m,), also where their mean is far from 0 and x is float32."""
    ...


check("stable_variance", my_stable_variance)

# %% [markdown]
# *Stretch.* Two relatives of batch norm are the same four lines over other axes: layer norm looks at one vector at a
# time, group norm at a group of channels of one example.


# %%
def my_layer_norm(x, gamma, beta, eps):
    """Layer norm: each vector along the last axis is normalised by its own mean and biased variance.

    x has shape (..., d), gamma and beta have shape (d,); the result has the shape of x.
    """
    ...


check("layer_norm", my_layer_norm)


# %%
def my_group_norm(x, gamma, beta, groups, eps):
    """Group norm: in each example, each group of neighbouring channels is normalised over its channels and positions.

    x has shape (n, c, height, width), gamma and beta have shape (c,), and groups divides c; the result has x's shape.
    """
    ...


check("group_norm", my_group_norm)

# %% [markdown]
# ## Where libraries differ
#
# Nothing here is disputed, but much of it is convention. PyTorch and Flax use `eps` 1e-5; Keras uses 1e-3, whose gain
# stops at 32 rather than 316, so weights carried from one to the other need their `eps` carried too. The paper's
# Algorithm 2 and PyTorch keep the unbiased running variance; Keras 3, Flax and ONNX the biased one. By default Flax
# computes $E[x^2]-E[x]^2$ in float32 and clamps it at 0: no NaN, but where the digits are lost a variance of 0, and
# with it the largest gain.
#
# ## In one sentence
#
# The forward pass is two statistics, one division with a floor under the variance, and one learned scale and shift; it
# keeps how the values of a channel differ and forgets what they share. The next question: if every output depends on
# every value in its channel, through the mean and the variance, what does the gradient of one value look like? That is
# [04 Mechanism: backward](04_mechanism_backward.ipynb).
#
# ## References
#
# - Ioffe and Szegedy 2015, [Batch Normalization](https://arxiv.org/abs/1502.03167): Algorithm 1 is the four lines,
#   Algorithm 2 inference.
# - Chan, Golub and LeVeque 1983, [Algorithms for Computing the Sample
#   Variance](https://doi.org/10.1080/00031305.1983.10483115): the analysis of the lost digits.
# - PyTorch, [BatchNorm2d](https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html): which variance is
#   used where.
# - [The cheat sheet](../notebooks/aids/cheatsheet.md) and [the notation](../notebooks/aids/notation.md) of this course.
#
# ## Say it in an interview
#
# > "For each channel you take the mean and variance over the batch and all positions, subtract the one, divide by the
# > root of the other plus epsilon, and then let a learned gamma and beta set the scale and the shift. Epsilon is inside
# > the root, so it does more than avoid a division by zero: it limits how much a nearly constant channel is amplified.
# > Gamma and beta can restore a fixed scale and shift, but whatever the whole batch shares is gone, which is why you
# > drop the bias of the layer before."
#
# Expect one of these, and answer aloud before you unfold.

# %%
ask(
    "undo-normalisation",
    "bias-before-batch-norm",
    "nan-by-hand",
    "biased-or-unbiased",
)
