"""The hand-written derivative: what it keeps, what it composes with, and why it computes everything again."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.autograd.graph import saved_tensors_hooks
from torch.func import grad, jacrev, jvp, vmap
from torch.testing import assert_close

from bnlab.layers import elementary, manual
from bnlab.layers.functional import batch_norm
from tests.tolerances import RTOL

EPS = 1e-5
EXACT = {"rtol": RTOL[torch.float64], "atol": 1e-10}
SHAPES = {"rank_2": (7, 3), "odd_spatial": (4, 3, 5, 3), "rank_5": (2, 3, 2, 3, 2), "count_2": (2, 3)}
each_mode = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])


def leaves(shape, dtype=torch.float64, parameter_dtype=torch.float64):
    """Input, scale and shift; neither scale nor shift is what a layer starts with."""
    x = (3 + 2 * torch.randn(shape)).to(dtype)
    weight, bias = torch.randn(2, shape[1]).to(parameter_dtype)
    return [tensor.detach().requires_grad_() for tensor in (x, weight, bias)]


def run(x, weight=None, bias=None, *, training, backend="manual"):
    given = torch.full((2, x.shape[1]), 0.7, dtype=x.dtype)
    statistics = (None, None) if training else given
    return batch_norm(x, *statistics, weight, bias, training=training, backend=backend)


def kept_for_backward(function, *arguments):
    """The tensors that a forward pass saves, each storage once."""
    saved = {}

    def keep(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        y = function(*arguments)
    assert y.requires_grad
    return list(saved.values())


# ---- why the inputs are saved, and not x_hat ----


class SavesXHat(torch.autograd.Function):
    """The textbook's version: what the first backward pass needs is saved, and is a constant to the second."""

    @staticmethod
    def forward(x):
        return elementary.normalise_by_batch(x, None, None, EPS)[0]

    @staticmethod
    def setup_context(ctx, inputs, output):
        (x,) = inputs
        ctx.save_for_backward(output, torch.rsqrt(x.var(0, correction=0) + EPS))

    @staticmethod
    def backward(ctx, grad_y):
        x_hat, inv_std = ctx.saved_tensors
        return inv_std * (grad_y - grad_y.mean(0) - x_hat * (grad_y * x_hat).mean(0))


class SavesACopyOfXHat(SavesXHat):
    """The same, but x_hat is no output of the function, so that autograd has no way back to x from it."""

    @staticmethod
    def setup_context(ctx, inputs, output):
        SavesXHat.setup_context(ctx, inputs, output.clone())


def test_a_saved_x_hat_passes_the_first_derivative_and_fails_the_second():
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(SavesACopyOfXHat.apply, x)
    assert not gradgradcheck(SavesACopyOfXHat.apply, x, raise_exception=False)


def test_even_an_x_hat_that_leads_back_to_x_fails_since_inv_std_does_not():
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(SavesXHat.apply, x)
    assert not gradgradcheck(SavesXHat.apply, x, raise_exception=False)


def test_saved_inputs_pass_both():
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)

    def normalised(x):
        return manual.normalise_by_batch(x, None, None, EPS)[0]

    assert gradcheck(normalised, x)
    assert gradgradcheck(normalised, x)


