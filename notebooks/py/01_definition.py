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
# # What exactly does batch norm compute?
#
# **You will** normalise eight numbers with a pencil, see which cells of a four-dimensional batch share one mean, take
# a layer apart, and look inside a network that reads digits. **You learn** the definition, the axes, what is a
# parameter and what is not, and how batch norm differs from four things it is taken for. **You need** 35 minutes, and
# chapter [00](00_start_here.ipynb). The symbols are collected in the [notation](../notebooks/aids/notation.md).
#
# ## First, from memory
#
# The next cell loads what the chapter needs, and asks three questions about the chapter before. Answer aloud before you
# unfold.

# %%
import numpy as np
import torch
from torch import nn

from bnlab import figures
from bnlab.experiments.data import digits
from bnlab.layers import BatchNorm2d
from bnlab.notebook import setup, show, takeaway
from bnlab.practice import ask, check, predict, recall, reveal
from bnlab.reference import batch_norm_forward

setup()
recall("01")

# %% [markdown]
# ## A table you can check with a pencil
#
# A batch is a table: a row for each of its $N$ examples, a column for each of its $C$ features, which batch norm
# calls *channels*. Here $N = 4$ and $C = 2$:
#
# | | channel 0 | channel 1 |
# |---|---|---|
# | example 0 | 3 | 0.52 |
# | example 1 | 9 | 0.36 |
# | example 2 | 11 | 0.64 |
# | example 3 | 17 | 0.48 |
#
# Channel 0 adds up to 40, so its mean $\mu$ (mu) is 10. The four values lie $-7, -1, 1, 7$ away from it. The squares
# of these add up to 100, so the variance $\sigma^2$ (sigma squared) is $100 / 4 = 25$, and the standard deviation is
# 5. Divide by it, and the channel reads $-1.4, -0.2, 0.2, 1.4$. These normalised values are called $\hat x$, "x hat".
#
# **Your turn, with a pencil:** do the same for channel 1. Then run the cell.

# %%
x = np.array([[3, 0.52], [9, 0.36], [11, 0.64], [17, 0.48]])
eps = 1e-5

mean = x.mean(axis=0)
var = ((x - mean) ** 2).mean(axis=0)
x_hat = (x - mean) / np.sqrt(var + eps)
print(f"mean {mean[0]:g} and {mean[1]:g}, variance {var[0]:g} and {var[1]:g}")
print(x_hat.round(4))

# %% [markdown]
# Your channel 1 should read $0.2, -1.4, 1.4, -0.2$: the same scale as channel 0, although the raw values vary fifty
# times less. The computer prints 1.3993 where you have 1.4, because the definition adds a small constant $\epsilon$
# (epsilon) to the variance, so that a channel that never varies does not divide by zero. Channel 1 has variance 0.01,
# and adding 0.00001 to that shows in the fourth digit; channel 0 has variance 25, and there it does not.
#
# Last come two numbers for each channel, the scale $\gamma$ (gamma) and the shift $\beta$ (beta):
#
# $$y = \gamma \, \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta$$
#
# In words: give the channel mean 0 and variance 1, then let the network choose another mean, $\beta$, and another
# standard deviation, $|\gamma|$, if that serves the loss. Training learns both; they start at $\gamma = 1$ and
# $\beta = 0$. Let us pretend that it has found these:

# %%
gamma, beta = np.array([1.0, 2.0]), np.array([0.0, 3.0])
y = gamma * x_hat + beta
print(y.round(2))

# %% [markdown]
# That is all of batch norm in training mode. Below is the function that this course is built on, which does it for
# any shape of input. Its result must equal ours, and so must that of PyTorch's module, where $\gamma$ is called
# `weight` and $\beta$ is called `bias`.

# %%
show(batch_norm_forward)
by_reference, _ = batch_norm_forward(x, gamma, beta, eps=eps)

layer = nn.BatchNorm1d(2, eps=eps, dtype=torch.float64)
layer.load_state_dict({"weight": torch.tensor(gamma), "bias": torch.tensor(beta)}, strict=False)
by_torch = layer(torch.tensor(x)).detach().numpy()
takeaway(
    "Batch norm is four lines, for each channel by itself: mean, variance, normalise, scale and shift.",
    np.allclose(by_reference, y, rtol=1e-10) and np.allclose(by_torch, y, rtol=1e-10),
)

# %% [markdown]
# **Your turn.** Choose $\gamma$ and $\beta$ so that the layer gives the table back, $y = x$. The cell runs as it is,
# and prints `False` until you have it.

