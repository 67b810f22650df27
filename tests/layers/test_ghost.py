from functools import partial

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from bnlab.layers import BatchNorm1d, BatchNorm2d, GhostBatchNorm1d, GhostBatchNorm2d
from bnlab.reference import family

BACKENDS = pytest.mark.parametrize("backend", ["torch", "manual"])


def with_affine(layer):
    """The layer in float64, with a scale and a shift that are not their start."""
    layer = layer.double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, -1.0, 2.0]))
        layer.bias.copy_(torch.tensor([1.0, 0.0, -3.0]))
    return layer


def batch(n=12):
    return torch.randn(n, 3, dtype=torch.float64) * torch.tensor([1.0, 5.0, 0.1]) + torch.tensor([0.0, 3.0, -2.0])


@BACKENDS
@pytest.mark.parametrize("length", [(), (5,)], ids=["n_c", "n_c_length"])
def test_one_ghost_as_large_as_the_batch_is_batch_norm_exactly(backend, length):
    x = torch.randn(12, 3, *length)
    ghost, whole = GhostBatchNorm1d(3, ghost_size=12, backend=backend), BatchNorm1d(3, backend=backend)
    assert torch.equal(ghost(x), whole(x))
    torch.testing.assert_close(ghost.state_dict(), whole.state_dict(), rtol=1e-6, atol=1e-7)


@BACKENDS
@pytest.mark.parametrize("momentum", [0.1, 0.7, 1.0, None])
def test_it_equals_batch_norm_fed_one_ghost_after_another(backend, momentum):
    ghost = with_affine(GhostBatchNorm1d(3, ghost_size=4, momentum=momentum, backend=backend))
    whole = with_affine(BatchNorm1d(3, momentum=momentum))
    for x in (batch(), batch(8)):  # twice, so that the second starts from statistics that have moved
        x_ghost, x_whole = x.clone().requires_grad_(), x.clone().requires_grad_()
        y_ghost, y_whole = ghost(x_ghost), torch.cat([whole(part) for part in x_whole.split(4)])
        torch.testing.assert_close(y_ghost, y_whole, rtol=1e-12, atol=1e-12)
        upstream = torch.randn_like(x)
        (y_ghost * upstream).sum().backward()
        (y_whole * upstream).sum().backward()
        torch.testing.assert_close(x_ghost.grad, x_whole.grad, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ghost.weight.grad, whole.weight.grad, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ghost.state_dict(), whole.state_dict(), rtol=1e-12, atol=1e-12)


@BACKENDS
@pytest.mark.parametrize("shape", [(12, 3), (12, 3, 5), (12, 3, 3, 2)], ids=["n_c", "n_c_length", "odd_spatial"])
@pytest.mark.parametrize("offset", [0.0, 1e3])  # a centred input hides cancellation
def test_output_and_gradients_are_those_of_the_reference(backend, shape, offset):
    of_rank = GhostBatchNorm2d if len(shape) == 4 else GhostBatchNorm1d
    layer = with_affine(of_rank(3, ghost_size=4, backend=backend))
    x = (offset + torch.randn(shape, dtype=torch.float64)).requires_grad_()
    grad_y = torch.randn(shape, dtype=torch.float64)
    y = layer(x)
    y.backward(grad_y)
    affine = [layer.weight.detach().numpy(), layer.bias.detach().numpy()]
    expected, cache = family.ghost_batch_norm_forward(x.detach().numpy(), *affine, ghost_size=4)
    grads = family.ghost_batch_norm_backward(grad_y.numpy(), cache)
    got = [y.detach(), x.grad, layer.weight.grad, layer.bias.grad]
    tolerance = 1e-8 if offset else 1e-10
    torch.testing.assert_close(got, [torch.from_numpy(each) for each in (expected, *grads)], rtol=1e-10, atol=tolerance)


