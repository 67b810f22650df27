"""Every chapter keeps the rules of tests/notebook_rules.py, and every rule has been seen to complain."""

import copy
import dataclasses
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests import notebook_rules as rules
from tests.chapters import Chapter, read_chapters, words
from tools.digest import sources_digest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"

# The first line of every cell whose output is not compared, since it depends on the machine, on timing or on a network
# trained on the spot. A cell that is tagged in a chapter must be written here too.
IGNORED = {
    "00_start_here": [
        'plain = result.largest_rates("no_norm", accuracy=0.8)',
        "smallest = {arm: np.median(accuracy[0]) for arm, accuracy in result.validation.items()}",
        "shallow = run(Config(depth=2, learning_rates=(0.1, 1.0, 3.0), seeds=(0, 1, 2)))",
        "from bnlab.runtime import environment",
    ],
    "05_mechanism_inference": [
        "data = digits()",
        "slow = partial(BatchNorm1d, momentum=0.001)",
    ],
    "06_benefits_faster": [
        "generator = torch.Generator().manual_seed(0)",
    ],
    "08_use_cases_cnn": [
        "model = cnn(1, 10, depth=4, width=8, norm=BatchNorm2d, generator=torch.Generator().manual_seed(0))",
        "image, label, likeness = data.test.x[:1], data.test.y[0], {}",
    ],
    "10_mistakes": [
        "trained, brighter = network.requires_grad_(requires_grad=False), 0.3 * (data.train.x.max() - data.train.x.min())",  # noqa: E501 - as it stands there
        'reports["Fine-tuning with moving statistics"] = examine(moving.train())',
        "class Separately(nn.Module):",
        'reports["One norm, two domains"] = examine(Separately(network()), pairs[:1056].split(32))',
    ],
    "11_alternatives": [
        'data, accuracy, settings = digits(), {}, {"seed": 0, "batch_size": 32, "optimiser": SGD(momentum=0.9)}',
        "choices = {",
    ],
    "13_fast_kernels": [
        "set_num_threads(1)",
        "run = x[0, 0].ravel()",
        "noise, errors = rng.normal(size=(8, 2, 64, 64)), {}",
    ],
    "14_production": [
        "data, ledger, slow = digits(), claims.ledger(), lambda channels: nn.BatchNorm2d(channels, momentum=0.01)",
        'versions = {"as trained": network, "folded": folded}',
        "norms = [name for name, layer in network.named_modules() if isinstance(layer, nn.BatchNorm2d)]",
        "off = {}",
    ],
}


@pytest.fixture(scope="module")
def chapters():
    return read_chapters(NOTEBOOKS)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_every_chapter_keeps(rule, chapters):
    complaints = [f"{chapter.name}: {complaint}" for chapter in chapters for complaint in rule(chapter)]
    assert not complaints, "\n".join(complaints)


def test_the_cells_whose_output_is_ignored_are_these(chapters):
    assert {chapter.name: found for chapter in chapters if (found := rules.ignored_cells(chapter))} == IGNORED


def test_every_chapter_has_its_pair_and_every_pair_its_notebook():
    assert rules.unpaired(NOTEBOOKS) == []


def test_the_aids_lead_to_what_exists(chapters):
    names = [chapter.name for chapter in chapters]
    pages = sorted((NOTEBOOKS / "aids").glob("*.md"))
    complaints = [complaint for page in pages for complaint in rules.aid_complaints(page, names)]
    assert not complaints, "\n".join(complaints)


def test_the_readme_lists_every_chapter_in_order(chapters):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert rules.chapters_in_table(readme) == [chapter.name for chapter in chapters]


# --- a chapter that keeps every rule, as near to the forbidden as an honest chapter comes

