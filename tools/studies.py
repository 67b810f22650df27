"""Computes studies anew and stores them, with the ledger and the README's table that rest on them."""

import argparse
import sys
import time
from pathlib import Path

from bnlab import runtime
from bnlab.experiments.claims import from_stored, to_json
from bnlab.experiments.claims.ledger import FILE, from_json
from bnlab.experiments.studies import RESULTS, STUDIES, study_of
from tools.readme import with_block

README = Path(__file__).resolve().parent.parent / "README.md"


def main(arguments: list[str] | None = None) -> int:
    """Computes the studies that are named, or those whose stored result is not current, or with --all every one."""
    parser = argparse.ArgumentParser(prog="python -m tools.studies", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which studies; those that are not current if none")
    parser.add_argument("--all", action="store_true", help="every study")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in STUDIES]:
        parser.error(f"expected names of studies ({', '.join(STUDIES)}), got {', '.join(unknown)}")
    runtime.set_threads()
    names = list(STUDIES) if options.all else options.names or [name for name in STUDIES if not is_current(name)]
    for name in names:
        study, begin = study_of(name), time.perf_counter()
        study.run(study.config()).save(RESULTS / f"{name}.json")
        print(f"{name}: {time.perf_counter() - begin:.0f} s", flush=True)
    text = to_json(from_stored())
    FILE.write_text(text, encoding="utf-8")
    table = from_json(text)._repr_markdown_()  # of the numbers as they are stored, which were rounded once
    README.write_text(with_table(README.read_text(encoding="utf-8"), table), encoding="utf-8")
    return 0


def is_current(name: str) -> bool:
    """Whether a study is stored, with the settings and the code that it has now."""
    try:
        return study_of(name).is_current()
    except (FileNotFoundError, ValueError):
        return False


def with_table(readme: str, table: str) -> str:
    """The README with this table in place of the one it has.

    Raises:
        ValueError: it has no place for one.
    """
    return with_block(readme, table, name="ledger")


if __name__ == "__main__":
    sys.exit(main())
