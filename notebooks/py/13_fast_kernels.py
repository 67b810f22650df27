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
# # How fast can batch norm be, and what does speed cost?
#
# **You will** predict the time of batch norm from bytes, write it in four ways, each faster than the one before, watch
# fast code lose every digit, and run a GPU kernel without a GPU. **You learn** to say what limits a layer before you
# measure it, and which tests a fast kernel must pass. **You need** 90 minutes, and chapters
# [03](03_mechanism_forward.ipynb) and [04](04_mechanism_backward.ipynb). The chapter is elective: nothing later leans
# on it. Numbers of seconds are those of the machine that ran it last, so yours differ.
#
# ## First, from memory
#
# Answer aloud before you unfold.

# %%
import os
from importlib.util import find_spec

import numpy as np
import torch
from numba import njit, set_num_threads
from torch.nn import functional

from bnlab import figures
from bnlab.bench.rounds import paired
from bnlab.figures.roofline import OPERATIONS, Point
from bnlab.kernels import cpu, planes
from bnlab.kernels.gpu import facts, layout
from bnlab.kernels.traffic import ARRAY_BY_ARRAY, accesses, unfused
from bnlab.notebook import setup, show, takeaway
from bnlab.practice import ask, check, predict, recall, reveal
from bnlab.reference import batch_norm_forward, variance

setup()
rng = np.random.default_rng(0)

# %%
recall("13")

# %% [markdown]
# ## Count the bytes first
#
# How much work is batch norm? In training, forward, each element takes part in two sums, one of distances from some
# fixed number and one of their squares: a subtraction, a multiplication, two additions. Then the output is a line,
# $y=(x-\mu)\cdot a+\beta$ with $a=\gamma/\sqrt{\sigma^2+\epsilon}$: three more. The root and the division come once a
# channel. So an element costs 7 operations, and memory has to deliver it.
#
# **Predict before you run**, and say how sure you are.

# %%
predict("batch-norm-beside-a-copy")

# %% [markdown]
# We call reading or writing one value of main memory an *access*. A copy has two for each element. Batch norm needs the
# mean and the variance of a whole channel before it can write its first result: one *sweep* over the input for the
# sums, a second for the output. If a channel stays in the cache from the first sweep to the second (on a GPU in
# *registers*, the numbers that a processor holds in itself), it is *resident*, and its second reading is free;
# otherwise it is *streamed*, twice. The last column has norm, addition and ReLU as an operation each.

# %%
for case in ("forward", "forward, ReLU", "forward, add, ReLU", "backward", "backward, add, ReLU"):
    kept, streamed = (accesses(case, resident=resident, mask="output").total for resident in (True, False))
    print(f"{case:20} resident {kept}, two sweeps {streamed}, one operation after another {unfused(case)}")
print(f"{OPERATIONS} operations on 12 bytes: {OPERATIONS / 12:.2f} a byte")
takeaway(
    "From memory, batch norm in training costs 3 accesses forward and 5 backward; resident, 2 and 3.",
    [accesses(way, resident=r).total for way in ("forward", "backward") for r in (False, True)] == [3, 2, 5, 3],
)

# %% [markdown]
# Half an operation for each byte is little: a core does several operations in the time in which memory delivers one
# byte, a GPU tens. So the best code waits for memory, and its time is *bytes / bandwidth*. That is a limit from
# below; nobody promises that code reaches it.
#
# *Fused* means: in the same sweep. A ReLU behind the norm meets the value in a register, where it costs nothing; as an
# operation of its own it reads and writes the whole tensor. Backward, its mask, which outputs were positive, need not
# be stored: it is computed again from $x$, which is read anyway. Only if a *residual* (chapter 08) was added before it
# does $x$ no longer tell; then we read the output, and write the residual's gradient, since nobody has it yet. That
# makes 7 streamed.
#
# ## Four ways to write it
#
# First in plain Python, one number after another, as a definition; and with NumPy, the formulas one array operation
# each. These are the textbook's versions.


# %%
def number_by_number(values, gamma, beta, eps=1e-5):
    mean = sum(values) / len(values)
    var = sum((value - mean) ** 2 for value in values) / len(values)
    return [gamma * (value - mean) / (var + eps) ** 0.5 + beta for value in values]


