from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close

from bnlab import reference
from bnlab.layers.recurrent import BatchNormLSTM
from tests.tolerances import RTOL

FEATURES, HIDDEN, N, LENGTH = 3, 4, 5, 6
RAGGED = [2, 6, 4, 4, 1]  # not in order; from the fifth step on a single sequence runs
EXACT = {"rtol": RTOL[torch.float64], "atol": 1e-12}
NORMS = ("norm_ih", "norm_hh", "norm_c")

each_lengths = pytest.mark.parametrize("lengths", [None, RAGGED], ids=["dense", "ragged"])


def make(**options):
    """In float64, with scales and a shift that are not their start."""
    lstm = BatchNormLSTM(FEATURES, HIDDEN, **{"max_length": LENGTH, "dtype": torch.float64} | options)
    for norm in filter(None, (lstm.norm_ih, lstm.norm_hh, lstm.norm_c)):
        nn.init.uniform_(norm.weight, 0.2, 1.5)
    if lstm.norm_c is not None:
        nn.init.normal_(lstm.norm_c.bias)
    return lstm


def sequences(n=N, length=LENGTH):
    return 1 + 2 * torch.randn(n, length, FEATURES, dtype=torch.float64)


def start(n=N):
    return torch.randn(1, n, HIDDEN, dtype=torch.float64), torch.randn(1, n, HIDDEN, dtype=torch.float64)


def state_of(lstm):
    return {name: tensor.detach().clone() for name, tensor in lstm.state_dict().items()}


# ---- the oracle: one step after another, one norm after another, in NumPy ----


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Oracle:
    """Follows a layer by its equations; `tensors` are those of the layer, as arrays, and move as its buffers should."""

    def __init__(self, lstm):
        self.tensors = {name: tensor.numpy().copy() for name, tensor in lstm.state_dict().items()}
        self.momentum, self.eps = lstm.norm_c.momentum, lstm.norm_c.eps
        self.max_length = lstm.max_length

    def normalise(self, norm, values, step, training, found):
        gamma = self.tensors[f"{norm}.weight"]
        beta = self.tensors.get(f"{norm}.bias", np.zeros_like(gamma))
        if training and len(values) > 1:
            y, cache = reference.batch_norm_forward(values, gamma, beta, eps=self.eps)
            unbiased_var = cache.batch_var * cache.count / (cache.count - 1)
            found[norm].setdefault(min(step, self.max_length - 1), []).append((cache.batch_mean, unbiased_var))
            return y
        tracked = np.flatnonzero(self.tensors[f"{norm}.num_batches_tracked"])
        slot = min(step, tracked.max() if len(tracked) else 0)
        mean, var = self.tensors[f"{norm}.running_mean"][slot], self.tensors[f"{norm}.running_var"][slot]
        return reference.batch_norm_inference(values, gamma, beta, mean, var, eps=self.eps)

    def __call__(self, x, lengths, state, *, training):
        x, (h, c) = x.numpy(), (part[0].numpy().copy() for part in state)
        outputs = np.zeros((*x.shape[:2], HIDDEN))
        found = {norm: {} for norm in NORMS}
        for step in range(x.shape[1]):
            runs = np.flatnonzero(np.array(lengths) > step)
            norm = partial(self.normalise, step=step, training=training, found=found)
            gates = norm("norm_ih", x[runs, step] @ self.tensors["weight_ih"].T)
            gates = gates + norm("norm_hh", h[runs] @ self.tensors["weight_hh"].T) + self.tensors["bias"]
            i, f, g, o = np.split(gates, 4, axis=1)
            c[runs] = sigmoid(f) * c[runs] + sigmoid(i) * np.tanh(g)
            h[runs] = sigmoid(o) * np.tanh(norm("norm_c", c[runs]))
            outputs[runs, step] = h[runs]
        for norm, slots in found.items():
            for slot, statistics in slots.items():
                self.move(norm, slot, *np.mean(statistics, axis=0))
        return outputs, h, c

    def move(self, norm, slot, mean, var):
        count = self.tensors[f"{norm}.num_batches_tracked"]
        count[slot] += 1
        weight = self.momentum if self.momentum is not None else 1 / count[slot]
        for name, new in (("running_mean", mean), ("running_var", var)):
            running = self.tensors[f"{norm}.{name}"]
            running[slot] = (1 - weight) * running[slot] + weight * new


