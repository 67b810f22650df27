"""Conversion of networks that it never saw: what they compute afterwards, and what must not have moved."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bnlab import layers
from bnlab.deploy import convert, recalibrate
from bnlab.deploy.targets import TARGETS
from tests.deploy.networks import ODD_NAMES, Odd, ResNet, images, vectors, warmed
from tests.tolerances import RTOL

EXACT = {"rtol": RTOL[torch.float64], "atol": RTOL[torch.float64]}
NETWORKS = pytest.mark.parametrize(("network", "data"), [(ResNet, images), (Odd, vectors)], ids=["resnet", "odd"])
IMPLEMENTATIONS = pytest.mark.parametrize("to", ["bnlab", "torch", "sync_batch_norm", "bnlab_sync_batch_norm"])
KINDS = pytest.mark.parametrize("to", TARGETS)


def skip_for(network, to):
    """The layer that cannot be frozen, since it keeps no statistics."""
    return ["untracked"] if network is Odd and to == "frozen" else []


def norms(model):
    kinds = nn.modules.batchnorm._BatchNorm | layers.batch_norm.BatchNorm
    return [module for module in model.modules() if isinstance(module, kinds)]


def backward(model, x):
    """The output, and the gradients of an uneven loss to the input and by the parameters' names."""
    x = x.clone().requires_grad_()
    y = model(x)
    model.zero_grad()
    (y * torch.linspace(-1, 2, y.numel(), dtype=y.dtype).reshape(y.shape)).sum().backward()
    return y.detach(), x.grad, {name: parameter.grad for name, parameter in model.named_parameters()}


# What the new layers compute


@NETWORKS
@IMPLEMENTATIONS
def test_another_implementation_trains_as_the_old_one_in_outputs_gradients_and_statistics(network, data, to):
    x = data()
    before = warmed(network(), x)
    after = convert(copy.deepcopy(before), to).model
    for batch in (x, data()):  # twice, so that the second meets statistics that have moved
        torch.testing.assert_close(backward(after, batch), backward(before, batch), **EXACT)
        torch.testing.assert_close(after.state_dict(), before.state_dict(), **EXACT)
    torch.testing.assert_close(after.eval()(x), before.eval()(x), **EXACT)


@NETWORKS
def test_there_and_back_is_the_network_as_it_was(network, data):
    x = data()
    before = warmed(network(), x)
    after = convert(convert(copy.deepcopy(before), "bnlab").model, "torch").model
    assert {type(norm).__module__ for norm in norms(after)} == {"torch.nn.modules.batchnorm"}
    assert_same_state(after, before.state_dict())
    reference = convert(before, "torch").model
    assert repr(after) == repr(reference)
    assert torch.equal(after(x), reference(x))
    assert_same_state(after, reference.state_dict())


def assert_same_state(model, state):
    torch.testing.assert_close(model.state_dict(), state, rtol=0, atol=0)
    assert list(model.state_dict()) == list(state)


@NETWORKS
def test_frozen_in_training_is_the_network_in_evaluation_with_the_same_gradients(network, data):
    x = data()
    before = warmed(network(), x)
    after = convert(copy.deepcopy(before), "frozen", skip=skip_for(network, "frozen")).model.train()
    state = copy.deepcopy(after.state_dict())
    before.eval()
    y, grad_x, grads = backward(after, x)
    expected_y, expected_grad_x, expected_grads = backward(before, x)
    torch.testing.assert_close((y, grad_x), (expected_y, expected_grad_x), **EXACT)
    left = {name: expected_grads[name] for name in grads}
    torch.testing.assert_close(grads, left, **EXACT)
    assert_same_state(after, state)


def test_frozen_layers_leave_only_the_other_parameters_to_train():
    model = convert(ResNet(), "frozen").model
    assert {name.rpartition(".")[2] for name, _ in model.named_parameters()} == {"weight", "bias"}
    assert all("bn" not in name and "downsample.1" not in name for name, _ in model.named_parameters())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_a_part_that_a_layer_does_not_learn_is_one_or_zero_when_frozen(affine, bias):
    before = warmed(nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6, affine=affine, bias=bias)), vectors())
    x, after = vectors(), convert(copy.deepcopy(before), "frozen").model
    torch.testing.assert_close(after(x), before.eval()(x), **EXACT)