def array_by_array(x, gamma, beta, eps=1e-5):
    axes, shape = (0, 2, 3), (1, -1, 1, 1)
    mean = x.mean(axes).reshape(shape)
    var = ((x - mean) ** 2).mean(axes).reshape(shape)
    x_hat = (x - mean) / np.sqrt(var + eps)
    return gamma.reshape(shape) * x_hat + beta.reshape(shape)


tiny = np.array([1.0, 3.0, 8.0]).reshape(3, 1, 1, 1)
one, zero = np.ones(1), np.zeros(1)
right = batch_norm_forward(tiny, one, zero)[0].ravel()
print(right.round(3))
assert np.allclose([number_by_number([1, 3, 8], 1, 0), array_by_array(tiny, one, zero).ravel()], right)

# %% [markdown]
# Count the accesses of the second, if every array is larger than the cache. Two means read an array each; two
# subtractions, a square, a division, a product and a sum read one and write another: $2+6\cdot 2=14$ in all, where 3
# would do. Most of them carry intermediate results out and back.
#
# The third way is *fused*, as far as NumPy can: all that there is to do is done to one channel before the next is
# touched. A channel of this input is 0.4 MB, which stays in a usual second-level cache, so that main memory sees 2
# accesses. Distances are taken from a *pilot*, here the channel's first value, so that one sweep gives both sums and
# a large mean costs no digits (chapter 03 called this way *shifted*).


# %%
def channel_by_channel(x, gamma, beta, y, eps=1e-5):
    for c in range(x.shape[1]):
        pilot = x[0, c, 0, 0]
        above = x[:, c] - pilot
        mean = above.mean()
        var = np.vdot(above, above) / above.size - mean**2
        scale = gamma[c] / np.sqrt(var + eps)
        np.multiply(above, scale, out=y[:, c])
        y[:, c] += beta[c] - mean * scale
    return y


# %%
x = rng.normal(3, 2, size=(32, 64, 56, 56)).astype(np.float32)
gamma, beta = rng.uniform(0.5, 1.5, size=(2, 64)).astype(np.float32)
y, expected = np.empty_like(x), batch_norm_forward(x, gamma, beta)[0]
takeaway(
    "The order of the work decides what moves: the same formulas, a channel at a time, take 2 accesses, not 14.",
    np.allclose(channel_by_channel(x, gamma, beta, y), expected, atol=1e-4)
    and (ARRAY_BY_ARRAY["textbook"].total, accesses("forward", resident=True).total) == (14, 2),
)

# %% [markdown]
# The fourth way is compiled. numba turns Python loops over numbers into machine code, by the types that go in: the
# first call compiles for some seconds, and the result is kept on disk. Here are the two sweeps of `bnlab.kernels`, over
# *slabs*, a few channels each, which threads share out:

# %%
show(planes.forward)
ours, _, _ = cpu.forward(x, gamma, beta)  # which compiles, once

# %% [markdown]
# `prange` is a loop whose rounds the threads share. `_pilot` is the mean of the first few values. `_moments` takes both
# sums over one channel of one image, in float32 over 4,096 values at most, where that is fast; the parts are added in
# float64, where it is safe. `_statistics` makes mean and variance of them, and says whether the pilot was too far off.
# `_line` holds $\mu$, $a$ and $\beta$; `_apply` writes $y$.
#
# Let all four take turns, on one thread, beside torch's own kernel and a copy; and ours once more with a ReLU, and with
# a residual too.

# %% tags=["nbval-ignore-output"]
set_num_threads(1)
torch.set_num_threads(1)
tensor, out, more = torch.from_numpy(x), torch.from_numpy(y), rng.normal(size=x.shape).astype(np.float32)
line = torch.from_numpy(gamma), torch.from_numpy(beta)
some = x[0, 0].ravel().tolist()
calls = {
    "copy": lambda: out.copy_(tensor),
    "Python, number by number": lambda: number_by_number(some, 1.0, 0.0),
    "NumPy, array by array": lambda: array_by_array(x, gamma, beta),
    "NumPy, channel by channel": lambda: channel_by_channel(x, gamma, beta, y),
    "torch": lambda: functional.batch_norm(tensor, None, None, *line, training=True),
    "compiled": lambda: cpu.forward(x, gamma, beta, out=y),
    "compiled, ReLU": lambda: cpu.forward(x, gamma, beta, relu=True, out=y),
    "compiled, add, ReLU": lambda: cpu.forward(x, gamma, beta, residual=more, relu=True, out=y),
}
taken = {name: np.median(seconds) for name, seconds in paired(calls, rounds=9).items()}
nanoseconds = {name: 1e9 * seconds / (len(some) if "Python" in name else x.size) for name, seconds in taken.items()}
for name, each in nanoseconds.items():
    print(f"{name:26} {each:6.2f} ns an element, {each / nanoseconds['copy']:5.1f} copies")

