"""Training many networks of one architecture at once."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from bnlab.experiments.data import Split


@dataclass(frozen=True)
class Ensemble:
    """Networks of one architecture, their tensors stacked: the first axis of every tensor counts the members."""

    architecture: nn.Module  # says how to compute; its own tensors are not used
    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]

    @classmethod
    def of(cls, models: Sequence[nn.Module]) -> "Ensemble":
        """Stacks copies of the models' parameters and buffers; the models stay as they are."""
        parameters, buffers = stack_module_state(list(models))
        return cls(deepcopy(models[0]), {name: p.detach() for name, p in parameters.items()}, buffers)

    def member(self, index: int) -> nn.Module:
        """One member as a module of its own."""
        model = deepcopy(self.architecture)
        model.load_state_dict({name: tensor[index] for name, tensor in (self.parameters | self.buffers).items()})
        return model

    def accuracy(self, split: Split) -> Tensor:
        """Share of the split that each member gets right in evaluation mode; an output of NaN counts as wrong."""
        self.architecture.eval()

        def outputs(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
            return functional_call(self.architecture, (parameters, buffers), (split.x,))  # type: ignore[no-any-return]

        with torch.no_grad():
            y = vmap(outputs)(self.parameters, self.buffers)
        right = (y.argmax(-1) == split.y) & y.isfinite().all(-1)
        return right.double().mean(-1)

    def diverged(self) -> Tensor:
        """Which members hold a parameter that is no longer a finite number."""
        return ~torch.stack([p.flatten(1).isfinite().all(1) for p in self.parameters.values()]).all(0)


def train_ensemble(
    models: Sequence[nn.Module],
    split: Split,
    *,
    learning_rates: Sequence[float],
    seeds: Sequence[int],
    steps: int,
    batch_size: int,
) -> Ensemble:
    """Plain SGD on the cross-entropy for all models at once, each with its own learning rate and order of the data.

    Args:
        models: one per member, of one architecture, each with its own initial parameters.
        split: what to train on.
        learning_rates: one per member.
        seeds: one per member; members with the same seed see the same batches.
        steps: updates of each member.
        batch_size: examples per update of a member.

    Returns:
        The trained members; `models` are left as they were.
    """
    ensemble = Ensemble.of(models)
    for _ in sgd_steps(ensemble, split, learning_rates=learning_rates, seeds=seeds, steps=steps, batch_size=batch_size):
        pass
    return ensemble


def sgd_steps(
    ensemble: Ensemble,
    split: Split,
    *,
    learning_rates: Sequence[float],
    seeds: Sequence[int],
    steps: int,
    batch_size: int,
) -> Iterator[int]:
    """Trains an ensemble in place, as `train_ensemble` does, and stops after each step for the caller to look at it.

    Yields:
        The number of steps done, from 1 to `steps`.
    """
    architecture = ensemble.architecture

    def loss(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        logits = functional_call(architecture, (parameters, buffers), (x,))
        return nn.functional.cross_entropy(logits, y)

    gradients_and_losses = vmap(grad_and_value(loss))
    rates = torch.tensor(learning_rates, dtype=torch.float64)
    orders = {seed: batches(len(split.y), steps, batch_size, seed) for seed in set(seeds)}
    indices = torch.stack([orders[seed] for seed in seeds], dim=1)  # (steps, members, batch_size)
    for step, index in enumerate(indices, start=1):
        architecture.train()  # the caller may have evaluated in between
        gradients, _ = gradients_and_losses(ensemble.parameters, ensemble.buffers, split.x[index], split.y[index])
        for name, parameter in ensemble.parameters.items():
            parameter.sub_(rates.to(parameter.dtype).view(-1, *[1] * (parameter.ndim - 1)) * gradients[name])
        yield step


def batches(examples: int, steps: int, batch_size: int, seed: int) -> Tensor:
    """Indices of `steps` batches, shape (steps, batch_size): every pass over the data is shuffled anew."""
    generator = torch.Generator().manual_seed(seed)
    passes = -(-steps * batch_size // examples)
    order = torch.cat([torch.randperm(examples, generator=generator) for _ in range(passes)])
    return order[: steps * batch_size].view(steps, batch_size)
