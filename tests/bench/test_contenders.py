"""That all contenders do the same work, and that those that go array by array move what the traffic model says."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.utils._python_dispatch import TorchDispatchMode

from bnlab.bench import contenders as who
from bnlab.bench.shapes import Shape
from bnlab.kernels.traffic import ARRAY_BY_ARRAY, Accesses

SHAPES = {"planes": Shape((3, 4, 17, 19)), "vectors": Shape((40, 6)), "last": Shape((3, 4, 5, 6), channels_last=True)}


@pytest.fixture(params=SHAPES)
def given(request):
    return who.Operands.random(SHAPES[request.param], torch.device("cpu"))


def expected(given, *, relu=False):
    y = torch.nn.functional.batch_norm(given.x.double(), None, None, given.weight.double(), given.bias.double(), True)
    return (y.relu() if relu else y).numpy()


def close(found, wanted):
    assert_allclose(np.asarray(found), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [who.OURS, who.RELU, who.TORCH, who.BOTH])
def test_who_writes_into_given_memory_writes_batch_norm_there(given, name):
    given.y.fill_(torch.nan)
    who.contenders(given)[name]()
    close(given.y, expected(given, relu=name == who.RELU))


@pytest.mark.parametrize("name", [who.OURS_NEW, who.TORCH_NEW, who.NUMPY, who.ELEMENTARY])
def test_who_asks_for_memory_returns_batch_norm_and_leaves_the_given_alone(given, name):
    given.y.fill_(torch.nan)
    found = who.contenders(given)[name]()
    close(found[0] if isinstance(found, tuple) else found, expected(given))
    assert given.y.isnan().all()


def test_those_that_go_both_ways_agree(given):
    calls = who.contenders(given)
    ours, torchs = calls[who.BOTH_NEW](), calls[who.TORCH_BOTH]()
    for one, other in zip(ours, torchs, strict=True):
        close(one, other.numpy())
    given.grad_x.fill_(torch.nan)
    calls[who.BOTH]()
    close(given.grad_x, torchs[0].numpy())


def test_the_copy_copies(given):
    who.contenders(given)[who.COPY]()
    assert torch.equal(given.y, given.x)


class Counter(TorchDispatchMode):
    """Counts large tensors that operations take and make."""

    def __init__(self, large):
        super().__init__()
        self.large, self.reads, self.writes = large, 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if not function.is_view and function is not torch.ops.aten._to_copy.default:
            self.reads += sum(isinstance(one, torch.Tensor) and one.numel() == self.large for one in args)
            self.writes += isinstance(made, torch.Tensor) and made.numel() == self.large
        return made


def test_elementary_operations_move_what_the_model_says():
    given = who.Operands.random(SHAPES["planes"], torch.device("cpu"))
    with Counter(given.x.numel()) as counter:
        who.by_hand(given.x, given.weight, given.bias)
    assert Accesses(counter.reads, counter.writes) == ARRAY_BY_ARRAY["elementary"]


class Counted(np.ndarray):
    """An array whose operations are counted by the large arrays that they take and make."""

    moved: ClassVar = [0, 0]

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        plain = [np.asarray(one) for one in inputs]
        large = self.moved
        out = None if out is None else tuple(None if one is None else one.view(np.ndarray) for one in out)
        made = getattr(ufunc, method)(*plain, out=out, **kwargs)
        large[0] += sum(one.size == SHAPES["planes"].elements for one in plain)
        large[1] += made.size == SHAPES["planes"].elements
        return np.asarray(made).view(Counted)


def test_the_textbooks_operations_move_what_the_model_says(monkeypatch):
    given = who.Operands.random(SHAPES["planes"], torch.device("cpu"))
    monkeypatch.setattr(Counted, "moved", [0, 0])
    who.textbook(given.x.numpy().view(Counted), given.weight.numpy(), given.bias.numpy())
    assert Accesses(*Counted.moved) == ARRAY_BY_ARRAY["textbook"]
