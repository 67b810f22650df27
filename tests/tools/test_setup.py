"""The set-up script and the Makefile, run with Pythons that only pretend: to be old, to lack venv, to install."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("sh", "make", "awk", "cat", "cksum", "chmod", "cp", "find", "mkdir", "rm", "tail")
NO_VENV = "without venv: on Debian or Ubuntu, apt install python3-venv"
FAKE_PYTHON = """#!/bin/sh
case "$*" in
    -c*) exec "{real}" -c 'import sys
{pretence}
exec(sys.argv[1])' "$2" ;;
    "-m venv --clear --upgrade-deps .venv") {clear}; rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    "-m pip install"*)
        tail -n 1 "$0" >>../pip.log # which fake this is
        echo 'Collecting torch'
        echo '  Downloading torch-2.13.0.whl (890.1 MB)'
        echo '  Downloading six-1.17.0.whl (11 kB)'
        echo 'WARNING: a word from pip' >&2
        {pip} ;;
    *) echo "an unexpected call: $*" >&2; exit 99 ;;
esac
exit
"""

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


class Clone:
    """A folder with what the set-up reads, and a PATH on which it finds only the Pythons put there."""

    def __init__(self, folder):
        self.folder, self.path = folder / "my clone", folder / "bin"  # a space, since people have them in their paths
        self.log = folder / "pip.log"
        self.path.mkdir()
        for tool in TOOLS:
            (self.path / tool).symlink_to(shutil.which(tool))
        (self.folder / "tools").mkdir(parents=True)
        for name in ("Makefile", "pyproject.toml", "constraints.txt", "tools/setup.sh"):
            shutil.copy(ROOT / name, self.folder / name)

    def put_python(self, name="python3", version=(3, 12, 1), *, venv=True, clear=":", pip=":"):
        pretence = f"sys.version_info = {version}" + ("" if venv else '\nsys.modules["ensurepip"] = None')
        fake = FAKE_PYTHON.format(real=sys.executable, pretence=pretence, clear=clear, pip=pip) + f"# {name}\n"
        self.put(name, fake)

    def put(self, name, text):
        (self.path / name).write_text(text)
        (self.path / name).chmod(0o755)

    def make(self, *arguments):
        environment = {"PATH": str(self.path), "HOME": str(self.folder)}
        return subprocess.run(
            ["make", "-s", *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def installations(self):
        return self.log.read_text().count("#") if self.log.exists() else 0


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path)


@pytest.fixture
def ready(clone):
    clone.put_python()
    assert clone.make("setup").returncode == 0
    return clone


def test_setup_installs_once_and_then_says_nothing(clone):
    clone.put_python()
    first, second = clone.make("setup"), clone.make("setup")
    assert first.returncode == second.returncode == 0
    assert second.stdout == second.stderr == ""
    assert clone.installations() == 1


def test_setup_shows_large_downloads_and_all_that_pip_warns_of(clone):
    clone.put_python()
    result = clone.make("setup")
    assert result.stdout.splitlines() == [
        "setup: making .venv with python3 and installing into it, once; this takes some minutes",
        "setup: Downloading torch-2.13.0.whl (890.1 MB)",
        "setup: done",
    ]
    assert result.stderr == "WARNING: a word from pip\n"


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_file_is_installed_anew_and_a_touched_one_is_not(ready, name):
    os.utime(ready.folder / name, (0, 0))  # as a git checkout may do
    ready.make("setup")
    assert ready.installations() == 1
    with (ready.folder / name).open("a") as file:
        file.write("# changed\n")
    ready.make("setup")
    assert ready.installations() == 2


def test_a_moved_clone_is_installed_anew(ready):
    ready.folder = ready.folder.rename(ready.folder.with_name("moved"))
    ready.make("setup")
    assert ready.installations() == 2


def test_a_python_that_is_gone_is_replaced(ready):
    link = ready.folder / ".venv/bin/python"
    link.unlink()
    link.symlink_to("/gone/python3")
    assert ready.make("setup").returncode == 0
    assert ready.installations() == 2


def test_a_failed_installation_stops_make_and_is_tried_again(clone):
    clone.put_python(pip="echo 'ERROR: no space left' >&2; exit 1")
    result = clone.make("setup")
    assert result.returncode != 0
    assert "ERROR: no space left\nsetup: stopped" in result.stderr
    assert "done" not in result.stdout
    clone.put_python()
    assert clone.make("setup").returncode == 0
    assert clone.installations() == 2


@pytest.mark.parametrize("signal", ["INT", "TERM", "KILL"])
def test_an_interrupted_installation_is_begun_anew(clone, signal):
    clone.put_python(pip=f"kill -{signal} $$")
    assert clone.make("setup").returncode != 0
    clone.put_python()
    assert clone.make("setup").returncode == 0
    assert clone.make("setup").stdout == ""


@pytest.mark.parametrize("step", ["clear", "pip"])
def test_an_interrupted_renewal_is_begun_anew(ready, step):
    ready.put_python(**{step: "kill -KILL $$"})
    constraints = ready.folder / "constraints.txt"
    original = constraints.read_text()
    constraints.write_text(original + "# changed\n")
    assert ready.make("setup").returncode != 0
    constraints.write_text(original)  # back to what a complete .venv was once made from
    ready.put_python()
    before = ready.installations()
    ready.make("setup")
    assert ready.installations() == before + 1


def test_the_first_python_that_can_serve_is_taken(clone):
    clone.put_python("python3", (3, 9, 2))
    clone.put("python3.13", "#!/bin/sh\necho 'shim: no such version' >&2\nexit 127\n")
    clone.put_python("python3.12", venv=False)
    clone.put_python("python3.11", (3, 11, 0))
    clone.put_python("python3.14", (3, 14, 0))
    assert clone.make("setup").returncode == 0
    assert clone.log.read_text() == "# python3.11\n"


def test_python_names_the_interpreter(clone):
    clone.put_python("python3")
    clone.put_python("another python", (3, 13, 0))
    clone.make("setup", f"PYTHON={clone.path}/another python")
    assert clone.log.read_text() == "# another python\n"


def test_another_python_than_that_of_the_venv_makes_it_anew_and_the_same_one_does_not(ready):
    ready.make("setup", "PYTHON=python3")
    assert ready.installations() == 1
    ready.put_python("other")
    other = ready.path / "other"
    other.write_text(other.read_text().replace("import sys\n", 'import sys; sys.base_prefix = "/other"\n'))
    ready.make("setup", "PYTHON=other")
    assert ready.installations() == 2
    ready.make("setup")  # and without a name, what stands is kept
    assert ready.installations() == 2


@pytest.mark.parametrize(
    ("pythons", "found"),
    [
        ([], "none"),
        ([("python3", (3, 10, 13), True)], "python3 (3.10.13, too old)"),
        ([("python3", (2, 7, 18), True)], "python3 (2.7.18, too old)"),
        ([("python3", (3, 15, 0), True)], "python3 (3.15.0, too new for the torch used here)"),
        ([("python3", (3, 12, 1), False)], f"python3 (3.12.1, {NO_VENV})"),
        (
            [("python3", (3, 9, 2), True), ("python3.12", (3, 12, 1), False)],
            f"python3 (3.9.2, too old); python3.12 (3.12.1, {NO_VENV})",
        ),
    ],
    ids=["none", "too_old", "python_2", "too_new", "no_venv", "two"],
)
def test_without_a_python_that_can_serve_one_line_says_why(clone, pythons, found):
    for name, version, venv in pythons:
        clone.put_python(name, version, venv=venv)
    result = clone.make("setup")
    assert result.returncode != 0
    assert result.stdout == ""
    assert result.stderr.splitlines()[0] == (
        f"setup: needs a Python from 3.11 to 3.14 that has venv. Found: {found}. "
        "Another can be named: make PYTHON=/path/to/python3"
    )
    assert all(line.startswith("make: ") for line in result.stderr.splitlines()[1:])
    assert clone.installations() == 0


def test_a_broken_shim_and_a_wrong_name_are_told_as_such(clone):
    clone.put("python3", "#!/bin/sh\nexit 127\n")
    assert "Found: python3 (does not run)." in clone.make("setup").stderr
    assert "Found: python9 (not found)." in clone.make("setup", "PYTHON=python9").stderr


def test_a_failed_choice_leaves_the_venv_that_stands(ready):
    assert ready.make("setup", "PYTHON=python9").returncode != 0
    ready.make("setup")
    assert ready.installations() == 1


def test_the_bounds_are_those_of_the_package():
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    script = (ROOT / "tools/setup.sh").read_text()
    older, newer = re.findall(r"sys\.version_info\[:2\] (< .*|> .*):", script)
    assert (older, newer) == ("< (3, 11)", "> (3, 14)")
    assert "from 3.11 to 3.14" in script
    assert package == ">=3.11,<3.15"


def test_help_is_the_default_and_names_every_target_within_80_columns(clone):
    result = clone.make()
    described = [line.split()[1] for line in result.stdout.splitlines()]
    declared = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE).group(1).split()
    assert described == declared
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_clean_removes_the_venv_and_caches_and_never_my(clone):
    kept = [clone.folder / "my/00_start_here.ipynb", clone.folder / "notebooks/00_start_here.ipynb"]
    removed = [clone.folder / name for name in (".venv/bin", ".mypy_cache", "bnlab/a/__pycache__", "tests", "dist")]
    for path in [*kept, *removed]:
        path.mkdir(parents=True)
    clone.make("clean")
    assert all(path.exists() for path in kept)
    assert not any((clone.folder / name).exists() for name in (".venv", ".mypy_cache", "bnlab/a/__pycache__", "dist"))


def test_lab_copies_first_and_passes_its_arguments_on(clone):
    commands = clone.make("-n", "lab", "LAB_ARGS=--no-browser --port 9123").stdout
    copies, lab = commands.splitlines()[-2:]
    assert copies.endswith("-m tools.copies")
    assert lab.endswith(" --no-browser --port 9123 my/00_start_here.ipynb")
    assert "token" not in lab
    assert "password" not in lab


def test_reset_hands_over_even_an_empty_name(clone):
    assert clone.make("-n", "reset").stdout.endswith('-m tools.copies --reset ""\n')
    assert clone.make("-n", "reset", "CH=04").stdout.endswith('-m tools.copies --reset "04"\n')


@pytest.mark.parametrize("status", [0, 1])
def test_test_leaves_no_temporary_folder_and_keeps_pytests_verdict(ready, status):
    temporary = ready.folder.parent / "tmp"
    temporary.mkdir()
    (ready.path / "mktemp").symlink_to(shutil.which("mktemp"))
    pytest_stand_in = f'#!/bin/sh\nmkdir "$BNLAB_DATA_DIR"; echo "$BNLAB_DATA_DIR" "$@"; exit {status}\n'
    (ready.folder / ".venv/bin/python").write_text(pytest_stand_in)
    result = ready.make("test", f"TMPDIR={temporary}", "PYTEST_ARGS=-k variance")
    assert (result.returncode != 0) == (status != 0)
    assert result.stdout.startswith(str(temporary))
    assert result.stdout.endswith("-n auto --dist loadscope -k variance\n")
    assert list(temporary.iterdir()) == []
