import numpy as np
import pytest
import torch
from torch.testing import assert_close

from bnlab.layers import FilterResponseNorm2d
from bnlab.reference import family
from tests.tolerances import RTOL


def layer_with_random_parameters(**options):
    layer = FilterResponseNorm2d(3, **options)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    with torch.no_grad():
        layer.tau.copy_(torch.tensor([-20.0, 0.1, 20.0]))  # all of the first channel pass, none of the last
    return layer


@pytest.mark.parametrize("shape", [(4, 3, 5, 3), (1, 3, 2, 2), (2, 3, 1, 1)], ids=["odd", "one_image", "one_position"])
@pytest.mark.parametrize("eps", [1e-6, 0.1])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_output_and_gradients_are_those_of_the_reference(shape, eps, offset):
    layer = layer_with_random_parameters(eps=eps, dtype=torch.float64)
    x = (offset + torch.randn(shape, dtype=torch.float64)).requires_grad_()
    grad_y = torch.randn(shape, dtype=torch.float64)
    y = layer(x)
    y.backward(grad_y)
    parameters = [p.detach().numpy() for p in (layer.weight, layer.bias, layer.tau)]
    expected, cache = family.filter_response_norm_forward(x.detach().numpy(), *parameters, eps=eps)
    grads = family.filter_response_norm_backward(grad_y.numpy(), cache)
    got = [y.detach(), x.grad, layer.weight.grad, layer.bias.grad, layer.tau.grad]
    assert_close(got, [torch.from_numpy(each) for each in (expected, *grads)], rtol=1e-10, atol=1e-10)
    assert cache.passed.any()
    assert not cache.passed.all()


def test_it_starts_as_a_relu_of_the_rescaled_map_and_a_reset_restores_that():
    layer = layer_with_random_parameters()
    layer.reset_parameters()
    assert_close(dict(layer.state_dict()), dict(FilterResponseNorm2d(3).state_dict()), rtol=0, atol=0)
    x = torch.randn(2, 3, 4, 4)
    assert_close(layer(x), (x / (x.square().mean((2, 3), keepdim=True) + 1e-6).sqrt()).relu())


def test_at_a_tie_the_gradient_goes_to_the_threshold_as_in_the_reference():
    layer = FilterResponseNorm2d(1, dtype=torch.float64)
    x = torch.tensor([[[[3.0, 0.0], [-4.0, 0.0]]]], dtype=torch.float64, requires_grad=True)  # two of them meet tau, 0
    grad_y = torch.tensor([[[[1.0, 10.0], [100.0, 1000.0]]]], dtype=torch.float64)
    layer(x).backward(grad_y)
    _, cache = family.filter_response_norm_forward(x.detach().numpy(), np.ones(1), np.zeros(1), np.zeros(1))
    grads = family.filter_response_norm_backward(grad_y.numpy(), cache)
    got = [x.grad, layer.weight.grad, layer.bias.grad, layer.tau.grad]
    assert_close(got, [torch.from_numpy(each) for each in grads], rtol=1e-10, atol=1e-10)
    assert layer.tau.grad.item() == 1110


def test_nan_passes_the_threshold():
    x = torch.ones(1, 3, 2, 2)
    x[0, 1, 0, 0] = torch.nan
    assert torch.equal(FilterResponseNorm2d(3)(x).isnan().all((2, 3)), torch.tensor([[False, True, False]]))


def test_an_example_does_not_depend_on_its_batch_mates_nor_on_the_mode():
    layer, x = layer_with_random_parameters(), torch.randn(4, 3, 5, 5)
    assert torch.equal(layer(x)[:1], layer.eval()(x[:1]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_takes_its_mean_square_in_float32(dtype):
    layer, x = layer_with_random_parameters(dtype=dtype), (300 * torch.randn(2, 3, 8, 8)).to(dtype)
    y = layer(x)  # 300 squared overflows float16
    assert y.dtype == dtype
    assert_close(y.double(), layer.double()(x.double()), rtol=RTOL[dtype], atol=RTOL[dtype])


def test_it_prints_its_channels_and_eps():
    assert repr(FilterResponseNorm2d(3)) == "FilterResponseNorm2d(3, eps=1e-06)"


BAD = {
    "rank": (torch.ones(2, 3, 4), r"\(n, c, height, width\) with c = 3, got \(2, 3, 4\)"),
    "channels": (torch.ones(2, 4, 5, 5), r"with c = 3, got \(2, 4, 5, 5\)"),
    "integers": (torch.ones(2, 3, 4, 4, dtype=torch.int64), r"floating-point dtype, got torch.int64"),
}


@pytest.mark.parametrize(("x", "message"), BAD.values(), ids=BAD)
def test_a_bad_input_is_named(x, message):
    with pytest.raises(ValueError, match=message):
        FilterResponseNorm2d(3)(x)


def test_no_channels_and_a_negative_eps_are_refused():
    with pytest.raises(ValueError, match=r"num_features of at least 1, got 0"):
        FilterResponseNorm2d(0)
    with pytest.raises(ValueError, match=r"eps of at least 0, got -1"):
        FilterResponseNorm2d(3, eps=-1)(torch.ones(2, 3, 2, 2))
