"""The Anki deck, opened as Anki opens it: a zip with an SQLite file of notes and cards."""

import html
import json
import os
import re
import resource
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from html.parser import HTMLParser

import pytest
import yaml

from bnlab.practice.interview.asking import PARTS
from bnlab.practice.interview.bank import questions
from bnlab.practice.interview.cards import write_deck

pytest.importorskip("genanki", reason="genanki is in the extra `cards`")
FIELDS = ["prompt", "shown", *PARTS, "about"]


def opened(path, folder):
    """The notes by the ids of their questions, the cards, the models and the decks of a package."""
    with zipfile.ZipFile(path) as package:
        assert package.testzip() is None
        package.extract("collection.anki2", folder)
        assert json.loads(package.read("media")) == {}
    with closing(sqlite3.connect(folder / "collection.anki2")) as store:
        store.row_factory = sqlite3.Row
        assert store.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        notes = [dict(row) for row in store.execute("SELECT * FROM notes ORDER BY id")]
        cards = [dict(row) for row in store.execute("SELECT * FROM cards ORDER BY id")]
        models, decks = (json.loads(text) for text in store.execute("SELECT models, decks FROM col").fetchone())
    for note in notes:
        note["fields"] = dict(zip(FIELDS, note["flds"].split("\x1f"), strict=True))
    ids = [re.search("<code>(.+?)</code>", note["fields"]["about"])[1] for note in notes]
    return dict(zip(ids, notes, strict=True)), cards, models, decks


