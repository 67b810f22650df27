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

from bnlab.deploy.batches import batch_size, device_of, tensors_in, to_device
from bnlab.deploy.untouched import working_copy

MOST_STEPS = 16  # batches for which an optimizer's step is waited for; two steps are enough


@dataclass
class Steps:
    """What was counted.

    Attributes:
        batches: sizes of the batches that were handed to the training step.
        images: examples that a batch norm layer was given at once, in training mode, one entry a call.
        calls: of batch norm layers, by name.
        in_evaluation: those of them in evaluation mode, by name.
        updates: steps of an optimizer, whichever.
        summed: for each such step, the most passes back whose gradients were added up for it in one parameter, and the
            examples of the batches that were handed over meanwhile.
        moved: batch norm layers whose scale or shift asks for no gradient and moved all the same, as by averaging.
    """

    batches: list[int] = field(default_factory=list)
    images: list[int] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    in_evaluation: dict[str, int] = field(default_factory=dict)
    updates: int = 0
    summed: list[tuple[int, int]] = field(default_factory=list)
    moved: set[str] = field(default_factory=set)

    @property
    def images_at_once(self) -> int:
        """The median of `images`; 0 if there are none."""
        return sorted(self.images)[len(self.images) // 2] if self.images else 0

    @property
    def parts(self) -> int:
        """In how many parts, one after the other, batch norm met the examples of one step of the optimizer, at most.

        Passes back alone do not tell: two losses, the two passes of SAM, or those of a discriminator over real and
        painted images, each meet a batch as large as the one that was handed over.
        """
        at_once = max(self.images_at_once, 1)
        return max((min(passes, round(examples / at_once)) for passes, examples in self.summed), default=0)


@dataclass
class _Sum:
    """What a parameter's gradient is the sum of: so many passes back, the first of them in a certain batch."""

    passes: int
    since: int


class _Watch:
    """Counts, by hooks on a copy."""

    def __init__(self, model: nn.Module, copied: nn.Module, norms: Iterable[str]) -> None:
        self.counted = Steps()
        self.sums: dict[str, _Sum] = {}
        both = (model, copied)
        self.names = {id(p): name for one in both for name, p in one.named_parameters(remove_duplicate=False)}
        for name, parameter in copied.named_parameters():
            if parameter.requires_grad:
                parameter.register_hook(partial(self._goes_back, name, parameter))  # type: ignore[no-untyped-call]
        for name in norms:
            hook = partial(self._called, name)
            copied.get_submodule(name).register_forward_pre_hook(hook, with_kwargs=True)

    def _goes_back(self, name: str, parameter: Tensor, _gradient: Tensor) -> None:
        """Before the gradient is added to what is there, if it is."""
        if name not in self.sums or parameter.grad is None or not parameter.grad.any():
            self.sums[name] = _Sum(0, len(self.counted.batches) - 1)
        self.sums[name].passes += 1

    def _called(self, name: str, layer: nn.Module, args: Any, kwargs: Any) -> None:
        counted = self.counted
        counted.calls[name] = counted.calls.get(name, 0) + 1
        if layer.training:
            counted.images += [len(x) for x in tensors_in((args, kwargs))[:1]]
        else:
            counted.in_evaluation[name] = counted.in_evaluation.get(name, 0) + 1

    def updated(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """After a step of any optimizer, which may hold the original's parameters."""
        self.counted.updates += 1
        held = {self.names.get(id(p)) for group in optimizer.param_groups for p in group["params"]}
        sums = [self.sums.pop(name) for name in held if name in self.sums]
        if sums:
            examples = sum(self.counted.batches[min(one.since for one in sums) :])
            self.counted.summed.append((max(one.passes for one in sums), examples))


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
    copied, norms = working_copy(model), list(norms)
    watch = _Watch(model, copied, norms)
    counted = watch.counted
    frozen = {}
    for name in norms:
        own = copied.get_submodule(name).parameters(recurse=False)
        frozen[name] = [(p, p.detach().clone()) for p in own if not p.requires_grad]
    handle = register_optimizer_step_post_hook(watch.updated)
    more = () if optimizer is None or not _takes_three(train_step) else (_copy_of(optimizer, model, copied),)
    try:
        with torch.enable_grad():
            for batch in batches:
                counted.batches.append(batch_size(batch))
                train_step(copied, to_device(batch, device_of(copied)), *more)
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
