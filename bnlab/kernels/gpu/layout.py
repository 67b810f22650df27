"""How a tensor is cut into tiles: which view, how high, how wide, how many, and whether one holds a channel."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

TILE = 4096  # elements of a streaming tile
RESIDENT = 16384  # elements of the largest tile that holds whole channels; half of that where they are not aligned
ALIGNED = 4  # elements: the least that make a wide load
NARROWEST = 64  # positions: a row of fewer would waste part of what a warp loads at once
NARROWEST_RESIDENT = 16  # channels: 32 bytes of half precision, the least that memory delivers
MERGE_ROWS, MERGE_COLUMNS = 64, 16


class Layout(NamedTuple):
    """A tensor as `(n, channels, length)`, and its tiles; see `bnlab.kernels.gpu.tiles`."""

    n: int
    channels: int
    length: int
    planes: bool
    rows: int
    columns: int

    @property
    def splits(self) -> int:
        """Tiles of one channel."""
        return _blocks(self.n, self.rows) * (_blocks(self.length, self.columns) if self.planes else 1)

    @property
    def resident(self) -> bool:
        """Whether one tile holds all that there is of its channels."""
        return self.splits == 1

    @property
    def programs(self) -> int:
        """Tiles of all channels."""
        return self.splits * (self.channels if self.planes else _blocks(self.channels, self.columns))

    @property
    def merge_programs(self) -> int:
        """Programs that merge the tiles, each of some channels."""
        return _blocks(self.channels, MERGE_COLUMNS)

    @property
    def align(self) -> int:
        """The greatest power of two, up to 16, that divides the distance between two rows."""
        return _align(self.length if self.planes else self.channels)

    def warps(self, itemsize: int, lanes: int = 32) -> int:
        """Warps of a program, of so many lanes: enough that a tile stays in registers.

        A thread gets fewer elements where it has other things to hold: the address of each, where they are not aligned;
        in the view of rows what belongs to its channels, of which a load of 16 bytes has up to 8.
        """
        elements = self.rows * self.columns
        crowded = self.align < ALIGNED or not (self.planes or (itemsize == 4 and lanes == 32))
        a_thread = (16 if self.align < ALIGNED else 32) if elements > TILE else 8 if crowded else 16
        return max(min(elements // (lanes * a_thread), 16), 1)


def layout_of(x: Tensor) -> Layout | None:
    """The layout of a tensor `(n, c, *spatial)`, or None if it lies in memory in neither way.

    >>> import torch
    >>> layout_of(torch.empty(2, 3, 100, 100))
    Layout(n=2, channels=3, length=10000, planes=True, rows=2, columns=2048)
    >>> layout_of(torch.empty(2, 3, 5, 5).to(memory_format=torch.channels_last))
    Layout(n=50, channels=3, length=1, planes=False, rows=64, columns=4)
    >>> layout_of(torch.empty(3, 2).T) is None
    True
    """
    n, channels = x.shape[:2]
    length = x[0, 0].numel()
    if x.is_contiguous() and length > 1:
        return planes(n, channels, length)
    if x.movedim(1, -1).is_contiguous():
        return rows(n * length, channels)
    return None


def planes(n: int, channels: int, length: int) -> Layout:
    """The layout of contiguous `(n, channels, length)`.

    The tile's width is the power of two that leaves the fewest elements outside the tensor; the widest of these.

    >>> planes(128, 64, 56 * 56), planes(128, 64, 56 * 56).splits  # 3136 is 49 times 64
    (Layout(n=128, channels=64, length=3136, planes=True, rows=64, columns=64), 98)
    >>> planes(8, 1024, 7 * 7).resident
    True
    """
    whole = power_of_two(n), power_of_two(length)
    if whole[0] * whole[1] <= _largest_resident(length, ALIGNED):
        return Layout(n, channels, length, planes=True, rows=whole[0], columns=whole[1])

    def tiles() -> Iterator[Layout]:
        width, narrowest = min(whole[1], TILE), max(NARROWEST, TILE // whole[0])
        while width >= min(whole[1], narrowest):
            yield Layout(n, channels, length, planes=True, rows=min(whole[0], TILE // width), columns=width)
            width //= 2

    return min(tiles(), key=lambda tile: tile.splits * tile.rows * tile.columns)


def rows(n: int, channels: int) -> Layout:
    """The layout of contiguous `(n, channels)`.

    >>> rows(256, 512), rows(256, 512).resident
    (Layout(n=256, channels=512, length=1, planes=False, rows=256, columns=16), True)
    >>> rows(100_000, 64).splits
    1563
    """
    height, width = power_of_two(n), power_of_two(channels)
    if height * min(width, NARROWEST_RESIDENT) <= _largest_resident(
        channels, 2 * ALIGNED
    ):  # a thread has its channels to hold, too
        columns = min(width, max(NARROWEST_RESIDENT, TILE // height))
        return Layout(n, channels, 1, planes=False, rows=height, columns=columns)
    columns = min(width, NARROWEST)
    return Layout(n, channels, 1, planes=False, rows=min(height, TILE // columns), columns=columns)


def power_of_two(number: int) -> int:
    """The least power of two that is not below `number`.

    >>> power_of_two(1), power_of_two(5)
    (1, 8)
    """
    return 1 << (number - 1).bit_length()


def _align(distance: int) -> int:
    return min(distance & -distance, 16)


def _largest_resident(distance: int, aligned: int) -> int:
    return RESIDENT if _align(distance) >= aligned else RESIDENT // 2


def _blocks(size: int, block: int) -> int:
    return -(-size // block)
