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
# # What does batch norm make a network robust to, and does it regularise?
#
# **You will** start networks with weights ten times too small and ten times too large, turn the noise of the batch up
# and down while everything else stands still, and put batch norm beside dropout and weight decay. **You learn** what a
# bad start still costs, why a little noise helps and much of it hurts, and how to tell regularisation from a better
# fit. **You need** 40 minutes, and chapters [02](02_purpose.ipynb), [05](05_mechanism_inference.ipynb) and
# [06](06_benefits_faster.ipynb).
#
# Chapter 06 ended with larger steps. Two more benefits are claimed for batch norm: that it forgives a careless start,
# and that it generalises better. The first is easy to show, and has a price that is easy to miss. The second is two
# claims in one, and this chapter takes them apart.
#
# ## First, from memory
#
# Answer aloud before you unfold.

# %%
from itertools import product

import numpy as np
import torch

from bnlab import figures
from bnlab.experiments import studies
from bnlab.experiments.claims import ledger
from bnlab.experiments.data import mnist1d
from bnlab.experiments.intervals import t_interval
from bnlab.layers import GhostBatchNorm1d
from bnlab.layers.functional import batch_norm
from bnlab.notebook import setup, takeaway
from bnlab.practice import ask, check, predict, recall, reveal

setup()
claims = ledger()

# %%
recall("07")

# %% [markdown]
# ## A badly scaled start
#
# Somebody starts a network with weights 30 times too large. Without a norm, each layer multiplies its signal by 30, and
# six layers by 30 to the power of six. With batch norm each layer's output is what it was. That is one half of the
# story; the other half is how fast such weights learn.
#
# **Predict before you run**, and say how sure you are.

# %%
predict("start-thirty-times-too-large")

# %% [markdown]
# One unit with five inputs, in float64. We normalise its output over 32 examples, take some loss of it, and compare
# two starts that differ in nothing but their length $s$. The gradient stands at a right angle to the weights (chapter
# 04), so a step of rate $\eta$ turns them by the angle whose tangent is $\eta|g|/|w|$.

# %%
float64 = {"dtype": torch.float64}
x, start, slope = torch.randn(32, 5, **float64), torch.randn(5, 1, **float64), torch.randn(32, 1, **float64)
outputs, gradients, turned = {}, {}, {}
for s in (1, 30):
    w = (s * start).requires_grad_()
    outputs[s] = batch_norm(x @ w, None, None, training=True, eps=1e-30)
    (gradients[s],) = torch.autograd.grad((slope * outputs[s]).sum(), w)
    turned[s] = torch.atan(0.1 * gradients[s].norm() / w.norm()).rad2deg().item()
    print(f"{s:2d} times: gradient {gradients[s].norm():.4f}, turned by {turned[s]:.4f} degrees")
print("the same output:", torch.allclose(outputs[1], outputs[30]))
reveal("start-thirty-times-too-large")

# %% [markdown]
# The output is the same and the gradient is 30 times smaller, while what has to be turned is 30 times longer. So the
# rate that counts is $\eta/|w|^2$, the **effective learning rate** (van Laarhoven 2017): 900 times smaller here. For
# $w=(3,4)$, $|w|^2=25$, and a rate of 0.1 is an effective 0.004.

# %%
rates = [0.1 / np.sum(np.square([s * 3, s * 4])) for s in (1, 10, 30)]
print(
    "effective rates:", ", ".join(f"{s} times: 1/{1 / rate:,.0f}" for s, rate in zip((1, 10, 30), rates, strict=True))
)
takeaway(
    "A start that is s times too large leaves the output of a normalised layer as it was, and makes its weights learn "
    "s squared times more slowly.",
    torch.allclose(outputs[1], outputs[30])
    and torch.allclose(gradients[1], 30 * gradients[30])
    and np.isclose(turned[1] / turned[30], 900, rtol=0.01)
    and np.isclose(rates[0] / rates[2], 900),
)

