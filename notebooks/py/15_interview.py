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
# # How do you answer when somebody asks you about batch norm?
#
# **You will** take the course's own question apart, build its answer in three lengths, turn it for five listeners, hear
# eleven wrong sentences and see each of them measured, rehearse one derivation, climb a ladder of follow-ups, and watch
# a mock interview being marked. **You learn** what an interviewer wants to find out, and how to practise so that it
# lasts. **You need** 45 minutes, and chapters [00](00_start_here.ipynb), [04](04_mechanism_backward.ipynb),
# [05](05_mechanism_inference.ipynb) and [10](10_mistakes.ipynb).
#
# There is nothing new about batch norm in here. To know a thing and to say it, to a stranger, in two minutes, are two
# skills; this chapter is about the second.
#
# ## First, from memory
#
# Answer aloud before you unfold.

# %%
from itertools import pairwise
from textwrap import fill

import numpy as np
import torch
from torch import nn

from bnlab import figures
from bnlab.experiments.claims import ledger
from bnlab.notebook import setup, takeaway
from bnlab.practice import ask, check, expectations, posttest, recall
from bnlab.practice.exercises.tasks.interview import STATEMENTS
from bnlab.practice.interview.bank import questions
from bnlab.practice.interview.room.scorecard import Answer, Coding, Scorecard, decide
from bnlab.reference import batch_norm_backward, batch_norm_forward

setup()
bank, claims = questions(), ledger()

# %%
recall("15")

# %% [markdown]
# ## The question behind the question
#
# *What is batch normalization in deep learning, and how does it improve model performance?* Whoever asks that in an
# interview knows. They want to find out three other things: whether you can say exactly what something does, whether
# you know what follows from it, and whether you know where your knowledge ends. A **rubric** makes that visible: a list
# of points that a full answer makes, each with a weight. This is the one by which our bank of questions marks this
# question:

# %%
question = bank["what-is-batch-norm"]
ask(question.id).answer("rubric")

# %% [markdown]
# An answer's **score** is the share of the weight of the points that it makes. Beside the points there are **red
# flags**, sentences that give away a wrong picture; one of them outweighs several points.

# %%
behind = {"what it does": (1, 2, 3), "what follows": (4,), "where it ends": (5, 6)}
share = {what: question.score(points) for what, points in behind.items()}
for what, part in share.items():
    print(f"{what:14}{part:4.0%} of the weight")
takeaway(
    "To say exactly what it does is half the answer. Its price and its open question weigh as much as its benefits.",
    share["what it does"] > 0.5 and share["where it ends"] == share["what follows"],
)

# %% [markdown]
# Other questions have other intentions. *Why does it work?* asks whether you can keep an effect apart from its
# explanation. *It works in training and fails in production* asks whether you have ever found such a fault. *How does
# the batch size affect it?* asks how many steps you can follow one thought. If you are not sure what is wanted, ask:
# "Would you like the mechanism, or what it means in practice?" is a good first sentence.
#
# ## Six steps, three lengths
#
# There is an old order for explaining anything technical: *define it, say its purpose, the mechanism, the benefits, the
# use cases, and summarise*. One sentence for each is a whole answer. Beside each stands which points of the rubric it
# makes:

# %%
steps = {
    "Define": ("Batch norm standardises each feature of a layer over the mini-batch.", {1}),
    "Purpose": ("It was made to train deep networks faster, and why it helps is debated.", {6}),
    "Mechanism": (
        "A learned scale and shift follow, and at inference running averages replace the batch's statistics.",
        {2, 3},
    ),
    "Benefits": ("Larger learning rates train, worse initial weights too, and it regularises a little.", {4}),
    "Use cases": ("Its home is the convolutional network; transformers use layer norm.", set()),
    "Summarise": ("You buy easier training, and pay with outputs that depend on their batch.", {5}),
}

# %%
made, said = set(), ""
for step, (sentence, points) in steps.items():
    made, said = made | points, f"{said} {sentence}".strip()
    print(f"{step:10} after {60 * len(said.split()) / 170:2.0f} seconds: {question.score(made):4.0%}")
takeaway(
    "Six sentences make every point of the rubric within half a minute.",
    question.score(made) == 1 and len(said.split()) / 170 < 0.5,
)

