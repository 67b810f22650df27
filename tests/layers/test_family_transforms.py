"""The family under torch.func and torch.compile: same numbers, same buffers as called one by one."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.testing import assert_close

from bnlab import layers

EXACT = {"rtol": 1e-10, "atol": 1e-10}
MEMBERS = 3
IMAGES, TOKENS, LENGTHS = (4, 6, 3, 2), (4, 5, 6), (4, 6, 5)
FAMILY = {
    "layer": (lambda: layers.LayerNorm(6), TOKENS),
    "rms": (lambda: layers.RMSNorm(6), TOKENS),
    "group": (lambda: layers.GroupNorm(2, 6), IMAGES),
    "instance": (lambda: layers.InstanceNorm2d(6, affine=True), IMAGES),
    "instance_tracked": (lambda: layers.InstanceNorm1d(6, affine=True, track_running_stats=True), LENGTHS),
    "batch_renorm": (lambda: layers.BatchRenorm2d(6, r_max=1.1, d_max=0.1), IMAGES),
    "batch_renorm_manual": (lambda: layers.BatchRenorm1d(6, momentum=None, backend="manual"), LENGTHS),
    "ghost": (lambda: layers.GhostBatchNorm2d(6, ghost_size=2), IMAGES),
    "weight_standardised": (lambda: layers.WeightStandardisedConv2d(6, 4, 2), IMAGES),
    "filter_response": (lambda: layers.FilterResponseNorm2d(6), IMAGES),
    "dynamic_tanh": (lambda: layers.DyT(6), TOKENS),
    "dynamic_erf": (lambda: layers.Derf(6), TOKENS),
}
each_member = pytest.mark.parametrize(("make", "shape"), FAMILY.values(), ids=FAMILY)


def random_module(make):
    module = make().double()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


@pytest.fixture
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@each_member
def test_an_ensemble_under_vmap_and_grad_equals_a_loop_over_its_members(make, shape):
    members = [random_module(make) for _ in range(MEMBERS)]
    parameters, buffers = stack_module_state(deepcopy(members))
    architecture = deepcopy(members[0])

    def output(parameters, buffers, x):
        return functional_call(architecture, (parameters, buffers), (x,))

    def loss(parameters, buffers, x):
        return output(parameters, buffers, x).pow(3).sum()

    for shift in (0.0, 3.0):  # the second batch meets buffers that already differ between members
        x = torch.randn(MEMBERS, *shape, dtype=torch.float64)
        x += shift * torch.arange(MEMBERS).view(-1, *[1] * len(shape))
        gradients = vmap(grad(loss))(parameters, buffers, x)
        for i, member in enumerate(members):
            member.zero_grad()
            member(x[i]).pow(3).sum().backward()
            for name, parameter in member.named_parameters():
                assert_close(gradients[name][i], parameter.grad, **EXACT)
            for name, buffer in member.named_buffers():
                assert_close(buffers[name][i], buffer, **EXACT)

    architecture.eval()
    y = vmap(output)(parameters, buffers, x)
    assert_close(y, torch.stack([member.eval()(x[i]) for i, member in enumerate(members)]), **EXACT)


@each_member
@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # torch.compile instantiates autograd.Function
@pytest.mark.usefixtures("fresh_compiler")
def test_compiled_without_a_graph_break_it_computes_the_same(make, shape):
    eager = random_module(make)
    module = deepcopy(eager)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    for training in (True, True, False):
        x = torch.randn(shape, dtype=torch.float64)
        eager.train(training), compiled.train(training)
        results = []
        for forward in (compiled, eager):
            leaf = x.clone().requires_grad_()
            y = forward(leaf)
            results.append((y, *torch.autograd.grad(y.pow(3).sum(), [leaf, *forward.parameters()])))
        assert_close(*results, **EXACT)
        assert_close(dict(module.named_buffers()), dict(eager.named_buffers()), **EXACT)