PROSE = (
    "# What is it?\n\n**You will** see, after [chapter 00](00_before.ipynb), what chapters 00 and 01 leave open.",
    "## A fold\n\n<details><summary>Why?</summary>\n\nBecause.\n\n</details>",
    "[Sheet](../notebooks/aids/sheet.md#in-short), [fold](#A-fold), [paper](https://arxiv.org/abs/1502.03167).",
    "N/C/H/W, 0.04, 09:05, 2015-02-11, $a/b/c$, `(x / y / z)`, chapter 01\n\n```\n# no title\nlinks[0](nowhere)\n```",
    *["## A heading\n\n" + "Four words or so. " * 42] * 6,
)
PICTURE = {"image/png": "/tmp/4AAA", "text/plain": "Figure: It grows"}
CODE = (
    ("from bnlab.layers import BatchNorm1d\nfrom bnlab.reference import batch_norm_forward", []),
    ("def my_norm(x):\n    return x", []),
    ("theirs, _ = batch_norm_forward(1, 1, 0)\nours = my_norm(1)", []),
    ("takeaway('They agree.', all(ours == theirs))", []),
    ("print(ours)", [new_output("stream", text="agree to 1e-10: True, from 2.5e-05 down to 1e-12\n")]),
    ("ours / len(ours) / 3", [new_output("execute_result", {"text/plain": "0.1"}, execution_count=6)]),
    ("figure(ours)", [new_output("display_data", PICTURE)]),
    ("accuracy = train()\naccuracy", [new_output("execute_result", {"text/plain": "0.93"}, execution_count=8)]),
    ("assert accuracy > 0.9", []),
    ("ours", []),
)


def with_cells(chapter, cells):
    """The chapter as it would be, had its author written these cells and stored them by the tool."""
    for position, cell in enumerate(cells):
        cell.id = f"cell-{position}"
    for count, cell in enumerate([cell for cell in cells if cell.cell_type == "code"], start=1):
        cell.execution_count = count
    notebook = new_notebook(cells=cells, metadata=copy.deepcopy(chapter.notebook.metadata))
    notebook.metadata.bnlab = {"sources": sources_digest(notebook)}
    return dataclasses.replace(chapter, notebook=notebook, pair=copy.deepcopy(notebook))


@pytest.fixture
def good(tmp_path):
    """Chapter 01 of a course of two, in a folder with one aid."""
    folder = tmp_path / "notebooks"
    (folder / "aids").mkdir(parents=True)
    (folder / "aids" / "sheet.md").write_text("# Sheet\n\n## In short\n")
    metadata = {"jupytext": {"formats": "ipynb,py//py:percent"}, "kernelspec": {"name": "python3", "display_name": "P"}}
    empty = new_notebook(metadata=metadata)
    names = ("00_before", "01_what")
    prose = [new_markdown_cell(text) for text in PROSE]
    code = [new_code_cell(source, outputs=copy.deepcopy(outputs)) for source, outputs in CODE]
    code[7].metadata.tags = [rules.IGNORED]
    cells = [cell for pair in zip(prose, code, strict=True) for cell in pair]
    chapter = with_cells(Chapter(names[1], empty, empty, folder, 20_000, names), cells)
    for name in names:
        (folder / f"{name}.ipynb").write_text(nbformat.writes(chapter.notebook))
    return chapter


def broken_rules(chapter):
    return {rule.__name__ for rule in rules.RULES if rule(chapter)}


def test_a_good_chapter_breaks_no_rule(good):
    assert {rule.__name__: rule(good) for rule in rules.RULES if rule(good)} == {}


# --- each rule, broken alone