# %% [markdown]
# Now a network: six hidden layers of 32 units on digits, 300 steps of plain SGD, ten seeds. Its initial weights are
# those of He et al. times 0.1 to 10. At each scale each arm has its own best rate, chosen on validation images. To be
# fair to the network without norm, whose signals may start a million times too large, it may also choose rates down to
# a millionth. The study takes about half a minute, so its result is stored; `rerun=True` computes it anew.

# %%
starts = studies.result("init_sensitivity")
for arm in ("no_norm", "batch_norm"):
    chosen = zip(starts.config.scales, starts.best_rates(arm), starts.test[arm], strict=True)
    print(arm, *(f"{scale:g}: {100 * seeds.mean():.0f}% at rate {rate:g};" for scale, rate, seeds in chosen))
figures.accuracy_by_scale(starts, title="Batch norm trains from each of these starts, no norm from one")

# %% [markdown]
# Each dot is one seed; lines join the medians. Without a norm only He's scale trains well: smaller starts stay near
# guessing, whatever the rate, and larger ones get about half of the images right, at tiny rates. With batch norm about
# nine images of ten or more are right from every start. The dashed line is the price: at one and the same rate, weights
# that start ten times too large are a hundred times too slow. A larger rate wins most of it back, not all: the head,
# gamma and beta are not scale-invariant, and must live with that rate too.

# %%
for name in ("small-start", "large-start", "large-start-costs", "large-start-larger-rate", "large-start-costs-at-best"):
    print(f"{name}: {claims[name].verdict}, {claims[name].measured}")
takeaway(
    "Batch norm makes training possible from starts that a plain network cannot use. It does not make the scale "
    "irrelevant: weights that start too large learn too slowly until the rate is raised.",
    all(claims[name].verdict == "supported" for name in ("small-start", "large-start", "large-start-costs")),
)

# %% [markdown]
# ## The noise of the batch
#
# In training, an example's output depends on its batch-mates (chapter 05), who are drawn at random. So batch norm
# injects noise, and noise in training is what dropout is made of. How much noise is it? Take values that are 1 or -1,
# equally often. List every batch of $m$ of them, take each batch's mean, and see how far these means spread.

# %%
for m in (1, 2, 4, 16):
    means = [np.mean(batch) for batch in product((-1, 1), repeat=m)]
    print(f"{len(means):5d} batches of {m:2d}: std of the mean {np.std(means):.4f}, 1/sqrt(m) = {m**-0.5:.4f}")

# %% [markdown]
# You can check $m=2$ by hand: the means are -1, 0, 0, 1, their mean square is one half. In general the mean of $m$
# independent values has $1/\sqrt{m}$ of a value's standard deviation: 4.4% of it at $m=512$, 25% at 16, half at 4.
#
# To study this noise alone, a smaller batch would not do: it makes the gradient noisier as well. **Ghost batch norm**
# (Hoffer et al. 2017) keeps the batch of SGD and takes statistics over parts of it, the ghosts:

# %%
values = torch.tensor([[1.0], [3.0], [10.0], [30.0]])
whole, halves = GhostBatchNorm1d(1, ghost_size=4), GhostBatchNorm1d(1, ghost_size=2)
print("one ghost of 4: ", whole(values).detach().ravel().numpy().round(2))
print("two ghosts of 2:", halves(values).detach().ravel().numpy().round(2))

# %% [markdown]
# 1 and 3 are now compared with each other only, as are 10 and 30. On real data, 2,560 series of MNIST-1D behind a fresh
# linear layer of 100 units, the spread of the ghosts' means follows the formula:

# %%
hidden = mnist1d().train.x[:2560].flatten(1) @ torch.randn(40, 100)
measured = {}
for size in (256, 64, 16, 4):
    means = hidden.reshape(-1, size, 100).mean(1)
    measured[size] = (means.var(0) / hidden.var(0)).mean().sqrt().item()
    print(f"ghosts of {size:3d}: noise {measured[size]:.2f} of a channel's std, 1/sqrt(m) = {size**-0.5:.2f}")
