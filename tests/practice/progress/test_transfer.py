import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from bnlab.practice.progress import Progress
from tests.practice.progress.children import DIE_BEFORE, ask, run, start

WEDNESDAY = datetime(2026, 3, 4, 20, 15, tzinfo=UTC)
MARKS = {"kind": "quiz", "points": (1,), "red_flags": (), "score": 0.1}
TABLES = ("attempts", "predictions", "requests", "answers", "sittings", "choices")
IMPORT = "progress.import_(sys.argv[3])"
IMPORT_ON_A_FULL_DISK = """
size = progress.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
try:
    progress.import_(sys.argv[2])
except ValueError as error:
    print(error)
"""
EXPORT_TO_A_FULL_DISK = """
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
try:
    progress.export(sys.argv[2])
except ValueError as error:
    print(error)
"""


def used(directory, *, day=0, name="here"):
    """Progress with a row or two in every table."""
    progress = Progress(directory)
    progress.record_attempt("task", f"def f(): {name!r}  # é", passed=False, misconception="wrong-axes")
    progress.record_prediction(f"prediction-{name}", "a", 60)
    progress.record_request("task", "hint", 1)
    sitting = progress.begin_sitting("pretest", {"seed": name})
    progress.record_choice(sitting, "item", "b")
    progress.end_sitting(sitting)
    mock = progress.begin_sitting("mock", {"minutes": 30, "seed": name})
    progress.record_answer("question", **MARKS, text=name, sitting=mock, at=WEDNESDAY + timedelta(days=day))
    progress.record_answer("question", **MARKS, text=name, at=WEDNESDAY + timedelta(days=day + 2))
    assert progress.notice is None
    return progress


def content(progress):
    return {table: ask(progress.path, f"SELECT * FROM {table} ORDER BY rowid") for table in TABLES}


def counts(**given):
    return dict.fromkeys(TABLES, 0) | given


@pytest.fixture
def here(tmp_path):
    return used(tmp_path / "here")


@pytest.fixture
def there(tmp_path):
    return used(tmp_path / "there", day=1, name="there")


@pytest.fixture
def exported(there, tmp_path):
    there.export(tmp_path / "there.json")
    return tmp_path / "there.json"


# --- there and back