# %%
my_gamma, my_beta = np.array([1.0, 1.0]), np.array([0.0, 0.0])
print("the table came back:", np.allclose(my_gamma * x_hat + my_beta, x))

# %% [markdown]
# <details><summary>Answer</summary>
#
# `my_gamma, my_beta = np.sqrt(var + eps), mean`: multiply by what was divided by, add what was subtracted. So the
# layer can undo its own normalisation, on this batch. That does not make it pointless: the mean and the scale of the
# channel are now two numbers of its own, where before they were a side effect of every weight below.
#
# </details>
#
# ## Columns, not rows
#
# Batch norm standardises each channel over the examples, never an example over its channels. Look at $\hat x$ above:
# each column adds up to 0, no row does. So every example is measured against the others. Example 1 has the value 9 in
# channel 0 and stands at $-0.2$, a little below average.
#
# **Predict before you run**, and say how sure you are.

# %%
predict("untouched-example")

# %%
changed = x.copy()
changed[3, 0] = 1
y_changed, _ = batch_norm_forward(changed, np.ones(2), np.zeros(2))
print("before:", x_hat[:, 0].round(2))
print("after: ", y_changed[:, 0].round(2))
takeaway(
    "In training mode an example's output depends on its batch-mates: change one row, and the others move.",
    x_hat[1, 0] < 0 < y_changed[1, 0] and np.allclose(y_changed[:, 1], x_hat[:, 1]),
)
reveal("untouched-example")

# %% [markdown]
# The mean fell from 10 to 6, so 9 is now *above* average: example 1 went from $-0.20$ to $0.73$ untouched. Channel 1
# did not move, since each channel keeps to itself.
#
# ## Which cells share one mean
#
# A convolution's output has four axes, $(N, C, H, W)$: examples, channels, height, width. A signal has three, $(N, C,
# L)$, with $L$ for length. Which cells go into one mean? All those of one channel:

# %%
shapes = (4, 3), (4, 3, 5), (4, 3, 2, 3)
figures.averaged_blocks(
    list(zip(shapes, ("N", "NL", "NHW"), strict=True)),
    title="Batch norm takes one mean for each channel, over everything else",
)

# %% [markdown]
# Channels run to the right, examples into the page, and the positions of an image or a signal stand in one column.
# The block is cut wherever a new mean begins. The coloured slab is one channel: all its cells share one mean, one
# variance, one $\gamma$ and one $\beta$.
#
# Why pool the positions too? A convolution slides one filter over all of them, so its outputs at all positions are
# one feature, seen in different places. With one mean for them all, batch norm treats every place alike, as the
# convolution does (section 3.2 of the paper).
#
# A picture is a claim, so let us check it with a loop that knows nothing of axes. It walks through all cells and puts
# each value on the pile of its channel.

# %%
agree = []
for shape in shapes:
    batch = np.random.default_rng(1).normal(size=shape)
    piles = [[] for channel in range(3)]
    for cell in np.ndindex(shape):
        piles[cell[1]].append(batch[cell])
    _, cache = batch_norm_forward(batch, np.ones(3), np.zeros(3))
    agree.append(np.allclose([np.mean(pile) for pile in piles], cache.batch_mean))
    agree.append(np.allclose([np.var(pile) for pile in piles], cache.batch_var))
    print(shape, "cells in a mean:", cache.count, " the loop agrees:", all(agree))
takeaway("Batch norm averages over every axis but the channel: N, or N and L, or N, H and W.", all(agree))

# %% [markdown]
# In code: `x.mean(axis=0)`, `x.mean(axis=(0, 2))`, `x.mean(axis=(0, 2, 3))`. PyTorch's `BatchNorm1d` takes $(N, C)$
# and $(N, C, L)$, `BatchNorm2d` takes $(N, C, H, W)$, and `BatchNorm3d` has one axis more. The channel is always axis
# 1.
#
# <details><summary>Your turn: a batch of 32 sentences of 64 words, 64 numbers for each word, has shape (N, L, C) =
# (32, 64, 64). You hand it to BatchNorm1d(64). What happens?</summary>
#
# No error, and the wrong statistics. Axis 1 is taken for the channel, so each of the 64 *places in the sentence* is
# normalised, over all sentences and features. With sentences of 50 words PyTorch would have complained. Transpose:
# `layer(x.transpose(1, 2)).transpose(1, 2)`.
#
# </details>
#
# ## What the layer holds
#
# Take a layer for three channels and ask what it stores.

# %%
layer = BatchNorm2d(3)
print(layer)
for name, tensor in layer.named_parameters():
    print(f"parameter {name:20} shape {tuple(tensor.shape)!s:5} gradient {tensor.requires_grad}")
