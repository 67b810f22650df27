import pytest
import torch
from torch.testing import assert_close

from bnlab.layers import Derf, DyT
from bnlab.reference import family
from tests.tolerances import RTOL

EXACT = {"rtol": 1e-10, "atol": 1e-10}
SHAPES = {"tokens": ((5,), (4, 3, 5)), "two_axes": ((3, 5), (4, 3, 5)), "one_example": ((5,), (5,))}
each_shape = pytest.mark.parametrize(("normalized_shape", "shape"), SHAPES.values(), ids=SHAPES)
each_layer = pytest.mark.parametrize("layer", [DyT, Derf])


def step(module, x, grad_y):
    """The output and the gradients of x and of every parameter, by name."""
    x = x.clone().requires_grad_()
    y = module(x)
    y.backward(grad_y)
    return {"y": y.detach(), "x": x.grad} | {name: p.grad for name, p in module.named_parameters()}


def with_random_affine(module):
    torch.nn.init.normal_(module.weight)
    torch.nn.init.normal_(module.bias)
    return module


@each_shape
def test_dynamic_tanh_is_that_of_the_reference(normalized_shape, shape):
    layer = with_random_affine(DyT(normalized_shape, alpha_init_value=0.7, dtype=torch.float64))
    x, grad_y = (3 * torch.randn(shape, dtype=torch.float64) for _ in range(2))
    gamma, beta = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    y, cache = family.dynamic_tanh_forward(x.numpy(), 0.7, gamma, beta)
    grads = family.dynamic_tanh_backward(grad_y.numpy(), cache)
    expected = dict(zip(["y", "x", "alpha", "weight", "bias"], (y, *grads), strict=True))
    expected["alpha"] = expected["alpha"].reshape(1)
    assert_close(step(layer, x, grad_y), {name: torch.as_tensor(each) for name, each in expected.items()}, **EXACT)


@each_shape
def test_dynamic_erf_is_that_of_the_reference(normalized_shape, shape):
    layer = Derf(normalized_shape, alpha_init_value=0.7, shift_init_value=-0.2, dtype=torch.float64)
    with_random_affine(layer)
    x, grad_y = (3 * torch.randn(shape, dtype=torch.float64) for _ in range(2))
    gamma, beta = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    y, cache = family.dynamic_erf_forward(x.numpy(), 0.7, -0.2, gamma, beta)
    grads = family.dynamic_erf_backward(grad_y.numpy(), cache)
    expected = dict(zip(["y", "x", "alpha", "shift", "weight", "bias"], (y, *grads), strict=True))
    expected |= {name: expected[name].reshape(1) for name in ("alpha", "shift")}
    assert_close(step(layer, x, grad_y), {name: torch.as_tensor(each) for name, each in expected.items()}, **EXACT)


def test_they_start_where_their_papers_do_with_the_names_and_shapes_of_the_authors():
    start = {"alpha": torch.tensor([0.5]), "weight": torch.ones(3), "bias": torch.zeros(3)}
    assert_close(dict(DyT(3).state_dict()), start)
    assert_close(dict(Derf(3).state_dict()), start | {"shift": torch.tensor([0.0])})


@each_layer
def test_a_reset_restores_the_start(layer):
    module = layer(3, alpha_init_value=0.8)
    for parameter in module.parameters():
        torch.nn.init.constant_(parameter, 7.0)
    module.reset_parameters()
    assert_close(dict(module.state_dict()), dict(layer(3, alpha_init_value=0.8).state_dict()), rtol=0, atol=0)


def test_they_print_their_starts():
    assert repr(DyT(3)) == "DyT((3,), alpha_init_value=0.5)"
    assert repr(Derf((2, 3), shift_init_value=0.1)) == "Derf((2, 3), alpha_init_value=0.5, shift_init_value=0.1)"


@each_layer
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_rounds_the_output_once(layer, dtype):
    module, x = layer(3, dtype=dtype), torch.randn(50, 3).to(dtype)
    y = module(x)
    assert y.dtype == dtype
    assert torch.equal(y, module.float()(x.float()).to(dtype))
    assert_close(y.double(), module.double()(x.double()), rtol=RTOL[dtype], atol=RTOL[dtype])


@each_layer
def test_a_bad_input_is_named(layer):
    with pytest.raises(ValueError, match=rf"{layer.__name__} expected x of shape \(\*, 3\), got \(2, 4\)"):
        layer(3)(torch.ones(2, 4))
    with pytest.raises(ValueError, match=r"floating-point dtype, got torch.int64"):
        layer(3)(torch.ones(2, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"normalized_shape of one axis or more"):
        layer(())
