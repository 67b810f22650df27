import pytest
import torch
from torch import nn

from bnlab.experiments.models import (
    PreactivationBlock,
    ResidualBlock,
    cnn,
    mlp,
    preactivation_resnet,
    residual_mlp,
    resnet,
)
from bnlab.layers import BatchNorm1d, BatchNorm2d


def generator():
    return torch.Generator().manual_seed(3)


def weights(model):
    return [m.weight for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


@pytest.mark.parametrize(
    ("make", "norm", "settings"),
    [
        (mlp, BatchNorm1d, {"depth": 3, "width": 20}),
        (cnn, BatchNorm2d, {"depth": 3, "width": 6}),
        (resnet, BatchNorm2d, {"blocks": 2, "width": 6}),
        (preactivation_resnet, BatchNorm2d, {"blocks": 2, "width": 6}),
        (residual_mlp, BatchNorm1d, {"blocks": 2, "width": 6}),
    ],
)
def test_both_arms_start_from_the_same_weights(make, norm, settings):
    plain = make(64, 10, **settings, generator=generator())
    normalised = make(64, 10, **settings, norm=norm, generator=generator())
    assert all(torch.equal(a, b) for a, b in zip(weights(plain), weights(normalised), strict=True))


def test_signal_keeps_its_size_through_a_plain_relu_network():
    model = mlp(500, 10, depth=6, width=500, generator=generator())
    x = torch.randn(200, 500)
    before_last_relu = model[:-2](x)
    # He's rule keeps the second moment of a pre-activation at 2 for unit inputs; torch's default would give 2 / 6**5.
    assert before_last_relu.square().mean().item() == pytest.approx(2, rel=0.2)


def test_a_layer_before_a_norm_has_no_bias_and_the_others_start_at_zero():
    model = mlp(64, 10, depth=2, width=20, norm=BatchNorm1d)
    linear = [m for m in model if isinstance(m, nn.Linear)]
    assert [m.bias is None for m in linear] == [True, True, False]
    assert torch.equal(linear[-1].bias, torch.zeros(10))


def test_mlp_has_the_depth_and_width_asked_for():
    assert [w.shape for w in weights(mlp(64, 10, depth=3, width=20))] == [(20, 64), (20, 20), (20, 20), (10, 20)]


def test_residual_block_passes_its_input_through_where_the_branch_is_silent():
    block = ResidualBlock(4, BatchNorm2d)
    nn.init.zeros_(block.branch[-1].weight)  # gamma of the last norm
    x = torch.rand(3, 4, 5, 5)
    assert torch.equal(block(x), x)


def test_resnet_maps_images_to_logits():
    model = resnet(1, 10, blocks=2, width=6, norm=BatchNorm2d)
    assert model(torch.randn(5, 1, 8, 8)).shape == (5, 10)
    assert len([m for m in model.modules() if isinstance(m, BatchNorm2d)]) == 5


@pytest.mark.parametrize("make", [mlp, cnn])
def test_scale_multiplies_the_hidden_weights_and_leaves_the_head(make):
    plain, scaled = (
        weights(make(64, 10, depth=3, width=6, scale=scale, generator=generator())) for scale in (1.0, 0.1)
    )
    assert all(torch.equal(big * 0.1, small) for big, small in zip(plain[:-1], scaled[:-1], strict=True))
    assert torch.equal(plain[-1], scaled[-1])


def test_mlp_takes_its_activation_and_drops_behind_it():
    model = mlp(64, 10, depth=2, width=6, norm=BatchNorm1d, activation=nn.Sigmoid, dropout=0.3)
    hidden = [nn.Linear, BatchNorm1d, nn.Sigmoid, nn.Dropout]
    assert [type(layer) for layer in model] == [nn.Flatten, *hidden, *hidden, nn.Linear]
    assert model[4].p == 0.3


def test_cnn_keeps_the_image_and_averages_it_for_the_head():
    model, x = cnn(2, 10, depth=3, width=6, norm=BatchNorm2d), torch.randn(5, 2, 7, 6)
    maps = model[:-3](x)
    assert maps.shape == (5, 6, 7, 6)
    torch.testing.assert_close(model(x), model[-1](maps.mean((2, 3))))


def test_the_norm_of_a_cnn_stands_where_it_is_asked_for():
    before, after = (cnn(1, 10, depth=2, width=4, norm=BatchNorm2d, norm_after=place) for place in (False, True))
    assert [type(layer) for layer in before[:6]] == 2 * [nn.Conv2d, BatchNorm2d, nn.ReLU]
    assert [type(layer) for layer in after[:6]] == 2 * [nn.Conv2d, nn.ReLU, BatchNorm2d]
    assert after[0].bias is None


@pytest.mark.parametrize(
    ("make", "settings"),
    [(cnn, {"depth": 2}), (resnet, {"blocks": 1}), (preactivation_resnet, {"blocks": 1})],
)
def test_only_the_first_convolution_has_the_stride(make, settings):
    model = make(1, 10, width=4, stride=2, **settings)
    assert [m.stride for m in model.modules() if isinstance(m, nn.Conv2d)][:2] == [(2, 2), (1, 1)]
    assert model(torch.randn(3, 1, 8, 8)).shape == (3, 10)


def test_blocks_whose_last_gamma_is_zero_start_as_the_identity_and_only_these_gammas_are():
    model = resnet(1, 10, blocks=2, width=4, norm=BatchNorm2d, zero_gamma=True)
    x = torch.rand(3, 4, 5, 5)
    blocks = [layer for layer in model if isinstance(layer, ResidualBlock)]
    assert all(torch.equal(block(x), x) for block in blocks)
    gammas = [m.weight.unique().tolist() for m in model.modules() if isinstance(m, BatchNorm2d)]
    assert gammas == [[1.0], [1.0], [0.0], [1.0], [0.0]]


def test_a_gamma_of_zero_needs_a_norm():
    with pytest.raises(ValueError, match="zero_gamma: expected a norm, whose gamma can start at 0, got None"):
        resnet(1, 10, blocks=1, width=4, zero_gamma=True)


@pytest.mark.parametrize(("make", "norm"), [(preactivation_resnet, BatchNorm2d), (residual_mlp, BatchNorm1d)])
def test_the_skip_connection_adds_the_branch_and_changes_nothing_else(make, norm):
    model = make(64 if make is residual_mlp else 1, 10, blocks=2, width=4, norm=norm, generator=generator())
    block = next(layer for layer in model if isinstance(layer, PreactivationBlock))
    x = torch.randn(7, 4, *([] if make is residual_mlp else [5, 5]))  # also negative: no ReLU stands in the way
    torch.testing.assert_close(block(x), x + block.branch(x))
    layer = nn.Linear if make is residual_mlp else nn.Conv2d
    assert [type(part) for part in block.branch] == 2 * [norm, nn.ReLU, layer]


@pytest.mark.parametrize("make", [preactivation_resnet, residual_mlp])
def test_with_skip_init_a_block_is_the_identity_until_its_strength_has_moved(make):
    model = make(64 if make is residual_mlp else 1, 10, blocks=1, width=4, skip_init=True, generator=generator())
    block = next(layer for layer in model if isinstance(layer, PreactivationBlock))
    x = torch.randn(7, 4, *([] if make is residual_mlp else [5, 5]))
    y = block(x)
    assert torch.equal(y, x)
    (y * torch.randn_like(y)).sum().backward()
    assert block.strength.grad.abs().item() > 0
    nn.init.constant_(block.strength, 0.5)
    torch.testing.assert_close(block(x), x + 0.5 * block.branch(x))


def test_networks_that_end_on_a_sum_have_a_norm_and_a_relu_before_the_head():
    assert [type(layer) for layer in residual_mlp(64, 10, blocks=1, width=4, norm=BatchNorm1d)[-3:]] == [
        BatchNorm1d,
        nn.ReLU,
        nn.Linear,
    ]
