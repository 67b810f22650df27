"""What the doctor found, as text, as HTML and as JSON."""

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from html import escape
from typing import Literal, TypeAlias

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text

Severity: TypeAlias = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
WIDTH = 80


@dataclass(frozen=True)
class Finding:
    """One thing that the doctor found.

    Attributes:
        id: of the rule, such as "BN005".
        severity: "error" (results are wrong), "warning" (they suffer) or "note" (worth knowing, may be meant so).
        module: the name in `model.named_modules()` of the layer concerned, or of the worst; "" for the model itself.
        evidence: what was seen, in numbers.
        why: why it matters.
        fix: a line of code, or a short loop where several layers need it.
        also: further layers of which the same is true.
    """

    id: str
    severity: Severity
    module: str
    evidence: str
    why: str
    fix: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Report:
    """All findings on a network, the gravest first; shows itself as text, in a notebook as HTML.

    Attributes:
        findings: what was found.
        examined: what was looked at, in one line.
        not_examined: what could not be, and why.
    """

    findings: tuple[Finding, ...]
    examined: str
    not_examined: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether there is nothing above a note."""
        return all(finding.severity == "note" for finding in self.findings)

    def to_json(self) -> str:
        """The report as a JSON object with the fields of `Report` and `Finding`."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    def __repr__(self) -> str:
        buffer = io.StringIO()
        Console(file=buffer, width=WIDTH, color_system=None).print(self)
        return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self._summary())
        for one in self.findings:
            yield Text()
            yield Text.assemble((f"{one.id} {one.severity}", STYLES[one.severity]), "  ", (_place(one), "bold"))
            yield Padding(Text(f"{one.evidence} {one.why}"), (0, 0, 0, 2))
            yield Padding(Text(f"fix: {one.fix}", style="green"), (0, 0, 0, 2))
        for line in self.not_examined:
            yield Text(f"not examined: {line}", style="dim")

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{one.id}</td><td>{one.severity}</td><td><code>{escape(_place(one))}</code></td>"
            f'<td style="text-align: left">{escape(one.evidence)} {escape(one.why)}<br>'
            f"<code>{escape(one.fix)}</code></td></tr>"
            for one in self.findings
        )
        head = "".join(f"<th>{title}</th>" for title in ("rule", "severity", "module", "what, why and the fix"))
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
        rest = "".join(f"<p>not examined: {escape(line)}</p>" for line in self.not_examined)
        return f"<p>{escape(self._summary())}</p>{table}{rest}"

    def _summary(self) -> str:
        counts = ", ".join(self._counts()) or "nothing found"
        return f"{self.examined}: {counts}"

    def _counts(self) -> Iterator[str]:
        for severity in SEVERITIES:
            count = sum(finding.severity == severity for finding in self.findings)
            if count:
                yield f"{count} {severity}{'s' if count > 1 else ''}"


def _place(finding: Finding) -> str:
    more = f" and {len(finding.also)} more" if finding.also else ""
    return (finding.module or "the model") + more