BATCHES = {  # max_length, then the lengths of the sequences of each batch
    "dense": (6, [[6] * 5, [6] * 4]),
    "count_2": (6, [[6] * 2, [6] * 2]),
    "shorter_than_max_length": (6, [[3] * 5, [4] * 5]),
    "longer_than_max_length": (4, [[6] * 5, [7] * 5]),
    "ragged": (6, [RAGGED, [3, 6, 6, 2, 5]]),
    "ragged_and_longer": (3, [RAGGED, [3, 6, 6, 2, 5]]),
    "the_first_alone_at_once": (6, [[1, 5, 1], [2, 2, 5]]),  # steps without statistics, served by those before
}


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
@pytest.mark.parametrize(("max_length", "batches"), BATCHES.values(), ids=BATCHES)
def test_outputs_states_and_running_statistics_are_those_of_the_equations(max_length, batches, momentum):
    lstm = make(max_length=max_length, momentum=momentum)
    oracle = Oracle(lstm)
    for training in (True, True, False):
        lstm.train(training)
        for lengths in [*batches, [8, 2, 1]] if not training else batches:  # evaluation goes on beyond all that trained
            x, state = sequences(len(lengths), max(lengths)), start(len(lengths))
            output, (h, c) = lstm(x, state, lengths=None if len(set(lengths)) == 1 else lengths)
            expected = oracle(x, lengths, state, training=training)
            for found, wanted in zip((output, h[0], c[0]), expected, strict=True):
                assert_allclose(found.detach(), wanted, rtol=1e-10, atol=1e-12)
            for name, tensor in lstm.state_dict().items():
                assert_allclose(tensor, oracle.tensors[name], rtol=1e-10, atol=1e-12)


def test_a_large_mean_costs_no_accuracy():
    lstm = make()
    x, state = sequences() + 1e6, start()
    assert_allclose(lstm(x, state)[0].detach(), Oracle(lstm)(x, [LENGTH] * N, state, training=True)[0], atol=1e-7)


# ---- torch.nn.LSTM as the oracle of what is not normalised ----


def twins():
    torch.manual_seed(7)
    theirs = nn.LSTM(FEATURES, HIDDEN, batch_first=True, dtype=torch.float64)
    torch.manual_seed(7)
    return BatchNormLSTM(FEATURES, HIDDEN, max_length=LENGTH, norm=None, dtype=torch.float64), theirs


def test_a_seed_gives_the_weights_that_torch_gives():
    for norm in (None, "batch"):
        torch.manual_seed(7)
        ours = BatchNormLSTM(FEATURES, HIDDEN, max_length=LENGTH, norm=norm, dtype=torch.float64)
        _, theirs = twins()
        assert torch.equal(ours.weight_ih, theirs.weight_ih_l0)
        assert torch.equal(ours.weight_hh, theirs.weight_hh_l0)
        assert torch.equal(ours.bias, theirs.bias_ih_l0 + theirs.bias_hh_l0)


