"""The ledger that ships is what the stored results say, and what a fresh run says of a cheap claim."""

import dataclasses
import json
import re
import sys
from pathlib import Path

import pytest

from bnlab.experiments.claims import DECLARATIONS, Ledger, declaration_of, from_stored, ledger, to_json
from bnlab.experiments.claims.ledger import FILE
from bnlab.experiments.studies import RESULTS, STUDIES, study_of
from tools import studies as tool

ROOT = Path(__file__).resolve().parents[3]
VERDICTS = {"supported", "partly", "not supported here"}


def test_the_ledger_is_what_the_stored_results_say():
    assert FILE.read_text(encoding="utf-8") == to_json(from_stored())


@pytest.mark.parametrize("name", STUDIES)
def test_a_stored_result_is_of_the_settings_and_the_code_as_they_are(name):
    assert study_of(name).is_current(), f"run `make studies`: {name} was computed by other settings or code"


@pytest.mark.parametrize("name", STUDIES)
def test_every_axis_of_a_number_has_a_name(name):
    stored = study_of(name).stored()
    for title, array in stored.numbers().items():
        sizes = dict(zip(stored.axes(title), array.shape, strict=True))
        assert sizes.get("seeds", len(stored.config.seeds)) == len(stored.config.seeds), title


def test_every_stored_result_is_of_a_study():
    assert {path.stem for path in RESULTS.glob("*.json")} == {*STUDIES, "ledger"}


def test_a_cheap_claim_comes_out_again_from_other_seeds():
    declaration = declaration_of("signal-survives-half-start")
    study = study_of(declaration.study)
    config = dataclasses.replace(study.config_of_run(3), scales=(0.5,))  # all that the claim reads
    claim = declaration.judge(study.run(config))
    stored = ledger()[claim.id]
    assert claim.verdict == stored.verdict
    assert claim.values != stored.values


def test_the_ledger_admits_what_did_not_show():
    verdicts = [claim.verdict for claim in ledger()]
    assert len(verdicts) >= 14
    assert set(verdicts) <= VERDICTS
    assert sum(verdict != "supported" for verdict in verdicts) >= 3


@pytest.mark.parametrize("claim", list(ledger()), ids=lambda claim: claim.id)
def test_a_claim_is_a_sentence_with_its_control_and_its_source(claim):
    assert re.fullmatch(r"[A-Z][^\n]{20,220}\.", claim.statement)
    assert claim.control.endswith(".")
    assert claim.source
    assert claim.n_seeds >= 10 or not DECLARATIONS[claim.id].headline
    assert (ROOT / "notebooks" / f"{claim.chapter}.ipynb").exists()


@pytest.mark.parametrize("claim", list(ledger()), ids=lambda claim: claim.id)
def test_a_claim_is_shown_in_its_chapter(claim):
    code = (ROOT / "notebooks/py" / f"{claim.chapter}.py").read_text(encoding="utf-8")
    assert f'"{claim.id}"' in code or "ledger().of(" in code


def test_the_readme_shows_the_ledger():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert tool.with_table(readme, ledger()._repr_markdown_()) == readme


# --- its form


def test_json_gives_the_claims_back(tmp_path, monkeypatch):
    text = to_json(ledger())
    (tmp_path / "ledger.json").write_text(text)
    monkeypatch.setattr(sys.modules[Ledger.__module__], "FILE", tmp_path / "ledger.json")
    assert to_json(ledger()) == text
    assert len(json.loads(text)) == len(DECLARATIONS)


def test_a_chapters_claims_are_found_by_its_number():
    found = ledger().of("06")
    assert {claim.chapter for claim in found} == {"06_benefits_faster"}
    assert len(found) < len(ledger())


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: ledger()["nothing"], "expected the id of a claim .*, got 'nothing'"),
        (lambda: ledger().of("99"), "expected a chapter with claims .*, got '99'"),
        (lambda: declaration_of("nothing"), "expected the id of a claim .*, got 'nothing'"),
        (lambda: study_of("nothing"), "expected the name of a study .*, got 'nothing'"),
    ],
)
def test_what_does_not_exist_is_refused_in_one_line(ask, message):
    with pytest.raises(ValueError, match=message):
        ask()


def test_the_table_has_a_row_for_each_claim():
    claims = list(ledger())[:2]
    lines = Ledger(tuple(claims))._repr_markdown_().splitlines()
    assert len(lines) == 4
    assert all(claim.id in line and claim.verdict in line for claim, line in zip(claims, lines[2:], strict=True))


def test_a_result_of_other_settings_is_refused(tmp_path, monkeypatch):
    study = study_of("learning_rate_tolerance")
    text = (RESULTS / "learning_rate_tolerance.json").read_text()
    assert '"steps": 200' in text
    (tmp_path / "learning_rate_tolerance.json").write_text(text.replace('"steps": 200', '"steps": 201'))
    monkeypatch.setattr("bnlab.experiments.studies.RESULTS", tmp_path)
    with pytest.raises(ValueError, match=r"learning_rate_tolerance: expected a stored result of .*steps=200.*=201"):
        study.stored()


def test_a_result_of_other_code_is_not_current(tmp_path, monkeypatch):
    study = study_of("learning_rate_tolerance")
    result = study.stored()
    text = (RESULTS / "learning_rate_tolerance.json").read_text()
    (tmp_path / "learning_rate_tolerance.json").write_text(text.replace(result.provenance.code, "0123456789ab"))
    monkeypatch.setattr("bnlab.experiments.studies.RESULTS", tmp_path)
    assert not study.is_current()