# %%
expected_sum = np.maximum(expected + more, 0)
takeaway(
    "All of them compute the same, fused or not.",
    np.allclose([ours, array_by_array(x, gamma, beta)], expected, atol=1e-4)
    and np.allclose(cpu.forward(x, gamma, beta, residual=more, relu=True)[0], expected_sum, atol=1e-4),
)
reveal("batch-norm-beside-a-copy")

# %% [markdown]
# Where each stands between memory and arithmetic, the **roofline** picture shows (Williams et al. 2009): to the right
# operations for each byte moved, upwards operations a second. The slanted roof is the bandwidth of the copy, times the
# operations for each byte. (Further right it becomes flat, at what a core can compute. We have not measured that, so it
# is not drawn.)

# %%
counted = {  # accesses, and a colour by its name
    "NumPy, array by array": (ARRAY_BY_ARRAY["textbook"].total, "no_norm"),
    "NumPy, channel by channel": (2, "output"),
    "torch": (3, "input"),
    "compiled": (2, "batch_norm"),
}
points = {name: Point(moved, nanoseconds[name], role) for name, (moved, role) in counted.items()}
figures.roofline(
    points,
    copy_nanoseconds=nanoseconds["copy"],
    title="Moving less leads to the right, waiting less leads up to the roof",
)

# %% [markdown]
# Height is speed: each is credited with 7 operations. Read two lengths: *to the right* a version moves less; *below the
# roof* is what it waits for besides memory. Array by array loses both ways: its new arrays must also be provided by the
# operating system, page by page. torch's kernel for this layout moves little and yet is far below the roof: it adds up
# number by number in double, and each addition waits for the one before. By bytes, ours could be as fast as the copy,
# since a channel stays in the cache. On one thread a third of its time or more goes into the arithmetic of the
# first sweep, which no longer hides behind memory; threads share that. The prediction's one and a half copies hold
# where a channel fits no cache.
#
# In a network, `layers.BatchNorm2d(64, backend="numba")` uses these kernels forward and backward, and
# `layers.BatchNormReLU` has the residual and the ReLU fused. `bnlab bench kernels` measures eight shapes, forward and
# backward, on all cores; the README has our table, with the goals that we missed.
#
# ## What each step bought, and what did not
#
# A compiler makes a loop fast by *vectorising* it: eight or sixteen neighbours are worked on at once. For a sum it must
# be allowed to change the order of additions, since float addition depends on it. Here are three loops for the sums
# above a pilot. Which differences matter?

# %%
ANY_ORDER = {"fastmath": {"reassoc", "contract"}}  # add in any order, a * b + c at once; NaN and infinity stay


def sums_by_index(x, pilot):
    total, squares = x.dtype.type(0), x.dtype.type(0)
    for i in range(x.size):
        above = x[i] - pilot
        total += above
        squares += above * above
    return total, squares


def sums_by_value(x, pilot):
    total, squares = x.dtype.type(0), x.dtype.type(0)
    for value in x:
        above = value - pilot
        total += above
        squares += above * above
    return total, squares


# %% tags=["nbval-ignore-output"]
run = x[0, 0].ravel()
loops = {
    "by index, any order": njit(**ANY_ORDER)(sums_by_index),
    "by index, in order": njit(sums_by_index),
    "by value, any order": njit(**ANY_ORDER)(sums_by_value),
}
found = {name: loop(run, run[0]) for name, loop in loops.items()}
taken = paired({name: lambda loop=loop: loop(run, run[0]) for name, loop in loops.items()}, rounds=200)
for name, seconds in taken.items():
    print(f"{name:20} {1e9 * np.median(seconds) / run.size:.2f} ns an element")
