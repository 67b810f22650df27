"""What an exercise is: its specification, its solution, and the wrong implementations that people really write."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

Level = Literal["easy", "medium", "hard", "stretch"]


@dataclass(frozen=True, eq=False)  # arrays have no truth value to compare by
class Case:
    """One input on which attempts are compared with the solution.

    Attributes:
        name: what is special about it, for the learner to read.
        arguments: what the function is called with, or what a module's trial takes.
        cancels: whether E[x^2] - E[x]^2 loses the variance here, so that the digits of a wrong answer are chance.
    """

    name: str
    arguments: tuple[Any, ...]
    cancels: bool = False


@dataclass(frozen=True)
class Mistake:
    """A wrong implementation: the solution with some of its text replaced.

    Attributes:
        misconception: the id under which it is named.
        edits: pairs of the text as it is in the solution and as it is in the mistake.
    """

    misconception: str
    edits: tuple[tuple[str, str], ...]


def mistake(misconception: str, *edits: str) -> Mistake:
    """The mistake whose edits are given as old, new, old, new."""
    return Mistake(misconception, tuple(zip(edits[::2], edits[1::2], strict=True)))


@dataclass(frozen=True, eq=False)
class Task:
    """An exercise.

    Attributes:
        id: the name by which `check` knows it.
        chapter: the chapter in which it stands, such as "03".
        level: how hard it is.
        solution: a function or class; its signature and docstring are the specification, mistakes edit its text.
        returns: a name for each result, in order.
        cases: the inputs, the smallest first.
        mistakes: the wrong implementations that are recognised.
        hints: from a nudge to nearly the answer.
        after: what is worth knowing once it is solved.
        bug: for a task of the kind "find the bug", the mistake that its stub makes.
        stub_of_class: the stub where `solution` is a class.
        trial: runs an attempt that is not a plain function: from the attempt and a case to its named results.
    """

    id: str
    chapter: str
    level: Level
    solution: Callable[..., Any]
    returns: tuple[str, ...]
    cases: tuple[Case, ...]
    mistakes: tuple[Mistake, ...]
    hints: tuple[str, ...]
    after: str
    bug: Mistake | None = None
    stub_of_class: str = ""
    trial: Callable[[Callable[..., Any], Case], dict[str, Any]] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What the learner's function or class is called, so that it never hides one that a chapter imports."""
        return f"My{self.id.title()}".replace("_", "") if inspect.isclass(self.solution) else f"my_{self.id}"

    @cached_property
    def source(self) -> str:
        """The solution's text."""
        return textwrap.dedent(inspect.getsource(self.solution))

    @cached_property
    def stub(self) -> str:
        """What the learner starts from."""
        if self.bug is not None:
            start = edited(self.source, self.bug)
        elif self.stub_of_class:
            start = self.stub_of_class
        else:
            docstring = ast.parse(self.source).body[0].body[0]  # type: ignore[attr-defined]
            start = "\n".join([*self.source.splitlines()[: docstring.end_lineno], "    ..."])
        return start.replace(f" {self.solution.__name__}", f" {self.name}", 1).rstrip()

    def wrong(self, *mistakes: Mistake) -> Callable[..., Any]:
        """The solution with these mistakes in it.

        Raises:
            ValueError: a text to be replaced is not there, as when two mistakes are in one place.
        """
        source = self.source
        for one in mistakes:
            source = edited(source, one)
        scope = dict(vars(inspect.getmodule(self.solution)))
        exec(compile(source, f"<{self.id}>", "exec"), scope)
        made: Callable[..., Any] = scope[self.solution.__name__]
        return made


def edited(source: str, mistake: Mistake) -> str:
    """The source with the mistake's text in place of the right one.

    Raises:
        ValueError: a text to be replaced is not there.
    """
    for old, new in mistake.edits:
        if old not in source:
            raise ValueError(f"{mistake.misconception}: the solution has no {old!r}")
        source = source.replace(old, new)
    return source
