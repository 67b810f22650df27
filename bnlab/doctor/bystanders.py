"""What a loader and a training step hold beside the network: random numbers, optimizers and schedules."""

import copy
import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

DEEP = 5  # attributes of attributes: a loader's dataset's transform's generator is three away
LONG = 100  # entries of a list or a dict: longer ones are data
MOST = 10_000  # things that are looked at


@contextmanager
def bystanders_kept(*roots: Any) -> Iterator[None]:
    """Puts generators of random numbers, optimizers and schedules back that are in reach of some objects.

    In reach is what stands in attributes, in short lists and dicts, and in the closures and the globals that a function
    names, to a depth of 5. What only a running iterator or another process holds is not.

    Example:
        >>> dice = {"of": [random.Random(0)]}
        >>> with bystanders_kept(dice):
        ...     first = dice["of"][0].random()
        >>> dice["of"][0].random() == first
        True
    """
    ways_back = [back for thing in _in_reach(roots) for back in _way_back(thing)]
    try:
        yield
    finally:
        for back in ways_back:
            back()


def _in_reach(roots: Any) -> Iterator[Any]:
    met: dict[int, Any] = {}  # holds them, so that no identity is used twice
    waiting = deque((root, 0) for root in roots)
    while waiting and len(met) < MOST:
        thing, depth = waiting.popleft()
        if id(thing) not in met:
            met[id(thing)] = thing
            yield thing
            if depth < DEEP:
                waiting.extend((inner, depth + 1) for inner in _inside(thing))


def _inside(thing: Any) -> Iterator[Any]:
    match thing:
        case None | str() | bytes() | int() | float() | Tensor() | np.ndarray() | ModuleType() | type():
            pass
        case torch.optim.Optimizer():
            pass
        case dict() | list() | tuple() | set():
            if len(thing) <= LONG:
                yield from thing.values() if isinstance(thing, dict) else thing
        case FunctionType():
            yield from (*(thing.__closure__ or ()), *(thing.__defaults__ or ()))
            yield from (thing.__globals__.get(name) for name in thing.__code__.co_names)
        case CellType():
            with suppress(ValueError):  # where it is empty
                yield thing.cell_contents
        case partial():
            yield from (thing.func, *thing.args, *thing.keywords.values())
        case MethodType():
            yield from (thing.__self__, thing.__func__)
        case _:
            yield from list(getattr(thing, "__dict__", {}).values())


def _way_back(thing: Any) -> Iterator[Callable[[], Any]]:
    match thing:
        case torch.Generator():
            yield partial(thing.set_state, thing.get_state())
        case np.random.Generator():
            yield partial(setattr, thing.bit_generator, "state", thing.bit_generator.state)
        case np.random.RandomState():
            yield partial(thing.set_state, thing.get_state())
        case random.Random():
            yield partial(thing.setstate, thing.getstate())
        case torch.optim.Optimizer():
            yield _optimizer_back(thing)
        case LRScheduler():
            yield partial(_refilled, vars(thing), {name: _shallow(value) for name, value in vars(thing).items()})


def _optimizer_back(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    groups = [(group, {name: _shallow(value) for name, value in group.items()}) for group in optimizer.param_groups]
    states = [(parameter, own, copy.deepcopy(own), dict(own)) for parameter, own in optimizer.state.items()]

    def back() -> None:
        optimizer.param_groups[:] = [group for group, _ in groups]
        for group, before in groups:
            _refilled(group, before)
        for _, own, values, held in states:
            _refilled(own, {name: _as_before(held[name], values[name]) for name in held})
        _refilled(optimizer.state, {parameter: own for parameter, own, *_ in states})

    return back


def _as_before(held: Any, value: Any) -> Any:
    """The same tensor, with its former values."""
    if not isinstance(held, Tensor):
        return value
    if not torch.equal(held, value):
        held.copy_(value)
    return held


def _refilled(holder: Any, before: dict[Any, Any]) -> None:
    holder.clear()
    holder.update(before)


def _shallow(value: Any) -> Any:
    return copy.copy(value) if isinstance(value, list | dict) else value
