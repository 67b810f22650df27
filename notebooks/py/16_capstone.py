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
# # What can you do in an hour, on your own?
#
# **You will** write batch norm from nothing, find three bugs in somebody's training script, explain two plots and
# answer four questions aloud, in one hour and without help. **You learn** what you can do, and which chapters to read
# once more. **You need** 60 minutes without a telephone, ten more to read this first, and the chapters that you mean to
# be asked about: above all [03](03_mechanism_forward.ipynb), [04](04_mechanism_backward.ipynb),
# [05](05_mechanism_inference.ipynb) and [10](10_mistakes.ipynb).
#
# Nothing depends on it, and you can take it as often as you like: the parts are drawn anew each time.
#
# ## First, from memory
#
# Three answers that you will want to have at hand. Say each before you unfold it.

# %%
from itertools import combinations
from textwrap import fill

import numpy as np
import torch
from torch.autograd import Function

from bnlab.layers import BatchNorm1d
from bnlab.notebook import setup, takeaway
from bnlab.practice import ask, capstone, recall
from bnlab.practice.capstone.module import chapters_of, judge
from bnlab.practice.capstone.modules import pytorch
from bnlab.practice.capstone.scoring import RULE, SHARE_WITH_THE_DOCTOR, WEIGHTS, cells_of, decide, total
from bnlab.practice.interview.bank import questions
from bnlab.practice.interview.pretest import Outcome, grade, items

setup()
bank = questions()

# %%
recall("16")

# %% [markdown]
# ## The hour
#
# It has four parts, which you may take in any order and leave and come back to.
#
# 1. **The module.** A file with a specification and two imports. You write the layer below them: forward, a backward of
#    your own, running statistics, evaluation, for features and for images. Read the specification to its end: it is not
#    always PyTorch's layer. `capstone.check()` says what is right and calls a mistake by its name. Check as often as
#    you like: the best check counts, not the last.
# 2. **The script.** A training script of some ninety lines that runs and raises nothing, with three bugs in it. You
#    name three lines by their numbers, and they are sealed; where a line is missing, name one beside its place. Only
#    then may the doctor of chapter [10](10_mistakes.ipynb) look, and what you name after that counts half.
# 3. **Two plots** to explain, as to somebody who sees them for the first time.
# 4. **Four questions** to answer aloud, two of the level core, one deep, one of research. When you have answered, you
#    say so; then the rubric unfolds and you mark yourself, as in chapter [15](15_interview.ipynb).
#
# The rules are those of a room with a door. No course, no web, no `bnlab.doctor`, no assistant that writes code; paper
# is welcome. Nobody watches. The clock starts when you begin and runs on while you are away, also if the kernel dies:
# everything that you do is kept as you do it. In a new kernel `from bnlab.practice import capstone`, and
# `capstone.status()` says where you are. When the hour is over, nothing closes. What comes later is kept as well, and
# the report shows both scores, at the hour and at the end.
#
# For now, nothing is running:

# %%
capstone.status()

# %% [markdown]
# ## What each thing is worth
#
# The weights of the four parts are set before anybody sits down. From them follows what one more thing is worth, in
# points of a hundred:

# %%
worth = {
    "one aspect of the module, of eight": WEIGHTS["the module"] / 8,
    "a bug that you name alone": WEIGHTS["the script"] / 3,
    "a bug that you name after the doctor": SHARE_WITH_THE_DOCTOR * WEIGHTS["the script"] / 3,
    "a plot, explained in full": WEIGHTS["the plots"] / 2,
    "a question, answered in full": WEIGHTS["the questions"] / 4,
}
for thing, points in worth.items():
    print(f"{points:3.0f}  {thing}")

# %%
takeaway(
    "A bug that you find alone is worth twice as much as anything else that you can do in one go.",
    worth["a bug that you name alone"] == 2 * max(set(worth.values()) - {worth["a bug that you name alone"]}),
)

# %% [markdown]
# The eight aspects are four things, each on features and on maps: the output in training, the gradients, the running
# statistics, the output in evaluation. Each is tried by itself; a wrong update of the running statistics, for one, does
# not spoil the evaluation too. So **save and check as soon as one thing stands**, even if nothing else does.
#
# Here is a way to spend the hour that leaves time for what goes wrong:

# %%
plan = {
    "read both files, and the six prompts": 5,
    "the module: forward, running statistics, evaluation": 12,
    "the script: name three lines": 12,
    "the module: backward": 12,
    "the plots and the questions, aloud": 14,
    "what is left over": 5,
}
clock = np.cumsum([0, *plan.values()])
for start, (what, minutes) in zip(clock[:-1], plan.items(), strict=True):
    print(f"{start:2d} to {start + minutes:2d}  {what}")
assert sum(plan.values()) == 60

