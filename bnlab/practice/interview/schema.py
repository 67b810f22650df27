"""YAML files, and the plain data in them read into dataclasses: their annotations are the schema."""

from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import yaml

IN_WORDS = {str: "text", int: "a whole number"}


def read(kind: Any, value: Any, where: str) -> Any:
    """The value as an instance of an annotation.

    Args:
        kind: `str`, `int`, a `Literal` of strings, `tuple[kind, ...]`, a dataclass of such, or one of these `| None`.
        value: from YAML: text, a whole number, a list or a mapping; None only by leaving a mapping's key out.
        where: what an error's message begins with.

    Returns:
        An instance of `kind`; a list becomes a tuple, a mapping a dataclass.

    Raises:
        ValueError: the value is of another kind, text is empty, a whole number is below 1, or a mapping has a key too
            few or too many.

    Example:
        >>> read(tuple[int, ...], [1, 2], where="sizes")
        (1, 2)
        >>> read(tuple[int, ...], [1, "two"], where="sizes")
        Traceback (most recent call last):
        ValueError: sizes[1]: expected a whole number, got 'two'
    """
    if get_origin(kind) is Literal:
        return _one_of(get_args(kind), value, where)
    if get_origin(kind) is UnionType:
        return read(get_args(kind)[0], value, where)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where}: expected a list, got {value!r}")
        return tuple(read(get_args(kind)[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if is_dataclass(kind):
        return _record(kind, value, where)
    if type(value) is not kind:
        raise ValueError(f"{where}: expected {IN_WORDS[kind]}, got {value!r}")
    if kind is str and not value.strip():
        raise ValueError(f"{where}: expected text, got an empty string")
    if kind is int and value < 1:
        raise ValueError(f"{where}: expected at least 1, got {value}")
    return value


def _one_of(choices: tuple[str, ...], value: Any, where: str) -> str:
    if value not in choices:
        raise ValueError(f"{where}: expected one of {', '.join(choices)}, got {value!r}")
    return str(value)


def _record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected a mapping, got {value!r}")  # noqa: TRY004 - ValueError is for every bad entry
    known = {field.name: field for field in fields(kind)}
    required = {name for name, field in known.items() if field.default is MISSING}
    for problem, keys in (("without", required - value.keys()), ("with the unknown", value.keys() - known.keys())):
        if keys:
            raise ValueError(
                f"{where}: expected the keys {', '.join(known)}, got one {problem} {', '.join(sorted(keys))}"
            )
    return kind(**{name: read(known[name].type, item, f"{where}: {name}") for name, item in value.items()})


class _EachKeyOnce(yaml.CSafeLoader):  # ten times as fast as SafeLoader, which would take seconds for the bank
    """Refuses a key that stands twice in one mapping, where YAML would keep the last and lose the others."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.MarkedYAMLError(problem=f"{key} twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def yaml_of(file: Path) -> Any:
    """What a YAML file holds.

    Raises:
        ValueError: it is no YAML, or a mapping has a key twice.
    """
    try:
        return yaml.load(file.read_text(encoding="utf-8"), _EachKeyOnce)
    except yaml.YAMLError as error:
        raise ValueError(f"{file.name}: expected YAML, got {' '.join(str(error).split())}") from None
