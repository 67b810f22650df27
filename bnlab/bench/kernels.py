"""Batch norm itself: our kernels against torch, torch's compiler, NumPy, and a copy of the same size."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch

from bnlab.bench import contenders as who
from bnlab.bench.rounds import Call, Spread, paired, ratio, wall_clock
from bnlab.bench.shapes import Shape
from bnlab.kernels.traffic import COPY, accesses
from bnlab.runtime import set_threads, usable_cores

BUDGET = 0.35  # timed seconds of each contender
GROWING = (who.COPY, who.OURS, who.TORCH, who.BOTH, who.TORCH_BOTH)  # those that `growth` follows
FORWARD = accesses("forward", resident=True).total / COPY  # copies that a forward pass is worth, at its minimum
BOTH = FORWARD + accesses("backward", resident=True).total / COPY


class Ratio(NamedTuple):
    """How many times as long one contender takes as another; counted in copies where `factor` is not 1."""

    over: str
    under: str
    factor: float = 1.0


RATIOS = {
    "forward_of_copy": Ratio(who.COPY, who.OURS, FORWARD),
    "both_of_copy": Ratio(who.COPY, who.BOTH, BOTH),
    "forward_to_torch": Ratio(who.TORCH, who.OURS),
    "forward_to_torch_new": Ratio(who.TORCH_NEW, who.OURS_NEW),
    "forward_to_compiled_new": Ratio(who.COMPILED, who.OURS_NEW),
    "forward_to_numpy_new": Ratio(who.NUMPY, who.OURS_NEW),
    "both_to_torch_new": Ratio(who.TORCH_BOTH, who.BOTH_NEW),
    "relu_to_none": Ratio(who.RELU, who.OURS),
}


@dataclass(frozen=True)
class Measured:
    """What was measured of one shape.

    Attributes:
        shape: of the input.
        threads: that computed.
        seconds: by contender, of every round.
        skipped: contenders that did not take part, and why.
    """

    shape: Shape
    threads: int
    seconds: dict[str, list[float]]
    skipped: dict[str, str]

    @property
    def megabytes(self) -> float:
        """Size of the input."""
        return self.shape.elements * 4 / 1e6

    def of(self, contender: str) -> Spread | None:
        """Its seconds; None if it did not take part."""
        return Spread.of(self.seconds[contender]) if contender in self.seconds else None

    def ratio(self, name: str) -> Spread | None:
        """One of `RATIOS`; None if one of the two did not take part."""
        over, under, factor = RATIOS[name]
        taking_part = {over, under} <= self.seconds.keys()
        return ratio(self.seconds, over, under, factor=factor) if taking_part else None


def measure(
    shapes: Iterable[Shape],
    *,
    device: str = "cpu",
    threads: int | None = None,
    rounds: int = 30,
    budget: float = BUDGET,
    compiling: bool = True,
    only: Iterable[str] | None = None,
) -> Iterator[Measured]:
    """Time all contenders on each shape, one shape after the other.

    Args:
        shapes: of the input, which is float32.
        device: "cpu" or "cuda".
        threads: to compute with; None for all cores. `BNLAB_NUM_THREADS` wins.
        rounds: at most; see `rounds.paired`.
        budget: timed seconds of each contender, on each shape.
        compiling: whether torch's compiler takes part, which takes some seconds more for each shape.
        only: contenders to keep; None for all.

    Raises:
        ValueError: there is no such device here, or an argument is out of range.

    Example:
        >>> (measured,) = measure([Shape((4, 3))], rounds=1, compiling=False)
        >>> measured.ratio("forward_to_torch").median > 0
        True
    """
    where = _device(device)
    timer = wall_clock if where.type == "cpu" else cuda_clock
    with using_threads(threads) as count:
        for shape in shapes:
            calls, skipped = _calls(shape, where, compiling=compiling)
            calls = {name: call for name, call in calls.items() if only is None or name in only}
            yield Measured(shape, count, paired(calls, rounds=rounds, budget=budget, timer=timer), skipped)


def growth(*, device: str = "cpu", threads: int | None = None, rounds: int = 30) -> Iterator[tuple[str, Measured]]:
    """How cost grows with the values of a channel, with the channels, and with the threads: what grew, and the times.

    Raises:
        ValueError: as `measure` does.
    """
    series = {
        "N*H*W": [Shape((n, 64, 28, 28)) for n in (2, 8, 32, 128)],
        "C": [Shape((32, c, 28, 28)) for c in (4, 16, 64, 256)],
    }
    for what, shapes in series.items():
        found = measure(shapes, device=device, threads=threads, rounds=rounds, compiling=False, only=GROWING)
        yield from ((what, measured) for measured in found)
    if device == "cpu":
        with using_threads(threads) as most:
            counts = sorted({1, *(2**k for k in range(1, most.bit_length()) if 2**k <= most), most})
        for count in counts:
            found = measure([Shape((32, 64, 56, 56))], threads=count, rounds=rounds, compiling=False, only=GROWING)
            yield from (("threads", measured) for measured in found)


def cuda_clock(call: Call) -> float:
    """Seconds that a call keeps a GPU busy, its launches included."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    begin.record()
    call()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3


@contextmanager
def using_threads(threads: int | None) -> Iterator[int]:
    """Lets torch and numba compute with so many threads meanwhile; how many they are."""
    import numba  # noqa: PLC0415 - loaded only for those who measure it

    before = torch.get_num_threads(), numba.get_num_threads()
    most = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    if threads is not None and not 1 <= threads <= usable_cores():
        raise ValueError(f"expected from 1 to {usable_cores()} threads, got {threads}")
    try:
        count = set_threads(threads)
        numba.set_num_threads(min(count, most))
        yield count
    finally:
        torch.set_num_threads(before[0])
        numba.set_num_threads(before[1])


def _device(name: str) -> torch.device:
    if name not in {"cpu", "cuda"}:
        raise ValueError(f"expected device 'cpu' or 'cuda', got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("expected a CUDA device for 'cuda', got none that torch can use here")
    return torch.device(name)


def _calls(shape: Shape, device: torch.device, *, compiling: bool) -> tuple[dict[str, Call], dict[str, str]]:
    given = who.Operands.random(shape, device)
    calls, skipped = who.contenders(given), dict[str, str]()
    if device.type != "cpu":
        skipped[who.NUMPY] = "it computes on the CPU"
    if not compiling:
        skipped[who.COMPILED] = "it was not asked for"
        return calls, skipped
    try:
        calls[who.COMPILED] = who.compiled(given)
    except RuntimeError as error:  # no C++ compiler, or a Python that it does not know yet
        skipped[who.COMPILED] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return calls, skipped
