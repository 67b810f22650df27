"""A figure of a paper redrawn: what it reports, the claims that ask for the same here, and whether the two agree."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bnlab.experiments.claims.claim import Claim, Declaration, number
from bnlab.experiments.claims.ledger import Ledger, to_json
from bnlab.experiments.names import unknown

Agreement = Literal["same direction", "partly", "not here"]

OF_A_CLAIM: dict[str, Agreement] = {
    "supported": "same direction",
    "partly": "partly",
    "not supported here": "not here",
}
OF_ONE_AGAINST: dict[str, Agreement] = {
    "supported": "not here",
    "partly": "partly",
    "not supported here": "same direction",
}


@dataclass(frozen=True)
class Finding:
    """One thing that a paper's figure shows, as a claim that a study can bear out.

    Attributes:
        declaration: the claim with its margin: one of the ledger, or one of `findings` where the ledger has none.
        label: what its number is, such as "fewer steps to 90%".
        against: whether the claim speaks against what the paper shows.
    """

    declaration: Declaration
    label: str
    against: bool = False

    def agreement(self, claim: Claim) -> Agreement:
        """What the claim's verdict says of the paper's figure."""
        return (OF_ONE_AGAINST if self.against else OF_A_CLAIM)[claim.verdict]


@dataclass(frozen=True)
class Redrawn:
    """A figure of a paper, and what stands for it at the scale of a laptop.

    The rule is the same for all: the figure is redrawn in the "same direction" if each of its findings is supported,
    by the claim's own margin, and "not here" if none shows any effect; all else is "partly".

    Attributes:
        id: stable name.
        paper: authors, year and arXiv id.
        figure: which one.
        reports: what the paper says of it; "Direction only." where we could not see its numbers.
        differs: in what network, data or measure we differ.
        findings: what has to come out here.
        drawn: names of the studies whose results its picture draws.
    """

    id: str
    paper: str
    figure: str
    reports: str
    differs: str
    findings: tuple[Finding, ...]
    drawn: tuple[str, ...]

    @property
    def studies(self) -> tuple[str, ...]:
        """Names of the studies that it is drawn from and judged by."""
        return tuple(dict.fromkeys((*self.drawn, *(one.declaration.study for one in self.findings))))

    @property
    def rule(self) -> str:
        """What it is judged by, finding by finding, with the margins."""
        asked = (
            f"{one.label}, {'not ' if one.against else ''}over {number(one.declaration.margin)} "
            f"(`{one.declaration.id}`)"
            for one in self.findings
        )
        return "; ".join(asked)

    def judge(self, results: Mapping[str, Any]) -> "Judged":
        """What these results say, by the name of their study.

        Raises:
            ValueError: a result has too few seeds.
        """
        return Judged(self, tuple(one.declaration.judge(results[one.declaration.study]) for one in self.findings))


@dataclass(frozen=True, repr=False)
class Judged:
    """A figure redrawn, with what was measured and the verdict.

    Attributes:
        redrawn: what was asked.
        claims: its findings, judged.
    """

    redrawn: Redrawn
    claims: tuple[Claim, ...]

    @property
    def id(self) -> str:
        """That of the figure."""
        return self.redrawn.id

    @property
    def verdict(self) -> Agreement:
        """Whether what was measured goes the paper's way; see `Redrawn`."""
        pairs = zip(self.redrawn.findings, self.claims, strict=True)
        found = {finding.agreement(claim) for finding, claim in pairs}
        return found.pop() if len(found) == 1 else "partly"

    @property
    def lines(self) -> tuple[str, ...]:
        """Each finding with its effect and 95% interval."""
        pairs = zip(self.redrawn.findings, self.claims, strict=True)
        return tuple(f"{finding.label}: {claim.measured}" for finding, claim in pairs)

    @property
    def measured(self) -> str:
        """The findings in one line."""
        return "; ".join(self.lines)

    @property
    def headline(self) -> str:
        """The first finding's effect, and if the verdict is "partly" that of the last which is short of the paper's."""
        said = [
            (f"{finding.label}: {_short(claim)}", finding.agreement(claim))
            for finding, claim in zip(self.redrawn.findings, self.claims, strict=True)
        ]
        short = [text for text, agreement in said[1:] if agreement != "same direction"]
        return "; but ".join([said[0][0], *(short[-1:] if self.verdict == "partly" else [])])

    def __str__(self) -> str:
        one = self.redrawn
        return (
            f"{one.paper}, {one.figure}.\nThe paper: {one.reports}\nHere: {self.measured}.\nWhat differs: "
            f"{one.differs}\nSame direction if all of these hold, not here if none shows, else partly: "
            f"{one.rule}.\nStudies: {', '.join(one.studies)}."
        )

    def __repr__(self) -> str:
        return f"{self.id}: {self.verdict}. {self}"

    def _repr_markdown_(self) -> str:
        return f"`{self.id}` **{self.verdict}.** " + "\n\n".join(str(self).splitlines())

    def record(self) -> dict[str, Any]:
        """All that is known of it, as JSON takes it."""
        one = self.redrawn
        words = {name: getattr(one, name) for name in ("id", "paper", "figure", "reports", "differs", "rule")}
        findings = [
            {"label": finding.label, "against": finding.against, "claim": claim}
            for finding, claim in zip(one.findings, json.loads(to_json(Ledger(self.claims))), strict=True)
        ]
        return words | {"studies": list(one.studies), "findings": findings, "verdict": self.verdict}


@dataclass(frozen=True, repr=False)
class Table:
    """Figures of papers, redrawn and judged; shows itself as a table."""

    rows: tuple[Judged, ...]

    def __iter__(self) -> Iterator[Judged]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, id: str) -> Judged:  # noqa: A002 - that is what it is called everywhere
        """The figure of this id.

        Raises:
            ValueError: there is none.
        """
        for row in self.rows:
            if row.id == id:
                return row
        raise unknown("the id of a figure", id, (row.id for row in self.rows))

    def __repr__(self) -> str:
        return "\n".join(f"{row.id}: {row.verdict}: {row.measured}" for row in self.rows)

    def _repr_markdown_(self) -> str:
        head = (
            "| figure | the paper reports | here, with 95% intervals | what differs | verdict |",
            "|---|---|---|---|---|",
        )
        rows = (
            f"| {row.redrawn.paper}, {row.redrawn.figure} (`{row.id}`) | {row.redrawn.reports} | {row.measured} | "
            f"{row.redrawn.differs} | {row.verdict} |"
            for row in self.rows
        )
        return "\n".join((*head, *rows))

    def to_json(self) -> str:
        """The rows as JSON; what is infinite stands there as "inf" or "-inf"."""
        return json.dumps([row.record() for row in self.rows], indent=1, ensure_ascii=False) + "\n"


def _short(claim: Claim) -> str:
    return "beyond what was watched" if math.isinf(claim.effect) else f"{number(claim.effect)} {claim.unit}"