def test_an_export_comes_back_as_it_was(there, exported, tmp_path):
    new = Progress(tmp_path / "new")
    assert new.import_(exported) == counts(attempts=1, predictions=1, requests=1, answers=2, sittings=2, choices=1)
    assert content(new) == content(there)
    new.export(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == exported.read_bytes()


def test_an_export_says_what_it_is(there, tmp_path):
    assert there.export(tmp_path / "there.json")["answers"] == 2
    document = json.loads((tmp_path / "there.json").read_text(encoding="utf-8"))
    assert (document["format"], document["version"]) == ("bnlab progress", 1)
    assert document["tables"]["answers"][0] == {
        "question": "question",
        "kind": "quiz",
        "sitting": 2,
        "points": "[1]",
        "red_flags": "[]",
        "score": 0.1,
        "confidence": None,
        "text": "there",
        "seconds": 0.0,
        "at": "2026-03-05T20:15:00.000000+00:00",
    }


def test_an_old_file_is_exported_with_its_tables(there, tmp_path):
    for table in ("answers", "sittings", "choices"):
        ask(there.path, f"DROP TABLE {table}")
    ask(there.path, "PRAGMA user_version = 1")
    assert there.export(tmp_path / "there.json") == counts(attempts=1, predictions=1, requests=1)


def test_what_was_damaged_is_not_exported_and_a_notice_says_so(there, tmp_path):
    ask(there.path, "UPDATE answers SET score = 'high' WHERE sitting IS NULL")
    assert there.export(tmp_path / "there.json")["answers"] == 1
    assert there.notice == f"Of your answers, 1 could not be read ({there.path})."


# --- merging


def test_to_import_twice_adds_nothing(here, exported):
    here.import_(exported)
    before = content(here)
    assert here.import_(exported) == counts()
    assert content(here) == before


def test_to_import_what_is_already_here_adds_nothing(there, exported):
    before = content(there)
    assert there.import_(exported) == counts()
    assert content(there) == before


def test_equal_attempts_stay_as_many_as_there_were(here, tmp_path):
    row = "('task', 'same', 1, NULL, '2026-03-04T20:15:00+00:00')"  # twice within a second
    ask(here.path, f"INSERT INTO attempts VALUES {row}, {row}")
    here.export(tmp_path / "here.json")
    new = Progress(tmp_path / "new")
    assert new.import_(tmp_path / "here.json")["attempts"] == 3
    assert new.import_(tmp_path / "here.json")["attempts"] == 0
    ask(new.path, "DELETE FROM attempts WHERE rowid = (SELECT max(rowid) FROM attempts WHERE source = 'same')")
    assert new.import_(tmp_path / "here.json")["attempts"] == 1


def test_two_machines_answers_merge_in_order_of_time(here, exported):
    here.import_(exported)
    assert [one.text for one in here.answers("question")] == ["here", "there", "here", "there"]


def test_two_machines_attempts_merge_in_order_of_time(tmp_path):
    here, there = Progress(tmp_path / "here"), Progress(tmp_path / "there")
    here.record_attempt("task", "first", passed=False)
    there.record_attempt("task", "second", passed=False)
    here.record_attempt("task", "third", passed=True)
    there.export(tmp_path / "there.json")
    here.import_(tmp_path / "there.json")
    assert [one.source for one in here.attempts("task")] == ["first", "second", "third"]
    assert here.failures() == {}


def test_the_order_of_one_machine_outlives_a_clock_that_was_set_back(here, exported):
    for source, day in (("a", 9), ("b", 3)):
        ask(here.path, f"INSERT INTO attempts VALUES ('clock', '{source}', 1, NULL, '2026-03-0{day}T20:15:00+00:00')")
    here.import_(exported)
    assert [one.source for one in here.attempts("clock")] == ["a", "b"]


def test_machines_merge_to_the_same_whichever_imports(here, there, tmp_path):
    for one in (here, there):
        one.record_prediction("both", one.path.parent.name, 50)
        one.export(tmp_path / f"{one.path.parent.name}.json")
    here.import_(tmp_path / "there.json")
    there.import_(tmp_path / "here.json")
    for table in ("attempts", "predictions", "requests"):
        assert content(here)[table] == content(there)[table]
    assert [(one.text, one.at) for one in here.answers()] == [(one.text, one.at) for one in there.answers()]


@pytest.mark.parametrize("importing", ["here", "there"])
def test_the_earlier_commitment_counts(tmp_path, importing):
    machines = {name: Progress(tmp_path / name) for name in ("here", "there")}
    for name, machine in machines.items():
        machine.record_prediction("both", name, 50)
        machine.export(tmp_path / f"{name}.json")
    (other,) = {"here", "there"} - {importing}
    added = machines[importing].import_(tmp_path / f"{other}.json")
    assert machines[importing].predictions()["both"].choice == "here"
    assert added == counts(predictions=importing == "there")


def test_sittings_of_one_number_stay_apart(here, there, exported):
    here.import_(exported)
    found = {(one.kind, one.about["seed"]): one.number for one in here.sittings()}
    assert len(set(found.values())) == 4
    for seed in ("here", "there"):
        assert [one.text for one in here.answers(sitting=found["mock", seed])] == [seed]
        assert here.choices(found["pretest", seed]) == {"item": "b"}


def test_a_sitting_that_ended_here_and_there_keeps_the_end_that_it_has_here(there, tmp_path):
    (mock,) = there.sittings("mock")
    there.export(tmp_path / "open.json")
    elsewhere = Progress(tmp_path / "elsewhere")
    elsewhere.import_(tmp_path / "open.json")
    elsewhere.end_sitting(elsewhere.sittings("mock")[0].number)
    there.end_sitting(mock.number)
    (before,) = there.sittings("mock")
    elsewhere.export(tmp_path / "ended.json")
    there.import_(tmp_path / "ended.json")
    assert there.sittings("mock") == [before]


def test_a_sitting_that_ended_since_ends_here_too(there, exported, tmp_path):
    new = Progress(tmp_path / "new")
    new.import_(exported)
    (mock,) = there.sittings("mock")
    there.end_sitting(mock.number)
    there.export(tmp_path / "later.json")
    assert new.import_(tmp_path / "later.json") == counts()
    assert new.sittings("mock") == there.sittings("mock")
    assert new.import_(exported) == counts()
    assert new.sittings("mock") == there.sittings("mock")


# --- what is refused


def test_an_export_replaces_no_file(here, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text("mine")
    with pytest.raises(ValueError, match="expected the name of a new file, got one that exists"):
        here.export(path)
    assert path.read_text() == "mine"


def test_an_export_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no progress to export"):
        Progress(tmp_path / "new").export(tmp_path / "new.json")
    assert list(tmp_path.iterdir()) == []


def test_an_export_into_no_folder_is_refused(here, tmp_path):
    with pytest.raises(ValueError, match="No such file or directory"):
        here.export(tmp_path / "nowhere" / "here.json")


def test_an_export_to_a_full_disk_leaves_nothing_behind(here, tmp_path):
    path = tmp_path / "here.json"
    assert run(EXPORT_TO_A_FULL_DISK, here.path.parent, str(path)) == [f"{path}: File too large"]
    assert not path.exists()


def changed(document, *keys, value):
    """A document with one value changed, or taken out if the value is `...`."""
    inner = document
    for key in keys[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    return document


WRONG = {
    "no_mapping": (lambda _: [], "expected an export of the progress"),
    "other_json": (lambda _: {"cells": []}, "expected an export of the progress"),
    "newer": (lambda d: changed(d, "version", value=2), "expected version 1, got 2"),
    "no_version": (lambda d: changed(d, "version", value=...), "expected version 1, got None"),
    "lost_table": (lambda d: changed(d, "tables", "answers", value=...), "expected the tables attempts, "),
    "tables_of_another_kind": (lambda d: changed(d, "tables", value=7), "expected the tables attempts, "),
    "table_of_another_kind": (lambda d: changed(d, "tables", "answers", value={}), "answers: expected a list, got {}"),
    "row_of_another_kind": (lambda d: changed(d, "tables", "answers", 0, value=[1]), "answers: expected mappings of"),
    "lost_column": (lambda d: changed(d, "tables", "answers", 0, "score", value=...), "answers: expected mappings of"),
    "extra_column": (lambda d: changed(d, "tables", "answers", 0, "mood", value=1), "answers: expected mappings of"),
    "bad_value": (lambda d: changed(d, "tables", "answers", 1, "score", value=2), "answers: score: expected a number"),
    "bad_time": (
        lambda d: changed(d, "tables", "choices", 0, "at", value="now"),
        "choices: at: expected a time in UTC",
    ),
    "unknown_sitting": (
        lambda d: changed(d, "tables", "choices", 0, "sitting", value=9),
        "choices: expected the number",
    ),
    "answer_of_none": (
        lambda d: changed(d, "tables", "answers", 0, "sitting", value=9),
        "answers: expected the number",
    ),
    "number_twice": (lambda d: changed(d, "tables", "sittings", 1, "number", value=1), "got 1 2 times"),
}


@pytest.mark.parametrize(("wrong", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_refused_in_one_line_and_changes_nothing(here, exported, wrong, message):
    exported.write_text(json.dumps(wrong(json.loads(exported.read_text(encoding="utf-8")))), encoding="utf-8")
    before = here.path.read_bytes()
    with pytest.raises(ValueError, match="expected") as caught:
        here.import_(exported)
    assert str(caught.value).startswith(f"{exported}: ")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert here.path.read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda old: old[: len(old) // 2],
        lambda old: b"",
        lambda old: b"\xff" + old,
        lambda old: b"[" * 100_000,
    ],
    ids=["half", "empty", "not_text", "deep"],
)
def test_a_damaged_file_is_refused_in_one_line_and_changes_nothing(here, exported, damage):
    exported.write_bytes(damage(exported.read_bytes()))
    before = here.path.read_bytes()
    with pytest.raises(ValueError, match="expected JSON, got") as caught:
        here.import_(exported)
    assert len(str(caught.value).splitlines()) == 1
    assert here.path.read_bytes() == before


def test_a_file_that_is_not_there_is_refused_and_makes_no_progress(tmp_path):
    with pytest.raises(ValueError, match="No such file or directory"):
        Progress(tmp_path / "new").import_(tmp_path / "there.json")
    assert list(tmp_path.iterdir()) == []


def test_an_import_into_a_place_that_cannot_be_written_is_refused(exported, tmp_path):
    with pytest.raises(ValueError, match="This was not added to your progress: "):
        Progress(exported).import_(exported)


# --- interruptions


@pytest.mark.parametrize(
    "statement", ["UPDATE sittings", "INSERT INTO sittings", "DELETE FROM attempts", "INSERT INTO choices", "COMMIT"]
)
def test_an_import_that_is_killed_changes_nothing(here, there, exported, tmp_path, statement):
    if statement == "UPDATE sittings":  # is made for what is here already
        shutil.copytree(there.path.parent, tmp_path / "copy")
        here = Progress(tmp_path / "copy")
    before = content(here)
    child = start(DIE_BEFORE + IMPORT, here.path.parent, statement, str(exported))
    child.communicate(timeout=60)
    assert child.returncode == -9
    assert content(here) == before
    here.import_(exported)
    assert len(here.sittings()) == (2 if statement == "UPDATE sittings" else 4)
    assert here.notice is None


def test_an_import_on_a_full_disk_changes_nothing(here, there, tmp_path):
    there.record_attempt("task", "x" * 20_000, passed=True)
    there.export(tmp_path / "large.json")
    before = content(here)
    (message,) = run(IMPORT_ON_A_FULL_DISK, here.path.parent, str(tmp_path / "large.json"))
    assert message.startswith("This was not added to your progress: ")
    assert content(here) == before