assert all(
    np.isclose(squares / run.size - (total / run.size) ** 2, variance.shifted(run)[1], rtol=1e-4)
    for total, squares in found.values()
)

# %% [markdown]
# All three do the same arithmetic. The first is vectorised. The second must add in the order written. The third walks
# over values, `for value in x`, which numba does not vectorise: the most natural Python is the slow one. So measure
# after each change. This is what steps brought us, as a share of a copy's bandwidth or as a factor. These numbers were
# measured once, by hand, while the kernels were written (November 2026, two cores of an AMD EPYC); no command repeats
# them.
#
# | step | what it bought |
# |---|---|
# | 64 x 512 maps of 7 x 7: images as rows, several channels side by side as columns | .22 of a copy became .4 to .6 |
# | `x[i, j]` in a loop over rows, not a slice of each row | 3 times as fast, at 64 columns; slices cost checks |
# | a pilot of 64 values, not of one | no speed: an outlier in first place no longer spoils the digits |
# | stores that bypass the cache | nothing: .66, against .68 without |
# | reading the next channel while this one is written | nothing at 26 to 103 MB, something on small maps |
# | the second sweep backwards, to meet what is still cached | nothing |
#
# The last three are in textbooks, and they help on other machines. Here they were tried, measured, and thrown away:
# what a step costs in readability it must earn. A *run* is one channel of one image, whose values are neighbours in
# memory. On runs of 49 values a loop is over before it has begun, so `cpu.forward` looks at the shape and chooses among
# three kernels: for long runs, short ones, and vectors. (The second compiles at its first call, some five seconds.) On
# a few thousand values none of them matters: Python checks arguments and launches for some 20 microseconds, whatever
# the size, where torch's C++, on one thread, takes half as long.

# %%
for shape in ((8, 64, 30, 30), (64, 512, 7, 7)):
    batch = rng.normal(size=shape).astype(np.float32)
    of_channels = np.ones(shape[1]), np.zeros(shape[1])
    same = np.allclose(cpu.forward(batch, *of_channels)[0], batch_norm_forward(batch, *of_channels)[0], atol=1e-4)
    print(f"{shape!s:16} values in a run: {np.prod(shape[2:]):3}, as the reference: {same}")
    assert same

# %% [markdown]
# ## The digits that fast code loses
#
# On inputs around 0 all ways to compute a variance agree, and most kernels are tested there. So let the mean grow: the
# same noise of standard deviation 1, around 0 and then further and further away. In torch the same tensor can lie in
# memory in two orders: *contiguous*, each channel of an image as one run, or *channels_last*, all channels of a
# position side by side. **Predict before you run.**

# %%
predict("same-numbers-two-layouts")

# %% [markdown]
# Each row below has the relative errors of four variances, the larger of two channels. torch's are read out of its
# running variance, after one step with momentum 1.

# %% tags=["nbval-ignore-output"]
noise, errors = rng.normal(size=(8, 2, 64, 64)), {}
for offset in (0, 10, 100, 1_000, 10_000, 100_000):
    far = torch.from_numpy((noise + offset).astype(np.float32))
    exact, estimates = far.double().transpose(0, 1).flatten(1).var(1), {}
    for name, order in (("torch", torch.contiguous_format), ("torch, channels_last", torch.channels_last)):
        mean, estimates[name] = torch.zeros(2, 2)
        arranged = far.contiguous(memory_format=order)
        functional.batch_norm(arranged, mean, estimates[name], training=True, momentum=1.0)  # stores the unbiased one
    biased = (far**2).mean((0, 2, 3)) - far.mean((0, 2, 3)) ** 2, cpu.forward(far.numpy(), np.ones(2), np.zeros(2))[2]
    for name, var in zip(("E[x²] - E[x]²", "ours"), biased, strict=True):
        estimates[name] = torch.as_tensor(var) * (32_768 / 32_767)
    errors[offset] = {name: (var / exact - 1).abs().max().item() for name, var in estimates.items()}
    print(f"mean {offset:7}", *(f"{name}: {error:.0e}" for name, error in errors[offset].items()), sep="  ")
