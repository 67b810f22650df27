"""Ten figures of the papers, redrawn on a laptop: what each reports, what was measured here, and whether they agree."""

from collections.abc import Mapping
from typing import Any

from bnlab.experiments.names import unknown
from bnlab.experiments.papers.redrawn import Finding, Judged, Redrawn, Table
from bnlab.experiments.papers.ten import TEN
from bnlab.experiments.studies import study_of

__all__ = ["TEN", "Finding", "Judged", "Redrawn", "Table", "from_stored", "judge", "redrawn", "stored_results"]


def redrawn(id: str) -> Redrawn:  # noqa: A002 - that is what it is called everywhere
    """The figure of this id.

    Raises:
        ValueError: there is none.
    """
    for one in TEN:
        if one.id == id:
            return one
    raise unknown("the id of a figure", id, (one.id for one in TEN))


def stored_results() -> dict[str, Any]:
    """The stored result of every study that the ten need, by its name."""
    return {name: study_of(name).stored() for name in sorted({name for one in TEN for name in one.studies})}


def judge(results: Mapping[str, Any]) -> Table:
    """The table of the ten, as these results of their studies, by name, bear them out."""
    return Table(tuple(one.judge(results) for one in TEN))


def from_stored() -> Table:
    """The table of the ten, judged anew on the stored results of their studies."""
    return judge(stored_results())
