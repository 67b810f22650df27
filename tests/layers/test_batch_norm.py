import inspect
import io
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from bnlab import layers
from tests.tolerances import RTOL

NAMES = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]
each_module = pytest.mark.parametrize("name", NAMES)

SHAPES = {
    "rank_2": ("BatchNorm1d", (7, 3)),
    "rank_3": ("BatchNorm1d", (5, 3, 4)),
    "odd_spatial": ("BatchNorm2d", (4, 3, 5, 3)),
    "rank_5": ("BatchNorm3d", (2, 3, 2, 3, 2)),
    "count_2": ("BatchNorm1d", (2, 3)),  # the fewest values that have a variance
    "one_image": ("BatchNorm2d", (1, 3, 2, 2)),  # one example, yet four values per channel
}
each_shape = pytest.mark.parametrize(("name", "shape"), SHAPES.values(), ids=SHAPES)

OPTIONS = {
    "default": {},
    "eps_and_momentum": {"eps": 0.1, "momentum": 0.7},
    "cumulative": {"momentum": None},
    "no_bias": {"bias": False},
    "no_affine": {"affine": False},
    "no_statistics": {"track_running_stats": False},
}
each_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def twins(name, backend="torch", **options):
    """Ours and torch's, in float64 unless `options` say otherwise, with the same random scale and shift."""
    options = {"dtype": torch.float64} | options
    theirs = getattr(nn, name)(3, **options)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter)
    ours = getattr(layers, name)(3, **options, backend=backend)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def assert_same_state(ours, theirs, **tolerance):
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert_close(dict(ours.state_dict()), dict(theirs.state_dict()), **tolerance)


def step(module, x, grad_y):
    """Forward and backward; returns the output and all gradients."""
    x = x.detach().requires_grad_()
    module.zero_grad()
    y = module(x)
    y.backward(grad_y)
    return y.detach(), x.grad, *(parameter.grad for parameter in module.parameters())


@torch.no_grad()
def descend(module):
    for parameter in module.parameters():
        parameter.sub_(0.01 * parameter.grad)  # small: a scale of 1,000 would enlarge rounding as much


# ---- torch.nn as the oracle ----


@each_shape
@each_option
@pytest.mark.parametrize("offset", [0.0, 1e3])  # a centred input hides cancellation
def test_outputs_gradients_and_buffers_are_those_of_torch_over_many_steps(name, shape, options, offset, backend):
    ours, theirs = twins(name, backend, **options)
    exact = {"rtol": RTOL[torch.float64], "atol": 1e-10}
    for training in [True] * 6 + [False] * 2 + [True] * 3 + [False]:
        x = offset + torch.randn(shape, dtype=torch.float64) * (0.5 + torch.rand(shape[1])).view(
            -1, *[1] * (len(shape) - 2)
        )
        grad_y = torch.randn_like(x)
        ours.train(training), theirs.train(training)
        assert_close(step(ours, x, grad_y), step(theirs, x, grad_y), **exact)
        for module in (ours, theirs):
            descend(module)
        assert_same_state(ours, theirs, **exact)