assert max(row["ours"] for row in errors.values()) < 2e-6

# %%
takeaway(
    "The variance that ours finds is right to 2e-6 at every mean up to 100,000 deviations: a pilot makes the mean "
    "small before anything is squared.",
    max(row["ours"] for row in errors.values()) < 2e-6,
)
reveal("same-numbers-two-layouts")

# %% [markdown]
# (The comparison is with float64 on the same float32 values, so that no one is blamed for what rounding did to the
# input.) The same can be said of whole algorithms. `bnlab.reference.variance` has six, each summing in the dtype of its
# input and in order, so that nothing but the algorithm helps: two passes; raw moments, $E[x^2]-E[x]^2$; the same,
# shifted by the first value; Welford's running mean; Chan's merging of blocks; and merging as a tree, pairwise. Each
# gets 4,096 values around growing means, for five seeds.

# %%
powers = 10.0 ** np.arange(8)
samples = [
    (seed.normal(size=4096) + powers[:, None]).astype(np.float32) for seed in map(np.random.default_rng, range(5))
]


def errors_of(algorithm):
    return np.array([[abs(algorithm(x)[1] / x.astype(float).var() - 1) for x in rows] for rows in samples])


of_algorithms = {name: errors_of(algorithm) for name, algorithm in variance.ALGORITHMS.items()}
for name, of_seeds in of_algorithms.items():
    lost = powers[np.median(of_seeds, axis=0) > 0.01]
    print(f"{name:12}", f"lost at a mean of {lost[0]:,.0f} deviations" if lost.size else "never lost here")
figures.error_by_offset(
    of_algorithms, powers, broken=0.01, title="Raw moments lose the variance first; one subtraction keeps it"
)

# %% [markdown]
# Raw moments lose two digits for each power of ten, since the mean enters as its square. The others get four powers
# further. Two passes end at a million, where a float32 sum in order no longer finds the mean itself; merged blocks of
# 256 last a power longer, Welford's mean and the tree to the end, with two or three digits. (Out there neighbouring
# float32 numbers are 1/16 or 1 apart, and sums of such numbers may even be exact.) The shift loses least, since a mean
# that is subtracted first is no mean at all. Its weak side is the pilot: an outlier in first place is a large mean
# again. Hence the 64 values of ours, and a second look: if the pilot proves far from the mean, the sums are taken once
# more, above the mean.
#
# The output can lose digits, too, though the variance is right. $y=x\cdot a+b$ with all constants in $b$ is one
# operation less; at a mean of a million, $x\cdot a$ alone is rounded to 1/16. $(x-\mu)\cdot a+\beta$ subtracts exactly
# first. And three more inputs belong in the tests of every fast kernel: a constant channel, which must give exactly
# beta, though a mean that is off by its last digit is then divided by $\sqrt\epsilon$ alone; sizes that are no multiple
# of anything; and a NaN, which must come out as NaN, also behind a ReLU.

# %%
constant = np.full((4, 1, 3, 7), 0.1, np.float32)
constant_out = cpu.forward(constant, np.ones(1), np.array([0.25]))[0]
broken = np.array([[1.0], [np.nan], [2.0]], np.float32)
in_order = variance.two_pass(constant.ravel())[0]
print(f"beta 0.25, output {np.unique(constant_out)}; a float32 mean of its values, summed in order: {in_order:.8f}")
takeaway(
    "Test a kernel where the mean is large, the channel constant or a value missing; around 0 each one passes.",
    bool((constant_out == 0.25).all())
    and np.isnan(cpu.forward(broken, np.ones(1), np.zeros(1), relu=True)[0]).all()
    and np.median(of_algorithms["raw_moments"], axis=0)[3] > 0.5
    and of_algorithms["shifted"].max() < 0.01,
)

# %% [markdown]
# ## The same on a GPU
#
# A GPU has a hundred processors or more, and reaches its bandwidth only if all of them have requests under way. A
# *program* is what one of them runs on one *tile*, a block of the input that fits its registers. One program for each
# of 64 channels would leave half of the machine idle. So a channel is split into tiles, each tile yields a count, a
# mean and a sum of squares, and a second kernel merges these (Chan's way, for many parts at once). A third writes the
# output. Here is the first, in Triton, a Python dialect that is compiled for GPUs. `tl` is its language; a `constexpr`
# is known when it is compiled. `x` and `partials` are addresses.

