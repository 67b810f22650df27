"""Training: the plain loop for one network, and the same for many networks of one architecture at once."""

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor, nn

from bnlab.experiments.data import Split
from bnlab.experiments.ensemble import Ensemble
from bnlab.experiments.interruption import Interrupted, interrupt_noted, progress
from bnlab.experiments.optimisers import SGD, Optimiser, Schedule, constant
from bnlab.experiments.stepping import Draws, Group, groups_of, trainable

__all__ = ["Ensemble", "Interrupted", "batches", "train", "train_ensemble", "training_steps"]


def train(
    model: nn.Module,
    split: Split,
    *,
    learning_rate: float,
    seed: int,
    steps: int,
    batch_size: int,
    optimiser: Optimiser = SGD(),  # noqa: B008 - frozen
    schedule: Schedule = constant,
) -> int | None:
    """Trains one model in place on the cross-entropy: the plain loop, which `train_ensemble` must equal.

    Args:
        model: its parameters and buffers are changed.
        split: what to train on.
        learning_rate: multiplied by the schedule.
        seed: says in which order the data come, and what a layer draws, such as a dropout mask.
        steps: updates.
        batch_size: examples per update.
        optimiser: makes an update of a gradient; see `bnlab.experiments.optimisers`.
        schedule: from the share of training done to a multiple of the learning rate.

    Returns:
        The step whose loss or gradient was no longer a finite number, where the model stopped as it was before that
        step; None if every step was made.

    Raises:
        ValueError: an argument is out of its range; nothing is computed then.
    """
    _check([learning_rate], [seed], 1, split, steps, batch_size, optimiser)
    parameters = {name: model.get_parameter(name) for name in trainable(model)}
    values = {name: parameter.detach() for name, parameter in parameters.items()}  # the same memory, without gradients
    state, draws = optimiser.start(values), Draws([seed])
    rate, decay = (torch.tensor(number, dtype=torch.float64) for number in (learning_rate, _decays(optimiser, 1)[0]))
    model.train()
    for step, index in enumerate(batches(len(split.y), steps, batch_size, seed), start=1):
        before = [(buffer, buffer.clone()) for buffer in model.buffers()]
        with draws.own():
            loss = nn.functional.cross_entropy(model(split.x[index]), split.y[index])
        gradients = torch.autograd.grad(loss, list(parameters.values()), materialize_grads=True)
        if not all(tensor.isfinite().all() for tensor in (loss, *gradients)):
            for buffer, value in before:
                buffer.copy_(value)
            return step
        named = dict(zip(parameters, gradients, strict=True))
        optimiser.update(values, named, state, rate * schedule((step - 1) / steps), decay)
    return None


def train_ensemble(
    models: Sequence[nn.Module],
    split: Split,
    *,
    learning_rates: Sequence[float],
    seeds: Sequence[int],
    steps: int,
    batch_size: int,
    optimiser: Optimiser = SGD(),  # noqa: B008 - frozen
    schedule: Schedule = constant,
) -> Ensemble:
    """Trains all models at once on the cross-entropy, each with its own learning rate and order of the data.

    Each member follows the path on which `train` takes it alone.

    Args:
        models: one per member, of one architecture, each with its own initial parameters.
        split: what to train on.
        learning_rates: one per member.
        seeds: one per member; members with the same seed see the same batches.
        steps: updates of each member.
        batch_size: examples per update of a member.
        optimiser: makes an update of a gradient; its weight decay may be one number a member.
        schedule: from the share of training done to a multiple of the learning rate.

    Returns:
        The trained members; `models` are left as they were.

    Raises:
        ValueError: an argument is out of its range; nothing is computed then.
        Interrupted: on Ctrl-C; it carries the members as they were after the last whole step.
    """
    ensemble = Ensemble.of(models)
    each_step = training_steps(
        ensemble,
        split,
        learning_rates=learning_rates,
        seeds=seeds,
        steps=steps,
        batch_size=batch_size,
        optimiser=optimiser,
        schedule=schedule,
    )
    with interrupt_noted() as interrupted, progress(steps) as show:
        for step in each_step:
            show(step)
            if interrupted():
                raise Interrupted(ensemble, step)
    return ensemble