# %% [markdown]
# Read the prompts early: an answer ripens while you do something else. Turn to the script before the backward, since a
# tired reader finds no bugs. And if you sit for five minutes without a new thought, move on.
#
# ## The one tool that you have not used yet
#
# Everywhere in this course autograd found the gradients of a torch layer, or NumPy did, by hand. Here your own backward
# has to take part in a torch network, and the way to do that is `torch.autograd.Function`: two static methods, one for
# the way there and one for the way back. What the way back needs is put into `ctx` on the way there. `backward` returns
# one gradient for each argument of `forward`, in their order, and `None` for those that have none.
#
# This one normalises by statistics that are given, as a frozen layer does. They are constants, so the gradient is
# multiplied by the scale, and that is all:


# %%
class Frozen(Function):
    """The simplest case: (x - mean) / sqrt(var + eps), with constants mean and var."""

    @staticmethod
    def forward(ctx, x, mean, var, eps):
        inv_std = 1 / torch.sqrt(var + eps)
        ctx.save_for_backward(inv_std)
        return (x - mean) * inv_std

    @staticmethod
    def backward(ctx, grad_y):
        (inv_std,) = ctx.saved_tensors
        return grad_y * inv_std, None, None, None


# %%
x, grad_y = torch.randn(2, 5, 3)
mean, var = torch.tensor([0.0, 1.0, -2.0]), torch.tensor([0.5, 1.0, 4.0])
layer = BatchNorm1d(3, affine=False).eval()
layer.running_mean.copy_(mean)
layer.running_var.copy_(var)
results = []
for normalise in (layer, lambda given: Frozen.apply(given, mean, var, layer.eps)):
    leaf = x.clone().requires_grad_()
    y = normalise(leaf)
    y.backward(grad_y)
    results.append((y.detach(), leaf.grad))
for name, theirs, ours in zip(("output", "gradient"), *results, strict=True):
    print(f"{name}: agree to 1e-6: {torch.allclose(ours, theirs, rtol=1e-6, atol=1e-6)}")
takeaway(
    "A function of your own, called by `apply`, takes part in autograd like any other.",
    all(torch.allclose(*pair, rtol=1e-6, atol=1e-6) for pair in zip(*results, strict=True)),
)

# %% [markdown]
# In training the statistics are made from x, and two more terms come into the way back. You know which; chapter
# [04](04_mechanism_backward.ipynb) derived them in six steps and then in one line. The judge follows the gradient on
# its way back, and where autograd differentiates the arithmetic by itself, or is called in your `backward`, it says so
# and gives no credit for the backward. The rest of the layer counts all the same.
#
# ## A page, judged
#
# What does that look like? Take a layer that is right but for one thing that many people forget: on the way back it
# treats the batch's statistics as constants, as the function above does. Which of the eight aspects does that cost?

# %%
[forgotten] = [one for one in pytorch.TASK.mistakes if one.misconception == "stats-detached"]
cells = judge("capstone_pytorch", pytorch.TASK.wrong(forgotten))
for cell, named in cells_of(cells).items():
    print(f"{cell:30}{'right' if named is None else f'not yet: {named[0]}'}")

# %%
lost = [cell for cell in cells if not cell.verdict.passed]
print(f"Read again: {', '.join(chapters_of('stats-detached'))}")
takeaway(
    "One mistake costs what it spoils, and comes with its name and with the chapter that explains it.",
    {cell.aspect for cell in lost} == {"backward"} and chapters_of("stats-detached") == ["04_mechanism_backward"],
)

# %% [markdown]
# Six of eight are right, and every output is: in your own work no look at what the layer returns would have told you.
#
# ## A candidate, scored
#
# Let that be the page of a made-up candidate. In the script she named one line rightly by herself, and found a second
# when the doctor had spoken. One plot she explained in full; of the other, and of two of the questions, she made the
# points below. The rest she left.

# %%
points = {
    "validation-lags-training": range(1, len(bank["validation-lags-training"].rubric) + 1),
    "variance-in-evaluation": [1],
    "biased-or-unbiased": [1, 2, 3],
    "freeze-batch-norm": [1, 2],
}
scores = {one: bank[one].score(made) for one, made in points.items()}
for one, score in scores.items():
    print(f"{score:4.0%}  {one}")
first, second, *answers = scores.values()

# %%
parts = {
    "the module": 1 - len(lost) / len(cells),
    "the script": (1 + SHARE_WITH_THE_DOCTOR) / 3,
    "the plots": (first + second) / 2,
    "the questions": sum(answers) / 4,
}
decision = decide(parts, red_flags=0)
print(f"{decision.word}: {'; '.join(decision.reasons)}")

# %% [markdown]
# The word comes from a rule, which is printed with it. She has two evenings before she tries again. On what should she
# spend them?

# %%
print(fill(RULE, 90))
evenings = {
    "the backward": {"the module": 1.0},
    "the doctor's list": {"the script": 1.0},
    "the two questions": {"the questions": sum(answers) / 4 + 0.5},
}
words = {}
for one, other in combinations(evenings, 2):
    after = parts | evenings[one] | evenings[other]
    words[one, other] = decide(after, red_flags=0).word
    print(f"{total(after):4.0%}  {words[one, other]:14}{one}, and {other}")

