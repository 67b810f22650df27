import pytest
from typer.testing import CliRunner

from bnlab.cli.progress import app
from bnlab.practice.progress import Progress


@pytest.fixture
def invoke():
    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def exported(invoke, tmp_path):
    Progress().record_attempt("task", "", passed=True)
    Progress().record_attempt("task", "second", passed=True)
    Progress().record_request("task", "solution")
    path = tmp_path / "progress.json"
    assert invoke("export", path).exit_code == 0
    return path


def test_export_says_what_it_wrote(invoke, exported, tmp_path):
    path = tmp_path / "second.json"
    result = invoke("export", path)
    assert (result.exit_code, result.stdout) == (0, f"Exported to {path}: attempts 2, requests 1.\n")
    assert path.read_bytes() == exported.read_bytes()


def test_import_says_what_it_added(invoke, exported, tmp_path, monkeypatch):
    monkeypatch.setenv("BNLAB_DATA_DIR", str(tmp_path / "new"))
    assert invoke("import", exported).stdout == f"Imported from {exported}: attempts 2, requests 1.\n"
    assert invoke("import", exported).stdout == f"Imported from {exported}: nothing that was not there already.\n"
    assert len(Progress().attempts("task")) == 2


@pytest.mark.parametrize("command", ["export", "import"])
def test_what_is_refused_is_one_line_and_status_2(invoke, exported, command):
    exported.write_text("no JSON")
    result = invoke(command, exported)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"bnlab: {exported}: expected ")
    assert result.stderr.count("\n") == 1


def test_a_file_that_was_set_aside_is_told(invoke, exported):
    Progress().path.write_bytes(b"no database" * 100)
    result = invoke("import", exported)
    assert "attempts 2" in result.stdout
    assert result.stderr.startswith("bnlab: Your progress file was damaged.")
