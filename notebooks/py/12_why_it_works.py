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
# # Why does batch norm work?
#
# **You will** let the inputs of a network drift on purpose, make a loss a hundred times smoother without changing a
# single prediction, see weights bear a rate of 1000, and predict how gradients grow. **You learn** four explanations of
# batch norm, what each predicts, and which evidence speaks for it and against it. **You need** 75 minutes, and chapters
# [02](02_purpose.ipynb), [04](04_mechanism_backward.ipynb), [07](07_benefits_robust.ipynb) and
# [08](08_use_cases_cnn.ipynb).
#
# That batch norm helps is measured (chapters 06 to 08). *Why* it does is contested. An explanation is worth something
# if it forbids something: it must predict an experiment that could have come out otherwise. So of each of the four:
# what it says, what it predicts, what came out, and what that does not show.
#
# ## First, from memory
#
# Answer aloud before you unfold.

# %%
from functools import partial
from itertools import combinations

import numpy as np
import torch
from torch.autograd.functional import hessian

from bnlab import figures
from bnlab.experiments import papers, studies
from bnlab.experiments.claims import ledger
from bnlab.experiments.studies.gradient_growth import growth_in_theory
from bnlab.figures import scale_and_depth, shift_and_smoothness
from bnlab.layers.functional import batch_norm
from bnlab.notebook import setup, takeaway
from bnlab.practice import ask, check, explanations, predict, recall, reveal

setup()
claims = ledger()

# %%
recall("12")

# %% [markdown]
# ## 1. Internal covariate shift
#
# *It says:* a layer learns better if its inputs keep still, and batch norm keeps them still. *It predicts:* make them
# move again, and the benefit is gone.
#
# First, what moves? Two definitions go by one name. **Ioffe and Szegedy** (2015) mean the *distribution* of a layer's
# input: we measure how far a unit's mean moves in a step, in standard deviations, and call it drift (chapter 02).
# **Santurkar et al.** (2018) mean the layer's *task*: how far the gradient of its weights moves because the layers
# below made their step, and it not yet. By hand: four examples of two features; the target is the first. A unit with
# batch norm reads the first feature, and after a step of the layers below the second. Then write the second definition
# yourself:

# %%
corners = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
target, gradients = corners[:, 0], []
for feature in (0, 1):
    h = batch_norm(corners[:, [feature]], None, None, training=True, eps=1e-12)[:, 0]
    gradients.append(((h - target) * h).mean().item())  # of a weight of 1 behind the unit, by half the squared error
    print(f"reads feature {feature + 1}: it puts out {h.tolist()}, the gradient of the weight is {gradients[-1]:.0f}")
takeaway(
    "Two values at 1 and two at -1, before and after: the distribution has not moved, and the gradient has. Whoever "
    "says covariate shift must say which.",
    np.allclose(gradients, [0, 1]),
)


# %%
def my_gradient_shift(gradient_at, below, own, new_below, new_own):
    """Two causes that move a layer's gradient in one step of training: the layers below it, and the layer itself.

    gradient_at(below, own) is the gradient of the layer's weights own, where below are the weights of the layers under
    it. The step takes below to new_below and own to new_own. Returns two norms, by_below and by_own: of the change of
    the gradient if only the layers below make their step, and if only the layer does. The first one is internal
    covariate shift by the definition of 2018 (Santurkar et al., definition 2.1).
    """
    ...


check("gradient_shift", my_gradient_shift)

# %% [markdown]
# Now Santurkar et al.'s experiment, on an MLP of six layers and MNIST-1D, 300 steps, ten seeds: behind each norm every
# unit is multiplied by a factor within $1\pm s$ and shifted by a number within $\pm s$, drawn anew in each step; $s$ is
# the noise. Five arms, with and without norm and noise, from the same weights and on the same batches, each at its best
# of three rates. One control matters: before testing, statistics are taken anew *without* noise. The running ones are
# those of noisy activations, and charge the norm for the noise (the last column).
#
# **Predict before you run.**

# %%
predict("drift-and-accuracy")

