"""Studies that take longer than a reader should wait: their numbers in a file, with all that they depend on."""

import datetime as dt
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PACKAGES = ("torch", "numpy", "mnist1d", "scikit-learn")


def write(path: Path, config: "DataclassInstance", numbers: dict[str, Any]) -> None:
    """Stores a study's numbers (nested lists), with its settings, the versions it ran on and the date."""
    record = {
        "computed": dt.datetime.now(dt.UTC).date().isoformat(),
        "versions": {package: version(package) for package in PACKAGES},
        "config": asdict(config),
        "numbers": numbers,
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read(path: Path, config: "DataclassInstance") -> dict[str, Any]:
    """The stored numbers.

    Raises:
        ValueError: they were computed with other settings than these.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    expected = json.loads(json.dumps(asdict(config)))  # tuples become lists
    if record["config"] != expected:
        raise ValueError(f"expected numbers computed with {expected}, got {record['config']} in {path.name}")
    numbers: dict[str, Any] = record["numbers"]
    return numbers
