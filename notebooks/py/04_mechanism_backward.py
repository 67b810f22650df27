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
# # How does a gradient get back through batch norm?
#
# **You will** take a gradient back through batch norm with a pencil, one node at a time, fold the six lines into one,
# and hold that against four other ways of getting it. **You learn** why the mean and the variance send gradient too,
# what they take out of it and why that is right, what breaks when they are left out, and which tests would not notice.
# **You need** 60 minutes, the chain rule, and chapter [03](03_mechanism_forward.ipynb).
#
# ## First, from memory
#
# Answer aloud before you unfold.

# %%
import numpy as np
import torch
from torch import nn

from bnlab import figures
from bnlab.experiments.data import digits
from bnlab.layers import BatchNorm1d, BatchNorm2d
from bnlab.layers.manual import NormaliseByBatch
from bnlab.notebook import setup, show, takeaway
from bnlab.practice import ask, check, predict, recall, reveal
from bnlab.reference import (
    batch_norm_backward,
    batch_norm_backward_staged,
    batch_norm_forward,
    batch_norm_inference_backward,
    gradcheck,
)

setup()
recall("04")

# %% [markdown]
# ## A loss that looks at one output
#
# The values 3, 9, 11 and 17 are one channel, the one you normalised in chapter 03. Gamma is 10. The loss is five times
# the *first output* and looks at nothing else, so the gradient that arrives at the outputs is (5, 0, 0, 0).
#
# **Predict before you run**, and say how sure you are.

# %%
predict("one-output-four-inputs")

# %%
x, grad_y = np.array([3.0, 9.0, 11.0, 17.0]), np.array([5.0, 0.0, 0.0, 0.0])
layer = BatchNorm1d(1, dtype=torch.float64)
nn.init.constant_(layer.weight, 10)
inputs = torch.tensor(x).reshape(4, 1).requires_grad_()
(5 * layer(inputs)[0, 0]).backward()
from_autograd = inputs.grad.ravel().numpy()
print("gradient of the inputs:", from_autograd.round(4))
reveal("one-output-four-inputs")

