"""Whether two networks give the same: what they are fed, and how far apart their outputs are."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from bnlab.deploy.batches import tensors_in
from bnlab.deploy.untouched import working_copy

Example = Tensor | tuple[Any, ...]


def arguments(example: Any) -> tuple[Any, ...]:
    """The positional arguments that an example stands for: a tensor for itself, a tuple for its items.

    Raises:
        ValueError: it is neither, or its first tensor holds no image, with which any two networks would agree.

    Example:
        >>> arguments(torch.tensor([2.0]))
        (tensor([2.]),)
    """
    if not isinstance(example, Tensor | tuple):
        kind = type(example).__name__
        raise ValueError(f"expected example to be a tensor, or a tuple of the model's arguments, got {kind}")  # noqa: TRY004 - ValueError is for every bad argument
    args = example if isinstance(example, tuple) else (example,)
    first = next((tensor for tensor in tensors_in(args) if tensor.ndim), None)
    if first is not None and not len(first):
        raise ValueError(f"expected an example of one image or more, got none in shape {tuple(first.shape)}")
    return args


def outputs_of(model: nn.Module, args: tuple[Any, ...]) -> list[Tensor]:
    """The tensors that a model gives for some arguments, without gradients."""
    with torch.no_grad():
        return tensors_in(model(*args))


def in_short(error: Exception) -> str:
    """The kind of an error and the first line of what it says.

    >>> in_short(RuntimeError("no such size"))
    'RuntimeError: no such size'
    """
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def widened(model: nn.Module) -> nn.Module:
    """A copy on the CPU in float64, where rounding hides nothing and no device computes in fewer digits."""
    return working_copy(model).cpu().double()


def widened_arguments(args: tuple[Any, ...], seed: int = 0) -> tuple[Any, ...]:
    """Floating tensors on the CPU in float64 with noise of std 1, since zeros as an example would show nothing.

    The noise comes from its own generator, so the global random state stays as it was.

    >>> x, flag = widened_arguments((torch.zeros(2, 3), True))
    >>> x.dtype, x.unique().numel(), flag
    (torch.float64, 6, True)
    """
    generator = torch.Generator().manual_seed(seed)

    def widen(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        if not leaf.is_floating_point():
            return leaf.cpu()
        return leaf.detach().cpu().double() + torch.randn(leaf.shape, generator=generator, dtype=torch.float64)

    return tuple(pytree.tree_map(widen, args))


def largest_difference(expected: list[Tensor], got: list[Tensor]) -> float:
    """The largest difference between two lists of tensors, each in units of the largest value that was expected there.

    NaN where one of the two has it, so a comparison `difference <= tolerance` fails then.

    Raises:
        ValueError: they differ in number or in shapes.

    Example:
        >>> largest_difference([torch.tensor([1.0, -4.0])], [torch.tensor([1.0, -4.5])])
        0.125
    """
    shapes, others = [tuple(one.shape) for one in expected], [tuple(one.shape) for one in got]
    if shapes != others:
        raise ValueError(f"expected outputs of shapes {shapes}, got {others}")
    differences = [0.0]
    for one, other in zip(expected, got, strict=True):
        if one.numel():
            wide = one.detach().cpu().double()
            scale = max(wide.abs().max().item(), torch.finfo(torch.float64).tiny)
            differences.append((other.detach().cpu().double() - wide).abs().max().item() / scale)
    return torch.tensor(differences, dtype=torch.float64).max().item()  # which passes NaN on, as max() would not
