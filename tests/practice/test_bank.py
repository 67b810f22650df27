"""The bank that ships keeps its own rules, and each way of breaking one gives one clear line."""

import ast
import copy
import inspect
import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from bnlab.practice.interview.bank import CHAPTERS, RECALLS, load, load_recalls, questions, recalls
from bnlab.practice.interview.links import check_links
from bnlab.practice.interview.proofs import scenarios
from bnlab.practice.interview.room.matching import suggest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
GOOD = {
    "id": "why-eps",
    "topic": "numerics",
    "level": "core",
    "roles": ["any"],
    "prompt": "What is epsilon for?",
    "answers": {"short": "A floor.", "two_minutes": "A floor under the variance.", "whiteboard": "var + eps"},
    "rubric": [{"point": f"point {number}", "weight": number} for number in (1, 2, 3)],
    "red_flags": [{"says": "Nothing.", "why": "It caps the gain."}],
    "follow_ups": [],
    "chapter": "03_mechanism_forward",
    "proof": "eps_caps_the_gain",
}


def written(folder, *entries, topic="numerics"):
    (folder / f"{topic}.yaml").write_text(yaml.safe_dump(list(entries)))
    return folder


def changed(path, value):
    """The good entry with the value at a path of keys replaced; None takes the key away."""
    entry = copy.deepcopy(GOOD)
    *way, last = path
    part = entry
    for key in way:
        part = part[key]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return entry


# --- what ships


def test_the_bank_covers_the_first_chapters():
    asked = [question.chapter for question in questions().values()]
    assert len(asked) >= 24
    assert set(asked) == set(CHAPTERS)


def test_every_link_of_the_bank_leads_somewhere():
    check_links(questions())


def test_every_notebook_is_a_chapter_that_questions_can_name():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} <= set(CHAPTERS)


def test_every_chapter_but_the_first_recalls():
    assert list(recalls()) == [stem[:2] for stem in CHAPTERS[1:]]


@pytest.mark.parametrize("question", questions().values(), ids=lambda one: one.id)
def test_no_text_holds_a_dollar_sign(question):  # JupyterLab typesets what stands between two of them
    assert "$" not in repr(question)


@pytest.mark.parametrize("question", questions().values(), ids=lambda one: one.id)
def test_no_text_is_left_with_an_open_backtick(question):
    texts = [question.prompt, question.answers.short, question.answers.two_minutes]
    texts += [one.point for one in question.rubric]
    texts += [text for one in question.red_flags for text in (one.says, one.why)]
    assert [text for text in texts if text.count("`") % 2] == []


@pytest.mark.parametrize("question", questions().values(), ids=lambda one: one.id)
def test_the_two_minute_answer_says_more_than_the_short_one(question):
    assert len(question.answers.two_minutes.split()) >= 2 * len(question.answers.short.split())


LADDER = (  # "How does batch size affect batch norm?", and what an interviewer goes on with
    "how-does-batch-size-matter",
    "two-examples-per-batch",
    "training-or-estimates",
    "positions-are-not-samples",
    "group-or-batch-norm",
    "sync-batch-norm",
    "bigger-batch-less-noise",
    "large-batch-fails",
)


def test_the_ladder_of_batch_size_leads_from_rung_to_rung():
    steps = [(rung, above) for rung, above in pairwise(LADDER) if above not in questions()[rung].follow_ups]
    assert steps == []


@pytest.mark.parametrize("question", [one for one in questions().values() if one.code], ids=lambda one: one.id)
def test_code_is_python(question):
    ast.parse(question.code)


@pytest.mark.parametrize(
    ("name", "module"), [("review-a-layer", scenarios._SixMistakes), ("memory-by-the-step", scenarios._Attached)]
)
def test_the_forward_pass_that_is_shown_is_the_one_that_its_proof_runs(name, module):
    def forward_in(code):
        (found,) = [node for node in ast.walk(ast.parse(code)) if getattr(node, "name", "") == "forward"]
        return ast.dump(ast.Module(found.body, []))

    assert forward_in(questions()[name].code) == forward_in(inspect.getsource(module))


@pytest.mark.parametrize("question", questions().values(), ids=lambda one: one.id)
def test_the_model_answer_is_taken_to_make_every_point(question):
    answers = question.answers
    text = f"{answers.short}\n{answers.two_minutes}\n{answers.whiteboard}"
    assert suggest(question, text) == tuple(range(1, len(question.rubric) + 1))


# --- the loader


