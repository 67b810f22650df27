"""What compilers made of the kernels: registers, spills, shared memory and wide accesses, as `facts.json` keeps them.

`bnlab.kernels.gpu.report` writes them; reading them needs neither Triton nor a GPU.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
STORED = HERE / "facts.json"
SOURCES = ("tiles.py", "forward_pass.py", "backward_pass.py", "layout.py", "report.py")  # what the facts follow from


class Fact(NamedTuple):
    """One kernel, compiled for one target.

    Attributes:
        kernel: its name.
        fused: what it does besides batch norm.
        view: "planes" or "rows", see `bnlab.kernels.gpu.tiles`, or "odd" ones, whose distances are odd numbers;
            "either" for a merge, which reads partial results only.
        dtype: of the input and of all that is as large.
        target: the architecture that it was compiled for.
        tile: height and width.
        warps: in each program.
        registers: of a thread; 64 or fewer leave room for 1024 threads on a multiprocessor.
        spills: instructions that move a register to memory and back, for want of another.
        shared: bytes of shared memory.
        reads_128: instructions that load 16 bytes, the most that one can.
        writes_128: instructions that store 16 bytes.
        bytes_per_element: moved to and from memory for each element of the input.
    """

    kernel: str
    fused: str
    view: str
    dtype: str
    target: str
    tile: str
    warps: int
    registers: int
    spills: int
    shared: int
    reads_128: int
    writes_128: int
    bytes_per_element: int


class Report(NamedTuple):
    """The facts, and the digest of the sources and the version of Triton that they belong to."""

    digest: str
    triton: str
    facts: tuple[Fact, ...]

    def __str__(self) -> str:
        return "\n".join("  ".join(map(str, fact)) for fact in (Fact._fields, *self.facts))

    def _repr_markdown_(self) -> str:
        head = (Fact._fields, ["---"] * len(Fact._fields))
        return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (*head, *self.facts))


def stored() -> Report:
    """The facts as they were written.

    >>> {fact.spills for fact in stored().facts}
    {0}
    """
    kept = json.loads(STORED.read_text(encoding="utf-8"))
    return Report(kept["digest"], kept["triton"], tuple(Fact(*fact) for fact in kept["facts"]))


def store(report: Report) -> None:
    """Write the facts, a line each."""
    lines = ",\n".join(json.dumps(fact) for fact in report.facts)
    head = json.dumps({"digest": report.digest, "triton": report.triton, "fields": Fact._fields})[:-1]
    STORED.write_text(f'{head}, "facts": [\n{lines}\n]}}\n', encoding="utf-8")


def digest() -> str:
    """A digest of what the facts follow from."""
    return hashlib.sha256(b"".join((HERE / name).read_bytes() for name in SOURCES)).hexdigest()
