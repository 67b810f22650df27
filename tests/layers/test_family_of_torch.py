"""The members of the family that torch has: outputs, gradients, state and prints are torch's."""

import inspect
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from bnlab import layers
from tests.tolerances import RTOL

MEMBERS = {  # name of the class, its arguments, a shape
    "layer_last_axis": ("LayerNorm", (5,), (4, 3, 5)),
    "layer_two_axes": ("LayerNorm", ((3, 5),), (4, 3, 5)),
    "layer_whole_example": ("LayerNorm", ([3, 5, 2],), (4, 3, 5, 2)),
    "layer_one_value": ("LayerNorm", (1,), (4, 3, 1)),  # a place alone has variance 0
    "layer_without_batch": ("LayerNorm", (5,), (5,)),
    "rms_last_axis": ("RMSNorm", (5,), (4, 3, 5)),
    "rms_two_axes": ("RMSNorm", ((3, 5),), (4, 3, 5)),
    "group_one": ("GroupNorm", (1, 6), (3, 6, 5, 3)),
    "group_two": ("GroupNorm", (2, 6), (3, 6, 5, 3)),
    "group_each": ("GroupNorm", (6, 6), (3, 6, 5)),
    "group_no_positions": ("GroupNorm", (2, 6), (3, 6)),
    "group_volume": ("GroupNorm", (3, 6), (2, 6, 2, 3, 2)),
    "instance_1d": ("InstanceNorm1d", (3,), (4, 3, 5)),
    "instance_1d_unbatched": ("InstanceNorm1d", (3,), (3, 5)),
    "instance_2d": ("InstanceNorm2d", (3,), (4, 3, 5, 3)),
    "instance_2d_unbatched": ("InstanceNorm2d", (3,), (3, 5, 3)),
    "instance_2d_two_positions": ("InstanceNorm2d", (3,), (4, 3, 1, 2)),  # the fewest values that have a variance
    "instance_3d": ("InstanceNorm3d", (3,), (4, 3, 2, 3, 2)),
    "instance_3d_unbatched": ("InstanceNorm3d", (3,), (3, 2, 3, 2)),
}
each_member = pytest.mark.parametrize(("name", "args", "shape"), MEMBERS.values(), ids=MEMBERS)
CLASSES = sorted({name for name, _, _ in MEMBERS.values()})
each_class = pytest.mark.parametrize("name", CLASSES)
ARGS = {name: args for name, args, _ in MEMBERS.values()}

INSTANCE_OPTIONS = {
    "learned": {"affine": True},
    "learned_no_bias": {"affine": True, "bias": False},
    "tracked": {"affine": True, "track_running_stats": True, "momentum": 0.3},
    "tracked_not_moving": {"track_running_stats": True, "momentum": None},
}
OPTIONS = {
    "LayerNorm": {"eps": {"eps": 0.1}, "plain": {"elementwise_affine": False}, "no_bias": {"bias": False}},
    "RMSNorm": {"eps": {"eps": 0.1}, "plain": {"elementwise_affine": False}},
    "GroupNorm": {"eps": {"eps": 0.1}, "plain": {"affine": False}, "no_bias": {"bias": False}},
    "InstanceNorm1d": INSTANCE_OPTIONS,
    "InstanceNorm2d": INSTANCE_OPTIONS,
    "InstanceNorm3d": INSTANCE_OPTIONS,
}
VARIANTS = {
    f"{member}-{option}": (name, args, shape, options)
    for member, (name, args, shape) in MEMBERS.items()
    for option, options in {"default": {}, **OPTIONS[name]}.items()
}
each_variant = pytest.mark.parametrize(("name", "args", "shape", "options"), VARIANTS.values(), ids=VARIANTS)