# %%
noisy, fit = studies.result("noisy_norm"), {}
for arm, test in noisy.test.items():
    rate = noisy.best_rate(arm)
    drift, fit[arm] = np.median(noisy.over_training("drift", arm, rate)), noisy.train_loss[arm][rate].mean()
    print(f"{arm:15} drift {drift:5.3f}, training loss {fit[arm]:.2f}, test {100 * test.mean():.1f}%", end=", ")
    print(f"by running statistics {100 * noisy.test_running[arm].mean():.1f}%")
title = "Networks with batch norm test better than plain ones, whether their inputs keep still or drift"
shift_and_smoothness.drift_and_accuracy(noisy, title=title)

# %% [markdown]
# Each dot is a seed. Far to the left is batch norm. That is nearly built in: behind a norm a unit's mean over a fixed
# batch is its $\beta$, whatever the layers below do. But the two noisy arms lie as far right as the plain network, or
# further, and above it: to test well, inputs need not keep still. To fit is another matter. Of what the norm gains in
# training loss, noise of 0.5 leaves little; noise of 0.25, with which inputs drift as far as in the plain network,
# leaves most.

# %%
shown = (
    "norm-keeps-inputs-still",
    "noisy-norm-drifts",
    "noisy-norm-better",
    "noisy-norm-fits-worse",
    "noise-needs-norm",
)
for name in shown:
    print(claims[name].summary)
gain = {arm: fit["no_norm"] - loss for arm, loss in fit.items()}
takeaway(
    "Batch norm keeps inputs still, and a network with it tests better than one without even if they drift further: "
    "for that, stillness is not necessary. Nor is the noise harmless: the stronger one takes most of the gain in fit.",
    {claims[name].verdict for name in shown} == {"supported"}
    and gain["batch_norm 0.5"] < 0.3 * gain["batch_norm"] < 0.6 * gain["batch_norm"] < gain["batch_norm 0.25"],
)
reveal("drift-and-accuracy")

# %% [markdown]
# What does this *not* show? This noise averages out over the steps, while the drift of training goes somewhere. Noise
# may also regularise, which only a test rewards. And a norm can take out what noise did to the size of the signal;
# without norms the same noise costs far more (the dots at the lower right). So the experiment parts stillness from all
# *else* that a norm does, and does not say what of it counts.
#
# Now the second definition, at one rate for all arms (0.2):

# %%
for name in ("norm-shifts-gradient-more", "noise-moves-gradient", "noise-held-gradient-steadier"):
    print(claims[name].summary)
for arm in ("no_norm", "batch_norm", "batch_norm 0.25", "batch_norm 0.5"):
    print(f"{arm:15} cosine of the gradients before and after {np.median(noisy.cosine[arm][:, 1]):.2f}")
takeaway(
    "That batch norm makes the gradient's shift larger did not show here: by both definitions it shifts less without "
    "noise, and more with it.",
    claims["norm-shifts-gradient-more"].verdict == "not supported here"
    and claims["norm-shifts-gradient-more"].effect < 0.5
    and claims["norm-keeps-inputs-still"].verdict == claims["noise-moves-gradient"].verdict == "supported",
)
title = "By both definitions batch norm shifts less here than no norm, and noise behind it brings shift back"
shift_and_smoothness.shifts_over_training(noisy, 1, title=title)

# %% [markdown]
# Left, drift; in the middle, how far the last hidden layer's gradient moves by the step of the layers below; right, the
# loss. Santurkar et al. found this second shift often no smaller with batch norm. Here it is smaller, and the cosine,
# which knows no lengths, agrees; the lengths themselves cannot simply be compared (next section). Noise of 0.25 brings
# the cosine back to about that of the plain network, which still tests worse. (Where noise is held through the step,
# only the layers move the gradient, and less than without noise.)
#
# ## 2. Smoothness
#
# *It says:* batch norm makes the loss smoother, so that a gradient holds good over a longer step. *It predicts:* along
# the negative gradient the loss varies less, and the gradient changes less. **Effective smoothness** is the largest
# change of the gradient per distance moved; smaller is smoother. But distance in which unit? Here is one unit in front
# of a norm, and the same with weights ten times as long:

# %%
float64 = {"dtype": torch.float64}
x, wanted, w = torch.randn(32, 5, **float64), torch.randn(32, **float64), torch.randn(5, **float64)
norm, outputs, steepest = partial(batch_norm, running_mean=None, running_var=None, training=True, eps=1e-30), {}, {}
for a in (1, 10):
    outputs[a] = norm((x @ (a * w))[:, None])
    curvature = hessian(lambda w: (norm((x @ w)[:, None])[:, 0] - wanted).square().mean(), a * w)
    steepest[a] = torch.linalg.eigvalsh(curvature).abs().max().item()
    print(f"weights times {a:2d}: the largest curvature of the squared error is {steepest[a]:.5f}")
same = torch.allclose(outputs[1], outputs[10])
print("the same outputs:", same)
takeaway(
    "Weights ten times as long before a norm make the loss a hundred times smoother, and change no output. To compare "
    "the smoothness of two networks, measure steps in a unit that both share.",
    same and np.isclose(steepest[1], 100 * steepest[10]),
)

# %% [markdown]
# Santurkar et al. measured VGG on CIFAR-10; here it is an MLP of eight layers on MNIST-1D, at ten moments of training.
# First as they did, by steps of four sizes along the negative gradient of one batch; beside it the networks with batch
# norm once more, with weights a quarter as long before their norms, which changes no output:

# %%
raw = (
    "norm-flattens-loss",
    "norm-steadies-gradient",
    "norm-smooths-loss",
    "smoothness-has-a-unit",
    "rescaled-norm-rougher",
)
for name in (*raw, "flatter-at-a-higher-rate", "smoother-untrained"):
    print(claims[name].summary)
landscape = studies.result("landscape")
title = "Per distance moved the loss is smoother with batch norm, until its weights are rescaled"
shift_and_smoothness.landscape_over_training(landscape, title=title)

# %% [markdown]
# By the three measures drawn batch norm (blue) is smoother than no norm in training; before it, or by the loss at twice
# the rate, it is not. (The third is the weakest: *partly* with ten seeds, and it was given ten more after that look.)
# But shorten the weights (green), and the very same functions are the *rougher* ones by the third. A unit that both
# networks share: each weight matrix moves against its gradient by the same *share of its own length* (the root of its
# summed squares). How long may such a step be, if it is to bring half of the decrease that the gradient promises?

# %%
shared = ("norm-predicts-farther", "norm-predicts-farther-at-a-higher-rate", "norm-promises-more")
for name in (*shared, "norm-steadies-relative-gradient", "norm-promises-more-on-digits"):
    print(claims[name].summary)
takeaway(
    "Per distance moved, the order of two networks turns when weights are rescaled. In steps that are a share of each "
    "matrix's length it cannot, and this network's gradient holds good about twice as far with batch norm.",
    {claims[name].verdict for name in (*raw, *shared)} == {"supported"}
    and 1.5 < claims["norm-predicts-farther"].effect < 3,
)
title = "By steps that are a share of each matrix's length, the gradient holds good farther with batch norm"
shift_and_smoothness.scale_free_steps(landscape, title=title)

# %% [markdown]
# Green now lies on blue, and the advantage is still there. So in this network smoothness comes with batch norm.
# *Against it*, as the reason: what comes with the norm need not be what helps; twice as far is not a tenfold rate
# (chapter 06); and on digits, where batch norm bears a tenfold rate too, that step promises no more with it than
# without.
#
# ## 3. Scale invariance
#
# *It says:* before a norm only the direction of weights counts, so their length is free to set how far a step turns
# them. *It predicts* three things, for any loss $L$ with $L(aw)=L(w)$ for all $a>0$. Differentiate by $a$ at $a=1$:
# $w\cdot\nabla L(w)=0$, the gradient stands at a right angle to the weights. Differentiate by $w$: $a\nabla
# L(aw)=\nabla L(w)$, so at $a$ times the length the gradient is $a$ times smaller. And by Pythagoras, a step of rate
# $\eta$ along the gradient $g$ can only make weights longer: $\lVert w-\eta g\rVert^2=\lVert w\rVert^2+\eta^2\lVert
# g\rVert^2$. How far will they go? **Predict before you run.**

