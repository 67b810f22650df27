"""Sequences of different lengths: from padded to packed, where no padding is left."""

from collections.abc import Collection, Sequence
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
Lengths: TypeAlias = Int[Tensor, " n"] | Sequence[int]


def pack(x: Float[Tensor, "n length features"], lengths: Lengths) -> PackedSequence:
    """The real steps of padded sequences, as torch packs them: step after step, the longest sequence first.

    Args:
        x: sequences, each with as much padding at its end as brings it to the common length.
        lengths: how many steps of each are real.

    Raises:
        ValueError: `lengths` are not one integer from 1 to `length` for each sequence.

    Example:
        >>> packed = pack(torch.tensor([[[1.0], [2.0], [-9.0]], [[3.0], [4.0], [5.0]]]), lengths=[2, 3])
        >>> packed.data.ravel(), packed.batch_sizes
        (tensor([3., 1., 4., 2., 5.]), tensor([2, 2, 1]))
    """
    return pack_padded_sequence(x, checked_lengths(x, lengths), batch_first=True, enforce_sorted=False)


def checked_lengths(x: Float[Tensor, "n length features"], lengths: Lengths) -> Int[Tensor, " n"]:
    """The lengths as a tensor on the CPU.

    Raises:
        ValueError: they are not one integer from 1 to `length` for each sequence.

    Example:
        >>> checked_lengths(torch.zeros(2, 3, 1), [2, 4])
        Traceback (most recent call last):
        ValueError: expected lengths from 1 to 3, the steps of x, got [2, 4]
    """
    n, length = x.shape[:2]
    real = torch.as_tensor(lengths).cpu()
    if real.shape != (n,) or (n and real.dtype not in INTEGERS):
        got = f"{real.dtype} of shape {tuple(real.shape)}"
        raise ValueError(f"expected lengths of shape ({n},), an integer for each sequence, got {got}")
    if n and not 1 <= int(real.min()) <= int(real.max()) <= length:
        raise ValueError(f"expected lengths from 1 to {length}, the steps of x, got {real.tolist()}")
    return real.long()


def check_sequences(layer: nn.Module, x: Tensor | PackedSequence, features: int, told: Collection[str]) -> None:
    """Refuse what is no batch of sequences with so many features, and packed ones beside which padding was `told` of.

    Raises:
        ValueError: what the layer expected, and what came.

    Example:
        >>> check_sequences(nn.Identity(), torch.zeros(5, 3), features=3, told=[])
        Traceback (most recent call last):
        ValueError: Identity expected x of shape (n, length, features) with features = 3, got (5, 3)
    """
    packed = isinstance(x, PackedSequence)
    if packed and told:
        raise ValueError(f"expected packed sequences, which know their lengths, alone, got {next(iter(told))} as well")
    data, shape = (x.data, "(steps, features)") if isinstance(x, PackedSequence) else (x, "(n, length, features)")
    if data.ndim != (2 if packed else 3) or data.shape[-1] != features:
        what, got = "packed x with data" if packed else "x", tuple(data.shape)
        raise ValueError(
            f"{type(layer).__name__} expected {what} of shape {shape} with features = {features}, got {got}"
        )
    if not data.is_floating_point():
        raise ValueError(f"expected x of a floating-point dtype, got {data.dtype}")
