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
# # What is batch normalization in deep learning, and how does it improve model performance?
#
# **You will** hear the answer in 60 seconds, train 70 small networks that back it, and see one thing that batch
# normalisation does not do. **You learn** what the layer computes, what it buys, what it costs, and how this course
# treats a claim. **You need** 20 minutes, Python, and to have trained a neural network once.
#
# Run a cell with Shift+Enter, from the top. Change whatever you like: if you came here by `make lab`, this is your
# own copy, and `make reset CH=00` gives you a fresh one.

# %%
from bnlab.notebook import setup, show, takeaway

setup()

# %% [markdown]
# ## Before you begin: what do you know already?
#
# Ten questions, one right choice each, for those who want to see at the end what the course has changed; five minutes,
# and you may skip them. Nobody is expected to know the answers yet, so `-` is a good answer. Your letters are kept on
# this computer, and which of them are right stays folded away until chapter [15](15_interview.ipynb) asks again.

# %%
from bnlab.practice import pretest

pretest()

# %% [markdown]
# ## The answer in 60 seconds
#
# > Batch normalisation is a layer that standardises every feature over the mini-batch: it subtracts the batch's mean,
# > divides by the batch's standard deviation, and then lets two learned numbers per feature, gamma and beta, set the
# > scale and the shift. In training the mean and variance come from the current batch, and the gradient flows through
# > them. At inference (in evaluation mode) they are replaced by running averages kept in training, so that an answer
# > does not depend on which other examples are in the batch.
# >
# > It improves performance mostly through training. A network with batch norm tolerates much larger learning rates
# > and worse initial weights, so it reaches a given accuracy in fewer steps, and it can train where the same network
# > without it diverges. The noise of the batch statistics also regularises, mildly. *Why* it helps is still debated:
# > the paper's own explanation, that it reduces "internal covariate shift", is contested by later experiments.
# >
# > The price is that examples are no longer independent in training, that training and inference compute two
# > different functions, and that small or unrepresentative batches hurt.
#
# That is an answer you can give in an interview. The rest of this chapter shows that its central claim is true, and
# where it stops being true.

# %% [markdown]
# ## The operation, small enough to check by hand
#
# Take one feature and a batch of four examples.

# %%
import numpy as np

x = np.array([1.0, 1.0, 5.0, 5.0])
mean, var = x.mean(), x.var()
x_hat = (x - mean) / np.sqrt(var)
print("mean", mean, " variance", var, " standardised", x_hat)

# %% [markdown]
# The mean is 3 and the variance 4, so each value lies one standard deviation (2) from the mean. `x_hat` (say "x hat")
# is the field's name for the standardised value. As long as the feature varies, it has mean 0 and variance 1, whatever
# the layers below did to the feature.
#
# Fixing every feature at mean 0 and variance 1 would be a restriction, so the layer ends with a learned scale
# $\gamma$ (gamma) and shift $\beta$ (beta). They start at 1 and 0, where they change nothing; here they are 10 and 3:

# %%
gamma, beta = 10.0, 3.0
print(gamma * x_hat + beta)

# %% [markdown]
# The package behind this course has the same in full: any shape of input, one $\gamma$ and $\beta$ per feature, and a
# small constant $\epsilon$ (epsilon) under the root, so that a feature that never varies does not divide by zero. It
# must agree with our three lines, up to that epsilon.

# %%
from bnlab.reference import batch_norm_forward

y, cache = batch_norm_forward(x.reshape(4, 1), np.array([gamma]), np.array([beta]), eps=1e-5)
print(y.ravel().round(3))
assert np.allclose(y.ravel(), gamma * x_hat + beta, rtol=1e-5)

# %% [markdown]
# ## The experiment: one network, seven learning rates
#
# Now a real network on real data: 8x8 images of handwritten digits, eight hidden layers of 64 units, ReLU, plain
# stochastic gradient descent. It is trained twice, without batch norm and with a batch-norm layer between each linear
# layer and its ReLU. Everything else is the same in both: initial weights, order of the data, number of steps,
# learning rate; only a linear layer's bias, which the norm would subtract again, is left out. What differs can
# therefore only come from the norm.
#
# The learning rate runs from 0.01 to 10, and each setting is trained from five different seeds.
#
# **Predict before you run.** At which learning rate does the plain network stop training? Does the other one ever
# stop? And at the *smallest* rate, which is ahead? Write your three answers down: a guess that you committed to is
# remembered better than an answer that you read.

# %%
from bnlab.experiments.studies.learning_rate_tolerance import Config, run

result = run(Config(seeds=(0, 1, 2, 3, 4)))

# %% [markdown]
# That trained 70 networks, in some ten seconds on two cores: two arms, seven rates, five seeds. Each dot below is one.

# %%
from bnlab.figures import learning_rate_sweep

learning_rate_sweep(result, title="Batch norm keeps a deep network training at far larger learning rates")

