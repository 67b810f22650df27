"""What a training step shows: gradients that are added up over parts of a batch, and passes that are no such parts."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from bnlab.doctor import examine
from tests.doctor.patients import perceptron, rows

FEW = 12  # images: an accumulation over so few is a warning


def loss_of(model, batch):
    return functional.cross_entropy(model(batch[0]), batch[1])


def perturbed(model, size):
    """Moves the weights along their gradient, as SAM does (arXiv:2010.01412), and returns the way back."""
    with torch.no_grad():
        steps = [(p, size * p.grad / (p.grad.norm() + 1e-12)) for p in model.parameters() if p.grad is not None]
        for parameter, step in steps:
            parameter.add_(step)
    return [(parameter, -step) for parameter, step in steps]


def sam(model, batch, optimizer, *, empties=True, parts=1):
    optimizer.zero_grad()
    for back in (False, True):
        for x, y in zip(*(part.chunk(parts) for part in batch), strict=True):
            loss_of(model, (x, y)).backward()
        if not back:
            way_back = perturbed(model, 0.05)
            if empties:
                optimizer.zero_grad()
    with torch.no_grad():
        for parameter, step in way_back:
            parameter.add_(step)
    optimizer.step()


def sam_that_keeps_the_first_gradient(model, batch, optimizer):
    sam(model, batch, optimizer, empties=False)


def two_losses(model, batch, optimizer):
    """Each with two passes of its own, over the same images."""
    optimizer.zero_grad()
    loss, y = loss_of(model, batch), model(batch[0])
    loss.backward()
    y.square().mean().backward()
    optimizer.step()


def two_losses_of_one_pass(model, batch, optimizer):
    optimizer.zero_grad()
    y = model(batch[0])
    functional.cross_entropy(y, batch[1]).backward(retain_graph=True)
    y.square().mean().backward()
    optimizer.step()


def every_other_batch_is_skipped(losses, *, to_none=True):
    """As where a loss was no number: the gradient is emptied, and nothing moves."""
    calls = []

    def train_step(model, batch, optimizer):
        optimizer.zero_grad(to_none)
        for _ in range(losses):
            loss_of(model, batch).backward()
        calls.append(1)
        if len(calls) % 2 == 0:
            optimizer.step()

    return train_step


def a_step_for_each_part(model, batch, optimizer):
    """Small batches, and honest about it."""
    for x, y in zip(*(part.chunk(4) for part in batch), strict=True):
        optimizer.zero_grad()
        loss_of(model, (x, y)).backward()
        optimizer.step()


def sam_in_parts(model, batch, optimizer):
    sam(model, batch, optimizer, parts=3)


def uneven_parts(model, batch, optimizer):
    optimizer.zero_grad()
    for x, y in zip(*(part.split([5, 7]) for part in batch), strict=True):
        loss_of(model, (x, y)).backward()
    optimizer.step()


def accumulated(train_step):
    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    report = examine(model, rows(n=FEW), optimizer=optimizer, train_step=train_step)
    return [finding for finding in report.findings if finding.id == "BN016"]


@pytest.mark.parametrize(
    "train_step",
    [
        sam,
        sam_that_keeps_the_first_gradient,
        two_losses,
        two_losses_of_one_pass,
        every_other_batch_is_skipped(losses=1),
        every_other_batch_is_skipped(losses=2),
        every_other_batch_is_skipped(losses=2, to_none=False),
        a_step_for_each_part,
    ],
)
def test_passes_that_are_no_parts_of_a_batch_are_no_accumulation(train_step):
    assert accumulated(train_step) == []


@pytest.mark.parametrize(("train_step", "evidence"), [(sam_in_parts, "3 passes back"), (uneven_parts, "2 passes back")])
def test_parts_of_a_batch_are_accumulation(train_step, evidence):
    (finding,) = accumulated(train_step)
    assert finding.severity == "warning"
    assert finding.evidence.startswith(evidence)


class Adversaries(nn.Module):
    """A generator of rows and a discriminator, each with batch norm."""

    def __init__(self):
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(4, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 6))
        self.discriminator = nn.Sequential(
            nn.Linear(6, 16, bias=False), nn.BatchNorm1d(16), nn.LeakyReLU(0.2), nn.Linear(16, 1)
        )

    def forward(self, x):
        return self.discriminator(x)


def adversarial(optimizers, *, parts):
    """The usual step: two passes back for the discriminator, one for the generator through the discriminator."""
    of_generator, of_discriminator = optimizers

    def says(model, rows, real):
        logit = model.discriminator(rows)
        return functional.binary_cross_entropy_with_logits(logit, torch.full_like(logit, real))

    def train_step(model, batch):
        of_discriminator.zero_grad()
        painted = model.generator(torch.randn(len(batch[0]), 4))
        for real, fake in zip(batch[0].chunk(parts), painted.detach().chunk(parts), strict=True):
            says(model, real, 1.0).backward()
            says(model, fake, 0.0).backward()
        of_discriminator.step()
        of_generator.zero_grad()
        says(model, painted, 1.0).backward()  # leaves a gradient in the discriminator, too
        of_generator.step()

    return train_step


@pytest.mark.parametrize(("parts", "found"), [(1, []), (4, ["BN016"])])
def test_the_passes_of_two_adversaries_are_no_accumulation_but_parts_of_them_are(parts, found):
    """Their optimizers hold the original's parameters, so nobody empties the gradients of the copy."""
    model = Adversaries()
    optimizers = [torch.optim.Adam(part.parameters(), lr=2e-3) for part in (model.generator, model.discriminator)]
    report = examine(model, rows(n=FEW * parts), train_step=adversarial(optimizers, parts=parts))
    assert [finding.id for finding in report.findings if finding.id == "BN016"] == found
