"""Shapes as the command line writes them: 32x64x56x56, or 32x64x56x56:channels_last."""

import re
from typing import NamedTuple

import torch
from torch import Tensor

LAST = "channels_last"
DEFAULTS = (
    "32x64x56x56,128x64x56x56,64x256x14x14,8x1024x7x7,2x32x128x128,"
    "32x64x56x56:channels_last,128x64x56x56:channels_last,4096x512"
)


class Shape(NamedTuple):
    """A shape and its layout.

    Attributes:
        sizes: (n, c, *spatial).
        channels_last: whether the channels of a position lie side by side.
    """

    sizes: tuple[int, ...]
    channels_last: bool = False

    @classmethod
    def read(cls, text: str) -> "Shape":
        """The shape that a text names.

        Raises:
            ValueError: it names none.

        Example:
            >>> Shape.read("8x3x5x5:channels_last")
            Shape(sizes=(8, 3, 5, 5), channels_last=True)
        """
        sizes, _, layout = text.strip().partition(":")
        if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){1,4}", sizes, re.ASCII) or (":" in text and layout != LAST):
            raise ValueError(f"expected a shape such as 32x64x56x56, 32x64x56x56:{LAST} or 4096x512, got {text!r}")
        shape = cls(tuple(map(int, sizes.split("x"))), layout == LAST)
        if shape.channels_last and len(shape.sizes) == 2:
            raise ValueError(f"expected a shape with positions for {LAST}, got {text!r}")
        return shape

    def __str__(self) -> str:
        return "x".join(map(str, self.sizes)) + f":{LAST}" * self.channels_last

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return int(torch.Size(self.sizes).numel())

    @property
    def channels(self) -> int:
        """How many channels it has."""
        return self.sizes[1]

    def random(self, generator: torch.Generator, device: torch.device) -> Tensor:
        """Standard normal float32 numbers in this shape and layout."""
        n, c, *spatial = self.sizes
        stored = (n, *spatial, c) if self.channels_last else self.sizes
        numbers = torch.randn(stored, generator=generator).to(device)
        return numbers.movedim(-1, 1) if self.channels_last else numbers


def shapes_from(text: str) -> list[Shape]:
    """The shapes of a list with commas.

    >>> [str(shape) for shape in shapes_from("2x3, 4x5x6")]
    ['2x3', '4x5x6']
    """
    return [Shape.read(part) for part in text.split(",")]
