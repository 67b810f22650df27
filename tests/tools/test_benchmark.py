import shutil

import pytest

from bnlab.bench.report import MEASURED, Report
from bnlab.bench.shapes import DEFAULTS
from tools import benchmark as tool
from tools.readme import with_block


def test_the_readme_shows_the_benchmark_that_is_kept():
    kept = Report.from_json(MEASURED.read_text(encoding="utf-8"))
    readme = tool.README.read_text(encoding="utf-8")
    assert with_block(readme, kept._repr_markdown_(), name="benchmark") == readme
    assert [str(one.shape) for one in kept.measured] == DEFAULTS.split(",")
    assert kept.machine.date in readme


def test_a_benchmark_that_has_run_is_kept_and_shown(tmp_path, monkeypatch, capsys):
    shutil.copy(tool.README, tmp_path)
    monkeypatch.setattr(tool, "README", tmp_path / "README.md")
    monkeypatch.setattr(tool, "MEASURED", tmp_path / "measured.json")
    kept = Report.from_json(MEASURED.read_text(encoding="utf-8"))
    fewer = Report(kept.machine, kept.measured[:1])
    (tmp_path / "run.json").write_text(fewer.to_json())
    assert tool.main([str(tmp_path / "run.json")]) == 0
    assert (tmp_path / "measured.json").read_text() == fewer.to_json()
    assert fewer._repr_markdown_() in (tmp_path / "README.md").read_text()
    block = (tmp_path / "README.md").read_text().split("<!-- benchmark -->")[1]
    assert f"| `{kept.measured[1].shape}`" not in block
    assert "batch norm, compared" in capsys.readouterr().out


def test_only_the_block_of_that_name_changes():
    readme = "a <!-- one -->1<!-- end of the one --> b <!-- two -->2<!-- end of the two --> c"
    assert with_block(readme, r"\1 | 3", name="two") == (
        "a <!-- one -->1<!-- end of the one --> b <!-- two -->\n\n\\1 | 3\n\n<!-- end of the two --> c"
    )


def test_a_readme_without_a_place_is_refused():
    with pytest.raises(ValueError, match=r"expected the comments <!-- two --> and <!-- end of the two --> .*"):
        with_block("<!-- one --><!-- end of the one -->", "x", name="two")
