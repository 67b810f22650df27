"""Folded networks compute what they did; what cannot be folded is left and named."""

import torch
from torch import nn

from bnlab.deploy import fold


def trained(norm):
    """Statistics as training leaves them: uneven, some variances tiny, some gammas negative."""
    with torch.no_grad():
        norm.running_mean.normal_(0.5, 2.0)
        norm.running_var.copy_(10 ** torch.linspace(-6, 1, norm.num_features))
        norm.weight.normal_()
        norm.bias.normal_()
    return norm


def test_a_folded_convolution_gives_what_batch_norm_made_of_it():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), trained(nn.BatchNorm2d(8))).eval().double()
    x = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    report = fold(model, x)
    torch.testing.assert_close(report.model(x), model(x), rtol=1e-10, atol=1e-10)
    assert isinstance(report.model[1], nn.Identity)
    assert isinstance(model[1], nn.BatchNorm2d)