def twins(name, args, dtype=torch.float64, **options):
    """Ours and torch's, with the same random parameters."""
    theirs = getattr(nn, name)(*args, dtype=dtype, **options)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter)
    ours = getattr(layers, name)(*args, dtype=dtype, **options)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def step(module, x, grad_y):
    """Forward and backward; returns the output and all gradients."""
    x = x.detach().requires_grad_()
    module.zero_grad()
    y = module(x)
    y.backward(grad_y)
    return y.detach(), x.grad, *(parameter.grad for parameter in module.parameters())


def assert_same_state(ours, theirs, **tolerance):
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert_close(dict(ours.state_dict()), dict(theirs.state_dict()), **tolerance)


# ---- numbers ----


@each_variant
@pytest.mark.parametrize("offset", [0.0, 1e3])  # a centred input hides cancellation
def test_outputs_gradients_and_buffers_are_those_of_torch_in_both_modes(name, args, shape, options, offset):
    ours, theirs = twins(name, args, **options)
    exact = {"rtol": RTOL[torch.float64], "atol": 1e-8 if offset else 1e-10}  # a rounding of 1e3 is 1e-13, over std
    for training in (True, True, False, True, False):
        x = offset + 2 * torch.randn(shape, dtype=torch.float64)
        grad_y = torch.randn_like(x)
        ours.train(training), theirs.train(training)
        assert_close(step(ours, x, grad_y), step(theirs, x, grad_y), **exact)
        assert_same_state(ours, theirs, **exact)


@each_member
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_lower_precision_has_the_dtypes_of_torch_and_the_values_of_float64(name, args, shape, dtype):
    ours, theirs = twins(name, args, dtype=dtype)
    exact = deepcopy(theirs).double()
    if isinstance(ours, layers.RMSNorm):
        exact.eps = torch.finfo(torch.float32).eps  # what None means for ours
    x, grad_y = (3 + torch.randn(shape)).to(dtype), torch.randn(shape).to(dtype)
    got, truth = step(ours, x, grad_y), step(exact, x.double(), grad_y.double())
    assert {tensor.dtype for tensor in got} == {dtype}
    tolerance = 2 * RTOL[dtype] if shape[-2:] == (1, 2) else RTOL[dtype]  # 2 values may nearly coincide
    assert_close(got, truth, rtol=tolerance, atol=3 * tolerance, check_dtype=False)


@each_member
def test_half_precision_input_does_not_round_its_statistics(name, args, shape):
    ours, _ = twins(name, args, dtype=torch.float32)
    x = (100 + torch.randn(shape)).bfloat16()  # a mean of 100 would lose the values themselves in bfloat16
    y = ours(x)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, ours(x.float()).bfloat16())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_rms_norm_without_eps_takes_that_of_the_dtype_it_computes_in(dtype):
    x = torch.full((1, 4), 1e-4, dtype=dtype)  # its square is below float32's 1.2e-7
    expected = 1e-4 / (1e-8 + torch.finfo(torch.promote_types(dtype, torch.float32)).eps) ** 0.5
    assert_close(layers.RMSNorm(4, dtype=dtype)(x), torch.full_like(x, expected), rtol=RTOL[dtype], atol=0)
    assert_close(layers.RMSNorm(4, dtype=dtype)(x), nn.RMSNorm(4, dtype=dtype)(x), rtol=RTOL[dtype], atol=0)


@pytest.mark.parametrize("x", [torch.full((1, 3), 7.0), torch.randn(2, 3)], ids=["one_example", "two_examples"])
def test_a_group_of_one_value_gives_exactly_the_shift(x):
    layer = layers.GroupNorm(3, 3)
    nn.init.normal_(layer.bias)
    assert torch.equal(layer(x), layer.bias.expand_as(x))  # of one example torch refuses it, of two it does the same


EMPTY = {
    "LayerNorm": ((5,), {}, (0, 5)),
    "RMSNorm": ((5,), {}, (0, 5)),
    "GroupNorm": ((2, 6), {}, (0, 6, 3)),
    "InstanceNorm2d": ((3,), {"track_running_stats": True}, (0, 3, 2, 2)),
}


