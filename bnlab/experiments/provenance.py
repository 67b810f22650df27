"""What a number depends on beside its settings: the code that computed it, the versions it ran on, the date."""

import ast
import datetime as dt
import hashlib
import importlib.util
import io
import tokenize
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("torch", "numpy", "scipy", "mnist1d", "scikit-learn")
WITHOUT_EFFECT = {"bnlab.experiments.study", "bnlab.experiments.provenance"}  # they keep numbers, and change none


@dataclass(frozen=True)
class Provenance:
    """Where numbers come from.

    Attributes:
        computed: the day, in UTC, as YYYY-MM-DD.
        versions: of the packages that compute, by name.
        code: digest of the modules of bnlab that took part; see `code_digest`.
    """

    computed: str
    versions: dict[str, str]
    code: str

    @classmethod
    def of(cls, module: str) -> "Provenance":
        """Of numbers that this module computes, today and here."""
        today = dt.datetime.now(dt.UTC).date().isoformat()
        return cls(today, {package: version(package) for package in PACKAGES}, code_digest(module))


@cache
def code_digest(module: str) -> str:
    """Twelve digits that change with the code of a module, or of any module of bnlab that it imports.

    Comments, docstrings and empty lines do not count: they change no number.

    Example:
        >>> code_digest("bnlab.reference") == code_digest("bnlab.layers")
        False
    """
    names, ahead = set[str](), [module]
    while ahead:
        name = ahead.pop()
        if name not in names | WITHOUT_EFFECT:
            names.add(name)
            ahead.extend(_imports_of_bnlab(name))
    whole = "\n".join(f"{name}:{code_alone(_source(name))}" for name in sorted(names))
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


def code_alone(source: str) -> str:
    r"""The source without comments, docstrings and empty lines.

    It is cut out of the text, rather than printed from a syntax tree, so that every Python gives the same.

    Example:
        >>> code_alone('def f():\n    "Says."\n    return 1  # one\n')
        'def f():\n    return 1'
    """
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    spans = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            text = node.body[0]
            spans.append((_offset(starts, lines, text.lineno, text.col_offset), _end(starts, lines, text)))
    spans += [
        (starts[token.start[0] - 1] + token.start[1], starts[token.end[0] - 1] + token.end[1])
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    ]
    for start, end in sorted(spans, reverse=True):
        source = source[:start] + source[end:]
    return "\n".join(line.rstrip() for line in source.splitlines() if line.strip())


def _offset(starts: list[int], lines: list[str], line: int, column: int) -> int:
    """Where a position of the syntax tree, whose columns count bytes, stands in the text."""
    return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())


def _end(starts: list[int], lines: list[str], node: ast.stmt) -> int:
    return _offset(starts, lines, node.end_lineno or node.lineno, node.end_col_offset or 0)


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ValueError(f"expected a module of bnlab, got {module!r}")
    return Path(spec.origin).read_text(encoding="utf-8")


def _imports_of_bnlab(module: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(_source(module))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("bnlab.")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bnlab"):
            found |= {_module_of(f"{node.module}.{alias.name}", str(node.module)) for alias in node.names}
    return found - {"bnlab"}


def _module_of(dotted: str, package: str) -> str:
    """The name itself where it is a module, else the module that defines it, also where the package only passes it on.

    So a number depends on the layer that a study imports from `bnlab.layers`, and not on all layers there.
    """
    try:
        if importlib.util.find_spec(dotted):
            return dotted
    except ModuleNotFoundError:
        pass  # the package is a module, which has no modules in it
    name = dotted.removeprefix(f"{package}.")
    for node in ast.parse(_source(package)).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bnlab"):
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return _module_of(f"{node.module}.{alias.name}", str(node.module))
    return package
