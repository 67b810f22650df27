"""Recalibration against NumPy over all data at once, and everything that it must leave alone."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from bnlab.deploy import recalibrate
from bnlab.layers import BatchNorm1d, BatchNorm2d, BatchNorm3d, SequenceBatchNorm1d, SyncBatchNorm
from tests.tolerances import RTOL

UNEVEN = (7, 2, 11, 3)  # so that a batch must weigh by its size
EXACT = RTOL[torch.float64]
BOTH = pytest.mark.parametrize("norm", [BatchNorm1d, nn.BatchNorm1d], ids=["bnlab", "torch"])


@pytest.fixture
def data(rng):
    """Values around 1,000, where a cancelling formula fails, whose batches drift, so that their means spread."""
    n = sum(UNEVEN)
    return torch.from_numpy(rng.normal(1e3, 2.0, size=(n, 3)) + np.arange(n)[:, None])


@pytest.fixture
def loader(data):
    return list(data.split(UNEVEN))


def statistics(x):
    axes = (0, *range(2, x.ndim))
    return x.mean(axes), x.var(axes, ddof=1)


def assert_layer_has(layer, x):
    mean, var = statistics(np.asarray(x))
    assert_allclose(layer.running_mean.numpy(), mean, rtol=EXACT)
    assert_allclose(layer.running_var.numpy(), var, rtol=EXACT)


def two_layers(norm=nn.BatchNorm1d):
    return nn.Sequential(norm(3), nn.ReLU(), nn.Dropout(0.5), nn.Linear(3, 4), norm(4)).double()


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_state_is(model, before):
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("norm", "spatial"),
    [
        (BatchNorm1d, ()),
        (BatchNorm1d, (5,)),
        (BatchNorm2d, (2, 5)),
        (BatchNorm3d, (2, 1, 3)),
        (nn.BatchNorm1d, ()),
        (nn.BatchNorm2d, (2, 5)),
        (nn.SyncBatchNorm, (2, 5)),  # on a CPU and alone it is an ordinary one
        (SyncBatchNorm, (2, 5)),
    ],
)
def test_a_first_layer_gets_the_statistics_of_all_data_at_once(norm, spatial, data, rng):
    x = data.reshape(*data.shape, *(1,) * len(spatial)) + torch.from_numpy(rng.normal(size=(23, 3, *spatial)))
    layer = norm(3).double()
    recalibrate(layer, x.split(UNEVEN))
    assert_layer_has(layer, x)


def test_a_later_layer_gets_the_statistics_of_inputs_that_were_normalised_by_their_batch(loader):
    model = two_layers()
    recalibrate(model, loader)
    with torch.no_grad():
        seen = [model[3](torch.relu((x - x.mean(0)) / torch.sqrt(x.var(0, correction=0) + 1e-5))) for x in loader]
    assert_layer_has(model[4], torch.cat(seen))


def test_dropout_is_off(data, loader):
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(3)).double().train()
    recalibrate(model, loader)
    assert_layer_has(model[1], data)


def test_a_layer_that_the_model_keeps_frozen_normalises_by_the_batch_too(loader):
    class Frozen(nn.Sequential):
        def train(self, mode=True):
            super().train(mode)
            for layer in self:
                layer.training = False
            return self

    frozen, plain = Frozen(*two_layers()), two_layers()
    plain.load_state_dict(frozen.state_dict())
    for model in (frozen.train(), plain):
        recalibrate(model, loader)
    assert_state_is(frozen, state(plain))


def test_the_statistics_before_play_no_part(data, loader):
    layer = nn.BatchNorm1d(3).double()
    nn.init.constant_(layer.running_mean, torch.nan)
    nn.init.constant_(layer.running_var, -1)
    recalibrate(layer, loader)
    assert_layer_has(layer, data)


def test_moments_are_taken_in_float64_whatever_the_layer_computes_in(data):
    x = (data + 1e5).float()
    layer = nn.BatchNorm1d(3)
    recalibrate(layer, x.split(UNEVEN))
    mean, var = statistics(x.double().numpy())
    assert_allclose(layer.running_mean.numpy(), mean, rtol=2**-23)  # all that is lost is the last rounding
    assert_allclose(layer.running_var.numpy(), var, rtol=2**-23)


def test_the_statistics_have_the_dtype_of_the_layer(data):
    layer = BatchNorm1d(3).bfloat16()
    recalibrate(layer, data.bfloat16().split(UNEVEN))
    assert layer.running_var.dtype == torch.bfloat16
    assert_allclose(
        layer.running_var.double(), statistics(data.bfloat16().double().numpy())[1], rtol=RTOL[torch.bfloat16]
    )


@BOTH
def test_a_layer_that_is_used_twice_pools_all_its_inputs(norm, data, loader):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = norm(3).double()

        def forward(self, x):
            return self.norm(self.norm(x) * 3 + 5)

    model = Twice()
    recalibrate(model, loader)
    first = [(x - x.mean(0)) / torch.sqrt(x.var(0, correction=0) + 1e-5) for x in loader]
    assert_layer_has(model.norm, torch.cat([data, *(3 * x_hat + 5 for x_hat in first)]))
    assert model.norm.num_batches_tracked == 2 * len(UNEVEN)


def test_an_input_by_keyword_is_heard(data, loader):
    class ByKeyword(nn.Module):
        def __init__(self):
            super().__init__()
            self.theirs, self.ours = nn.BatchNorm1d(3).double(), BatchNorm1d(3).double()

        def forward(self, x):
            return self.theirs(input=x) + self.ours(x=x)

    model = ByKeyword()
    recalibrate(model, loader)
    for layer in (model.theirs, model.ours):
        assert_layer_has(layer, data)


@BOTH
def test_a_layer_that_no_batch_reaches_keeps_what_it_had(norm, data, loader):
    model = norm(3).double()
    model.unused = norm(3).double()
    model.unused(data[:5])
    before = state(model.unused)
    recalibrate(model, loader)
    assert_state_is(model.unused, before)


@BOTH
def test_a_layer_that_goes_on_with_momentum_none_counts_the_pass_as_so_many_batches(norm, data, loader):
    layer = norm(3, momentum=None).double()
    recalibrate(layer, loader)
    assert layer.num_batches_tracked == len(UNEVEN)
    mean, new = layer.running_mean.clone(), data[:6] * 2
    layer(new)
    assert_allclose(layer.running_mean, (len(UNEVEN) * mean + new.mean(0)) / (len(UNEVEN) + 1), rtol=EXACT)


@BOTH
def test_an_empty_batch_counts_for_nothing(norm, data, loader):
    layer = norm(3).double()
    recalibrate(layer, [data[:0], *loader, data[:0]])
    assert_layer_has(layer, data)
    assert layer.num_batches_tracked == len(UNEVEN)


@BOTH
def test_nothing_but_the_statistics_of_batch_norm_layers_changes(norm, loader):
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.tensor(0))

        def forward(self, x):
            self.calls += 1
            return x

    model = nn.Sequential(Counting(), *two_layers(norm))
    model(loader[0]).sum().backward()
    before = state(model)
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    recalibrate(model, loader)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {
        f"{layer}.{name}" for layer in "15" for name in ("running_mean", "running_var", "num_batches_tracked")
    }
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)


class Replacing(nn.Module):
    """Sets its buffers anew in each pass, as some write a moving average, and gets a new one."""

    def __init__(self):
        super().__init__()
        self.register_buffer("average", torch.zeros(3).double())
        self.register_buffer("nothing", None)
        self.norm = nn.BatchNorm1d(3).double()

    def forward(self, x):
        self.average = 0.9 * self.average + 0.1 * x.mean(0)
        self.nothing = x
        self.norm.running_mean = x.mean(0)
        return self.norm(x)


def test_buffers_that_the_pass_replaces_are_those_of_before(data, loader):
    model = Replacing()
    held = dict(model.named_buffers())
    recalibrate(model, loader)
    assert dict(model.named_buffers()).keys() == held.keys()
    assert all(model.get_buffer(name) is buffer for name, buffer in held.items())
    assert torch.equal(model.average, torch.zeros(3).double())
    assert_layer_has(model.norm, data)


def test_buffers_that_the_pass_replaces_are_those_of_before_also_after_an_error(loader):
    model = Replacing()
    held, before = dict(model.named_buffers()), state(model)
    with pytest.raises(ValueError, match="begins with a tensor"):
        recalibrate(model, [*loader, ("path", loader[0])])
    assert all(model.get_buffer(name) is buffer for name, buffer in held.items())
    assert_state_is(model, before)


def test_batches_stay_as_they_are_where_a_model_works_in_place(data, loader):
    model = nn.Sequential(nn.ReLU(inplace=True), nn.BatchNorm1d(3)).double()
    batches = [x - data.mean() for x in loader]
    before = [x.clone() for x in batches]
    recalibrate(model, batches)
    assert all(torch.equal(x, old) for x, old in zip(batches, before, strict=True))
    assert_layer_has(model[1], torch.cat(before).relu())


def test_a_layer_that_no_batch_reaches_can_still_go_backward(data, loader):
    model = nn.BatchNorm1d(3).double()
    model.unused = nn.BatchNorm1d(3).double().eval()
    y = model.unused(data)  # keeps the statistics for the way back, which must not be written to
    recalibrate(model, loader)
    y.sum().backward()
    assert model.unused.bias.grad.tolist() == [len(data)] * 3


def test_the_pass_keeps_no_graph(loader):
    answers = []
    model = two_layers()
    model[-1].register_forward_hook(lambda *call: answers.append(call[-1]))
    recalibrate(model, loader)
    assert not any(answer.requires_grad for answer in answers)


def test_a_loader_may_compute_gradients(loader):
    def batches():
        for x in loader:
            weight = torch.ones(1, dtype=x.dtype, requires_grad=True)
            (gradient,) = torch.autograd.grad((weight * x).sum(), weight)
            yield x * gradient

    recalibrate(nn.BatchNorm1d(3).double(), batches())


def test_every_module_has_its_own_mode_back(loader):
    model = two_layers().eval()
    model[2].train()
    model[4].train()
    modes = [module.training for module in model.modules()]
    recalibrate(model, loader)
    assert [module.training for module in model.modules()] == modes
    assert len(set(modes)) == 2


@BOTH
def test_an_error_in_the_loader_leaves_the_model_as_it_was(norm, loader):
    def broken():
        yield from loader[:2]
        raise KeyboardInterrupt  # not an Exception: even the stop button leaves a whole model

    assert_untouched_by(two_layers(norm), broken(), KeyboardInterrupt)


@BOTH
def test_an_error_in_the_model_leaves_it_as_it_was(norm, loader):
    model = two_layers(norm)
    assert_untouched_by(model, [*loader[:2], loader[0][:, :2]], (ValueError, RuntimeError))  # a channel is missing


def assert_untouched_by(model, loader, error):
    model.eval()
    model[4].train()
    model(torch.randn(4, 3).double())  # statistics away from their start
    before, modes = state(model), [module.training for module in model.modules()]
    with pytest.raises(error) as raised:
        recalibrate(model, loader)
    assert_state_is(model, before)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_pre_hooks for module in model.modules())
    return str(raised.value)


def test_hooks_are_gone_afterwards(loader):
    model = two_layers()
    recalibrate(model, loader)
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("loader", [[], [torch.empty(0, 3).double()]], ids=["no_batch", "no_example"])
def test_a_loader_without_examples_is_refused(loader):
    message = assert_untouched_by(two_layers(), loader, ValueError)
    assert message == "expected a loader whose batches reach a batch-norm layer, got none that does"


@BOTH
@pytest.mark.parametrize("last", [1, 3])
def test_a_batch_of_a_single_value_per_channel_is_refused_with_the_layer_and_the_cure(norm, loader, last):
    model = two_layers(norm)
    model[3] = nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (-1, 3 * last)), nn.Linear(3 * last, 4)).double()
    message = assert_untouched_by_batches(model, loader[0][:6], loader[0][:last])
    assert "layer '4'" in message if last == 3 else "layer '0'" in message
    assert "drop_last=True" in message


def assert_untouched_by_batches(model, *batches):
    before = state(model)
    with pytest.raises(ValueError, match="more than one value per channel") as raised:
        recalibrate(model, batches)
    assert_state_is(model, before)
    return str(raised.value)


@BOTH
def test_a_single_image_has_values_enough(norm, rng):
    x = torch.from_numpy(rng.normal(size=(3, 3, 4)))
    layer = norm(3).double()
    recalibrate(layer, x.split((2, 1)))
    assert_layer_has(layer, x)


@pytest.mark.parametrize(
    "model",
    [nn.Linear(3, 3), nn.LayerNorm(3), nn.InstanceNorm1d(3, track_running_stats=True)]
    + [norm(3, track_running_stats=False) for norm in (nn.BatchNorm1d, BatchNorm1d)],
    ids=["linear", "layer_norm", "instance_norm", "torch_untracked", "bnlab_untracked"],
)
def test_a_model_without_running_statistics_of_batch_norm_is_refused(model, loader):
    with pytest.raises(ValueError, match="batch-norm layers that keep running statistics, got none"):
        recalibrate(model, loader)


@pytest.mark.parametrize(
    "items",
    [
        lambda loader: loader,
        lambda loader: [(x, "label") for x in loader],
        lambda loader: [[x, "label", 3] for x in loader],
        lambda loader: ((x,) for x in loader),
        lambda loader: [{"label": 3, "input": x} for x in loader],
        lambda loader: [{"image": x, "label": 3} for x in loader],
        lambda loader: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.cat(loader)), batch_size=9),
    ],
    ids=["tensors", "tuples", "lists", "generator", "dicts_by_name", "dicts", "DataLoader"],
)
def test_a_batch_is_a_tensor_or_holds_one_where_the_input_stands(items, data, loader):
    layer = nn.BatchNorm1d(3).double()
    recalibrate(layer, items(loader))
    assert_layer_has(layer, data)


def test_a_layer_of_sequences_is_refused_since_padding_is_no_data():
    model = nn.ModuleDict({"first": nn.BatchNorm1d(3), "steps": SequenceBatchNorm1d(3)})
    with pytest.raises(ValueError, match=r"^expected layers whose values are all data, got a Seq.*, 'steps'$"):
        recalibrate(model, [torch.zeros(2, 3, 3)])


def test_a_network_of_several_inputs_gets_them_all(data, loader):
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3).double()

        def forward(self, left, right):
            return self.norm(left + right)

    for batches in ([(x, x, "label") for x in loader], [{"right": x, "left": x} for x in loader]):
        model = Sum()
        recalibrate(model, batches)
        assert_layer_has(model.norm, 2 * data)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"x": "path"}, "expected a batch that holds a tensor, got dict"),
        ((), "expected a batch that holds a tensor, got tuple"),
        (np.ones((4, 3)), "expected a batch that holds a tensor, got ndarray"),
        (("path", torch.ones(4, 3)), "expected a batch that begins with a tensor, or with what holds one, got str"),
    ],
    ids=["dict", "empty", "numpy", "path_first"],
)
def test_a_batch_without_an_input_is_refused(batch, message, loader):
    assert assert_untouched_by(two_layers(), [*loader, batch], ValueError) == message


@pytest.mark.parametrize(
    ("model", "loader", "message"),
    [
        (3, [], r"expected model to be an nn\.Module, got int"),
        (nn.BatchNorm1d(3), 3, "expected loader to be an iterable of batches, got int"),
    ],
)
def test_what_is_no_model_or_no_loader_is_refused_in_one_line(model, loader, message):
    with pytest.raises(ValueError, match=rf"^{message}$"):
        recalibrate(model, loader)


def test_batches_are_moved_to_the_device_of_the_model(loader):
    devices = []
    model = nn.Sequential(nn.Identity(), nn.BatchNorm1d(3)).to("meta")  # the one other device that every machine has
    model[0].register_forward_hook(lambda *call: devices.append(call[-1].device.type))
    recalibrate(model, loader)
    assert devices == ["meta"] * len(loader)


def test_a_device_without_float64_leaves_the_moments_to_the_cpu(data):
    class OnMps(torch.Tensor):
        """All that matters of such a device: `double` fails there, and `cpu` leads away from it."""

        is_mps = True

        def double(self):
            raise TypeError("MPS has no float64")

        def cpu(self):
            return self.as_subclass(torch.Tensor)

        def to(self, *_, **__):
            return self

    layer = nn.BatchNorm1d(3).double()
    recalibrate(layer, [data.as_subclass(OnMps)])
    assert_layer_has(layer, data)


@pytest.mark.parametrize("grad", [True, False], ids=["with_grad", "no_grad"])
def test_a_compiled_model_is_heard_on_every_pass(data, grad):
    """Also where it was compiled for a pass like this one: without gradients, all layers in training mode."""
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 4), nn.BatchNorm1d(4)).double()
    compiled = torch.compile(model, backend="eager")
    with torch.set_grad_enabled(grad):
        compiled(data)  # compiled without the hooks
    for x in (data, 2 * data + 1):
        recalibrate(compiled, x.split(UNEVEN))
        assert_layer_has(model[0], x)


def test_a_compiled_part_is_heard_on_every_pass(data):
    layer = nn.BatchNorm1d(3).double()
    model = nn.Sequential(torch.compile(nn.Sequential(layer), backend="eager"), nn.BatchNorm1d(3).double())
    with torch.no_grad():
        model(data)
    for x in (data, 2 * data + 1):
        recalibrate(model, x.split(UNEVEN))
        assert_layer_has(layer, x)
