"""How often each kernel reads and writes every element, counted where the interpreter loads and stores."""

from collections import Counter

import pytest
import torch

from bnlab.kernels.gpu import layout
from bnlab.kernels.traffic import CASES, accesses
from tests.kernels.gpu.machine import interpreted, launch

pytestmark = interpreted

EPS = 1e-5
SHAPES = {"planes": (5, 3, 7, 3), "rows": (37, 6)}


@pytest.fixture
def traffic(monkeypatch):
    """Bytes read and written by whole tiles; one value a channel comes in another shape, and is counted apart."""
    from triton.runtime.interpreter import InterpreterBuilder  # noqa: PLC0415 - exists only where Triton does

    bytes_of = Counter()

    def count(kind, pointers, mask):
        itemsize = pointers.get_element_ty().primitive_bitwidth // 8
        kind = kind if min(pointers.data.shape, default=1) > 1 else f"{kind} by channel"
        bytes_of[kind] += int(mask.data.sum()) * itemsize

    load, store = InterpreterBuilder.create_masked_load, InterpreterBuilder.create_masked_store

    def counted_load(self, pointers, mask, *others):
        count("read", pointers, mask)
        return load(self, pointers, mask, *others)

    def counted_store(self, pointers, value, mask, *others):
        count("written", pointers, mask)
        return store(self, pointers, value, mask, *others)

    monkeypatch.setattr(InterpreterBuilder, "create_masked_load", counted_load)
    monkeypatch.setattr(InterpreterBuilder, "create_masked_store", counted_store)
    return bytes_of


def launch_case(case, x):
    channels = x.shape[1]
    weight, bias, mean, var = torch.rand(4, channels)
    relu = "ReLU" in case
    other = torch.randn_like(x) if "add" in case else None
    if case.startswith("forward"):
        launch.forward(x, weight, bias, eps=EPS, relu=relu, residual=other)
    elif case.startswith("inference"):
        launch.inference(x, mean, var, weight, bias, eps=EPS, relu=relu, residual=other)
    else:
        constant = case.startswith("constant")
        launch.backward(x, x, mean, var, weight, bias, eps=EPS, relu=relu, y=other, constant=constant)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_bytes_are_those_of_the_model(traffic, tiles, case, shape, dtype):
    x = torch.randn(SHAPES[shape]).to(dtype)
    resident = tiles == "one_tile"
    assert layout.layout_of(x).resident == resident
    launch_case(case, x)
    reads, writes = accesses(case, resident=resident, mask="output")
    # partial results are read by tiles too: three numbers for each tile and channel in the forward pass, the counts and
    # the means once more; two in the backward pass
    partials = 0 if resident or "inference" in case else layout.layout_of(x).splits * x.shape[1] * 4
    partials *= 5 if "forward" in case else 2
    assert traffic["read"] == reads * x.nbytes + partials
    assert traffic["written"] == writes * x.nbytes


@pytest.mark.parametrize("case", ["forward", "backward"])
def test_what_belongs_to_a_channel_is_little(traffic, case):
    x = torch.randn(64, 2, 16, 16)
    launch_case(case, x)
    assert 0 < traffic["read by channel"] + traffic["written by channel"] < 0.001 * x.nbytes
