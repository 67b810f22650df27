"""What each process of the tests of SyncBatchNorm runs."""

from collections import Counter
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.profiler import profile
from torch.nn.parallel import DistributedDataParallel

from bnlab.layers import BatchNorm2d, SyncBatchNorm


class Step(NamedTuple):
    y: Tensor
    grad_x: Tensor
    grads: dict[str, Tensor]


class Trained(NamedTuple):
    steps: list[Step]
    state: dict[str, Tensor]


def group_of(sizes):
    """The group of this process, where the first few make one, the next few another, and so on; None if all are one."""
    if len(sizes) == 1:
        return None
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    # Every process has to make every group.
    groups = [dist.new_group(range(start, start + size)) for start, size in zip(starts, sizes, strict=True)]
    return next(group for group in groups if group is not dist.GroupMember.NON_GROUP_MEMBER)


def train(sizes, state, options, part):
    """A step for each input and upstream gradient of this process's part."""
    layer = SyncBatchNorm(3, process_group=group_of(sizes), **options)
    layer.load_state_dict(state)
    return Trained([_step(layer, x, grad_y) for x, grad_y in part], dict(layer.state_dict()))


def _step(layer, x, grad_y):
    x.requires_grad_()
    layer.zero_grad()
    y = layer(x)
    y.backward(grad_y)
    return Step(y.detach(), x.grad, {name: parameter.grad for name, parameter in layer.named_parameters()})


def count_collectives(training, needs_gradient, x):
    """What forward and backward send."""
    layer = SyncBatchNorm(3).train(training)
    x.requires_grad_(needs_gradient)
    with profile() as forward:
        y = layer(x)
    with profile() as backward:
        y.sum().backward()
    return _sent(forward), _sent(backward)


def _sent(profiled):
    names = (event.name for event in profiled.function_events)
    return dict(Counter(name for name in names if name.startswith("c10d::")))


def train_compiled(part):
    """A step by the backend "numba" inside DistributedDataParallel: output, gradients, and the state that it leaves."""
    layer = BatchNorm2d(3, backend="numba")
    x, grad_y = part
    parallel = DistributedDataParallel(layer)  # kept, since it averages the gradients
    y = parallel(x)
    y.backward(grad_y)
    return y.detach(), {name: p.grad for name, p in layer.named_parameters()}, dict(layer.state_dict())


def evaluate_alone(x):
    """Evaluation in this process, while those without an input do nothing."""
    return None if x is None else SyncBatchNorm(3).eval()(x)


def train_without_tracking(x):
    """What a batch leaves in a layer that was told later on to track no more."""
    layer = SyncBatchNorm(3)
    layer.track_running_stats = False
    layer(x)
    return dict(layer.state_dict())


def refuse(options, x):
    """What the layer says, whether its buffers are as before, and whether it then takes a good batch."""
    layer = SyncBatchNorm(3, **options)
    before = [buffer.clone() for buffer in layer.buffers()]
    text = ""
    try:
        layer(x)
    except ValueError as error:
        text = str(error)
    unchanged = all(map(torch.equal, layer.buffers(), before))
    return text, unchanged, SyncBatchNorm(3)(torch.ones(2, 3)).shape == (2, 3)


def differentiate_twice(layer, part):
    """The gradient of a function of the gradient."""
    x, weights = part
    x.requires_grad_()
    (gradient,) = torch.autograd.grad((layer(x).pow(3) * weights).sum(), x, create_graph=True)
    return torch.autograd.grad((gradient * weights).pow(2).sum(), x)[0]


def descend(model, total, steps, part):
    """Training on sums of losses, weighted as the docstring says, with gradients averaged as DDP averages them."""
    processes = dist.get_world_size()
    x, y = part
    for _ in range(steps):
        model.zero_grad()
        losses = nn.functional.cross_entropy(model(x), y, reduction="none")
        (losses.sum() * processes / total).backward()
        for parameter in model.parameters():
            dist.all_reduce(parameter.grad)
            parameter.data -= 0.1 * parameter.grad / processes
    return dict(model.state_dict())