def test_a_good_file_is_read(tmp_path):
    (question,) = load(written(tmp_path, GOOD)).values()
    assert (question.id, question.answers.short, question.proof) == ("why-eps", "A floor.", "eps_caps_the_gain")
    assert [point.weight for point in question.rubric] == [1, 2, 3]
    assert question.source is None


def test_what_a_question_shows_and_links_to_is_read(tmp_path):
    links = {"claim": "lr-tolerance-digits", "exercise": "batch_norm_forward", "code": "x\n" * 19 + "x" * 76}
    rubric = [{**GOOD["rubric"][0], "says": ["a floor", "caps the gain"]}, *GOOD["rubric"][1:]]
    (question,) = load(written(tmp_path, {**GOOD, **links, "rubric": rubric})).values()
    assert {name: getattr(question, name) for name in links} == links
    assert [point.says for point in question.rubric] == [("a floor", "caps the gain"), (), ()]
    assert question.plot is None


def test_questions_follow_up_across_files(tmp_path):
    written(tmp_path, changed(["follow_ups"], ["other"]))
    written(tmp_path, {**GOOD, "id": "other", "topic": "backward"}, topic="backward")
    assert list(load(tmp_path)) == ["other", "why-eps"]


BAD = {
    "missing key": (["prompt"], None, "expected the keys id, .*, got one without prompt"),
    "missing id": (["id"], None, "numerics.yaml: 1: expected the keys id, .*, got one without id"),
    "unknown key": (["claims"], "x", "expected the keys id, .*, got one with the unknown claims"),
    "missing depth": (["answers", "whiteboard"], None, "answers: expected the keys short, .*, got one without whiteb"),
    "unknown key in a point": (["rubric", 0, "w"], 1, r"rubric\[0\]: expected the keys point, .*, got .* unknown w"),
    "level": (["level"], "easy", "level: expected one of screen, core, deep, research, got 'easy'"),
    "role": (["roles", 0], "CEO", r"roles\[0\]: expected one of data scientist, .*, any, got 'CEO'"),
    "roles not a list": (["roles"], "any", "roles: expected a list, got 'any'"),
    "no role": (["roles"], [], "roles: expected at least 1, got 0"),
    "id with a space": (["id"], "why eps", "id: expected lower case with hyphens, got 'why eps'"),
    "topic of another file": (["topic"], "backward", "topic: expected the file's name, numerics, got 'backward'"),
    "chapter": (["chapter"], "03", "chapter: expected one of 00_start_here, .*, got '03'"),
    "proof left blank": (["proof"], "", "proof: expected text, got an empty string"),
    "phrases not a list": (["rubric", 0, "says"], "a floor", r"rubric\[0\]: says: expected a list, got 'a floor'"),
    "phrase in capitals": (
        ["rubric", 2, "says"],
        ["a floor", "A Floor"],
        r"rubric\[2\]: says: .* case.*, got 'A Floor'",
    ),
    "phrase with a blank": (["rubric", 0, "says"], ["floor "], r"rubric\[0\]: says: .* blanks .*, got 'floor '"),
    "too much code": (["code"], "x\n" * 21, "code: expected at most 20 lines, got 21"),
    "code wider than a terminal": (["code"], "x\n" + "x" * 77, "code: expected lines of at most 76 char.*, got 77"),
    "empty prompt": (["prompt"], " ", "prompt: expected text, got an empty string"),
    "empty answer": (["answers", "two_minutes"], "", "answers: two_minutes: expected text, got an empty string"),
    "text that YAML takes for something else": (["red_flags", 0, "says"], True, r"says: expected text, got True"),
    "answers in a list": (["answers"], ["A floor."], r"answers: expected a mapping, got \['A floor.'\]"),
    "two points": (["rubric"], GOOD["rubric"][:2], "rubric: expected at least 3 points, got 2"),
    "weight in words": (["rubric", 0, "weight"], "two", "weight: expected a whole number, got 'two'"),
    "weight yes": (["rubric", 0, "weight"], True, "weight: expected a whole number, got True"),
    "weight 0": (["rubric", 0, "weight"], 0, "weight: expected at least 1, got 0"),
    "no red flag": (["red_flags"], [], "red_flags: expected at least 1, got 0"),
    "too long for 30 seconds": (
        ["answers", "short"],
        "word " * 86,
        "answers: short: expected at most 85 words, got 86",
    ),
    "too long for two minutes": (
        ["answers", "two_minutes"],
        "a " * 341,
        "two_minutes: expected at most 340 words, got 341",
    ),
    "wider than a terminal": (["answers", "whiteboard"], "x\n" + "x" * 77, "expected lines of at most 76 .*, got 77"),
    "follow-up to nothing": (["follow_ups"], ["nowhere"], "follow_ups: expected ids of other questions, got 'nowhere'"),
    "follow-up to itself": (["follow_ups"], ["why-eps"], "follow_ups: expected ids of other questions, got 'why-eps'"),
}