def test_the_ones_and_zeros_of_a_frozen_layer_have_the_dtype_and_the_device_of_its_statistics():
    frozen = convert(nn.BatchNorm1d(4, affine=False, dtype=torch.float64, device="meta"), "frozen").model
    assert {(constant.dtype, constant.device.type) for constant in frozen.buffers()} == {(torch.float64, "meta")}


def test_group_norm_computes_what_a_network_built_with_it_does():
    before = warmed(ResNet(), images())
    after = convert(copy.deepcopy(before), "group_norm", groups=4).model
    built = ResNet(norm=lambda channels: nn.GroupNorm(4, channels)).double()
    missing = built.load_state_dict(before.state_dict(), strict=False)
    assert not missing.missing_keys
    x = images()
    torch.testing.assert_close(backward(after, x), backward(built, x), **EXACT)
    assert_same_state(after, built.state_dict())


def test_group_norm_takes_its_default_groups_layer_by_layer():
    model = convert(nn.Sequential(ResNet(), nn.BatchNorm3d(96), nn.BatchNorm1d(64)), "group_norm").model
    found = [(module.num_groups, module.num_channels) for module in model.modules() if isinstance(module, nn.GroupNorm)]
    assert found == [(4, 8)] * 5 + [(6, 12)] * 3 + [(32, 96), (1, 64)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_group_norm_without_a_scale_or_a_shift_where_batch_norm_had_none(affine, bias):
    layer = nn.BatchNorm2d(6, eps=0.5, affine=affine, bias=bias)
    new = convert(layer, "group_norm", groups=3).model
    x = torch.randn(2, 6, 4, 4)
    torch.testing.assert_close(new(x), nn.functional.group_norm(x, 3, layer.weight, layer.bias, eps=0.5))
    assert (new.weight is None, new.bias is None) == (layer.weight is None, layer.bias is None)


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (nn.BatchNorm1d, (5, 6)),
        (nn.BatchNorm1d, (5, 6, 4)),
        (nn.BatchNorm2d, (2, 6, 4, 5)),
        (nn.BatchNorm3d, (2, 6, 1, 4, 5)),
    ],
)
@KINDS
def test_every_dimension_has_its_replacement(to, norm, shape):
    layer = warmed(norm(6), torch.randn(shape).double())
    new, x = convert(layer, to).model.eval(), torch.randn(shape).double()
    groups = 1 if norm is nn.BatchNorm1d else 3
    expected = nn.functional.group_norm(x, groups, layer.weight, layer.bias) if to == "group_norm" else layer.eval()(x)
    torch.testing.assert_close(new(x), expected, **EXACT)


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize("to", ["bnlab", "torch", "frozen"])
def test_a_synchronised_layer_becomes_the_class_of_the_dimension_asked_for(to, dimension):
    x = torch.randn(4, 3, *(5, 2, 2)[:dimension]).double()
    layer = warmed(nn.SyncBatchNorm(3), x).eval()
    new = convert(nn.Sequential(layer), to, dimension=dimension).model[0]
    assert type(new).__name__ == f"{'Frozen' if to == 'frozen' else ''}BatchNorm{dimension}d"
    torch.testing.assert_close(new(x), layer(x), **EXACT)


def test_the_dimension_changes_no_layer_that_has_its_own():
    assert type(convert(nn.BatchNorm2d(3), "frozen", dimension=1).model) is layers.FrozenBatchNorm2d


@pytest.mark.parametrize(
    ("ghost", "data"), [(layers.GhostBatchNorm1d, (9, 6)), (layers.GhostBatchNorm2d, (9, 6, 2, 2))]
)
@pytest.mark.parametrize("to", ["torch", "frozen"])
def test_a_ghost_batch_norm_loses_its_ghosts_and_is_the_same_in_evaluation(ghost, data, to):
    x = torch.randn(data).double()
    layer = warmed(ghost(6, ghost_size=3), x)
    torch.testing.assert_close(convert(layer, to).model.eval()(x), layer.eval()(x), **EXACT)


def test_a_lazy_layer_that_has_met_a_batch_is_an_ordinary_one():
    model = nn.Sequential(nn.LazyBatchNorm1d())
    model(torch.randn(4, 3))
    convert(model, "bnlab")
    assert type(model[0]) is layers.BatchNorm1d