takeaway(
    "The noise of a batch's mean is one over the root of its size, in units of the channel's standard deviation.",
    all(np.isclose(noise, size**-0.5, rtol=0.2) for size, noise in measured.items()),
)

# %% [markdown]
# Does this noise help a network that has only 1,024 examples to learn from? SGD takes 512 of them at a time, in every
# arm the same ones; statistics are taken over 512, 64, 16 or 4.
#
# **Predict before you run.**

# %%
predict("best-ghost-size")

# %%
noise = studies.result("batch_noise")
for arm in noise.test:
    rate, accuracy, seen = noise.best_rate(arm), 100 * noise.test[arm].mean(), 100 * noise.train[arm].mean()
    print(
        f"{arm:7}: rate {rate:g}, training {seen:3.0f}%, test {accuracy:.1f}%, loss {noise.test_loss[arm].mean():.2f}"
    )
figures.noise_by_ghost_size(noise, title="Some noise in the statistics helps in testing; too much costs the fit")

# %% [markdown]
# Noise grows from left to right. Down to ghosts of 16 every network still fits nearly all of its training examples, and
# the test loss falls by more than half. Accuracy rises by a point or two, then falls: with statistics over 4 examples
# the network no longer fits what it is shown. Its test loss is the lowest of all, since it is unsure of everything, and
# its accuracy is no better than that of the network without a norm. So a loss alone does not tell.

# %%
for name in ("ghosts-loss", "smaller-ghosts-better", "noise-costs-fit"):
    print(f"{name}: {claims[name].verdict}, {claims[name].measured}")
gain = t_interval(100 * (noise.test["16"] - noise.test["512"]))
print(f"accuracy, 16 against 512: {gain.estimate:+.1f} [{gain.low:+.1f}, {gain.high:+.1f}] points")
takeaway(
    "The noise of batch statistics regularises: with the batch of SGD fixed, statistics over 16 examples give a "
    "lower test loss than over 512. More noise is not always better; at 4 it costs the fit.",
    claims["ghosts-loss"].verdict == "supported" and claims["smaller-ghosts-better"].verdict == "not supported here",
)
reveal("best-ghost-size")

# %% [markdown]
# In practice you seldom choose a ghost size: it comes with the batch that a device holds. A batch of 32 per GPU has
# statistics over 32, however many GPUs share the gradient; synchronised batch norm
# reduces it to that of the whole batch.
#
# ## Batch norm beside dropout and weight decay
#
# Ioffe and Szegedy wrote that batch norm regularises and in some cases makes dropout unnecessary. Van Laarhoven
# wrote that with it weight decay "has no regularizing effect". The same 1,024 series, now in batches of 64 for 300
# steps, each arm at the best of six rates:

# %%
arms = studies.result("regularisers")
for arm in arms.test:
    interval = t_interval(100 * arms.test[arm])
    print(f"{arm:15} rate {arms.best_rate(arm):3}, test {interval.estimate:.1f}%", end=" ")
    print(f"[{interval.low:.1f}, {interval.high:.1f}]", end=", ")
    print(f"loss: training {arms.train_loss[arm].mean():.2f}, test {arms.test_loss[arm].mean():.2f}")
title = "Batch norm alone reaches the test loss of dropout, and is more accurate; together they do best"
figures.regularisers_compared(arms, title=title)

# %% [markdown]
# Left, every seed's test accuracy with the 95% interval of the mean; right, the losses, open dots for training. The
# network without norm or dropout fits best, and its test loss is the highest. Dropout of 20% brings that down, and
# costs accuracy within these 300 steps (dropout likes longer training). Batch norm alone chooses a rate of 0.8, larger
# than any other arm's; there it does not fit its training set to the end, its test loss is that of dropout, and it is
# more accurate. Dropout of 50% behind the last norm adds a little to both.