@pytest.fixture(scope="module")
def deck(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deck")
    assert write_deck(folder / "bank.apkg") == len(questions())
    return opened(folder / "bank.apkg", folder)


@pytest.fixture
def bank(tmp_path):
    """A folder with a question that can be edited, and another."""
    answers = {"short": "A floor.", "two_minutes": "A floor under the variance.", "whiteboard": "var + eps"}
    entry = {
        "topic": "numerics",
        "level": "core",
        "roles": ["any"],
        "prompt": "What is epsilon for?",
        "answers": answers,
        "rubric": [{"point": f"point {number}", "weight": number} for number in (1, 2, 3)],
        "red_flags": [{"says": "Nothing.", "why": "It caps the gain."}],
        "follow_ups": [],
        "chapter": "03_mechanism_forward",
    }
    folder = tmp_path / "questions"
    folder.mkdir()
    (folder / "numerics.yaml").write_text(yaml.safe_dump([{"id": "one", **entry}, {"id": "other", **entry}]))
    return folder


class Page(HTMLParser):
    """The tags of a page, each closed where it was opened."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = set(), []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, _):
        self.tags.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_every_question_has_one_note_and_one_card(deck):
    notes, cards, _, _ = deck
    assert notes.keys() == questions().keys()
    assert sorted(card["nid"] for card in cards) == sorted(note["id"] for note in notes.values())
    assert len({note["guid"] for note in notes.values()}) == len(notes)


def test_deck_and_model_have_ids_that_never_change(deck):
    notes, cards, models, decks = deck
    assert "2059400881" in decks
    assert "1390284617" in models
    assert {card["did"] for card in cards} == {2059400881}
    assert {note["mid"] for note in notes.values()} == {1390284617}


def test_the_guid_of_a_question_never_changes(deck):
    assert deck[0]["derive-dx"]["guid"] == "F(<i;.y=BG"


def test_a_note_holds_prompt_and_answers(deck):
    question, fields = questions()["four-lines"], deck[0]["four-lines"]["fields"]
    assert fields["prompt"] == html.escape(question.prompt)
    assert html.escape(question.answers.whiteboard) in fields["whiteboard"]
    assert fields["short"].startswith("<p>")
    assert f"<li>{html.escape(question.rubric[0].point)} ({question.rubric[0].weight})</li>" in fields["rubric"]
    assert "Chapter 03" in fields["about"]


def test_formulas_and_code_are_set_as_code(deck):
    fields = deck[0]["four-lines"]["fields"]
    assert fields["whiteboard"].startswith("<pre><code>")
    assert not any("`" in text for note in deck[0].values() for text in note["fields"].values())


def test_what_a_prompt_shows_stands_on_its_front(deck):
    shown = {id_ for id_, note in deck[0].items() if note["fields"]["shown"]}
    assert shown == {id_ for id_, question in questions().items() if question.code or question.plot}
    (template,) = deck[2]["1390284617"]["tmpls"]
    assert "{{shown}}" in template["qfmt"]
    assert "{{short}}" not in template["qfmt"]


def test_the_back_has_every_part(deck):
    (template,) = deck[2]["1390284617"]["tmpls"]
    assert all(f"{{{{{name}}}}}" in template["afmt"] for name in [*PARTS, "about", "FrontSide"])
    assert [field["name"] for field in deck[2]["1390284617"]["flds"]] == FIELDS


def test_every_field_is_well_formed(deck):
    for note in deck[0].values():
        for text in note["fields"].values():
            assert Page(text).tags <= {"p", "pre", "code", "ol", "li"}


def test_topic_and_level_are_tags(deck):
    for id_, note in deck[0].items():
        assert note["tags"].split() == [f"topic::{questions()[id_].topic}", f"level::{questions()[id_].level}"]


def test_new_cards_come_in_the_order_of_their_levels(deck):
    notes, cards, _, _ = deck
    ids = {note["id"]: id_ for id_, note in notes.items()}
    levels = [questions()[ids[card["nid"]]].level for card in sorted(cards, key=lambda card: card["due"])]
    assert levels == sorted(levels, key=("screen", "core", "deep", "research").index)
    assert len({card["due"] for card in cards}) == len(cards)


def test_two_packages_of_one_edition_hold_the_same(deck, tmp_path):
    write_deck(tmp_path / "again.apkg")
    assert opened(tmp_path / "again.apkg", tmp_path) == deck


def test_an_edited_answer_keeps_its_note_and_is_newer(bank, tmp_path):
    write_deck(tmp_path / "bank.apkg", bank)
    before = opened(tmp_path / "bank.apkg", tmp_path)[0]
    file = bank / "numerics.yaml"
    when = file.stat().st_mtime
    file.write_text(file.read_text().replace("A floor.", "A floor under it.", 1))
    os.utime(file, (when + 60, when + 60))
    write_deck(tmp_path / "bank.apkg", bank)
    after = opened(tmp_path / "bank.apkg", tmp_path)[0]
    assert [notes["one"]["fields"]["short"] for notes in (before, after)] == [
        "<p>A floor.</p>",
        "<p>A floor under it.</p>",
    ]
    assert {id_: note["guid"] for id_, note in after.items()} == {id_: note["guid"] for id_, note in before.items()}
    assert all(after[id_]["mod"] == note["mod"] + 60 for id_, note in before.items())


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected a file that ends in \.apkg, got .*bank\.zip"):
        write_deck(tmp_path / "bank.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_said_in_one_line(tmp_path, bank):
    with pytest.raises(ValueError, match=r"^.*bank\.apkg could not be written: No such file or directory$"):
        write_deck(tmp_path / "missing" / "bank.apkg", bank)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"^.*bank\.apkg could not be written: Not a directory$"):
        write_deck(tmp_path / "file" / "bank.apkg", bank)


def test_what_was_there_stays_if_the_new_one_cannot_be_written(tmp_path, bank):
    target = tmp_path / "bank.apkg"
    target.mkdir()  # which no file can replace
    with pytest.raises(ValueError, match=r"bank\.apkg could not be written"):
        write_deck(target, bank)
    assert target.is_dir()
    assert not target.with_name("bank.apkg.part").exists()


def test_a_full_disk_is_said_in_one_line_and_leaves_what_was_there(tmp_path, bank):
    target = tmp_path / "bank.apkg"
    write_deck(target, bank)
    before = target.read_bytes()
    fits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, fits[1]))
    try:
        with pytest.raises(ValueError, match=r"^.*bank\.apkg could not be written: .*$"):
            write_deck(target, bank)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, fits)
    assert target.read_bytes() == before
    assert not target.with_name("bank.apkg.part").exists()


def test_without_genanki_a_line_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['genanki'] = None\n"
        "from bnlab.practice.interview.cards import write_deck\n"
        f"write_deck({str(tmp_path / 'bank.apkg')!r})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stderr.strip().endswith("ValueError: Anki decks need genanki: pip install 'bnlab[cards]'")
