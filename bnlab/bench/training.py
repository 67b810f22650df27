"""A sweep of networks trained as one ensemble, against a loop over `torch.nn` models with `torch.optim`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from bnlab.experiments.data import Split, digits
from bnlab.experiments.ensemble import Ensemble
from bnlab.experiments.models import cnn, mlp
from bnlab.experiments.training import batches, train_ensemble
from bnlab.layers import BatchNorm1d, BatchNorm2d
from bnlab.runtime import set_threads, usable_cores

if TYPE_CHECKING:
    from rich.table import Table


class Work(NamedTuple):
    """A sweep over members that differ in their seed and their learning rate, on the digits."""

    kind: str  # "mlp" or "cnn"
    depth: int
    width: int
    batch_size: int
    members: int = 40
    steps: int = 5
    dtype: torch.dtype = torch.float32

    def network(self, seed: int, *, ours: bool) -> nn.Module:
        """A member's network, with our batch norm or that of `torch.nn`; the weights are the same."""
        generator = torch.Generator().manual_seed(seed)
        if self.kind == "mlp":
            norm = BatchNorm1d if ours else nn.BatchNorm1d
            model = mlp(64, 10, depth=self.depth, width=self.width, norm=norm, generator=generator)
        else:
            norm_2d = BatchNorm2d if ours else nn.BatchNorm2d
            model = cnn(1, 10, depth=self.depth, width=self.width, norm=norm_2d, generator=generator)
        return model.to(self.dtype)

    def rates(self) -> list[float]:
        """A learning rate for each member, from 0.01 to 0.1."""
        return [0.01 * 10 ** (member / max(self.members - 1, 1)) for member in range(self.members)]


WORKS = {work.kind: work for work in (Work("mlp", 8, 64, 64), Work("cnn", 3, 16, 32))}


@dataclass(frozen=True)
class Comparison:
    """Seconds that a sweep took in a loop over the models and as one ensemble, in alternating rounds.

    Attributes:
        work: what was trained.
        loop: by number of threads, seconds of each round of the loop over `torch.nn` models with `torch.optim`.
        ensemble: the same for `train_ensemble` with our layers.
        difference: the largest between a weight that the loop ended with and the ensemble's.
    """

    work: Work
    loop: dict[int, list[float]]
    ensemble: dict[int, list[float]]
    difference: float

    @property
    def ratio(self) -> float:
        """How many times as fast the ensemble was, each with the number of threads that suits it best."""
        return min(map(median, self.loop.values())) / min(map(median, self.ensemble.values()))

    def __str__(self) -> str:
        lines = [
            f"{name}, {threads} thread{'s' * (threads > 1)}: {median(seconds):.3f} s"
            for name, times in (("loop over torch.nn", self.loop), ("ensemble", self.ensemble))
            for threads, seconds in times.items()
        ]
        return "\n".join((self._title(), *lines, self._verdict()))

    def __rich__(self) -> "Table":
        from rich.table import Table  # noqa: PLC0415 - only where something is drawn

        table = Table(title=self._title(), caption=self._verdict())
        for heading in ("", "threads", "median s", "fastest s", "slowest s"):
            table.add_column(heading, justify="right" if heading else "left")
        for name, times in (("loop over torch.nn", self.loop), ("ensemble", self.ensemble)):
            for threads, seconds in times.items():
                numbers = (median(seconds), min(seconds), max(seconds))
                table.add_row(name, str(threads), *(f"{number:.3f}" for number in numbers))
        return table

    def _title(self) -> str:
        work = self.work
        shape = f"{work.members} {work.kind.upper()}s of {work.depth} layers, {work.width} wide"
        return f"{shape}, batch norm, batches of {work.batch_size}, {work.steps} steps of SGD"

    def _verdict(self) -> str:
        same = f"the same weights to {self.difference:.0e}"
        return f"the ensemble is {self.ratio:.2f} times as fast, each with its best number of threads; {same}"


def ensemble_against_loop(kind: str | Work, *, rounds: int = 5, threads: tuple[int, ...] | None = None) -> Comparison:
    """Trains the same networks in a loop over `torch.nn` models and as one ensemble, and takes the time of both.

    Args:
        kind: "mlp" or "cnn", or other work of these kinds.
        rounds: that are timed; both take turns in each, so that whatever else the machine does meets both alike.
        threads: the numbers of threads to try; None for 1 and all cores. `BNLAB_NUM_THREADS` wins.

    Raises:
        ValueError: the kind is unknown, or there are no rounds.

    Example:
        >>> comparison = ensemble_against_loop(Work("mlp", 1, 8, 16, members=2, steps=1), rounds=1)
        >>> print(comparison)  # doctest: +ELLIPSIS
        2 MLPs of 1 layers, 8 wide, batch norm, batches of 16, 1 steps of SGD
        loop over torch.nn, 1 thread: ...
    """
    if isinstance(kind, str) and kind not in WORKS:
        raise ValueError(f"expected kind {' or '.join(map(repr, WORKS))}, got {kind!r}")
    if rounds < 1:
        raise ValueError(f"expected at least 1 round, got {rounds}")
    work = WORKS[kind] if isinstance(kind, str) else kind
    train = digits().train
    split = Split(train.x.to(work.dtype), train.y)
    loop: dict[int, list[float]] = {}
    ensemble: dict[int, list[float]] = {}
    difference = 0.0
    with _threads_restored():
        for timed in range(rounds + 1):  # the first is for the caches and the allocator, and is not counted
            for asked in threads or (1, usable_cores()):
                count = set_threads(asked)
                loop_seconds, models = _loop(work, split)
                ensemble_seconds, members = _ensemble(work, split)
                difference = max(difference, _difference(models, members))
                if timed:
                    loop.setdefault(count, []).append(loop_seconds)
                    ensemble.setdefault(count, []).append(ensemble_seconds)
    return Comparison(work, loop, ensemble, difference)


def _loop(work: Work, split: Split) -> tuple[float, list[nn.Module]]:
    models = [work.network(seed, ours=False) for seed in range(work.members)]
    start = time.perf_counter()
    for seed, (model, rate) in enumerate(zip(models, work.rates(), strict=True)):
        optimiser = torch.optim.SGD(model.parameters(), lr=rate)
        for index in batches(len(split.y), work.steps, work.batch_size, seed):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(split.x[index]), split.y[index]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return time.perf_counter() - start, models


def _ensemble(work: Work, split: Split) -> tuple[float, Ensemble]:
    models = [work.network(seed, ours=True) for seed in range(work.members)]
    start = time.perf_counter()
    ensemble = train_ensemble(
        models,
        split,
        learning_rates=work.rates(),
        seeds=range(work.members),
        steps=work.steps,
        batch_size=work.batch_size,
    )
    return time.perf_counter() - start, ensemble


def _difference(models: list[nn.Module], ensemble: Ensemble) -> float:
    return max(
        (parameter.detach() - ensemble.parameters[name][member]).abs().max().item()
        for member, model in enumerate(models)
        for name, parameter in model.named_parameters()
    )


@contextmanager
def _threads_restored() -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        yield
    finally:
        set_threads(before)