@pytest.mark.parametrize("given_state", [False, True])
@each_lengths
def test_without_a_norm_it_is_the_lstm_of_torch(lengths, given_state):
    ours, theirs = twins()
    state = start() if given_state else None
    x_ours, x_theirs = (x := sequences()).clone().requires_grad_(), x.clone().requires_grad_()
    output, (h, c) = ours(x_ours, state, lengths=lengths)
    given = x_theirs
    if lengths:
        given = pack_padded_sequence(x_theirs, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    expected, (h_theirs, c_theirs) = theirs(given, state)
    if lengths:
        expected, _ = pad_packed_sequence(expected, batch_first=True)
    assert_close((output, h, c), (expected, h_theirs, c_theirs), **EXACT)

    upstream = torch.randn_like(output), torch.randn_like(h), torch.randn_like(c)
    torch.autograd.backward((output, h, c), upstream)
    torch.autograd.backward((expected, h_theirs, c_theirs), upstream)
    assert_close(x_ours.grad, x_theirs.grad, **EXACT)
    assert_close(ours.weight_ih.grad, theirs.weight_ih_l0.grad, **EXACT)
    assert_close(ours.weight_hh.grad, theirs.weight_hh_l0.grad, **EXACT)
    assert_close(ours.bias.grad, theirs.bias_hh_l0.grad, **EXACT)


def test_without_a_norm_a_batch_of_one_sequence_trains():
    assert twins()[0](sequences(1))[0].shape == (1, LENGTH, HIDDEN)


# ---- gradients ----


@pytest.mark.parametrize("training", [True, False])
@each_lengths
def test_gradients_agree_with_finite_differences(lengths, training):
    lstm = make(eps=0.1)  # a floor that curves little, for the steps of the differences
    lstm(sequences(), start())  # statistics that are not their start
    lstm.train(training)
    names, parameters = zip(*lstm.named_parameters(), strict=True)
    buffers = state_of(lstm)

    def outputs(x, h, c, *parameters):
        frozen = {name: buffers[name].clone() for name, _ in lstm.named_buffers()}
        named = dict(zip(names, parameters, strict=True)) | frozen
        output, (h, c) = functional_call(lstm, named, (x, (h, c)), {"lengths": lengths})
        return output, h, c

    inputs = sequences(), *start(), *(parameter.detach().clone() for parameter in parameters)
    assert torch.autograd.gradcheck(outputs, [tensor.requires_grad_() for tensor in inputs], fast_mode=True)


def test_the_scale_of_the_matrices_makes_no_difference():
    lstm = make(eps=1e-14)
    x, state = sequences(), start()
    before = lstm(x, state)[0]
    with torch.no_grad():
        lstm.weight_ih.mul_(7)
        lstm.weight_hh.mul_(0.1)
    assert_close(lstm(x, state)[0], before, rtol=1e-9, atol=1e-9)


# ---- padding ----


def everything(lstm, x, state, **lengths):
    """Outputs, states, gradients and running statistics of one batch in training."""
    lstm = deepcopy(lstm)
    x = x.clone().requires_grad_()
    output, (h, c) = lstm(x, state, **lengths)
    (output.pow(3).sum() + (h * c).sum()).backward()
    return output, h, c, x.grad, *(parameter.grad for parameter in lstm.parameters()), *lstm.buffers()


@pytest.mark.parametrize("norm", ["batch", None])
@pytest.mark.parametrize("value", [0.0, 1e6, torch.inf, torch.nan])
def test_the_values_of_padding_change_nothing(value, norm):
    lstm, x, state = make(norm=norm), sequences(), start()
    other = x.clone()
    for sequence, length in enumerate(RAGGED):
        other[sequence, length:] = value
    found, expected = (everything(lstm, given, state, lengths=RAGGED) for given in (other, x))
    assert_close(found, expected, rtol=0, atol=0)
    grad_x = found[3]
    assert all((grad_x[i, :length] != 0).any() and (grad_x[i, length:] == 0).all() for i, length in enumerate(RAGGED))


def test_the_output_at_padding_is_zero_and_the_final_state_is_that_of_the_last_real_step():
    output, (h, _) = make()(sequences(), lengths=torch.tensor(RAGGED))
    assert output.shape == (N, LENGTH, HIDDEN)
    for sequence, length in enumerate(RAGGED):
        assert torch.equal(h[0, sequence], output[sequence, length - 1])
        assert (output[sequence, length:] == 0).all()
        assert (output[sequence, :length] != 0).all()


def test_padding_beyond_the_longest_sequence_stays_in_the_output():
    assert make()(sequences(), lengths=[2, 3, 3, 1, 2])[0].shape == (N, LENGTH, HIDDEN)


@pytest.mark.parametrize("training", [True, False])
def test_sequences_of_one_length_may_come_dense_or_with_lengths_or_packed(training):
    lstm, x, state = make().train(training), sequences(), start()
    dense = everything(lstm, x, state)
    assert_close(everything(lstm, x, state, lengths=[LENGTH] * N), dense, **EXACT)
    packed = pack_padded_sequence(x, torch.full((N,), LENGTH), batch_first=True)
    output, (h, c) = lstm(packed, state)
    assert_close((pad_packed_sequence(output, batch_first=True)[0], h, c), dense[:3], **EXACT)


@pytest.mark.parametrize("in_order", [True, False])
def test_packed_sequences_come_back_packed_as_torch_packs_them(in_order):
    lengths = sorted(RAGGED, reverse=True) if in_order else RAGGED
    lstm, x, state = make(), sequences(), start()
    packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=in_order)
    expected = everything(lstm, x, state, lengths=lengths)
    output, (h, c) = lstm(packed, state)
    of_torch, _ = nn.LSTM(FEATURES, HIDDEN, batch_first=True, dtype=torch.float64)(packed)
    assert torch.equal(output.batch_sizes, of_torch.batch_sizes)
    assert (output.sorted_indices is None) == in_order
    assert_close((pad_packed_sequence(output, batch_first=True)[0], h, c), expected[:3], **EXACT)
    assert_close([*lstm.buffers()], [*expected[-len([*lstm.buffers()]) :]], **EXACT)


