import pytest
import torch
from rich.console import Console
from torch import nn
from torch.testing import assert_close

from bnlab.bench.network import NETWORKS, compare, networks
from bnlab.experiments.data import digits
from tests.tolerances import RTOL


def test_the_networks_compute_the_same_forward_backward_and_in_evaluation():
    x, y = digits().train.x[:32].double(), digits().train.y[:32]
    results = []
    for name in NETWORKS[:3]:
        model = networks(4)[name].double()
        gradients = []
        for _ in range(3):
            gradients = torch.autograd.grad(nn.functional.cross_entropy(model(x), y), list(model.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                    parameter.sub_(0.1 * gradient)
        results.append([*gradients, *model.buffers(), model.eval()(x)])
    for other in results[1:]:
        assert len(other) == len(results[0])
        for ours, theirs in zip(other, results[0], strict=True):
            assert_close(ours, theirs, rtol=1e4 * RTOL[torch.float64], atol=1e-8)


def test_a_comparison_says_how_fast_and_how_good_each_network_is():
    found = compare(4, 20, rounds=3, threads=1)
    assert {name: len(seconds) for name, seconds in found.seconds.items()} == dict.fromkeys(NETWORKS, 3)
    assert found.times_as_fast("torch.nn") == (1, 1, 1)
    assert all(0 <= accuracy <= 1 for accuracy in found.accuracy.values())
    assert abs(found.accuracy["torch.nn"] - found.accuracy["BatchNormReLU, numba"]) < 0.02
    console = Console(width=80, record=True)
    console.print(found)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert all(any(name in line for line in lines) for name in NETWORKS)


def test_no_rounds_are_refused():
    with pytest.raises(ValueError, match="expected at least 1 round, got 0"):
        compare(4, 20, rounds=0)
