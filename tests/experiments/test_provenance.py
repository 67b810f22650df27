import datetime as dt
import importlib
from importlib.metadata import version

import pytest

from bnlab.experiments.provenance import Provenance, code_alone, code_digest

CODE = '''"""Module."""
# why
import math


def area(radius):
    """Of a circle."""
    text = "# no comment"  # a comment
    return math.pi * radius**2
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Module."""\n', ""),
        ("# why", "# because"),
        ("Of a circle", "Öf ein Kreis"),
        ("\n\n\n", "\n"),
        ("a comment", ""),
    ],
)
def test_comments_docstrings_and_empty_lines_are_no_code(old, new):
    assert old in CODE
    assert code_alone(CODE.replace(old, new)) == code_alone(CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("radius**2", "radius**3"),
        ("# no comment", "# some"),
        ("# no comment", "#no comment"),
        ("math.pi", "3.14"),
    ],
)
def test_everything_else_is_code(old, new):
    assert CODE.count(old) == 1
    assert code_alone(CODE.replace(old, new)) != code_alone(CODE)


def test_what_a_block_holds_is_code():
    assert code_alone("for i in x:\n    a()\n    b()\n") != code_alone("for i in x:\n    a()\nb()\n")


def test_letters_outside_ascii_do_not_shift_what_is_cut_out():
    assert code_alone('x = "é"  # ß\ny = 2\n') == 'x = "é"\ny = 2'
    assert code_alone('class É: "ß"; x = 1\n') == "class É: ; x = 1"
    assert code_alone('def é():\n    """ß"""\n    return 1\n') == "def é():\n    return 1"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the same name as ours, whose files a test may change."""
    files = {
        "__init__": "",
        "study": "from bnlab.model import net\nimport numpy\n",
        "model": "from bnlab import layers\nnet = layers.norm\n",
        "layers": "norm = 1\n",
        "bystander": "size = 1\n",
    }
    (tmp_path / "bnlab").mkdir()
    for name, text in files.items():
        (tmp_path / "bnlab" / f"{name}.py").write_text(text)
    spec = importlib.machinery.PathFinder.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: spec(name, [str(tmp_path / "bnlab" if "." in name else tmp_path)]),
    )
    yield tmp_path / "bnlab"
    code_digest.cache_clear()


def digest():
    code_digest.cache_clear()
    return code_digest("bnlab.study")


@pytest.mark.parametrize("module", ["study", "model", "layers"])
def test_the_digest_changes_with_every_module_that_takes_part(package, module):
    before = digest()
    file = package / f"{module}.py"
    file.write_text(file.read_text() + "more = 1\n")
    assert digest() != before


def test_the_digest_does_not_change_with_a_module_that_takes_no_part(package):
    before = digest()
    (package / "bystander.py").write_text("size = 2\n")
    assert digest() == before


def test_a_name_that_is_passed_on_stands_for_the_module_that_defines_it(package):
    (package / "shop.py").write_text("from bnlab.layers import norm as passed\nfrom bnlab.bystander import size\n")
    (package / "study.py").write_text("from bnlab.shop import passed\n")
    before = digest()
    (package / "bystander.py").write_text("size = 2\n")
    assert digest() == before
    (package / "layers.py").write_text("norm = 2\n")
    assert digest() != before


def test_a_module_that_does_not_exist_has_no_digest():
    with pytest.raises(ValueError, match=r"expected a module of bnlab, got 'bnlab\.nowhere'"):
        code_digest("bnlab.nowhere")


def test_provenance_names_the_day_and_the_versions():
    provenance = Provenance.of("bnlab.reference")
    dt.date.fromisoformat(provenance.computed)
    assert provenance.versions["torch"] == version("torch")
    assert provenance.code == code_digest("bnlab.reference")
