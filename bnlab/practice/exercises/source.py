"""The learner's code: its text, and whether it is still the stub."""

import ast
import inspect
import linecache
import textwrap
from typing import Any

from bnlab.practice.exercises.task import Task

NO_ARGUMENTS = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])


def source_of(attempt: Any) -> str | None:
    """The text of a function or class; None where there is none to read, as where it was typed at a prompt."""
    try:
        if inspect.isclass(attempt):
            return _source_of_class(attempt)
        return textwrap.dedent(inspect.getsource(attempt))
    except (OSError, TypeError, SyntaxError):
        return None


def _source_of_class(attempt: type) -> str | None:
    """By way of one of its methods, since `inspect` finds no file for a class that a notebook defined."""
    methods = [value for value in vars(attempt).values() if inspect.isfunction(value)]
    for method in methods[:1]:
        text = "".join(linecache.getlines(method.__code__.co_filename))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and node.lineno <= method.__code__.co_firstlineno <= (
                node.end_lineno or 0
            ):
                return textwrap.dedent(ast.get_source_segment(text, node, padded=True) or "")
    return None


def is_stub(source: str, task: Task) -> bool:
    """Whether the learner's code is still the stub, whatever its names, layout and comments."""
    try:
        ours, stub = (_Bare().visit(ast.parse(text)).body for text in (source, task.stub))
    except SyntaxError:  # a lambda in the middle of an expression
        return False
    return [ast.dump(one) for one in ours] == [ast.dump(one) for one in stub]


class _Bare(ast.NodeTransformer):
    """Leaves of a definition what it does: no names and docstrings, and `...` for all that does nothing."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.args, node.returns, node.body = NO_ARGUMENTS, None, self._bare(node)
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name, node.body = "", self._bare(node)
        return self.generic_visit(node)

    def _bare(self, node: ast.FunctionDef | ast.ClassDef) -> list[ast.stmt]:
        if isinstance(node, ast.FunctionDef) and node.name != "__init__":
            node.name = ""
        body = node.body[ast.get_docstring(node) is not None :]
        idle = [ast.unparse(one) in {"...", "pass"} or "NotImplementedError" in ast.unparse(one) for one in body]
        return body if not all(idle) else [ast.Expr(ast.Constant(...))]
