import inspect

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from bnlab import layers
from bnlab.layers import SyncBatchNorm
from tests.layers import synchronised
from tests.layers.processes import Processes
from tests.tolerances import RTOL

EXACT = {"rtol": RTOL[torch.float64], "atol": 1e-10}

# How four processes are grouped, and how many examples each has. Groups run at the same time.
SPLITS = {
    "two_and_two": [(5, 3), (7, 1)],
    "empty_and_one_each": [(4, 0), (1, 1)],  # of (1, 1) no process could normalise alone
    "one_and_three": [(6,), (1, 0, 2)],  # a group of one
    "four": [(3, 2, 1, 2)],
    "four_two_empty": [(0, 5, 0, 2)],
}
each_split = pytest.mark.parametrize("splits", SPLITS.values(), ids=SPLITS)
SHAPES = {"rank_2": (3,), "rank_3": (3, 4), "rank_4": (3, 5, 3)}
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
OF_TORCH = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}

OPTIONS = {
    "cumulative": {"momentum": None},
    "eps_and_momentum": {"eps": 0.1, "momentum": 0.7},
    "no_bias": {"bias": False},
    "no_affine": {"affine": False},
    "no_statistics": {"track_running_stats": False},
}


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    processes = Processes(4, tmp_path_factory.mktemp("rendezvous") / "file")
    yield processes
    processes.stop()


def random_steps(count, shape, *, steps=3):
    """Inputs far from 0, which would hide cancellation, and uneven upstream gradients."""
    return [
        (1e3 + torch.randn(count, *shape, dtype=torch.float64), torch.randn(count, *shape, dtype=torch.float64))
        for _ in range(steps)
    ]


def assert_as_one(four, splits, shape, options=None):
    """Each group of processes gives what torch's batch norm gives in one process for the group's joined batch."""
    options = {"dtype": torch.float64} | (options or {})
    single = OF_TORCH[1 + len(shape)](3, **options)
    for parameter in single.parameters():
        nn.init.normal_(parameter)
    state = {name: tensor.clone() for name, tensor in single.state_dict().items()}
    joined = [random_steps(sum(split), shape) for split in splits]
    parts = [
        [(x.split(split)[place], grad_y.split(split)[place]) for x, grad_y in steps]
        for split, steps in zip(splits, joined, strict=True)
        for place in range(len(split))
    ]
    results = iter(four.call(synchronised.train, list(map(len, splits)), state, options, each=parts))
    for split, steps in zip(splits, joined, strict=True):
        single.load_state_dict(state)
        of_group = [next(results) for _ in split]
        for step, (x, grad_y) in enumerate(steps):
            expected = synchronised._step(single, x, grad_y)
            got = [result.steps[step] for result in of_group]
            assert_close(torch.cat([one.y for one in got]), expected.y, **EXACT)
            assert_close(torch.cat([one.grad_x for one in got]), expected.grad_x, **EXACT)
            for name, gradient in expected.grads.items():
                assert_close(sum(one.grads[name] for one in got), gradient, **EXACT)
        for result in of_group:
            assert_close(result.state, dict(single.state_dict()), **EXACT)


# ---- one process with the joined batch as the oracle ----


@each_split
@each_shape
def test_processes_together_give_what_one_gives_for_the_joined_batch(four, splits, shape):
    assert_as_one(four, splits, shape)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_each_option_acts_as_in_one_process(four, options):
    assert_as_one(four, [(5, 3), (4, 0)], (3, 2), options)


def test_a_layer_told_later_to_track_no_more_keeps_its_buffers(four):
    states = four.call(synchronised.train_without_tracking, each=torch.randn(4, 5, 3).unbind())
    for state in states:
        assert_close(state, dict(SyncBatchNorm(3).state_dict()))


def test_when_every_batch_is_empty_nothing_moves(four):
    assert_as_one(four, [(0, 0, 0, 0)], (3,))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_has_statistics_of_float32(four, dtype):
    x, grad_y = (3 + torch.randn(16, 3, 4)).to(dtype), torch.randn(16, 3, 4).to(dtype)
    single = nn.BatchNorm1d(3)
    parts = [[part] for part in zip(x.split((4, 9, 0, 3)), grad_y.split((4, 9, 0, 3)), strict=True)]
    results = four.call(synchronised.train, [4], dict(single.state_dict()), {}, each=parts)
    truth = single.double()(x.double())
    for tensor in (results[0].steps[0].y, results[2].steps[0].y, results[0].steps[0].grad_x):
        assert tensor.dtype == dtype
    got = torch.cat([result.steps[0].y for result in results])
    assert_close(got, truth.detach(), rtol=RTOL[dtype], atol=RTOL[dtype], check_dtype=False)
    assert_close(results[2].state, dict(single.float().state_dict()), rtol=RTOL[torch.float32], atol=1e-6)


