import pytest
import torch
from torch import nn

from bnlab import layers
from bnlab.experiments.traits import Table, Traits, kept_for_backward, traits

CHANNELS = 8
ROUND_CONVOLUTION = {
    "batch": (lambda: layers.BatchNorm2d(CHANNELS), ("output", 17, "another", "refused", "each channel its own", True)),
    "renorm": (lambda: layers.BatchRenorm2d(CHANNELS), ("gradient", 17, "another", "refused", "no", False)),
    "frozen": (lambda: layers.FrozenBatchNorm2d(CHANNELS), ("no", 0, "as trained", "works", "no", False)),
    "group": (lambda: layers.GroupNorm(2, CHANNELS), ("no", 0, "as trained", "works", "one for all", True)),
    "pairs": (lambda: layers.GroupNorm(4, CHANNELS), ("no", 0, "as trained", "sign", "one for all", True)),
    "instance": (lambda: nn.InstanceNorm2d(CHANNELS), ("no", 0, "as trained", "refused", "each channel its own", True)),
    "channelwise": (
        lambda: layers.GroupNorm(CHANNELS, CHANNELS),
        ("no", 0, "as trained", "constant", "each channel its own", True),
    ),
    "response": (lambda: layers.FilterResponseNorm2d(CHANNELS), ("no", 0, "as trained", "sign", "no", True)),
    "nothing": (nn.Identity, ("no", 0, "as trained", "works", "no", False)),
}


def images(dtype=torch.float32):
    return torch.randn(6, 3, 5, 5, dtype=dtype)


@pytest.mark.parametrize(("make", "expected"), ROUND_CONVOLUTION.values(), ids=ROUND_CONVOLUTION)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_norms_are_known_to_do_is_found_out(make, expected, dtype):
    convolution = nn.Conv2d(3, CHANNELS, 3, padding=1, dtype=dtype)
    assert traits(convolution, make().to(dtype), images(dtype)) == Traits(*expected)


@pytest.mark.parametrize(
    ("norm", "shift", "scale"),
    [(layers.LayerNorm, "one for all", True), (layers.RMSNorm, "no", True), (layers.DyT, "no", False)],
)
@pytest.mark.parametrize("shape", [(6, 3), (6, 4, 3)])
def test_tokens_and_vectors_are_found_out_too(norm, shift, scale, shape):
    found = traits(nn.Linear(3, CHANNELS), norm(CHANNELS), torch.randn(shape))
    assert found == Traits("no", 0, "as trained", "works", shift, scale)


def test_a_convolution_may_normalise_its_own_weights():
    found = traits(layers.WeightStandardisedConv2d(3, CHANNELS, 3, padding=1), nn.Identity(), images())
    assert found == Traits("no", 0, "as trained", "works", "no", True)


def test_the_layers_are_left_as_they_were():
    convolution, norm = nn.Conv2d(3, CHANNELS, 3), layers.BatchNorm2d(CHANNELS).eval()
    before = [tensor.clone() for layer in (convolution, norm) for tensor in layer.state_dict().values()]
    traits(convolution, norm, images())
    after = [tensor for layer in (convolution, norm) for tensor in layer.state_dict().values()]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert not norm.training


def test_a_layer_without_a_bias_is_refused():
    with pytest.raises(ValueError, match="expected a first layer with a bias, got none"):
        traits(nn.Linear(3, 4, bias=False), nn.Identity(), torch.randn(2, 3))


def test_a_table_has_a_row_for_each_norm_and_gives_them_back():
    one = Traits("no", 3, "as trained", "works", "one for all", scale=True)
    table = Table({"mine": one})
    assert table["mine"] is one
    assert table._repr_markdown_().splitlines()[2] == "| mine | no | 3 | as trained | works | one for all | yes |"
    assert repr(table) == f"mine: {one}"


@pytest.mark.parametrize(
    ("layer", "kept"),
    [(nn.Identity(), 0.0), (nn.Tanh(), 1.0), (nn.BatchNorm2d(CHANNELS), 1.0), (nn.GroupNorm(2, CHANNELS), 1.0)],
)
def test_what_is_kept_for_the_backward_pass_is_counted_in_outputs(layer, kept):
    # Statistics are kept too, two numbers a channel or group: 16 of 64 * 8 * 100 values.
    assert kept_for_backward(layer, torch.randn(64, CHANNELS, 10, 10)) == pytest.approx(kept, abs=0.01)


def test_parameters_do_not_count_as_kept():
    assert kept_for_backward(nn.Linear(100, 2), torch.randn(3, 100)) == pytest.approx(100 / 2)