# %%
predict("a-hundred-times-the-rate")

# %%
w, g = np.array([3.0, 4.0]), np.array([-0.8, 0.6])
print("a right angle:", np.isclose(w @ g, 0))
for rate in (0.1, 1000):
    squared = (w - rate * g) @ (w - rate * g)
    print(f"rate {rate:g}: |w|^2 from {w @ w:.0f} to {squared:,.2f}; rate / |w|^2 is now {rate / squared:.4f}")
reveal("a-hundred-times-the-rate")

# %% [markdown]
# After the one wild step the effective rate $\eta/\lVert w\rVert^2$ (chapter 07) is *smaller* than that of the small
# rate: the weights brake. Arora et al. (2018) prove, for a smooth loss, that gradient descent on such weights nears a
# stationary point at any fixed rate. Now a network of four hidden layers, in float64, all of whose hidden weights are
# multiplied by a factor:

# %%
for name in ("longer-weights-smaller-gradient", "eps-breaks-invariance"):
    print(claims[name].summary)
title = "Before a norm the gradient falls as 1 / scale and stands at a right angle, as far as epsilon lets it"
scale_and_depth.scale_of_weights(studies.result("scale_invariance"), title=title)

# %% [markdown]
# With a negligible $\epsilon$ (green) the laws hold to the precision of float64, with the usual one (blue) as long as
# the variance is far above it. Without a norm (yellow) nothing of it holds.
#
# **Weight decay** pulls against the growth. In a step it takes the share $\eta\lambda$ of $w$, so twice that of $\lVert
# w\rVert^2$, while a step that turns $w$ by a small angle $\theta$ adds $\theta^2\lVert w\rVert^2$. The two balance at
# $\theta=\sqrt{2\eta\lambda}$, whatever the rate alone (Kosson et al. 2024, who treat momentum and Adam too).

# %%
shown = ("norm-absorbs-rate", "huge-rate-costs-accuracy", "decay-sets-the-angle", "decay-forgets-the-rate")
for name in (*shown, "decay-is-a-schedule", "effective-rate-keeps-rising"):
    print(claims[name].summary)
takeaway(
    "Weights before a norm absorb a rate that is too large, within limits, and weight decay sets by what angle a step "
    "turns them: both are a schedule of the effective rate.",
    {claims[name].verdict for name in (*shown, "decay-is-a-schedule")} == {"supported"},
)
title = "Weights before a norm take up most of the rate; enough decay brings all to one angle"
scale_and_depth.effective_rates(studies.result("effective_rate"), title=title)

# %% [markdown]
# Columns are products of rate and decay, colours are rates. Without decay the squared length takes up the rate (at 1000
# too much of it, which costs accuracy). With the largest product all four come to one effective rate and to the dashed
# angle. So before a norm decay does not restrict the function; it is a schedule. For plain gradient descent exactly so:
# without decay, at a rate that grows by $(1-\eta\lambda)^{-2}$ a step, one gets the same network (Li and Arora 2019).
#
# *Against it.* Liu et al. (2021) report for VGG16 on CIFAR-10 that rescaling the weights, which does not raise the
# effective rate, tests like decay: then the benefit of decay does not hang on a higher effective rate. (That the
# effective rate goes on rising, as they also report, did not show here.) And invariance protects *these* weights only:
# gamma, beta and the head set the limit of the rate (`limit-lies-elsewhere`, chapter 06).
#
# ## 4. Signal propagation
#
# *It says:* depth multiplies, so what counts is by how much a layer multiplies the signal forward and the gradient
# backward. *It predicts* both before any training. Forward a norm makes it 1. Backward: let $f$ be the activation, $z$
# its standard normal input. The activation multiplies the squared gradient by $E[f'(z)^2]$. A wide layer of random
# weights multiplies the variance on the way forward, and the squared gradient on the way back, by the same factor $c$.
# The norm behind it finds the variance $c\,\text{Var}[f(z)]$, and divides the squared gradient by it. So $c$ cancels:
# in all, a layer multiplies the *squared* gradient by
#
# $$\frac{E[f'(z)^2]}{\text{Var}[f(z)]},\qquad\text{for ReLU}\quad\frac{1/2}{1/2-1/(2\pi)}=\frac{\pi}{\pi-1}=1.467 ,$$
#
# and its norm by 1.211 (Yang et al. 2019 prove it, for wide layers and large batches). **Predict before you run.**

