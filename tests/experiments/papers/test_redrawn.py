"""A redrawn figure, on made-up claims: the rule, what it says of itself, and its table."""

import dataclasses
import json

import numpy as np
import pytest

from bnlab.experiments import papers
from bnlab.experiments.claims.claim import Declaration, Measured
from bnlab.experiments.papers import Finding, Redrawn, Table

SUPPORTED, PARTLY, NOT = 9.0, 2.0, 1.0  # effects; asked for is 3


def finding(name, *, against=False):
    declaration = Declaration(
        id=f"claim-{name}",
        statement="A sentence.",
        source="a paper",
        study=name,
        chapter="12_why_it_works",
        control="same.",
        unit="times",
        margin=3.0,
        measure=lambda effect: Measured(np.full(6, effect)),
    )
    return Finding(declaration, f"more {name}", against=against)


def judged(*effects, against=()):
    names = "abc"[: len(effects)]
    found = tuple(finding(name, against=name in against) for name in names)
    one = Redrawn("it", "Somebody 2020, arXiv:1", "figure 9", "It does.", "Nothing.", found, ("a", "drawn"))
    return one.judge(dict(zip(names, effects, strict=True)))


@pytest.mark.parametrize(
    ("effects", "verdict"),
    [
        ((SUPPORTED,), "same direction"),
        ((PARTLY,), "partly"),
        ((NOT,), "not here"),
        ((SUPPORTED, SUPPORTED), "same direction"),
        ((SUPPORTED, PARTLY), "partly"),
        ((SUPPORTED, NOT), "partly"),
        ((NOT, PARTLY), "partly"),
        ((NOT, NOT), "not here"),
    ],
)
def test_all_findings_have_to_agree(effects, verdict):
    assert judged(*effects).verdict == verdict


@pytest.mark.parametrize(("effect", "verdict"), [(SUPPORTED, "not here"), (PARTLY, "partly"), (NOT, "same direction")])
def test_a_finding_against_the_paper_counts_the_other_way(effect, verdict):
    assert judged(effect, against="a").verdict == verdict


def test_what_was_measured_is_said_finding_by_finding():
    row = judged(SUPPORTED, NOT)
    assert row.lines == ("more a: 9 [9, 9] times", "more b: 1 [1, 1] times")
    assert row.measured == "; ".join(row.lines)


@pytest.mark.parametrize(
    ("effects", "headline"),
    [
        ((SUPPORTED, SUPPORTED), "more a: 9 times"),
        ((SUPPORTED, SUPPORTED, NOT), "more a: 9 times; but more c: 1 times"),
        ((NOT, NOT), "more a: 1 times"),
        ((np.inf,), "more a: beyond what was watched"),
    ],
)
def test_the_headline_adds_what_falls_short(effects, headline):
    row = judged(*effects) if np.isfinite(effects).all() else censored()
    assert row.headline == headline


def censored():
    one = judged(SUPPORTED).redrawn
    exact = dataclasses.replace(one.findings[0].declaration, exact=True)
    found = (dataclasses.replace(one.findings[0], declaration=exact),)
    return dataclasses.replace(one, findings=found).judge({"a": np.inf})


def test_the_rule_names_every_claim_with_its_margin():
    assert (
        judged(SUPPORTED, NOT, against="b").redrawn.rule == "more a, over 3 (`claim-a`); more b, not over 3 (`claim-b`)"
    )


def test_the_studies_are_those_drawn_and_those_judged_by_each_once():
    assert judged(SUPPORTED, NOT).redrawn.studies == ("a", "drawn", "b")


def test_the_table_has_a_row_for_each_and_is_found_by_id():
    table = Table((judged(SUPPORTED), judged(NOT)))
    lines = table._repr_markdown_().splitlines()
    assert len(lines) == 2 + len(table) == 4
    assert all(line.count("|") == lines[0].count("|") for line in lines)
    assert "same direction" in lines[2]
    assert table["it"] is table.rows[0]
    with pytest.raises(ValueError, match=r"expected the id of a figure \(it, it\), got 'other'"):
        table["other"]


def test_json_holds_the_claims_and_what_is_infinite():
    [record] = json.loads(Table((censored(),)).to_json())
    assert record["findings"][0]["claim"]["effect"] == "inf"
    assert (record["id"], record["verdict"], record["studies"]) == ("it", "same direction", ["a", "drawn"])


def test_an_unknown_figure_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"expected the id of a figure, such as noisy-norm, got 'noisynorm'"):
        papers.redrawn("noisynorm")