# %% [markdown]
# All four, and they add up to 0. The first output was made from the first input *and* from the mean and the variance,
# in which all four inputs have a hand. Now let us get these numbers ourselves.
#
# ## The graph
#
# Write $L$ for the loss and, for any quantity $q$, $dq$ for $\partial L/\partial q$: how much the loss moves when $q$
# does. In code that is `grad_q`. With $m$ values in the channel, the forward pass is six nodes, one line each:
#
# $$\mu=\frac1m\sum_i x_i \qquad c_i=x_i-\mu \qquad \sigma^2=\frac1m\sum_i c_i^2 \qquad
# s=\frac1{\sqrt{\sigma^2+\epsilon}} \qquad \hat x_i=c_i\,s \qquad y_i=\gamma\hat x_i+\beta$$
#
# In code $c$ is `centred` and $s$ is `inv_std`. Three rules are all we need.
#
# 1. **One use.** If $b=f(a)$, then $a$ receives $da=f'(a)\,db$. The derivative $f'(a)$ is the *factor* of that use.
# 2. **Many uses add up.** If $a$ is used in several places, it receives the sum of what comes back from each. So a
#    number that is *broadcast*, used by all $m$ elements as $\mu$, $s$, $\gamma$ and $\beta$ are, receives a *sum* over
#    them.
# 3. **A sum hands its gradient to every term.** A mean, $\frac1m\sum$, hands each of them $\frac1m$ of it.
#
# Rules 2 and 3 mirror each other: what was spread going forward is summed going back, and what was summed is spread.
#
# Where is $x_i$ used? In its own $c_i$ and in $\mu$. And $c_i$? In $\hat x_i$ and in $\sigma^2$. So three roads lead
# from $x_i$ to the loss: straight on, through the mean, and through the variance.
#
# ## Six steps back, with a pencil
#
# Each step starts from what the step before it found, and ends with our numbers: $\gamma=10$, $\beta=0$,
# $dy=(5,0,0,0)$, $\mu=10$, $c=(-7,-1,1,7)$, $\sigma^2=25$, $s=0.2$, $\hat x=(-1.4,-0.2,0.2,1.4)$. (With
# $\epsilon=10^{-5}$ the variance is really 25.00001 under the root; that shows in the seventh digit, and we leave it
# out.)
#
# **1. From $y_i=\gamma\hat x_i+\beta$.** Each $\hat x_i$ is used once, with factor $\gamma$. But $\gamma$ and $\beta$
# are used by every element, so they receive sums, $\gamma$ with the factor $\hat x_i$ and $\beta$ with 1:
#
# $$d\hat x_i=\gamma\,dy_i \qquad d\gamma=\sum_i dy_i\,\hat x_i \qquad d\beta=\sum_i dy_i$$
#
# Ours: $d\hat x=(50,0,0,0)$, $d\gamma=5\cdot(-1.4)=-7$, $d\beta=5$.
#
# **2. From $\hat x_i=c_i\,s$.** A product: for each of the two, the factor is the other one. This is the first of the
# two uses of $c_i$, so call what it receives here $dc_i^{(1)}$; $s$ is used by all elements and receives a sum:
#
# $$dc_i^{(1)}=s\,d\hat x_i \qquad ds=\sum_i d\hat x_i\,c_i$$
#
# Ours: $dc^{(1)}=(10,0,0,0)$, $ds=50\cdot(-7)=-350$.
#
# **3. From $s=(\sigma^2+\epsilon)^{-1/2}$.** One number into one number. The derivative is
# $-\frac12(\sigma^2+\epsilon)^{-3/2}$, and that power is $s^3$:
#
# $$d\sigma^2=-\tfrac12\,s^3\,ds$$
#
# Ours: $-\frac12\cdot0.008\cdot(-350)=1.4$.
#
# **4. From $\sigma^2=\frac1m\sum_i c_i^2$.** A mean of squares: by rule 3 and the derivative of a square, the factor of
# $c_i$ is $\frac1m\cdot2c_i$. This is the second use of $c_i$, and the two add up:
#
# $$dc_i^{(2)}=\tfrac2m\,c_i\,d\sigma^2 \qquad dc_i=dc_i^{(1)}+dc_i^{(2)}$$
#
# Ours: $\frac24\cdot1.4=0.7$, so $dc^{(2)}=(-4.9,-0.7,0.7,4.9)$ and $dc=(5.1,-0.7,0.7,4.9)$.
#
# **5. From $c_i=x_i-\mu$, to the mean.** All $c_i$ use $\mu$, with factor $-1$:
#
# $$d\mu=-\sum_i dc_i=-\sum_i dc_i^{(1)}-\tfrac2m\,d\sigma^2\underbrace{\sum_i c_i}_{=\,0}=-s\sum_i d\hat x_i$$
#
# The second part vanishes, whatever the gradient, because centred values add up to 0. The mean is the point from which
# the mean squared distance is smallest; at a minimum, a small move changes nothing. So nothing reaches the mean by way
# of the variance. Ours: $-(5.1-0.7+0.7+4.9)=-10$, all of it from $dc^{(1)}$.
#
# **6. To $x_i$.** It is used in $c_i$, with factor 1, and in $\mu$, with factor $\frac1m$:
#
# $$dx_i=dc_i+\tfrac1m\,d\mu$$
#
# Ours: $\frac14\cdot(-10)=-2.5$, so $dx=(2.6,-3.2,-1.8,2.4)$. That is what autograd printed.
#
# The same in NumPy, forward and back, a line for each.

# %%
m, gamma, eps = 4, 10.0, 1e-5
mean = x.mean()
centred = x - mean
var = (centred**2).mean()
inv_std = 1 / np.sqrt(var + eps)
x_hat = centred * inv_std
y = gamma * x_hat
values = (x, mean, centred, var, inv_std, x_hat, y)

# %%
grad_x_hat = gamma * grad_y
grad_inv_std = (grad_x_hat * centred).sum()
grad_var = -0.5 * inv_std**3 * grad_inv_std
grad_centred = grad_x_hat * inv_std + 2 / m * centred * grad_var
grad_mean = -grad_centred.sum()
grad_x = grad_centred + grad_mean / m
gradients = (grad_x, grad_mean, grad_centred, grad_var, grad_inv_std, grad_x_hat, grad_y)
figures.backward_graph(values, gradients)

# %% [markdown]
# Follow the arrows backwards: where two arrows leave a node, two gradients meet in it. Below stands the course's own
# version, the same six steps for any shape: each sum runs over the batch and all positions, and gives one number per
# channel.