# %%
beside = claims["dropout-beside-norm"]
print(f"{beside.id}: {beside.verdict}, {beside.measured}")
gain = t_interval(100 * (arms.test["last_dropout"] - arms.test["batch_norm"]))
print(f"accuracy {gain.estimate:+.1f} [{gain.low:+.1f}, {gain.high:+.1f}] points")
losses = {arm: seeds.mean() for arm, seeds in arms.test_loss.items()}
takeaway(
    "On this task batch norm at its best rate does what dropout does to the test loss, and costs no accuracy. Dropout "
    "behind the last norm still lowers the loss, by less than the factor of 1.2 that was asked for.",
    abs(losses["batch_norm"] - losses["no_norm_dropout"]) < 0.1 and beside.verdict == "partly",
)

# %% [markdown]
# ### What decay does to weights whose size does not matter
#
# Weight decay pulls weights towards zero, so that the function becomes simpler. But before a batch norm the size of the
# weights does not change the function. What is left for decay to do? Take one step by hand: $w=(3,4)$, a gradient
# $g=(-0.8,0.6)$ at a right angle to it, rate 0.1, decay 0.5.

# %%
w, g = np.array([3.0, 4.0]), np.array([-0.8, 0.6])
with_decay = w - 0.1 * (g + 0.5 * w)
larger_rate = w - 0.1 / (1 - 0.1 * 0.5) * g
directions = [step / np.linalg.norm(step) for step in (with_decay, larger_rate)]
print("with decay:", with_decay, "- a rate of 0.1053, no decay:", larger_rate.round(3))
print("directions:", *(direction.round(4) for direction in directions))
takeaway(
    "To weights before a batch norm, a step of plain SGD with decay is a step without it at a larger rate, and a "
    "rescaling that the network cannot see.",
    np.allclose(*directions),
)

# %% [markdown]
# And the shorter weights get a larger gradient the next time. So decay steers the effective rate. Measured at a rate of
# 0.1, which falls to 0 along a cosine in both arms:

# %%
ratio = claims["decay-effective-rate"]
print(f"{ratio.id}: {ratio.verdict}, {ratio.measured} at the end of training")
title = "Weight decay keeps weights before a norm short, and so their effective rate high"
figures.effective_rates(studies.result("weight_decay"), title=title)

# %% [markdown]
# Left, the squared norm of a unit's weights, mean over all hidden units, every seed within the band; right, the rate of
# the schedule over it. Without decay the weights grow by themselves, since each step adds a component at a right angle,
# and the effective rate fades faster than the schedule. With a decay of 0.01 (here of all parameters) it first *rises*.
#
# Then decay of these weights should be useless as a regulariser, and a well-chosen rate should do as well. The study
# `weight_decay` gives decay to all parameters, to nothing but the weights before a norm ("fed"), and to all others
# ("rest"). First, each arm at its best rate, beside batch norm without decay:

# %%
decays = studies.result("weight_decay")
for arm in ("decay", "decay_of_fed", "decay_of_rest"):
    points = t_interval(100 * (decays.test[arm] - decays.test["batch_norm"]))
    fit, unseen = (getattr(decays, name)[arm].mean() for name in ("train_loss", "test_loss"))
    print(f"{arm:13} rate {decays.best_rate(arm):3}, accuracy {points.estimate:+.1f}", end=" ")
    print(f"[{points.low:+.1f}, {points.high:+.1f}] points, loss: training {fit:.2f}, test {unseen:.2f}")
for rate in (0.1, 0.8):
    k = decays.config.learning_rates.index(rate)
    gain = t_interval(100 * (decays.validation["decay_of_fed"][k] - decays.validation["batch_norm"][k]))
    print(f"decay of fed at rate {rate}: {gain.estimate:+.1f} [{gain.low:+.1f}, {gain.high:+.1f}] points")
takeaway(
    "Decay of weights before a norm is no penalty on the function. At a small rate it helps, since it keeps their "
    "effective rate up; at the rate that suits the network without decay it does not.",
    ratio.verdict == "supported" and gain.estimate < 0.5,
)