def training_steps(
    ensemble: Ensemble,
    split: Split,
    *,
    learning_rates: Sequence[float],
    seeds: Sequence[int],
    steps: int,
    batch_size: int,
    optimiser: Optimiser = SGD(),  # noqa: B008 - frozen
    schedule: Schedule = constant,
) -> Iterator[int]:
    """Trains an ensemble in place, as `train_ensemble` does, and stops after each step for the caller to look at it.

    Returns:
        An iterator over the number of steps done, from 1 to `steps`.

    Raises:
        ValueError: an argument is out of its range; nothing is computed then.
    """
    _check(learning_rates, seeds, len(ensemble), split, steps, batch_size, optimiser)
    return _steps(ensemble, split, learning_rates, seeds, steps, batch_size, optimiser, schedule)


def _steps(  # noqa: PLR0917 - those of training_steps, whose errors come at the call and not at the first step
    ensemble: Ensemble,
    split: Split,
    learning_rates: Sequence[float],
    seeds: Sequence[int],
    steps: int,
    batch_size: int,
    optimiser: Optimiser,
    schedule: Schedule,
) -> Iterator[int]:
    rates = torch.tensor(learning_rates, dtype=torch.float64)
    decays = torch.tensor(_decays(optimiser, len(ensemble)), dtype=torch.float64)
    orders = {seed: batches(len(split.y), steps, batch_size, seed) for seed in set(seeds)}
    order = torch.stack([orders[seed] for seed in seeds], dim=1)  # (steps, members, batch_size)
    cuts = groups_of(ensemble, split.x[order[0, 0]])
    groups = [(cut, Group(ensemble, cut, optimiser, rates, decays)) for cut in cuts]
    draws = Draws(seeds)
    for step, index in enumerate(order, start=1):
        ensemble.architecture.train()  # the caller may have evaluated in between
        multiple = schedule((step - 1) / steps)
        with draws.own():
            for cut, group in groups:
                group.step(step, split.x[index[cut]], split.y[index[cut]], multiple)
        yield step


def batches(examples: int, steps: int, batch_size: int, seed: int) -> Int[Tensor, "steps batch_size"]:
    """Indices of `steps` batches, shape (steps, batch_size): every pass over the data is shuffled anew."""
    generator = torch.Generator().manual_seed(seed)
    passes = -(-steps * batch_size // examples)
    order = torch.cat([torch.randperm(examples, generator=generator) for _ in range(passes)])
    return order[: steps * batch_size].view(steps, batch_size)


def _decays(optimiser: Optimiser, members: int) -> Sequence[float]:
    decay = optimiser.weight_decay
    return decay if isinstance(decay, tuple) else [decay] * members


def _check(  # noqa: PLR0917 - those of train_ensemble
    learning_rates: Sequence[float],
    seeds: Sequence[int],
    members: int,
    split: Split,
    steps: int,
    batch_size: int,
    optimiser: Optimiser,
) -> None:
    decay = optimiser.weight_decay
    for name, values in (("learning rate", learning_rates), ("seed", seeds), ("weight_decay", decay)):
        if isinstance(values, Sequence) and len(values) != members:
            raise ValueError(f"expected one {name} for each of {members} models, got {len(values)}")
    for rate in learning_rates:
        if not 0 < rate < math.inf:
            raise ValueError(f"expected learning rates above 0 and finite, got {rate}")
    if steps < 1:
        raise ValueError(f"expected at least 1 step, got {steps}")
    if not 1 <= batch_size <= len(split.y):
        raise ValueError(f"expected a batch size from 1 to the {len(split.y)} examples of the split, got {batch_size}")
