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
# # Which mistakes does batch norm invite, and how do you find them?
#
# **You will** see eight patients: small stand-ins, written for this chapter, each with a fault of real networks. You
# look at the symptom, commit to a diagnosis, send for the doctor, mend the fault, and measure the cure by the number
# that showed the symptom. **You learn** to tell faults apart that look alike from outside, and to find them in a
# network that you did not write. **You need** 60 minutes, and chapters [05](05_mechanism_inference.ipynb) and
# [07](07_benefits_robust.ipynb).
#
# Batch norm makes an output depend on three things beside its input: the batch, the mode, and the batches that passed
# before. No error is raised when one of them is not what you think. Each patient has one of them wrong.
#
# ## First, from memory
#
# Answer aloud before you unfold.

# %%
from copy import deepcopy
from functools import partial

import torch
from torch import nn

from bnlab import figures
from bnlab.deploy import convert, freeze
from bnlab.doctor import RULES, examine
from bnlab.experiments import studies
from bnlab.experiments.claims import ledger
from bnlab.experiments.data import Split, digits
from bnlab.experiments.models import cnn, mlp
from bnlab.experiments.training import Ensemble, train
from bnlab.layers import BatchNorm1d, BatchNorm2d
from bnlab.notebook import setup, takeaway
from bnlab.practice import ask, check, predict, recall, reveal

setup()
claims, data, reports = ledger(), digits(), {}

# %%
recall("10")

# %% [markdown]
# ## Two values a channel
#
# *The first patient* is an MLP of three hidden layers that learns digits. It did well with batches of 32, was moved to
# a smaller device, and now gets batches of 2. Its errors on test images, a mean over ten seeds, beside those of the
# same network without a norm:

# %%
batches = studies.result("small_batches")
error = {arm: 100 - 100 * seeds.mean(1) for arm, seeds in batches.test.items()}
for size in (2, 32):
    at = batches.at(size)
    print(f"batches of {size:2}: {error['batch_norm'][at]:4.1f}% errors, without a norm {error['no_norm'][at]:.1f}%")

# %% [markdown]
# It is one pass over the data in each case, so batches of 32 make 33 steps, and batches of 2 make 538. Without a norm,
# batches of 2 do no harm. Commit to a diagnosis before you go on.
#
# `examine(model, loader)` sends for the doctor. It reads up to 64 batches, runs copies of the network on some 160 of
# their images, measures, and changes nothing; the network need not be trained. A finding names one layer, as
# `named_modules()` does, and counts the others; its fix is for all of them. The cure that it names here needs a word.
# **Group norm** splits the channels of *one* example into groups, and normalises each group by its own mean and
# variance; with one group, as `convert` takes for an MLP, that is **layer norm**. It knows no batch, so it has no
# running statistics and no second mode.

# %%
patient, pairs = partial(mlp, 64, 10, depth=3, width=32, norm=BatchNorm1d), data.train.x[:1076].split(2)
network = patient(generator=torch.Generator().manual_seed(0))
reports["Two values a channel"] = examine(network, pairs)
reports["Two values a channel"]

# %%
print(f"{len(convert(network, to='group_norm').replaced)} layers replaced;", examine(network, pairs))
cured, untouched, ill = (error[arm][batches.at(2)] for arm in ("layer_norm", "no_norm", "batch_norm"))
print(f"batches of 2, layer norm: {cured:.1f}% errors")
takeaway(
    "Two values to a channel ruined batch norm in this MLP; with layer norm, or no norm at all, it learned well.",
    not examine(network, pairs).findings and max(cured, untouched) < 10 and ill > 50,
)

# %% [markdown]
# Of two values that differ, batch norm leaves a sign: the larger becomes 1 and the smaller -1, but for `eps`, gamma and
# beta. Two images are not always two values: convolutions bring their positions, and chapter
# [11](11_alternatives.ipynb) asks what those are worth.
#
# ## The forgotten eval
#
# *The second patient* is a CNN that has learned digits and now answers requests. One image is sent a hundred times, in
# batches of 16: with 15 random others, and then with 15 others of its own class. This is the probability that its true
# class gets, in batch after batch:

# %%
network = cnn(1, 10, depth=3, width=16, norm=BatchNorm2d, generator=torch.Generator().manual_seed(0))
settings = {"learning_rate": 0.3, "seed": 0, "batch_size": 32}
train(network, data.train, steps=200, **settings)
image, label = data.test.x[:1], data.test.y[0]
pools = {"random company": data.train.x, "its own class": data.train.x[data.train.y == label]}
served, answers = {"training": deepcopy(network), "evaluation": deepcopy(network).eval()}, {}
for name, pool in pools.items():
    company = [torch.cat([image, pool[torch.randperm(len(pool))[:15]]]) for _ in range(100)]
    for mode, model in served.items():
        logits = torch.stack([model(batch)[0].detach() for batch in company])
        answers[mode, name] = logits.softmax(-1)[:, label].numpy()
title = "In training mode one image has many answers, the worst of them among its own kind"
at_work = {name: answers["training", name] for name in pools}
figures.answers_by_company(at_work, truth=answers["evaluation", "its own class"][0], title=title)

# %% [markdown]
# Each dot is an answer to the same image, the first of the test set. Commit to a diagnosis before you go on, and to a
# test that would prove it.

# %%
reports["The forgotten eval"] = examine(served["training"], purpose="inference")
print(reports["The forgotten eval"], claims["sorted-in-training-mode"].summary, sep="\n\n")
takeaway(
    "In training mode this image's answer depends on its company, and its own class was the worst. In evaluation mode "
    "it does not. The test: send one image in two companies.",
    answers["training", "its own class"].max() < 0.3 < answers["training", "random company"].mean()
    and max(abs(answers["evaluation", name] - answers["evaluation", "its own class"][0]).max() for name in pools) < 1e-3
    and claims["sorted-in-training-mode"].verdict == "supported",
)

# %% [markdown]
# Among its own kind an image loses what they have in common, and that is the class. So this mistake looks small on
# shuffled test images, and is large behind a service whose requests come sorted. `torch.no_grad()` is no cure, and the
# running statistics go on moving meanwhile (chapter [05](05_mechanism_inference.ipynb)).
#
# ## Sorted batches
#
# *The third patient* is an MLP with batches of 20. Each batch holds images of one class, and the classes come in random
# order, as from a sampler that shuffles groups and not images. (A loader that reads one class's folder after another is
# worse still for any network, which then forgets the earlier ones.)

# %%
predict("one-class-batches")

# %%
mixed = studies.result("sorted_batches")
for arm, seeds in mixed.test.items():
    shares = zip(mixed.config.classes, 100 * seeds.mean(1), strict=True)
    print(f"{arm:10}", *(f"{count} in a batch: {share:.0f}%;" for count, share in shares))
title = "Trained on one class at a time, batch norm ends in guessing"
figures.accuracy_by_classes(mixed, title=title)

# %% [markdown]
# Classes in each training batch, and test accuracy in evaluation mode; a dot for every seed, a bar for the 95% interval
# of the mean, each arm at its own best rate. All arms lose by batches of one class, since each step pulls towards that
# class; batch norm ends with nothing. Commit to a diagnosis: are the running statistics to blame, and would exact ones
# help?

# %%
in_order = data.train.x[data.train.y.argsort(stable=True)]
reports["Sorted batches"] = examine(patient(), in_order[:1060].split(20))
print(reports["Sorted batches"], examine(patient(), data.train.x[:1060].split(20)), sep="\n\nAnd shuffled:\n")
for name in ("one-class-batches", "one-class-recalibrated", "two-class-batches"):
    print(claims[name].summary)