# %% [markdown]
# With these ten seeds, decay of the weights before a norm does not lower the test loss. (That is no claim of the
# ledger: with other seeds batch norm alone chose another rate, and the order turned round.) With it the network fits
# its training set far better, at a small rate, and is a little more accurate. That is no regulariser's signature. Decay
# of the head, gamma and beta has it: training loss up, test loss down. (Its best rate is the largest that was offered.)
# The last two lines put decay of "fed" beside none at one and the same rate, on validation series: at 0.1 it gains, at
# 0.8, which suits the network without decay, it does not.
#
# Be slow to believe such comparisons. Had the grid ended at 0.1, every arm beside batch norm would have looked better
# than batch norm, whose best rate is 0.8: a baseline whose best setting is the edge of its grid is not a baseline.
#
# ## What is not regularisation
#
# A regulariser trades: the network fits its training data *less* well, at best as well, and does better on new data. A
# network that fits better and therefore does better on new data has been helped, but not regularised. So whoever says
# "regularises" has to show two numbers, the training loss and the test loss. Here are five pairs, the second
# arm against the first:

# %%
pairs = [(noise, "no_norm", "512"), (noise, "512", "16"), (noise, "16", "4")]
changes = {}
for result, before, after in (*pairs, (arms, "batch_norm", "last_dropout"), (decays, "batch_norm", "decay_of_fed")):
    losses = [getattr(result, name)[after] - getattr(result, name)[before] for name in ("train_loss", "test_loss")]
    fit, unseen = changes[after] = [t_interval(change) for change in losses]
    points = 100 * (result.test[after] - result.test[before]).mean()
    print(f"{before:>10} to {after:12}: training loss {fit.estimate:+.3f}, test loss {unseen.estimate:+.2f}", end="")
    print(f" [{unseen.low:+.2f}, {unseen.high:+.2f}], accuracy {points:+.1f} points")
takeaway(
    "Better test accuracy is not yet regularisation: look at both losses. From no norm to batch norm over 512 examples "
    "the training loss fell. From 512 to 16 it rose and the test loss fell, and that is regularisation. Nor do losses "
    "alone say whether it paid: from 16 to 4 the test loss fell again, and so did the accuracy.",
    changes["512"][0].high < 0
    and all(changes[arm][0].low > 0 > changes[arm][1].high for arm in ("16", "last_dropout")),
)

# %% [markdown]
# Ghosts of 16 and dropout pay with training loss, and the test loss falls. Decay before the norm does the opposite of
# both. And the first pair is another
# thing: with statistics over 512 examples there is hardly any noise, the network fits even better than without a norm,
# and its test loss is no lower, yet it is more accurate. That gain is real, but noise did not bring it, and no fit was
# traded for it. A larger learning rate took part, since this arm could use 1 where the other needed 0.3. So "batch norm
# regularises" is true of its noise, which shrinks as the batch grows and is switched off in evaluation, and it is not
# the whole of why a normalised network does better.
#
# Nor is batch norm a substitute for data: it holds no information about the task. And where there are so many data that
# the training loss is close to the test loss, noise has little to prevent and can only cost fit.
#
# ## What was claimed, and what came out
#
# Direction and margin of each claim stand in the code beside it, and the verdict is computed.

# %%
claims.of("07")

# %% [markdown]
# A dozen claims at 95% will include a miss now and then. That ghosts of 16 raise the *accuracy* is not among them: the
# gain printed above is so small beside its spread that one other set of seeds did not confirm it. The test loss did,
# each time. All are about small MLPs on small data.
# `bnlab claims run ghosts-loss --seed 7` tries one with seeds of your own.
#
# ## Exercises
#
# Write your answer in place of the `...` and run the cell. `check` tries it on small and on awkward inputs. A wrong
# answer gets the name of its mistake and the reason; NumPy or torch, loops or not, is up to you. From `bnlab.practice`,
# `hint("effective_learning_rate")` nudges and `solution("effective_learning_rate")` ends it.


