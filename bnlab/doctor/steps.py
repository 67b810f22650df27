"""What a user's own training step does, on a copy: how often it runs the model, goes back, and moves the weights."""

import copy
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from bnlab.deploy.batches import device_of, tensors_in, to_device
from bnlab.deploy.untouched import working_copy

MOST_STEPS = 16  # batches for which an optimizer's step is waited for; two steps are enough


@dataclass
class Steps:
    """What was counted.

    Attributes:
        batches: how many were handed to the training step.
        images: examples that a batch norm layer was given at once, in training mode, the median of all calls.
        calls: of batch norm layers, by name.
        in_evaluation: those of them in evaluation mode, by name.
        backwards: passes back.
        updates: steps of an optimizer, whichever.
        moved: batch norm layers whose scale or shift asks for no gradient and moved all the same, as by averaging.
    """

    batches: int = 0
    images: list[int] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    in_evaluation: dict[str, int] = field(default_factory=dict)
    backwards: dict[str, int] = field(default_factory=dict)
    updates: int = 0
    moved: set[str] = field(default_factory=set)

    @property
    def backwards_per_update(self) -> float:
        """How many passes back there are for one step of the optimizer; 0 if there was none."""
        return max(self.backwards.values(), default=0) / self.updates if self.updates else 0.0


def watch_steps(
    model: nn.Module,
    train_step: Callable[..., Any],
    batches: Iterable[Any],
    *,
    optimizer: torch.optim.Optimizer | None,
    norms: Iterable[str],
) -> Steps:
    """Run `train_step(copy, batch)` on a copy of the model until its optimizer has moved twice.

    A `train_step` that takes a third argument gets a copy of the optimizer whose groups hold the copy's parameters. One
    that reaches for an optimizer of the original parameters finds them without gradients, and so moves nothing; the
    step counts all the same.
    """
    counted, copied = Steps(), working_copy(model)
    for name, parameter in copied.named_parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(partial(_went_back, counted, name))  # type: ignore[no-untyped-call]
    frozen = {}
    for name in norms:
        layer = copied.get_submodule(name)
        frozen[name] = [(p, p.detach().clone()) for p in layer.parameters(recurse=False) if not p.requires_grad]
        hook = partial(_called, counted, name)
        layer.register_forward_pre_hook(hook, with_kwargs=True)
    handle = register_optimizer_step_post_hook(partial(_updated, counted))
    more = () if optimizer is None or not _takes_three(train_step) else (_copy_of(optimizer, model, copied),)
    try:
        with torch.enable_grad():
            for batch in batches:
                train_step(copied, to_device(batch, device_of(copied)), *more)
                counted.batches += 1
                if counted.updates >= 2:
                    break
    finally:
        handle.remove()
    counted.moved = {name for name, held in frozen.items() if any(not torch.equal(p, before) for p, before in held)}
    return counted


def _copy_of(optimizer: torch.optim.Optimizer, model: nn.Module, copied: nn.Module) -> torch.optim.Optimizer:
    copies = dict(copied.named_parameters())
    memo = {id(parameter): copies[name] for name, parameter in model.named_parameters()}
    if isinstance(optimizer, torch.optim.LBFGS):  # whose copies lack an attribute that their step reads (torch 2.13)
        raise ValueError("expected an optimizer that can be copied, got LBFGS; give train_step two parameters")  # noqa: TRY004 - as for every bad argument
    return copy.deepcopy(optimizer, memo)


def _takes_three(train_step: Callable[..., Any]) -> bool:
    try:
        inspect.signature(train_step).bind(None, None, None)
    except TypeError:
        return False
    return True


def _went_back(counted: Steps, name: str, _parameter: Tensor) -> None:
    counted.backwards[name] = counted.backwards.get(name, 0) + 1


def _called(counted: Steps, name: str, layer: nn.Module, args: Any, kwargs: Any) -> None:
    counted.calls[name] = counted.calls.get(name, 0) + 1
    if not layer.training:
        counted.in_evaluation[name] = counted.in_evaluation.get(name, 0) + 1
        return
    counted.images += [len(x) for x in tensors_in((args, kwargs))[:1]]


def _updated(counted: Steps, *_: Any) -> None:
    counted.updates += 1