@pytest.mark.parametrize(("args", "options", "shape"), EMPTY.values(), ids=EMPTY)
def test_an_empty_batch_gives_an_empty_output_and_moves_nothing(request, args, options, shape):
    module = getattr(layers, request.node.callspec.id)(*args, **options)
    before = deepcopy(module.state_dict())
    assert module(torch.ones(shape)).shape == shape
    assert_close(dict(module.state_dict()), dict(before), rtol=0, atol=0)


# ---- construction and state ----


@each_class
def test_the_constructor_has_the_signature_of_torch(name):
    def signature(module):
        return [(p.name, p.kind, p.default) for p in inspect.signature(module).parameters.values()]

    assert signature(getattr(layers, name)) == signature(getattr(nn, name))


@each_variant
def test_a_new_module_prints_registers_and_starts_as_torch_does(name, args, shape, options):  # noqa: ARG001
    ours, theirs = getattr(layers, name)(*args, **options), getattr(nn, name)(*args, **options)
    assert repr(ours) == repr(theirs)
    assert list(ours._parameters) == list(theirs._parameters)  # with those registered as None
    assert list(ours._buffers) == list(theirs._buffers)
    assert ours.state_dict()._metadata == theirs.state_dict()._metadata  # the version of the checkpoint
    assert_same_state(ours, theirs, rtol=0, atol=0)
    public = {name: value for name, value in vars(theirs).items() if not name.startswith("_")}
    assert {name: getattr(ours, name) for name in public} == public


@each_variant
def test_state_loads_into_torch_and_back_and_a_reset_restores_the_start(name, args, shape, options):
    ours, theirs = twins(name, args, **options)
    ours(torch.randn(shape, dtype=torch.float64))
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert_same_state(theirs, ours, rtol=0, atol=0)
    ours.reset_parameters()
    assert_same_state(ours, getattr(nn, name)(*args, **options, dtype=torch.float64), rtol=0, atol=0)


@each_class
def test_device_and_dtype_reach_every_tensor(name):
    options = {"affine": True, "track_running_stats": True} if name.startswith("Instance") else {}
    options |= {"device": "meta", "dtype": torch.float16}
    ours, theirs = getattr(layers, name)(*ARGS[name], **options), getattr(nn, name)(*ARGS[name], **options)
    for key, tensor in theirs.state_dict().items():
        assert ours.state_dict()[key].device == tensor.device
        assert ours.state_dict()[key].dtype == tensor.dtype


def test_the_eps_of_the_module_can_be_changed_later():
    layer = layers.LayerNorm(4)
    layer.eps = 1e6
    assert layer(torch.randn(2, 4)).abs().max() < 0.01


def test_instance_norm_loads_a_checkpoint_from_before_the_batch_count():
    checkpoint = nn.Sequential(nn.InstanceNorm1d(3, track_running_stats=True)).state_dict()
    del checkpoint["0.num_batches_tracked"]
    fresh = nn.Sequential(layers.InstanceNorm1d(3, track_running_stats=True))
    with pytest.raises(RuntimeError, match="num_batches_tracked"):  # version 2 must have it
        fresh.load_state_dict(checkpoint)
    checkpoint._metadata["0"]["version"] = 1
    fresh.load_state_dict(checkpoint, strict=True)


@pytest.mark.parametrize("training", [True, False])
def test_a_later_change_of_track_running_stats_acts_as_in_torch(training):
    ours, theirs = twins("InstanceNorm1d", (3,), track_running_stats=True)
    x = torch.randn(4, 3, 5, dtype=torch.float64)
    for module in (ours, theirs):
        module.track_running_stats = False
        module.train(training)
    assert_close(ours(x), theirs(x))
    assert_same_state(ours, theirs)


# ---- bad input ----

