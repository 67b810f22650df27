import contextlib
import json
import os
import subprocess
import sys
from datetime import date

import pytest

from tools import copies
from tools.digest import sources_digest


def notebook(*sources, **metadata):
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "source": [source], "outputs": [], "execution_count": None}
        for i, source in enumerate(sources, start=1)
    ]
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def store(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


def contents(folder):
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


@pytest.fixture
def course(tmp_path):
    """A clone with two chapters and no my/ yet."""
    paired = {"jupytext": {"formats": "ipynb,py//py:percent"}, "bnlab": {"sources": "0"}, "kernelspec": {"name": "k"}}
    store(tmp_path / "notebooks/00_start_here.ipynb", notebook("1 + 1", **paired))
    store(tmp_path / "notebooks/04_backward.ipynb", notebook("2 + 2  # \u03b3", **paired))
    return tmp_path


@pytest.fixture
def today():
    return date.today().isoformat()


@pytest.fixture
def chapter(course):
    return course / "notebooks/04_backward.ipynb"


@pytest.fixture
def mine(course):
    copies.main([], course)
    return course / "my/04_backward.ipynb"


def test_a_copy_starts_without_outputs_so_that_a_prediction_is_not_answered_beneath_it(course):
    chapter = course / "notebooks" / "04_backward.ipynb"
    executed = load(chapter)
    executed["cells"][0] |= {
        "execution_count": 1,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": ["4\n"]}],
    }
    chapter.write_text(json.dumps(executed), encoding="utf-8")
    assert copies.main([], course) == 0
    copied = load(course / "my" / chapter.name)["cells"][0]
    assert copied["outputs"] == []
    assert copied["execution_count"] is None
    assert copied["source"] == executed["cells"][0]["source"]


def test_every_chapter_is_copied_with_its_cells(course, capsys):
    assert copies.main([], course) == 0
    assert capsys.readouterr().out == "copied to my/, where you can write freely: 00_start_here, 04_backward\n"
    for name in ("00_start_here.ipynb", "04_backward.ipynb"):
        assert load(course / "my" / name)["cells"] == load(course / "notebooks" / name)["cells"]


def test_a_copy_is_unpaired_and_carries_the_fingerprint_of_its_chapter(mine, chapter):
    fingerprint = sources_digest(load(chapter))
    assert load(mine)["metadata"] == {"bnlab": {"copied_from": fingerprint}, "kernelspec": {"name": "k"}}


def test_letters_beyond_ascii_are_stored_as_they_are(mine):
    assert "\u03b3" in mine.read_text(encoding="utf-8")  # a learner may read the file with git or an editor


def test_a_second_run_writes_nothing_and_says_nothing(course, mine, capsys):
    before, _ = contents(mine.parent), capsys.readouterr()
    assert copies.main([], course) == 0
    assert contents(mine.parent) == before
    assert capsys.readouterr().out == ""


def test_answers_are_never_overwritten(course, mine, chapter):
    answered = notebook("my answer", **load(mine)["metadata"])
    store(mine, answered)
    copies.main([], course)
    store(chapter, notebook("the chapter has changed"))
    copies.main([], course)
    assert load(mine) == answered


def test_a_deleted_copy_is_made_again(course, mine):
    mine.unlink()
    copies.main([], course)
    assert mine.exists()


def test_a_changed_chapter_is_offered_once_under_a_new_name(course, mine, chapter, today, capsys):
    store(chapter, notebook("the chapter has changed"))
    capsys.readouterr()
    copies.main([], course)
    offered = mine.with_name(f"04_backward_updated_{today}.ipynb")
    assert capsys.readouterr().out == (
        f"04_backward has changed since you copied it: the new one is my/{offered.name}\n"
    )
    assert load(offered)["cells"] == load(chapter)["cells"]
    copies.main([], course)
    assert capsys.readouterr().out == ""


def test_two_changes_on_one_day_are_two_files(course, mine, chapter, today):
    for change in ("first", "second"):
        store(chapter, notebook(change))
        copies.main([], course)
    names = {path.name for path in mine.parent.glob("04_*")}
    assert names == {
        "04_backward.ipynb",
        f"04_backward_updated_{today}.ipynb",
        f"04_backward_updated_{today}_2.ipynb",
    }


def test_a_renamed_offer_is_not_made_again(course, mine, chapter, today):
    store(chapter, notebook("the chapter has changed"))
    copies.main([], course)
    mine.with_name(f"04_backward_updated_{today}.ipynb").rename(mine.with_name("reading now.ipynb"))
    copies.main([], course)
    assert len(list(mine.parent.iterdir())) == 3


def test_new_outputs_alone_are_no_change(course, mine, chapter):
    executed = load(chapter)
    executed["cells"][0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["4\n"]}]
    store(chapter, executed)
    copies.main([], course)
    assert len(list(mine.parent.iterdir())) == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"cells": []}', "<<<<<<< mine"])
def test_a_damaged_copy_is_left_alone_with_a_word(course, mine, damage, capsys):
    mine.write_text(damage, encoding="utf-8")
    capsys.readouterr()
    assert copies.main([], course) == 0
    assert mine.read_text(encoding="utf-8") == damage
    assert len(list(mine.parent.iterdir())) == 2
    assert capsys.readouterr().out == (
        "my/04_backward.ipynb is not a readable notebook; it is left as it is, and make reset CH=04 gives a fresh one\n"
    )


