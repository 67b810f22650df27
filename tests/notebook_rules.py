"""The rules that every chapter keeps. Each takes a `Chapter` and returns its complaints, one line each."""

import ast
import builtins
import re
from statistics import median

import nbformat

from tests import chapters as ask
from tools.digest import sources_digest

IGNORED = "nbval-ignore-output"
FORBIDDEN_NAMES = {
    "plt": "a figure comes from bnlab.figures, without pyplot",
    "pyplot": "a figure comes from bnlab.figures, without pyplot",
    "pylab": "a figure comes from bnlab.figures, without pyplot",
    "pip": "nothing is installed from a notebook",
    "subprocess": "a notebook starts no program",
    "system": "a notebook starts no program",
    "filterwarnings": "a warning is cured, not hidden",
    "simplefilter": "a warning is cured, not hidden",
    "catch_warnings": "a warning is cured, not hidden",
    "input": "a notebook runs without anyone at the keyboard",
    "clear_output": "nbval would not compare what was cleared",
    "tqdm": "a progress bar is stored and replayed differently",
    "trange": "a progress bar is stored and replayed differently",
    "progress": "a progress bar is stored and replayed differently",
    "ipywidgets": "a widget is empty on GitHub",
    "get_ipython": "a notebook is plain Python",
}
LOCAL = re.compile(
    r"""(?<![\w:/.<])/(?:[A-Za-z_][\w.-]*/)+[A-Za-z_.]   # an absolute path of two parts or more
      | (?<![\w:/.<])/(?:etc|home|mnt|opt|root|srv|tmp|usr|var|work|Users)\b
      | (?<!\w)~/ | (?<!\w)[A-Za-z]:\\\w | file:// | site-packages | ipykernel_\d | \b0x[0-9a-f]{6,}""",
    re.VERBOSE,
)
RESIDUAL = re.compile(r"(?:(?<![\d.])[02-9]|\d\.\d+)e-[123]\d|(?<![\d.])1e-(?:1[3-9]|[23]\d)")
CHAPTER_LIST = re.compile(r"\bchapters?\s+((?:[^\w\n]*\d{1,2}\b(?:[^\w\n]*\b(?:and|or|to)\b)?)+)", re.IGNORECASE)
LONE_CHAPTER_NUMBER = re.compile(r"(?<![\w.:/-])0\d\b(?![.:-]\d)")
PUBLIC = re.compile(r"https://[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}(/|$)")


# --- the file and its pair


def pair_agrees(chapter):
    if chapter.pair is None:
        return [f"notebooks/py/{chapter.name}.py is missing"]

    def compared(cell):
        return cell.cell_type, cell.source, cell.metadata.get("tags", [])

    ours, theirs = ([compared(cell) for cell in notebook.cells] for notebook in (chapter.notebook, chapter.pair))
    if len(ours) != len(theirs):
        return [f"{len(ours)} cells, its pair has {len(theirs)}"]
    pairs = enumerate(zip(ours, theirs, strict=True), start=1)
    return [f"cell {number} differs from the pair's" for number, (one, other) in pairs if one != other]


def made_by_the_tool(chapter):
    metadata = chapter.notebook.metadata
    complaints = []
    if metadata.get("bnlab", {}).get("sources") != sources_digest(chapter.notebook):
        complaints.append("changed since it was executed; run `make notebooks`")
    if metadata.get("jupytext", {}).get("formats") != "ipynb,py//py:percent":
        complaints.append("not paired with notebooks/py/")
    if metadata.get("kernelspec", {}).get("name") != "python3":
        complaints.append("wants another kernel than python3")
    if any(set(cell.metadata) - {"tags"} for cell in chapter.notebook.cells):
        complaints.append("a cell stores more than its tags, such as timings")
    return complaints


def valid_notebook(chapter):
    ids = [cell.get("id") for cell in chapter.notebook.cells]
    complaints = [f"id {one} stands twice" for one in sorted({one for one in ids if ids.count(one) > 1})]
    return complaints + [str(error.message) for error in nbformat.validator.iter_validate(chapter.notebook)]


def small_file(chapter):
    return [f"{chapter.size:,} bytes, not under a million"] if chapter.size >= 1_000_000 else []


# --- its shape


def title_is_a_question(chapter):
    title, *others = re.findall(r"^# (.+)", ask.without_fences("\n".join(chapter.prose)), re.MULTILINE) or [""]
    complaints = []
    if not chapter.notebook.cells[0].source.startswith("# ") or chapter.notebook.cells[0].cell_type != "markdown":
        complaints.append("does not begin with its title")
    elif "?" not in title:
        complaints.append("the title asks no question")
    if others:
        complaints.append(f"has a second title: {others[0]}")
    if "you will" not in " ".join(chapter.prose[:2]).lower():
        complaints.append("does not open with what you will do")
    return complaints


