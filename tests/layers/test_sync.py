import pytest
import torch
from torch import nn
from torch.testing import assert_close

from bnlab.layers import SyncBatchNorm
from tests.layers import synchronised
from tests.layers.processes import Processes
from tests.tolerances import RTOL

EXACT = {"rtol": RTOL[torch.float64], "atol": 1e-10}

SPLITS = {
    "uneven": (5, 3),
    "single_example": (7, 1),
    "empty": (4, 0),
    "one_each": (1, 1),  # no process could normalise alone
    "four": (3, 2, 1, 2),
    "four_with_two_empty": (0, 5, 0, 2),
}
SHAPES = {"rank_2": (3,), "rank_3": (3, 4), "rank_4": (3, 5, 3)}
OF_TORCH = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    processes = Processes(4, tmp_path_factory.mktemp("rendezvous") / "file")
    yield processes
    processes.stop()


def steps_of(split, shape, *, offset=1e3, steps=3):
    """Inputs and upstream gradients of some steps, for the joined batch and for each process."""
    joined = [
        (offset + torch.randn(sum(split), *shape).double(), torch.randn(sum(split), *shape).double())
        for _ in range(steps)
    ]
    parts = [[(x.split(split)[rank], grad_y.split(split)[rank]) for x, grad_y in joined] for rank in range(len(split))]
    return joined, parts


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_processes_together_give_what_one_gives_for_the_joined_batch(four, split, shape):
    joined, parts = steps_of(split, shape)
    single = OF_TORCH[1 + len(shape)](3, dtype=torch.float64)
    for parameter in single.parameters():
        nn.init.normal_(parameter)
    state = {name: tensor.clone() for name, tensor in single.state_dict().items()}
    results = four.call(synchronised.train, state, {}, each=[*parts, *[None] * (4 - len(parts))])[: len(parts)]
    for step, (x, grad_y) in enumerate(joined):
        single.zero_grad()
        x.requires_grad_()
        y = single(x)
        y.backward(grad_y)
        here = [result.steps[step] for result in results]
        assert_close(torch.cat([one.y for one in here]), y.detach(), **EXACT)
        assert_close(torch.cat([one.grad_x for one in here]), x.grad, **EXACT)
        for name, parameter in single.named_parameters():
            assert_close(sum(one.grads[name] for one in here), parameter.grad, **EXACT)
    for result in results:
        assert_close(result.state, dict(single.state_dict()), **EXACT)