def test_with_averaged_gradients_the_weighted_sums_of_losses_train_as_the_joined_batch(four):
    def network(norm):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 3), norm(3), nn.ReLU(), nn.Linear(3, 3), norm(3), nn.Linear(3, 2)).double()

    split = (4, 1, 0, 6)
    x, y = torch.randn(11, 4, dtype=torch.float64), torch.randint(2, (11,))
    parts = list(zip(x.split(split), y.split(split), strict=True))
    states = four.call(synchronised.descend, network(SyncBatchNorm), 11, 5, each=parts)
    single = network(nn.BatchNorm1d)
    for _ in range(5):
        single.zero_grad()
        nn.functional.cross_entropy(single(x), y).backward()
        for parameter in single.parameters():
            parameter.data -= 0.1 * parameter.grad
    for state in states:
        assert_close(state, dict(single.state_dict()), **EXACT)


def test_second_derivatives_are_those_of_one_process(four):
    x, weights = random_steps(8, (3,), steps=1)[0]
    split = (4, 1, 0, 3)
    parts = list(zip(x.split(split), weights.split(split), strict=True))
    got = four.call(synchronised.differentiate_twice, SyncBatchNorm(3, dtype=torch.float64), each=parts)
    single = layers.BatchNorm1d(3, dtype=torch.float64)
    assert_close(torch.cat(got), synchronised.differentiate_twice(single, (x, weights)), **EXACT)


# ---- what is sent ----


@pytest.mark.parametrize(
    ("training", "needs_gradient", "forward", "backward"),
    [
        (True, True, {"c10d::allgather_": 1}, {"c10d::allreduce_": 1}),
        (True, False, {"c10d::allgather_": 1}, {}),  # as in a network's first layer
        (False, True, {}, {}),
    ],
    ids=["training", "no_input_gradient", "evaluation"],
)
def test_there_is_one_collective_forward_and_one_backward(four, training, needs_gradient, forward, backward):
    seen = four.call(synchronised.count_collectives, training, needs_gradient, each=torch.randn(4, 5, 3).unbind())
    assert seen == [(forward, backward)] * 4


def test_one_process_can_evaluate_alone(four):
    x = torch.randn(2, 3)
    _, y, *_ = four.call(synchronised.evaluate_alone, each=[None, x, None, None])
    assert_close(y, layers.BatchNorm1d(3).eval()(x))


# ---- what is refused ----


@pytest.mark.parametrize("one", range(4))
def test_one_value_per_channel_in_all_is_refused_by_every_process(four, one):
    parts = [torch.ones(1 if rank == one else 0, 3) for rank in range(4)]
    line = "expected more than one value per channel in all processes together, got 1"
    assert four.call(synchronised.refuse, {}, each=parts) == [(line, True, True)] * 4


@pytest.mark.parametrize(
    ("options", "x", "line"),
    [
        ({}, torch.ones(2, 4), "SyncBatchNorm expected x of shape (n, c, *spatial) with c = 3, got (2, 4)"),
        ({}, torch.ones(3), "SyncBatchNorm expected x of shape (n, c, *spatial) with c = 3, got (3,)"),
        ({}, torch.ones(2, 3, dtype=torch.int64), "expected x of a floating-point dtype, got torch.int64"),
        ({"eps": 0.0}, torch.ones(2, 3), "expected eps above 0 in training, got 0.0"),
    ],
    ids=["channels", "axes", "dtype", "eps"],
)
def test_what_does_not_fit_is_refused_before_anything_is_sent(four, options, x, line):
    assert four.call(synchronised.refuse, options, each=[x] * 4) == [(line, True, True)] * 4


# ---- a drop-in, also where nothing is distributed ----


def test_the_constructor_is_that_of_torch():
    ours, theirs = (inspect.signature(kind).parameters for kind in (SyncBatchNorm, nn.SyncBatchNorm))
    assert {name: (one.default, one.kind) for name, one in ours.items()} == {
        name: (one.default, one.kind) for name, one in theirs.items()
    }
    assert list(ours) == list(theirs)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("kind", [nn.SyncBatchNorm, nn.BatchNorm2d])
def test_checkpoints_go_both_ways(kind, options):
    theirs, ours = kind(3, **options), SyncBatchNorm(3, **options)
    theirs(torch.randn(4, 3, 2, 2))
    ours.load_state_dict(theirs.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert_close(dict(ours.state_dict()), dict(theirs.state_dict()))
    ours(torch.randn(4, 3, 2, 2))
    theirs.load_state_dict(ours.state_dict())
    assert_close(dict(theirs.state_dict()), dict(ours.state_dict()))


@each_shape
def test_without_a_process_group_it_is_batch_norm(shape):
    ours, theirs = SyncBatchNorm(3, dtype=torch.float64), OF_TORCH[1 + len(shape)](3, dtype=torch.float64)
    for x, grad_y in random_steps(4, shape):
        assert_close(synchronised._step(ours, x, grad_y), synchronised._step(theirs, x, grad_y), **EXACT)
    assert_close(dict(ours.state_dict()), dict(theirs.state_dict()), **EXACT)
    assert_close(ours.eval()(x), theirs.eval()(x), **EXACT)


def test_without_a_process_group_one_value_per_channel_is_refused():
    with pytest.raises(ValueError, match="expected more than one value per channel in training"):
        SyncBatchNorm(3)(torch.ones(1, 3))