# %% [markdown]
# (At 170 words a minute, which is brisk.) Read the column as an interviewer does, who may cut in after any sentence.
# The definition and the mechanism together earn more than all the rest, so they come early. The use cases earn nothing
# here, and still belong: the next question will be taken from what you said last, and you would like it to be about
# something that you know.
#
# The **two-minute answer** is the same six steps, each with a second sentence. Let it be a consequence or a limit,
# never another adjective: not "much faster and more stable", but "at a small learning rate it is not faster at all".
# The **whiteboard answer** is what your hand writes meanwhile:

# %%
print(question.answers.whiteboard)

# %% [markdown]
# Say the six steps aloud now, with a clock, before you unfold the bank's version. Then mark yourself by the rubric; the
# line under the card says how to keep the mark.

# %%
ask("what-is-batch-norm")

# %% [markdown]
# ## One answer, five listeners
#
# What is true does not change with the listener. What changes is the first sentence, and which number you bring.
#
# - *A technical panel*: "One channel, m values; I will write four lines." Mechanism first, at the board, and what
#   follows for the gradient.
# - *A manager*: "Training gets steadier and cheaper to tune; a step gets dearer; and the memory of a device becomes a
#   constraint on the model." Hours and risks, no formula.
# - *A data scientist*: "When you explain its outputs, put it into evaluation mode: then it is one straight line per
#   channel." Attribution, the reading of gamma, tabular outliers.
# - *An ML engineer*: "It has two modes and a state that no optimiser sees." Buffers, folding, a parity test, the batch
#   policy.
# - *A research scientist*: "Which of the explanations do you mean, and what would rule it out?" An ablation with its
#   control.

# %%
brought = {
    "technical panel": "gradient-grows-toward-input",
    "manager": "hours-as-steps",
    "data scientist": "gamma-better-than-measuring",
    "ML engineer": "sorted-in-training-mode",
    "research scientist": "norm-itself-stops-drift",
}
for listener, claim in brought.items():
    print(fill(f"{listener}: {claims[claim].statement}", 90, subsequent_indent="    "))
    print(f"    {claims[claim].verdict}: {claims[claim].measured}")
refuted = [claim for claim in brought.values() if claims[claim].verdict == "not supported here"]
takeaway(
    "Of the five measurements, three did not bear out a popular sentence.",
    len(refuted) == 3,
)

# %% [markdown]
# The hours, for instance: a factor saved in steps is worth 0.71 of itself in time, since a step takes longer. The
# [manager's page](../notebooks/aids/managers_page.md) says the rest in the same tone.
#
# ## Common mistakes, and how they sound
#
# None of the following sounds foolish. Each is fluent, and each is answered by a few lines or by a measurement. Read
# the left side aloud and object before you read the right.

# %%
layer, pair = nn.BatchNorm1d(1), torch.tensor([[10.0], [12.0]])
with torch.no_grad():
    layer(pair)
frozen = nn.BatchNorm1d(1).requires_grad_(requires_grad=False)
frozen(pair)
kept = nn.BatchNorm2d(3).running_mean.numel()
four = torch.tensor([[1.0], [2.0], [30.0], [40.0]])
at_once, in_passes = (torch.cat([nn.BatchNorm1d(1)(part) for part in four.split(size)])[1].item() for size in (4, 2))
leaf = torch.tensor([[1.0], [2.0], [4.0], [8.0]], requires_grad=True)
nn.BatchNorm1d(1)(leaf)[2].sum().backward()
reached = (leaf.grad != 0).sum().item()
waits = -torch.rand(10_000, 1, generator=torch.Generator().manual_seed(0)).log()
normal = nn.BatchNorm1d(1)(waits).detach()
skews = [(((values - values.mean()) / values.std()) ** 3).mean().item() for values in (waits, normal)]