# %%
os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported: kernels are interpreted, on the CPU
on_linux = find_spec("triton") is not None  # it exists for Linux only; elsewhere the next two cells do nothing
if on_linux:
    from bnlab.kernels.gpu import forward_pass, launch

    show(forward_pass.statistics.fn)

# %% [markdown]
# `tile` finds where this program's values lie (`at`) and which of them exist (`inside`, `real`); `per_channel` adds up.
# The rest is what you know: a pilot, distances from it, their mean, then a second pass over *registers* for the
# squares, which costs no access. Without a GPU to run it on, Triton can interpret it, program by program. On a tiny
# tensor with a mean of 10,000:

# %%
if on_linux:
    images = torch.from_numpy(rng.normal(10_000, 1, size=(3, 2, 5, 7)).astype(np.float32))
    interpreted, _, _ = launch.forward(images, None, None, eps=1e-5, relu=True)
    exactly = batch_norm_forward(images.numpy().astype(float), np.ones(2), np.zeros(2))[0].clip(0)
    takeaway(
        "The GPU's code is the algorithm of this chapter, and can be tested without a GPU.",
        np.allclose(interpreted, exactly, atol=1e-4),
    )

# %% [markdown]
# Interpreting says nothing about speed, and nothing about races (two programs at one address), since one program runs
# after another. A second proof needs no GPU either: compile for one, and look at the machine code. Threads share a
# program, and a register holds one number of one thread. A processor has 65,536: 64 or fewer for each leave room for
# the 1,024 threads that keep requests under way. A *spill* is a number that did not fit and went to memory. A load
# should take 16 bytes at once. What came out for one generation (`sm_90`, H100 and H200), as stored by `bnlab`, with
# the bytes moved for each element (the merging kernels, which move little, are left out):

# %%
compiled = [one for one in facts.stored().facts if (one.target, one.dtype, one.view) == ("sm_90", "float32", "planes")]
for one in compiled:
    room = next(limit for limit in (64, 128, 255) if one.registers <= limit)
    print(f"{one.kernel:17} {one.fused:10} {one.bytes_per_element:2} bytes, registers <= {room}, spills: {one.spills}")
takeaway(
    "No kernel spills, all load 16 bytes at once, and those that stream leave room for 1,024 threads.",
    all(one.spills == 0 < one.reads_128 and one.registers <= 64 + 64 * ("resident" in one.kernel) for one in compiled),
)

# %% [markdown]
# Add up the bytes: `statistics` and `normalise` 4 + 8, that is 3 accesses; `sums` and `gradient_of_x` 8 + 12, that is
# 5. `resident_forward` does with 8 and `resident_backward` with 12, 2 and 3 accesses: where a channel fits one tile,
# one kernel keeps it in registers. It needs more of them, so fewer threads have room; that is the trade. Now predict
# times, from bytes and the bandwidth on the data sheets:

# %%
BANDWIDTH = {"A100 80 GB": 2.04e12, "H100": 3.35e12, "H200": 4.8e12}  # bytes a second, as SXM modules
for shape in ((128, 64, 56 * 56), (64, 512, 7 * 7)):
    fits = layout.planes(*shape).resident
    forward, backward = (4 * np.prod(shape) * accesses(way, resident=fits).total for way in ("forward", "backward"))
    times = (f"{name} {1e6 * forward / rate:.0f} + {1e6 * backward / rate:.0f}" for name, rate in BANDWIDTH.items())
    print(shape, "resident" if fits else "in two sweeps", "microseconds forward + backward:", *times, sep="  ")
saved = [
    1 - accesses(way, resident=True).total / accesses(way, resident=False).total for way in ("forward", "backward")
]
takeaway(
    "A resident kernel saves a third of the traffic forward and two fifths backward.",
    np.allclose(saved, [1 / 3, 2 / 5]),
)

# %% [markdown]
# These are limits from below: a good copy reaches eight or nine tenths of a data sheet's figure, and each launch of a
# kernel takes some microseconds, which on small maps is more than the work. That is one more reason for one resident
# kernel in place of three. If you have a GPU, `bnlab bench kernels --device cuda` measures beside your prediction.

