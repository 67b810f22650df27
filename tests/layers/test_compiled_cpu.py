"""The backend "numba" (what it computes is asked of it in tests/kernels and test_external_suites)."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import numba
import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.testing import assert_close

from bnlab import layers
from bnlab.layers import compiled_auto, compiled_cpu, elementary
from bnlab.layers.functional import batch_norm
from tests.layers import synchronised
from tests.layers.processes import Processes

SHAPES = {"vectors": (7, 3), "small_maps": (5, 3, 4), "planes": (2, 3, 17, 19), "odd_spatial": (4, 3, 5, 3)}
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
each_mode = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])


def draw(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@each_mode
@pytest.mark.parametrize("relu", [False, True], ids=["line", "relu"])
@pytest.mark.parametrize("adding", [False, True], ids=["alone", "residual"])
def test_gradients_are_those_of_finite_differences(training, relu, adding):
    x, residual = draw(4, 3, 5, 3).requires_grad_(), draw(4, 3, 5, 3, seed=1).requires_grad_()
    weight, bias = draw(3, seed=2).requires_grad_(), draw(3, seed=3).requires_grad_()
    mean, var = torch.linspace(-1, 1, 3).double(), torch.linspace(0.5, 2, 3).double()

    def output(x, weight, bias, residual):
        added = residual if adding else None
        if training:
            return compiled_cpu.normalise_by_batch(x, weight, bias, 1e-5, added, relu)[0]
        return compiled_cpu.normalise_by(x, mean, var, weight, bias, 1e-5, added, relu)

    with torch.no_grad():
        assert (output(x, weight, bias, residual).abs() > 1e-5).logical_or(torch.tensor(relu)).all()  # off the kink
    assert gradcheck(output, (x, weight, bias, residual) if adding else (x, weight, bias, None))


@each_shape
@each_mode
def test_strides_that_no_kernel_takes_are_copied_and_change_nothing(shape, training):
    x = draw(*shape, 2)[..., 0].requires_grad_()
    assert not x.is_contiguous()
    buffers = torch.zeros(3).double(), torch.ones(3).double()
    grad_y = torch.tensor(1.5).double().expand(shape)  # expanded, as the gradient of a sum is
    given = {"training": training, "weight": None, "bias": None}
    ours = batch_norm(x, *buffers, **given, backend="numba")
    theirs = batch_norm(x, torch.zeros(3).double(), torch.ones(3).double(), **given)
    assert_close(ours, theirs)
    assert_close(torch.autograd.grad(ours, x, grad_y), torch.autograd.grad(theirs, x, grad_y), rtol=0, atol=1e-12)


def test_a_channels_last_image_stays_one():
    x = draw(4, 3, 5, 6).to(memory_format=torch.channels_last).requires_grad_()
    y = batch_norm(x, None, None, training=True, backend="numba")
    (grad_x,) = torch.autograd.grad(y, x, draw(4, 3, 5, 6, seed=1))
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert grad_x.is_contiguous(memory_format=torch.channels_last)


def test_buffers_that_move_between_the_passes_do_not_change_the_gradient():
    x, mean, var = draw(6, 3).requires_grad_(), torch.zeros(3).double(), torch.ones(3).double()
    y = batch_norm(x, mean, var, training=False, backend="numba")
    var.fill_(100)
    (grad_x,) = torch.autograd.grad(y.sum(), x)
    assert_close(grad_x, torch.full_like(x, (1 + 1e-5) ** -0.5))


def test_an_input_changed_in_place_before_the_backward_pass_is_noticed():
    x = draw(6, 3).requires_grad_()
    z = x * 1
    y = batch_norm(z, None, None, training=True, backend="numba")
    z.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_a_gradient_has_no_gradient_and_says_so():
    x = draw(6, 3).requires_grad_()
    y = batch_norm(x, None, None, training=True, backend="numba")
    (grad_x,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad_x.sum().backward()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@each_mode
def test_half_precision_is_refused_in_one_line(dtype, training):
    with pytest.raises(
        ValueError, match=r"^backend 'numba' expected x of float32 or float64 on the CPU, got torch\..*16 on cpu$"
    ):
        batch_norm(torch.zeros(4, 3, dtype=dtype), torch.zeros(3), torch.ones(3), training=training, backend="numba")


def test_parameters_get_gradients_of_their_own_dtype():
    layer = layers.BatchNorm1d(3, backend="numba")  # float32, with an input of float64
    x = draw(6, 3)
    layer(x).square().sum().backward()
    other = layers.BatchNorm1d(3)
    other(x).square().sum().backward()
    assert layer.weight.grad.dtype == torch.float32
    assert_close(layer.weight.grad, other.weight.grad)


def test_parameters_and_buffers_in_half_precision_are_taken():
    layer = layers.BatchNorm1d(3, dtype=torch.bfloat16, backend="numba")
    other = layers.BatchNorm1d(3, dtype=torch.bfloat16)
    x, results = draw(6, 3, dtype=torch.float32), []
    for module in (layer, other):
        y = module(x), module.eval()(x)
        results.append([*y, *torch.autograd.grad(sum(y).square().sum(), [*module.parameters()]), *module.buffers()])
    assert_close(*results)


def test_the_statistics_that_are_returned_may_be_changed():
    x, grad_y = draw(6, 3).requires_grad_(), draw(6, 3, seed=1)
    y, mean, var = compiled_cpu.normalise_by_batch(x, None, None, 1e-5)
    (expected,) = torch.autograd.grad(y, x, grad_y, retain_graph=True)
    mean.fill_(7), var.fill_(7)
    assert_close(torch.autograd.grad(y, x, grad_y), (expected,), rtol=0, atol=0)


def test_a_parameter_that_does_not_learn_gets_no_gradient():
    layer = layers.BatchNormReLU(3, backend="numba")
    layer.weight.requires_grad_(False)
    layer(draw(6, 3).float(), draw(6, 3, seed=1).float()).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad is not None


def test_in_distributed_data_parallel_gradients_are_averaged_and_each_process_has_its_own_statistics(tmp_path):
    parts = [
        (draw(4, 3, 5, 3, dtype=torch.float32, seed=seed), draw(4, 3, 5, 3, dtype=torch.float32)) for seed in (1, 2)
    ]
    processes = Processes(2, tmp_path / "rendezvous")
    try:
        found = processes.call(synchronised.train_compiled, each=parts)
    finally:
        processes.stop()
    alone = [nn.BatchNorm2d(3), nn.BatchNorm2d(3)]
    outputs = [layer(x) for layer, (x, _) in zip(alone, parts, strict=True)]
    for y, (_, grad_y) in zip(outputs, parts, strict=True):
        y.backward(grad_y)
    for (y, gradients, state), expected, layer in zip(found, outputs, alone, strict=True):
        assert_close(y, expected.detach())
        assert_close(state, dict(layer.state_dict()))
        for name, gradient in gradients.items():
            assert_close(gradient, sum(getattr(one, name).grad for one in alone) / 2)


def test_two_threads_at_once_get_what_one_gets():
    layer, x = layers.BatchNorm1d(3, backend="numba", track_running_stats=False), draw(64, 3, 300)
    expected = layer(x)
    with ThreadPoolExecutor(4) as pool:
        for y in pool.map(layer, [x] * 100):
            assert_close(y, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["numba", "auto"])
def test_a_compiled_model_has_a_gap_where_it_stands_and_computes_the_same(name):
    model = nn.Sequential(nn.Linear(4, 3), layers.BatchNorm1d(3, backend=name), nn.Linear(3, 2))
    compiled, x = torch.compile(deepcopy(model), backend="eager"), draw(6, 4).float()
    results = []
    with warnings.catch_warnings(action="ignore"):  # of torch.compile at its own doings
        for module in (model, compiled):
            y = module(x)
            results.append([y, *torch.autograd.grad(y.square().sum(), [*module.parameters()]), *module.buffers()])
    assert_close(*results)


@pytest.mark.parametrize("name", ["numba", "auto"])
def test_under_autocast_only_auto_takes_half_precision(name):
    model = nn.Sequential(nn.Linear(4, 3), layers.BatchNorm1d(3, backend=name))
    with torch.autocast("cpu", torch.bfloat16):
        if name == "auto":
            assert model(draw(6, 4).float()).dtype == torch.bfloat16
        else:
            with pytest.raises(ValueError, match=r"got torch\.bfloat16 on cpu"):
                model(draw(6, 4).float())


def test_it_computes_with_the_threads_of_torch(monkeypatch):
    asked = []
    monkeypatch.setattr(numba, "set_num_threads", asked.append)
    batch_norm(draw(6, 3), None, None, training=True, backend="numba")
    assert asked == [min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS)]


def test_the_fastest_is_numba_where_it_can_and_torch_where_it_cannot():
    assert compiled_auto.fastest(torch.zeros(2, 3)) is compiled_cpu
    assert compiled_auto.fastest(torch.zeros(2, 3, dtype=torch.bfloat16)) is elementary
    assert compiled_auto.fastest(torch.zeros(2, 3, device="meta")) is elementary
    y = nn.Sequential(layers.BatchNorm1d(3, backend="auto"))(draw(4, 3, dtype=torch.bfloat16))
    assert y.dtype == torch.bfloat16
