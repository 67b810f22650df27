"""The stored facts: what they promise, and that they are those of today's sources."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from bnlab.kernels.gpu import facts
from bnlab.kernels.gpu.layout import RESIDENT, TILE

ROOT = Path(__file__).resolve().parents[3]
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton exists for Linux only")
LANES = {"sm_80": 32, "sm_90": 32, "sm_100": 32, "gfx942": 64}
STREAMING = {"statistics", "normalise", "sums", "gradient_of_x"}
WRITTEN = {  # tensors as large as the input, by kernel and what is fused
    ("normalise", ""): 1,
    ("normalise", "add + ReLU"): 1,
    ("resident_forward", ""): 1,
    ("resident_forward", "add + ReLU"): 1,
    ("sums", "add + ReLU"): 1,
    ("gradient_of_x", "ReLU"): 1,
    ("resident_backward", "ReLU"): 1,
    ("resident_backward", "add + ReLU"): 2,
}


@pytest.fixture(scope="module")
def stored():
    return facts.stored()


@pytest.fixture(scope="module")
def of_large_tensors(stored):
    """The kernels that read the input, not partial results."""
    return [fact for fact in stored.facts if not fact.kernel.startswith("merge")]


def accesses_by_tile(fact):
    """How many 16-byte accesses of one thread move one tensor's part of the tile."""
    height, width = map(int, fact.tile.split("x"))
    itemsize = 4 if fact.dtype == "float32" else 2
    return height * width * itemsize / (16 * fact.warps * LANES[fact.target])


def test_the_facts_are_of_these_sources(stored):
    assert stored.digest == facts.digest(), "the kernels have changed: run `bnlab kernels report`"


def test_every_kernel_was_compiled_for_every_target_dtype_and_view(stored):
    assert {fact.target for fact in stored.facts} == LANES.keys()
    assert {fact.dtype for fact in stored.facts} == {"float32", "float16", "bfloat16"}
    assert len(set(stored.facts)) == len(stored.facts) == (10 * 4 + 2) * 3 * 4


def test_no_kernel_spills(stored):
    assert [fact for fact in stored.facts if fact.spills] == []


def test_streaming_kernels_take_at_most_64_registers(stored):
    streaming = [fact for fact in stored.facts if fact.kernel in STREAMING]
    assert len(streaming) == 6 * 4 * 3 * 4
    assert [fact for fact in streaming if fact.registers > 64] == []


def test_tiles_are_loaded_and_stored_16_bytes_at_a_time(of_large_tensors):
    for fact in of_large_tensors:
        one = accesses_by_tile(fact)
        assert one >= 1
        itemsize = 4 if fact.dtype == "float32" else 2
        written = WRITTEN.get((fact.kernel, fact.fused), 0)
        read = fact.bytes_per_element // itemsize - written
        if fact.view.startswith("odd"):
            assert fact.writes_128 == 0, fact
            continue
        assert fact.writes_128 == written * one, fact
        if fact.view == "planes":
            assert fact.reads_128 == read * one, fact
        else:  # where what belongs to neighbouring channels is loaded so, too
            assert fact.reads_128 >= read * one, fact


def test_the_tiles_are_the_largest_that_are_launched(of_large_tensors):
    for fact in of_large_tensors:
        height, width = map(int, fact.tile.split("x"))
        resident = RESIDENT // 2 if fact.view.startswith("odd") else RESIDENT
        assert height * width == (resident if fact.kernel.startswith("resident") else TILE)


def of_a_compiling_process(code, cache):
    """What this code prints in a process where Triton compiles, and finds nothing that it compiled before."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(cache)
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    return json.loads(process.stdout)


@needs_triton
def test_compiling_again_gives_the_stored_facts(stored, tmp_path):
    code = (
        "import json; from bnlab.kernels.gpu.report import compiled\n"
        "print(json.dumps(list(compiled(['sm_90'], ['statistics', 'gradient_of_x']))))"
    )
    again = [facts.Fact(*fact) for fact in of_a_compiling_process(code, tmp_path)]
    kept = [fact for fact in stored.facts if fact.target == "sm_90" and fact.kernel in {"statistics", "gradient_of_x"}]
    assert again == kept


@needs_triton
def test_sizes_of_one_and_absent_vectors_compile(tmp_path):  # Triton makes constants of both, which are other types
    code = (
        "import json; from bnlab.kernels.gpu.report import CASES, VIEWS, _compile\n"
        "layout, ones = VIEWS['odd planes'][0], {'n': 1, 'channels': 1, 'weight': None, 'bias': None}\n"
        "compiled = [_compile(case[0], case[2] | ones, layout, (64, 64), 8, 'float16', 'sm_90') for case in CASES]\n"
        "print(json.dumps(['cubin' in binary.asm for binary in compiled]))"
    )
    assert of_a_compiling_process(code, tmp_path) == [True] * 12


def test_a_report_shows_itself(stored):
    few = stored._replace(facts=stored.facts[:1])
    assert str(few).splitlines()[1].startswith("statistics")
    assert few._repr_markdown_().splitlines()[2].startswith("| statistics |  | planes | float32 | sm_80 |")