@each_lengths
def test_the_order_of_the_sequences_makes_no_difference(lengths):
    lstm, x, (h, c), order = make(), sequences(), start(), torch.tensor([3, 0, 4, 2, 1])
    shuffled = None if lengths is None else [lengths[i] for i in order]
    output, (h_n, c_n) = deepcopy(lstm)(x, (h, c), lengths=lengths)
    found = lstm(x[order], (h[:, order], c[:, order]), lengths=shuffled)
    assert_close(found, (output[order], (h_n[:, order], c_n[:, order])), **EXACT)


# ---- running statistics ----


def counts(lstm):
    assert len({tuple(norm.num_batches_tracked.tolist()) for norm in (lstm.norm_ih, lstm.norm_hh, lstm.norm_c)}) == 1
    return lstm.norm_c.num_batches_tracked.tolist()


def test_steps_have_statistics_of_their_own():
    lstm, x = make(momentum=1.0), sequences()
    x[:, 2] += 100  # the inputs of one step only
    lstm(x)
    projected = x @ lstm.weight_ih.T
    assert_close(lstm.norm_ih.running_mean, projected.mean(0), **EXACT)
    assert_close(lstm.norm_ih.running_var, projected.var(0), **EXACT)


def test_evaluation_beyond_the_length_of_training_repeats_the_last_statistics():
    lstm = make(max_length=6)
    lstm(sequences(length=3))
    assert counts(lstm) == [1, 1, 1, 0, 0, 0]
    repeated = deepcopy(lstm)
    for norm in (repeated.norm_ih, repeated.norm_hh, repeated.norm_c):
        norm.running_mean[3:], norm.running_var[3:] = norm.running_mean[2], norm.running_var[2]
        norm.num_batches_tracked[3:] = 1
    x = sequences(length=6)
    assert torch.equal(lstm.eval()(x)[0], repeated.eval()(x)[0])
    x = sequences(length=9)
    assert torch.equal(lstm(x)[0], repeated(x)[0])


def test_training_beyond_max_length_moves_the_last_slot_once_towards_the_average():
    lstm, x = make(max_length=4, momentum=1.0), sequences(length=6)
    lstm(x)
    assert counts(lstm) == [1, 1, 1, 1]
    projected = x @ lstm.weight_ih.T
    assert_close(lstm.norm_ih.running_mean[:3], projected[:, :3].mean(0), **EXACT)
    assert_close(lstm.norm_ih.running_mean[3], projected[:, 3:].mean((0, 1)), **EXACT)
    assert_close(lstm.norm_ih.running_var[3], projected[:, 3:].var(0).mean(0), **EXACT)


