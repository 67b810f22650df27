"""The modules under torch.compile and torch.func: same numbers, same buffers as when they are called one by one."""

import os
import shutil
import subprocess
import sys
import sysconfig
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.testing import assert_close

from bnlab.layers import BatchNorm1d, BatchNorm2d
from tests.layers.backends import OF_EVERY_ORDER
from tests.tolerances import RTOL

each_momentum = pytest.mark.parametrize("momentum", [0.3, None])  # None divides by a count that is a tensor
EXACT = {"rtol": RTOL[torch.float64], "atol": 1e-10}
MEMBERS = 3


@pytest.fixture
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@each_momentum
@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # torch.compile instantiates autograd.Function
@pytest.mark.usefixtures("fresh_compiler")
def test_compiled_without_a_graph_break_it_computes_the_same(momentum, backend):
    eager = BatchNorm2d(3, momentum=momentum, dtype=torch.float64, backend=backend)
    module = deepcopy(eager)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    for examples, training in [(4, True), (4, True), (6, True), (4, False)]:  # 6: recompiled for another batch size
        x = torch.randn(examples, 3, 2, 2, dtype=torch.float64)
        eager.train(training), compiled.train(training)
        results = []
        for forward in (compiled, eager):
            leaf = x.clone().requires_grad_()
            y = forward(leaf)
            results.append((y, *torch.autograd.grad(y.pow(3).sum(), [leaf, *forward.parameters()])))
        assert_close(*results, **EXACT)
        assert_close(dict(module.named_buffers()), dict(eager.named_buffers()), **EXACT)
    assert module.num_batches_tracked == 3


NO_COMPILER = (
    "no C++ compiler with Python's headers, which inductor needs"
    if not (shutil.which("c++") or shutil.which("g++") or shutil.which("clang++"))
    or not Path(sysconfig.get_path("include"), "Python.h").exists()
    else ""
)
INDUCTOR = """
import sys
import torch
from bnlab.layers import BatchNorm1d
for backend in sys.argv[1:]:
    torch.set_grad_enabled(backend == "manual")  # without gradients there is one kernel to compile, not two
    eager, module = (BatchNorm1d(3, momentum=None, backend=backend) for _ in range(2))
    compiled = torch.compile(module, fullgraph=True)
    for offset in (1e3, 0.0):
        x, rounding = offset + torch.randn(8, 3), 1e-6 + 5e-7 * offset  # four roundings of the offset
        torch.testing.assert_close(compiled(x), eager(x), rtol=1e-5, atol=rounding)
        torch.testing.assert_close(dict(module.named_buffers()), dict(eager.named_buffers()))
        if torch.is_grad_enabled():
            pairs = (compiled, module), (eager, eager)
            found, expected = (torch.autograd.grad(f(x).pow(3).sum(), owner.weight) for f, owner in pairs)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=100 * rounding)  # 8 values, slopes to a dozen
print(*sys.argv[1:])
"""


@pytest.mark.skipif(bool(NO_COMPILER), reason=NO_COMPILER)
@pytest.mark.skipif(" " in torch.__file__, reason="inductor hands torch's path to the linker without quotes")
def test_inductor_compiles_it_without_a_graph_break():
    # One process for every backend: torch takes longer to load in each than its kernels to compile.
    command = [sys.executable, "-c", INDUCTOR, *OF_EVERY_ORDER]
    alone = os.environ | {"TORCHINDUCTOR_COMPILE_THREADS": "1"}  # no processes that wait for kernels to compile
    run = subprocess.run(command, env=alone, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [*OF_EVERY_ORDER]


def members_and_ensemble(momentum, backend):
    """Modules to be looped over, and the same as stacked parameters and buffers of one architecture."""
    members = [
        nn.Sequential(nn.Linear(4, 3), BatchNorm1d(3, momentum=momentum, backend=backend)).double()
        for _ in range(MEMBERS)
    ]
    parameters, buffers = stack_module_state(deepcopy(members))
    architecture = deepcopy(members[0])
    return members, architecture, parameters, buffers


@each_momentum
def test_an_ensemble_under_vmap_equals_a_loop_over_its_members(momentum, backend):
    members, architecture, parameters, buffers = members_and_ensemble(momentum, backend)

    def output(parameters, buffers, x):
        return functional_call(architecture, (parameters, buffers), (x,))

    def loss(parameters, buffers, x):
        return output(parameters, buffers, x).pow(3).sum()

    for member_bias in (0.0, 3.0):  # the second batch meets buffers that already differ between members
        x = torch.randn(MEMBERS, 6, 4, dtype=torch.float64) + member_bias * torch.arange(MEMBERS).view(-1, 1, 1)
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
    assert buffers["1.num_batches_tracked"].tolist() == [2] * MEMBERS
