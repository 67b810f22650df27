"""The aids beside the notebooks: their mathematics renders, their names and numbers are those of the code."""

import inspect
import re
from pathlib import Path

import pytest
from torch import nn

from bnlab import reference
from bnlab.experiments.claims import ledger
from bnlab.experiments.optimisers import SGD
from bnlab.experiments.training import train
from bnlab.layers.ghost import GhostBatchNorm1d
from bnlab.layers.recurrent import SequenceBatchNorm1d
from bnlab.reference import Cache, family

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
AIDS = sorted((NOTEBOOKS / "aids").glob("*.md"))

# What Markdown does to a formula on GitHub: `}_` may open emphasis, a backslash before punctuation is dropped, and a
# bar ends a table's cell.
UNSAFE = re.compile(r"\}_|\\[,;:!{}#_|]|\|")


def formulas(text):
    return re.findall(r"\$\$(.+?)\$\$|\$([^$]+)\$", text, flags=re.DOTALL)


def math_complaints(text):
    text = re.sub(r"`[^`\n]*`", "", text)
    complaints = ["a dollar sign without its partner"] if text.count("$") % 2 else []
    for block, inline in formulas(text):
        formula = block or inline
        if UNSAFE.search(formula):
            complaints.append(f"Markdown may change {formula!r}")
        if inline and inline != inline.strip():
            complaints.append(f"GitHub wants no space inside the dollar signs of {formula!r}")
        if formula.count("{") != formula.count("}"):
            complaints.append(f"the braces of {formula!r} do not match")
    return complaints


@pytest.mark.parametrize("aid", AIDS, ids=lambda aid: aid.stem)
def test_mathematics_renders_on_github_and_in_jupyterlab(aid):
    assert math_complaints(aid.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text", [r"$\hat{x}_i$", r"$a\,b$", "$|a|$", "$ a$", "costs $5", r"$\frac{1}{m$"], ids=lambda text: text
)
def test_mathematics_that_would_not_render_is_found(text):
    assert len(math_complaints(text)) == 1


@pytest.mark.parametrize("aid", AIDS, ids=lambda aid: aid.stem)
def test_links_lead_to_files(aid):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", aid.read_text(encoding="utf-8"))
    assert [target for target in targets if not (aid.parent / target).exists()] == []


def test_every_chapters_link_to_an_aid_leads_to_one():
    linked = {
        name
        for chapter in NOTEBOOKS.glob("py/*.py")
        for name in re.findall(r"aids/(\w+\.md)", chapter.read_text("utf-8"))
    }
    assert linked
    assert linked <= {aid.name for aid in AIDS}


def test_the_cheat_sheet_fits_a_page():
    assert len((NOTEBOOKS / "aids" / "cheatsheet.md").read_text(encoding="utf-8").splitlines()) <= 70


def table_rows(name):
    lines = (NOTEBOOKS / "aids" / name).read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def names_in_use():
    functions = (reference.batch_norm_forward, reference.update_running_stats, nn.BatchNorm2d)
    functions += (GhostBatchNorm1d, train, SGD, SequenceBatchNorm1d.forward)
    functions += (family.group_norm_forward, family.batch_renorm_forward, family.dynamic_tanh_forward)
    names = {parameter for function in functions for parameter in inspect.signature(function).parameters}
    names |= set(inspect.unwrap(reference.batch_norm_backward).__code__.co_varnames)  # the gradients it returns
    return names | set(Cache._fields) | set(vars(nn.Module())) | set(nn.BatchNorm2d(1).state_dict()) | {"y"}


def test_every_name_of_the_notation_is_used_in_code():
    rows = table_rows("notation.md")
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    assert named >= {"x_hat", "batch_var", "momentum"}  # the column is where it is looked for
    assert named <= names_in_use()


def test_the_notation_names_everything_that_the_reference_takes_and_keeps():
    named = {name for row in table_rows("notation.md") for name in re.findall(r"`(\w+)`", row[1])}
    taken = set(inspect.signature(reference.batch_norm_inference).parameters) | {"momentum"}
    assert taken | set(Cache._fields) <= named


def test_the_cheat_sheets_defaults_are_torchs():
    pytorch = {row[0]: row[1] for row in table_rows("cheatsheet.md") if len(row) == 3}
    layer = nn.BatchNorm1d(1)
    assert float(pytorch["`momentum`"].split(",")[0]) == layer.momentum
    assert float(pytorch["eps, inside the root"]) == layer.eps


# --- the manager's page

MANAGERS_PAGE = (NOTEBOOKS / "aids" / "managers_page.md").read_text(encoding="utf-8")


def test_the_managers_numbers_are_three_of_the_ledger():
    rows = [row for row in table_rows("managers_page.md") if row[-1].startswith("`")]
    stored = ledger()
    assert [row[1] for row in rows] == [stored[row[2].strip("`")].measured for row in rows]
    assert len(rows) == 3


def test_the_managers_product_is_that_of_its_numbers():
    stored = ledger()
    steps, left = (stored[claim].effect for claim in ("steps-relu-fourteen", "hours-as-steps"))
    said = f"{steps:.2g} in steps, of which {left:.2g} is left in hours, is {steps * left:.1f} times fewer hours."
    assert f"A\ngain of {said}" in MANAGERS_PAGE


def test_the_managers_chapters_are_those_of_the_claims():
    stored = ledger()
    chapters = {stored[row[2].strip("`")].chapter for row in table_rows("managers_page.md") if row[-1].startswith("`")}
    assert chapters == set(re.findall(r"\.\./(\w+)\.ipynb", MANAGERS_PAGE))


def test_the_manager_asks_four_questions_and_each_has_a_good_answer():
    section = MANAGERS_PAGE.split("## Four questions to ask the team")[1].split("## ")[0]
    questions = re.split(r"^\d\. ", section, flags=re.MULTILINE)[1:]
    assert len(questions) == 4
    assert all(re.match(r"\*\*[^*]+\?\*\* A good answer", " ".join(one.split())) for one in questions)


def test_the_managers_page_fits_a_page_and_has_no_code_to_run():
    assert len(MANAGERS_PAGE.splitlines()) <= 60
    assert len(re.findall(r"\w+", MANAGERS_PAGE)) <= 600
    assert "```" not in MANAGERS_PAGE
    assert set(re.findall(r"`([^`]+)`", MANAGERS_PAGE)) <= {claim.id for claim in ledger()}
