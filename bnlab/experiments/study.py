"""What every study shares: settings that check themselves, and a result that knows where it comes from."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints

import numpy as np

from bnlab.experiments.data import DATASETS
from bnlab.experiments.names import unknown
from bnlab.experiments.provenance import Provenance

Array = np.ndarray[Any, Any]
LAST_RUN = 10**9  # of `seeds_from`: a thousand times as much still fits where torch keeps a seed
IN_WORDS = {int: "a whole number", float: "a number"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The base of every study's `Config`, which adds what else can be set.

    Whole numbers have to be at least 1 and all others above 0, unless a field's metadata names another `least`;
    lists must not be empty, and `dataset` is one that `bnlab.experiments.data` knows.

    Attributes:
        seeds: each gives initial weights and an order of the data; arms that are compared share them.

    Raises:
        ValueError: a setting is none that the study can run with.
    """

    seeds: tuple[int, ...] = field(default=tuple(range(10)), metadata={"least": 0})

    def __post_init__(self) -> None:
        for one in fields(self):
            _check(one.name, getattr(self, one.name), one.metadata.get("least"))
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: expected different ones, got {list(self.seeds)}")

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """The settings that `dataclasses.asdict` and JSON turned into a record; lists become tuples again."""
        return cls(**{name: _as_tuples(value) for name, value in record.items()})

    @classmethod
    def read(cls, assignments: Iterable[str]) -> dict[str, Any]:
        """Settings written as `name=value`, a list's values with commas between, as this class takes them.

        Raises:
            ValueError: there is no such setting, or the value is of another kind.

        Example:
            >>> Settings.read(["seeds=3,4"])
            {'seeds': (3, 4)}
        """
        hints, known = get_type_hints(cls), [one.name for one in fields(cls)]
        settings: dict[str, Any] = {}
        for assignment in assignments:
            name, equals, text = assignment.partition("=")
            if not equals:
                raise ValueError(f"expected name=value with a name of {', '.join(known)}, got {assignment!r}")
            if name not in known:
                raise unknown("the name of a setting", name, known)
            settings[name] = _value(name, text, hints[name])
        return settings


def seeds_from(first: int, count: int) -> tuple[int, ...]:
    """The seeds of the run of this number: 0 to count - 1 for the first, 1000 and on for the second.

    Runs of different numbers share no seed, as long as `count` is at most 1000.

    Example:
        >>> seeds_from(2, 3)
        (2000, 2001, 2002)
    """
    if first < 0:
        raise ValueError(f"seed: expected at least 0, got {first}")
    if first > LAST_RUN:
        raise ValueError(f"seed: expected at most {LAST_RUN}, got {first}")
    if not 1 <= count <= 1000:
        raise ValueError(f"seeds: expected from 1 to 1000 of them, got {count}")
    return tuple(range(1000 * first, 1000 * first + count))


@dataclass(frozen=True, kw_only=True, eq=False)  # arrays have no truth value to compare by
class Result:
    """The base of every study's result, which adds its numbers: arrays, or dictionaries of arrays.

    Attributes:
        config: the settings that gave it.
        provenance: code, versions and date.
    """

    kind: ClassVar[type[Settings]] = Settings  # of `config`

    config: Any
    provenance: Provenance

    def save(self, path: Path) -> None:
        """Writes everything into a file, whose name ends in .json or .npz.

        Raises:
            ValueError: it ends in neither.
        """
        record = {"provenance": asdict(self.provenance), "config": asdict(self.config)}
        numbers = self.numbers()
        if _format(path) == ".json":
            whole = json.dumps(record | {"numbers": {name: _plain(a.tolist()) for name, a in numbers.items()}})
            path.write_text(_one_line_each(whole), encoding="utf-8")
        else:
            arrays: dict[str, Any] = numbers | {"record": np.array(json.dumps(record))}
            np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            ValueError: the name ends in neither .json nor .npz, or the file is not such a result.
        """
        try:
            if _format(path) == ".json":
                record = json.loads(path.read_text(encoding="utf-8"))
                numbers = {name: _array(values) for name, values in record["numbers"].items()}
            else:
                with np.load(path) as arrays:
                    record = json.loads(str(arrays["record"]))
                    numbers = {name: arrays[name] for name in arrays.files if name != "record"}
            provenance = Provenance(**record["provenance"])
            return cls(config=cls.kind.from_record(record["config"]), provenance=provenance, **_nested(numbers))
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path.name}: expected a saved {cls.__module__}.{cls.__name__}, got {error!r}") from None

    def numbers(self) -> dict[str, Array]:
        """Every array under its field's name; those of a dictionary under `field/key`."""
        flat: dict[str, Array] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, dict):
                flat |= {f"{one.name}/{key}": array for key, array in value.items()}
            elif one.name not in {"config", "provenance"}:
                flat[one.name] = value
        return flat

    def axes(self, name: str) -> tuple[str, ...]:
        """What the axes of one of `numbers` are, from the field's annotation, such as ("rates", "seeds")."""
        kind = get_type_hints(type(self))[name.partition("/")[0]]
        array = get_args(kind)[1] if get_origin(kind) is dict else kind
        return tuple(array.dim_str.split())


def _value(name: str, text: str, kind: Any) -> Any:
    if get_origin(kind) is tuple:
        return tuple(_value(name, part, get_args(kind)[0]) for part in text.split(",") if part.strip())
    try:
        return kind(text.strip())
    except ValueError:
        raise ValueError(f"{name}: expected {IN_WORDS[kind]}, got {text.strip()!r}") from None


def _check(name: str, value: Any, least: float | None) -> None:
    if isinstance(value, tuple):
        if not value:
            raise ValueError(f"{name}: expected at least 1, got none")
        for item in value:
            _check(name, item, least)
    elif isinstance(value, str):
        if name == "dataset" and value not in DATASETS:
            raise ValueError(f"{name}: expected one of {', '.join(DATASETS)}, got {value!r}")
    elif not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value}")
    elif least is not None or isinstance(value, int):
        if value < (1 if least is None else least):
            raise ValueError(f"{name}: expected at least {1 if least is None else least:g}, got {value}")
    elif value <= 0:
        raise ValueError(f"{name}: expected more than 0, got {value}")


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def _format(path: Path) -> str:
    if path.suffix not in {".json", ".npz"}:
        raise ValueError(f"expected a file that ends in .json or .npz, got {path.name}")
    return path.suffix


def _plain(value: Any) -> Any:
    """Nested lists as JSON has them: six digits, None for what is not a number, "inf" and "-inf" for infinities."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    return value


def _array(values: Any) -> Array:
    array = np.array(values)
    return array if array.dtype.kind in "bif" else np.array(values, dtype=float)


def _nested(numbers: dict[str, Array]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, array in numbers.items():
        top, _, key = name.partition("/")
        if key:
            nested.setdefault(top, {})[key] = array
        else:
            nested[top] = array
    return nested


def _one_line_each(whole: str) -> str:
    """JSON with a line for each innermost list, so that a change can be read."""
    return whole.replace("], ", "],\n").replace("}, ", "},\n") + "\n"