def test_a_step_of_a_single_sequence_moves_no_statistics():
    lstm = make()
    lstm(sequences(), lengths=RAGGED)  # two or more run during the first four steps
    assert counts(lstm) == [1, 1, 1, 1, 0, 0]


def test_before_the_first_batch_evaluation_normalises_by_mean_0_and_variance_1():
    lstm = make(eps=1e-12)
    plain = BatchNormLSTM(FEATURES, HIDDEN, max_length=LENGTH, norm=None, dtype=torch.float64)
    with torch.no_grad():
        plain.weight_ih.copy_(lstm.weight_ih * lstm.norm_ih.weight[:, None])
        plain.weight_hh.copy_(lstm.weight_hh * lstm.norm_hh.weight[:, None])
        plain.bias.copy_(lstm.bias)
        lstm.norm_c.weight.fill_(1)
        lstm.norm_c.bias.zero_()
    x = sequences()
    assert_close(lstm.eval()(x)[0], plain(x)[0], rtol=1e-9, atol=1e-9)


def test_in_evaluation_no_sequence_depends_on_another_and_nothing_moves():
    lstm, x = make(), sequences()
    lstm(x, lengths=RAGGED)
    before = state_of(lstm.eval())
    together = lstm(x)[0]
    assert_close(torch.cat([lstm(alone[None])[0] for alone in x]), together, **EXACT)
    assert_close(state_of(lstm), before, rtol=0, atol=0)


def test_buffers_carry_no_graph():
    lstm = make()
    lstm(sequences())
    assert all(buffer.grad_fn is None and not buffer.requires_grad for buffer in lstm.buffers())


@pytest.mark.parametrize("training", [True, False])
def test_an_empty_batch_gives_an_empty_output_and_moves_nothing(training):
    lstm = make().train(training)
    before = state_of(lstm)
    for lengths in (None, []):
        output, (h, c) = lstm(sequences(0), lengths=lengths)
        assert output.shape == (0, LENGTH, HIDDEN)
        assert h.shape == c.shape == (1, 0, HIDDEN)
    assert_close(state_of(lstm), before, rtol=0, atol=0)


# ---- construction and state ----


def test_scales_start_at_gamma_and_the_projections_share_one_shift():
    lstm = BatchNormLSTM(FEATURES, HIDDEN, max_length=LENGTH)
    assert all((norm.weight == 0.1).all() for norm in (lstm.norm_ih, lstm.norm_hh, lstm.norm_c))
    assert lstm.norm_ih.bias is lstm.norm_hh.bias is None
    assert (lstm.norm_c.bias == 0).all()
    lstm = BatchNormLSTM(FEATURES, HIDDEN, max_length=LENGTH, gamma=0.7)
    assert all((norm.weight == 0.7).all() for norm in (lstm.norm_ih, lstm.norm_hh, lstm.norm_c))


@pytest.mark.parametrize("norm", ["batch", None])
def test_it_can_start_with_orthonormal_matrices(norm):
    lstm = make(orthogonal=True, norm=norm)
    for matrix in (lstm.weight_ih, lstm.weight_hh):
        assert_close(matrix.T @ matrix, torch.eye(matrix.shape[1], dtype=torch.float64), **EXACT)
    assert (lstm.bias == 0).all()


def test_state_and_tensors_have_these_names_and_shapes():
    shapes = {name: tuple(tensor.shape) for name, tensor in make().state_dict().items()}
    statistics = {
        f"{norm}.{name}": shape
        for norm, features in (("norm_ih", 16), ("norm_hh", 16), ("norm_c", 4))
        for name, shape in (
            ("weight", (features,)),
            ("running_mean", (6, features)),
            ("running_var", (6, features)),
            ("num_batches_tracked", (6,)),
        )
    }
    plain = {"weight_ih": (16, 3), "weight_hh": (16, 4), "bias": (16,)}
    assert shapes == plain | statistics | {"norm_c.bias": (4,)}
    assert {name: tuple(t.shape) for name, t in make(norm=None).state_dict().items()} == plain


