"""The table of explanations: its letters rest on the ledger, and a learner's are compared with them cell by cell."""

import re

import pytest
import yaml

from bnlab.experiments.claims import ledger
from bnlab.practice import explanations
from bnlab.practice.explaining import FILE, MEANING, read_table, table

CELLS = [
    pytest.param(row, observation, cell, id=f"{row.name}, {observation.name}")
    for row in table().explanations
    for observation, cell in zip(table().observations, row.cells, strict=True)
]


def in_a_row(thing):
    return " ".join(repr(thing).split())


@pytest.mark.parametrize(("row", "observation", "cell"), CELLS)
def test_a_letter_rests_on_verdicts_as_the_ledger_has_them(row, observation, cell):
    claims = ledger()
    assert {one.claim: claims[one.claim].verdict for one in cell.evidence} == {
        one.claim: one.verdict for one in cell.evidence
    }


@pytest.mark.parametrize(("row", "observation", "cell"), CELLS)
def test_a_cell_has_one_sentence_and_claims_where_it_takes_a_side(row, observation, cell):
    assert re.fullmatch(r"[A-Z][^.]*\.", cell.why)
    assert bool(cell.evidence) == (cell.letter != "-")


def test_no_explanation_accounts_for_all_and_every_observation_tells_some_apart():
    rows = [[cell.letter for cell in row.cells] for row in table().explanations]
    assert not any(set(row) == {"y"} for row in rows)
    assert all(len(set(column)) > 1 for column in list(zip(*rows, strict=True))[1:])


@pytest.mark.parametrize("filled", ["", "y"])
def test_an_unfinished_table_gives_no_letter_away(filled):
    asked = explanations(filled + "." * (20 - len(filled)))
    shown = repr(asked)
    assert all(f"{letter}  {meaning}" in shown for letter, meaning in MEANING.items())
    first, *others = table().explanations
    assert re.search(rf"^ +{first.name} +{filled or re.escape('.')}( +\.){{4}}$", shown, re.MULTILINE)
    for row in others:
        assert re.search(rf"^ +{row.name}( +\.){{{len(row.cells)}}}$", shown, re.MULTILINE)
    assert not any(cell.why in in_a_row(asked) for row in table().explanations for cell in row.cells)


def test_without_letters_the_courses_are_shown():
    shown = in_a_row(explanations())
    assert shown.startswith("The course's letters.")
    assert all(
        cell.why.replace("`", "") in shown.replace("`", "") for row in table().explanations for cell in row.cells
    )
    assert "yours" not in shown


def test_every_line_fits_a_terminal():
    for answers in (None, "." * 20, "y" * 20):
        assert max(map(len, repr(explanations(answers)).splitlines())) <= 80


def test_the_same_letters_agree_in_every_cell():
    shown = repr(explanations(table().letters))
    assert shown.startswith("The same letter in 20 of 20 cells.")
    assert "(you:" not in shown


def test_another_letter_is_shown_beside_the_courses_with_its_reason_and_its_claims():
    first, *others = table().letters
    assert first == "y"
    shown = in_a_row(explanations("n" + "".join(others)))
    assert shown.startswith("The same letter in 19 of 20 cells.")
    cell = table().explanations[0].cells[0]
    carried = "; ".join(f"{one.claim}: {one.verdict}" for one in cell.evidence)
    assert f"covariate shift, rates: y (you: n). {cell.why} ({carried})".replace("`", "") in shown.replace("`", "")
    assert re.search(r"^ +covariate shift +y \(n\) +n ", repr(explanations("n" + "".join(others))), re.MULTILINE)
    assert shown.count("(you:") == 1


def test_letters_are_read_row_by_row_whatever_stands_between_them():
    spaced = " ".join(table().letters[at : at + 5] for at in range(0, 20, 5)).upper()
    assert repr(explanations(spaced)) == repr(explanations(table().letters))


@pytest.mark.parametrize("answers", ["y" * 19, "y" * 21, "x" * 20, "", 20 * ["y"]])
def test_other_answers_are_refused(answers):
    with pytest.raises(ValueError, match=r"^answers: expected 20 letters, y, n, -, or . for none, got "):
        explanations(answers)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one["explanations"][1]["cells"].pop(), "smoothness: expected 5 cells, got 4"),
        (lambda one: one["explanations"][0]["cells"][0].update(letter="x"), "letter: expected one of y, n, -, got 'x'"),
        (
            lambda one: one["explanations"][0]["cells"][0]["evidence"][0].update(verdict="true"),
            "verdict: expected one of supported, partly, not supported here, got 'true'",
        ),
    ],
    ids=["a cell too few", "no such letter", "no such verdict"],
)
def test_an_unfit_table_is_refused(change, message, tmp_path):
    record = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    change(record)
    file = tmp_path / "table.yaml"
    file.write_text(yaml.safe_dump(record))
    with pytest.raises(ValueError, match=re.escape(message)):
        read_table(file)
