"""A benchmark of batch norm from beginning to end, as the command line asks for it."""

from typing import NamedTuple

from matplotlib.figure import Figure

from bnlab.bench import contenders as who
from bnlab.bench.kernels import Measured, growth, measure
from bnlab.bench.machine import KEPT, SYSTEM, Machine, keep_freed_memory
from bnlab.bench.report import Report
from bnlab.bench.rounds import Spread
from bnlab.bench.shapes import DEFAULTS, Shape, shapes_from
from bnlab.figures import style
from bnlab.figures.roofline import Point, roofline
from bnlab.kernels.traffic import ARRAY_BY_ARRAY, accesses


class Options(NamedTuple):
    """How to measure.

    Attributes:
        device: "cpu" or "cuda".
        threads: to compute with; None for all cores.
        rounds: at most.
        compiling: whether torch's compiler takes part.
        memory: where new memory comes from: "kept", freed memory that the process keeps to its end, where the C
            library can be told to; or "system", as its allocator decides.
    """

    device: str = "cpu"
    threads: int | None = None
    rounds: int = 30
    compiling: bool = True
    memory: str = "kept"


def comparing(shapes: str = "", options: Options = Options()) -> Report:  # noqa: B008 - it cannot be changed
    """All contenders, on the shapes of a list with commas, or on those that have goals.

    Raises:
        ValueError: a shape or an option cannot be understood, or there is no such device here.
    """
    listed, new_memory = shapes_from(shapes or DEFAULTS), _new_memory(options.memory)
    device, threads, rounds, compiling, _ = options
    found = measure(listed, device=device, threads=threads, rounds=rounds, compiling=compiling)
    measured = tuple(found)
    return Report(Machine.here(device, new_memory=new_memory), measured)


def growing(options: Options = Options()) -> Report:  # noqa: B008 - as above
    """Some contenders, as shapes and threads grow.

    Raises:
        ValueError: as `comparing` does.
    """
    new_memory = _new_memory(options.memory)
    found = tuple(growth(device=options.device, threads=options.threads, rounds=options.rounds))
    return Report(Machine.here(options.device, new_memory=new_memory), (), found)


def roofline_of(measured: Measured) -> Figure:
    """The forward passes of one shape under the roof of memory, which a copy measures.

    Raises:
        ValueError: a contender took no part.
    """
    fused = accesses("forward", resident=False).total
    drawn = {  # label, accesses that are counted, role
        who.NUMPY: ("NumPy, the textbook", ARRAY_BY_ARRAY["textbook"].total, "no_norm"),
        who.ELEMENTARY: ("torch, elementary", ARRAY_BY_ARRAY["elementary"].total, "input"),
        who.COMPILED: ("torch.compile", fused, "averaged"),
        who.TORCH: ("torch's batch_norm", fused, "output"),
        who.OURS: ("ours", accesses("forward", resident=_resident(measured.shape)).total, "batch_norm"),
    }
    taken = {
        name: 1e9 * Spread.of(seconds).median / measured.shape.elements for name, seconds in measured.seconds.items()
    }
    if missing := [name for name in (who.COPY, who.TORCH, who.OURS) if name not in taken]:
        raise ValueError(f"expected times of {', '.join(missing)}, got those of {', '.join(taken) or 'nobody'}")
    points = {label: Point(moved, taken[name], role) for name, (label, moved, role) in drawn.items() if name in taken}
    ours, torch = (points[drawn[name][0]].share(taken[who.COPY]) for name in (who.OURS, who.TORCH))
    title = f"{measured.shape}: ours is at {int(100 * ours)}% of memory's roof, torch's batch norm at {torch:.0%}"
    style.apply()
    return roofline(points, copy_nanoseconds=taken[who.COPY], title=title)


def _resident(shape: Shape) -> bool:
    """Whether our kernels find a channel in the cache again: they sweep twice where channels lie side by side."""
    return not shape.channels_last and len(shape.sizes) > 2


def _new_memory(policy: str) -> str:
    if policy not in {"kept", "system"}:
        raise ValueError(f"expected memory 'kept' or 'system', got {policy!r}")
    return KEPT if policy == "kept" and keep_freed_memory() else SYSTEM