# %%
moved = layer.running_mean.item(), frozen.running_mean.item()
print(f"“no_grad() switches it to inference.”    The running mean moved from 0 to {moved[0]:.1f}.")
print(f"“requires_grad=False freezes it.”        The running mean moved from 0 to {moved[1]:.1f}.")
print(f"“In a CNN it averages over the batch.”   For maps of (3, 4, 4), 48 values, it keeps {kept} means.")
print(f"“2 and 2, accumulated, are 4.”           The second output is {in_passes:.1f}, not {at_once:.1f}.")
print(f"“Backward, mean and var are constants.”  One output sent a gradient to {reached} of 4 inputs.")
print(f"“It makes activations Gaussian.”         A skewness of {skews[0]:.1f} came out as {skews[1]:.1f}.")
takeaway(
    "Statistics move without a gradient, are taken for each pass and each channel, belong to the backward pass, and "
    "leave a distribution its shape.",
    min(moved) > 1 and kept == 3 and abs(in_passes - at_once) > 1 and reached == 4 and np.isclose(*skews, rtol=1e-3),
)

# %% [markdown]
# The other five need a trained network, so they were measured beforehand, over ten seeds each. Below each sentence
# stands what the ledger says to it.

# %%
overheard = {
    "depth-plain-limit": "It fixes the gradients of plain networks of any depth.",
    "sorted-in-training-mode": "At inference it normalises by the batch that is tested, and that is fine.",
    "ghosts-loss": "The bigger the batch, the better for batch norm.",
    "norm-itself-stops-drift": "It works by reducing internal covariate shift; that is proven.",
    "small-rate-accuracy": "A network with batch norm is more accurate.",
}
for claim, sentence in overheard.items():
    print(f"“{sentence}”", fill(claims[claim].statement, 90, initial_indent="    ", subsequent_indent="    "), sep="\n")
    print(f"    {claims[claim].verdict}: {claims[claim].measured}")
takeaway(
    "Plain depth still has a limit, company changes answers, noise can help, the norm itself need not stop a drift, "
    "and at a small rate the plain network is ahead.",
    all(claims[claim].verdict == "supported" for claim in list(overheard)[:3])
    and all(claims[claim].verdict == "not supported here" for claim in list(overheard)[3:]),
)

# %% [markdown]
# If you notice in the middle of an answer that you have said one of these, say so. "No, that was wrong: accumulation
# adds gradients, and statistics are per pass" is one of the better sentences of an interview.
#
# ## A derivation to rehearse
#
# The gradient of the input is the longest calculation that you may be asked for, and five lines at a board are enough.
# Let $s=1/\sqrt{\sigma^2+\epsilon}$, and write $d$ for the gradient of the loss. Say the sentence while you
# write the line.
#
# 1. $\hat{x}_i=(x_i-\mu)s$ and $y_i=\gamma\hat{x}_i+\beta$. *"One channel, m values."*
# 2. $d\hat{x}_i=\gamma dy_i$. *"The affine part is easy."*
# 3. $\partial\hat{x}_i/\partial{x_j}=s(\delta_{ij}-1/m-\hat{x}_i\hat{x}_j/m)$, where $\delta_{ij}$ is 1 if $i=j$ and
#    else 0. *"An input acts on three ways: directly, through the mean, through the variance."*
# 4. $dx_j=\gamma{s}\sum_i dy_i(\delta_{ij}-1/m-\hat{x}_i\hat{x}_j/m)$. *"Sum over all outputs, since each of them saw
#    $x_j$."*
# 5. $dx=\gamma{s}(dy-\text{mean}(dy)-\hat{x}\,\text{mean}(\hat{x}dy))$. *"Two components are taken out, and that is how
#    I check it."*


# %%
def last_line(grad_y, x_hat, gamma, inv_std):
    """What stands on the board at the end."""
    return gamma * inv_std * (grad_y - grad_y.mean(0) - x_hat * (x_hat * grad_y).mean(0))


rng = np.random.default_rng(0)
x, grad_y, gamma = rng.normal(3, 2, size=(6, 4)), rng.normal(size=(6, 4)), rng.normal(size=4)
_, cache = batch_norm_forward(x, gamma, np.zeros(4), eps=1e-5)
tested, *_ = batch_norm_backward(grad_y, cache)
ours = last_line(grad_y, cache.x_hat, gamma, cache.inv_std)
raised = last_line(grad_y + 5, cache.x_hat, gamma, cache.inv_std)
facts = {
    "it is the tested one": np.allclose(ours, tested, rtol=1e-10, atol=1e-10),
    "it adds up to 0 over the batch": np.allclose(ours.sum(0), 0, atol=1e-10),
    "5 more on every dy changes nothing": np.allclose(raised, ours, rtol=1e-10, atol=1e-10),
}
for fact, holds in facts.items():
    print(f"{fact}: {holds}")

