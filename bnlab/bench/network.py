"""What the kernels are worth to a whole network: training steps of a residual network on the digits."""

import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bnlab.bench.machine import Machine
from bnlab.bench.rounds import Spread, paired, ratio
from bnlab.experiments.data import digits
from bnlab.experiments.models import resnet
from bnlab.experiments.training import batches
from bnlab.layers import BatchNorm2d, BatchNormReLU
from bnlab.runtime import set_threads

if TYPE_CHECKING:
    from rich.table import Table

NETWORKS = ("torch.nn", "BatchNorm2d, numba", "BatchNormReLU, numba", "no norm")
BLOCKS = 3


class FusedBlock(nn.Module):
    """`experiments.models.ResidualBlock` with each norm, sum and ReLU as one layer; parameters in the same order."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = BatchNormReLU(channels, backend="numba")
        self.last = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.last_norm = BatchNormReLU(channels, backend="numba")

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) in and out."""
        branch = self.last(self.first_norm(self.first(x)))
        y: Tensor = self.last_norm(branch, residual=x)
        return y


@dataclass(frozen=True)
class Comparison:
    """Seconds of training steps, by network, and how well each network did after as many steps.

    Attributes:
        width: channels.
        batch_size: images of a step.
        threads: that computed.
        seconds: of one step, by network, round by round.
        accuracy: on the validation images after the timed steps, by network; all started from the same weights.
        machine: where it ran.
    """

    width: int
    batch_size: int
    threads: int
    seconds: dict[str, list[float]]
    accuracy: dict[str, float]
    machine: Machine

    def times_as_fast(self, network: str) -> Spread:
        """As the one of `torch.nn`."""
        return ratio(self.seconds, "torch.nn", network)

    def __rich__(self) -> "Table":
        from rich.table import Table  # noqa: PLC0415 - only where something is drawn

        title = f"ResNet, {BLOCKS} blocks of {self.width} channels, batches of {self.batch_size} digits"
        table = Table(title=title, caption=f"threads: {self.threads}; {self.machine}")
        for heading in ("norm", "ms a step", "times as fast", "middle half", "accuracy"):
            table.add_column(heading, justify="right" if heading != "norm" else "left")
        for name, seconds in self.seconds.items():
            fast = self.times_as_fast(name)
            row = (
                f"{1000 * Spread.of(seconds).median:.2f}",
                f"{fast.median:.2f}",
                f"{fast.low:.2f} to {fast.high:.2f}",
            )
            table.add_row(name, *row, f"{self.accuracy[name]:.3f}")
        return table


def networks(width: int, seed: int = 0) -> dict[str, nn.Module]:
    """The same network with each norm, from the same weights.

    >>> ours, theirs = networks(4)["BatchNormReLU, numba"], networks(4)["torch.nn"]
    >>> [parameter.shape for parameter in ours.parameters()] == [parameter.shape for parameter in theirs.parameters()]
    True
    """

    def make(norm: object) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        return resnet(1, 10, blocks=BLOCKS, width=width, norm=norm, generator=generator)  # type: ignore[arg-type]

    theirs = make(nn.BatchNorm2d)
    plain = list(theirs.children())  # stem, its norm and ReLU, blocks, head
    fused = nn.Sequential(
        copy.deepcopy(plain[0]),
        BatchNormReLU(width, backend="numba"),
        *(FusedBlock(width) for _ in range(BLOCKS)),
        *(copy.deepcopy(layer) for layer in plain[3 + BLOCKS :]),
    )
    for ours, of_torch in zip(fused.parameters(), theirs.parameters(), strict=True):
        ours.data.copy_(of_torch.data)
    return dict(zip(NETWORKS, (theirs, make(partial(BatchNorm2d, backend="numba")), fused, make(None)), strict=True))


def compare(width: int, batch_size: int, *, rounds: int = 40, threads: int | None = None) -> Comparison:
    """Train each network for `2 * rounds + 1` steps of SGD, all on the same batches, in turns.

    Args:
        width: channels.
        batch_size: images of a step.
        rounds: that are timed.
        threads: that compute; None for all cores. `BNLAB_NUM_THREADS` wins.

    Raises:
        ValueError: there are no rounds.
    """
    data, before = digits(), torch.get_num_threads()
    members = networks(width)
    order = batches(len(data.train.y), 2 * rounds + 1, batch_size, 0)
    optimisers = {name: torch.optim.SGD(model.parameters(), lr=0.05) for name, model in members.items()}
    ahead = {name: iter(order) for name in members}

    def step(name: str) -> None:
        index = next(ahead[name])
        optimisers[name].zero_grad()
        loss = nn.functional.cross_entropy(members[name](data.train.x[index]), data.train.y[index])
        torch.autograd.backward(loss)
        optimisers[name].step()

    try:
        count = set_threads(threads)
        seconds = paired({name: partial(step, name) for name in members}, rounds=rounds)
        with torch.no_grad():
            hits = {
                name: model.eval()(data.validation.x).argmax(1) == data.validation.y for name, model in members.items()
            }
    finally:
        set_threads(before)
    accuracy = {name: hit.double().mean().item() for name, hit in hits.items()}
    return Comparison(width, batch_size, count, seconds, accuracy, Machine.here("cpu", new_memory="the system's"))