def test_a_compiled_network_meets_its_new_layers():
    model = ResNet().double()
    compiled = torch.compile(model, backend="eager")
    compiled(images())  # compiled with the old ones
    convert(compiled, "group_norm")
    x = images()
    torch.testing.assert_close(compiled(x), model(x), **EXACT)
    assert norms(compiled) == []


# What must not change


@NETWORKS
@KINDS
def test_nothing_but_batch_norm_layers_is_another_object(network, data, to):
    model = warmed(network(), data())
    before = dict(model.named_modules(remove_duplicate=False))
    old = set(norms(model))
    report = convert(model, to, skip=skip_for(network, to))
    after = dict(model.named_modules(remove_duplicate=False))
    assert report.model is model
    assert list(after) == list(before)
    replaced = {name for one in report.replaced for name in one.names}
    assert replaced == {name for name in before if after[name] is not before[name]}
    assert {before[name] for name in replaced} == old - {before[name] for one in report.left for name in one.names}


@KINDS
def test_a_layer_in_several_places_is_one_layer_in_all_of_them(to):
    model = Odd()
    convert(model, to, skip=skip_for(Odd, to))
    assert model.shared is model.again is model.dictionary["0"]
    assert len({id(module) for _, module in model.named_modules()}) == len(list(Odd().modules()))


@NETWORKS
@pytest.mark.parametrize("to", sorted(set(TARGETS) - {"frozen"}))
def test_parameters_are_the_same_objects_in_the_same_order(network, data, to):
    model = warmed(network(), data())
    model.requires_grad_(False)
    list(model.parameters())[2].requires_grad_(True)
    before = [(name, id(parameter), parameter.requires_grad) for name, parameter in model.named_parameters()]
    convert(model, to)
    after = [(name, id(parameter), parameter.requires_grad) for name, parameter in model.named_parameters()]
    assert after == before


@IMPLEMENTATIONS
def test_buffers_are_the_same_objects(to):
    model = Odd()
    before = {name: id(buffer) for name, buffer in model.named_buffers()}
    convert(model, to)
    assert {name: id(buffer) for name, buffer in model.named_buffers()} == before


def test_an_optimizer_made_before_goes_on_training_the_new_layers():
    model = ResNet().double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    convert(model, "group_norm")
    before = model.bn1.weight.detach().clone()
    model(images()).square().sum().backward()
    optimizer.step()
    assert not torch.equal(model.bn1.weight, before)


def test_an_optimizer_that_holds_the_old_parameters_does_not_move_the_frozen_ones():
    model = warmed(nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)), vectors())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    model(vectors()).square().sum().backward()
    convert(model, "frozen")
    before = copy.deepcopy(model[1].state_dict())
    optimizer.step()  # the old gradients and the decay still act on the old parameters
    torch.testing.assert_close(model[1].state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("to", sorted(set(TARGETS) - {"frozen"}))
def test_tied_parameters_stay_tied(to):
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 4), nn.BatchNorm1d(4))
    model[2].weight = model[0].weight
    model[1].bias = model[0].bias
    convert(model, to)
    assert model[2].weight is model[0].weight
    assert model[1].bias is model[0].bias


@KINDS
def test_each_layer_keeps_its_mode_dtype_and_device(to):
    model = nn.Sequential(nn.BatchNorm2d(4).eval(), nn.BatchNorm2d(4).bfloat16(), nn.BatchNorm2d(4).to("meta"))
    model.append(layers.BatchNorm2d(4).double().eval())
    convert(model, to)
    assert [layer.training for layer in model] == [False, True, True, False]
    assert [layer.weight.dtype for layer in model] == [torch.float32, torch.bfloat16, torch.float32, torch.float64]
    assert [layer.bias.device.type for layer in model] == ["cpu", "cpu", "meta", "cpu"]
    statistics = [layer.running_var.dtype for layer in model if hasattr(layer, "running_var")]
    assert statistics in ([], [torch.float32, torch.bfloat16, torch.float32, torch.float64])


