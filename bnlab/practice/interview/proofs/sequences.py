"""Proofs of answers on recurrent networks and transformers."""

import math
from functools import cache

import torch
from torch import Tensor, nn

from bnlab.layers import RMSNorm
from bnlab.layers.recurrent import BatchNormLSTM, SequenceBatchNorm1d


def statistics_of_every_step(
    *, hidden: int = 128, steps: int = 100, channels: int = 1152, numbers: int = 230_400, needs_two: bool = True
) -> bool:
    """What an LSTM with batch norm at each step stores, and whether it refuses a step of one sequence in training."""
    lstm = BatchNormLSTM(1, hidden, max_length=steps)
    running = [one for name, one in lstm.named_buffers() if "running" in name]
    try:
        lstm(torch.randn(1, 3, 1))
        refused = False
    except ValueError:
        refused = True
    found = (sum(one.shape[1] for one in running) // 2, sum(one.numel() for one in running))
    return hidden == 128 and steps == 100 and found == (channels, numbers) and refused == needs_two


def padding_counts(*, mean_with_padding: float = 2.25, mean: int = 3, evaluation_is_off: bool = True) -> bool:
    """The mean of the series 1, 3 and 5, the latter padded with a 0: by torch's layer and by one told the lengths."""
    x = torch.tensor([[[1.0], [3.0]], [[5.0], [0.0]]])
    plain, told = nn.BatchNorm1d(1, momentum=1.0), SequenceBatchNorm1d(1, momentum=1.0)
    plain(x.mT)
    told(x, lengths=[2, 1])
    found = [float(layer.get_buffer("running_mean")) for layer in (plain, told)]
    three = torch.tensor([[[3.0]]])
    off = [bool((layer.eval()(three).abs() > 0.1).any()) for layer in (plain, told)]
    return found == [mean_with_padding, mean] and off == [evaluation_is_off, False]


def slope_and_growth(
    *, at_1: float = 0.61, at_a_tenth: float = 0.99, ten_times: int = 10, growth_at_1: float = 1.085,
    growth_at_a_tenth: float = 1.0, steps: int = 64, after_them: int = 188,
) -> bool:  # fmt: skip
    """The mean slope of tanh behind a norm, and the growth of a gradient per step of h = tanh(BN(W h))."""
    z = torch.special.ndtri((torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000)
    slopes, growths = [], []
    for gamma in (1.0, 0.1):
        h = torch.tanh(gamma * z)
        slope = 1 - h.square()
        slopes.append(round(float(slope.mean()), 2))
        growths.append(gamma * float((slope.square().mean() / h.square().mean()).sqrt()))
    starts = BatchNormLSTM(1, 2, max_length=3).state_dict()["norm_c.weight"]
    return (
        slopes == [at_1, at_a_tenth]
        and [round(growth, 3) for growth in growths] == [growth_at_1, growth_at_a_tenth]
        and round(growths[0] ** steps) == after_them
        and math.isclose(_growth_of_a_chain(gamma=1.0), growth_at_1, rel_tol=0.02)
        and math.isclose(1 / float(starts[0]), ten_times, rel_tol=1e-6)
    )


@cache
def _growth_of_a_chain(*, gamma: float, steps: int = 20, width: int = 256) -> float:
    """The mean growth of a gradient per step backward through h = tanh(BN(W h)), in one chain at its start."""
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(width, width, generator=generator).requires_grad_()
    weight = torch.randn(width, width, generator=generator) / math.sqrt(width)
    norm, states = nn.BatchNorm1d(width), [h]
    nn.init.constant_(norm.weight, gamma)
    for _ in range(steps):
        states.append(torch.tanh(norm(states[-1] @ weight)))
    gradients = torch.autograd.grad(states[-1], states[1:], torch.randn(width, width, generator=generator))
    return float((gradients[0].norm() / gradients[-1].norm()) ** (1 / (steps - 1)))


def statistics_of_all_steps(
    *, sequences: int = 8, steps: int = 50, values: int = 400, future_counts: bool = True, in_evaluation: bool = False
) -> bool:
    """How many values make a mean of sequence-wise batch norm, and whether a later step changes an earlier output."""
    layer = SequenceBatchNorm1d(1, momentum=1.0)
    x = torch.randn(8, 50, 1)
    later = x.clone()
    later[0, -1] += 5
    layer(x)
    of_all = torch.allclose(layer.get_buffer("running_mean"), x.mean((0, 1)), atol=1e-6)
    moves = []
    for training in (True, False):
        layer.train(training)
        moves.append(not torch.allclose(layer(x)[:, :-1], layer(later)[:, :-1], atol=1e-6))
    return of_all and (sequences, steps, values) == (8, 50, x.numel()) and moves == [future_counts, in_evaluation]


def layer_norm_beside_batch_norm(
    *, batch_norm_needs_mates: bool = True, layer_norm: bool = False, batch_norm_has_modes: bool = True,
    layer_norm_has_modes: bool = False, buffers: int = 0,
) -> bool:  # fmt: skip
    """Whether a token's output depends on other sequences, and on the mode; what torch's layer norm stores."""
    x, other = torch.randn(4, 6, 8), torch.randn(4, 6, 8)
    other[0] = x[0]
    batch, layer = nn.BatchNorm1d(8), nn.LayerNorm(8)

    def by_batch(x: Tensor) -> Tensor:
        y: Tensor = batch(x.mT)
        return y.mT

    found = []
    for norm in (by_batch, layer):
        first, second = norm(x)[0], norm(other)[0]
        for one in (batch, layer):
            one.eval()
        found.append((not torch.allclose(first, second), not torch.allclose(first, norm(x)[0])))
        for one in (batch, layer):
            one.train()
    stated = [(batch_norm_needs_mates, batch_norm_has_modes), (layer_norm, layer_norm_has_modes)]
    return found == stated and len(list(layer.buffers())) == buffers


def leak(
    *, own_past_moves: bool = True, other_sequences_move: bool = True, in_evaluation: bool = False,
    by_layer_norm: bool = False, entropy: float = 0.693,
) -> bool:  # fmt: skip
    """Which outputs before the last step move with one last token, by norm and mode; the loss of a fair coin's toss."""
    x = torch.randn(8, 6, 4)
    edited = x.clone()
    edited[0, -1] += 3
    batch, layer = nn.BatchNorm1d(4), nn.LayerNorm(4)

    def moved() -> Tensor:
        change: Tensor = (batch(x.mT) - batch(edited.mT)).mT[:, :-1].detach()
        return change.abs().amax((1, 2)) > 1e-4

    training = moved()
    batch.eval()
    by_layer = not torch.allclose(layer(x)[:, :-1], layer(edited)[:, :-1])
    coin = float(nn.functional.cross_entropy(torch.zeros(1, 2), torch.tensor([1])))
    return (bool(training[0]), bool(training[1:].all()), bool(moved().any()), by_layer, round(coin, 3)) == (
        own_past_moves, other_sequences_move, in_evaluation, by_layer_norm, entropy,
    )  # fmt: skip


def root_mean_square(
    *, rms: float = 3.536, first: float = 0.849, second: float = 1.131, layer_norm: int = 1, width: int = 512,
    parameters: int = 512, parameters_of_layer_norm: int = 1024, shift_cancels: bool = False,
) -> bool:  # fmt: skip
    """What RMS norm and layer norm make of the vector (3, 4), what they learn, and whether a shift cancels in it."""
    x = torch.tensor([3.0, 4.0], dtype=torch.float64)
    norm, layer = RMSNorm(2, eps=0.0, dtype=torch.float64), nn.LayerNorm(2, dtype=torch.float64)
    found = [round(float(one), 3) for one in (x.square().mean().sqrt(), *norm(x).detach())]
    counts = [sum(one.numel() for one in layer.parameters()) for layer in (RMSNorm(width), nn.LayerNorm(width))]
    by_layer = torch.tensor([-layer_norm, layer_norm], dtype=torch.float64)
    return (
        found == [rms, first, second]
        and torch.allclose(layer(x), by_layer, atol=1e-3)
        and counts == [parameters, parameters_of_layer_norm]
        and torch.allclose(norm(x), norm(x + 10)) == shift_cancels
        and torch.allclose(layer(x), layer(x + 10))
    )


def more_padding(
    *, layer_norm: bool = False, batch_norm_in_training: bool = True, in_evaluation: bool = False, twice: int = 2,
) -> bool:  # fmt: skip
    """Whether longer padding changes the output at real steps, by norm; and what padding up to half does to a mean."""
    x = torch.randn(4, 5, 3) + 2
    longer = nn.functional.pad(x, (0, 0, 0, 5))
    batch, layer = nn.BatchNorm1d(3), nn.LayerNorm(3)

    def moves() -> bool:
        return not torch.allclose(batch(x.mT), batch(longer.mT)[..., :5], atol=1e-4)

    found = [not torch.allclose(layer(x), layer(longer)[:, :5]), moves()]
    batch.eval()
    found.append(moves())
    times = float((x.mean((0, 1)) / longer.mean((0, 1))).mean())
    return found == [layer_norm, batch_norm_in_training, in_evaluation] and math.isclose(times, twice, rel_tol=1e-5)
