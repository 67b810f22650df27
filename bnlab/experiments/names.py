"""What is said of a name that nothing has."""

from collections.abc import Iterable
from difflib import get_close_matches


def unknown(what: str, name: str, known: Iterable[str]) -> ValueError:
    """The error to raise: it offers the names that look like the one that came, or all of them if none does.

    Example:
        >>> print(unknown("the name of a study", "conver", ["batch_noise", "convergence"]))
        expected the name of a study, such as convergence, got 'conver'
        >>> print(unknown("the name of a study", "xyz", ["batch_noise", "convergence"]))
        expected the name of a study (batch_noise, convergence), got 'xyz'
    """
    known = list(known)
    near = get_close_matches(name, known)
    offered = f", such as {' or '.join(near)}," if near else f" ({', '.join(known)}),"
    return ValueError(f"expected {what}{offered} got {name!r}")