@BACKENDS
def test_images_are_normalised_as_batch_norm_fed_one_ghost_after_another_would(backend):
    ghost = with_affine(GhostBatchNorm2d(3, ghost_size=2, backend=backend))
    whole = with_affine(BatchNorm2d(3))
    for x in (5 + torch.randn(6, 3, 4, 3, dtype=torch.float64), torch.randn(4, 3, 1, 5, dtype=torch.float64)):
        y_whole = torch.cat([whole(part) for part in x.split(2)])
        torch.testing.assert_close(ghost(x), y_whole, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(ghost.state_dict(), whole.state_dict(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ghost.eval()(x), whole.eval()(x), rtol=1e-12, atol=1e-12)


def test_one_image_a_ghost_is_instance_norm_in_training():
    x = torch.randn(4, 3, 5, 3)
    torch.testing.assert_close(GhostBatchNorm2d(3, ghost_size=1)(x), torch.nn.InstanceNorm2d(3)(x))


def test_each_takes_the_inputs_of_its_rank_and_is_a_batch_norm_of_it():
    assert isinstance(GhostBatchNorm1d(3, ghost_size=2), BatchNorm1d)
    assert isinstance(GhostBatchNorm2d(3, ghost_size=2), BatchNorm2d)
    with pytest.raises(ValueError, match=r"GhostBatchNorm2d expected x of shape \(n, c, height, width\)"):
        GhostBatchNorm2d(3, ghost_size=2)(torch.ones(4, 3))
    with pytest.raises(ValueError, match=r"GhostBatchNorm1d expected x of shape \(n, c\) or \(n, c, length\)"):
        GhostBatchNorm1d(3, ghost_size=2)(torch.ones(4, 3, 2, 2))


def test_a_value_in_one_ghost_does_not_move_the_output_of_another():
    layer, x = GhostBatchNorm1d(3, ghost_size=4), batch().float()
    before = layer(x)
    x[5, 1] += 7
    moved = (layer(x) != before).any(1)
    assert moved.tolist() == [False] * 4 + [True] * 4 + [False] * 4


def test_evaluation_is_that_of_batch_norm_for_any_batch():
    ghost, whole = GhostBatchNorm1d(3, ghost_size=4), BatchNorm1d(3)
    ghost(batch().float())
    whole.load_state_dict(ghost.state_dict())
    x = batch(7).float()
    assert torch.equal(ghost.eval()(x), whole.eval()(x))


@BACKENDS
def test_stacked_layers_under_vmap_do_what_each_does_alone(backend):
    make = partial(GhostBatchNorm1d, 3, ghost_size=4, backend=backend)
    layers, x = [make(), make(), make()], torch.randn(3, 12, 3)
    parameters, buffers = stack_module_state(layers)
    together = vmap(lambda p, b, x: functional_call(layers[0], (p, b), (x,)))(parameters, buffers, x)
    for member, layer in enumerate(layers):
        torch.testing.assert_close(together[member], layer(x[member]))
        for name, buffer in layer.named_buffers():
            torch.testing.assert_close(buffers[name][member], buffer)


def test_without_running_statistics_there_is_nothing_to_move():
    layer = GhostBatchNorm1d(3, ghost_size=4, track_running_stats=False)
    assert torch.equal(layer(torch.ones(8, 3)), torch.zeros(8, 3))


def test_a_batch_that_is_no_multiple_of_the_ghost_is_refused_and_moves_nothing():
    layer = GhostBatchNorm1d(3, ghost_size=4)
    with pytest.raises(ValueError, match="expected a batch that is a multiple of ghost_size 4, got 10"):
        layer(torch.randn(10, 3))
    assert layer.num_batches_tracked == 0


def test_a_ghost_of_no_examples_is_refused():
    with pytest.raises(ValueError, match="expected ghost_size of at least 1, got 0"):
        GhostBatchNorm1d(3, ghost_size=0)


def test_a_ghost_of_one_value_per_channel_is_refused():
    with pytest.raises(ValueError, match="more than one value per channel"):
        GhostBatchNorm1d(3, ghost_size=1)(torch.randn(4, 3))


def test_a_change_of_mind_about_tracking_holds_the_statistics_still():
    layer = GhostBatchNorm1d(3, ghost_size=4)
    layer(torch.randn(8, 3))
    before = {name: buffer.clone() for name, buffer in layer.named_buffers()}
    layer.track_running_stats = False
    layer(torch.randn(8, 3) + 5)
    for name, buffer in layer.named_buffers():
        assert buffer.equal(before[name]), name