BAD_PROSE = [
    ("title_is_a_question", "# Another title?"),
    ("evidence_is_computed", "> **Takeaway.** Trust me."),
    ("no_local_details", "Open `/home/me/bnlab/notes.txt`."),
    ("no_local_details", "Look into /tmp for it."),
    ("no_local_details", "It lies in ~/bnlab."),
    ("no_local_details", r"It lies in C:\bnlab."),
    ("links_lead_somewhere", "[next](02_after.ipynb)"),
    ("links_lead_somewhere", "[sheet](aids/sheet.md)"),  # right from notebooks/, broken from my/
    ("links_lead_somewhere", "[sheet](../notebooks/aids/shed.md)"),
    ("links_lead_somewhere", "[sheet](../notebooks/aids/sheet.md#at-length)"),
    ("links_lead_somewhere", "[here](#A-hinge)"),
    ("links_lead_somewhere", "[here](#no-title)"),  # in a fence
    ("links_lead_somewhere", "[before](00_before.ipynb#A-hinge)"),
    ("links_lead_somewhere", "![cube](cube.png)"),
    ("links_lead_somewhere", "<img src='cube.png'>"),
    ("links_lead_somewhere", "See [next].\n\n[next]: 02_after.ipynb"),
    ("links_are_public", "[paper](http://arxiv.org/abs/1502.03167)"),
    ("links_are_public", "[lab](https://localhost:8888/lab)"),
    ("links_are_public", "[lab](https://192.168.0.2/lab)"),
    ("links_are_public", "[lab](https://buildhost/lab)"),
    ("mentioned_chapters_exist", "We return to it in chapter 13."),
    ("mentioned_chapters_exist", "Chapter 2 told you."),
    ("mentioned_chapters_exist", "See chapters 00, 01 and 04."),
    ("mentioned_chapters_exist", "See chapters 00 to 05."),
    ("mentioned_chapters_exist", "| 04 | backward |"),
    ("folds_are_closed", "<details><summary>Why?</summary>\n\nBecause."),
    ("folds_are_closed", "<details><summary>Why?\n\nBecause.</details>"),
    ("folds_are_closed", "<details>\n\nBecause.</details>"),
    ("folds_are_closed", "<details><summary>Why? <summary>How?</summary>\n\nBecause.</details>"),
]

BAD_CODE = [
    ("short_code_cells", "x = 1\n" * 21),
    ("plain_python", "%matplotlib inline"),
    ("plain_python", "!ls"),
    ("plain_python", "ours?"),
    ("plain_python", "# nothing, yet\n%%time\nours"),
    ("plain_python", " "),
    ("plain_python", "from bnlab.layers import *"),
    ("forbidden_names", "import matplotlib.pyplot"),
    ("forbidden_names", "from matplotlib import pyplot as draw"),
    ("forbidden_names", "plt.plot(ours)"),
    ("forbidden_names", "import pip"),
    ("forbidden_names", "from subprocess import run"),
    ("forbidden_names", "os.system('pip install torch')"),
    ("forbidden_names", "warnings.filterwarnings('ignore')"),
    ("forbidden_names", "import warnings\nwarnings.simplefilter('ignore')"),
    ("forbidden_names", "with warnings.catch_warnings():\n    pass"),
    ("forbidden_names", "name = input('Your name? ')"),
    ("forbidden_names", "from IPython.display import clear_output"),
    ("forbidden_names", "for step in tqdm(range(3)):\n    pass"),
    ("forbidden_names", "from rich.progress import track"),
    ("forbidden_names", "get_ipython().run_line_magic('time', 'ours')"),
    ("definitions_are_compared", "def lonely(x):\n    return x"),
    ("definitions_are_compared", "class Lonely:\n    def forward(self, x):\n        return x"),
    ("definitions_are_compared", "def lonely(x):\n    return x\n\n\nassert lonely(ours) == ours.sum()"),
    ("definitions_are_compared", "def lonely(x):\n    return x\n\n\nprint(lonely(1) == batch_norm_forward(1, 1, 0))"),
    ("evidence_is_computed", "takeaway('Trust me.', True)"),
    ("evidence_is_computed", "takeaway('Trust me.', holds=not False)"),
    ("evidence_is_computed", "takeaway('Trust me.', bool(1 == 1))"),
    ("evidence_is_computed", "assert True"),
    ("reveals_are_shown", "reveal('half-a-start')\nprint('and on')"),
    ("no_local_details", "load('/data/mine/x.npy')"),
    ("mentioned_chapters_exist", "ours  # see chapter 04"),
    ("mentioned_chapters_exist", "ours  # see chapters 00 to 05"),
    ("outputs_are_compared", "# NBVAL_IGNORE_OUTPUT\nours"),
    ("outputs_are_compared", "# NBVAL_SKIP\nours"),
    ("outputs_are_compared", "# PYTEST_VALIDATE_IGNORE_OUTPUT\nours"),
]