# %%
show(batch_norm_backward_staged)
_, cache = batch_norm_forward(x[:, None], np.array([10.0]), np.zeros(1))
staged, grad_gamma, grad_beta = batch_norm_backward_staged(grad_y[:, None], cache)
print("grad_x", staged.ravel().round(4), "grad_gamma", grad_gamma.round(4), "grad_beta", grad_beta)
same = np.allclose(grad_x, from_autograd) and np.allclose(grad_x, staged.ravel())
takeaway("Every input of a channel receives gradient from any one output.", same and (grad_x != 0).all())

# %% [markdown]
# ## Six lines become one
#
# Put the steps into each other. Step 6, with steps 2, 4 and 5 in it, and $j$ for the element that a sum runs over,
# since $i$ is taken:
#
# $$dx_i=s\,d\hat x_i+\tfrac2m\,c_i\,d\sigma^2-\tfrac1m\,s\sum_j d\hat x_j$$
#
# Now use $c_i=\hat x_i/s$. Step 2 says $ds=\frac1s\sum_j d\hat x_j\hat x_j$, so step 3 says
# $d\sigma^2=-\frac12s^2\sum_j d\hat x_j\hat x_j$, and the middle term is
#
# $$\tfrac2m\,c_i\,d\sigma^2=\tfrac2m\cdot\frac{\hat x_i}s\cdot\Bigl(-\tfrac12s^2\sum_j d\hat x_j\hat x_j\Bigr)
# =-s\,\hat x_i\cdot\frac1m\sum_j d\hat x_j\hat x_j$$
#
# Take out $s$, and put $d\hat x=\gamma\,dy$:
#
# $$\boxed{\;dx_i=\gamma\,s\,\Bigl(dy_i-\frac1m\sum_j dy_j-\hat x_i\cdot\frac1m\sum_j dy_j\,\hat x_j\Bigr)\;}$$
#
# In words: **the gradient that arrives, less its mean, less x_hat times its mean product with x_hat, all times the gain
# of the forward pass.** One term for each road: straight on, through the mean, through the variance. The two sums are
# $d\beta$ and $d\gamma$, which are computed anyway.
#
# With our numbers: the gain is $10\cdot0.2=2$, the mean of $dy$ is 1.25, its mean product with $\hat x$ is $-1.75$. For
# the first: $2\,(5-1.25-(-1.4)(-1.75))=2\cdot1.3=2.6$. Do the second yourself; it must give $-3.2$.

# %%
closed_form = gamma * inv_std * (grad_y - grad_y.mean() - x_hat * (grad_y * x_hat).mean())
print("grad_x:", closed_form.round(4))
takeaway(
    "`grad_x = gamma * inv_std * (grad_y - mean(grad_y) - x_hat * mean(grad_y * x_hat))`: "
    "six steps and one line are the same numbers.",
    np.allclose(closed_form, batch_norm_backward(grad_y[:, None], cache)[0].ravel(), rtol=1e-12),
)

# %% [markdown]
# ## Why those two terms: what must not pass
#
# The forward pass ignores two things: a shift that all values of a channel share, and (up to `eps`) their common scale.
# To move $x$ along $(1,1,\dots,1)$, or to stretch it along $\hat x$, leaves the output where it was. A gradient must
# not ask for moves that change nothing, and this one does not:
#
# $$\sum_i dx_i=\gamma s\,\Bigl(\sum_i dy_i-m\cdot\frac1m\sum_j dy_j-\sum_i\hat x_i\cdot\dots\Bigr)=0
# \quad\text{exactly, since}\quad\sum_i\hat x_i=0.$$
#
# And along $\hat x$? The mean's term drops out for the same reason. And
# $\sum_i\hat x_i^2=s^2\sum_ic_i^2=m\,\sigma^2/(\sigma^2+\epsilon)$, so
#
# $$\sum_i dx_i\,\hat x_i=\gamma s\sum_j dy_j\hat x_j\Bigl(1-\frac1m\sum_i\hat x_i^2\Bigr)
# =\gamma s\sum_j dy_j\hat x_j\cdot\frac\epsilon{\sigma^2+\epsilon}$$
#
# A fraction $\epsilon/(\sigma^2+\epsilon)$ is left over, and rightly so: with `eps` the output does depend a little on
# the scale. On a healthy channel that is nothing; on a channel as quiet as `eps` it is half. Here is one where it is a
# fifth.

