"""What the kernels are to reach on the CPU, set before they were written, and what a measurement says of it."""

from math import ceil, floor
from typing import NamedTuple

from bnlab.bench.kernels import Measured

RELU = 1.05  # batch norm with a ReLU, of batch norm alone, at most
NO_SLOWER = {  # all at least 1
    "forward_to_torch": "forward into given memory",
    "forward_to_torch_new": "forward into new memory",
    "both_to_torch_new": "forward and backward",
}
OF_COPY = {"forward_of_copy": "forward", "both_of_copy": "forward and backward"}


class Goal(NamedTuple):
    """Shares of a copy's bandwidth, at the least accesses that the work needs.

    Attributes:
        forward: of a forward pass.
        both: of a forward and a backward pass.
    """

    forward: float
    both: float


def goal_of(measured: Measured) -> Goal | None:
    """The goal for a shape of the table that they were set in; None for any other, and for all with one thread.

    26 MB and more, NCHW: .90 and .80; small planes: .50 and .45; channels_last, larger than the cache: .65 and .57;
    vectors: .50 and .35.
    """
    large = Goal(0.90, 0.80)
    small = Goal(0.50, 0.45)
    last = Goal(0.65, 0.57)
    goals = {
        "32x64x56x56": large,
        "128x64x56x56": large,
        "64x256x14x14": small,
        "8x1024x7x7": small,
        "2x32x128x128": small,
        "32x64x56x56:channels_last": last,
        "128x64x56x56:channels_last": last,
        "4096x512": Goal(0.50, 0.35),
    }
    return goals.get(str(measured.shape)) if measured.threads > 1 else None


def missed(measured: Measured) -> list[str]:
    """What a shape misses by its medians, a phrase each; nothing is rounded to look like more than it is.

    Example:
        >>> from bnlab.bench.shapes import Shape
        >>> seconds = {"copy": [1.0], "ours": [2.1], "ours, both": [5.0], "torch": [2.0]}
        >>> missed(Measured(Shape((4096, 512)), 2, seconds, {}))
        ['forward 0.47 of copy, goal 0.50', 'forward into given memory 0.95 times as fast as torch']
    """
    goal, found = goal_of(measured), list[str]()
    for (name, what), least in zip(OF_COPY.items(), goal or (0.0, 0.0), strict=True):
        share = measured.ratio(name)
        if share is not None and share.median < least:
            found.append(f"{what} {down(share.median)} of copy, goal {least:.2f}")
    for name, what in NO_SLOWER.items():
        speed = measured.ratio(name)
        if speed is not None and speed.median < 1:
            found.append(f"{what} {down(speed.median)} times as fast as torch")
    relu = measured.ratio("relu_to_none")
    if relu is not None and relu.median > RELU:
        found.append(f"a ReLU makes it {up(relu.median)} times as long, goal {RELU}")
    return found


def down(number: float) -> str:
    """Rounded down to two digits behind the point, where more is better.

    >>> down(0.899), down(4.0)
    ('0.89', '4.00')
    """
    return f"{floor(number * 100 + 1e-9) / 100:.2f}"


def up(number: float) -> str:
    """Rounded up, where less is better.

    >>> up(1.051), up(1.05)
    ('1.06', '1.05')
    """
    return f"{ceil(number * 100 - 1e-9) / 100:.2f}"