# %%
takeaway(
    "The last line is right, and two of its checks need no computer.",
    all(facts.values()) and tested.shape == ours.shape,
)

# %% [markdown]
# The second and the third line are checks that you can make at the board: the sum of `dx` is 0, since shifting all
# inputs changes nothing, and so is the answer to a constant gradient, since the outputs always add up to the same.
# Derive it three times in a week, each time from an empty sheet.
#
# ## The ladder
#
# A good interviewer does not ask a second question. They ask the next one: what follows from what you have just said?
# Eight rungs lead up from *How does batch size affect batch norm?* Each is a question of the bank, and stands among the
# follow-ups of the one below it:

# %%
ladder = (
    "how-does-batch-size-matter",
    "two-examples-per-batch",
    "training-or-estimates",
    "positions-are-not-samples",
    "group-or-batch-norm",
    "sync-batch-norm",
    "bigger-batch-less-noise",
    "large-batch-fails",
)
for rung, one in enumerate(ladder, start=1):
    print(fill(f"{rung}. {bank[one].prompt} ({one})", 90, subsequent_indent="   ", break_on_hyphens=False))
assert all(above in bank[below].follow_ups for below, above in pairwise(ladder))

# %% [markdown]
# Answer rung by rung, aloud, until one stops you, and call `ask` with its id, which also draws the plot of rung 3.
# Nobody expects the top. What an interviewer notes is whether you see which consequence comes next, and how you stand
# on a rung that does not hold: "I do not know; I would measure it like this" keeps you on the ladder, and a guess in
# a firm voice does not.
#
# ## A mock, played through
#
# `bnlab interview mock --role ml-engineer --minutes 30`, in a terminal, asks, follows up, gives one coding task and
# keeps the time; you mark yourself. So that you know what comes out, here is one with a made-up candidate. She learned
# from summaries: she knows the definition and the formula by heart, writes the forward pass without a mistake, and has
# never had to find a bug. Beside each question stand the points that she made, the red flags that she said, and the
# share of a full answer that she expected beforehand.

# %%
played = {
    "what-is-batch-norm": ((1, 2, 3, 4), (), 90),
    "no-grad-not-eval": ((1, 2, 4), (), 80),
    "gradient-accumulation": ((), (1,), 75),
    "eval-forgotten": ((1, 2), (), 70),
    "bigger-batch-less-noise": ((1, 2), (), 60),
    "derive-dx": ((1, 2, 3), (), 70),
}


def scorecard(marks):
    """The card of a mock for an ML engineer in which these points were made and these red flags said."""
    at, answers = "2026-03-02T09:00:00+00:00", []
    for one, (points, flags, sure) in marks.items():
        answers.append(Answer(one, "mock", 1, points, flags, bank[one].score(points), sure, None, 180.0, at))
    return Scorecard("ML engineer", 30, at, tuple(answers), Coding("batch_norm_forward", 1, passed=True), bank)


card = scorecard(played)
card

# %% [markdown]
# The verdict is a rule, and its reasons are printed with it. She has a week. What should she practise: what she is best
# at, until it is perfect, or the two answers that were below half?

# %%
full = {one: (tuple(range(1, len(bank[one].rubric) + 1)), (), sure) for one, (_, _, sure) in played.items()}
best, worst = ("what-is-batch-norm", "derive-dx"), ("gradient-accumulation", "eval-forgotten")
for practised in ((), best, worst):
    again = scorecard(played | {one: full[one] for one in practised})
    print(f"{' and '.join(practised) or 'nothing':40} {again.score:4.0%}  {decide(again).word}")
takeaway(
    "Two weak answers made good change the verdict; two good ones made perfect do not.",
    decide(scorecard(played | {one: full[one] for one in best})).word == decide(card).word == "lean"
    and decide(again).word == "strong",
)

# %% [markdown]
# ## Did you know what you knew?
#
# Before each answer the mock asks how much of a full answer you will give. That guess is worth as much as the mark. To
# overrate yourself means to stop practising too soon, and an interviewer notices somebody who is equally sure of
# everything. These are our candidate's six answers and fourteen of earlier days, also made up.