def test_a_notebook_of_the_learners_own_is_not_mentioned(course, mine, capsys):
    store(mine.with_name("scratch.ipynb"), notebook("x"))
    mine.with_name("broken.ipynb").write_text("{", encoding="utf-8")
    capsys.readouterr()
    copies.main([], course)
    assert capsys.readouterr().out == ""


def test_a_link_that_leads_nowhere_is_not_replaced(course, mine):
    mine.unlink()
    mine.symlink_to("gone.ipynb")
    copies.main([], course)
    assert mine.is_symlink()


def test_a_damaged_chapter_is_named_and_the_others_copied(course, capsys):
    (course / "notebooks/00_start_here.ipynb").write_text("<<<<<<< HEAD", encoding="utf-8")
    assert copies.main([], course) == 0
    assert [path.name for path in (course / "my").iterdir()] == ["04_backward.ipynb"]
    assert "notebooks/00_start_here.ipynb is not a notebook; not copied\n" in capsys.readouterr().out


def test_a_my_that_is_a_file_ends_in_one_line(course, capsys):
    (course / "my").write_text("mine", encoding="utf-8")
    assert copies.main([], course) == 1
    assert capsys.readouterr().out.count("\n") == 1
    assert (course / "my").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("wanted", ["4", "04", "04_backward", "04_backward.ipynb"])
def test_reset_saves_the_old_copy_under_a_dated_name(course, mine, today, wanted, capsys):
    store(mine, notebook("my answer"))
    capsys.readouterr()
    assert copies.main(["--reset", wanted], course) == 0
    saved = mine.with_name(f"04_backward_saved_{today}.ipynb")
    assert load(saved) == notebook("my answer")
    assert load(mine)["cells"] == notebook("2 + 2  # \u03b3")["cells"]
    assert capsys.readouterr().out == f"your copy is now my/{saved.name}\nmy/04_backward.ipynb is fresh\n"


def test_reset_three_times_on_one_day_keeps_all_three(course, mine):
    for answer in ("first", "second", "third"):
        store(mine, notebook(answer))
        copies.main(["--reset", "04"], course)
    kept = [load(path)["cells"][0]["source"][0] for path in mine.parent.glob("04_backward_saved*")]
    assert sorted(kept) == ["first", "second", "third"]


def test_reset_saves_a_damaged_copy_too(course, mine, today):
    mine.write_text("{", encoding="utf-8")
    copies.main(["--reset", "04"], course)
    assert mine.with_name(f"04_backward_saved_{today}.ipynb").read_text(encoding="utf-8") == "{"


def test_reset_without_a_copy_makes_one(course):
    assert copies.main(["--reset", "04"], course) == 0
    assert [path.name for path in (course / "my").iterdir()] == ["04_backward.ipynb"]


def test_reset_of_a_damaged_chapter_leaves_the_copy(course, mine, chapter, capsys):
    chapter.write_text("{", encoding="utf-8")
    before, _ = contents(mine.parent), capsys.readouterr()
    assert copies.main(["--reset", "04"], course) == 1
    assert contents(mine.parent) == before
    assert capsys.readouterr().out == "notebooks/04_backward.ipynb is not a notebook\n"


@pytest.mark.parametrize(
    ("wanted", "fault"),
    [("", "no chapter"), ("9", "no chapter"), ("../04", "no chapter"), ("0", "several chapters")],
)
def test_reset_of_what_is_not_one_chapter_lists_what_there_is(course, mine, wanted, fault, capsys):
    store(course / "notebooks/00_other.ipynb", notebook("a merge left two chapters 00"))
    before, _ = contents(mine.parent), capsys.readouterr()
    assert copies.main(["--reset", wanted], course) == 1
    assert contents(mine.parent) == before
    assert capsys.readouterr().out == (
        f"CH={wanted} names {fault}; give the number or the name of one, as in make reset CH=01: "
        "00_other, 00_start_here, 04_backward\n"
    )


@pytest.mark.parametrize("arguments", [[], ["--reset", "04"]])
@pytest.mark.parametrize("step", ["write_text", "replace", "rename"])
def test_a_kill_at_any_step_loses_nothing_and_the_next_run_completes(course, mine, monkeypatch, arguments, step):
    store(mine, notebook("my answer"))
    mine.with_name("00_start_here.ipynb").unlink()

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(f"pathlib.Path.{step}", killed)
        copies.main(arguments, course)  # not every run comes to every step
    kept = [json.loads(text) for name, text in contents(mine.parent).items() if name.endswith(".ipynb")]
    assert notebook("my answer") in kept
    copies.main([], course)
    assert load(mine)["cells"]
    assert load(mine.with_name("00_start_here.ipynb"))["cells"]


def test_the_command_loads_the_standard_library_alone():
    program = "import sys, tools.copies; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "torch", "nbformat", "jupytext", "bnlab"} & set(loaded)


def test_copies_can_be_written_by_whoever_the_folder_is_shared_with(mine):
    umask = os.umask(0)
    os.umask(umask)
    assert mine.stat().st_mode & 0o777 == 0o666 & ~umask