# ---- what it keeps ----


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_training_keeps_the_input_and_the_scale_alone(dtype):
    x, weight, bias = leaves((8, 3, 4, 4), dtype, torch.float32)
    kept = kept_for_backward(lambda *leaves: run(*leaves, training=True), x, weight, bias)
    assert {tensor.data_ptr() for tensor in kept} == {x.data_ptr(), weight.data_ptr()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_evaluation_keeps_the_statistics_too(dtype):
    x, weight, bias = leaves((8, 3, 4, 4), dtype, torch.float32)
    kept = kept_for_backward(lambda *leaves: run(*leaves, training=False), x, weight, bias)
    assert {x.data_ptr(), weight.data_ptr()} < {tensor.data_ptr() for tensor in kept}
    assert sorted(tensor.numel() for tensor in kept) == [3, 3, 3, x.numel()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autograd_keeps_a_centred_copy_of_the_input_as_wide_as_the_statistics(dtype):
    x, weight, bias = leaves((8, 3, 4, 4), dtype, torch.float32)
    kept = kept_for_backward(lambda *leaves: run(*leaves, training=True, backend="torch"), x, weight, bias)
    large = {(tensor.data_ptr(), tensor.dtype) for tensor in kept if tensor.numel() == x.numel()}
    ((pointer, width),) = large
    assert pointer != x.data_ptr()
    assert width == torch.float32


# ---- the two backends ----


@each_mode
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("parameters", ["weight bias", "weight", "bias", ""])
def test_second_derivatives_are_those_of_the_other_backend(training, shape, parameters):
    x, weight, bias = leaves(shape)
    given = {name: tensor for name, tensor in (("weight", weight), ("bias", bias)) if name in parameters}
    grad_y = torch.randn_like(x)
    inputs = [x, *given.values()]
    results = []
    for backend in ("manual", "torch"):
        y = run(x, **given, training=training, backend=backend)
        first = torch.autograd.grad((grad_y * y.pow(2)).sum(), inputs, create_graph=True)
        # y.pow(2), so that the gradient depends on every input and an uneven sum of it has a gradient again
        total = sum((gradient * torch.linspace(-1, 2, gradient.numel()).view_as(gradient)).sum() for gradient in first)
        results.append((y, first, torch.autograd.grad(total, inputs)))
    assert_close(*results, **EXACT)


@each_mode
@pytest.mark.parametrize("wanted", ["x", "weight", "bias"])
def test_a_gradient_wanted_alone_is_the_one_among_all(training, wanted):
    tensors = dict(zip(("x", "weight", "bias"), leaves((5, 3, 4)), strict=True))
    (among_all, *_) = torch.autograd.grad(run(**tensors, training=training).pow(3).sum(), tensors[wanted])
    alone = {name: tensor.detach().requires_grad_(name == wanted) for name, tensor in tensors.items()}
    (gradient,) = torch.autograd.grad(run(**alone, training=training).pow(3).sum(), alone[wanted])
    assert_close(gradient, among_all, rtol=0, atol=0)


@each_mode
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("parameter_dtype", [torch.float32, torch.bfloat16])
def test_each_gradient_has_the_dtype_of_what_it_belongs_to(training, dtype, parameter_dtype):
    tensors = leaves((5, 3, 4), dtype, parameter_dtype)
    y = run(*tensors, training=training)
    gradients = torch.autograd.grad(y, tensors, torch.randn_like(y))
    assert y.dtype == dtype
    assert [gradient.dtype for gradient in gradients] == [dtype, parameter_dtype, parameter_dtype]


@each_mode
def test_sums_over_a_half_precision_gradient_are_those_of_float32(training):
    x = torch.randn(1000, 1).to(torch.bfloat16).requires_grad_()
    bias = torch.zeros(1, requires_grad=True)
    run(x, bias=bias, training=training).backward(torch.full_like(x, 1.0078125))
    assert bias.grad.item() == 1007.8125  # 1008 in bfloat16


@each_mode
def test_an_empty_batch_has_second_derivatives_of_zero(training):
    x, weight, bias = leaves((0, 3, 2))
    gradients = torch.autograd.grad(run(x, weight, bias, training=training).sum(), [x, weight], create_graph=True)
    total = sum(gradient.sum() for gradient in gradients)
    assert torch.autograd.grad(total, weight)[0].tolist() == [0.0, 0.0, 0.0]


def test_the_batchs_mean_and_variance_carry_no_gradient():
    x, weight, bias = leaves((5, 3))
    _, mean, var = manual.normalise_by_batch(x, weight, bias, EPS)
    assert not mean.requires_grad
    assert not var.requires_grad


def test_given_statistics_are_constants():
    x, weight, bias = leaves((5, 3))
    mean, var = (torch.ones(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    y = manual.normalise_by(x, mean, var, weight, bias, EPS)
    assert torch.autograd.grad(y.sum(), [mean, var], allow_unused=True) == (None, None)


# ---- torch.func ----


def cubed(*tensors, training):
    return run(*tensors, training=training).pow(3).sum()


@each_mode
def test_grad_and_jacrev_agree_with_autograd(training):
    tensors = leaves((4, 3, 2))
    expected = torch.autograd.grad(cubed(*tensors, training=training), tensors)
    detached = [tensor.detach() for tensor in tensors]
    assert_close(grad(cubed, argnums=(0, 1, 2))(*detached, training=training), expected, **EXACT)
    jacobians = jacrev(lambda *tensors: run(*tensors, training=training), argnums=(0, 1, 2))(*detached)
    weights = 3 * run(*detached, training=training).pow(2)
    for jacobian, gradient in zip(jacobians, expected, strict=True):
        assert_close(torch.tensordot(weights, jacobian, dims=3), gradient, **EXACT)


@each_mode
@pytest.mark.parametrize("in_dims", [(0, 0, 0), (0, None, None), (None, 0, 0)], ids=str)
def test_vmap_of_grad_equals_a_loop(training, in_dims):
    members = [[tensor.detach() for tensor in leaves((4, 3, 2))] for _ in range(3)]
    stacked = [torch.stack(of_all) for of_all in zip(*members, strict=True)]
    arguments = [stack if dim == 0 else stack[0] for stack, dim in zip(stacked, in_dims, strict=True)]
    gradient = grad(lambda *tensors: cubed(*tensors, training=training), argnums=(0, 1, 2))
    together = vmap(gradient, in_dims)(*arguments)
    for i in range(3):
        one = [stack[i] if dim == 0 else stack[0] for stack, dim in zip(stacked, in_dims, strict=True)]
        assert_close(tuple(gradients[i] for gradients in together), gradient(*one), **EXACT)


@each_mode
def test_a_hessian_by_jacrev_twice_is_that_of_the_other_backend(training):
    x = torch.randn(4, 2, dtype=torch.float64)

    def loss(x, backend):
        return run(x, training=training, backend=backend).pow(3).sum()

    assert_close(*(jacrev(jacrev(loss))(x, backend) for backend in ("manual", "torch")), **EXACT)


@each_mode
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own, when it loads forward mode
def test_forward_mode_is_refused(training):
    x = torch.randn(4, 3)
    with pytest.raises(NotImplementedError, match="jvp"):
        jvp(lambda x: run(x, training=training), (x,), (x,))
