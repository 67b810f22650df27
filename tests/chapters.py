"""A chapter as its rules see it: the stored notebook, its pair, and what can be asked of its code and prose."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat

TAUGHT_ROOMS = ("bnlab.reference", "bnlab.kernels", "bnlab.layers", "bnlab.deploy")
LINK = re.compile(r"\]\(\s*<?([^)>\s]+)|^\s*\[[^\]]+\]:\s*(\S+)|\b(?:href|src)=[\"']([^\"']+)", re.MULTILINE)


@dataclass(frozen=True)
class Chapter:
    """A stored notebook, its pair (None where notebooks/py/ has none), their folder, and the names of all chapters."""

    name: str
    notebook: Any
    pair: Any
    folder: Path
    size: int  # bytes
    siblings: tuple[str, ...]

    @property
    def prose(self):
        """The sources of the Markdown cells."""
        return [cell.source for cell in self.notebook.cells if cell.cell_type == "markdown"]

    @property
    def code(self):
        """The code cells."""
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    @property
    def beside_exercises(self):
        """The cells outside the section of the exercises."""
        kept, exercising = [], False
        for cell in self.notebook.cells:
            if cell.cell_type == "markdown" and cell.source.startswith("## "):
                exercising = cell.source.startswith("## Exercises")
            if not exercising:
                kept.append(cell)
        return kept

    @property
    def trees(self):
        """The syntax trees of the code cells that are plain Python."""
        return [tree for cell in self.code if (tree := parse(cell.source)) is not None]

    @property
    def outputs(self):
        """The outputs of all code cells."""
        return [output for cell in self.code for output in cell.outputs]

    @property
    def everything_shown(self):
        """All that a reader sees as text: sources and outputs."""
        return [cell.source for cell in self.notebook.cells] + [
            text for output in self.outputs for text in texts(output)
        ]


def read_chapters(folder):
    """Every notebook of the folder, with its pair."""
    paths = sorted(folder.glob("*.ipynb"))
    pairs = {path: folder / "py" / f"{path.stem}.py" for path in paths}
    return [
        Chapter(
            name=path.stem,
            notebook=nbformat.read(path, as_version=4),
            pair=jupytext.read(pair) if pair.exists() else None,
            folder=folder,
            size=path.stat().st_size,
            siblings=tuple(other.stem for other in paths),
        )
        for path, pair in pairs.items()
    ]


def texts(output):
    """What an output shows as text, whatever its kind; pictures left out."""
    shown = [output.get("text", ""), *(text for kind, text in output.get("data", {}).items() if kind[:5] != "image")]
    return [text if isinstance(text, str) else str(text) for text in shown]


# --- prose


def words(markdown):
    """The words a reader reads: no fenced code, formulas, HTML tags or link targets."""
    for hidden in (r"```.*?```", r"\$\$.*?\$\$", r"\$[^$\n]+\$", r"<[^<>]+>", r"\]\([^)]*\)"):
        markdown = re.sub(hidden, " ", markdown, flags=re.DOTALL)
    return re.findall(r"[^\W\d_][\w'-]*", markdown)


def links(markdown):
    """The targets of links and pictures, in Markdown and in HTML."""
    return ["".join(groups) for groups in LINK.findall(without_fences(markdown))]


def is_outward(target):
    """Whether a link's target has a scheme, such as https."""
    return re.match(r"[a-z]+:", target) is not None


def is_broken(file, anchor):
    """Whether the file, or the heading in it, is missing. A notebook's headings are those of its Markdown cells."""
    if not file.exists() or not anchor:
        return not file.exists()
    if file.suffix == ".ipynb":
        cells = nbformat.read(file, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    else:
        text = file.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)", without_fences(text), re.MULTILINE)
    return anchor_of(anchor) not in {anchor_of(heading) for heading in headings}


def anchor_of(heading):
    """A heading as a link names it: GitHub and JupyterLab differ in case and punctuation, so both are left out."""
    return re.sub(r"[^\w-]", "", heading.strip().lower().replace(" ", "-"))


def without_fences(markdown):
    return re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)


# --- code


def parse(source):
    """The cell's syntax tree; None where it is not plain Python."""
    try:
        return ast.parse(source)
    except SyntaxError:
        return None


def names_in(node):
    """Every name that code mentions: variables, attributes, and each part of what it imports."""
    for part in ast.walk(node):
        match part:
            case ast.Name():
                yield part.id
            case ast.Attribute():
                yield part.attr
            case ast.alias():
                yield from part.name.split(".")
            case ast.ImportFrom(module=str() as module):
                yield from module.split(".")


def variables(node):
    """The variables that code mentions."""
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def evidence_in(trees):
    """The expressions that asserts and takeaways rest on."""
    for part in (part for tree in trees for part in ast.walk(tree)):
        match part:
            case ast.Assert():
                yield part.test
            case ast.Call(func=ast.Name(id="takeaway")):
                yield from part.args[1:]
                yield from (keyword.value for keyword in part.keywords if keyword.arg == "holds")


def definitions(trees):
    """The functions and classes that stand on their own, not inside another."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    defined = [node for tree in trees for node in ast.walk(tree) if isinstance(node, kinds)]
    inner = {id(part) for node in defined for part in ast.walk(node) if part is not node}
    return [node.name for node in defined if id(node) not in inner]


def handed_to_check(trees):
    """The variables that `check` is given: the exercise compares them."""
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {
        name
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "check"
        for argument in call.args
        for name in variables(argument)
    }


def taught_by_the_package(trees):
    """The variables that importing a room which teaches something brings in."""
    found = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        match node:
            case ast.Import(names=names):
                found |= {a.asname or a.name.split(".")[0] for a in names if a.name.startswith(TAUGHT_ROOMS)}
            case ast.ImportFrom(module=module, names=names):
                found |= {a.asname or a.name for a in names if f"{module}.{a.name}".startswith(TAUGHT_ROOMS)}
    return found


def derived(start, trees):
    """The variables of `start` and all that are computed from them, however many steps later."""
    flows = [flow for tree in trees for node in ast.walk(tree) if (flow := flow_of(node))]
    found = set(start)
    while new := {target for sources, targets in flows if sources & found for target in targets} - found:
        found |= new
    return found


def flow_of(node):
    """From which variables into which: an assignment, a loop, or a method that takes arguments in."""
    match node:
        case ast.Assign():
            return variables(node.value), {name for target in node.targets for name in variables(target)}
        case ast.AugAssign() | ast.NamedExpr() | ast.AnnAssign(value=ast.expr()):
            return variables(node.value), variables(node.target)
        case ast.For():
            return variables(node.iter), variables(node.target)
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner), args=arguments)):
            return {name for argument in arguments for name in variables(argument)}, variables(owner)
    return None