# %%
predict("activation-that-calms")

# %%
z = torch.randn(1_000_000, requires_grad=True)
for name, f in {"relu": torch.relu, "tanh": torch.tanh, "linear": lambda z: 1 * z}.items():
    (slope,) = torch.autograd.grad(f(z).sum(), z)
    drawn = (slope.square().mean() / f(z).var()).sqrt().item()
    print(f"{name:6}: {drawn:.2f} by a million draws, {growth_in_theory(name):.4f} in theory")
    assert np.isclose(drawn, growth_in_theory(name), rtol=0.01)
reveal("activation-that-calms")

# %% [markdown]
# That no function without jumps beats the straight line is the Poincaré inequality of the normal distribution. So in
# this limit no such activation lets gradients shrink, and tuning towards the linear helps. Now real networks on digits:
# 20 layers, 256 units, and the growth over the middle ten.

# %%
for name in ("small-batch-larger-growth", "tanh-smaller-growth", "linear-growth", "gradient-leaves-float16"):
    print(claims[name].summary)
growth = studies.result("gradient_growth")
takeaway(
    "Before training, theory predicts to within a percent by how much a layer of batch norm and ReLU multiplies the "
    "gradient at a batch of 512. In smaller batches it grows faster.",
    np.isclose(growth.growth["batch_norm relu"][-1].mean(), growth_in_theory("relu"), rtol=0.01)
    and claims["small-batch-larger-growth"].verdict == "supported",
)
title = "With batch norm gradients grow toward the input, as theory says in large batches, faster in small ones"
scale_and_depth.gradient_growth(growth, title=title)

# %% [markdown]
# Left, without a norm, nothing grows. In the middle, the lines with batch norm come down to the dashed theory as the
# batch grows; right, at a large batch, width hardly matters. Linear and tanh networks stay a little above theirs.
#
# *And in training?* Without norms, what a large step does to the weights multiplies from layer to layer (Bjorck et al.
# 2018). Three steps, 16 layers, beside what chapter 08 found of depth:

# %%
shown = ("activations-blow-up", "branch-fades-with-depth", "depth-40-skip-init", "depth-plain-limit")
for name in (*shown, "activations-grow-at-small-rate", "gradients-evener-than-he"):
    print(claims[name].summary)
takeaway(
    "Batch norm stops large steps from multiplying through the layers, and makes residual branches fade with depth. It "
    "does not save 40 plain layers, nor is it needed where something else makes the branches small.",
    {claims[name].verdict for name in shown} == {"supported"},
)
title = "Three steps at a rate of 1 blow activations up, and leave those behind batch norm as they were"
scale_and_depth.activations_after_steps(studies.result("activation_growth"), title=title)

# %% [markdown]
# At a rate of 1 the plain network's activations leave float32; with norms all lines lie on the start, as behind a norm
# they nearly must. At a rate of 0.1 they *shrink* without norms (at 0.3 mostly): so this speaks of large rates alone.
#
# For depth this explanation is at its strongest: it predicts that plain networks have a limit and that skips lift it,
# since with norms the $l$-th branch has about $1/l$ of the variance of what it joins (De and Smith 2020; chapter 08).
# SkipInit, 40 layers without any norm, speaks for the explanation, and shows that it needs no norm. *Against it:* He's
# start keeps the gradients of 20 plain layers *more* even than batch norm does, and yet they fit better with it
# (`depth-20-plain`). It is a theory of the start: Yang et al. themselves report that after one step the range of the
# gradients is dramatically smaller. And Meterez et al. (2023) construct a network with norms, linear and orthogonal,
# whose gradients stay bounded at any depth.
#
# ## Four more views
#
# *Length and direction.* Weight norm (chapter 01) writes $w$ as a length times a direction; batch norm takes the length
# from the data, and gamma is what is learned of it. Kohler et al. (2018) prove that the split speeds up gradient
# descent, in some problems with Gaussian inputs. *Regularisation.* Luo et al. (2018) write batch norm as normalisation
# by the population's statistics plus a penalty on gamma, derived for one block of a linear layer, norm and activation.
# *Lost dimensions.* Of $m$ values, $m-2$ dimensions of the gradient get through (chapter 04), none of two. *A loss that
# is no sum.* Without batch norm a batch's loss is the mean of its examples' losses, and the theory of SGD begins there.
# With it, it is not even the mean over its parts. Four values, and as targets what batch norm makes of all four:

# %%
values = torch.tensor([[-3.0], [-1.0], [1.0], [3.0]], **float64)
targets, losses = norm(values), {}
for size in (4, 2):
    batches = [list(batch) for batch in combinations(range(4), size)]
    losses[size] = np.mean([(norm(values[batch]) - targets[batch]).square().mean() for batch in batches])
    print(f"mean squared error, over all batches of {size} ({len(batches)}): {losses[size]:.3f}")
takeaway(
    "With batch norm the loss of a batch is not the mean of its parts' losses, over all parts: another size of batch "
    "is another objective, not only a noisier gradient.",
    np.isclose(losses[4], 0) and losses[2] > 0.5,
)

# %% [markdown]
# ## Four explanations, five observations
#
# Now fill the table, and take each explanation *alone*, as if nothing else mattered. Only then run the cell after it:
# the course's letters rest on verdicts of the ledger, which stand beside them.

# %%
explanations("..... ..... ..... .....")

# %%
explanations()

# %% [markdown]
# All four predict the large rates, which is why they are so hard to tell apart, and none predicts all.
#
# ## Ten figures of the papers, redrawn
#
# Each takes its numbers from a stored study, and a rule that was written down beside it gives the verdict (`bnlab
# papers`).

# %%
ten = papers.from_stored()
ten

# %%
figures.ten_figures(papers.stored_results(), title="Ten figures of the papers, redrawn on small networks")

# %% [markdown]
# Same direction does not mean same size, and a small network refutes no paper. Last, this chapter's own claims.

# %%
takeaway(
    "On small networks most of the papers' figures point the same way, and those that do so in part are named.",
    sum(one.verdict == "same direction" for one in ten) > len(ten) / 2
    and all(one.verdict != "not here" for one in ten),
)
claims.of("12")

# %% [markdown]
# ## Exercises
#
# Write your answer in place of the `...`; `hint("rescale_training")` and its like, from `bnlab.practice`, nudge. First,
# lengthen weights in the middle of training without anybody noticing.


# %%
def my_rescale_training(weight, learning_rate, decay, factor):
    """Multiply weights that feed a norm by factor, in the middle of training, so that nothing else changes.

    A step is weight - learning_rate * (gradient + decay * weight). Returns the new weight, learning rate and decay:
    from here on the network computes after every step what it would have computed. factor is above 0, epsilon
    negligible.
    """
    ...


check("rescale_training", my_rescale_training)

# %% [markdown]
# Then do without decay.


# %%
def my_rates_without_decay(learning_rate, decay, steps):
    """Do without weight decay, on weights that feed a norm: the learning rates that give the same network every step.

    With decay a step is weight - learning_rate * (gradient + decay * weight). Without, from the same start, step t is
    weight - rates[t] * gradient. Returns rates, of shape (steps,). learning_rate * decay is below 1, epsilon
    negligible. After Li & Arora 2019.
    """
    ...


check("rates_without_decay", my_rates_without_decay)

# %% [markdown]
# And predict a growth from what you can measure (*stretch*).


# %%
def my_gradient_growth(outputs, slopes):
    """Predict the factor by which the norm of a gradient grows from a layer to the one below it: one number.

    The network is wide and untrained; a layer is linear, then a norm, then an activation. outputs and slopes have shape
    (n, c): the activation f(x_hat) and its derivative f'(x_hat), at the same n examples and c channels. The weights are
    independent, with mean 0; their size cancels, since the norm behind them divides. After Yang et al. 2019.
    """
    ...