# %%
def my_effective_learning_rate(learning_rate, weight):
    """For each unit that feeds a batch norm: the learning rate over the squared norm of its weights.

    weight has shape (out, in), one row for each unit; the result has shape (out,). After van Laarhoven 2017.
    """
    ...


check("effective_learning_rate", my_effective_learning_rate)

# %% [markdown]
# And the layer behind this chapter's noise: batch norm that sees only a small part of the batch at a time.


# %%
def my_ghost_batch_norm(x, gamma, beta, ghost_size, eps):
    """Ghost batch norm in training mode: every ghost_size consecutive rows are normalised as a batch of their own.

    x has shape (n, c), gamma and beta have shape (c,), and ghost_size divides n; the result has the shape of x. The
    variance is the biased one. After Hoffer et al. 2017.
    """
    ...


check("ghost_batch_norm", my_ghost_batch_norm)

# %% [markdown]
# ## What is contested
#
# *Why* batch norm generalises better where it does. Noise is one account; Luo et al. 2018 derive from it a penalty on
# gamma. Larger steps are another (Bjorck et al. 2018), and the two are hard to separate, since a noisier or larger step
# regularises too. *What decay does*: van Laarhoven, Hoffer et al. 2018 and Arora et al. 2018 explain it by the
# effective learning rate. Liu et al. 2021 call that insufficient: they report a test accuracy like that of decay from a
# rescaling of weights that does not raise the effective rate. *Dropout before batch norm* is another matter again: in
# evaluation the variance that reaches the norm differs from training. Li et al. 2018 report that DenseNet on CIFAR-100
# falls from 77.42% to 68.55% with dropout of 0.5 in each bottleneck, and that Wide ResNets are an exception. Chapter
# [12](12_why_it_works.ipynb) takes the first two up again.
#
# ## In one sentence
#
# Batch norm lets a network start from weights of almost any size, at the price of a learning rate that must suit their
# size, and its noisy statistics regularise a little, which is not to be confused with the better fit that it brings.
#
# All of this needed a batch whose statistics are worth something. What if the batch is small, sorted, or one?
#
# ## References
#
# - Ioffe and Szegedy 2015, [Batch Normalization](https://arxiv.org/abs/1502.03167): sections 3.3 and 3.4.
# - Hoffer, Hubara and Soudry 2017, [Train longer, generalize better](https://arxiv.org/abs/1705.08741): ghosts.
# - van Laarhoven 2017, [L2 Regularization versus Batch and Weight Normalization](https://arxiv.org/abs/1706.05350).
# - Hoffer et al. 2018, [Norm matters](https://arxiv.org/abs/1803.01814); Arora, Li and Lyu 2018, [Theoretical Analysis
#   of Auto Rate-Tuning by Batch Normalization](https://arxiv.org/abs/1812.03981).
# - Liu et al. 2021, [The Implicit Biases of Stochastic Gradient Descent on Deep Neural Networks with Batch
#   Normalization](https://arxiv.org/abs/2102.03497).
# - Luo et al. 2018, [Towards Understanding Regularization in Batch Normalization](https://arxiv.org/abs/1809.00846).
# - Li et al. 2018, [Understanding the Disharmony between Dropout and Batch
#   Normalization](https://arxiv.org/abs/1801.05134).
# - Bjorck et al. 2018, [Understanding Batch Normalization](https://arxiv.org/abs/1806.02375).
#
# ## Say it in an interview
#
# > "With batch norm the scale of the initial weights does not change the output, so a careless start still trains. It
# > does change the effective learning rate, which goes as one over the squared norm, so a start that is too large is
# > slow. Batch norm regularises a little, through the noise of its statistics: you see it by shrinking the ghost batch
# > while the SGD batch stays. Much of the better accuracy is simply a better fit. Weight decay before a batch norm acts
# > through the effective rate, and can still be worth having."

# %%
ask(
    "is-it-a-regulariser",
    "isolate-the-noise",
    "dropout-and-batch-norm",
    "weight-decay-and-batch-norm",
    "start-as-a-rate",
)
