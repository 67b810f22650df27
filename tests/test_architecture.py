"""Which room of the package may import which, how large its modules may grow, and who may know Jupyter and pyplot."""

import ast
import subprocess
import sys
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

STANDS_ON = {  # a room may import what it stands on, and whatever that stands on
    "reference": [],
    "runtime": [],
    "kernels": ["reference"],
    "layers": ["kernels"],
    "deploy": ["layers"],
    "doctor": ["deploy"],
    "experiments": ["layers", "deploy", "runtime"],
    "figures": ["experiments"],
    "practice": ["reference", "layers", "deploy", "doctor", "experiments", "figures"],
    "bench": ["practice", "doctor"],
    "cli": ["practice", "doctor", "bench"],
    "__main__": ["cli"],
    "notebook": ["practice", "doctor"],
}
OUTSIDE_THE_PACKAGE = {"notebooks", "my", "tests", "tools"}
LONGEST_MODULE = 300  # lines
LONGEST_FUNCTION = 40  # lines from the first statement after the docstring to the last


def below(room):
    return set().union(*({floor} | below(floor) for floor in STANDS_ON[room]))


def imported(name, tree, *, is_package):
    """Every module that the module `name` imports, anywhere in it, with an absolute dotted name.

    `from a import b` counts as `a.b`, since b may be a module; so does an attribute `bnlab.b` after `import bnlab`.
    """
    package = name if is_package else name.rpartition(".")[0]
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                origin = resolve_name("." * node.level + (node.module or ""), package)
                yield from (f"{origin}.{alias.name}" for alias in node.names)
            case ast.Attribute(value=ast.Name(id="bnlab")):
                yield f"bnlab.{node.attr}"
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str() as dotted), *_],
            ):
                yield resolve_name(dotted, package)


def import_complaints(name, source, *, is_package=False):
    room = name.partition("bnlab")[2].lstrip(".").partition(".")[0]
    if room and room not in STANDS_ON:
        return [f"{name}: bnlab.{room} has no row in the table of imports"]
    allowed = below(room) | {room} if room else set()
    complaints = []
    for dotted in imported(name, ast.parse(source), is_package=is_package):
        top, *rest = dotted.split(".")
        target = rest[0] if rest and not rest[0].startswith("__") else None
        if top == "bnlab" and target and target not in allowed:
            complaints.append(f"{name}: may not import bnlab.{target}")
        if top in OUTSIDE_THE_PACKAGE:
            complaints.append(f"{name}: the package may not import {top}/")
        if top == "IPython" and name != "bnlab.notebook":
            complaints.append(f"{name}: only bnlab.notebook may import IPython")
        if dotted.startswith(("matplotlib.pyplot", "matplotlib.pylab", "pylab")):
            complaints.append(f"{name}: a figure is built without pyplot")
    return complaints


def body_lines(function):
    statements = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return function.body[-1].end_lineno - statements[0].lineno + 1 if statements else 0


def size_complaints(name, source):
    lines = len(source.splitlines())
    too_long = [f"{name}: {lines} lines, more than {LONGEST_MODULE}"] if lines > LONGEST_MODULE else []
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return too_long + [
        f"{name}.{function.name}: {body_lines(function)} lines, more than {LONGEST_FUNCTION}"
        for function in functions
        if body_lines(function) > LONGEST_FUNCTION
    ]


def name_complaints(name):
    vague = {"util", "utils", "helper", "helpers", "misc", "common"} & set(name.split("."))
    return [f"{name}: a module is named after its concept, not {word!r}" for word in sorted(vague)]