for name, tensor in layer.named_buffers():
    print(f"buffer    {name:20} shape {tuple(tensor.shape)!s:5} gradient {tensor.requires_grad}")

# %% [markdown]
# Who changes them? Compare what is stored before and after each event of a training step, and of a pass in evaluation
# mode.

# %%
batch = torch.randn(4, 3, 2, 3)
optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
events = {
    "forward and backward": lambda: (layer(batch) * torch.randn(4, 3, 2, 3)).sum().backward(),
    "optimiser step": optimiser.step,
    "forward in evaluation": lambda: layer.eval()(batch),
}
moved = {}
for event, happen in events.items():
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    happen()
    after = layer.state_dict()
    moved[event] = [name for name in after if not torch.equal(before[name], after[name])]
    print(f"{event:22}", ", ".join(moved[event]) or "nothing")

# %% [markdown]
# | what | in PyTorch | numbers | changed by | saved | gradient |
# |---|---|---|---|---|---|
# | parameters: $\gamma$, $\beta$ | `weight`, `bias` | $2C$ | the optimiser | yes | yes |
# | buffers: running statistics | `running_mean`, `running_var` | $2C$ | a forward pass in training | yes | no |
# | buffer: batches seen | `num_batches_tracked` | 1 | a forward pass in training | yes | no |
# | hyperparameters | `eps`, `momentum` | 2 | you | **no** | no |
#
# The batch's own mean and variance are in no row: each forward pass computes them anew. The buffers are their running
# averages, for evaluation mode. `momentum` is, in PyTorch, the weight of the *new* batch: `running = (1 - momentum) *
# running + momentum * batch`, with 0.1 by default. The variance that normalises is divided by the number of cells $m$
# (the *biased* variance); the one that enters the running average is divided by $m - 1$ (*unbiased*), again PyTorch's
# choice.
#
# Mind the last row. A checkpoint (a `state_dict`) does not carry `eps`: load it into a layer built with another one,
# and the outputs change without a warning.

# %%
stored = sum(tensor.numel() for tensor in layer.state_dict().values())
takeaway(
    "A layer of C channels stores 2C parameters, moved by the optimiser, "
    "and 2C + 1 numbers in buffers, moved by the forward pass in training.",
    stored == 2 * 3 + (2 * 3 + 1)
    and moved["optimiser step"] == ["weight", "bias"]
    and moved["forward and backward"] == ["running_mean", "running_var", "num_batches_tracked"]
    and moved["forward in evaluation"] == [],
)

# %% [markdown]
# ## In a real network
#
# Now 256 handwritten digits, a small convolutional network *without* batch norm, and 100 steps of gradient descent.
# We keep the *pre-activations* of its second convolution, that is, the output before the ReLU, at the start and at
# the end. That is the place where the paper puts batch norm; behind the activation is in use too. (In float64, so
# that every machine prints the same numbers.)

# %%
train = digits().train
images, labels = train.x[:256].double(), train.y[:256]
torch.manual_seed(0)
convolutions = nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)
network = nn.Sequential(*convolutions, nn.ReLU(), nn.Flatten(), nn.Linear(64, 10)).double()
optimiser = torch.optim.SGD(network.parameters(), lr=0.05)

start = network[:3](images).detach().numpy()
for _ in range(100):
    optimiser.zero_grad()
    nn.functional.cross_entropy(network(images), labels).backward()
    optimiser.step()
trained = network[:3](images).detach().numpy()

# %% [markdown]
# The pre-activations have shape (256, 4, 4, 4), so each of the 4 channels has $256 \cdot 4 \cdot 4 = 4096$ values.
# Send them through batch norm with $\gamma = 1$ and $\beta = 0$:

# %%
normalised, _ = batch_norm_forward(trained, np.ones(4), np.zeros(4))
figures.before_and_after(trained, normalised)

# %% [markdown]
# In the middle, the channels as training left them: one narrow and negative, one wide around 4. On the right, after
# batch norm: every channel has mean 0 (the dark marks) and standard deviation 1. The coloured channel is the same in
# all three panels.
#
# ## What it is not
#
# ### Not Gaussian
#
# The coloured channel was skewed, and it still is. Batch norm subtracts one number from a channel and divides it by
# another; that slides and stretches a histogram and never bends it. The clearest case has two peaks. The network's
# last layer computes a score for "this is a 0"; we show it zeros and sevens only, and normalise that score.

# %%
zeros_and_sevens = (train.y == 0) | (train.y == 7)
score = network(train.x[zeros_and_sevens].double())[:, :1].detach().numpy()
normalised_score, _ = batch_norm_forward(score, np.ones(1), np.zeros(1))
figures.shape_kept(score[:, 0], normalised_score[:, 0])

