"""What one step of training costs on the machine that runs it."""

import time
from collections.abc import Mapping

import torch
from torch import nn

from bnlab.experiments.data import Split
from bnlab.experiments.training import batches

WARM_UP = 3  # steps: the first allocate memory and choose kernels


def seconds_per_step(
    models: Mapping[str, nn.Module], split: Split, *, batch_size: int, seed: int, rounds: int, steps: int
) -> dict[str, float]:
    """Seconds that one step of each network takes, in a plain torch loop: forward, backward, update.

    The networks take turns, a round each, so that whatever else the machine does falls on all of them; each one's
    fastest round counts, since a disturbance can only add to what a step costs.

    Args:
        models: by name; they are trained in place.
        split: what to train on.
        batch_size: examples per step.
        seed: says in which order the data come.
        rounds: how many each network has, beside the steps that warm it up.
        steps: of one round.

    Returns:
        By name, seconds.

    Example:
        >>> split = Split(torch.randn(20, 4), torch.zeros(20, dtype=torch.int64))
        >>> seconds = seconds_per_step({"one": nn.Linear(4, 2)}, split, batch_size=10, seed=0, rounds=1, steps=1)
        >>> seconds["one"] > 0
        True
    """
    order = batches(len(split.y), max(steps, WARM_UP), batch_size, seed)
    examples = [(split.x[index], split.y[index]) for index in order]
    optimisers = {name: torch.optim.SGD(model.parameters(), lr=0.01) for name, model in models.items()}
    taken: dict[str, list[float]] = {name: [] for name in models}
    for name, model in models.items():
        _steps(model.train(), optimisers[name], examples[:WARM_UP])
    for _ in range(rounds):
        for name, model in models.items():
            begin = time.perf_counter()
            _steps(model, optimisers[name], examples[:steps])
            taken[name].append((time.perf_counter() - begin) / steps)
    return {name: min(seconds) for name, seconds in taken.items()}


def _steps(
    model: nn.Module, optimiser: torch.optim.Optimizer, examples: list[tuple[torch.Tensor, torch.Tensor]]
) -> None:
    for x, y in examples:
        optimiser.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(model(x), y))
        optimiser.step()
