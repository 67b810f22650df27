"""What a loader yields, and how a network takes it."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def feed(model: nn.Module, batch: Any) -> Any:
    """Run a network on a batch as a loader yields it.

    A tensor is the input. Of a tuple or list the first part is, which itself may hold several arguments, and further
    parts are if `forward` has as many required arguments: `(x, y)`, `((a, b), y)` and `(a, b, y)` all work. The keys of
    a dict that are arguments of `forward` are passed by name; if there are none, `forward` gets the dict, or, if it
    cannot use that, the first value, or as many as it requires.

    Args:
        model: any module.
        batch: a tensor, or a tuple, list or dict that holds one, on the model's device.

    Returns:
        What the model returns.

    Raises:
        ValueError: there is no tensor in the batch, or none in what its first part is.

    Example:
        >>> feed(nn.Bilinear(2, 2, 1), (torch.ones(5, 2), torch.ones(5, 2), torch.ones(5))).shape
        torch.Size([5, 1])
    """
    if not tensors_in(batch):
        raise ValueError(f"expected a batch that holds a tensor, got {type(batch).__name__}")
    required, (names, takes_any_name) = required_arguments(model), _names(model)
    if isinstance(batch, Mapping):
        by_name = {key: value for key, value in batch.items() if key in names or (takes_any_name and type(key) is str)}
        if by_name and set(required) <= by_name.keys():
            return model(**by_name)
        values = list(batch.values())
        some = values[: len(required)] if len(required) > 1 else [next(filter(tensors_in, values))]
        return _first_that_works([lambda: model(batch), lambda: model(*some)])
    if not isinstance(batch, tuple | list) or isinstance(batch, PackedSequence):
        return model(batch)
    count, head = len(required), batch[0]
    if count > 1 and type(head) in {tuple, list} and len(head) == count:
        return model(*head)
    if 1 < count <= len(batch):
        return model(*batch[:count])
    if not tensors_in(head):
        raise ValueError(
            f"expected a batch that begins with a tensor, or with what holds one, got {type(head).__name__}"
        )
    return model(head)


def tensors_in(batch: Any) -> list[Tensor]:
    """All tensors of a batch or of an output, in order, however lists, tuples and dictionaries hold them.

    >>> [tuple(x.shape) for x in tensors_in({"image": torch.ones(4, 3), "sizes": [torch.ones(4), 7], "loss": None})]
    [(4, 3), (4,)]
    """
    found: list[Tensor] = []
    mapped(batch, lambda x: found.append(x) or x)  # type: ignore[func-returns-value]
    return found


def mapped(batch: Any, change: Callable[[Tensor], Any]) -> Any:
    """The batch with every tensor replaced by what `change` makes of it."""
    match batch:
        case Tensor():
            return change(batch)
        case PackedSequence():
            change(batch.data)
            return batch
        case Mapping():
            return {key: mapped(value, change) for key, value in batch.items()}
        case tuple() if hasattr(batch, "_fields"):
            return type(batch)(*(mapped(value, change) for value in batch))
        case tuple() | list():
            return type(batch)(mapped(value, change) for value in batch)
    return batch


def batch_size(batch: Any) -> int:
    """How many examples there are: the length of the first tensor that has an axis; 1 if none has.

    >>> batch_size((torch.ones(7, 3), torch.ones(7)))
    7
    """
    return next((len(tensor) for tensor in tensors_in(batch) if tensor.ndim), 1)


def device_of(model: nn.Module) -> torch.device:
    """Where its first parameter or buffer lives."""
    return next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))


def to_device(batch: Any, device: torch.device) -> Any:
    """A copy of the batch on the device, so that a model that works in place leaves the loader's own."""
    if isinstance(batch, PackedSequence):
        return batch.to(device)  # type: ignore[arg-type]  # the stub lists one of its forms
    return mapped(batch, lambda x: x.to(device, copy=True))


def some_of(batch: Any, index: Tensor) -> Any:
    """The examples at `index`, if every part of the batch is a tensor with an entry for each; else all of them.

    >>> some_of((torch.tensor([[5.0], [6.0], [7.0]]), torch.tensor([0, 1, 2])), torch.tensor([2]))
    (tensor([[7.]]), tensor([2]))
    >>> some_of((torch.tensor([[5.0], [6.0]]), [1, 2]), torch.tensor([1]))
    (tensor([[5.],
            [6.]]), [1, 2])
    """
    size = batch_size(batch)
    if not _holds_only_tensors(batch) or any(not x.ndim or len(x) != size for x in tensors_in(batch)):
        return batch
    return mapped(batch, lambda x: x[index.to(x.device)])


def _holds_only_tensors(batch: Any) -> bool:
    match batch:
        case Tensor():
            return True
        case PackedSequence():
            return False
        case Mapping():
            return all(map(_holds_only_tensors, batch.values()))
        case tuple() | list():
            return all(map(_holds_only_tensors, batch))
    return False


def required_arguments(model: nn.Module) -> list[str]:
    """The arguments of `forward` that have no default.

    >>> required_arguments(nn.Bilinear(1, 1, 1))
    ['input1', 'input2']
    """
    parameters = inspect.signature(model.forward).parameters.values()
    return [p.name for p in parameters if p.kind in POSITIONAL and p.default is p.empty]


def _names(model: nn.Module) -> tuple[set[str], bool]:
    """The arguments of `forward` that can be given by name, and whether any name can."""
    parameters = inspect.signature(model.forward).parameters.values()
    names = {p.name for p in parameters if p.kind in {POSITIONAL[1], inspect.Parameter.KEYWORD_ONLY}}
    return names, any(p.kind is p.VAR_KEYWORD for p in parameters)


def _first_that_works(calls: Sequence[Callable[[], Any]]) -> Any:
    for call in calls[:-1]:
        try:
            return call()
        except (TypeError, AttributeError, KeyError):  # what a module says that was handed a dict for a tensor
            continue
    return calls[-1]()