# %%
takeaway(
    "No sum makes up for a part that is below half: the word changes with the questions, and not without them.",
    all((word == "ready") == ("the two questions" in pair) for pair, word in words.items()),
)

# %% [markdown]
# That is meant. Whoever writes the layer, finds every bug and can explain nothing has seven tenths of the points and
# part of what the word promises.
#
# ## What the report says
#
# `capstone.report()` ends the hour, once what you answered is marked. It shows the scores of each part, at the hour and
# at the end, and the chapters to read again, the most needed first: a list made from what was not right at the hour,
# and from nothing else. Then come each aspect of the module, with the mistakes by name, and each bug with its line, why
# it is one, and whether the doctor can see it. Some bugs it cannot see. It looks at a network, a loader, an optimiser
# and a step; what was done before they were handed over, and what your loop does around them, it never meets. The
# points that your answers lacked follow, and the red flags that you said. The page is saved beside your progress, and
# from the second time on it shows your earlier capstones, too.
#
# It also lays two tests side by side: the ten questions of chapter [00](00_start_here.ipynb), before the course, and
# the same ten after it. For our candidate, also made up, that looks like this:

# %%
wrong = (
    {"mathematics", "backward", "batch-size", "transformers", "regularisation", "production"},
    {"backward", "regularisation"},
)
tests = []
for topics in wrong:
    chosen = {one.id: one.answer for one in items() if one.topic not in topics}
    chosen |= {one.id: "b" if one.answer == "a" else "a" for one in items() if one.topic in topics}
    tests.append(grade(chosen))
Outcome(*tests).picture()

# %% [markdown]
# Four topics she had before she came, four she has won, and two are left. A better second test is partly due to having
# seen its questions, so believe the rows that are still wrong before the difference. If you have not taken one of the
# two, the report says what to do; the test after the course is `posttest()`, from `bnlab.practice`.

# %%
gained = [after.item.topic for before, after in zip(*tests, strict=True) if after.right and not before.right]
left = [after.item.topic for after in tests[1] if not after.right]
print(f"won:  {', '.join(gained)}\nleft: {', '.join(left)}")
assert (len(gained), len(left)) == (4, 2)

# %% [markdown]
# ## Begin
#
# Close what you will not use. Then type this into a cell of your own, below:
#
# ```python
# capstone.begin()
# ```
#
# It draws the parts, starts the clock, and lays a folder `capstone/1` beside this notebook, with `batch_norm.py` and
# `train.py` in it; a double click opens them in JupyterLab's editor. It also prints the calls that you will need:
# beside those above, `capstone.questions()` for the plots and the prompts, `capstone.done(...)` when you have answered
# one, `capstone.mark(...)` for your marks, and `capstone.report()` for the end.
#
# Change the script as you like, but name a line by the number that it had before. If a file is gone or spoilt, delete
# it and call `capstone.begin()` again: while a capstone is open it lays what is missing, and writes over nothing.
#
# ## After the course
#
# Read what the report lists, and take another capstone a week later, not the next day: what is still there in a week is
# yours. What is drawn is what you have had least often. Between two rounds, `bnlab interview review` asks the questions
# that you are about to forget.
#
# Then leave the exercises. Run `bnlab doctor` over a network of your own. Take a claim of the ledger that you doubt,
# and run it on other seeds. Read one of the papers of chapter [12](12_why_it_works.ipynb) with its figure beside your
# own. And explain batch norm in two minutes to somebody who has not asked; their first question will be better than
# ours.
#
# ## What is contested
#
# *Whether an hour without help measures anything*, now that help is always at hand. We think that it measures what you
# can judge: whether a layer is right, yours or a machine's, is told best by somebody who could have written it.
# *Whether marks that you give yourself can be trusted.* They are as honest as you are, and nobody else sees them.
# *Whether the weights are right.* They are a choice, in one line of `bnlab.practice.capstone.scoring`, to be argued
# with.
#
# ## In one sentence
#
# You know a thing when you can write it on an empty page, find what is wrong with somebody else's, and say why it works
# and where it ends; now find out.
#
# ## References
#
# - Ioffe and Szegedy 2015, [Batch Normalization](https://arxiv.org/abs/1502.03167): the page asks for
#   algorithms 1 and 2.
# - The [PyTorch notes on extending autograd](https://docs.pytorch.org/docs/stable/notes/extending.html):
#   `torch.autograd.Function` in full.
#
# ## Say it in an interview
#
# > "I have written it once from nothing, with its own backward, and checked it against the library's, in training and
# > in evaluation. What I got wrong first was the running variance."
#
# Say what *you* got wrong first. These two ask for it:

# %%
ask("a-backward-of-your-own", "a-bug-you-found")