@pytest.mark.parametrize("momentum", [0.3, None])
@IMPLEMENTATIONS
def test_settings_are_kept_even_those_that_were_changed_by_hand(to, momentum):
    old = (layers.BatchNorm2d if to == "torch" else nn.BatchNorm2d)(4, eps=0.1, momentum=momentum)
    old.eps = 0.2
    old.track_running_stats = False  # a common trick: the buffers stay, and stand still
    new = convert(old, to).model
    for name in ("num_features", "eps", "momentum", "affine", "track_running_stats"):
        assert getattr(new, name) == getattr(old, name)
    new(torch.randn(5, 4, 2, 2))
    assert torch.equal(new.running_mean, torch.zeros(4))


@KINDS
def test_attributes_that_somebody_set_are_carried_over(to):
    layer = nn.BatchNorm2d(4)
    layer.tag = {"stage": 3}
    new = convert(layer, to).model if to != "torch" else layer
    assert new.tag is layer.tag
    assert new.num_features == 4


@IMPLEMENTATIONS
def test_a_buffer_that_is_no_part_of_checkpoints_stays_out_of_them(to):
    layer = (layers.BatchNorm1d if to == "torch" else nn.BatchNorm1d)(2)
    layer.register_buffer("running_var", torch.ones(2), persistent=False)
    assert "running_var" not in convert(layer, to).model.state_dict()


def test_the_model_itself_comes_back_new_and_is_left_as_it_was():
    layer = nn.BatchNorm1d(3)
    report = convert(layer, "bnlab")
    assert type(report.model) is layers.BatchNorm1d
    assert type(layer) is nn.BatchNorm1d
    assert report.model.weight is layer.weight
    assert report.replaced[0].names == ("",)


def test_no_random_number_is_drawn():
    models, before = (ResNet(), ResNet()), torch.get_rng_state()
    for model, to in zip(models, ("frozen", "group_norm"), strict=True):
        convert(model, to)
    assert torch.equal(torch.get_rng_state(), before)


# What can be done with a converted model


@NETWORKS
@KINDS
def test_a_checkpoint_loads_into_a_network_that_was_converted_in_the_same_way(network, data, to):
    x, skip = data(), skip_for(network, to)
    trained = convert(warmed(network(), x), to, skip=skip).model.eval()
    fresh = convert(network().double(), to, skip=skip).model.eval()
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(fresh(x), trained(x))


@NETWORKS
@KINDS
def test_copies_and_pickles_compute_the_same(network, data, to):
    x = data()
    model = convert(warmed(network(), x), to, skip=skip_for(network, to)).model.eval()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(x), model(x))


@IMPLEMENTATIONS
def test_recalibration_works_on_the_new_layers(to):
    before = warmed(ResNet(), images())
    after = convert(copy.deepcopy(before), to).model
    loader = [images(), images()]
    recalibrate(before, loader)
    recalibrate(after, loader)
    torch.testing.assert_close(after.state_dict(), before.state_dict(), **EXACT)


def test_recalibration_passes_frozen_layers_over_and_refuses_where_there_are_no_others():
    model = convert(warmed(ResNet(), images()), "frozen", skip=["bn1"]).model
    before = copy.deepcopy(model.state_dict())
    recalibrate(model, [images()])
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"bn1.running_mean", "bn1.running_var", "bn1.num_batches_tracked"}
    convert(model, "frozen")
    with pytest.raises(ValueError, match="keep running statistics, got none"):
        recalibrate(model, [images()])


@KINDS
def test_converting_twice_does_no_harm(to):
    model = convert(ResNet(), to).model
    before = dict(model.named_modules())
    report = convert(model, to)
    assert report.replaced == ()
    assert {one.why for one in report.left} <= {"of that kind already", "frozen already"}
    assert dict(model.named_modules()) == before


def test_a_synchronised_layer_gets_another_group_if_one_is_given():
    group = object()  # nothing is done with it until a batch comes in a process group
    model = nn.Sequential(nn.SyncBatchNorm(3), nn.BatchNorm1d(3), nn.SyncBatchNorm(3, process_group=group))
    report = convert(model, "sync_batch_norm", process_group=group)
    assert [layer.process_group for layer in model] == [group] * 3
    assert [one.names for one in report.left] == [("2",)]


