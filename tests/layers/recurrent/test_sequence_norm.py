import inspect
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close

from bnlab.layers import BatchNorm1d
from bnlab.layers.recurrent import SequenceBatchNorm1d
from tests.tolerances import RTOL

N, LENGTH, FEATURES = 4, 5, 3
RAGGED = [2, 5, 1, 4]
EXACT = {"rtol": RTOL[torch.float64], "atol": 1e-10}

OPTIONS = {
    "default": {},
    "eps_and_momentum": {"eps": 0.1, "momentum": 0.7},
    "cumulative": {"momentum": None},
    "no_bias": {"bias": False},
    "no_affine": {"affine": False},
    "no_statistics": {"track_running_stats": False},
}
each_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def real_steps():
    """True where a step of the ragged sequences is real."""
    return torch.arange(LENGTH) < torch.tensor(RAGGED)[:, None]


def holes():
    """A mask that no lengths could say."""
    return torch.tensor([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 1], [1, 1, 1, 1, 1]]).bool()


def by_packing(layer, x):
    packed = layer(pack_padded_sequence(x, torch.tensor(RAGGED), batch_first=True, enforce_sorted=False))
    return pad_packed_sequence(packed, batch_first=True)[0]


FORMS = {
    "dense": (lambda layer, x: layer(x), lambda: torch.ones(N, LENGTH, dtype=torch.bool)),
    "lengths": (lambda layer, x: layer(x, lengths=RAGGED), real_steps),
    "lengths_tensor": (lambda layer, x: layer(x, lengths=torch.tensor(RAGGED, dtype=torch.int32)), real_steps),
    "mask": (lambda layer, x: layer(x, mask=real_steps()), real_steps),
    "mask_with_holes": (lambda layer, x: layer(x, mask=holes()), holes),
    "packed": (by_packing, real_steps),
}
each_form = pytest.mark.parametrize(("call", "mask"), FORMS.values(), ids=FORMS)


def twins(**options):
    """Ours and torch's batch norm of rows, in float64, with the same random scale and shift."""
    ours = SequenceBatchNorm1d(FEATURES, **options).double()
    for parameter in ours.parameters():
        nn.init.normal_(parameter)
    theirs = nn.BatchNorm1d(FEATURES, **options).double()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return ours, theirs


def sequences(offset=0.0):
    return offset + torch.randn(N, LENGTH, FEATURES, dtype=torch.float64) * torch.tensor([0.1, 1.0, 7.0])


@each_form
@each_option
@pytest.mark.parametrize("offset", [0.0, 1e3])  # a centred input hides cancellation
def test_it_is_batch_norm_of_all_real_steps_laid_out_as_one_batch(call, mask, options, offset):
    (ours, theirs), real = twins(**options), mask()
    for training in (True, True, False):
        ours.train(training), theirs.train(training)
        x, upstream = sequences(offset).requires_grad_(), torch.randn(N, LENGTH, FEATURES, dtype=torch.float64)
        rows = x.detach()[real].requires_grad_()
        y, expected = call(ours, x), theirs(rows)
        assert_close(y[real], expected, **EXACT)
        assert (y[~real] == 0).all()

        found = torch.autograd.grad(y, [x, *ours.parameters()], upstream)
        wanted = torch.autograd.grad(expected, [rows, *theirs.parameters()], upstream[real])
        assert_close((found[0][real], *found[1:]), wanted, rtol=1e-8, atol=1e-8)  # of a mean of 1e3
        assert (found[0][~real] == 0).all()
        assert_close(dict(ours.state_dict()), dict(theirs.state_dict()), **EXACT)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("form", ["lengths", "mask", "packed"])
@pytest.mark.parametrize("value", [0.0, 1e6, torch.inf, torch.nan])
def test_the_values_of_padding_change_nothing(form, value, training):
    layer, x = twins()[0], sequences()
    layer(x)
    other = x.masked_fill(~real_steps()[..., None], value)
    results = []
    for given in (x.clone().requires_grad_(), other.requires_grad_()):
        copy = deepcopy(layer).train(training)
        y = FORMS[form][0](copy, given)
        y.pow(3).sum().backward()
        results.append((y, given.grad, copy.weight.grad, copy.bias.grad, *copy.buffers()))
    assert_close(*results, rtol=0, atol=0)