BAD_OUTPUT = [
    ("no_errors_stored", new_output("error", ename="E", evalue="e", traceback=[])),
    ("no_errors_stored", new_output("stream", name="stderr", text="UserWarning: look out\n")),
    ("no_residuals", new_output("stream", text="largest difference 2.2e-16\n")),
    ("no_residuals", new_output("stream", text="largest difference 1e-16\n")),
    ("no_residuals", new_output("stream", text="largest difference 4e-12\n")),
    ("no_residuals", new_output("display_data", {"text/html": "<b>-1.35e-25</b>"})),
    ("no_local_details", new_output("stream", text="cached in /home/me/.cache/bnlab\n")),
    ("no_local_details", new_output("display_data", {"text/html": "<i>/home/me/x.npy</i>"})),
    ("no_local_details", new_output("stream", text="<function f at 0x7f1c2a3b4d5e>\n")),
    ("no_local_details", new_output("stream", text="from lib/site-packages/torch\n")),
    ("mentioned_chapters_exist", new_output("display_data", {"text/markdown": "The subject of chapter 13."})),
    ("outputs_are_compared", new_output("stream", text=" 50%\r100%\n")),
    ("outputs_are_compared", new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}})),
    ("outputs_are_compared", new_output("display_data", {"application/javascript": "alert(1)"})),
]


@pytest.mark.parametrize(("rule", "text"), BAD_PROSE)
def test_bad_prose_is_found(rule, text, good):
    cells = good.notebook.cells
    assert broken_rules(with_cells(good, [*cells[:4], new_markdown_cell(text), *cells[4:]])) == {rule}


@pytest.mark.parametrize(("rule", "source"), BAD_CODE)
def test_bad_code_is_found(rule, source, good):
    assert broken_rules(with_cells(good, [*good.notebook.cells, new_code_cell(source)])) == {rule}


@pytest.mark.parametrize(("rule", "output"), BAD_OUTPUT)
def test_a_bad_output_is_found(rule, output, good):
    bad = with_cells(good, [*good.notebook.cells, new_code_cell("ours", outputs=[output])])
    assert broken_rules(bad) == {rule}


@pytest.mark.parametrize(
    "source",
    [
        "assert my_norm(1) == BatchNorm1d(1)(1)",
        "pairs = [(my_norm(1), batch_norm_forward(1, 1, 0))]\nassert all(a == b for a, b in pairs)",
        "for a in (my_norm(1),):\n    takeaway('Same.', a == theirs)",
        "found = []\nfound.append(my_norm(1))\nassert found == [theirs]",
        "a = my_norm(1)\nb = a\nassert b == theirs",
        "total = 0\ntotal += my_norm(1)\nassert total == theirs",
        "a: int = my_norm(1)\nassert a == theirs",
        "if (a := my_norm(1)):\n    assert a == theirs",
        "import bnlab.layers\nassert my_norm(1) == bnlab.layers.BatchNorm1d(1)(1)",
        "import bnlab.layers as L\nassert my_norm(1) == L.BatchNorm1d(1)(1)",
        "class Mine:\n    def forward(self):\n        return 1\n\n\nassert Mine().forward() == my_norm(1) == theirs",
    ],
)
def test_a_definition_may_be_compared_through_its_results(source, good):
    cells = [cell for cell in good.notebook.cells if "ours == theirs" not in cell.source]
    one_without = with_cells(good, [*cells, new_markdown_cell("So?")])
    assert broken_rules(one_without) == {"definitions_are_compared"}
    assert broken_rules(with_cells(good, [*cells, new_code_cell(source)])) == set()


def test_a_definition_that_an_exercise_checks_needs_no_other_comparison(good):
    stub = "def my_norm_again(x):\n    ...\n\n\n"
    cells = good.notebook.cells
    assert broken_rules(with_cells(good, [*cells, new_code_cell(stub + "print(my_norm_again)")])) != set()
    assert broken_rules(with_cells(good, [*cells, new_code_cell(stub + "check('norm', my_norm_again)")])) == set()