takeaway(
    "Batches of one class ruined batch norm, and exact statistics did not bring it back. All ten "
    "classes in each batch helped every arm.",
    [claims[f"one-class-{name}"].verdict for name in ("batches", "recalibrated")] == ["supported", "not supported here"]
    and all(seeds[mixed.at(10)].mean() > seeds[mixed.at(1)].mean() + 0.05 for seeds in mixed.test.values()),
)
reveal("one-class-batches")

# %% [markdown]
# So it is not the stored statistics that are wrong but what was learned: the class was taken out before the network
# could see it.
#
# ## Dropout in front
#
# *The fourth patient* classifies series (MNIST-1D) by an MLP of four layers. Somebody has put dropout of 0.5 behind
# each activation, and so in front of each norm but the first. Its test accuracy, by running statistics and by exact
# ones (those of all training series, without dropout), beside two networks that are otherwise the same. And of each
# norm: the variance that it meets in evaluation, in units of the one that it has stored.

# %%
dropped = studies.result("dropout_before_norm")
for arm, met in dropped.variance.items():
    running, exact = (100 * accuracy[arm].mean() for accuracy in (dropped.running, dropped.exact))
    print(f"{arm:15}: {running:.0f}% running, {exact:.0f}% exact; variance met", *(f"{one:.2f}" for one in met.mean(1)))

# %% [markdown]
# Commit to a diagnosis before you go on. A hint: a value is dropped to 0 or doubled, one as likely as the other; what
# becomes of its mean, and of its mean square? (The doctor sees an untrained MLP of three layers on digits.)

# %%
reports["Dropout in front"] = examine(patient(dropout=0.5), data.train.x[:1060].split(20))
print(reports["Dropout in front"])
for name in ("dropout-shifts-variance", "dropout-shift-costs", "dropout-place"):
    print(claims[name].summary)
takeaway(
    "Dropout in front of a norm makes it store more variance than evaluation meets. Exact statistics won back a part; "
    "dropout behind the last norm shifted nothing, and was better still. No dropout was best here.",
    all(claims[f"dropout-{name}"].verdict == "supported" for name in ("shifts-variance", "shift-costs", "place"))
    and abs(dropped.variance["behind_the_last"].mean(1) - 1).max() < 0.02
    and max(dropped.exact, key=lambda arm: dropped.exact[arm].mean()) == "none",
)

# %% [markdown]
# The mean stays, and the mean square is doubled; the weights mix many such values, so the variance behind them grows,
# by a factor that depends on the network. Most of what this patient lacks is not the shift, though: by exact
# statistics, too, it is far behind the network without dropout. Neither dropout nor the 200 steps were tuned, so that
# is no verdict on dropout.
#
# ## Fine-tuning with moving statistics
#
# *The fifth patient* is the CNN of the forgotten eval. A new camera gives brighter images. "Freeze all that we have,"
# somebody says, "and train a second head for the new camera; then both can share the backbone." So `requires_grad` is
# False for all that there was, and a new linear head is trained.

# %%
predict("frozen-weights-moving-statistics")

# %% tags=["nbval-ignore-output"]
trained, brighter = network.requires_grad_(requires_grad=False), 0.3 * (data.train.x.max() - data.train.x.min())
new_camera, new_test = (Split(split.x + brighter, split.y) for split in (data.train, data.test))


def second_head(network):
    """Train a second head on the backbone of a network: points lost with the first, percent right with the second."""
    tuned, before = network[:-1].append(nn.Linear(16, 10)), Ensemble.of([network]).accuracy(data.test).item()
    train(tuned, new_camera, steps=200, **settings)
    after, new = Ensemble.of([network]).accuracy(data.test).item(), Ensemble.of([tuned]).accuracy(new_test).item()
    return 100 * (before - after), 100 * new


moving = deepcopy(trained)
lost, new = second_head(moving)
shift = ((moving[1].running_mean - trained[1].running_mean) / trained[1].running_var.sqrt()).abs().max().item()
print(f"old camera, old head: {lost:.0f} points lost; new camera: {new:.0f}% right")
print(f"running means of the first norm moved by up to {shift:.1f} standard deviations")