def number_of_cells(chapter):
    """Beside the exercises and the calls that ask the learner something."""
    count = sum(not re.match(r"(predict|recall|ask)\(", cell.source) for cell in chapter.beside_exercises)
    return [] if 20 <= count <= 40 else [f"{count} cells, not 20 to 40"]


def amount_of_prose(chapter):
    count = sum(len(ask.words(text)) for text in chapter.prose)
    return [] if 1000 <= count <= 2500 else [f"{count} words of prose, not 1,000 to 2,500"]


def short_code_cells(chapter):
    """Beside the exercises: a stub is as long as its specification."""
    lengths = [len(cell.source.splitlines()) for cell in chapter.beside_exercises if cell.cell_type == "code"]
    complaints = [f"a code cell of {length} lines, more than 20" for length in lengths if length > 20]
    if median(lengths) > 8:
        complaints.append(f"code cells have a median of {median(lengths):g} lines, more than 8")
    return complaints


def prose_between_code(chapter):
    kinds = "".join(cell.cell_type[0] for cell in chapter.notebook.cells)
    return ["more than two code cells in a row"] if "ccc" in kinds else []


# --- what its code may do


def plain_python(chapter):
    complaints = [
        f"not plain Python (a magic, a shell command, an empty cell): {cell.source[:40]!r}"
        for cell in chapter.code
        if not cell.source.strip() or ask.parse(cell.source) is None
    ]
    stars = [
        node for tree in chapter.trees for node in ast.walk(tree) if isinstance(node, ast.alias) and node.name == "*"
    ]
    return complaints + ["a star import"] * len(stars)


def forbidden_names(chapter):
    used = {name for tree in chapter.trees for name in ask.names_in(tree)}
    return [f"{name}: {why}" for name, why in FORBIDDEN_NAMES.items() if name in used]


def definitions_are_compared(chapter):
    """What is defined here, or what it returned, meets what the package teaches in an assert, a takeaway or a check."""
    evidence = [ask.variables(test) for test in ask.evidence_in(chapter.trees)]
    theirs = ask.derived(ask.taught_by_the_package(chapter.trees), chapter.trees)
    ours = {
        name: ask.derived({name}, chapter.trees)
        for name in set(ask.definitions(chapter.trees)) - ask.handed_to_check(chapter.trees)
    }
    return [
        f"{name} is defined but not compared with bnlab in an assert or a takeaway"
        for name, own in ours.items()
        if not any(names & own and names & theirs for names in evidence)
    ]


def evidence_is_computed(chapter):
    constant = [test for test in ask.evidence_in(chapter.trees) if not ask.variables(test) - set(dir(builtins))]
    unbacked = [text for text in chapter.prose if re.search(r"\*\*takeaway", text, re.IGNORECASE)]
    complaints = [f"rests on a constant: {ast.unparse(test)}" for test in constant]
    return complaints + ["a takeaway in Markdown, backed by nothing"] * len(unbacked)


# --- what it stores


def no_errors_stored(chapter):
    kinds = [kind for output in chapter.outputs for kind in (output.output_type, output.get("name"))]
    return [f"{kind} output is stored" for kind in kinds if kind in {"error", "stderr"}]


def executed_in_order(chapter):
    counts = [cell.execution_count for cell in chapter.code]
    return [] if counts == list(range(1, len(counts) + 1)) else [f"execution counts are {counts}"]


def no_residuals(chapter):
    printed = [text for output in chapter.outputs for text in ask.texts(output)]
    found = [match[0] for text in printed for match in RESIDUAL.finditer(text)]
    return [f"prints {number}, which moves with the processor" for number in found]


def no_local_details(chapter):
    found = [match[0] for text in chapter.everything_shown for match in LOCAL.finditer(text)]
    return [f"{detail!r} belongs to one machine" for detail in found]


def outputs_are_compared(chapter):
    tags = {tag for cell in chapter.notebook.cells for tag in cell.metadata.get("tags", [])} - {IGNORED}
    markers = [marker for cell in chapter.code for marker in re.findall(r"\b(?:NBVAL|PYTEST)_[A-Z_]+", cell.source)]
    kinds = {kind for output in chapter.outputs for kind in output.get("data", {})}
    returns = [output for output in chapter.outputs if "\r" in "".join(ask.texts(output))]
    return [
        *(f"tag {tag}" for tag in sorted(tags)),
        *(f"marker {marker}" for marker in markers),
        *(f"an output of kind {kind}" for kind in sorted(kinds) if "widget" in kind or "javascript" in kind),
        *("an output that goes back over its line" for _ in returns),
    ]


def few_ignored_cells(chapter):
    """At most four cells' outputs are not compared, and each has evidence in it or in the next code cell."""
    code = chapter.code
    ignored = [number for number, cell in enumerate(code) if IGNORED in cell.metadata.get("tags", [])]
    complaints = [f"the output of {len(ignored)} cells is ignored, more than 4"] if len(ignored) > 4 else []
    for number in ignored:
        trees = [tree for cell in code[number : number + 2] if (tree := ask.parse(cell.source))]
        if not list(ask.evidence_in(trees)):
            complaints.append(f"no assert follows the ignored output of In [{number + 1}]")
    return complaints