def test_the_section_of_exercises_and_calls_for_practice_are_not_counted(good):
    forty = [*good.notebook.cells, *(new_markdown_cell("So?") for _ in range(20))]
    assert broken_rules(with_cells(good, forty)) == set()
    practice = [new_markdown_cell("## Exercises\n\nOf the section of exercises."), new_code_cell("ours\n" * 30)]
    after = new_markdown_cell("## Say it\n\nNow.")
    assert broken_rules(with_cells(good, [*forty[:-1], *practice, after])) == set()
    assert broken_rules(with_cells(good, [*forty[:-1], new_markdown_cell("So?"), new_code_cell("ask('why')")])) == set()
    assert broken_rules(with_cells(good, [*forty, *practice, after])) == {"number_of_cells"}


def edit(number, **changes):
    """An offence: the cell of that number is not as it should be."""

    def offence(good):
        cells = good.notebook.cells
        cells[number].update(copy.deepcopy(changes))
        return with_cells(good, cells)

    return offence


def edit_stored(change):
    """An offence in the stored notebook alone, after its execution."""

    def offence(good):
        change(good.notebook)
        return good

    return offence


def interleaved(text, source, *, times, **more):
    return [cell for _ in range(times) for cell in (new_markdown_cell(text), new_code_cell(source, **more))]


IGNORE = {"tags": [rules.IGNORED]}
BAD_CHAPTERS = {
    "no pair": ("pair_agrees", lambda good: dataclasses.replace(good, pair=None)),
    "pair with a cell less": ("pair_agrees", lambda good: good.pair.cells.pop() and good),
    "pair with another source": ("pair_agrees", lambda good: good.pair.cells[3].update(source="1") or good),
    "pair with another tag": ("pair_agrees", lambda good: good.pair.cells[3].metadata.update(IGNORE) or good),
    "pair with another type": ("pair_agrees", lambda good: good.pair.cells[3].update(cell_type="raw") or good),
    "not executed since": ("made_by_the_tool", edit_stored(lambda n: n.metadata.bnlab.update(sources="0" * 64))),
    "unknown maker": ("made_by_the_tool", edit_stored(lambda n: n.metadata.pop("bnlab"))),
    "unpaired": ("made_by_the_tool", edit_stored(lambda n: n.metadata.pop("jupytext"))),
    "another kernel": ("made_by_the_tool", edit_stored(lambda n: n.metadata.kernelspec.update(name="conda-me"))),
    "timings": ("made_by_the_tool", edit_stored(lambda n: n.cells[1].metadata.update(execution={"began": "today"}))),
    "one id twice": ("valid_notebook", edit_stored(lambda n: n.cells[1].update(id=n.cells[2].id))),
    "no such cell type": ("valid_notebook", edit_stored(lambda n: n.cells[0].update(outputs=[]))),
    "a megabyte": ("small_file", lambda good: dataclasses.replace(good, size=1_000_000)),
    "no title": ("title_is_a_question", edit(0, source="**You will** see.")),
    "title without a question": ("title_is_a_question", edit(0, source="# It is\n\n**You will** see.")),
    "title late": ("title_is_a_question", edit(0, source="**You will** see.\n\n# What?")),
    "aim not said": ("title_is_a_question", edit(0, source="# What is it?")),
    "nineteen cells": ("number_of_cells", lambda good: with_cells(good, good.notebook.cells[:-1])),
    "forty-one cells": (
        "number_of_cells",
        lambda good: with_cells(good, good.notebook.cells + [new_markdown_cell("So?") for _ in range(21)]),
    ),
    "too few words": ("amount_of_prose", edit(8, source="...")),
    "too many words": ("amount_of_prose", edit(8, source="word " * 2000)),
    "long cells": (
        "short_code_cells",
        lambda good: with_cells(good, good.notebook.cells + interleaved("So?", "ours\n" * 16, times=10)),
    ),
    "three code cells in a row": (
        "prose_between_code",
        lambda good: with_cells(good, good.notebook.cells + [new_code_cell("ours") for _ in range(2)]),
    ),
    "executed out of order": ("executed_in_order", edit_stored(lambda n: n.cells[1].update(execution_count=11))),
    "not executed": ("executed_in_order", edit_stored(lambda n: n.cells[-1].update(execution_count=None))),
    "executed twice": (
        "executed_in_order",
        edit_stored(lambda n: [c.update(execution_count=c.execution_count + 10) for c in n.cells if "outputs" in c]),
    ),
    "another tag": ("outputs_are_compared", edit(1, metadata={"tags": ["nbval-skip"]})),
    "error expected": ("outputs_are_compared", edit(1, metadata={"tags": ["raises-exception"]})),
    "ignored without evidence": ("few_ignored_cells", edit(13, metadata=IGNORE)),
    "five ignored": (
        "few_ignored_cells",
        lambda good: with_cells(
            good, good.notebook.cells + interleaved("So?", "assert ours", times=4, metadata=IGNORE)
        ),
    ),
    "figure at the end": ("figures_are_explained", edit(19, outputs=[new_output("display_data", PICTURE)])),
    "figure before code": (
        "figures_are_explained",
        lambda good: with_cells(good, [*good.notebook.cells[:14], new_code_cell("ours"), *good.notebook.cells[14:]]),
    ),
}


