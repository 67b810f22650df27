"""What a benchmark of batch norm shows: tables for the terminal, Markdown for the README, JSON to keep."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnlab.bench import contenders as who
from bnlab.bench.goals import down, goal_of, missed, up
from bnlab.bench.kernels import RATIOS, Measured
from bnlab.bench.machine import Machine
from bnlab.bench.rounds import Spread
from bnlab.bench.shapes import Shape

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

SCHEMA = 1
MEASURED = Path(__file__).parent / "measured.json"  # what the README shows
MILLISECONDS = {  # contender: heading
    who.COPY: "copy",
    who.OURS: "ours",
    who.TORCH: "torch",
    who.OURS_NEW: "ours\nnew",
    who.TORCH_NEW: "torch\nnew",
    who.COMPILED: "compile\nnew",
    who.NUMPY: "NumPy\nnew",
    who.BOTH: "both\nours",
    who.BOTH_NEW: "both\nours\nnew",
    who.TORCH_BOTH: "both\ntorch\nnew",
}
COMPARED = {  # ratio: heading
    "forward_of_copy": "forward\nof copy",
    "forward_to_torch": "x torch",
    "forward_to_torch_new": "x torch\nnew",
    "forward_to_compiled_new": "x torch\ncompile\nnew",
    "forward_to_numpy_new": "x NumPy\nnew",
    "relu_to_none": "with\nReLU",
    "both_of_copy": "both\nof copy",
    "both_to_torch_new": "x torch\nnew",
}
MARKDOWN = (
    "input",
    "MB",
    "forward, of copy",
    "x torch",
    "x torch.compile",
    "x NumPy",
    "with ReLU",
    "both, of copy",
    "both, x torch",
)
LEGEND = (
    "Under each median the quartiles. Of copy: the share of a same-size copy's bandwidth, at the least accesses an "
    "element: 2 forward, 5 forward and backward. x torch and so on: how many times as fast as it. With ReLU: the time "
    "of both as one, in times of the norm alone. Both: forward and backward. New: the call asks for the memory of its "
    "output; the others write into given memory."
)


@dataclass(frozen=True)
class Report:
    """A benchmark.

    Attributes:
        machine: where and how it ran.
        measured: by shape.
        growing: what grew, and what was measured then.
    """

    machine: Machine
    measured: tuple[Measured, ...]
    growing: tuple[tuple[str, Measured], ...] = ()

    def to_json(self) -> str:
        """All rounds, the milliseconds and ratios that follow from them, and the machine."""
        kept = {
            "schema": SCHEMA,
            "machine": asdict(self.machine),
            "measured": [_kept(one) for one in self.measured],
            "growing": [{"what": what} | _kept(one) for what, one in self.growing],
        }
        return json.dumps(kept, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """What `to_json` wrote.

        Raises:
            ValueError: it is of another schema.
        """
        kept = json.loads(text)
        if kept.get("schema") != SCHEMA:
            raise ValueError(f"expected a benchmark of schema {SCHEMA}, got {kept.get('schema')}")
        growing = tuple((one["what"], _measured(one)) for one in kept["growing"])
        return cls(Machine(**kept["machine"]), tuple(map(_measured, kept["measured"])), growing)

    def __rich__(self) -> "Group":
        from rich.console import Group  # noqa: PLC0415 - only where something is drawn

        threads = sorted({one.threads for one in (*self.measured, *(one for _, one in self.growing))})
        shown: list[Any] = [f"{self.machine}; threads: {', '.join(map(str, threads))}", ""]
        if self.measured:
            shown += [_table("batch norm, compared", COMPARED, self.measured, _ratio_lines), LEGEND, ""]
            shown += [_table("milliseconds, medians", MILLISECONDS, self.measured, _milliseconds), *self._skipped(), ""]
            shown += [f"{one.shape}: {'; '.join(missed(one)) or 'all goals met'}" for one in self._with_goals()]
        if self.growing:
            shown += ["", growth_table(self.growing)]
        return Group(*shown)

    def _repr_markdown_(self) -> str:
        rows = [MARKDOWN, ("---",) * len(MARKDOWN), *map(_markdown_row, self.measured)]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        threads = sorted({one.threads for one in self.measured})
        lines = [f"{self.machine}; threads: {', '.join(map(str, threads))}.", "", table, ""]
        met = [f"`{one.shape}`" for one in self._with_goals() if not missed(one)]
        lines.append(f"All goals met: {', '.join(met) or 'by no shape'}. Missed:")
        lines.append("")
        lines += [f"- `{one.shape}`: {'; '.join(missed(one))}." for one in self._with_goals() if missed(one)]
        return "\n".join(lines)

    def _with_goals(self) -> Iterator[Measured]:
        return (one for one in self.measured if goal_of(one) is not None)

    def _skipped(self) -> list[str]:
        found = dict.fromkeys(f"{name}: skipped, {why}" for one in self.measured for name, why in one.skipped.items())
        return list(found)


def growth_table(growing: tuple[tuple[str, Measured], ...]) -> "Table":
    """Nanoseconds an element, as shapes and threads grow."""
    table = _empty("how cost grows: nanoseconds an element, medians")
    shown = {who.COPY: "copy", who.OURS: "ours", who.TORCH: "torch", who.BOTH: "both\nours"}
    shown[who.TORCH_BOTH] = "both\ntorch\nnew"
    for heading in ("grows", "shape", "threads", *shown.values(), "forward\nof copy"):
        table.add_column(heading, justify="left" if heading in {"grows", "shape"} else "right")
    for what, one in growing:
        costs = (one.of(name) for name in shown)
        cells = [f"{1e9 * cost.median / one.shape.elements:.3f}" if cost else "-" for cost in costs]
        share = one.ratio("forward_of_copy")
        table.add_row(what, str(one.shape), str(one.threads), *cells, down(share.median) if share else "-")
    return table


def _table(
    title: str, columns: dict[str, str], measured: tuple[Measured, ...], cell: Callable[[Measured, str], str]
) -> "Table":
    table = _empty(title)
    table.add_column("shape", no_wrap=True)
    for heading in columns.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for one in measured:
        table.add_row(str(one.shape).replace(":", "\n"), *(cell(one, name) for name in columns))
    return table


def _empty(title: str) -> "Table":
    from rich.table import Table  # noqa: PLC0415 - only where something is drawn

    return Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))


def _ratio_lines(one: Measured, name: str) -> str:
    found = one.ratio(name)
    return "-" if found is None else f"{_rounded(name)(found.median)}\n{_quartiles(found)}"


def _milliseconds(one: Measured, name: str) -> str:
    found = one.of(name)
    return "-" if found is None else f"{1e3 * found.median:{'.3g' if found.median < 0.0995 else '.0f'}}"


def _rounded(name: str) -> Callable[[float], str]:
    return up if name == "relu_to_none" else down


def _quartiles(found: Spread) -> str:
    """Both in seven letters."""
    return "-".join(
        f"{number:.2f}".lstrip("0") if number < 0.995 else f"{number:.1f}" if number < 9.95 else f"{number:.0f}"
        for number in (found.low, found.high)
    )


def _markdown_row(one: Measured) -> tuple[str, ...]:
    goal = goal_of(one)

    def cell(name: str, least: float | None = None) -> str:
        found = one.ratio(name)
        if found is None:
            return "-"
        asked = "" if least is None else f", goal {least:.2f}"
        return f"{_rounded(name)(found.median)} [{down(found.low)}, {up(found.high)}]{asked}"

    return (
        f"`{one.shape}`",
        f"{one.megabytes:.1f}",
        cell("forward_of_copy", goal and goal.forward),
        *(cell(f"forward_to_{name}") for name in ("torch", "compiled_new", "numpy_new")),
        cell("relu_to_none"),
        cell("both_of_copy", goal and goal.both),
        cell("both_to_torch_new"),
    )


def _kept(one: Measured) -> dict[str, Any]:
    ratios = {name: one.ratio(name) for name in RATIOS}
    return {
        "shape": str(one.shape),
        "megabytes": one.megabytes,
        "threads": one.threads,
        "skipped": one.skipped,
        "ratios": {name: spread._asdict() for name, spread in ratios.items() if spread is not None},
        "seconds": {name: [float(f"{second:.4g}") for second in taken] for name, taken in one.seconds.items()},
    }


def _measured(kept: dict[str, Any]) -> Measured:
    return Measured(Shape.read(kept["shape"]), kept["threads"], kept["seconds"], kept["skipped"])