# %% [markdown]
# Mean 0, variance 1, and still two peaks, as there should be: they are the network's answer. A number for the shape
# is the *kurtosis*, the mean of $\hat x^4$, which is 3 for every Gaussian.

# %%
kurtosis = [((s - s.mean()) ** 4).mean() / s.var() ** 2 for s in (score, normalised_score)]
print(f"kurtosis before {kurtosis[0]:.2f}, after {kurtosis[1]:.2f}")
takeaway(
    "Batch norm sets the mean and the variance and keeps the shape: what was not Gaussian stays so.",
    np.allclose([normalised_score.mean(), normalised_score.var()], [0, 1], atol=1e-3)
    and np.isclose(*kurtosis)
    and kurtosis[1] < 2,
)

# %% [markdown]
# ### Not whitening
#
# *Whitening* means mean 0, variance 1 and no correlation between channels. Batch norm does the first two. Here is the
# third, for the four channels of the picture:

# %%
correlation = [np.corrcoef(h.swapaxes(0, 1).reshape(4, -1)) for h in (trained, normalised)]
print(correlation[0].round(2))
takeaway(
    "Normalising each channel by itself leaves the correlation between channels as it was.",
    np.allclose(*correlation) and np.abs(correlation[1] - np.eye(4)).max() > 0.5,
)

# %% [markdown]
# The paper starts from whitening, calls it costly and not everywhere differentiable, and settles for each channel by
# itself (section 3). Others went back and whitened (Huang et al. 2018).
#
# ### Not standardising the input
#
# You have probably standardised a data set before. That is done *once*, at *one* place, with *constants*. First the
# place and the time. These images are standardised. What is left of it at the second convolution, at the start and
# 100 steps later?

# %%
print(f"images              mean {abs(train.x.mean().item()):.2f}    std {train.x.std().item():.2f}")
for when, h in (("start", start), ("100 steps later", trained)):
    print(f"{when:16}", "mean", h.mean((0, 2, 3)).round(2), "std", h.std((0, 2, 3)).round(2))
    h_normalised, _ = batch_norm_forward(h, np.ones(4), np.zeros(4))
    print(" with batch norm  std", h_normalised.std((0, 2, 3)).round(2))

# %% [markdown]
# The images did not change, the weights did, and everything above them followed. Batch norm measures anew in every
# layer at every step, so its result holds wherever the weights go.
#
# Now the constants. Batch norm's mean and variance are functions of the batch, so the gradient flows through them.
# Back to channel 0 of the table: how does $\hat x$ of example 0 respond to each of the four inputs?

# %%
column = torch.tensor(x[:, 0], requires_grad=True)
mu, sigma2 = column.mean(), column.var(correction=0)
with_constants = (column - mu.detach()) / torch.sqrt(sigma2.detach() + eps)
with_statistics = (column - mu) / torch.sqrt(sigma2 + eps)
slopes = [torch.autograd.grad(each[0], column)[0].numpy() for each in (with_constants, with_statistics)]
print("constants: ", slopes[0].round(3))
print("batch norm:", slopes[1].round(3))
takeaway(
    "An input is standardised once, with constants; batch norm works in every layer at every step, "
    "and the gradient flows through its statistics.",
    np.all(slopes[0][1:] == 0) and np.abs(slopes[1]).min() > 0.01 and abs(slopes[1].sum()) < 1e-9,
)

# %% [markdown]
# With constants only its own input counts, with slope $1/5$. With batch norm all four count, and the slopes add up to
# 0: raise all inputs together, and the mean rises with them, and nothing changes. An optimiser that did not know this
# would raise a bias, see it subtracted again, and go on raising it for ever: the paper's own example, in section 2.
#
# ### Not weight normalisation
#
# Weight normalisation (Salimans and Kingma 2016) normalises another thing. It writes each row of weights as $w = g \, v
# / \lVert v \rVert$, a length $g$ times a direction, and computes nothing from the data once it is initialised. Triple
# the weights, then triple the images, and see the standard deviation of one unit's output, with $g = 1$:

# %%
pixels = images.flatten(1).numpy()
weights = np.random.default_rng(0).normal(size=(8, 64))
spread = []
for weight_scale, image_scale in ((1, 1), (3, 1), (1, 3)):
    v, data = weight_scale * weights, image_scale * pixels
    plain = data @ v.T
    weight_norm = data @ (v / np.linalg.norm(v, axis=1, keepdims=True)).T
    batch_norm, _ = batch_norm_forward(plain, np.ones(8), np.zeros(8))
    spread.append([h[:, 0].std() for h in (plain, weight_norm, batch_norm)])
    print(f"weights x {weight_scale}, images x {image_scale}:", end=" ")
    print("plain {:5.2f}, weight norm {:.2f}, batch norm {:.2f}".format(*spread[-1]))
