"""What each process of the tests of SyncBatchNorm runs."""

from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from bnlab.layers import SyncBatchNorm


class Step(NamedTuple):
    y: Tensor
    grad_x: Tensor
    grads: dict[str, Tensor]


class Trained(NamedTuple):
    steps: list[Step]
    state: dict[str, Tensor]


def group_of(processes):
    """The processes that have a part; None, for all, if that is what they are."""
    return None if processes == dist.get_world_size() else dist.new_group(range(processes))


def train(state, options, part):
    """Forward and backward for each input and upstream gradient of this process's part."""
    taking_part = [None] * dist.get_world_size()
    dist.all_gather_object(taking_part, part is not None)
    layer = SyncBatchNorm(3, dtype=torch.float64, process_group=group_of(sum(taking_part)), **options)
    layer.load_state_dict(state)
    return Trained([_step(layer, x, grad_y) for x, grad_y in part or ()], dict(layer.state_dict()))


def _step(layer, x, grad_y):
    x.requires_grad_()
    layer.zero_grad()
    y = layer(x)
    y.backward(grad_y)
    return Step(y.detach(), x.grad, {name: parameter.grad for name, parameter in layer.named_parameters()})