INTEGERS = torch.ones(4, 3, 2, dtype=torch.int64)
BAD = {
    "layer_shape": ("LayerNorm", (3,), {}, torch.ones(2, 4), r"LayerNorm expected x of shape \(\*, 3\), got \(2, 4\)"),
    "layer_rank": ("LayerNorm", ((2, 3),), {}, torch.ones(3), r"of shape \(\*, 2, 3\), got \(3,\)"),
    "layer_integers": ("LayerNorm", (2,), {}, INTEGERS, r"floating-point dtype, got torch.int64"),
    "layer_eps": ("LayerNorm", (2,), {"eps": -1.0}, torch.ones(3, 2), r"expected eps of at least 0, got -1.0"),
    "rms_shape": ("RMSNorm", (3,), {}, torch.ones(2, 4), r"RMSNorm expected x of shape \(\*, 3\), got \(2, 4\)"),
    "group_channels": ("GroupNorm", (1, 3), {}, torch.ones(2, 4), r"\(n, c, \*spatial\) with c = 3, got \(2, 4\)"),
    "group_rank": ("GroupNorm", (1, 3), {}, torch.ones(3), r"\(n, c, \*spatial\) with c = 3, got \(3,\)"),
    "group_integers": ("GroupNorm", (1, 3), {}, INTEGERS, r"floating-point dtype, got torch.int64"),
    "instance_rank": (
        "InstanceNorm2d",
        (3,),
        {},
        torch.ones(3, 2),
        r"InstanceNorm2d expected x of shape \(c, height, width\) or \(n, c, height, width\) with c = 3, got \(3, 2\)",
    ),
    "instance_channels": ("InstanceNorm1d", (3,), {}, torch.ones(2, 4, 5), r"with c = 3, got \(2, 4, 5\)"),
    "instance_channels_unbatched": ("InstanceNorm1d", (3,), {}, torch.ones(4, 5), r"with c = 3, got \(4, 5\)"),
    "instance_integers": ("InstanceNorm1d", (3,), {}, INTEGERS, r"floating-point dtype, got torch.int64"),
    "instance_one_position": (
        "InstanceNorm1d",
        (3,),
        {"track_running_stats": True},
        torch.ones(2, 3, 1),
        r"more than one position to take statistics of, got x of shape \(2, 3, 1\)",
    ),
}


@pytest.mark.parametrize(("name", "args", "options", "x", "message"), BAD.values(), ids=BAD)
def test_a_bad_input_is_named_and_changes_nothing(name, args, options, x, message):
    module = getattr(layers, name)(*args, **options)
    before = deepcopy(module.state_dict())
    with pytest.raises(ValueError, match=message):
        module(x)
    assert_close(dict(module.state_dict()), dict(before), rtol=0, atol=0)


def test_one_position_is_no_matter_where_running_statistics_normalise():
    ours, theirs = twins("InstanceNorm1d", (3,), track_running_stats=True)
    x = torch.randn(2, 3, 1, dtype=torch.float64)
    assert_close(ours.eval()(x), theirs.eval()(x))


CANNOT_BE_MADE = {
    "layer_no_axis": ("LayerNorm", ((),), r"normalized_shape of one axis or more, each at least 1, got \(\)"),
    "layer_empty_axis": ("LayerNorm", ((3, 0),), r"each at least 1, got \(3, 0\)"),
    "rms_no_axis": ("RMSNorm", ([],), r"normalized_shape of one axis or more, each at least 1, got \[\]"),
    "group_no_channels": ("GroupNorm", (1, 0), r"num_channels of at least 1, got 0"),
    "group_uneven": ("GroupNorm", (4, 6), r"num_groups that divide the 6 channels evenly, got 4"),
    "group_none": ("GroupNorm", (0, 6), r"num_groups that divide the 6 channels evenly, got 0"),
    "instance_no_channels": ("InstanceNorm3d", (0,), r"num_features of at least 1, got 0"),
}


@pytest.mark.parametrize(("name", "args", "message"), CANNOT_BE_MADE.values(), ids=CANNOT_BE_MADE)
def test_a_module_that_cannot_be_is_refused(name, args, message):
    with pytest.raises(ValueError, match=message):
        getattr(layers, name)(*args)
