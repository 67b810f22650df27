"""Where two members of the family are one: what a student should be able to say, and the code to show."""

import pytest
import torch
from torch.testing import assert_close

from bnlab.layers import (
    BatchNorm2d,
    BatchRenorm2d,
    DyT,
    FilterResponseNorm2d,
    FrozenBatchNorm2d,
    GhostBatchNorm2d,
    GroupNorm,
    InstanceNorm2d,
    LayerNorm,
    RMSNorm,
)

SHAPE = (4, 6, 5, 3)  # no two axes of one length
EXACT = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture
def images():
    return 2 + torch.randn(SHAPE, dtype=torch.float64)


def test_group_norm_of_one_group_is_layer_norm_over_channels_and_positions_up_to_the_affine(images):
    assert_close(GroupNorm(1, 6)(images), LayerNorm((6, 5, 3), elementwise_affine=False)(images), **EXACT)


def test_the_affine_is_where_they_differ_a_channel_against_a_place():
    assert GroupNorm(1, 6).weight.shape == (6,)
    assert LayerNorm((6, 5, 3)).weight.shape == (6, 5, 3)


def test_group_norm_of_a_group_for_each_channel_is_instance_norm_affine_and_all(images):
    group, instance = GroupNorm(6, 6).double(), InstanceNorm2d(6, affine=True).double()
    for parameter in group.parameters():
        torch.nn.init.normal_(parameter)
    instance.load_state_dict(group.state_dict(), strict=True)
    assert_close(group(images), instance(images), **EXACT)


def test_instance_norm_is_batch_norm_of_one_example_at_a_time(images):
    one_by_one = torch.cat([BatchNorm2d(6)(image[None]) for image in images])
    assert_close(InstanceNorm2d(6)(images), one_by_one, **EXACT)


def test_ghost_batch_norm_of_the_whole_batch_is_batch_norm_and_of_one_example_instance_norm(images):
    assert_close(GhostBatchNorm2d(6, ghost_size=4)(images), BatchNorm2d(6)(images), **EXACT)
    assert_close(GhostBatchNorm2d(6, ghost_size=1)(images), InstanceNorm2d(6)(images), **EXACT)


def test_batch_renorm_lies_between_batch_norm_and_frozen_batch_norm(images):
    assert_close(BatchRenorm2d(6, r_max=1.0, d_max=0.0)(images), BatchNorm2d(6)(images), **EXACT)
    assert_close(BatchRenorm2d(6, r_max=1e9, d_max=1e9)(images), FrozenBatchNorm2d(6)(images), **EXACT)


def test_rms_norm_of_centred_values_is_layer_norm(images):
    centred = images - images.mean(-1, keepdim=True)
    assert_close(RMSNorm(3, eps=1e-5)(centred), LayerNorm(3, eps=1e-5)(images), **EXACT)


def test_filter_response_norm_below_its_threshold_is_rms_norm_over_the_positions(images):
    layer = FilterResponseNorm2d(6)
    torch.nn.init.constant_(layer.tau, -torch.inf)
    assert_close(layer(images), RMSNorm((5, 3), eps=1e-6, elementwise_affine=False)(images), **EXACT)


def test_dynamic_tanh_of_small_values_is_a_straight_line():
    x = 1e-4 * torch.randn(4, 6, dtype=torch.float64)
    assert_close(DyT(6, dtype=torch.float64)(x), 0.5 * x, rtol=1e-6, atol=0)


PER_EXAMPLE = {
    "layer": LayerNorm(3),
    "rms": RMSNorm(3),
    "group": GroupNorm(2, 6),
    "instance": InstanceNorm2d(6),
    "filter_response": FilterResponseNorm2d(6),
    "dynamic_tanh": DyT(3),
}


@pytest.mark.parametrize("member", PER_EXAMPLE)
def test_members_without_a_batch_treat_an_example_alone_as_among_others_in_either_mode(member, images):
    layer = PER_EXAMPLE[member]
    among_others = layer.train()(images)
    for training in (True, False):
        assert_close(layer.train(training)(images[1:2]), among_others[1:2], **EXACT)


def test_members_with_a_batch_do_not(images):
    for layer in (BatchNorm2d(6), BatchRenorm2d(6, r_max=1.5, d_max=0.1), GhostBatchNorm2d(6, ghost_size=2)):
        changed = images.clone()
        changed[0] += torch.randn(SHAPE[1:], dtype=torch.float64)
        assert (layer(images)[1] - layer(changed)[1]).abs().max() > 0.01, type(layer).__name__
        layer.eval()
        assert_close(layer(images)[1], layer(changed)[1], **EXACT)