@pytest.mark.parametrize(("path", "value", "message"), BAD.values(), ids=BAD)
def test_a_bad_entry_is_refused_in_one_line(path, value, message, tmp_path):
    entry = changed(path, value)
    with pytest.raises(ValueError, match=message) as caught:
        load(written(tmp_path, entry))
    name = entry.get("id", 1)
    assert re.match(rf"numerics\.yaml: {name}: ", str(caught.value))
    assert "\n" not in str(caught.value)


DEAD_LINKS = {
    "proof": ("trust_me", "expected the name of a function in proofs"),
    "claim": ("it-is-good", "expected the id of a claim"),
    "exercise": ("why-eps", "expected the id of an exercise"),
    "plot": ("loss", "expected the name of a plot in plots"),
}


@pytest.mark.parametrize(("name", "got", "expected"), [(key, *two) for key, two in DEAD_LINKS.items()])
def test_a_link_to_nothing_is_refused_in_one_line(name, got, expected, tmp_path):
    bank = load(written(tmp_path, {**GOOD, name: got}))
    with pytest.raises(ValueError, match=rf"^numerics\.yaml: why-eps: {name}: {expected}, got '{got}'$"):
        check_links(bank)


def test_answers_of_exactly_the_most_words_are_read(tmp_path):
    written(tmp_path, changed(["answers"], {"short": "a " * 85, "two_minutes": "a " * 340, "whiteboard": "x" * 76}))
    assert len(load(tmp_path)) == 1


@pytest.mark.parametrize("topic", ["numerics", "backward"])
def test_an_id_that_stands_twice_is_refused(topic, tmp_path):
    if topic == "numerics":
        written(tmp_path, GOOD, GOOD)
    else:
        written(written(tmp_path, GOOD), {**GOOD, "topic": "backward"}, topic="backward")
    with pytest.raises(ValueError, match=r"^numerics\.yaml: why-eps: expected an id of its own, got that of .* in "):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id: why-eps", "expected a list of questions, got dict"),
        ("", "expected a list of questions, got NoneType"),
        ("- why-eps", "1: expected a mapping, got 'why-eps'"),
        ("- id: [\n", "expected YAML, got while parsing"),
        ("- !!python/object/apply:os.getcwd []", "expected YAML, got could not determine a constructor"),
        (
            "- prompt: One?\n  answers: {}\n  prompt: Two?\n",
            'expected YAML, got prompt twice in "<unicode string>", line 1,',
        ),
    ],
)
def test_a_file_of_another_shape_is_refused_in_one_line(text, message, tmp_path):
    (tmp_path / "numerics.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"^numerics\.yaml: {message}") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


# --- what chapters recall


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "expected a mapping, got list"),
        ('"99": []', r"expected one of 00, 01, (\d\d, )+11, 12, 13, (\d\d, )+\d\d in quotation marks, got '99'"),
        ("03: []", "in quotation marks, got 3"),
        ('"05": 3', "05: expected a list, got 3"),
        ('"05": []', "05: expected 3 different ids, got none"),
        ('"05": [four-lines, derive-dx]', "05: expected 3 different ids, got four-lines, derive-dx"),
        ('"05": [four-lines, derive-dx, gaussian, four-lines]', "05: expected 3 different ids, got four-lines, "),
        ('"05": [four-lines, derive-dx, four-lines]', "05: expected 3 different ids, got four-lines, "),
        ('"05": [four-lines, derive-dx, nowhere]', "05: expected ids of questions, got 'nowhere'"),
        (
            '"03": [gaussian, four-lines, derive-dx]',
            "expected questions of earlier chapters, got 'four-lines' of 03_mech",
        ),
    ],
)
def test_a_bad_recall_is_refused_in_one_line(text, message, tmp_path):
    file = tmp_path / "recall.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"^recall\.yaml: .*{message}") as caught:
        load_recalls(questions(), file)
    assert "\n" not in str(caught.value)


def test_recalls_come_as_questions_in_the_order_of_the_file():
    written_there = yaml.safe_load(RECALLS.read_text(encoding="utf-8"))["03"]
    assert [question.id for question in recalls()["03"]] == written_there


def test_the_readme_counts_the_questions():
    readme = (NOTEBOOKS.parent / "README.md").read_text(encoding="utf-8")
    assert f"A bank of {len(questions())} questions" in readme