check("gradient_growth", my_gradient_growth)

# %% [markdown]
# ## What is contested
#
# *Settled* is the algebra: before a norm gradients stand at a right angle to the weights, whose length is free. Settled
# is what was proved of the start: in wide plain networks with norms and independent weights gradients grow. And
# settled is that a network can do well though its inputs do not keep still.
#
# *Argued about* is what follows. Is smoothness a cause, or a companion of the norm? Santurkar et al. prove bounds and
# measure along the gradient; the unit is open. Are large rates the whole gain? Bjorck et al. say that they are the main
# thing; De and Smith (2020) find them to be of benefit in some regimes of compute only, hardly so in small batches. Is
# decay before a norm an effective rate and no more? Van Laarhoven (2017) says that it has no regularising effect; Zhang
# et al. (2018) name three mechanisms, by optimiser and network; Liu et al. (2021) call the effective rate insufficient.
#
# *A point of logic.* The four do not exclude each other: invariance changes what "smooth" means, and a norm that keeps
# the signal's size also keeps inputs still. Who wants *the* reason must have one without the others. Noise took
# stillness away and left the rest. SkipInit took the norm away and left small branches. Weight norm has the invariance
# and no batch. We know of no experiment that parts smoothness from invariance.
#
# ## In one sentence
#
# Batch norm frees the function from the length of the weights before it, keeps large steps from multiplying through the
# layers, and makes residual branches small, and which of these matters depends on what would have failed without it.
# How do you say that to a person, in half a minute? That is chapter [15](15_interview.ipynb).
#
# ## References
#
# - Covariate shift and smoothness: Ioffe and Szegedy 2015, [1502.03167](https://arxiv.org/abs/1502.03167); Santurkar et
#   al. 2018, [1805.11604](https://arxiv.org/abs/1805.11604).
# - Rates, scale and decay: Bjorck et al. 2018, [1806.02375](https://arxiv.org/abs/1806.02375); van Laarhoven 2017,
#   [1706.05350](https://arxiv.org/abs/1706.05350); Kohler et al. 2018,
#   [1805.10694](https://arxiv.org/abs/1805.10694); Arora, Li and Lyu 2018,
#   [1812.03981](https://arxiv.org/abs/1812.03981); Zhang et al. 2018, [1810.12281](https://arxiv.org/abs/1810.12281);
#   Li and Arora 2019, [1910.07454](https://arxiv.org/abs/1910.07454); Liu et al. 2021,
#   [2102.03497](https://arxiv.org/abs/2102.03497); Kosson et al. 2024, [2305.17212](https://arxiv.org/abs/2305.17212).
# - Signals: Yang et al. 2019, [1902.08129](https://arxiv.org/abs/1902.08129); De and Smith 2020,
#   [2002.10444](https://arxiv.org/abs/2002.10444); Meterez et al. 2023,
#   [2310.02012](https://arxiv.org/abs/2310.02012).
# - Regularisation: Luo et al. 2018, [1809.00846](https://arxiv.org/abs/1809.00846).
#
# ## Say it in an interview
#
# > "There are four explanations. The first says that inputs keep still. They need not: put noise behind the norm, the
# > inputs drift, and the network still tests better, though it fits less. Smoothness along the gradient depends on how
# > long the weights are, so I would ask in which unit it was measured. Certain is the algebra: before a norm the
# > gradient stands at a right angle to the weights and falls as one over their length: they tune their own rate, and
# > weight decay sets the angle of a step. And norms stop large steps from multiplying through the layers, though at
# > the start of a plain ReLU network with norms gradients grow by a fifth a layer. What would convince me is an
# > intervention that takes one of these away and leaves the rest."

# %%
ask(
    "two-definitions-of-shift",
    "more-drift-more-accuracy",
    "smoothness-without-a-scale",
    "decay-as-a-schedule",
    "could-have-come-out-otherwise",
)
