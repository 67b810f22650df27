"""A benchmark with made-up seconds."""

from bnlab.bench.kernels import Measured
from bnlab.bench.machine import Machine
from bnlab.bench.shapes import Shape

SECONDS = {  # milliseconds of every round
    "copy": [1.0, 1.0, 1.0],
    "ours": [2.0, 1.0, 4.0],
    "ours, ReLU": [2.2, 1.1, 4.4],
    "ours, both": [5.0, 5.0, 5.0],
    "ours, new": [2.0, 2.0, 2.0],
    "ours, both, new": [6.0, 6.0, 6.0],
    "torch": [4.0, 4.0, 4.0],
    "torch, new": [5.0, 5.0, 5.0],
    "torch, both, new": [9.0, 9.0, 9.0],
    "torch by hand, new": [10.0, 10.0, 10.0],
    "NumPy, new": [40.0, 40.0],
}
MACHINE = Machine(
    processor="Some processor",
    cores=2,
    date="2026-01-31",
    versions={"python": "3.11.7", "torch": "2.13.0"},
    wait_policy="passive",
    threading="omp",
    new_memory="as the system's allocator decides",
)


def measured(text="4096x512", *, threads=2, **milliseconds):
    """Of these seconds, other than those named: words joined by an underscore stand for "a, b"."""
    seconds = SECONDS | {name.replace("_", ", "): taken for name, taken in milliseconds.items()}
    in_seconds = {name: [one / 1e3 for one in taken] for name, taken in seconds.items()}
    return Measured(Shape.read(text), threads, in_seconds, {"torch.compile, new": "no compiler"})