def test_a_saved_state_gives_the_same_layer():
    lstm, again = make(), make()
    lstm(sequences(), lengths=RAGGED)
    again.load_state_dict(lstm.state_dict(), strict=True)
    x = sequences(length=8)
    assert torch.equal(lstm(x)[0], again(x)[0])  # and both move alike
    assert torch.equal(lstm.eval()(x)[0], again.eval()(x)[0])


def test_reset_parameters_starts_anew():
    lstm = make()
    lstm(sequences())
    torch.manual_seed(3)
    lstm.reset_parameters()
    torch.manual_seed(3)
    fresh = BatchNormLSTM(FEATURES, HIDDEN, max_length=LENGTH, dtype=torch.float64)
    assert_close(state_of(lstm), state_of(fresh), rtol=0, atol=0)


def test_device_and_dtype_reach_every_tensor():
    lstm = BatchNormLSTM(FEATURES, HIDDEN, max_length=LENGTH, device="meta", dtype=torch.float16)
    assert {tensor.device.type for tensor in lstm.state_dict().values()} == {"meta"}
    assert {tensor.dtype for tensor in lstm.state_dict().values()} == {torch.float16, torch.int64}


@pytest.mark.parametrize("training", [True, False])
@each_lengths
def test_half_precision_keeps_its_dtype_and_statistics_of_float32(lengths, training):
    exact = make().train(training)
    half = deepcopy(exact).bfloat16()
    x = sequences()
    output, (h, c) = half(x.bfloat16(), lengths=lengths)
    assert output.dtype == h.dtype == c.dtype == torch.bfloat16
    assert_close(output.double(), exact(x, lengths=lengths)[0], rtol=0.2, atol=0.1)  # six steps of rounding


# ---- torch.func ----


def test_an_ensemble_under_vmap_equals_a_loop_over_its_members():
    members = [make(max_length=4) for _ in range(3)]
    parameters, buffers = stack_module_state(deepcopy(members))
    architecture = deepcopy(members[0])

    def loss(parameters, buffers, x):
        output, (h, c) = functional_call(architecture, (parameters, buffers), (x,))
        return output.pow(3).sum() + (h * c).sum()

    for offset in (0.0, 3.0):  # the second batch meets buffers that already differ between members
        x = torch.stack([sequences() + offset * member for member in range(3)])
        gradients = vmap(grad(loss))(parameters, buffers, x)
        for i, member in enumerate(members):
            member.zero_grad()
            loss_alone = member(x[i])
            (loss_alone[0].pow(3).sum() + (loss_alone[1][0] * loss_alone[1][1]).sum()).backward()
            for name, parameter in member.named_parameters():
                assert_close(gradients[name][i], parameter.grad, **EXACT)
            for name, buffer in member.named_buffers():
                assert_close(buffers[name][i], buffer, **EXACT)
    architecture.eval()
    together = vmap(loss)(parameters, buffers, x)
    alone = [loss(dict(m.named_parameters()), dict(m.named_buffers()), x[i]) for i, m in enumerate(members)]
    assert_close(together, torch.stack(alone), **EXACT)


def test_members_that_trained_for_different_lengths_evaluate_each_by_its_own_last_step():
    members = [make() for _ in range(2)]
    members[0](sequences(length=2))
    members[1](sequences(length=4))
    parameters, buffers = stack_module_state(members)
    architecture, x = members[0].eval(), sequences()
    together = vmap(lambda p, b: functional_call(architecture, (p, b), (x,))[0])(parameters, buffers)
    assert_close(together, torch.stack([member.eval()(x)[0] for member in members]), **EXACT)


# ---- bad input ----

