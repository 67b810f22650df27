"""The backend "triton": the kernels behind the layers' own interface, and what it refuses."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.autograd import grad
from torch.testing import assert_close

from bnlab.layers import BatchNorm2d, BatchNormReLU
from bnlab.layers.functional import batch_norm
from tests.kernels.gpu.machine import DEVICE
from tests.layers.external import ONNX, TORCH, compare_with_onnx, compare_with_torch
from tests.tolerances import RTOL

each_mode = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])


def leaves(dtype=torch.float32, *, parameters=torch.float32):
    """Input, scale, shift and running statistics; none is what a layer starts with."""
    x = (3 + 2 * torch.randn(4, 3, 5, 3)).to(DEVICE, dtype)
    weight, bias, mean, var = (1 + torch.rand(3).to(DEVICE, parameters) for _ in range(4))
    return [x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), mean, var]


def run(x, weight, bias, mean, var, *, training, backend):
    return batch_norm(x, mean, var, weight, bias, training=training, backend=backend)


@each_mode
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_output_statistics_and_gradients_are_those_of_torch(training, dtype):
    ours = leaves(dtype)
    theirs = [tensor.detach().double().clone().requires_grad_(tensor.requires_grad) for tensor in ours]
    y = run(*ours, training=training, backend="triton")
    expected = run(*theirs, training=training, backend="torch")
    assert y.dtype == dtype
    close = {"rtol": RTOL[dtype], "atol": RTOL[dtype], "check_dtype": False}
    assert_close(y, expected, **close)
    assert_close(ours[3:], theirs[3:], **close)

    upstream = torch.randn(y.shape).to(y)
    y.backward(upstream)
    expected.backward(upstream.double())
    for one, other in zip(ours[:3], theirs[:3], strict=True):
        assert one.grad.dtype == one.dtype
        assert_close(one.grad, other.grad, **close)


@each_mode
def test_parameters_in_half_precision_get_gradients_of_their_dtype(training):
    x, weight, *others = leaves(torch.float16, parameters=torch.float16)
    run(x, weight, *others, training=training, backend="triton").sum().backward()
    assert x.grad.dtype == weight.grad.dtype == torch.float16


@each_mode
def test_parameters_that_are_absent_or_frozen_get_no_gradient(training):
    x, weight, _, mean, var = leaves()
    run(x, weight.detach(), None, mean, var, training=training, backend="triton").square().sum().backward()
    assert x.grad is not None
    assert weight.grad is None


@each_mode
def test_a_second_derivative_is_refused(training):
    x, *others = leaves()
    (first,) = grad(run(x, *others, training=training, backend="triton").pow(3).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_running_statistics_may_move_between_forward_and_backward():
    x, weight, bias, mean, var = leaves()
    expected = weight / torch.sqrt(var + 1e-5)
    y = run(x, weight, bias, mean, var, training=False, backend="triton")
    var.mul_(9)
    y.sum().backward()
    assert_close(x.grad[0, :, 0, 0], expected)


def test_a_layer_trains_with_it():
    torch.manual_seed(0)
    layers = [BatchNorm2d(3, backend=backend, device=DEVICE) for backend in ("triton", "torch")]
    x, upstream = torch.randn(2, 4, 3, 5, 3).to(DEVICE)
    for layer in layers:
        layer(x).backward(upstream)
        torch.optim.SGD(layer.parameters(), lr=0.1).step()
    for ours, theirs in zip(layers[0].state_dict().values(), layers[1].state_dict().values(), strict=True):
        assert_close(ours, theirs)


def test_the_input_is_all_that_is_kept_of_its_size():
    x, *others = leaves()
    y = run(x, *others, training=True, backend="triton")
    kept = [saved.shape for saved in y.grad_fn.saved_tensors if saved is not None]
    assert kept == [x.shape, (3,), (3,), (3,), (3,)]  # mean, variance, scale and shift
    assert y.grad_fn.saved_tensors[0] is x


def test_float64_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^expected x of float32, float16 or bfloat16, got torch.float64$"):
        run(*leaves(torch.float64), training=True, backend="triton")


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ("", "expected x on a CUDA device, which Triton compiles for, got cpu"),
        (
            "import sys; sys.modules['triton'] = None",
            "expected Triton, which exists for Linux only, for backend 'triton', got: ",
        ),
    ],
    ids=["on the CPU", "without Triton"],
)
def test_where_it_cannot_work_it_says_so_in_one_line(before, message):
    code = f"{before}\nimport torch, bnlab.layers as l\nl.BatchNorm1d(3, backend='triton')(torch.rand(2, 3))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.stderr.splitlines()[-1].startswith(f"ValueError: {message}")


@each_mode
@pytest.mark.parametrize("case", TORCH)
def test_a_module_does_with_the_inputs_of_torch_what_that_of_torch_does(case, training):
    compare_with_torch(TORCH[case], training=training, backend="triton", dtype=torch.float32, device=DEVICE)


@pytest.mark.parametrize("case", ONNX)
def test_the_operator_gives_what_onnx_expects(case):
    compare_with_onnx(ONNX[case], backend="triton", device=DEVICE)


@each_mode
@pytest.mark.parametrize("adding", [False, True], ids=["alone", "residual"])
def test_a_residual_and_a_relu_are_fused_with_the_gradients_of_torch(training, adding):
    ours, theirs = BatchNormReLU(3, device=DEVICE, backend="triton"), nn.BatchNorm2d(3, device=DEVICE).double()
    theirs.train(training), ours.train(training)
    x, residual = (torch.randn(4, 3, 5, 3, device=DEVICE).requires_grad_() for _ in range(2))
    y = ours(x, residual if adding else None)
    wide = [tensor.detach().double().requires_grad_() for tensor in (x, residual)]
    expected = theirs(wide[0]) + (wide[1] if adding else 0)
    upstream = torch.randn(y.shape, device=DEVICE)
    found = grad(y, [x, *([residual] if adding else []), *ours.parameters()], upstream)
    inputs = [*wide[: 1 + adding], *theirs.parameters()]
    close = {"rtol": RTOL[torch.float32], "atol": RTOL[torch.float32], "check_dtype": False}
    assert_close(y, expected.relu(), **close)
    assert_close(found, grad(expected.relu(), inputs, upstream.double()), **close)
    assert_close(dict(ours.state_dict()), dict(theirs.state_dict()), **close)