def modules(*folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            is_package = path.name == "__init__.py"
            dotted = path.parent if is_package else path.with_suffix("")
            yield ".".join(dotted.relative_to(ROOT).parts), path.read_text(encoding="utf-8"), is_package


def test_imports_point_one_way():
    package = list(modules("bnlab"))
    assert len(package) > 1, "the package was not found"
    assert [
        line for name, text, is_package in package for line in import_complaints(name, text, is_package=is_package)
    ] == []


def test_modules_and_functions_stay_small():
    assert [line for name, text, _ in modules("bnlab", "tools") for line in size_complaints(name, text)] == []


def test_no_module_is_a_drawer_for_everything():
    assert [line for name, _, _ in modules("bnlab", "tools") for line in name_complaints(name)] == []


def test_importing_the_layers_loads_neither_jupyter_nor_compilers_nor_figures():
    heavy = ("IPython", "ipykernel", "numba", "triton", "matplotlib", "sklearn")
    code = f"import sys, bnlab.layers; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("bnlab.reference.batch_norm", "import bnlab.kernels"),
        ("bnlab.reference.batch_norm", "import numpy, bnlab.layers.functional as f"),
        ("bnlab.reference.batch_norm", "from bnlab import layers"),
        ("bnlab.reference.batch_norm", "from bnlab.layers import BatchNorm1d"),
        ("bnlab.reference.batch_norm", "from ..layers import BatchNorm1d"),
        ("bnlab.reference.batch_norm", "from .. import layers"),
        ("bnlab.reference.batch_norm", "def f():\n    from bnlab import runtime"),
        ("bnlab.reference.batch_norm", "import bnlab\nbnlab.figures.style.apply()"),
        ("bnlab.reference.batch_norm", "from importlib import import_module\nimport_module('bnlab.layers')"),
        ("bnlab.reference.batch_norm", "import importlib\nimportlib.import_module('..layers', 'bnlab.reference')"),
        ("bnlab.layers.batch_norm", "from bnlab import runtime"),
        ("bnlab.layers.batch_norm", "if TYPE_CHECKING:\n    from bnlab.experiments import data"),
        ("bnlab.experiments.data", "from bnlab import figures"),
        ("bnlab.experiments.data", "from bnlab import doctor"),
        ("bnlab.runtime", "from bnlab import layers"),
        ("bnlab.runtime", "from . import layers"),
        ("bnlab.figures.style", "from bnlab.notebook import setup"),
        ("bnlab.cli", "from bnlab.notebook import setup"),
        ("bnlab.bench", "import bnlab.cli"),
        ("bnlab", "from bnlab import reference"),
        ("bnlab.shed", "import numpy"),
        ("bnlab.notebook", "import notebooks"),
        ("bnlab.notebook", "from tests.tolerances import RTOL"),
        ("bnlab.notebook", "from tools import digest"),
        ("bnlab.figures.style", "from IPython.display import display"),
        ("bnlab.figures.style", "def f():\n    import IPython"),
        ("bnlab.figures.style", "import matplotlib.pyplot as plt"),
        ("bnlab.figures.style", "from matplotlib import pyplot"),
        ("bnlab.notebook", "from matplotlib.pyplot import figure"),
    ],
)
def test_a_forbidden_import_is_found(name, source):
    assert len(import_complaints(name, source)) == 1


def test_a_relative_import_is_resolved_from_the_package_that_holds_it():
    assert import_complaints("bnlab.reference", "from .layers import x", is_package=True) == []
    assert len(import_complaints("bnlab.reference", "from .layers import x")) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (
            "bnlab.reference.batch_norm",
            "import numpy as np\nfrom bnlab.reference import variance\nfrom . import variance",
        ),
        ("bnlab.layers.batch_norm", "from bnlab.reference import batch_norm_forward"),
        ("bnlab.figures.epsilon", "from bnlab.reference import batch_norm_forward\nfrom bnlab import layers, runtime"),
        ("bnlab.experiments.data", "from bnlab import __version__\nimport bnlab\nbnlab.__version__"),
        ("bnlab.notebook", "from IPython.display import display\nfrom matplotlib.figure import Figure"),
        ("bnlab.cli", "from bnlab import bench, practice"),
    ],
)
def test_an_import_from_below_is_allowed(name, source):
    assert import_complaints(name, source) == []


def test_a_long_module_is_found():
    assert len(size_complaints("bnlab.long", "x = 1\n" * 301)) == 1
    assert size_complaints("bnlab.long", "x = 1\n" * 300) == []


@pytest.mark.parametrize("head", ["def f():\n", "async def f():\n", "class C:\n  def f(self):\n"])
def test_a_long_function_is_found(head):
    docstring = '    """One.\n\n    Two.\n    """\n'
    assert len(size_complaints("bnlab.long", head + docstring + "    x = 1\n" * 41)) == 1
    assert size_complaints("bnlab.long", head + docstring + "    x = 1\n" * 40) == []
    assert size_complaints("bnlab.long", head + docstring) == []


@pytest.mark.parametrize("name", ["bnlab.utils", "bnlab.layers.utils", "bnlab.utils.text"])
def test_a_vague_name_is_found(name):
    assert len(name_complaints(name)) == 1
    assert name_complaints("bnlab.layers.utilities_of_water") == []