# %% [markdown]
# Each dot is one trained network and the lines join the medians. A cross at 0 marks a network whose weights became
# infinite or not-a-number: it answers nothing. Read the picture from left to right. At small rates both train. Then
# the plain network falls off a cliff, while the one with batch norm goes on, at rates that most people would never
# try. At the far right it fails too: batch norm widens the range of good learning rates, it does not abolish the
# limit.
#
# How much wider? Take, for each of the five seeds, the largest rate at which the network still gets 80% of the
# validation images right (images that it was not trained on), and divide the one with batch norm by the one without.

# %% tags=["nbval-ignore-output"]
plain = result.largest_rates("no_norm", accuracy=0.8)
normalised = result.largest_rates("batch_norm", accuracy=0.8)
ratio = normalised / plain
for name, rates in (("without", plain), ("with", normalised), ("ratio", ratio)):
    print(f"{name:8}", [f"{rate:.3g}" for rate in rates])
assert np.median(ratio) >= 9.99

# %%
takeaway(
    "On this network, in the median of five seeds, batch norm tolerates a learning rate at least ten times larger.",
    np.median(ratio) >= 9.99,
)

# %% [markdown]
# ## What the picture does not show
#
# It does not show that batch norm is always better. Look at the left edge, the smallest rate:

# %% tags=["nbval-ignore-output"]
smallest = {arm: np.median(accuracy[0]) for arm, accuracy in result.validation.items()}
best = {arm: np.median(accuracy) for arm, accuracy in result.test.items()}
print(f"at rate 0.01, validation images: without {smallest['no_norm']:.0%}, with {smallest['batch_norm']:.0%}")
print(f"each at its best rate, test images: without {best['no_norm']:.1%}, with {best['batch_norm']:.1%}")

# %%
takeaway(
    "On this network, at rate 0.01 after 200 steps, the normalised one is no better.",
    smallest["batch_norm"] <= smallest["no_norm"],
)

# %% [markdown]
# At 0.01 the network with batch norm is behind after the same 200 steps. And each at its own best rate the two are
# close. (That rate was chosen on validation images, and the test images were then read at that rate alone: a setting
# that is chosen on the test images flatters itself.) So the honest sentence is not "batch norm gives better accuracy".
# It is: batch norm lets you use rates at which training is fast, over a wide range, so that you reach a good network
# sooner and with less tuning.

# %% [markdown]
# ## The price: your answer depends on your neighbours
#
# In training mode an example is normalised by statistics that the *other* examples of the batch helped to make.
# Below, the example 1.0 stands first in two batches. The layer is in training mode, then in evaluation mode.

# %%
import torch

from bnlab.layers import BatchNorm1d

layer = BatchNorm1d(1)
one_batch, another = torch.tensor([[1.0], [1.0], [5.0], [5.0]]), torch.tensor([[1.0], [1.0], [1.0], [9.0]])
for mode in (True, False):
    layer.train(mode)
    answers = [layer(batch)[0].item() for batch in (one_batch, another)]
    print("training  " if mode else "evaluation", [f"{answer:.3f}" for answer in answers])

# %% [markdown]
# In training mode the same input gave two different outputs. In evaluation mode it gives one, since the layer uses
# the running averages that it kept while it was training. A network that is served in the wrong mode gives answers
# that change with whoever else sent a request at that moment.

# %%
takeaway("An evaluation answer does not depend on the rest of the batch.", answers[0] == answers[1])

# %% [markdown]
# ## Your turn
#
# The claim above is about one network, eight layers deep. Here is a shallow one, `depth=2`, at three rates and three
# seeds. Before you run: at which of them will the plain network still train? Then change the depth or the rates and
# run the cell again.

# %% tags=["nbval-ignore-output"]
shallow = run(Config(depth=2, learning_rates=(0.1, 1.0, 3.0), seeds=(0, 1, 2)))
for arm, accuracy in shallow.validation.items():
    print(f"{arm:10}", [f"{rate:.0%}" for rate in np.median(accuracy, axis=1)])
assert np.median(shallow.validation["no_norm"][1]) > np.median(result.validation["no_norm"][4])

# %% [markdown]
# <details><summary>What you should find</summary>
#
# At a rate of 1, where every plain network of eight layers was lost, the shallow one still gets somewhere, though it
# depends on the seed; at 3 it is lost as well. With batch norm both rates train. So depth narrows the range of rates
# that a plain network survives, and batch norm widens it again: how much it buys depends on the network. A claim about
# batch norm that leaves out depth, rate and batch size is not yet a claim.
#
# </details>

# %% [markdown]
# ## How this course treats a claim
#
# A claim names the network, the data, the number of seeds, what was held equal, and what was found, also where the
# effect did not show. Every measured number in the text is printed by a cell, and every *takeaway* is checked against
# that number when the notebook runs: were it no longer true, the cell would fail, and so would the project's tests.
# Functions that you did not write yourself can be read on the spot. The first of these trains one network in a plain
# loop; the second trained the 70 together, and tests hold it to the path of the first:

# %%
from bnlab.experiments.training import train, train_ensemble

show(train, train_ensemble)

# %% [markdown]
# ## Your machine
#
# What was found here, and what it means for you:

# %% tags=["nbval-ignore-output"]
from bnlab.runtime import environment

found = environment()
assert len(found.rows) > 0
found

# %% [markdown]
# ## The map
#
# | chapter | question | minutes |
# |---|---|---|
# | [00 Start here](00_start_here.ipynb) | What is batch norm, and how does it improve performance? | 20 |
# | [01 Definition](01_definition.ipynb) | What exactly is computed, over which axes, with which parameters? | 35 |
# | [02 Purpose](02_purpose.ipynb) | What problem was batch norm made to solve? | 35 |
# | [03 Mechanism: forward](03_mechanism_forward.ipynb) | What does each line do, and where does it go wrong? | 40 |
# | [04 Mechanism: backward](04_mechanism_backward.ipynb) | How does a gradient get back through batch norm? | 60 |
# | [05 Mechanism: inference](05_mechanism_inference.ipynb) | Which statistics serve, and when are they wrong? | 40 |
# | [06 Benefits: faster](06_benefits_faster.ipynb) | How much faster does a network train, and when not at all? | 35 |
# | [07 Benefits: robust](07_benefits_robust.ipynb) | What does it make robust, and is it a regulariser? | 40 |
# | [08 Use cases: CNNs](08_use_cases_cnn.ipynb) | What does it do in a convolutional network? | 45 |
# | [09 Use cases: sequences](09_use_cases_rnn.ipynb) | Why do RNNs and transformers normalise differently? | 40 |
# | [10 Mistakes](10_mistakes.ipynb) | Which mistakes does it invite, and how do you find them? | 60 |
# | [11 Alternatives](11_alternatives.ipynb) | Which norm should you choose, and why? | 40 |
# | [12 Why it works](12_why_it_works.ipynb) | Why does it work, and what speaks against each explanation? | 75 |
# | [13 Fast kernels](13_fast_kernels.ipynb) | How fast can it be, and what does speed cost? | 90, elective |
# | [14 Production](14_production.ipynb) | What happens to it on its way into production? | 60 |
# | [15 The interview](15_interview.ipynb) | How do you answer when somebody asks you about it? | 45 |
# | [16 The capstone](16_capstone.ipynb) | What can you do in an hour, on your own? | 60 |
#
# Three aids lie beside them: the [cheat sheet](../notebooks/aids/cheatsheet.md), one page to print, the
# [notation](../notebooks/aids/notation.md), which names every symbol, and the
# [manager's page](../notebooks/aids/managers_page.md). Choose your track:
#
# | you want to | read |
# |---|---|
# | study it all, in ten hours | 00 to 08, 10, 11 and 15 in order, with every exercise |
# | pass an interview tomorrow | the ten questions and the answer above; the cheat sheet; 03; 05; 11; 15; a mock |
# | use it as an engineer | 00; axes and buffers in 01; epsilon and float32 in 03; 05; 10; 14 |
# | question it as a researcher | 00; 02; 04; 07; 08; 11; 12; the ledger of claims in the README |
# | decide about it as a manager, in 10 minutes | the manager's page, which has no code to run |

# %% [markdown]
# ## Say it in an interview
#
# "Batch norm standardises each feature over the mini-batch and then rescales it with a learned gamma and beta; at
# inference it uses running averages. It mainly makes training easier: larger learning rates, less sensitivity to the
# initial weights, a little regularisation. The costs are a dependence on the batch and a difference between training
# and inference, which is where its bugs come from if you forget it."
#
# Then expect one of these. Answer aloud before you unfold: half a minute first, then two.

# %%
from bnlab.practice import ask

ask("more-accurate", "any-learning-rate", "why-it-works", "fourteen-times")

# %% [markdown]
# ## In one sentence, and on
#
# Batch norm standardises each feature over the batch and rescales it by learned numbers, and what that buys is above
# all a wide range of learning rates that train. Next: what exactly is "each feature", and which values share one
# mean? [01 Definition](01_definition.ipynb).
#
# **References.** Ioffe and Szegedy 2015, *Batch Normalization: Accelerating Deep Network Training by Reducing
# Internal Covariate Shift*, [arXiv:1502.03167](https://arxiv.org/abs/1502.03167). Bjorck et al. 2018, *Understanding
# Batch Normalization*, [arXiv:1806.02375](https://arxiv.org/abs/1806.02375): the learning-rate explanation. Santurkar
# et al. 2018, *How Does Batch Normalization Help Optimization?*,
# [arXiv:1805.11604](https://arxiv.org/abs/1805.11604): the noise experiment and the smoothness explanation.
