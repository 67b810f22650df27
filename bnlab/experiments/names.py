"""What is said of a name that nothing has."""

from collections.abc import Iterable
from difflib import get_close_matches

MOST = 20  # names that are offered


def unknown(what: str, name: str, known: Iterable[str]) -> ValueError:
    """The error to raise: it offers the names that look like the one that came, or the first of all if none does.

    Example:
        >>> print(unknown("the name of a study", "conver", ["batch_noise", "convergence"]))
        expected the name of a study, such as convergence, got 'conver'
        >>> print(unknown("the name of a study", "xyz", ["batch_noise", "convergence"]))
        expected the name of a study (batch_noise, convergence), got 'xyz'
        >>> str(unknown("a number", "xyz", map(str, range(83))))[-30:]
        "8, 19, and 63 more), got 'xyz'"
    """
    known = list(known)
    near = get_close_matches(name, known)
    first = [*known[:MOST], *([f"and {len(known) - MOST} more"] if len(known) > MOST else [])]
    offered = f", such as {' or '.join(near)}," if near else f" ({', '.join(first)}),"
    return ValueError(f"expected {what}{offered} got {name!r}")