@pytest.mark.parametrize("parameters", [torch.float32, "input"], ids=["float32_parameters", "same_parameters"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_lower_precision_has_the_dtypes_of_torch_and_the_values_of_float64(dtype, parameters, backend):
    parameter_dtype = dtype if parameters == "input" else parameters
    ours, theirs = twins("BatchNorm2d", backend, dtype=parameter_dtype)
    exact = deepcopy(
        theirs
    ).double()  # with bfloat16 parameters torch rounds the batch's mean too: no oracle for gradients
    for training in (True, True, False):
        x, grad_y = (3 + torch.randn(8, 3, 4, 4)).to(dtype), torch.randn(8, 3, 4, 4).to(dtype)
        for module in (ours, theirs, exact):
            module.train(training)
        got, of_torch, truth = step(ours, x, grad_y), step(theirs, x, grad_y), step(exact, x.double(), grad_y.double())
        assert [tensor.dtype for tensor in got] == [tensor.dtype for tensor in of_torch]
        assert_close(got, truth, rtol=RTOL[dtype], atol=RTOL[dtype], check_dtype=False)
        assert_same_state(ours, theirs, rtol=RTOL[parameter_dtype], atol=RTOL[parameter_dtype])


@each_shape
@pytest.mark.parametrize("training", [True, False])
def test_an_empty_batch_is_treated_as_torch_treats_it(name, shape, training, backend):
    ours, theirs = twins(name, backend, momentum=None)
    x = torch.randn(0, *shape[1:], dtype=torch.float64)
    grad_y = torch.randn_like(x)
    ours.train(training), theirs.train(training)
    assert_close(step(ours, x, grad_y), step(theirs, x, grad_y))
    assert_same_state(ours, theirs)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("tracked_at_first", [True, False])
def test_a_later_change_of_track_running_stats_acts_as_in_torch(tracked_at_first, training, backend):
    ours, theirs = twins("BatchNorm1d", backend, track_running_stats=tracked_at_first)
    x = torch.randn(5, 3, dtype=torch.float64)
    for module in (ours, theirs):
        module.track_running_stats = not tracked_at_first
        module.train(training)
    assert_close(ours(x), theirs(x))
    assert_same_state(ours, theirs)


def test_statistics_are_tracked_in_training_without_gradients_too():
    ours, theirs = twins("BatchNorm1d")
    x = torch.randn(5, 3, dtype=torch.float64)
    with torch.no_grad():
        assert_close(ours(x), theirs(x))
    assert_same_state(ours, theirs)
    assert ours.num_batches_tracked == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_gives_the_dtypes_of_torch(dtype, backend):
    ours, theirs = twins("BatchNorm2d", backend, dtype=torch.float32)
    convolution = nn.Conv2d(1, 3, 3)
    with torch.autocast("cpu", dtype=dtype):
        x = convolution(torch.randn(4, 1, 6, 6))
        y, expected = ours(x), theirs(x)
    assert x.dtype == y.dtype == dtype
    assert_close(y, expected, rtol=RTOL[dtype], atol=RTOL[dtype])
    assert_same_state(ours, theirs, rtol=RTOL[torch.float32], atol=RTOL[torch.float32])


# ---- construction, state and copies ----


@each_module
def test_the_constructor_has_the_signature_of_torch_and_a_backend(name):
    def signature(module):
        return [(p.name, p.kind, p.default) for p in inspect.signature(module).parameters.values()]

    backend = ("backend", inspect.Parameter.KEYWORD_ONLY, "torch")
    assert signature(getattr(layers, name)) == [*signature(getattr(nn, name)), backend]


@each_module
@each_option
def test_a_new_module_prints_registers_and_starts_as_torch_does(name, options):
    ours, theirs = getattr(layers, name)(3, **options), getattr(nn, name)(3, **options)
    assert repr(ours) == repr(theirs)
    assert list(ours._parameters) == list(theirs._parameters)  # with those registered as None
    assert list(ours._buffers) == list(theirs._buffers)
    assert_same_state(ours, theirs, rtol=0, atol=0)


def test_another_backend_is_printed_and_is_no_part_of_the_checkpoint():
    ours, theirs = layers.BatchNorm1d(3, backend="manual"), nn.BatchNorm1d(3)
    assert repr(ours) == repr(theirs)[:-1] + ", backend=manual)"
    assert_same_state(ours, theirs, rtol=0, atol=0)


def test_the_backend_asked_for_does_the_work(backend):
    y = layers.BatchNorm1d(3, backend=backend)(torch.randn(4, 3))
    assert (y.grad_fn.name() == "NormaliseByBatchBackward") == (backend == "manual")


def test_device_and_dtype_reach_every_tensor():
    ours = layers.BatchNorm1d(3, device="meta", dtype=torch.float16)
    theirs = nn.BatchNorm1d(3, device="meta", dtype=torch.float16)
    for name, tensor in theirs.state_dict().items():
        assert ours.state_dict()[name].device == tensor.device
        assert ours.state_dict()[name].dtype == tensor.dtype


def trained(name, shape):
    module = getattr(layers, name)(3)
    for _ in range(3):
        step(module, 5 + torch.randn(shape), torch.randn(shape))
        descend(module)
    return module


@each_shape
def test_state_loads_into_torch_and_back(name, shape):
    ours = trained(name, shape)
    theirs, again = getattr(nn, name)(3), getattr(layers, name)(3)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    again.load_state_dict(theirs.state_dict(), strict=True)
    assert_same_state(again, ours, rtol=0, atol=0)
    x = torch.randn(shape)
    assert_close(ours.eval()(x), theirs.eval()(x))


def test_a_checkpoint_from_before_the_batch_count_loads():
    ours = trained("BatchNorm1d", (7, 3))
    checkpoint = nn.Sequential(ours).state_dict()
    del checkpoint["0.num_batches_tracked"]
    fresh = nn.Sequential(layers.BatchNorm1d(3))
    with pytest.raises(RuntimeError, match="num_batches_tracked"):  # version 2 must have it
        fresh.load_state_dict(checkpoint)
    checkpoint._metadata["0"]["version"] = 1
    fresh.load_state_dict(checkpoint, strict=True)
    assert_close(fresh[0].running_var, ours.running_var)
    assert fresh[0].num_batches_tracked == 0


def test_a_checkpoint_from_before_the_batch_count_materialises_a_meta_module():
    checkpoint = {key: value for key, value in layers.BatchNorm1d(3).state_dict().items() if "tracked" not in key}
    on_meta = layers.BatchNorm1d(3, device="meta")
    on_meta.load_state_dict(checkpoint, strict=True, assign=True)
    assert not any(tensor.is_meta for tensor in on_meta.state_dict().values())
    assert on_meta.num_batches_tracked == 0


def test_resets_restore_the_start():
    module, fresh = trained("BatchNorm1d", (7, 3)), layers.BatchNorm1d(3)
    weight = module.weight.clone()
    module.reset_running_stats()
    assert_close(dict(module.named_buffers()), dict(fresh.named_buffers()), rtol=0, atol=0)
    assert torch.equal(module.weight, weight)
    module.reset_parameters()
    assert_same_state(module, fresh, rtol=0, atol=0)


def test_a_copy_and_a_saved_module_are_equal_and_independent():
    module, x = trained("BatchNorm2d", (4, 3, 2, 2)), torch.randn(4, 3, 2, 2)
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    before = deepcopy(module.state_dict())
    for copy in (deepcopy(module), torch.load(file, weights_only=False)):
        assert_same_state(copy, module, rtol=0, atol=0)
        copy(x)
        assert copy.num_batches_tracked == 4
        assert_close(dict(module.state_dict()), dict(before), rtol=0, atol=0)


def test_buffers_carry_no_graph():
    module = trained("BatchNorm1d", (7, 3))
    assert all(buffer.grad_fn is None and not buffer.requires_grad for buffer in module.buffers())


# ---- bad input ----

ONE_VALUE = "expected more than one value per channel in training, got x of shape"
BAD = {
    "1d_rank_1": ("BatchNorm1d", {}, torch.ones(3), r"\(n, c\) or \(n, c, length\) with c = 3, got \(3,\)"),
    "1d_rank_4": ("BatchNorm1d", {}, torch.ones(2, 3, 2, 2), r"\(n, c\) or .* with c = 3, got \(2, 3, 2, 2\)"),
    "2d_rank_3": ("BatchNorm2d", {}, torch.ones(2, 3, 2), r"\(n, c, height, width\) with c = 3, got \(2, 3, 2\)"),
    "2d_rank_5": ("BatchNorm2d", {}, torch.ones(2, 3, 2, 2, 2), r"\(n, c, height, width\) .*, got \(2, 3, 2, 2, 2\)"),
    "3d_rank_4": ("BatchNorm3d", {}, torch.ones(2, 3, 2, 2), r"\(n, c, depth, height, width\) .*, got \(2, 3, 2, 2\)"),
    "channels": ("BatchNorm1d", {}, torch.ones(4, 5), r"with c = 3, got \(4, 5\)"),
    "channels_last": ("BatchNorm2d", {}, torch.ones(2, 8, 8, 3), r"with c = 3, got \(2, 8, 8, 3\)"),
    "channels_untracked": (
        "BatchNorm1d",
        {"affine": False, "track_running_stats": False},  # no tensor of the module shows the mistake
        torch.ones(4, 5),
        r"with c = 3, got \(4, 5\)",
    ),
    "integers": ("BatchNorm1d", {}, torch.ones(4, 3, dtype=torch.int64), r"floating-point dtype, got torch.int64"),
    "booleans": ("BatchNorm1d", {}, torch.ones(4, 3, dtype=torch.bool), r"floating-point dtype, got torch.bool"),
    "one_value": ("BatchNorm1d", {}, torch.ones(1, 3), rf"{ONE_VALUE} \(1, 3\)"),
    "one_value_2d": ("BatchNorm2d", {}, torch.ones(1, 3, 1, 1), rf"{ONE_VALUE} \(1, 3, 1, 1\)"),
    "one_value_cumulative": ("BatchNorm1d", {"momentum": None}, torch.ones(1, 3), rf"{ONE_VALUE} \(1, 3\)"),
    "eps_0": ("BatchNorm1d", {"eps": 0.0}, torch.ones(4, 3), r"expected eps above 0 in training, got 0.0"),
}


@pytest.mark.parametrize(("name", "options", "x", "message"), BAD.values(), ids=BAD)
def test_a_bad_batch_is_named_and_changes_nothing(name, options, x, message):
    module = getattr(layers, name)(3, **options)
    before, x_before = deepcopy(module.state_dict()), x.clone()
    with pytest.raises(ValueError, match=message):
        module(x)
    assert_close(dict(module.state_dict()), dict(before), rtol=0, atol=0)
    assert torch.equal(x, x_before)


def test_one_value_per_channel_has_no_statistics_in_evaluation_either():
    x = torch.ones(1, 3)
    assert layers.BatchNorm1d(3).eval()(x).shape == (1, 3)  # running statistics need none
    with pytest.raises(ValueError, match=r"more than one value per channel"):
        layers.BatchNorm1d(3, track_running_stats=False).eval()(x)


@each_module
@pytest.mark.parametrize("num_features", [0, -1])
def test_a_module_without_channels_cannot_be_made(name, num_features):
    with pytest.raises(ValueError, match=rf"num_features of at least 1, got {num_features}"):
        getattr(layers, name)(num_features)


@each_module
def test_a_module_of_an_unknown_backend_cannot_be_made(name):
    with pytest.raises(
        ValueError, match=r"^expected backend 'torch', 'manual', 'numba', 'triton' or 'auto', got 'numpy'$"
    ):
        getattr(layers, name)(3, backend="numpy")
