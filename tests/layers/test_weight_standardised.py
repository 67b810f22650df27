import pytest
import torch
from torch import nn
from torch.testing import assert_close

from bnlab.layers import WeightStandardisedConv2d
from bnlab.reference import family

OPTIONS = {
    "plain": {},
    "no_bias": {"bias": False},
    "stride_and_padding": {"stride": 2, "padding": 1},
    "reflected": {"padding": 1, "padding_mode": "reflect"},
    "same": {"padding": "same", "dilation": 2},
    "groups": {"groups": 2},
    "depthwise": {"groups": 4},
}
each_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
EXACT = {"rtol": 1e-10, "atol": 1e-10}


def twins(**options):
    """Ours, and torch's with the same parameters."""
    ours = WeightStandardisedConv2d(4, 8, 3, **options, dtype=torch.float64)
    theirs = nn.Conv2d(4, 8, 3, **options, dtype=torch.float64)
    with torch.no_grad():
        ours.weight.add_(0.3)  # filters with a mean to be taken out
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return ours, theirs


@each_option
@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_output_and_gradients_are_those_of_a_convolution_by_the_reference_weight(options, eps):
    _, theirs = twins(**options)
    ours = WeightStandardisedConv2d(4, 8, 3, **options, eps=eps, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, 4, 7, 6, dtype=torch.float64)
    x_ours, x_theirs = x.clone().requires_grad_(), x.clone().requires_grad_()

    standardised, cache = family.weight_standardise_forward(theirs.weight.detach().numpy(), eps=eps)
    with torch.no_grad():
        theirs.weight.copy_(torch.from_numpy(standardised))
    y, expected = ours(x_ours), theirs(x_theirs)
    grad_y = torch.randn_like(y)
    y.backward(grad_y)
    expected.backward(grad_y)
    grad_weight = family.weight_standardise_backward(theirs.weight.grad.numpy(), cache)
    assert_close([y, x_ours.grad, ours.weight.grad], [expected, x_theirs.grad, torch.from_numpy(grad_weight)], **EXACT)
    if ours.bias is not None:
        assert_close(ours.bias.grad, theirs.bias.grad, **EXACT)


def test_the_trained_weights_stay_as_they_are_and_the_used_ones_are_standardised():
    layer = WeightStandardisedConv2d(3, 5, 3)
    before = layer.weight.clone()
    layer(torch.randn(2, 3, 5, 5))
    assert torch.equal(layer.weight, before)
    used = layer.standardised_weight()
    assert_close(used.mean((1, 2, 3)), torch.zeros(5), rtol=0, atol=1e-6)
    assert_close(used.var((1, 2, 3), correction=0), torch.ones(5), rtol=1e-2, atol=0)  # eps beside a variance of 0.012


def test_scale_and_shift_of_a_filter_change_nothing():
    layer, x = WeightStandardisedConv2d(3, 5, 3, eps=0.0, dtype=torch.float64), torch.randn(2, 3, 5, 5).double()
    y = layer(x)
    with torch.no_grad():
        layer.weight.mul_(torch.rand(5, 1, 1, 1) + 0.5).add_(torch.randn(5, 1, 1, 1))
    assert_close(layer(x), y, **EXACT)


@each_option
def test_it_prints_registers_and_starts_as_the_convolution_does_with_eps_beside(options):
    torch.manual_seed(1)
    ours = WeightStandardisedConv2d(4, 8, 3, **options)
    torch.manual_seed(1)
    theirs = nn.Conv2d(4, 8, 3, **options)
    assert repr(ours) == repr(theirs).replace("Conv2d(", "WeightStandardisedConv2d(")[:-1] + ", eps=1e-05)"
    assert_close(dict(ours.state_dict()), dict(theirs.state_dict()), rtol=0, atol=0)


def test_half_precision_weights_are_standardised_in_float32():
    layer = WeightStandardisedConv2d(3, 5, 3, dtype=torch.bfloat16)
    with torch.no_grad():
        layer.weight.add_(3.0)  # the mean, rounded to bfloat16, would be off by as much as the weights vary
    used = layer.standardised_weight()
    assert used.dtype == torch.bfloat16
    wide, _ = family.weight_standardise_forward(layer.weight.detach().float().numpy())
    assert torch.equal(used, torch.from_numpy(wide).bfloat16())


def test_filters_of_one_weight_and_a_negative_eps_are_refused():
    with pytest.raises(ValueError, match=r"filters of more than one weight, got a weight of \(4, 1, 1, 1\)"):
        WeightStandardisedConv2d(4, 4, 1, groups=4)
    with pytest.raises(ValueError, match=r"eps of at least 0, got -1"):
        WeightStandardisedConv2d(3, 5, 3, eps=-1)(torch.randn(2, 3, 5, 5))