# %%
rng = np.random.default_rng(4)
quiet = rng.normal(size=(64, 1))
quiet = (quiet - quiet.mean()) / quiet.std() * np.sqrt(4e-5)  # variance 4e-5, eps 1e-5
arriving = rng.normal(size=(64, 1))
_, cache = batch_norm_forward(quiet, np.ones(1), np.zeros(1))
passing = batch_norm_backward(arriving, cache)[0] / cache.inv_std

# %%
left = (passing * cache.x_hat).sum() / (arriving * cache.x_hat).sum()
print(f"sum of grad_x is 0 to 1e-10: {abs(passing.sum()) < 1e-10}; left along x_hat: {left:.3f}")
takeaway(
    "`grad_x` is `grad_y` with two directions taken out: 1 exactly, and x_hat up to the fraction `eps / (var + eps)`.",
    abs(passing.sum()) < 1e-10 and np.isclose(left, 0.2),
)

# %% [markdown]
# Three values can be drawn. As a point in space, $\hat x$ satisfies two equations: its sum is 0, a plane; and its sum
# of squares is $m=3$, a sphere of radius $\sqrt3$. They meet in a circle, and the forward pass puts every channel of
# three values somewhere on it. Off the circle there is nothing to be gained, so all that may pass of a gradient is what
# runs *along* it.
#
# That is one direction out of three. In general $m-2$ out of $m$ are left, so of a gradient that points anywhere with
# equal chance, a share of $(m-2)/m$ of the energy (the sum of squares) passes on average. Measured below on 2,000
# channels for each $m$, after division by the gain $\gamma s$.

# %%
counts, shares = (2, 3, 4, 8, 16, 32), []
for m in counts:
    arriving = rng.normal(size=(m, 2000))
    _, cache = batch_norm_forward(rng.normal(size=(m, 2000)), np.ones(2000), np.zeros(2000))
    passing = batch_norm_backward(arriving, cache)[0] / cache.inv_std
    shares.append((passing**2).sum(0) / (arriving**2).sum(0))
    print(f"m = {m:2d}: share that passes {shares[-1].mean():.2f}, (m - 2) / m = {(m - 2) / m:.2f}")
shares = np.array(shares)
takeaway(
    "Of a random gradient, a share of (m - 2) / m of the energy passes on average. With two values per "
    "channel next to nothing does: a fully connected layer in front of batch norm hardly learns from batches of 2.",
    np.allclose(shares.mean(1), 1 - 2 / np.array(counts), atol=0.02) and np.quantile(shares[0], 0.9) < 1e-6,
)

# %%
three, arriving = np.array([[3.0], [-5.0], [2.0]]), np.array([[1.0], [1.5], [-1.0]])
_, cache = batch_norm_forward(three, np.ones(1), np.zeros(1))
passing = batch_norm_backward(arriving, cache)[0] / cache.inv_std
figures.gradient_on_the_circle(cache.x_hat.ravel(), arriving.ravel(), passing.ravel(), counts, shares)

# %% [markdown]
# On the left the gradient that arrives (dark) is brought down to the plane and then turned onto the tangent of the
# circle: what passes is blue. On the right, how much that leaves. At 32 values hardly anything is lost. At $m=2$
# nothing is left: two different values become $+1$ and $-1$ whatever they were, the "circle" is two points, and there
# is no along.
#
# ## Five ways to one gradient
#
# An ordinary batch, with gammas of its own and an uneven gradient arriving: our two NumPy versions, torch's automatic
# differentiation through the four forward lines of this course's layer, the same layer with the closed form written out
# by hand (`backend="manual"`), and `torch.nn`.

# %%
batch, arriving = rng.normal(10, 2, size=(6, 3, 4, 5)), rng.normal(size=(6, 3, 4, 5))
gamma, beta = rng.normal(size=(2, 3))
_, cache = batch_norm_forward(batch, gamma, beta)
right = batch_norm_backward(arriving, cache)[0]
answers = {"staged": batch_norm_backward_staged(arriving, cache)[0]}
double = {"dtype": torch.float64}
layers = {
    "autograd": BatchNorm2d(3, **double),
    "by hand": BatchNorm2d(3, **double, backend="manual"),
    "torch.nn": nn.BatchNorm2d(3, **double),
}
for name, layer in layers.items():
    layer.weight.data.copy_(torch.tensor(gamma))
    inputs = torch.tensor(batch).requires_grad_()
    layer(inputs).backward(torch.tensor(arriving))
    answers[name] = inputs.grad.numpy()
