"""Proofs of answers on training and inference."""

import torch
from torch import Tensor, nn

from bnlab.reference.variance import Moments, merge


def prediction_depends_on_batch_mates(
    *, in_training: bool = True, in_evaluation: bool = False, one_image_raises: bool = False
) -> bool:
    """Whether an image's answer changes with its company, in either mode, and whether training refuses it alone."""
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).double()
    images = torch.randn(4, 1, 6, 6, dtype=torch.float64)
    changes = []
    for training in (True, False):
        network.train(training)
        changes.append(not torch.allclose(network(images[:1]), network(images)[:1]))
    return changes == [in_training, in_evaluation] and _raises(network.train(), images[:1]) == one_image_raises


def two_modes(
    *, momentum: float = 0.1, of_the_old: float = 0.9, moves_in_training: bool = True, moves_at_inference: bool = False
) -> bool:
    """How torch's running mean moves from 0 on a batch of mean 1, in either mode, and from 1 on one of mean 0."""
    moved = {}
    for training in (True, False):
        layer = nn.BatchNorm1d(1).train(training)
        layer(torch.tensor([[0.0], [2.0]]))
        moved[training] = _mean(layer)
    layer = nn.BatchNorm1d(1)
    _set_mean(layer, 1.0)
    layer(torch.tensor([[-1.0], [1.0]]))
    return (
        [round(moved[True], 6) != 0, moved[False] != 0] == [moves_in_training, moves_at_inference]
        and round(moved[True], 6) == momentum
        and round(_mean(layer), 6) == of_the_old
    )


def one_row_raises(*, in_training: bool = True, in_evaluation: bool = False) -> bool:
    """Whether torch refuses a single row, which has one value per channel and so no variance."""
    layer, row = nn.BatchNorm1d(3), torch.randn(1, 3)
    return [_raises(layer.train(), row), _raises(layer.eval(), row)] == [in_training, in_evaluation]


def no_grad_is_not_eval(
    *, uses_the_batch: bool = True, running_mean_moves: bool = True, eval_records_a_graph: bool = True
) -> bool:
    """What torch's layer does in training mode under `no_grad`, and in evaluation mode without it."""
    layer = nn.BatchNorm1d(1)
    x = torch.tensor([[1.0], [5.0]])
    with torch.no_grad():
        y = layer(x)
    found = (torch.allclose(y.mean(), torch.zeros(()), atol=1e-6), _mean(layer) != 0, layer.eval()(x).requires_grad)
    return found == (uses_the_batch, running_mean_moves, eval_records_a_graph)


def momentum_conventions(
    *,
    torch_default: float = 0.1,
    of_the_old_elsewhere: float = 0.99,
    the_same_in_torch: float = 0.01,
    memory: int = 10,
    longer_memory: int = 100,
) -> bool:
    """The weight that torch gives a new batch, and what a weight of the old value becomes in torch."""
    layer = nn.BatchNorm1d(1)
    default = layer.momentum
    layer.momentum = the_same_in_torch
    _set_mean(layer, 1.0)
    layer(torch.tensor([[-1.0], [1.0]]))
    return (
        default == torch_default
        and round(_mean(layer), 6) == of_the_old_elsewhere
        and (round(1 / torch_default), round(1 / the_same_in_torch)) == (memory, longer_memory)
    )


def left_of_the_start(
    *, momentum: float = 0.01, steps: int = 100, left: float = 0.366, start_of_variance: int = 1
) -> bool:
    """How much of its first value torch's running mean still holds after some batches of mean 0."""
    layer = nn.BatchNorm1d(1, momentum=momentum, dtype=torch.float64)
    assert layer.running_var is not None
    begins = layer.running_var.item()
    _set_mean(layer, 1.0)
    for _ in range(steps):
        layer(torch.tensor([[-1.0], [1.0]], dtype=torch.float64))
    return round(_mean(layer), 3) == left and begins == start_of_variance


def average_of_variances(*, low: int = 0, high: int = 10, average: int = 0, together: int = 25) -> bool:
    """Two batches of three equal values each: the average of their variances, and the variance of all six values."""
    batches = [torch.full((3,), float(value)) for value in (low, high)]
    variances = [batch.var(correction=0).item() for batch in batches]
    merged = merge(*(Moments(3, batch.mean().item(), 3 * var) for batch, var in zip(batches, variances, strict=True)))
    everything = torch.cat(batches).var(correction=0).item()
    return sum(variances) / 2 == average and everything == together and merged.m2 / 6 == everything


def freezing(
    *,
    statistics_move_without_gradients: bool = True,
    statistics_move_in_evaluation: bool = False,
    train_undoes_it: bool = True,
) -> bool:
    """What it takes to keep torch's running statistics as they are, and what undoes it."""
    layer = nn.BatchNorm1d(1)
    layer.requires_grad_(requires_grad=False)
    model = nn.Sequential(layer)
    found = []
    for call in (model.train, layer.eval, model.train):
        call()
        before = _mean(layer)
        model(1 + torch.randn(8, 1))
        found.append(_mean(layer) != before)
    return found == [statistics_move_without_gradients, statistics_move_in_evaluation, train_undoes_it]


def _raises(module: nn.Module, x: Tensor) -> bool:
    try:
        module(x)
    except ValueError:
        return True
    return False


def _mean(layer: nn.BatchNorm1d) -> float:
    assert layer.running_mean is not None
    return layer.running_mean.item()


def _set_mean(layer: nn.BatchNorm1d, value: float) -> None:
    assert layer.running_mean is not None
    layer.running_mean.fill_(value)