def test_gradients_with_a_mask_agree_with_finite_differences():
    layer = SequenceBatchNorm1d(FEATURES, eps=0.1, track_running_stats=False).double()

    def outputs(x, weight, bias):
        return functional_call(layer, {"weight": weight, "bias": bias}, (x,), {"mask": holes()})

    inputs = sequences(), torch.randn(FEATURES, dtype=torch.float64), torch.randn(FEATURES, dtype=torch.float64)
    assert torch.autograd.gradcheck(outputs, [tensor.requires_grad_() for tensor in inputs])


@pytest.mark.parametrize("backend", ["torch", "manual"])
def test_a_backend_computes_the_same(backend):
    x = sequences()
    chosen, usual = (SequenceBatchNorm1d(FEATURES, backend=name).double() for name in (backend, "torch"))
    for call, _ in FORMS.values():
        assert_close(call(chosen, x), call(usual, x), **EXACT)


@pytest.mark.parametrize("training", [True, False])
@each_form
def test_half_precision_keeps_its_dtype_and_statistics_of_float32(call, mask, training):
    layer, x = SequenceBatchNorm1d(FEATURES).train(training), 3 + sequences()
    exact = deepcopy(layer).double()
    y = call(layer, x.bfloat16())
    assert y.dtype == torch.bfloat16
    assert layer.running_mean.dtype == torch.float32
    expected = call(exact, x.bfloat16().double())
    assert_close(y[mask()].double(), expected[mask()], rtol=RTOL[torch.bfloat16], atol=RTOL[torch.bfloat16])
    assert_close(layer.running_var.double(), exact.running_var, rtol=1e-5, atol=1e-6)


# ---- too few steps ----


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("steps", [0, 1])
def test_a_mask_of_too_few_steps_gives_the_shift_and_moves_nothing(steps, momentum):
    layer = twins(momentum=momentum)[0]
    layer(sequences())
    before = deepcopy(layer.state_dict())
    mask = torch.zeros(N, LENGTH, dtype=torch.bool)
    mask[2, :steps] = True
    y = layer(sequences(), mask=mask)
    assert_close(y[mask], layer.bias.expand(steps, -1), rtol=0, atol=0)
    assert (y[~mask] == 0).all()
    assert_close(dict(layer.state_dict()), dict(before), rtol=0, atol=0)


@pytest.mark.parametrize("told", [{}, {"lengths": []}, {"mask": torch.zeros(0, LENGTH, dtype=torch.bool)}])
def test_an_empty_batch_gives_an_empty_output_and_moves_no_statistic(told):
    layer = SequenceBatchNorm1d(FEATURES).double()
    assert layer(sequences()[:0], **told).shape == (0, LENGTH, FEATURES)
    assert (layer.running_mean == 0).all()
    assert (layer.running_var == 1).all()


def test_a_single_step_without_running_statistics_is_refused_in_evaluation_too():
    layer, x = SequenceBatchNorm1d(FEATURES, track_running_stats=False).double().eval(), sequences()[:1]
    for given, told in ((x[:, :1], {}), (x, {"lengths": [1]})):
        with pytest.raises(ValueError, match="expected more than one real step"):
            layer(given, **told)
    assert SequenceBatchNorm1d(FEATURES).double().eval()(x, lengths=[1]).shape == x.shape  # these need none


# ---- construction and state ----


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("tracked_at_first", [True, False])
@each_form
def test_a_later_change_of_track_running_stats_acts_as_in_batch_norm(call, mask, tracked_at_first, training):
    ours, theirs = twins(track_running_stats=tracked_at_first)
    for layer in (ours, theirs):
        layer.track_running_stats = not tracked_at_first
        layer.train(training)
    x = sequences()
    assert_close(call(ours, x)[mask()], theirs(x[mask()]), **EXACT)
    assert_close(dict(ours.state_dict()), dict(theirs.state_dict()), **EXACT)


def test_constructor_and_state_are_those_of_batch_norm():
    assert inspect.signature(SequenceBatchNorm1d) == inspect.signature(BatchNorm1d)
    ours, theirs = SequenceBatchNorm1d(FEATURES), nn.BatchNorm1d(FEATURES)
    ours(sequences().float(), lengths=RAGGED)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    again = SequenceBatchNorm1d(FEATURES)
    again.load_state_dict(theirs.state_dict(), strict=True)
    x = sequences().float()
    assert torch.equal(again.eval()(x, lengths=RAGGED), ours.eval()(x, lengths=RAGGED))


def test_buffers_carry_no_graph():
    layer = SequenceBatchNorm1d(FEATURES).double()
    layer(sequences().requires_grad_(), lengths=RAGGED)
    assert all(buffer.grad_fn is None and not buffer.requires_grad for buffer in layer.buffers())


