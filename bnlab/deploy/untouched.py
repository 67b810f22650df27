"""Work on a network that leaves it, and the world's random numbers, as they were."""

import copy
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def check_module(model: Any) -> None:
    """Refuse what is no network, before anything is asked of it.

    Raises:
        ValueError: it is no module.

    Example:
        >>> check_module(3)
        Traceback (most recent call last):
        ValueError: expected model to be an nn.Module, got int
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"expected model to be an nn.Module, got {type(model).__name__}")  # noqa: TRY004 - ValueError is for every bad argument


def working_copy(model: nn.Module) -> nn.Module:
    """A deep copy, also of a network that keeps an activation of its last pass, which torch refuses to copy.

    Raises:
        ValueError: something in the model cannot be copied.

    Example:
        >>> model = nn.Linear(1, 1)
        >>> model.last_output = model(torch.ones(1, 1))
        >>> working_copy(model).last_output.requires_grad
        False
    """
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():
            for tensor in _tensors(value):
                if not tensor.is_leaf:
                    memo[id(tensor)] = tensor.detach().clone()
    try:
        return copy.deepcopy(model, memo)
    except (TypeError, RuntimeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"expected a model that copy.deepcopy can copy, got {error}") from error


@contextmanager
def random_state_kept(loader: Iterable[Any] | None = None) -> Iterator[None]:
    """Restores the random states of Python, NumPy and torch, and of the loader's own generators, however it ends."""
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - other people's code uses it
    generators = [(generator, generator.get_state()) for generator in _generators(loader)]
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)  # noqa: NPY002 - as above
        for generator, before in generators:
            generator.set_state(before)


@contextmanager
def kept(model: nn.Module) -> Iterator[None]:
    """Puts a model's parameters, buffers and modes back at the end, and its gradients, which are gone meanwhile.

    Whoever reaches for the original of a copy (a method that was set on the instance, or an optimizer of its
    parameters) then does no harm.
    """
    parameters = [(parameter, parameter.detach().clone()) for parameter in model.parameters()]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    for parameter, _ in gradients:
        parameter.grad = None
    try:
        with buffers_kept(model):
            yield
    finally:
        _put_back(parameters)
        for parameter, gradient in gradients:
            parameter.grad = gradient
        for module, mode in modes:
            module.training = mode


@contextmanager
def buffers_kept(model: nn.Module) -> Iterator[None]:
    """Puts a model's buffers back at the end: their values, and the tensors themselves where a pass set others.

    Example:
        >>> model = nn.BatchNorm1d(1)
        >>> held = model.running_mean
        >>> with buffers_kept(model):
        ...     model.running_mean = torch.ones(1)
        >>> model.running_mean is held
        True
    """
    holders = [(module, dict(module._buffers)) for module in model.modules()]  # noqa: SLF001 - buffers() hides None
    values = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for module, buffers in holders:
            for name, buffer in buffers.items():
                if module._buffers.get(name) is not buffer:  # noqa: SLF001 - as above
                    module._buffers[name] = buffer  # noqa: SLF001 - setattr refuses a name that was deleted
        _put_back(values)


def _put_back(values: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Only what has changed, since a backward pass that is still to come refuses tensors that were written to."""
    with torch.no_grad():
        for tensor, before in values:
            if tensor.is_meta or not torch.equal(tensor, before):  # tensors without values cannot be compared
                tensor.copy_(before)


def _generators(loader: Any) -> list[torch.Generator]:
    """Those of a DataLoader, its sampler and its batch sampler's sampler."""
    samplers = (loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None))
    holders = (*samplers, getattr(samplers[2], "sampler", None))
    found = (getattr(holder, "generator", None) for holder in holders)
    return [generator for generator in found if isinstance(generator, torch.Generator)]


def _tensors(value: Any) -> Iterator[Tensor]:
    match value:
        case Tensor():
            yield value
        case dict():
            for inner in value.values():
                yield from _tensors(inner)
        case list() | tuple() | set():
            for inner in value:
                yield from _tensors(inner)
