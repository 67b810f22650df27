"""The ledger: every claim with its verdict, as it is stored in the package."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bnlab.experiments.claims.claim import Claim, number
from bnlab.experiments.names import unknown

FILE = Path(__file__).parents[1] / "results" / "ledger.json"


@dataclass(frozen=True, repr=False)
class Ledger:
    """Claims, in the order of their chapters; shows itself as a table."""

    claims: tuple[Claim, ...]

    def __iter__(self) -> Iterator[Claim]:
        return iter(self.claims)

    def __len__(self) -> int:
        return len(self.claims)

    def __getitem__(self, id: str) -> Claim:  # noqa: A002 - that is what it is called everywhere
        """The claim of this id.

        Raises:
            ValueError: there is none.
        """
        for claim in self.claims:
            if claim.id == id:
                return claim
        raise unknown("the id of a claim", id, (claim.id for claim in self.claims))

    def of(self, chapter: str) -> "Ledger":
        """The claims of one chapter, by its two digits or its stem.

        Raises:
            ValueError: it has none.
        """
        own = tuple(claim for claim in self.claims if claim.chapter.startswith(chapter))
        if not own:
            chapters = sorted({claim.chapter for claim in self.claims})
            raise ValueError(f"expected a chapter with claims ({', '.join(chapters)}), got {chapter!r}")
        return Ledger(own)

    def __repr__(self) -> str:
        return "\n".join(f"{claim.id}: {claim.verdict}: {claim.measured}" for claim in self.claims)

    def _repr_markdown_(self) -> str:
        head = ("| claim | measured, with its 95% interval | asked for | verdict |", "|---|---|---|---|")
        rows = (
            f"| {claim.statement} (`{claim.id}`) | {claim.measured} | over {number(claim.margin)} | {claim.verdict} |"
            for claim in self.claims
        )
        return "\n".join((*head, *rows))


def ledger() -> Ledger:
    """The ledger that ships with the package."""
    return from_json(FILE.read_text(encoding="utf-8"))


def to_json(claims: Ledger) -> str:
    """The claims as JSON; what is infinite stands there as "inf" or "-inf"."""
    return json.dumps([_record(claim) for claim in claims], indent=1, ensure_ascii=False) + "\n"


def from_json(text: str) -> Ledger:
    """The claims that `to_json` wrote, each number with its four digits."""
    return Ledger(tuple(_claim(record) for record in json.loads(text)))


def _record(claim: Claim) -> dict[str, Any]:
    record = asdict(claim)
    for name in ("effect", "interval", "values", "test_error"):
        record[name] = _plain(record[name])
    return record


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if value is None:
        return None
    return float(f"{value:.4g}") if abs(value) != float("inf") else str(value)


def _claim(record: dict[str, Any]) -> Claim:
    known = {field.name for field in fields(Claim)}
    kept = {name: value for name, value in record.items() if name in known}
    for name in ("interval", "values"):
        kept[name] = tuple(float(value) for value in kept[name])
    return Claim(**kept | {"effect": float(kept["effect"])})
