import shutil
from pathlib import Path

import numpy as np
import pytest

from bnlab.experiments import studies
from bnlab.experiments.claims import ledger
from bnlab.experiments.claims.ledger import FILE
from tools import studies as tool

CHEAP = "signal_propagation"


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The stored results and the README, to be written to."""
    shutil.copytree(studies.RESULTS, tmp_path / "results")
    shutil.copy(tool.README, tmp_path)
    for module in (studies, tool):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(tool, "FILE", tmp_path / "results" / FILE.name)
    monkeypatch.setattr(tool, "README", tmp_path / "README.md")
    monkeypatch.setattr(tool.runtime, "set_threads", lambda: 1)
    return tmp_path


def test_a_study_that_is_not_stored_is_computed_and_gives_the_ledgers_numbers(copy, capsys):
    stored = studies.result(CHEAP).numbers()
    (copy / "results" / f"{CHEAP}.json").unlink()
    readme = (copy / "README.md").read_text()
    (copy / "README.md").write_text(tool.with_table(readme, "nothing"))
    assert tool.main([]) == 0
    assert capsys.readouterr().out.startswith(f"{CHEAP}: ")
    for name, array in studies.result(CHEAP).numbers().items():
        np.testing.assert_allclose(array, stored[name], rtol=1e-3)  # elsewhere a sum may be rounded in another order
    assert (copy / "README.md").read_text() == readme
    assert Path(copy / "results" / FILE.name).exists()


@pytest.mark.usefixtures("copy")
def test_nothing_is_computed_where_everything_is_current(capsys):
    assert tool.main([]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("old", "new"), [('"code": "', '"code": "0'), ('"seeds": [0, ', '"seeds": [11, ')])
def test_a_study_of_other_settings_or_code_is_not_current(copy, old, new):
    file = copy / "results" / f"{CHEAP}.json"
    assert tool.is_current(CHEAP)
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    assert not tool.is_current(CHEAP)


def test_an_unknown_study_is_refused(capsys):
    with pytest.raises(SystemExit):
        tool.main(["nothing"])
    assert "expected names of studies (running_statistics, " in capsys.readouterr().err


def test_a_readme_without_a_place_for_the_table_is_refused():
    with pytest.raises(ValueError, match=r"expected the comments <!-- ledger --> .* in the README"):
        tool.with_table("# bnlab\n", "| table |")


def test_the_table_takes_the_place_of_the_one_before():
    readme = "before\n<!-- ledger -->\nold\n<!-- end of the ledger -->\nafter\n"
    table = ledger()._repr_markdown_()
    once = tool.with_table(readme, table)
    assert once == f"before\n<!-- ledger -->\n\n{table}\n\n<!-- end of the ledger -->\nafter\n"
    assert tool.with_table(once, table) == once
