"""Files that are missing, damaged or endless get one clear line, and none is written over."""

import pytest

from bnlab.practice.capstone import files
from tests.practice.capstone.conftest import write_page

DAMAGED_PAGES = {
    "def f(:": "batch_norm.py: line 1: invalid syntax; mend it, save, and try again.",
    "import nowhere": "batch_norm.py: expected a file that runs, got ModuleNotFoundError: No module named 'nowhere'.",
    "x = 1": "batch_norm.py: it defines no BatchNorm yet.",
    "BatchNorm = 3": "batch_norm.py: expected BatchNorm to be a class, got int.",
    "from torch.nn import BatchNorm1d as BatchNorm": (
        "batch_norm.py: expected BatchNorm to be written in it, got that of `torch.nn.modules.batchnorm`."
    ),
    "raise SystemExit": "batch_norm.py: expected a file that runs, got SystemExit:.",
    "while True:\n    pass": (
        "batch_norm.py: expected a file that only defines things, got one that runs longer than 0.2 s."
    ),
}
DAMAGED_SCRIPTS = {
    "def f(:": "train.py: line 1: invalid syntax; mend it, save, and try again.",
    "x = 1": "train.py: it defines no for_the_doctor yet.",
    "def for_the_doctor():\n    return 1 / 0": "train.py: expected for_the_doctor() to run, got ZeroDivisionError: ",
    "def for_the_doctor():\n    return {'model': 3}": "train.py: expected for_the_doctor() to run, got ValueError: ",
    "def for_the_doctor():\n    while True: pass": "train.py: expected a training of seconds, got one of over ",
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(files, "SECONDS_OF_THE_PAGE", 0.2)
    monkeypatch.setattr(files, "SECONDS_OF_THE_SCRIPT", 0.2)


@pytest.mark.parametrize("text", DAMAGED_PAGES)
def test_a_damaged_page_gets_one_line_and_counts_nothing(desk, latest, text):
    desk.begin(seed=1)
    (latest().folder / "batch_norm.py").write_text(text)
    note = desk.check()
    assert (note.headline, note.message) == ("batch_norm.py was not checked.", DAMAGED_PAGES[text])
    assert latest().checks() == []
    assert desk.report().result.parts["the module"] == (0, 0)


@pytest.mark.parametrize("text", DAMAGED_SCRIPTS)
def test_a_damaged_script_gets_one_line_and_the_doctor_may_look_again(desk, latest, text):
    desk.begin(seed=1)
    desk.name_bugs()
    (latest().folder / "train.py").write_text(text)
    note = desk.doctor()
    assert note.headline == "The doctor could not look at train.py."
    assert note.message.startswith(DAMAGED_SCRIPTS[text])
    assert "\n" not in note.message
    assert [*latest().events()] == ["bugs"]


@pytest.mark.parametrize("name", ["batch_norm.py", "train.py"])
def test_a_deleted_file_is_laid_again_and_the_other_is_left_alone(desk, latest, name):
    desk.begin(seed=1)
    folder = latest().folder
    fresh = (folder / name).read_text()
    [other] = {"batch_norm.py", "train.py"} - {name}
    (folder / other).write_text("mine")
    (folder / name).unlink()
    desk.name_bugs()
    note = desk.check() if name == "batch_norm.py" else desk.doctor()
    assert f"{name} is not in " in note.message
    assert f"Laid once more: {name}." in desk.begin().message
    assert ((folder / name).read_text(), (folder / other).read_text()) == (fresh, "mine")


def test_a_layer_that_never_ends_is_stopped(desk, latest, monkeypatch):
    monkeypatch.setattr("bnlab.practice.exercises.running.TIME_LIMIT", 0.2)
    desk.begin(seed=1)
    write_page(latest(), ("return self.Normalise.apply", "while True: pass\n        return self.Normalise.apply"))
    note = desk.check()
    assert "0 of 8 right" in note.headline
    assert note.message.count("It was stopped: 0.2 seconds had passed.") == 1


def test_a_folder_that_cannot_be_written_costs_no_time(desk, tmp_path):
    (tmp_path / "capstone").write_text("a file")
    with pytest.raises(ValueError, match=r"^the files of the capstone could not be written: "):
        desk.begin(seed=1)
    assert desk.status().headline == "No capstone is open."


def test_files_of_an_earlier_capstone_are_left_alone(desk, latest):
    desk.begin(seed=1)
    first = latest().folder
    (first / "batch_norm.py").write_text("mine")
    desk.report()
    desk.begin(seed=2)
    assert latest().folder != first
    assert (first / "batch_norm.py").read_text() == "mine"