agree = {name: np.allclose(answer, right, rtol=0, atol=1e-10) for name, answer in answers.items()}
print("\n".join(f"{name:8s} and closed form agree to 1e-10: {same}" for name, same in agree.items()))
assert all(agree.values())
show(NormaliseByBatch.backward)

# %% [markdown]
# The last one is the layer written by hand: it keeps its input and computes the rest again on the way back.
#
# Five programs by people who know the same formula can share a mistake. The judge that knows no formula is the forward
# pass: move the input a little, both ways, in a random direction, and see whether the loss changes as the gradient
# says. How little? Below, 31 steps from 1 down to $10^{-10}$, for our gradient and for one that leaves out the roads
# through mean and variance.

# %%
steps = np.logspace(-10, 0, 31)
gain = (cache.gamma * cache.inv_std).reshape(3, 1, 1)
ours, detached = (
    gradcheck(lambda x: (arriving * batch_norm_forward(x, gamma, beta)[0]).sum(), batch, gradient, rng=rng, steps=steps)
    for gradient in (right, gain * arriving)
)
takeaway(
    "Closed form, staged, autograd, hand-written and torch.nn agree to 1e-10, and central "
    "differences in float64 confirm them to 1e-8, at a step that is neither large nor tiny.",
    all(agree.values()) and ours.agrees and 1e-7 < ours.best_step < 1e-3 and not detached.agrees,
)
figures.finite_difference_errors(steps, ours.relative_errors, detached.relative_errors)

# %% [markdown]
# A large step errs because the loss is not a straight line: ten times the step, a hundred times the error. A small one
# errs because two nearly equal numbers are subtracted: the smaller the step, the fewer digits their difference keeps.
# Between them stands the best step. The wrong gradient gets no better anywhere, yet it is off by some percent only: of
# a random gradient, with 120 values per channel, the two terms carry about 2/120 of the energy. That makes the mistake
# hard to see. What does it do?
#
# ## If the statistics are detached
#
# It is made like this: the statistics are computed under `no_grad`, or from `.data`, or as Python numbers. The forward
# pass is the same to the last digit. Backward, mean and variance count as constants: two of the three roads are closed.


# %%
class DetachedBatchNorm(nn.Module):
    def forward(self, x):
        var, mean = torch.var_mean(x.detach(), 0, correction=0)
        return (x - mean) / torch.sqrt(var + 1e-5)


# %%
inputs = torch.randn(32, 1, dtype=torch.float64, requires_grad=True)
outputs = {"ours": BatchNorm1d(1, affine=False)(inputs), "detached": DetachedBatchNorm()(inputs)}
largest = {name: torch.autograd.grad(y.sum(), inputs)[0].abs().max().item() for name, y in outputs.items()}
same = torch.allclose(*outputs.values(), rtol=0, atol=1e-10)
print(f"outputs agree to 1e-10: {same}")
print(f"largest gradient of their sum: {largest['ours']:.2f} ours, {largest['detached']:.2f} detached")
assert same

# %% [markdown]
# The outputs of batch norm (without gamma and beta) always add up to 0. Their sum is a constant, so its gradient is 0.
# The detached layer believes that the sum could be changed.
#
# What an optimiser makes of such a belief, the 2015 paper worked out for the mean. Take a weight and a bias in front of
# the norm, and a loss that wants the output to be twice as large and one higher than it is. No weight and no bias can
# give it that.

# %%
u = torch.tensor([-1.4, -0.2, 0.2, 1.4], dtype=torch.float64).reshape(4, 1)
drift = {}
for norm in (BatchNorm1d(1, affine=False), DetachedBatchNorm()):
    w, b = (torch.tensor(start, dtype=torch.float64, requires_grad=True) for start in (1.0, 0.0))
    for step in range(1001):
        loss = ((norm(w * u + b) - (2 * u + 1)) ** 2).mean()
        if step in (0, 10, 100, 1000):
            print(f"{type(norm).__name__:18s}step {step:4d}: loss {loss:.3f}, w {w:6.2f}, b {abs(b):6.2f}")
        for parameter, gradient in zip((w, b), torch.autograd.grad(loss, (w, b)), strict=True):
            parameter.data -= 0.1 * gradient
    drift[type(norm).__name__] = w.item()