# %% [markdown]
# Not one weight that the old head reads or holds has changed. Commit to a diagnosis before you go on.

# %% tags=["nbval-ignore-output"]
reports["Fine-tuning with moving statistics"] = examine(moving.train())
print(reports["Fine-tuning with moving statistics"])
frozen = deepcopy(trained)
freeze(frozen)
lost_frozen, new_frozen = second_head(frozen)
print(f"frozen: old camera, old head: {lost_frozen:.0f} points lost; new camera: {new_frozen:.0f}% right")
takeaway(
    "requires_grad=False does not freeze a batch norm: its statistics moved, and the old head lost its accuracy. "
    "freeze() held them, and nothing was lost; the new camera did worse for it.",
    lost > 10 and lost_frozen == 0 and new_frozen < new and shift > 0.5,
)
reveal("frozen-weights-moving-statistics")

# %% [markdown]
# Moving statistics are a kind of training, wanted or not: here they fitted the backbone to the new camera. If the old
# one is gone for good, let them move; if two tasks share a backbone, freeze it. `freeze` outlasts `model.train()`; by
# hand it is the doctor's loop over the three norms, after *every* `model.train()`.
#
# ## Accumulation is no large batch
#
# *The sixth patient* has memory for 2 images at a time. Its owner adds up the gradients of 16 such batches before each
# step, and says: "That is a batch of 32." For a network without a norm, it is. And with batch norm?

# %%
predict("accumulate-sixteen-times-two")

# %% [markdown]
# The loss of a pass is the sum over its examples, divided by the number of *all* examples, so that all passes together
# add up to the gradient of the mean loss:


# %%
def accumulate(model, batch, size):
    """The gradient of a batch, added up over passes of so many examples."""
    model.zero_grad()
    for images, labels in zip(*(part.split(size) for part in batch), strict=True):
        loss = nn.functional.cross_entropy(model(images), labels, reduction="sum") / len(batch[1])
        loss.backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


# %%
network = patient(generator=torch.Generator().manual_seed(0)).double()
batch = data.train.x[:32].double(), data.train.y[:32]
sums = {size: accumulate(network, batch, size) for size in (32, 16, 8, 4, 2)}
alike = {size: nn.functional.cosine_similarity(one, sums[32], dim=0).item() for size, one in sums.items()}
for size, cosine in alike.items():
    print(f"{32 // size:2} times {size:2}: cosine with the gradient of 32 at once {cosine:5.2f}")

# %% [markdown]
# A cosine of 1 is the same direction, at 0 two gradients have nothing in common. Commit to a diagnosis before you go
# on. To see accumulation the doctor must see a step: it calls `train_step` on a copy, with a copy of the optimiser.


# %%
def train_step(model, batch, optimizer):
    """One step on 32 images, two at a time."""
    accumulate(model, batch, size=2)
    optimizer.step()


rate = torch.optim.SGD(network.parameters(), lr=0.1)
reports["Accumulation is no large batch"] = examine(network, [batch], optimizer=rate, train_step=train_step)
print(reports["Accumulation is no large batch"])
convert(network, to="group_norm")
same = torch.allclose(accumulate(network, batch, 2), accumulate(network, batch, 32), rtol=0, atol=1e-10)
print("layer norm: 16 times 2 agrees with 32 at once to 1e-10:", same)
takeaway(
    "With batch norm 16 times 2 is not 32: each pass has its own statistics, and the gradient is another. With a norm "
    "of one example the two are the same.",
    same and max(cosine for size, cosine in alike.items() if size < 32) < 0.9,
)
reveal("accumulate-sixteen-times-two")

