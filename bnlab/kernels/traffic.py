"""How often batch norm has to go to memory: reads and writes for each element of the input, counted before any clock.

Batch norm does some seven operations on an element, and a processor could do more while memory delivers the next one;
so a well-made kernel costs what its accesses cost. Three things set their number. *Resident*: the values of a channel
stay in registers or in the cache from the sweep that takes sums to the one that makes use of them, so that memory is
read once. *Streaming*: they do not, and there are two sweeps over memory. *Fused*: ReLU and addition work on the value
while it is at hand; apart, each is a pass of its own. What there is once for a channel is not counted.
"""

from typing import Literal, NamedTuple

Mask = Literal["bits", "output"]
COPY = 2  # accesses of a copy: it reads an element and writes it


class Accesses(NamedTuple):
    """Accesses to memory for each element of the input.

    Attributes:
        reads: values read.
        writes: values written.
    """

    reads: int
    writes: int

    @property
    def total(self) -> int:
        """Reads and writes together."""
        return self.reads + self.writes


class _Case(NamedTuple):
    """A case: what its first sweep moves, what more the second reads, and what comes on top if nothing is fused."""

    first: Accesses
    again: int
    apart: int = 0


CASES = {
    "forward": _Case(Accesses(1, 1), again=1),
    "forward, ReLU": _Case(Accesses(1, 1), again=1, apart=2),
    "forward, add, ReLU": _Case(Accesses(2, 1), again=1, apart=4),  # fused, it reads the residual too
    "inference": _Case(Accesses(1, 1), again=0),
    "inference, ReLU": _Case(Accesses(1, 1), again=0, apart=2),
    "inference, add": _Case(Accesses(2, 1), again=0, apart=2),
    "inference, add, ReLU": _Case(Accesses(2, 1), again=0, apart=4),
    "backward": _Case(Accesses(2, 1), again=2),  # reads the gradient and x
    "backward, ReLU": _Case(Accesses(2, 1), again=2, apart=3),  # the mask is computed again, from x
    "backward, add, ReLU": _Case(Accesses(2, 2), again=2, apart=2),  # writes the residual's gradient too
    "constant backward": _Case(Accesses(2, 1), again=0),  # through statistics that are given
    "constant backward, ReLU": _Case(Accesses(2, 1), again=0, apart=3),
    "constant backward, add, ReLU": _Case(Accesses(2, 2), again=0, apart=2),
}

ARRAY_BY_ARRAY = {  # a forward pass that writes every step's array, with a step an operation
    "textbook": Accesses(8, 6),  # as the paper writes it; x - mean is computed twice
    "elementary": Accesses(6, 4),  # as `bnlab.layers.elementary` does; scale and standard deviation are one factor
}


def accesses(case: str, *, resident: bool, mask: Mask = "bits") -> Accesses:
    """How often fused batch norm reads and writes memory, for each element of the input.

    Args:
        case: one of `CASES`.
        resident: whether values stay at hand between the two sweeps.
        mask: where the gradient of a ReLU behind an addition finds which values passed: in a bit each, which are
            counted as nothing, or in the output, as the kernels of this package do: one read more.

    Raises:
        ValueError: there is no such case.

    Example:
        >>> accesses("forward", resident=True), accesses("forward", resident=False).total
        (Accesses(reads=1, writes=1), 3)
        >>> [accesses("backward, add, ReLU", resident=r).total for r in (True, False)]
        [4, 6]
        >>> accesses("backward, add, ReLU", resident=False, mask="output")
        Accesses(reads=5, writes=2)
    """
    found = _case(case)
    output = mask == "output" and "backward, add" in case
    return Accesses(found.first.reads + output + (0 if resident else found.again), found.first.writes)


def unfused(case: str) -> int:
    """Accesses if ReLU and addition are passes of their own, behind a batch norm that streams.

    Raises:
        ValueError: there is no such case.

    Example:
        >>> [unfused(case) for case in ("forward", "forward, ReLU", "forward, add, ReLU", "backward, add, ReLU")]
        [3, 5, 8, 8]
    """
    return accesses(case, resident=False).total + _case(case).apart


def share_of_copy(*cases: str, resident: bool, fetching: bool = False, mask: Mask = "bits") -> float:
    """The largest share of a copy's bandwidth that work can reach, counted at the least accesses it needs.

    Args:
        cases: what is done one after the other.
        resident: whether values stay at hand between the two sweeps of each.
        fetching: whether to write means to fetch the old value first, as ordinary stores do whose target is in no
            cache: one access more for each write, of the copy too.
        mask: as for `accesses`.

    Example:
        Two sweeps over memory make three accesses of two, or four of three where writing fetches:

        >>> [round(share_of_copy("forward", resident=False, fetching=fetching), 3) for fetching in (False, True)]
        [0.667, 0.75]
        >>> share_of_copy("forward", "backward", resident=False), share_of_copy("forward", resident=True)
        (0.625, 1.0)
    """
    least = sum(accesses(case, resident=True).total for case in cases)
    made = [accesses(case, resident=resident, mask=mask) for case in cases]
    moved = sum(one.reads + one.writes * (1 + fetching) for one in made)
    return (least / COPY) * (COPY + fetching) / moved


def _case(case: str) -> _Case:
    if case not in CASES:
        raise ValueError(f"expected a case of {'; '.join(CASES)}, got {case!r}")
    return CASES[case]
