"""Digits trained in several processes, each with a small batch: batch norm per process, and over all of them.

    torchrun --nproc-per-node 2 -m bnlab.experiments.distributed

Both networks start from the same weights and see the same joined batches, of which each process has its part, so only
the statistics differ: a process's own, or everybody's. It runs on the CPU.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from statistics import median
from typing import Annotated, NamedTuple

import torch
import torch.distributed as dist
import typer
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from bnlab.experiments.data import Split, digits
from bnlab.experiments.models import cnn
from bnlab.experiments.training import batches
from bnlab.layers import BatchNorm2d, SyncBatchNorm
from bnlab.runtime import set_threads

LEARNING_RATE = 0.1
WIDTH = 16  # channels


class Outcome(NamedTuple):
    """What one kind of norm came to.

    Attributes:
        norm: its name.
        values: those of each channel that are normalised together.
        accuracy: on the test split, from 0 to 1.
        seconds: of a step, the median.
    """

    norm: str
    values: int
    accuracy: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.norm:<16} {self.values:>18}   {self.accuracy:>13.1%}   {1e3 * self.seconds:>11.1f}"


HEAD = f"{'norm':<16} {'values per channel':>18}   {'test accuracy':>13}   {'ms per step':>11}"


def compare(*, batch: int, steps: int, seed: int) -> Iterator[Outcome]:
    """Train one network after the other, each in every process of the group at once.

    Args:
        batch: images in each process.
        steps: updates of each network.
        seed: draws the weights and the order of the data.

    Yields:
        An outcome for each norm; accuracy and seconds are measured in the process that asks.
    """
    data = digits()
    for norm, sharing in ((BatchNorm2d, 1), (SyncBatchNorm, dist.get_world_size())):
        model = cnn(1, 10, depth=3, width=WIDTH, stride=2, norm=norm, generator=torch.Generator().manual_seed(seed))
        seconds = train(model, data.train, batch=batch, steps=steps, seed=seed)
        in_one_process = model[0](data.train.x[:batch]).numel() // WIDTH
        yield Outcome(norm.__name__, in_one_process * sharing, _accuracy(model, data.test), median(seconds))


def train(model: nn.Module, split: Split, *, batch: int, steps: int, seed: int) -> list[float]:
    """Train a model in place under `DistributedDataParallel`, by SGD on the cross-entropy.

    Since all processes have equally many images, the average of their gradients is the gradient of the joined batch.

    Args:
        model: the same in every process.
        split: what to train on.
        batch: images in each process; the joined batch is this times the number of processes.
        steps: updates.
        seed: the order of the data.

    Returns:
        Seconds that each step took.
    """
    replica = DistributedDataParallel(model.train())
    optimiser = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    joined = batches(len(split.y), steps, batch * dist.get_world_size(), seed)
    taken = []
    for index in joined[:, dist.get_rank() * batch :][:, :batch]:
        begin = time.perf_counter()
        optimiser.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(replica(split.x[index]), split.y[index]))
        optimiser.step()
        taken.append(time.perf_counter() - begin)
    return taken


@torch.no_grad()
def _accuracy(model: nn.Module, split: Split) -> float:
    return float((model.eval()(split.x).argmax(1) == split.y).double().mean())


@contextmanager
def _together(timeout: int) -> Iterator[None]:
    """A process group of those that torchrun started; the loss of one of them ends this process with one line."""
    dist.init_process_group("gloo", timeout=timedelta(seconds=timeout))
    rank = dist.get_rank()
    try:
        yield
    except RuntimeError as error:
        if "gloo" not in str(error):  # it is no trouble with the others
            raise
        sys.exit(f"process {rank}: another process has ended or did not answer within {timeout} s ({error})")
    finally:
        dist.destroy_process_group()


def main(
    batch: Annotated[int, typer.Option(min=1, help="Images in each process.")] = 2,
    steps: Annotated[int, typer.Option(min=1, help="Updates of each network.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Draws the weights and the order of the data.")] = 0,
    timeout: Annotated[int, typer.Option(min=1, help="Seconds to wait for another process.")] = 60,
) -> None:
    """Train a small network on digits with BatchNorm2d and with SyncBatchNorm, in all processes of torchrun."""
    if not dist.is_torchelastic_launched():
        sys.exit("start it with: torchrun --nproc-per-node 2 -m bnlab.experiments.distributed")
    set_threads(1)
    with _together(timeout):
        _say(f"{dist.get_world_size()} processes, {batch} images each, {steps} steps, seed {seed}")
        _say(HEAD)
        for outcome in compare(batch=batch, steps=steps, seed=seed):
            _say(str(outcome))


def _say(line: str) -> None:
    """Print in the first process only."""
    if dist.get_rank() == 0:
        print(line, flush=True)  # noqa: T201 - a command prints


def _run_and_leave() -> None:
    """Run `main` and end the process at once, without taking the interpreter apart.

    A `DistributedDataParallel` keeps the group's threads alive beyond `destroy_process_group`. If one of them still
    holds a tensor of Python's while the interpreter ends, the process aborts with all its work done ("terminate called
    without an active exception"), as happened now and then on a busy machine.
    """
    try:
        typer.run(main)
    except SystemExit as end:
        if end.code:
            raise
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    _run_and_leave()