# %% [markdown]
# With the true gradient nothing moves, since nothing would help. Detached, weight and bias grow with no end in sight
# and the loss stays where it was: each step pushes along 1 and along x_hat, and the forward pass forgets both. They
# grow as the square root of the number of steps, because a larger weight shrinks `inv_std` and with it the next push.
#
# Does a real network blow up? The authors reported that theirs did. Here is a small one on digits: 400 steps of SGD at
# a rate of 0.1, three seeds each.

# %%
pixels, labels = digits().train.x.flatten(1).double(), digits().train.y
result = {"BatchNorm1d": [], "DetachedBatchNorm": []}
for norm in (BatchNorm1d(32, affine=False), DetachedBatchNorm()):
    for seed in range(3):
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Linear(64, 32, **double), norm, nn.ReLU(), nn.Linear(32, 10, **double))
        optimiser, at_start = torch.optim.SGD(network.parameters(), lr=0.1), network[0].weight.norm().item()
        for _ in range(400):
            chosen = torch.randint(len(labels), (64,))
            loss = nn.functional.cross_entropy(network(pixels[chosen]), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        final_loss = nn.functional.cross_entropy(network(pixels), labels).item()
        grew = network[0].weight.norm().item() / at_start
        result[type(norm).__name__].append((final_loss, grew))
        print(f"{type(norm).__name__:18s}seed {seed}: training loss {final_loss:.2f}, weights {grew:.2f} times as long")

# %%
ours, detached = (np.array(rows) for rows in result.values())
takeaway(
    "Detached statistics leave the forward pass as it was and add gradient along 1 and x_hat. Here "
    "the network still learns, but its weights swell and it lags behind at the same learning rate.",
    drift["DetachedBatchNorm"] > 10 and (detached > 1.5 * ours).all() and (detached[:, 0] < 1).all(),
)

# %% [markdown]
# So it did not blow up, and that is the trouble: the loss falls, and nobody looks. One network, one rate, three seeds:
# take the direction from it, not the size. Why longer weights learn more slowly comes after the next section.
#
# ## A test that cannot fail
#
# Many tests of a hand-written backward pass end in `out.sum().backward()`. The gradient that arrives is then 1
# everywhere, and the true `grad_x` is 0. Such a test does catch detached statistics, as you just saw. Of other mistakes
# it sees nothing:

# %%
x_hat, channel = cache.x_hat, {"axis": (0, 2, 3), "keepdims": True}
formulas = {
    "right": lambda g: gain * (g - g.mean(**channel) - x_hat * (g * x_hat).mean(**channel)),
    "no variance term": lambda g: gain * (g - g.mean(**channel)),
    "its sign wrong": lambda g: gain * (g - g.mean(**channel) + x_hat * (g * x_hat).mean(**channel)),
    "gamma twice": lambda g: gamma.reshape(3, 1, 1) * formulas["right"](g),
    "zero": lambda g: 0 * g,
}
passes = {}
for name, formula in formulas.items():
    passes[name] = [
        np.allclose(formula(g), batch_norm_backward(g, cache)[0], rtol=0, atol=1e-6)
        for g in (np.ones_like(batch), arriving)
    ]
    print(f"{name:17s}passes with sum(): {passes[name][0]}, with an uneven gradient: {passes[name][1]}")
takeaway(
    "Under `sum()` even a gradient of all zeros passes. Test with an uneven, random gradient.",
    all(under_sum for under_sum, _ in passes.values())
    and [name for name, (_, ok) in passes.items() if ok] == ["right"],
)

# %% [markdown]
# ## Longer weights, smaller gradients
#
# The two directions that do not pass have a consequence for the weights *in front*. Let $x=Uw$ be one channel, made
# from the inputs $U$ by the weights $w$ of one unit. The gradient of the weights is $dw=U^\top dx$, so
#
# $$w\cdot dw=(Uw)\cdot dx=\sum_i x_i\,dx_i=0,$$
#
# because $x=\mu\cdot1+\hat x/s$ is made of nothing but the two directions (up to `eps`). The gradient is at right
# angles to the weights. And since $aw$, with any $a>0$, gives the same output as $w$, a change of $aw$ has to be $a$
# times as large to have the same effect: the gradient at $aw$ is $\frac1a$ of that at $w$.

# %%
images, arriving = digits().train.x[:64].flatten(1).double(), torch.randn(64, 16, dtype=torch.float64)
weight, outputs, norms, cosines = torch.randn(16, 64, dtype=torch.float64) / 8, {}, {}, {}
for a in (100, 10, 1, 0.1, 0.01, 0.001):
    w = (a * weight).requires_grad_()
    y = BatchNorm1d(16, affine=False)(images @ w.T)
    (grad_w,) = torch.autograd.grad((arriving * y).sum(), w)
    outputs[a], norms[a] = y.detach(), a * grad_w.norm().item()
    cosines[a] = abs(nn.functional.cosine_similarity(grad_w.ravel(), w.detach().ravel(), dim=0).item())
    print(f"a = {a:5}: std of y {y.std():.3f}, a * |grad_w| {norms[a]:5.1f}, |cosine| of grad_w and w {cosines[a]:.6f}")
takeaway(
    "Weights in front of batch norm, times a: the same output, 1/a of the gradient, at right angles "
    "to the weights. `eps` ends it where a channel's variance comes near it, here below a = 0.1.",
    all(torch.allclose(outputs[a], outputs[100], rtol=0, atol=1e-4) for a in (10, 1))
    and all(np.isclose(norms[a], norms[100], rtol=1e-4) and cosines[a] < 1e-5 for a in (10, 1))
    and abs(norms[0.01] / norms[100] - 1) > 0.01,
)

# %% [markdown]
# What matters of such weights is their direction. A step of plain gradient descent turns it by about $\eta\,|dw|/|w|$,
# with $\eta$ the learning rate, and $|dw|$ itself goes as $1/|w|$: the *effective* learning rate is $\eta/|w|^2$. A
# step at right angles makes $w$ longer, by Pythagoras, so after too large a step the next one is smaller: these weights
# slow themselves down. Weight decay on them does not make the function simpler: it keeps them short, and the effective
# rate up.
#
# ## In evaluation mode
#
# There the statistics are stored constants. Two of the three roads are gone, rightly this time, and a channel is a
# straight line: $dx_i=\gamma\,dy_i/\sqrt{\sigma_r^2+\epsilon}$, with $\sigma_r^2$ the running variance. Nothing is
# taken out. So the bias in front of the norm, whose gradient is $\sum_i dx_i$ and therefore 0 in training, gets one.

# %%
linear, norm, bias_gradient = nn.Linear(64, 16).double(), BatchNorm1d(16, dtype=torch.float64), {}
for mode in ("training", "evaluation"):
    norm.train(mode == "training")
    inputs = linear(images)
    inputs.retain_grad()
    linear.zero_grad()
    norm(inputs).backward(arriving)
    bias_gradient[mode] = linear.bias.grad.norm().item()
    print(f"{mode:10s} length of the bias's gradient {bias_gradient[mode]:.2f}")
given = (each.detach().numpy() for each in (arriving, inputs, norm.weight, norm.running_mean, norm.running_var))
takeaway(
    "In evaluation mode `grad_x = gamma / sqrt(running_var + eps) * grad_y`, element by element. "
    "The bias in front has gradient 0 in training, and a gradient in evaluation mode.",
    np.allclose(inputs.grad, batch_norm_inference_backward(*given)[0], rtol=1e-10)
    and bias_gradient["training"] < 1e-10
    and bias_gradient["evaluation"] > 1,
)

# %% [markdown]
# ## Exercises
#
# Close this page, and write the six steps for a channel of your own, then the one line.
#
# Write your answer in place of the `...` and run the cell. `check` tries it on small and on awkward inputs. A wrong
# answer gets the name of its mistake and the reason; NumPy or torch, loops or not, is up to you. From `bnlab.practice`,
# `hint("batch_norm_backward_staged")` nudges and `solution("batch_norm_backward_staged")` ends it.


# %%
def my_batch_norm_backward_staged(grad_y, cache):
    """Gradients of a table's batch norm, one node of the graph at a time.

    The graph: mean -> centred = x - mean -> var = mean of centred^2 -> inv_std = 1 / sqrt(var + eps)
    -> x_hat = centred * inv_std -> y = gamma * x_hat + beta.

    grad_y has shape (n, c); cache holds x_hat, inv_std, gamma and count (which is n).
    centred is x_hat / inv_std. Returns grad_x_hat, grad_inv_std, grad_var, grad_mean and grad_x; the middle three have
    shape (c,).
    """
    ...


check("batch_norm_backward_staged", my_batch_norm_backward_staged)


# %%
def my_batch_norm_backward(grad_y, cache):
    """Gradients of a table's batch norm in closed form: grad_x, grad_gamma and grad_beta.

    grad_y has shape (n, c); cache holds x_hat, inv_std, gamma and count (which is n).
    """
    ...


check("batch_norm_backward", my_batch_norm_backward)

# %% [markdown]
# The next one follows a formula that is printed in several places. Its tests passed, since they set gamma to 1.


# %%
def my_find_the_bug_backward(grad_y, cache):
    """Gradients of a table's batch norm, by way of grad_x_hat: grad_x, grad_gamma and grad_beta.

    grad_y has shape (n, c); cache holds x_hat, inv_std, gamma and count (which is n).
    """
    grad_beta = grad_y.sum(axis=0)
    grad_gamma = (grad_y * cache.x_hat).sum(axis=0)
    grad_x_hat = cache.gamma * grad_y
    along_one = grad_x_hat.mean(axis=0)
    along_x_hat = cache.x_hat * (grad_x_hat * cache.x_hat).mean(axis=0)
    grad_x = cache.gamma * cache.inv_std * (grad_x_hat - along_one - along_x_hat)
    return grad_x, grad_gamma, grad_beta


check("find_the_bug_backward", my_find_the_bug_backward)

# %% [markdown]
# ## Say it in an interview
#
# > "In training, every output of a channel depends on every input, through the mean and the variance, so the gradient
# > has three terms. You take the gradient that arrives, subtract its mean, subtract x-hat times the mean of its product
# > with x-hat, and multiply by gamma over the standard deviation. The two terms take out exactly what the forward pass
# > ignores: a common shift and a common scale. In evaluation mode the statistics are constants, and it is just a
# > scale."

# %%
ask("derive-dx", "statistics-detached", "trains-but-worse", "two-examples-per-batch", "gradient-check-step")

# %% [markdown]
# ## What is convention, and what is contested
#
# The formula is calculus. What to keep for the way back is a choice: `x_hat`, or the input and two numbers per channel,
# from which it is computed again, as `torch.nn` and the layer above do. That the backward terms are what makes batch
# norm work is one view among several: they keep the weights from drifting, as you saw, and they are the two terms by
# which Santurkar and others (2018) prove the loss to be smoother. How much of the benefit is due to them is not
# settled; the small network above learned without.
#
# ## In one sentence
#
# Backward, batch norm passes on the gradient it was given, without the parts that would shift or stretch the whole
# channel, times the gain of the forward pass. The next question: in evaluation mode the statistics are constants, but
# which ones, and what if they are not those of the data? That is [05 Mechanism:
# inference](05_mechanism_inference.ipynb).
#
# ## References
#
# - Ioffe and Szegedy 2015, [Batch Normalization](https://arxiv.org/abs/1502.03167): section 3 has the chain rule
#   through the layer, section 2 the bias that grows when the mean is treated as a constant.
# - Arora, Li and Lyu 2018, [Theoretical Analysis of Auto Rate-Tuning by Batch
#   Normalization](https://arxiv.org/abs/1812.03981): weights whose scale does not matter tune their own learning rate.
# - van Laarhoven 2017, [L2 Regularization versus Batch and Weight Normalization](https://arxiv.org/abs/1706.05350):
#   weight decay acts through the effective learning rate.
# - Santurkar et al. 2018, [How Does Batch Normalization Help Optimization?](https://arxiv.org/abs/1805.11604): the
#   gradient's length, with and without batch norm.
# - [The cheat sheet](../notebooks/aids/cheatsheet.md) and [the notation](../notebooks/aids/notation.md) of this course.