X = torch.zeros(N, LENGTH, FEATURES, dtype=torch.float64)
PACKED = pack_padded_sequence(X, torch.full((N,), LENGTH), batch_first=True)
STATE = torch.zeros(1, N, HIDDEN, dtype=torch.float64)
SHAPE = r"BatchNormLSTM expected x of shape \(n, length, features\) with features = 3, got "
BAD = {
    "rank_2": (X[0], {}, SHAPE + r"\(6, 3\)"),
    "features": (X[..., :2], {}, SHAPE + r"\(5, 6, 2\)"),
    "no_steps": (X[:, :0], {}, r"expected sequences of at least one step, got x of shape \(5, 0, 3\)"),
    "integers": (X.long(), {}, r"expected x of a floating-point dtype, got torch.int64"),
    "one_sequence": (X[:1], {}, r"expected at least 2 sequences in training, got 1, which has no variance"),
    "one_with_lengths": (X[:1], {"lengths": [4]}, r"expected at least 2 sequences in training, got 1"),
    "lengths_short": (X, {"lengths": [6] * 4}, r"lengths of shape \(5,\), .*, got torch.int64 of shape \(4,\)"),
    "lengths_rank": (X, {"lengths": [[6]] * 5}, r"lengths of shape \(5,\), .*, got torch.int64 of shape \(5, 1\)"),
    "lengths_floats": (X, {"lengths": [6.0] * 5}, r"an integer for each sequence, got torch.float32 of shape \(5,\)"),
    "lengths_zero": (X, {"lengths": [6, 6, 0, 6, 6]}, r"lengths from 1 to 6, .*, got \[6, 6, 0, 6, 6\]"),
    "lengths_long": (X, {"lengths": [6, 7, 6, 6, 6]}, r"lengths from 1 to 6, .*, got \[6, 7, 6, 6, 6\]"),
    "packed_and_lengths": (PACKED, {"lengths": [6] * 5}, r"expected packed sequences, .*, alone, got lengths as well"),
    "packed_features": (PACKED._replace(data=PACKED.data[:, :2]), {}, r"packed x .* \(steps, features\) .*\(30, 2\)"),
    "packed_integers": (PACKED._replace(data=PACKED.data.long()), {}, r"floating-point dtype, got torch.int64"),
    "state_rank": (X, {"state": (STATE[0], STATE)}, r"each of shape \(1, 5, 4\), got \(5, 4\), \(1, 5, 4\)"),
    "state_batch": (X, {"state": (STATE, STATE[:, :1])}, r"each of shape \(1, 5, 4\), got \(1, 5, 4\), \(1, 1, 4\)"),
    "state_alone": (X, {"state": (STATE,)}, r"expected state \(h, c\), each of shape \(1, 5, 4\), got \(1, 5, 4\)"),
    "state_tensor": (X, {"state": STATE}, r"expected state \(h, c\), each of shape \(1, 5, 4\), got a tensor of shape"),
}


@pytest.mark.parametrize(("x", "options", "message"), BAD.values(), ids=BAD)
def test_a_bad_batch_is_named_and_changes_nothing(x, options, message):
    lstm = make()
    before = state_of(lstm)
    with pytest.raises(ValueError, match=message) as raised:
        lstm(x, **options)
    assert "\n" not in str(raised.value)
    assert_close(state_of(lstm), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_size": 0}, r"^expected input_size of at least 1, got 0$"),
        ({"hidden_size": -1}, r"^expected hidden_size of at least 1, got -1$"),
        ({"max_length": 0}, r"^expected max_length of at least 1, got 0$"),
        ({"norm": "layer"}, r"^expected norm 'batch' or None, got 'layer'$"),
        ({"eps": 0.0}, r"^expected eps above 0 and finite, got 0.0$"),
        ({"momentum": 1.5}, r"^expected momentum from 0 to 1 or None, got 1.5$"),
        ({"gamma": float("nan")}, r"^expected gamma to be finite, got nan$"),
    ],
)
def test_a_layer_that_could_not_work_cannot_be_made(options, message):
    with pytest.raises(ValueError, match=message):
        BatchNormLSTM(**{"input_size": 3, "hidden_size": 4, "max_length": 5} | options)


def test_options_are_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        BatchNormLSTM(3, 4, 5)