def ignored_cells(chapter):
    """The first line of each cell whose output is not compared."""
    return [cell.source.splitlines()[0] for cell in chapter.code if IGNORED in cell.metadata.get("tags", [])]


def figures_are_explained(chapter):
    cells = chapter.notebook.cells
    figures = [
        number
        for number, cell in enumerate(cells, start=1)
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
    ]
    bare = [number for number in figures if number == len(cells) or cells[number].cell_type != "markdown"]
    return [f"no sentence stands under the figure of cell {number}" for number in bare]


def reveals_are_shown(chapter):
    """`reveal` returns what it says, and Jupyter shows a cell's last expression only."""
    hidden = [
        node.value.args[0].value
        for tree in chapter.trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, "id", "") == "reveal"
        and node is not tree.body[-1]
    ]
    return [f"reveal({name!r}) does not end its cell, so nobody sees it" for name in hidden]


# --- what its prose refers to


def links_lead_somewhere(chapter):
    """From notebooks/ and from a copy in my/ alike: chapters by their names alone, all else through `../`."""
    complaints = []
    for target in ask.links("\n".join(chapter.prose)):
        path, _, anchor = target.partition("#")
        if ask.is_outward(target):
            continue
        if path and not path.startswith("../") and not re.fullmatch(r"[\w-]+\.ipynb", path):
            complaints.append(f"{target} does not lead from both notebooks/ and my/")
        elif ask.is_broken(chapter.folder / (path or f"{chapter.name}.ipynb"), anchor):
            complaints.append(f"{target} leads nowhere")
    return complaints


def links_are_public(chapter):
    outward = [target for text in chapter.prose for target in ask.links(text) if ask.is_outward(target)]
    return [f"{target} is no public https address" for target in outward if not PUBLIC.match(target)]


def mentioned_chapters_exist(chapter):
    existing = {name[:2] for name in chapter.siblings}
    lists = [match[1] for text in chapter.everything_shown for match in CHAPTER_LIST.finditer(text)]
    alone = [match[0] for text in chapter.prose for match in LONE_CHAPTER_NUMBER.finditer(text)]
    mentioned = {number.zfill(2) for text in lists for number in re.findall(r"\d+", text)} | set(alone)
    return [f"chapter {number} does not exist" for number in sorted(mentioned - existing)]


def folds_are_closed(chapter):
    complaints = []
    for text in chapter.prose:
        opened = [len(re.findall(rf"<{tag}[ >]", text)) for tag in ("details", "summary")]
        closed = [text.count(f"</{tag}>") for tag in ("details", "summary")]
        if len({*opened, *closed}) > 1:
            complaints.append(f"details and summary opened {opened} and closed {closed} times in {text[:40]!r}")
    return complaints


RULES = (
    pair_agrees,
    made_by_the_tool,
    valid_notebook,
    small_file,
    title_is_a_question,
    number_of_cells,
    amount_of_prose,
    short_code_cells,
    prose_between_code,
    plain_python,
    forbidden_names,
    definitions_are_compared,
    evidence_is_computed,
    no_errors_stored,
    executed_in_order,
    no_residuals,
    no_local_details,
    outputs_are_compared,
    few_ignored_cells,
    figures_are_explained,
    reveals_are_shown,
    links_lead_somewhere,
    links_are_public,
    mentioned_chapters_exist,
    folds_are_closed,
)


# --- the files around the chapters


def unpaired(folder):
    """Chapters that lack their notebook or their pair."""
    stored, pairs = ({path.stem for path in folder.glob(pattern)} for pattern in ("*.ipynb", "py/*.py"))
    return sorted(f"{name} lacks its {'pair' if name in stored else 'notebook'}" for name in stored ^ pairs)


def aid_complaints(page, chapters):
    """What is wrong with a page of notebooks/aids/: links and mentions of chapters."""
    text = page.read_text(encoding="utf-8")
    complaints = []
    for target in ask.links(text):
        path, _, anchor = target.partition("#")
        if ask.is_outward(target):
            complaints += [] if PUBLIC.match(target) else [f"{page.name}: {target} is no public https address"]
        elif ask.is_broken(page.parent / path if path else page, anchor):
            complaints.append(f"{page.name}: {target} leads nowhere")
    numbers = [number for match in CHAPTER_LIST.finditer(text) for number in re.findall(r"\d+", match[1])]
    missing = {number.zfill(2) for number in numbers} - {name[:2] for name in chapters}
    return complaints + [f"{page.name}: chapter {number} does not exist" for number in sorted(missing)]


def chapters_in_table(readme):
    """The notebooks to which the README's tables link, in order."""
    return re.findall(r"^\|.*?\]\(notebooks/(\d\d_\w+)\.ipynb\)", readme, re.MULTILINE)