# %%
earlier = [(20, 0.3), (30, 0.35), (40, 0.45), (40, 0.35), (50, 0.55), (55, 0.45), (60, 0.7)]
earlier += [(70, 0.45), (75, 0.6), (80, 0.5), (80, 0.65), (85, 0.5), (90, 0.6), (95, 0.7)]
pairs = [(answer.confidence, answer.score) for answer in card.answers] + earlier
expected, given = np.transpose(pairs)
figures.confidence_against_score(expected, given, who="her answers")

# %% [markdown]
# On the dotted line she would have given what she expected. Where she expected little she gave about that; where she
# expected 70% or more, she nearly always gave less. Her doubts are sound and her certainties are not, so it is in the
# topics that she thinks she knows that she has to be tested. Yours are drawn below the takeaway, once there are any:

# %%
gap, sure = expected - 100 * given, expected >= 70
takeaway(
    f"Where she was sure she expected {gap[sure].mean():.0f} points too much on average; elsewhere less than 5.",
    gap[sure].mean() > 20 and abs(gap[~sure].mean()) < 5,
)
expectations()

# %% [markdown]
# What helps against a gap is dull: answer before you look, mark by the rubric and not by the feeling, and be asked
# again on another day. `mark(...)` in a notebook and `bnlab interview quiz` in a terminal keep the marks in one
# place, and `bnlab interview review` asks what you are about to forget.

# %% [markdown]
# ## Exercises
#
# Now you are the interviewer. Answers like this one stand on many pages of the web; it is to the question at the top of
# this chapter, whose rubric you have seen there.

# %%
for number, statement in STATEMENTS.items():
    print(number, statement)

# %% [markdown]
# Grade it. `hint("grade_the_answer")`, from `bnlab.practice`, nudges.


# %%
def my_grade_the_answer():
    """The verdict on each statement of the answer, and the points of the rubric that it does not make.

    Returns two things: a dict from the number of each statement, 1 to 8, to a verdict, and a set of numbers of points,
    from 1 to 6.

    "sound": experts agree, and it is measured.
    "contested": experts or experiments disagree about it.
    "unsupported": another statement or a measurement contradicts it, or nothing is known that supports it.
    """
    ...


check("grade_the_answer", my_grade_the_answer)

# %% [markdown]
# ## After the course
#
# If you answered the ten questions of chapter [00](00_start_here.ipynb), answer them again. Both results are shown,
# topic by topic, with the reasons, and with the chapter to read again. If you did not, they are a quick test of what to
# read.

# %%
posttest()

# %% [markdown]
# ## What is contested
#
# *Whether an answer can be marked by points.* A rubric misses a brilliant detour, and two markers differ at the edges;
# we prefer it to an impression, which favours whoever speaks well. You are one of the markers too: let somebody else
# mark one of your mocks, and compare. *Whether practising to a rubric makes parrots.* It does if you learn the
# sentences, so the bank marks points and not words. *Whether a mock foretells a real interview, and whether a better
# second test is due to the course or to having seen its questions.* We have not measured that. And about batch norm
# itself, the sentence to keep: that it helps is measured, the reason is debated, and you can say by what experiment.
#
# ## In one sentence
#
# Say exactly what it does, what follows, and where it ends, in that order and for this listener; and find out what you
# do not know by being asked, before somebody else does it.
#
# ## References
#
# - Ioffe and Szegedy 2015, [Batch Normalization](https://arxiv.org/abs/1502.03167).
# - Santurkar et al. 2018, [How Does Batch Normalization Help Optimization?](https://arxiv.org/abs/1805.11604): the
#   experiment to name when internal covariate shift comes up.
# - Bjorck et al. 2018, [Understanding Batch Normalization](https://arxiv.org/abs/1806.02375).
# - Wu and Johnson 2021, [Rethinking "Batch" in BatchNorm](https://arxiv.org/abs/2105.07576): what a batch is.
#
# ## Say it in an interview
#
# > "Let me say what it does, then what follows, then what is open. It standardises each feature over the batch, with a
# > learned scale and shift, and by running averages at inference. So larger rates train, and so outputs depend on the
# > batch, which is where its bugs come from. Why it helps is debated; I can tell you the experiment."

# %%
ask("one-question-four-listeners", "explain-to-a-product-manager", "disagree-about-the-shift", "a-bug-you-found")