def test_synchronised_layers_of_torch_and_ours_replace_each_other():
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3).double(), warmed(nn.SyncBatchNorm(3), torch.randn(4, 3, 2, 2).double()).eval()
    )
    x = torch.randn(2, 1, 5, 5, dtype=torch.float64)
    before, parameters = model.eval()(x), list(model.parameters())
    for to, kind in {
        "bnlab_sync_batch_norm": layers.SyncBatchNorm,
        "sync_batch_norm": nn.SyncBatchNorm,
        "torch": nn.BatchNorm2d,
        "bnlab": layers.BatchNorm2d,
    }.items():
        convert(model, to, **({"dimension": 2} if to == "torch" else {}))
        assert type(model[1]) is kind
        assert torch.allclose(model(x), before, atol=1e-12)
        assert [id(one) for one in model.parameters()] == [id(one) for one in parameters]


def test_a_synchronised_layer_of_ours_is_not_left_by_the_target_that_is_not():
    model = nn.Sequential(layers.SyncBatchNorm(3))
    convert(model, "bnlab", dimension=1)
    assert type(model[0]) is layers.BatchNorm1d


def test_subclasses_that_are_of_the_kind_asked_for_are_left():
    class Torchs(nn.BatchNorm1d):
        pass

    model = nn.Sequential(Torchs(3), layers.GhostBatchNorm1d(3, ghost_size=2), nn.LazyBatchNorm1d())
    kinds = [type(layer) for layer in model]
    convert(model, "torch", skip=["1"])
    convert(model, "bnlab", skip=["0", "2"])
    assert [type(layer) for layer in model] == kinds


# Any tree of modules


class Holder(nn.Module):
    """Plain attributes, under any name that torch accepts."""

    def __init__(self, children):
        super().__init__()
        for key, child in children.items():
            self.add_module(key, child)


KEYS = st.text(st.characters(exclude_characters="."), min_size=1, max_size=4).filter(
    lambda key: not hasattr(nn.ModuleDict(), key)
)
NEW_LEAVES = [
    lambda: nn.BatchNorm1d(4),
    lambda: nn.BatchNorm2d(6, affine=False),
    lambda: layers.BatchNorm2d(6, momentum=None),
    lambda: layers.BatchNorm3d(4, bias=False),
    lambda: nn.Linear(2, 3),
    lambda: nn.LayerNorm(4),
]


@st.composite
def trees(draw):
    """Nested containers whose leaves come from a small pool, so that many are shared."""
    pool = [make() for make in draw(st.lists(st.sampled_from(NEW_LEAVES), min_size=1, max_size=5))]

    def containers(inside):
        many = st.lists(inside, max_size=4)
        return st.one_of(
            many.map(nn.ModuleList),
            many.map(lambda children: nn.Sequential(*children)),
            st.dictionaries(KEYS, inside, max_size=4).map(nn.ModuleDict),
            st.dictionaries(KEYS, inside, max_size=4).map(Holder),
        )

    return draw(st.recursive(st.sampled_from(pool), containers, max_leaves=12))


@settings(max_examples=40, deadline=None)
@given(model=trees(), to=st.sampled_from(sorted(TARGETS)))
def test_in_any_tree_every_place_and_no_other_has_its_new_layer(model, to):
    before = list(model.named_modules(remove_duplicate=False))
    parameters = list(map(id, model.parameters()))
    report = convert(model, to)
    after = list(report.model.named_modules(remove_duplicate=False))
    assert [name for name, _ in after] == [name for name, _ in before]
    twins = {}
    for (_, old), (_, new) in zip(before, after, strict=True):
        assert twins.setdefault(id(old), new) is new  # shared before, shared after
        if old in norms(old):
            ours, frozen = type(new).__module__.startswith("bnlab"), "Frozen" in type(new).__name__
            assert (ours, frozen) == (to.startswith("bnlab") or to == "frozen", to == "frozen")
            assert isinstance(new, nn.GroupNorm) == (to == "group_norm")
        else:
            assert new is old
    assert len(set(map(id, twins.values()))) == len(twins)
    if to != "frozen":
        assert list(map(id, report.model.parameters())) == parameters
    names = {name for one in (*report.replaced, *report.left) for name in one.names}
    assert names <= {name for name, _ in after}


def test_the_odd_network_is_reported_under_all_its_names():
    report = convert(Odd(), "group_norm", groups=1)
    assert {one.names for one in report.replaced} == ODD_NAMES
