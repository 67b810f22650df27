"""`bnlab papers`, as a user runs it."""

import json
import re

import pytest
from typer.testing import CliRunner

from bnlab.cli import app
from bnlab.experiments import papers


def run(*arguments):
    return CliRunner().invoke(app, ["papers", *arguments], env={"COLUMNS": "80", "NO_COLOR": "1"})


def test_the_table_is_printed_within_80_columns():
    done = run()
    assert (done.exit_code, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    said = " ".join(done.stdout.split())
    for row in papers.from_stored():
        assert f"{row.id} " in said
        effects = [number for claim in row.claims for number in re.findall(r"[\d.]+", claim.measured)]
        assert all(number in said for number in effects)
    assert said.endswith(" Direction only: no number of the paper is quoted. Details: bnlab papers show ID")
    assert re.findall(r"^  (same direction|partly|not here)", done.stdout, re.MULTILINE) == [
        row.verdict for row in papers.from_stored()
    ]


def test_the_table_is_printed_as_json():
    done = run("--json")
    assert json.loads(done.stdout) == json.loads(papers.from_stored().to_json())


def test_a_figure_is_shown_with_all_that_is_known_of_it():
    done = run("show", "batch-size", "noisy-norm")
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    said, table = " ".join(done.stdout.split()), papers.from_stored()
    for id in ("batch-size", "noisy-norm"):  # noqa: A001 - that is what it is called everywhere
        assert f"{id}: {table[id].verdict} {' '.join(str(table[id]).split())}" in said


def test_the_ten_are_drawn_into_a_file(tmp_path):
    file = tmp_path / "ten.png"
    done = run("--picture", str(file))
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")
    assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "batchsize"], r"expected the id of a figure, such as batch-size, got 'batchsize'"),
        (["show", "batch-size", "xyz"], r"expected the id of a figure \(.*\), got 'xyz'"),
        (["--picture", "nowhere/at_all.png"], r"--picture: expected a \.png file in a folder that exists, got .*"),
        (["--json", "show", "batch-size"], r"show: expected neither --json nor --picture before it"),
        (["--picture", "ten.txt"], r"--picture: expected a \.png file in a folder that exists, got ten\.txt"),
    ],
)
def test_a_bad_argument_gives_one_clear_line(arguments, message):
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert re.fullmatch(rf"bnlab: {message}\n", done.stderr)
