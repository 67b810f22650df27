"""The command line, run as a user runs it."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bnlab.cli import app
from bnlab.experiments.claims import DECLARATIONS, ledger
from bnlab.experiments.studies import STUDIES, Study

CHEAP = "signal-survives-half-start"
OTHER = "branch-fades-with-depth"  # of another study


def run(*arguments, columns=80):
    """In this process, which has loaded torch: to load it anew for every command takes most of the time."""
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": str(columns), "NO_COLOR": "1"})
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def test_the_ledger_is_printed_within_80_columns():
    done = run("claims", "list")
    assert done.returncode == 0
    for claim in ledger():
        assert claim.id in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "[" in done.stdout  # intervals are not taken for markup


def test_the_ledger_is_printed_as_json():
    done = run("claims", "list", "--json")
    assert [claim["id"] for claim in json.loads(done.stdout)] == [claim.id for claim in ledger()]


def test_a_claim_is_shown_with_all_that_the_ledger_says():
    done = run("claims", "show", CHEAP)
    said = " ".join(done.stdout.split())
    assert said == repr(ledger()[CHEAP])
    assert "Control:" in said
    assert max(map(len, done.stdout.splitlines())) <= 80


SMALLER = {  # studies on which the verdicts of these claims are the ledger's all the same
    name: Study(name, name, changes)
    for name, changes in {
        "signal_propagation": (("width", 48), ("batch_size", 128), ("scales", (0.5, 1.0))),
        "residual_signal": (("width", 8), ("batch_size", 32), ("seeds", tuple(range(5)))),
    }.items()
}


@pytest.fixture
def smaller(monkeypatch):
    """The studies of these claims with narrower networks."""
    for name, study in SMALLER.items():
        monkeypatch.setitem(STUDIES, name, study)


@pytest.mark.usefixtures("smaller")
def test_a_claim_is_run_from_another_seed():
    done = run("claims", "run", CHEAP, "--seed", "4")
    assert (done.returncode, done.stderr) == (0, "")
    found = rf"signal_propagation: \d+ s \(1 of 1 studies\)\n  {CHEAP}: {ledger()[CHEAP].verdict}\n      .* times\n"
    assert re.fullmatch(found, done.stdout)
    assert run("claims", "run", CHEAP).stdout.splitlines()[-1] != done.stdout.splitlines()[-1]  # what seed 0 measures


@pytest.mark.usefixtures("smaller")
def test_claims_of_several_studies_are_told_as_they_get_ready_and_stand_in_json_as_asked_for():
    asked = [OTHER, CHEAP, "gradient-grows-toward-input"]
    done = run("claims", "run", *asked, "--seed", "4", "--json")
    assert done.returncode == 0
    assert [claim["id"] for claim in json.loads(done.stdout)] == asked
    start, *parts = re.split(r"\w+: \d+ s \((\d) of 2 studies\)\n", done.stderr)
    assert (start, parts[::2]) == ("", ["1", "2"])
    told = [re.findall(r"^  ([\w-]+): ", part, re.MULTILINE) for part in parts[1::2]]
    assert sorted(told) == [asked[:1], asked[1:]]


@pytest.mark.usefixtures("smaller")
def test_a_claim_is_run_to_json():
    done = run("claims", "run", CHEAP, "--seed", "4", "--json")
    [claim] = json.loads(done.stdout)
    assert (claim["id"], claim["verdict"]) == (CHEAP, ledger()[CHEAP].verdict)
    assert len(claim["values"]) == claim["n_seeds"]


@pytest.mark.usefixtures("smaller")
def test_a_verdict_that_differs_gives_exit_status_1(monkeypatch):
    monkeypatch.setitem(DECLARATIONS, CHEAP, dataclasses.replace(DECLARATIONS[CHEAP], margin=1e30))
    done = run("claims", "run", CHEAP, "--seed", "4")
    assert done.returncode == 1
    assert f"partly (the ledger says: {ledger()[CHEAP].verdict})" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["claims", "run", "nothing"], r"expected the id of a claim \(.*\), got 'nothing'"),
        (["claims", "show", "ghost-loss"], r"expected the id of a claim, such as ghosts-loss, got 'ghost-loss'"),
        (
            ["studies", "run", "learning_rate_tolerance", "--set", "batchsize=9"],
            r"expected the name of a setting, such as batch_size, got 'batchsize'",
        ),
        (["claims", "run", "--seed", "-1"], r"seed: expected at least 0, got -1"),
        (["claims", "run", "--seed", "99999999999999999999"], r"seed: expected at most 1000000000, got 9{20}"),
        (["studies", "run", "nothing"], r"expected the name of a study \(.*\), got 'nothing'"),
        (["studies", "run", "learning_rate_tolerance", "--seeds", "0"], r"seeds: expected from 1 to 1000 .*, got 0"),
        (
            ["studies", "run", "learning_rate_tolerance", "--set", "learning_rates=0.1,-1"],
            r"learning_rates: expected more than 0, got -1\.0",
        ),
        (
            ["studies", "run", "learning_rate_tolerance", "--set", "dataset=imagenet"],
            r"dataset: expected one of digits, mnist1d, got 'imagenet'",
        ),
        (
            ["studies", "run", "learning_rate_tolerance", "--set", "batch_size=5000"],
            r".*batch.* 5000.*",
        ),
        (["bench", "training", "rnn"], r"expected kind 'mlp' or 'cnn', got 'rnn'"),
        (["bench", "training", "--rounds", "0"], r"expected at least 1 round, got 0"),
        (["bench", "kernels", "--shapes", "8*3"], r"expected a shape such as .*, got '8\*3'"),
        (["bench", "kernels", "--device", "tpu"], r"expected device 'cpu' or 'cuda', got 'tpu'"),
        (["bench", "kernels", "--memory", "mine"], r"expected memory 'kept' or 'system', got 'mine'"),
        (["bench", "kernels", "--json", "nowhere/at_all.json"], r"--json: expected a file in a folder that exists, .*"),
        (["bench", "kernels", "--growth", "--roofline", "roof.png"], r"--roofline: expected no --growth, .*"),
        (["studies", "run", "learning_rate_tolerance", "--save", "result.csv"], r"--save: expected a \.json or .*"),
    ],
)
def test_a_bad_argument_gives_one_clear_line(arguments, message):
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert re.fullmatch(rf"bnlab: {message}\n", done.stderr)


def test_kernels_are_timed_to_a_table_a_file_and_a_picture(tmp_path):
    kept, picture = tmp_path / "kept.json", tmp_path / "roof.png"
    options = ["--shapes", "64x8,2x3x20x20:channels_last", "--rounds", "2", "--no-compile"]
    done = run("bench", "kernels", *options, "--json", str(kept), "--roofline", str(picture))
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert [one["shape"] for one in json.loads(kept.read_text())["measured"]] == ["64x8", "2x3x20x20:channels_last"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_study_is_run_with_other_settings_and_saved(tmp_path):
    file = tmp_path / "small.json"
    settings = [f"--set={change}" for change in ("learning_rates=0.1,1", "depth=2", "width=8", "steps=3")]
    done = run(
        "studies", "run", "learning_rate_tolerance", *settings, "--seeds", "2", "--seed", "7", "--save", str(file)
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "validation/no_norm (2 rates x 2 seeds), mean over the seeds:" in done.stdout
    config = json.loads(file.read_text())["config"]
    assert config["seeds"] == [7000, 7001]
    assert (config["learning_rates"], config["depth"], config["width"], config["steps"]) == ([0.1, 1.0], 2, 8, 3)


@pytest.mark.usefixtures("smaller")
def test_a_claim_that_cannot_be_judged_does_not_keep_the_others_from_it(monkeypatch):
    def refuse(_):
        raise ValueError("no run arrived")

    other = "gradient-grows-toward-input"
    monkeypatch.setitem(DECLARATIONS, other, dataclasses.replace(DECLARATIONS[other], measure=refuse))
    done = run("claims", "run", other, CHEAP, "--seed", "4")
    assert (done.returncode, done.stderr) == (1, "")
    assert f"  {other}: no verdict: no run arrived\n" in done.stdout
    assert f"  {CHEAP}: {ledger()[CHEAP].verdict}\n" in done.stdout


def test_a_bad_number_of_threads_gives_one_clear_line():
    environment = os.environ | {"BNLAB_NUM_THREADS": "two"}
    command = [sys.executable, "-m", "bnlab", "claims", "run", CHEAP]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bnlab: BNLAB_NUM_THREADS must be a whole number of at least 1, got 'two'\n"


def nobody_is_left_of(group):
    """Within five seconds."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_ctrl_c_keeps_the_claims_that_are_finished():
    code = (
        "from bnlab.cli import app\n"
        "from bnlab.experiments.studies import STUDIES, Study\n"
        f"STUDIES.update({SMALLER!r})\n"
        f"app({['claims', 'run', CHEAP, 'lr-tolerance-digits', '--json']!r})"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    for line in process.stderr:
        if line.startswith("      "):  # what the first claim measured
            break
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to the workers, too
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert [claim["id"] for claim in json.loads(out)] == [CHEAP]
    assert err == "bnlab: interrupted; no verdict on: lr-tolerance-digits\n"
    assert nobody_is_left_of(process.pid)  # who would go on computing


def test_a_misspelt_command_gets_the_nearest_name_and_nothing_is_loaded_for_it():
    code = "import sys, bnlab.cli as cli\ntry:\n    cli.app(['clams'])\nfinally:\n    print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "False\n")
    assert "Did you mean 'claims'?" in " ".join(done.stderr.split())


def in_a_shell(arguments, **environment):
    command = f"{sys.executable} -m bnlab {arguments}"
    return subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=False, env=os.environ | environment
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_a_stream_that_was_closed_is_no_error(closed, tmp_path):
    done = in_a_shell(f"interview quiz --questions 1 </dev/null {closed}", BNLAB_DATA_DIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_output_to_a_full_disk_is_refused_in_one_line():
    done = in_a_shell("interview list > /dev/full")
    assert (done.returncode, done.stderr) == (2, "bnlab: [Errno 28] No space left on device\n")


@pytest.mark.parametrize(
    ("arguments", "shown"), [("interview show derive-dx", "derive-dx ? backward"), ("--help", "?")]
)
def test_what_the_terminal_cannot_show_is_replaced(arguments, shown):
    done = in_a_shell(arguments, PYTHONIOENCODING="ascii", TERM="", COLUMNS="20")
    assert (done.returncode, done.stderr) == (0, "")
    assert shown in done.stdout
