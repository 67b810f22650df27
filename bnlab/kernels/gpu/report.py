"""Compiles the kernels for GPUs that are not here, and looks at what came out.

Triton compiles for any target without a GPU, and its wheel brings the tools that take a binary apart.
"""
# mypy: disable-error-code="import-untyped,import-not-found"

import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from bnlab.kernels.gpu import backward_pass, forward_pass
from bnlab.kernels.gpu.facts import Fact, Report, digest, store
from bnlab.kernels.gpu.launch import INTERPRETED
from bnlab.kernels.gpu.layout import MERGE_COLUMNS, MERGE_ROWS, Layout, planes, rows

TARGETS: dict[str, tuple[str, int | str, int]] = {  # the compiler, its name for the architecture, lanes of a warp
    "sm_80": ("cuda", 80, 32),
    "sm_90": ("cuda", 90, 32),
    "sm_100": ("cuda", 100, 32),
    "gfx942": ("hip", "gfx942", 64),
}
VIEWS: dict[str, tuple[Layout, Layout]] = {  # a long channel, and one that fits a tile, of the largest size
    "planes": (planes(128, 64, 56 * 56), planes(16, 256, 28 * 28)),
    "rows": (rows(401_408, 64), rows(1024, 512)),
    "odd planes": (planes(128, 64, 55 * 55), planes(8, 256, 29 * 29)),  # where no load can be wide
    "odd rows": (rows(401_408, 63), rows(512, 511)),
}
DTYPES = {"float32": ("*fp32", 4), "float16": ("*fp16", 2), "bfloat16": ("*bf16", 2)}
ELEMENTS = {"x", "y", "residual", "grad_y", "grad_x", "grad_residual"}  # arguments as large as the input
NUMBERS = {"eps": "fp32", "count": "fp32", "n": "i32", "channels": "i32", "length": "i32", "splits": "i32"}
MERGES = ("merge_statistics", "merge_sums")

# kernel, what is fused into it, its arguments fixed for that, and the elements it reads and writes for one of the input
CASES: tuple[tuple[str, str, dict[str, Any], int, int], ...] = (
    ("statistics", "", {}, 1, 0),
    ("merge_statistics", "", {}, 0, 0),
    ("normalise", "", {"relu": False, "residual": None}, 1, 1),
    ("normalise", "add + ReLU", {"relu": True}, 2, 1),
    ("resident_forward", "", {"relu": False, "residual": None}, 1, 1),
    ("resident_forward", "add + ReLU", {"relu": True}, 2, 1),
    ("sums", "ReLU", {"relu": True, "y": None, "grad_residual": None, "grad_x": None}, 2, 0),
    ("sums", "add + ReLU", {"relu": True, "grad_x": None}, 3, 1),
    ("merge_sums", "", {}, 0, 0),
    ("gradient_of_x", "ReLU", {"relu": True}, 2, 1),
    ("resident_backward", "ReLU", {"relu": True, "constant": False, "y": None, "grad_residual": None}, 2, 1),
    ("resident_backward", "add + ReLU", {"relu": True, "constant": False}, 3, 2),
)


def report() -> Report:
    """Compile every kernel for every target, and write what came out to `facts.json`; a minute or two."""
    made = Report(digest(), triton.__version__, tuple(compiled(TARGETS)))
    store(made)
    return made


def compiled(targets: Iterable[str], kernels: Iterable[str] = ()) -> Iterator[Fact]:
    """The facts of these kernels, or of all, for these targets.

    Raises:
        ValueError: Triton interprets in this process, and cannot compile.
    """
    if INTERPRETED:
        raise ValueError("expected a process without TRITON_INTERPRET, in which Triton compiles, got one with it")
    wanted = tuple(kernels)
    for case in CASES:
        if not wanted or case[0] in wanted:
            for view in ("planes",) if case[0] in MERGES else VIEWS:
                yield from (_fact(case, view, dtype, target) for dtype in DTYPES for target in targets)


def _fact(case: tuple[str, str, dict[str, Any], int, int], view: str, dtype: str, target: str) -> Fact:
    kernel, fused, fixed, reads, writes = case
    layout = VIEWS[view][kernel.startswith("resident")]
    tile, warps = (layout.rows, layout.columns), layout.warps(DTYPES[dtype][1], TARGETS[target][2])
    if kernel in MERGES:
        tile, warps, view = (MERGE_ROWS, MERGE_COLUMNS), 4, "either"
    binary = _compile(kernel, fixed, layout, tile, warps, dtype, target)
    resources = _of_cuda(binary) if "cubin" in binary.asm else _of_amd(binary)
    size = (reads + writes) * DTYPES[dtype][1]
    return Fact(kernel, fused, view, dtype, target, f"{tile[0]}x{tile[1]}", warps, *resources, size)


def _compile(  # noqa: PLR0917 - what a kernel is compiled for
    kernel: str, fixed: dict[str, Any], layout: Layout, tile: tuple[int, int], warps: int, dtype: str, target: str
) -> Any:
    """Compile as a launch would: pointers are multiples of 16 bytes, and sizes are not known."""
    function = getattr(forward_pass, kernel, None) or getattr(backward_pass, kernel)
    known = {"planes": layout.planes, "align": layout.align, "rows": tile[0], "columns": tile[1], **fixed}
    signature, attributes = {}, {}
    for number, name in enumerate(function.arg_names):
        if name in known:
            signature[name] = "constexpr"
        elif name in NUMBERS:
            signature[name] = NUMBERS[name]
        else:
            signature[name] = DTYPES[dtype][0] if name in ELEMENTS else "*fp64" if name == "mean" else "*fp32"
            attributes[number,] = [["tt.divisibility", 16]]
    constants = {name: value for name, value in known.items() if name in signature}
    source = ASTSource(function, signature, constants, attributes)
    return triton.compile(source, target=GPUTarget(*TARGETS[target]), options={"num_warps": warps})


def _of_cuda(binary: Any) -> tuple[int, int, int, int, int]:
    """Registers, spills, shared memory, reads and writes of 128 bits: from the machine code itself."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary.asm["cubin"])
        file.flush()
        usage = _output_of(knobs.nvidia.cuobjdump.path, "--dump-resource-usage", file.name)
        code = _output_of(knobs.nvidia.nvdisasm.path, "-c", file.name)
    (registers,) = re.findall(r"\bREG:(\d+)", usage)
    spills, reads, writes = (
        len(re.findall(pattern, code)) for pattern in (r"\b(?:STL|LDL)\b", r"\bLDG\.\S*\.128\b", r"\bSTG\.\S*\.128\b")
    )
    return int(registers), spills, binary.metadata.shared, reads, writes


def _of_amd(binary: Any) -> tuple[int, int, int, int, int]:
    """The same of AMD's: vector registers, since those are what a tile lies in."""
    code = binary.asm["amdgcn"]
    registers, scalar_spills, spills = (
        int(re.findall(rf"\.{name}: *(\d+)", code)[0])
        for name in ("vgpr_count", "sgpr_spill_count", "vgpr_spill_count")
    )
    reads, writes = (len(re.findall(rf"(?:global|buffer)_{name}_dwordx4\b", code)) for name in ("load", "store"))
    return registers, spills + scalar_spills, binary.metadata.shared, reads, writes


def _output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