# ---- torch.func ----


@pytest.mark.parametrize("masks", ["none", "one_for_all", "one_each"])
def test_an_ensemble_under_vmap_equals_a_loop_over_its_members(masks):
    members = [twins()[0] for _ in range(3)]
    parameters, buffers = stack_module_state(deepcopy(members))
    architecture = deepcopy(members[0])
    mask = {"none": None, "one_for_all": holes(), "one_each": torch.rand(3, N, LENGTH) < 0.6}[masks]
    in_dims = (0, 0, 0, 0 if masks == "one_each" else None)

    def loss(parameters, buffers, x, mask):
        return functional_call(architecture, (parameters, buffers), (x,), {"mask": mask}).pow(3).sum()

    for offset in (0.0, 3.0):  # the second batch meets buffers that already differ between members
        x = torch.stack([sequences(offset * member) for member in range(3)])
        gradients = vmap(grad(loss), in_dims)(parameters, buffers, x, mask)
        for i, member in enumerate(members):
            member.zero_grad()
            member(x[i], mask=mask[i] if masks == "one_each" else mask).pow(3).sum().backward()
            for name, parameter in member.named_parameters():
                assert_close(gradients[name][i], parameter.grad, **EXACT)
            for name, buffer in member.named_buffers():
                assert_close(buffers[name][i], buffer, **EXACT)


# ---- bad input ----

X = torch.zeros(N, LENGTH, FEATURES)
MASK = torch.ones(N, LENGTH, dtype=torch.bool)
PACKED = pack_padded_sequence(X, torch.full((N,), LENGTH), batch_first=True)
SHAPE = r"SequenceBatchNorm1d expected x of shape \(n, length, features\) with features = 3, got "
BAD = {
    "rank_2": (X[0], {}, SHAPE + r"\(5, 3\)"),
    "channels_first": (X.movedim(2, 1), {}, SHAPE + r"\(4, 3, 5\)"),
    "integers": (X.long(), {}, r"expected x of a floating-point dtype, got torch.int64"),
    "integers_masked": (X.long(), {"mask": MASK}, r"expected x of a floating-point dtype, got torch.int64"),
    "one_step": (X[:1, :1], {}, r"expected more than one real step in training, got 1"),
    "one_real_step": (X[:1], {"lengths": [1]}, r"expected more than one real step in training, got 1"),
    "packed_one_step": (PACKED._replace(data=X[0, :1], batch_sizes=torch.tensor([1])), {}, r"more than one real step"),
    "lengths_short": (X, {"lengths": [5] * 3}, r"lengths of shape \(4,\), .*, got torch.int64 of shape \(3,\)"),
    "lengths_long": (X, {"lengths": [5, 6, 5, 5]}, r"lengths from 1 to 5, .*, got \[5, 6, 5, 5\]"),
    "mask_shape": (X, {"mask": MASK[:, :4]}, r"booleans of shape \(4, 5\), got torch.bool of shape \(4, 4\)"),
    "mask_integers": (X, {"mask": MASK.long()}, r"booleans of shape \(4, 5\), got torch.int64 of shape \(4, 5\)"),
    "both": (X, {"lengths": [5] * 4, "mask": MASK}, r"expected lengths or mask, got both"),
    "packed_lengths": (PACKED, {"lengths": [5] * 4}, r"which know their lengths, alone, got lengths as well"),
    "packed_mask": (PACKED, {"mask": MASK}, r"which know their lengths, alone, got mask as well"),
    "packed_features": (PACKED._replace(data=X[0, :, :2]), {}, r"packed x .* \(steps, features\) .* got \(5, 2\)"),
}


@pytest.mark.parametrize(("x", "told", "message"), BAD.values(), ids=BAD)
def test_a_bad_batch_is_named_and_changes_nothing(x, told, message):
    layer = SequenceBatchNorm1d(FEATURES)
    before = deepcopy(layer.state_dict())
    with pytest.raises(ValueError, match=message) as raised:
        layer(x, **told)
    assert "\n" not in str(raised.value)
    assert_close(dict(layer.state_dict()), dict(before), rtol=0, atol=0)


def test_an_eps_of_zero_is_refused_in_training_whatever_the_form():
    for call, _ in FORMS.values():
        with pytest.raises(ValueError, match=r"expected eps above 0 in training, got 0.0"):
            call(SequenceBatchNorm1d(FEATURES, eps=0.0), X)