@pytest.mark.parametrize(("rule", "offence"), BAD_CHAPTERS.values(), ids=BAD_CHAPTERS)
def test_a_bad_chapter_is_found(rule, offence, good):
    assert broken_rules(offence(good)) == {rule}


def test_every_rule_has_been_seen_to_complain():
    tried = {rule for rule, _ in [*BAD_PROSE, *BAD_CODE, *BAD_OUTPUT, *BAD_CHAPTERS.values()]}
    assert tried == {rule.__name__ for rule in rules.RULES}


@pytest.mark.parametrize(("count", "broken"), [(999, True), (1000, False), (2500, False), (2501, True)])
def test_prose_is_counted_to_the_word(count, broken, good):
    others = sum(len(words(text)) for number, text in enumerate(good.prose) if number not in {4, 5})
    cells = good.notebook.cells
    cells[8].source, cells[10].source = "So?", "word " * (count - others - 1)
    assert (broken_rules(with_cells(good, cells)) == {"amount_of_prose"}) == broken


def test_words_are_those_that_a_reader_reads():
    markdown = "One *two* `three`, $a b$ [four](five.md) <b>six</b> 7\n```\neight\n```\n$$nine\nten$$ isn't batch-norm"
    assert words(markdown) == ["One", "two", "three", "four", "six", "isn't", "batch-norm"]


# --- the files around the chapters


def test_a_chapter_without_its_other_half_is_found(tmp_path):
    (tmp_path / "py").mkdir()
    for name in ("00_a.ipynb", "py/00_a.py", "01_b.ipynb", "py/02_c.py"):
        (tmp_path / name).touch()
    assert rules.unpaired(tmp_path) == ["01_b lacks its pair", "02_c lacks its notebook"]


@pytest.mark.parametrize(
    "text",
    [
        "[x](../02_after.ipynb)",
        "[x](page.md#no-such-heading)",
        "[x](other.md)",
        "[x](http://arxiv.org)",
        "as in chapter 13",
    ],
)
def test_a_bad_aid_is_found(text, good):
    page = good.folder / "aids" / "page.md"
    page.write_text("# Page\n\n[a](../01_what.ipynb#a-fold) [b](sheet.md#in-short) [c](https://arxiv.org) chapter 01\n")
    assert rules.aid_complaints(page, good.siblings) == []
    page.write_text(f"# Page\n\n{text}\n")
    assert len(rules.aid_complaints(page, good.siblings)) == 1


def test_the_readme_table_is_read_row_by_row():
    readme = (
        "[00](notebooks/00_a.ipynb)\n\n| 00 | [A](notebooks/00_a.ipynb) |\n| 01 | [B](notebooks/01_b.ipynb) | x |\n"
    )
    assert rules.chapters_in_table(readme) == ["00_a", "01_b"]
