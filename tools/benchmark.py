"""Runs the benchmark of batch norm, keeps it in the package and writes the README's table."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from bnlab.bench import run
from bnlab.bench.report import MEASURED, Report
from tools.readme import with_block

README = Path(__file__).resolve().parent.parent / "README.md"


def main(arguments: list[str] | None = None) -> int:
    """Measures every shape that has a goal, or takes a file that `bnlab bench kernels --json` has written."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmark", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="a benchmark that has run already")
    file = parser.parse_args(arguments).file
    report = run.comparing() if file is None else Report.from_json(file.read_text(encoding="utf-8"))
    MEASURED.write_text(report.to_json(), encoding="utf-8")
    report = Report.from_json(MEASURED.read_text(encoding="utf-8"))  # which keeps fewer digits: what is shown is kept
    readme = README.read_text(encoding="utf-8")
    README.write_text(with_block(readme, report._repr_markdown_(), name="benchmark"), encoding="utf-8")
    Console(markup=False, highlight=False).print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