# %% [markdown]
# How far the gradients are apart depends on the network, which is untrained here; that they differ does not.
#
# ## A leak between pairs
#
# *The seventh patient* is to learn without labels. Each image is seen in two **views**, here with its contrast changed
# at random. A **query**, one view, must find its **key**, the other, among the keys of other images. Queries pass the
# encoder in batches of 16, and their keys in the same company. He et al. 2020 shuffle keys in such a task, against a
# leak by way of batch norm. So what does an output hold beside its image? Our images have a frame without ink, as many
# photographs have, and we look at one corner of the output, which sees nothing but frame. There are 64 batches: does
# the corner of a query tell in which of them its key was? A guess is right in 1 of 64, 1.6%. Commit to a diagnosis when
# you have seen the numbers: what is in the corner, if not the image?

# %%
encoder = cnn(1, 10, depth=3, width=16, norm=BatchNorm2d, generator=torch.Generator().manual_seed(0))[:9]
low = data.train.x.min().item()
framed = nn.functional.pad(data.train.x[:1024], (3, 3, 3, 3), value=low)


def found_by_corner(encoder, contrast, order):
    """How often the corner of a query's output is nearest to that of the batch which holds its key."""
    corners = []
    for images in (framed, framed[order]):
        view = low + (images - low) * (1 - contrast + 2 * contrast * torch.rand(1024, 1, 1, 1))
        corners.append(torch.stack([encoder(batch)[0, :, 0, 0].detach() for batch in view.split(16)]))  # all 16 agree
    nearest = (corners[0][:, None] - corners[1]).norm(dim=2).argmin(1)  # the batch of keys, for each of queries
    return 100 * (nearest.repeat_interleave(16) == order.argsort() // 16).double().mean().item()


leak = {contrast: found_by_corner(encoder, contrast, torch.arange(1024)) for contrast in (0.0, 0.1, 0.3)}
for contrast, share in leak.items():
    print(f"contrast changed by up to {100 * contrast:2.0f}%: the batch of the key is found in {share:.0f}%")

# %%
reports["A leak between pairs"] = examine(encoder, framed.split(16))
print(reports["A leak between pairs"])
mended = found_by_corner(encoder, 0.1, torch.randperm(1024)), found_by_corner(encoder.eval(), 0.1, torch.arange(1024))
print("keys shuffled among the batches: {:.1f}%; evaluation mode: {:.1f}%".format(*mended))
takeaway(
    "In training mode a batch leaves its mark on every example in it, even where that is blank. If keys are in other "
    "company than their queries, the mark leads nowhere. The doctor does not know the loss, and finds nothing.",
    leak[0.0] > 90 and min(leak.values()) > 4 and max(mended) < 4 and not reports["A leak between pairs"].findings,
)

# %% [markdown]
# The frame is the same in all images, but batch norm subtracts the batch's mean from it and divides by the batch's
# standard deviation, and two views of the same 16 images have nearly the same ones; the more the views differ, the
# fainter the mark. We have shown that the mark is there, in an untrained encoder, and not that a network learns to read
# it. He et al. shuffle the keys among devices before they are encoded, so that a key has other company than its query.
#
# ## One norm, two domains
#
# *The eighth patient* is the discriminator of a GAN: it tells real images from generated ones. (Here real ones are
# digits, and blurred digits stand for generated ones.) A step passes real images first and then generated ones, as much
# code does. The class below takes them side by side, and gives logits side by side.


# %% tags=["nbval-ignore-output"]
class Separately(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, pairs):
        return torch.stack([self.network(kind) for kind in pairs.unbind(1)], dim=2)


blur = nn.AvgPool2d(3, stride=1, padding=1)
pairs, unseen = (torch.stack([x, blur(x.flip(0))], 1) for x in (data.train.x, data.test.x))
real = torch.tensor([1, 0])
network = partial(cnn, 1, 2, depth=2, width=8, norm=BatchNorm2d)
apart = Separately(network(generator=torch.Generator().manual_seed(0)))
train(apart, Split(pairs, real.expand(len(pairs), 2)), steps=200, **settings)
in_evaluation, in_training = (
    100 * (apart.train(mode)(unseen).argmax(1) == real).double().mean().item() for mode in (False, True)
)
print(f"in evaluation mode {in_evaluation:.0f}% right, in training mode {in_training:.0f}%")
assert in_evaluation < in_training - 10

# %% [markdown]
# A guess is right in 50%. Commit to a diagnosis before you go on: of what are the running statistics an average, and
# which batch looks like that? And before you join the two kinds in one batch, think of what they share then:

# %%
predict("two-domains-one-norm")

# %% tags=["nbval-ignore-output"]
reports["One norm, two domains"] = examine(Separately(network()), pairs[:1056].split(32))
print(reports["One norm, two domains"])
kinds = torch.randn(1000, 1), 10 + torch.randn(1000, 1)
print(f"one norm for means of 0 and 10: std {BatchNorm1d(1)(torch.cat(kinds))[:1000].std().item():.1f} is left of each")
mixture, unseen_mixture = (Split(both.flatten(0, 1), real.repeat(len(both))) for both in (pairs, unseen))
joint = network(generator=torch.Generator().manual_seed(0))
train(joint, mixture, steps=200, **settings | {"batch_size": 64})
cured = 100 * Ensemble.of([joint]).accuracy(unseen_mixture).item()
print(f"trained on both at once, in evaluation mode: {cured:.0f}% right")
takeaway(
    "Trained on one kind at a time, this discriminator was far worse in evaluation mode than in training mode. Trained "
    "on mixed batches, it was right in evaluation mode.",
    in_evaluation < in_training - 10 and cured > 95,
)
reveal("two-domains-one-norm")

# %% [markdown]
# The stored mean lies between the two kinds, where no batch of training was. Mixed batches cure it: a batch is then
# what the statistics are an average of. The price is the shared variance: the farther the kinds are apart, the less is
# left of what happens within each. The other cure is a norm for each domain (Xie et al. 2020: clean and adversarial
# images); it must know the domain at inference, and a discriminator is there to find it out.
#
# ## The doctor's list
#
# Not every mistake has been in this clinic. These are all the doctor's rules, with what you may see of each, and a
# cure; the last column names the patient. A finding is no proof of harm, and silence no proof of health: the leak went
# unseen.

# %%
seen_as = {
    "BN001": ("learns badly in small batches", "group norm, larger batches"),
    "BN002": ("answers change with their company", "eval()"),
    "BN003": ("a bias never learns", "bias=False"),
    "BN004": ("evaluation far below training", "recalibrate"),
    "BN005": ("evaluation jumps from step to step", "1 - the momentum copied"),
    "BN006": ("scales shrink", "a group without decay"),
    "BN007": ("a frozen network changes", "freeze"),
    "BN008": ("evaluation a little off", "dropout behind the last norm"),
    "BN009": ("channels say nothing, or too much", "look at what feeds them"),
    "BN010": ("fits neither of two domains", "mixed batches, or a norm each"),
    "BN011": ("statistics stand still or overflow", "batch norm in float32"),
    "BN012": ("worse on more devices", "SyncBatchNorm"),
    "BN013": ("evaluation ends in guessing", "shuffle"),
    "BN014": ("statistics move too fast", "a smaller momentum"),
    "BN015": ("inference slower than need be", "fold"),
    "BN016": ("a large batch acts like a small one", "group norm, SyncBatchNorm"),
    "BN017": ("evaluation gives NaN", "reset, then recalibrate"),
    "BN018": ("short sequences do worse", "a norm that takes a mask"),
}

# %%
met = {finding.id: patient for patient, report in reports.items() for finding in report.findings}
for rule, title in RULES.items():
    print(f"{rule} {title:43}| {seen_as[rule][0]:36}| {seen_as[rule][1]:30}| {met.get(rule, '')}")
takeaway(
    "Seven of the eight patients have a rule that finds them, each its own; the leak has none.",
    set(reports) - set(met.values()) == {"A leak between pairs"} and len(met) == 7 and set(seen_as) == set(RULES),
)
claims.of("10")

# %% [markdown]
# ## Exercises
#
# Write your answer in place of the `...` and run the cell; `hint("examples_behind")` and its like, from
# `bnlab.practice`, nudge. Before any code trains: what is a mean over, and what a gradient?


# %%
def my_examples_behind(batch_size, accumulated, processes, synchronised):
    """How many examples are behind a mean of batch norm, and how many behind the gradient of one optimiser step.

    Each process passes batch_size examples through its copy of the network at once, and adds up the gradients of
    accumulated such batches before a step; the processes average their gradients. synchronised says whether the norms
    are SyncBatchNorm.
    """
    ...


check("examples_behind", my_examples_behind)

# %% [markdown]
# Two lines freeze the norms of a network, and most ways to write them freeze something else.


# %%
def my_freeze_norms(pretrained):
    """Let every batch norm of a network normalise by its running statistics and leave them as they are. In place.

    It is called right after pretrained.train(), before each epoch of fine-tuning. The norms are nn.BatchNorm1d and
    nn.BatchNorm2d, anywhere in the network. Everything else goes on as before: dropout drops, and all parameters are
    trained, gammas and betas too.
    """
    ...


check("freeze_norms", my_freeze_norms)

# %% [markdown]
# The cure by hand: each domain gets statistics of its own, and every row stays where it was.


# %%
def my_domain_norm(x, domain, eps):
    """Batch norm in training mode, before gamma and beta, with statistics of their own for each of two domains.

    x has shape (n, c) and domain has shape (n,): 0 or 1, the domain of each row, such as generated or real. The rows
    come in any order, the result has them in the same. A batch may be all of one domain. The variance is the biased
    one, plus eps.
    """
    ...


check("domain_norm", my_domain_norm)

# %% [markdown]
# ## What is contested
#
# *Whether small statistics are a fault.* Ghost batch norm takes them on purpose, and chapter
# [07](07_benefits_robust.ipynb) shows what their noise can gain. *Whether norms should be frozen in fine-tuning.*
# Detectors are often trained with frozen ones, since few images fit; with large batches and much new data, moving ones
# adapt. *Whether dropout and batch norm exclude each other.* Li et al. report losses in some networks and name the Wide
# ResNet as an exception. *Whether all this is an argument against batch norm.* Some take it so, and use norms of one
# example; Wu and Johnson's review calls for care with what a batch is.
#
# ## In one sentence
#
# Most mistakes with batch norm are one: somebody believed that an output depends on its input alone; so ask each time
# which batch, which mode and which past it depends on as well.
#
# ## References
#
# - Wu and Johnson 2021, [Rethinking "Batch" in BatchNorm](https://arxiv.org/abs/2105.07576): batches of few, of several
#   domains, and leaks.
# - Wu and He 2018, [Group Normalization](https://arxiv.org/abs/1803.08494).
# - Nado et al. 2020, [Prediction-Time Batch Normalization](https://arxiv.org/abs/2006.10963).
# - Li et al. 2018, [Understanding the Disharmony between Dropout and Batch
#   Normalization](https://arxiv.org/abs/1801.05134).
# - He et al. 2020, [Momentum Contrast](https://arxiv.org/abs/1911.05722): shuffled batch norm.
# - Xie et al. 2020, [Adversarial Examples Improve Image Recognition](https://arxiv.org/abs/1911.09665): two norms for
#   two domains.
#
# ## Say it in an interview
#
# > "If training looks fine and evaluation does not, I ask three things of batch norm. Which mode is it in: I send one
# > image in two companies, and the answer must not change. Which batch did it see: how many independent examples, were
# > they shuffled, was it several domains, because accumulating gradients does not make its batch larger. And are the
# > stored statistics those of the data: I recalibrate and see whether it helps. If exact statistics do not help, then
# > training itself went wrong. And requires_grad=False does not freeze it."

# %%
ask("gradient-accumulation", "unshuffled-loader", "fine-tune-two-images", "contrastive-leak", "one-norm-two-domains")