takeaway(
    "Weight norm undoes a change of the weights' scale; batch norm undoes that, and a change of the data's.",
    np.allclose(np.divide(spread, spread[0]), [[1, 1, 1], [3, 1, 1], [3, 3, 1]], atol=1e-3),
)

# %% [markdown]
# ## Exercises
#
# Write your answer in place of the `...` and run the cell. `check` tries it on small and on awkward inputs. A wrong
# answer gets the name of its mistake and the reason; NumPy or torch, loops or not, is up to you. From `bnlab.practice`,
# `hint("predict_shapes")` nudges and `solution("predict_shapes")` ends it.


# %%
def my_predict_shapes(x_shape):
    """For an input of shape (n, c, *spatial): the shape of the batch mean, the shape of the output, and m.

    m is the number of values that share one mean.
    """
    ...


check("predict_shapes", my_predict_shapes)


# %%
def my_count_parameters(num_features):
    """How many numbers of a BatchNorm layer the optimiser trains, and how many its running statistics hold.

    The counter of batches is left out.
    """
    ...


check("count_parameters", my_count_parameters)

# %% [markdown]
# Now the axes, in code. The second function is taken from published code: it runs, its output has the right shape,
# and it is wrong. Find the mistake and mend it.


# %%
def my_batch_norm_conv_axes(x, gamma, beta, eps):
    """Batch norm of images in training mode.

    x has shape (n, c, height, width), gamma and beta have shape (c,); the result has the shape of x.
    """
    ...


check("batch_norm_conv_axes", my_batch_norm_conv_axes)


# %%
def my_find_the_bug_axes(x, gamma, beta, eps):
    """Batch norm of images in training mode, with the channels last, as Keras has them.

    x has shape (n, height, width, c), gamma and beta have shape (c,); the result has the shape of x.
    """
    mean = x.mean(axis=(0, 2, 3), keepdims=True)
    var = x.var(axis=(0, 2, 3), keepdims=True)
    x_hat = (x - mean) / np.sqrt(var + eps)
    return gamma * x_hat + beta


check("find_the_bug_axes", my_find_the_bug_axes)

# %% [markdown]
# ## What is contested
#
# Not the definition, but why it helps. Ioffe and Szegedy credit a reduced internal covariate shift: layer inputs
# whose distribution moves less. Santurkar et al. (2018) put the shift back, kept the benefit, and credit a smoother
# loss.
#
# ## In one sentence, and on
#
# For each channel, over the batch and all positions: subtract the mean, divide by $\sqrt{\sigma^2 + \epsilon}$, scale
# by $\gamma$, shift by $\beta$. Next: what was it made for, what goes wrong in a deep network without it?
# [02 Purpose](02_purpose.ipynb).
#
# **References.** Ioffe and Szegedy 2015, *Batch Normalization: Accelerating Deep Network Training by Reducing
# Internal Covariate Shift*, [arXiv:1502.03167](https://arxiv.org/abs/1502.03167). Salimans and Kingma 2016, *Weight
# Normalization*, [arXiv:1602.07868](https://arxiv.org/abs/1602.07868). Huang et al. 2018, *Decorrelated Batch
# Normalization*, [arXiv:1804.08450](https://arxiv.org/abs/1804.08450). Santurkar et al. 2018, *How Does Batch
# Normalization Help Optimization?*, [arXiv:1805.11604](https://arxiv.org/abs/1805.11604). The block of cells follows
# figure 2 of Wu and He 2018, *Group Normalization*, [arXiv:1803.08494](https://arxiv.org/abs/1803.08494).
#
# ## Say it in an interview
#
# "Batch norm takes each channel, subtracts the mean and divides by the standard deviation that the channel has over
# the batch and all positions, with epsilon inside the root, and then applies a learned scale and shift. For C
# channels that is 2C parameters, plus running means and variances in buffers, which take over at inference. It sets
# two moments of each channel and makes nothing Gaussian or uncorrelated, and in training every output depends on the
# rest of the batch."
#
# Expect one of these, and answer aloud before you unfold. All on one page: the
# [cheat sheet](../notebooks/aids/cheatsheet.md).

# %%
ask(
    "axes-of-a-convolution",
    "parameters-of-a-layer",
    "inputs-standardised",
    "gaussian",
    "before-or-after-activation",
)