# %% [markdown]
# ## Exercises
#
# Write your answer in place of the `...`; `check` names the mistake if there is one, and `hint("accesses")` and its
# like, from `bnlab.practice`, nudge. First, count: what does a fused kernel move?


# %%
def my_accesses(backward, relu, residual, resident):
    """How often fused batch norm in training reads and writes main memory for each element of the input: a pair.

    All four are True or False. residual: another tensor is added behind the norm. relu: a ReLU comes last. backward:
    the gradient is computed, not the output. resident: what the first sweep has read is still in the cache at the
    second. The mask of the ReLU is computed again from the input, unless a residual was added: then it is read off the
    output, in the first sweep, and the gradient of the residual is written. Without a ReLU that gradient is the one
    that came in, and nothing is done for it. The masked gradient is what the second sweep reads.
    """
    ...


check("accesses", my_accesses)

# %% [markdown]
# This kernel's variance comes out wrong, or negative, where the mean is large. Repair it; one pass has to do.


# %%
def my_find_the_bug_one_pass(x, block):
    """Mean and biased variance of the values of x, shape (m,), in one pass over blocks, as a kernel takes them.

    A large mean must cost no digits, in float32 or in float64: a wider dtype only moves the end. That each block is
    read once is for you to see to: the check compares numbers, and cannot tell one pass from two.
    """
    total, squares = x.dtype.type(0), x.dtype.type(0)
    for start in range(0, len(x), block):
        above = x[start : start + block]
        total = total + above.sum()
        squares = squares + (above * above).sum()
    mean = total / len(x)
    return mean, squares / len(x) - mean * mean


check("find_the_bug_one_pass", my_find_the_bug_one_pass)

# %% [markdown]
# The second sweep of a fused kernel, its *epilogue*: batch norm, the residual, the ReLU. NumPy or loops, as you like.


# %%
def my_add_relu(x, residual, mean, var, gamma, beta, eps):
    """Batch norm by given statistics, plus the residual, behind a ReLU: the second sweep of a fused kernel.

    x and residual have shape (n, c, length), the others (c,). Negative values become 0, a NaN stays a NaN. x may be
    float32 with a large mean.
    """
    ...


check("add_relu", my_add_relu)

# %% [markdown]
# ## What is contested
#
# *Whether batch norm should be made faster at all.* At inference it folds away (chapter 05), and in training compilers
# now fuse most of it: hand-written kernels must show what they add. Ours add digits at a large mean, and a channel
# that stays in the cache. *Whether bits must repeat.* Ours do, by a fixed order of merging;
# kernels that add up by whoever comes first are simpler and sometimes faster. *Whether a roofline explains.* It says
# what cannot be faster, and not why something is slower.
#
# ## In one sentence
#
# Batch norm is as fast as its bytes, so count the readings and writings, keep a channel near between its two sweeps,
# and subtract before you square.
#
# ## References
#
# - Williams, Waterman and Patterson 2009, [Roofline](https://doi.org/10.1145/1498765.1498785).
# - Chan, Golub and LeVeque 1983, [Algorithms for computing the sample
#   variance](https://doi.org/10.1080/00031305.1983.10483115); Welford 1962, [Note on a
#   method](https://doi.org/10.1080/00401706.1962.10490022).
# - [Triton](https://triton-lang.org), the language, and [numba](https://numba.pydata.org), the compiler.
# - Ioffe and Szegedy 2015, [Batch Normalization](https://arxiv.org/abs/1502.03167).
#
# ## Say it in an interview
#
# > "Batch norm does about seven operations on an element and moves twelve bytes in training, so it is bound by memory:
# > I multiply elements by accesses, divide by the bandwidth, and know the time before I measure. Forward is three
# > accesses, backward five, two and three if a channel stays on the chip. I fuse what follows: a ReLU is free then, a
# > residual costs one reading. And I test a fast kernel at a large mean against float64, since a variance in one pass
# > needs a pilot."

# %%
ask("bound-by-memory", "count-the-accesses", "fuse-the-relu", "test-with-an-offset", "time-from-bytes")
